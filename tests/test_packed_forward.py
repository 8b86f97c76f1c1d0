"""The fast pass of a packed row against the model's own: loss and every gradient, whatever is kept
for the backward pass; its batches against `collate`; and models that it refuses.
"""

import copy

import numpy as np
import pytest
import torch

from obvlib.inputs import Turn, collate, encode, normalised_on_device
from obvlib.models import attention
from obvlib.models.packed_forward import Fast, install, vision_angles
from obvlib.training.loading import FastRow, grid_places, row_of
from obvlib.training.rows import PackedRows
from tests.helpers_inputs import clip, picture, tiny

CONVERSATIONS = (
    [Turn("user", "What?", (clip(8, 56, 84),)), Turn("assistant", "A beating heart.")],
    [
        Turn("user", "And this?", (picture(), clip(5, 28, 56), picture())),
        Turn("assistant", "A retina."),
    ],
    [Turn("user", "Hello?"), Turn("assistant", "Yes.")],
)


def samples(normalise):
    spec = tiny().spec
    return [encode(t, tiny().tokenizer, spec, normalise=normalise) for t in CONVERSATIONS]


def make_row():
    return FastRow(tiny().spec.image_token_id, tiny().spec.video_token_id)


def gradient(model):
    return torch.cat([weight.grad.flatten() for weight in model.parameters()]).double()


def fast_model(**changes):
    model = copy.deepcopy(tiny().model).train()
    install(model, tiny().spec, Fast(compiles=False, **changes))
    return model


@pytest.fixture(scope="module")
def expected():
    """Loss and gradient of the model's own pass over the same row."""
    model = copy.deepcopy(tiny().model).train()
    attention.use(model, "loop")
    loss = model(**collate(samples(True)), use_cache=False).loss
    loss.backward()
    return float(loss.detach()), gradient(model)


@pytest.mark.parametrize("keep", ["none", "most", "products", "all"])
def test_loss_and_gradients_equal_the_models_own(expected, keep):
    model = fast_model(text=(keep,) * 3, vision=(keep,) * 2)
    loss = model(**make_row()(samples(False))).loss
    loss.backward()
    assert float(loss.detach()) == pytest.approx(expected[0], rel=1e-6)
    assert float((gradient(model) - expected[1]).norm() / expected[1].norm()) < 1e-5


def test_the_loss_is_divided_by_the_learned_tokens_of_the_whole_step():
    model, row = fast_model(), make_row()(samples(False))
    with torch.no_grad():
        mean, share = model(**row).loss, model(**row, num_items_in_batch=100).loss
    assert float(share) == pytest.approx(float(mean) * len(row["learned_targets"]) / 100)


def test_a_row_of_text_alone_and_calls_of_others_go_through():
    model, text = fast_model(), make_row()(samples(False)[2:])
    own = copy.deepcopy(tiny().model)
    batch = collate(samples(True)[2:])
    with torch.no_grad():
        loss = own(**batch, use_cache=False).loss
        assert "patches" not in text and float(model(**text).loss) == pytest.approx(float(loss))
        assert torch.equal(model(**batch, use_cache=False).loss, loss)


def test_a_fast_row_holds_what_collate_holds():
    row, plain = make_row()(samples(False)), collate(samples(True))
    for name in ("input_ids", "labels", "position_ids"):
        assert torch.equal(row[name], plain[name])
    assert row["patches"].dtype == torch.uint8
    pixels = normalised_on_device(row["patches"], tiny().spec)
    first, picture_patches = len(plain["pixel_values_videos"]) - 24, len(plain["pixel_values"]) // 2
    parts = plain["pixel_values_videos"].split([first, 24])
    images = plain["pixel_values"].split([picture_patches] * 2)
    torch.testing.assert_close(
        pixels, torch.cat([parts[0], images[0], parts[1], images[1]]), rtol=0, atol=1e-6
    )
    assert row["text_lengths"] == tuple(sample.num_tokens for sample in samples(False))
    assert torch.equal(row["learned_targets"], plain["labels"][plain["labels"] != -100])


def test_positions_of_patches_equal_the_vision_towers():
    tower = tiny().model.model.visual
    grid = np.array([3, 4, 6])
    x = torch.zeros(1)
    from transformers.vision_utils import get_vision_position_ids

    places = get_vision_position_ids(torch.tensor(grid[None]), 2)
    ours = torch.from_numpy(grid_places(grid, 2))
    assert torch.equal(ours.long(), places)
    for mine, theirs in zip(
        vision_angles(ours, tower.config), tower.rotary_pos_emb(x, places), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_rows_load_their_samples_when_asked():
    asked = []

    def load(index):
        asked.append(index)
        return samples(False)[index]

    rows = PackedRows([[2], [0, 2]], load, make=make_row())
    loader = torch.utils.data.DataLoader(rows, batch_size=1, collate_fn=row_of)
    lengths = [row["text_lengths"] for row in loader]
    assert asked == [2, 0, 2] and [len(each) for each in lengths] == [1, 2]


def test_a_row_of_normalised_patches_has_the_same_loss():
    model = fast_model()
    with torch.no_grad():
        losses = [
            float(model(**make_row()(samples(normalise))).loss) for normalise in (True, False)
        ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_without_a_compiler_a_cpu_computes_the_last_layer_only_where_the_loss_looks(expected):
    model = fast_model(text=("all",) * 3, vision=("all",) * 2)
    assert model.forward.trims_last
    model.forward.trims_last = False
    loss = model(**make_row()(samples(False))).loss
    loss.backward()
    assert float(loss.detach()) == pytest.approx(expected[0], rel=1e-6)
    assert float((gradient(model) - expected[1]).norm() / expected[1].norm()) < 1e-5


def test_other_models_are_refused():
    model = copy.deepcopy(tiny().model)
    model.model.language_model.layers[0].mlp.up_proj = torch.nn.Bilinear(2, 2, 2)
    with pytest.raises(ValueError, match="up_proj is a Bilinear"):
        install(model, tiny().spec, Fast())
    with pytest.raises(ValueError, match="'some': use one of none, most, products, all"):
        Fast(text=("some",))
