"""Packed rows: no attention crosses samples, and packed equals unpacked in logits, loss and
gradients, by every attention there is.
"""

import copy

import numpy as np
import pytest
import torch

from obvlib.evaluation.generation import generate
from obvlib.inputs import Turn, encode
from obvlib.inputs.packing import collate, num_label_tokens
from obvlib.models import attention, kernels, tiny_bundle
from tests.helpers_inputs import clip, picture, sample, tiny


def model_with(choice):
    model = copy.deepcopy(tiny().model)
    assert attention.use(model, choice) == choice
    return model


def four_samples():
    """Two videos, one of them longer in time than in space, a picture and plain text."""
    turns = [Turn("user", "And this?", (picture(),)), Turn("assistant", "A retina.")]
    text = [Turn("user", "Hello?"), Turn("assistant", "Yes.")]
    others = [encode(t, tiny().tokenizer, tiny().spec) for t in (turns, text)]
    return [sample(1), sample(2, num_frames=26, words=9), *others]


def logits_of(model, samples, **arguments):
    with torch.no_grad():
        return model(**collate(samples), use_cache=False, **arguments).logits[0]


def padded_left(samples):
    """A batch (B, L) whose samples all end in the last column."""
    longest = max(s.num_tokens for s in samples)
    rooms = [longest - s.num_tokens for s in samples]
    batch = {
        "input_ids": np.stack(
            [np.pad(s.input_ids, (r, 0)) for s, r in zip(samples, rooms, strict=True)]
        ),
        "attention_mask": np.stack([np.arange(longest) >= r for r in rooms]).astype(int),
        "position_ids": np.stack(
            [np.pad(s.position_ids, ((0, 0), (r, 0))) for s, r in zip(samples, rooms, strict=True)],
            axis=1,
        ),
    }
    row = collate(samples)
    tensors = {name: torch.from_numpy(value) for name, value in batch.items()}
    return tensors | {name: row[name] for name in row if "pixel" in name or "grid" in name}


def loss_and_gradients(model, rows, count):
    """Summed loss over rows divided by `count` label tokens, and all gradients in one vector."""
    model.zero_grad()
    total = 0.0
    for row in rows:
        loss = model(**collate(row), use_cache=False, num_items_in_batch=count).loss
        loss.backward()
        total += float(loss.detach())
    gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    return total, gradient.double()


def relative(a, b):
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("choice", ["loop", "sdpa"])
def test_packed_logits_equal_unpacked_and_padded(choice):
    model, samples = model_with(choice), four_samples()
    packed = logits_of(model, samples).split([s.num_tokens for s in samples])
    batch = padded_left(samples)
    with torch.no_grad():
        padded = model(**batch, use_cache=False).logits
    for row, (one, together) in enumerate(zip(samples, packed, strict=True)):
        torch.testing.assert_close(together, logits_of(model, [one]), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(together, padded[row, -one.num_tokens :], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("choice", ["loop", "sdpa"])
def test_packed_and_unpacked_loss_and_gradients_agree(choice):
    model, samples = model_with(choice), four_samples()
    count = sum(num_label_tokens(s.labels) for s in samples)
    packed_loss, packed_gradient = loss_and_gradients(model, [samples], count)
    loss, gradient = loss_and_gradients(model, [[s] for s in samples], count)
    assert abs(packed_loss - loss) / loss < 1e-5
    assert relative(packed_gradient, gradient) < 1e-5


def test_in_bf16_packing_adds_less_than_the_number_format():
    exact, coarse, samples = model_with("loop"), model_with("loop").bfloat16(), four_samples()
    count = sum(num_label_tokens(s.labels) for s in samples)
    packed_loss, packed = loss_and_gradients(coarse, [samples], count)
    loss, single = loss_and_gradients(coarse, [[s] for s in samples], count)
    _, reference = loss_and_gradients(exact, [[s] for s in samples], count)
    assert abs(packed_loss - loss) / loss < 2e-3
    assert abs(float(packed.norm() - single.norm())) / float(single.norm()) < 2e-3
    assert relative(packed, single) < relative(single, reference) / 2


def test_loss_over_uneven_accumulation_steps_is_per_label_token():
    model, samples = model_with("loop"), four_samples()
    count = sum(num_label_tokens(s.labels) for s in samples)
    split_loss, split_gradient = loss_and_gradients(model, [samples[:1], samples[1:]], count)
    loss, gradient = loss_and_gradients(model, [samples], count)
    assert abs(split_loss - loss) / loss < 1e-5 and relative(split_gradient, gradient) < 1e-5
    with torch.no_grad():
        means = [float(model(**collate([s]), use_cache=False).loss) for s in samples]
    assert abs(np.mean(means) - loss) > 1e-3  # a mean of means would weigh short answers more


@pytest.mark.parametrize("choice", ["loop", "sdpa"])
def test_changing_one_sample_leaves_the_others_logits_unchanged(choice):
    model, samples = model_with(choice), four_samples()
    before = logits_of(model, samples).split([s.num_tokens for s in samples])
    changed = [*samples[:1], sample(77, num_frames=26, words=9), *samples[2:]]
    assert (
        changed[1].num_tokens != 0
        and not (changed[1].pixel_values_videos == samples[1].pixel_values_videos).all()
    )
    after = logits_of(model, changed).split([s.num_tokens for s in changed])
    for row in (0, 2, 3):
        assert (
            (before[row] == after[row]).all()
            if choice == "loop"
            else torch.allclose(before[row], after[row], atol=1e-5)
        )
    assert not torch.allclose(before[1][-3:], after[1][-3:], atol=1e-3)


def test_all_choices_of_this_machine_give_the_same_loss():
    samples = four_samples()
    losses = {
        choice: float(model_with(choice)(**collate(samples), use_cache=False).loss.detach())
        for choice in ("loop", "sdpa")
    }
    assert losses["loop"] == pytest.approx(losses["sdpa"], rel=1e-5)


def test_boundaries_given_ahead_are_used():
    model, samples = model_with("loop"), four_samples()
    ahead = attention.row_arguments(collate(samples)["position_ids"])
    assert (
        ahead["row_boundaries"].tolist()
        == np.cumsum([0] + [s.num_tokens for s in samples]).tolist()
    )
    assert ahead["row_longest"] == max(s.num_tokens for s in samples)
    torch.testing.assert_close(logits_of(model, samples, **ahead), logits_of(model, samples))


def test_a_cache_object_does_not_let_samples_see_each_other():
    """With sdpa and a cache transformers builds no packed mask, so training must pass
    use_cache=False; our attention holds either way.
    """
    samples = four_samples()
    model, batch = model_with("loop"), collate(samples)
    with torch.no_grad():
        safe, cached = model(**batch, use_cache=False).logits, model(**batch, use_cache=True).logits
        leaky = model_with("sdpa")(**batch, use_cache=True).logits
    torch.testing.assert_close(cached, safe, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(leaky[0, -1], safe[0, -1], atol=1e-3)


def test_generation_under_the_loop_equals_sdpa():
    turns = [Turn("user", "What is it?", (clip(30, 28, 56),))]
    prompts = [encode(turns, tiny().tokenizer, tiny().spec, add_generation_prompt=True)]
    prompts.append(
        encode(
            [Turn("user", "Hm, why?")], tiny().tokenizer, tiny().spec, add_generation_prompt=True
        )
    )
    answers = [
        generate(model_with(choice), prompts, max_new_tokens=8, eos_token_ids=[-1])
        for choice in ("loop", "sdpa")
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("heads, shared", [(6, 2), (4, 4), (3, 1)])
def test_a_token_that_continues_rows_sees_what_the_librarys_sdpa_lets_it_see(heads, shared):
    query = torch.randn(2, heads, 1, 16)
    key, value = torch.randn(2, 2, shared, 9, 16)
    mask = torch.ones(2, 1, 1, 9, dtype=torch.bool)
    mask[1, ..., :4] = False
    for seen in (mask, None):
        theirs = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=seen, scale=0.3, enable_gqa=True
        ).transpose(1, 2)
        torch.testing.assert_close(attention.continued(query, key, value, seen, 0.3), theirs)


def test_an_attention_used_for_a_block_is_put_back_after_it():
    model = tiny_bundle(attention="eager").model
    with pytest.raises(RuntimeError), attention.used(model) as choice:
        assert choice == "loop"
        assert model.config.text_config._attn_implementation == "obv_flash_loop"
        raise RuntimeError
    assert {config._attn_implementation for config in attention._configs(model)} == {"eager"}


def test_two_packed_rows_in_a_batch_keep_apart():
    positions = torch.tensor([[0, 1, 0, 1, 2], [0, 1, 2, 3, 0]])
    bounds, longest = attention.boundaries(positions, 2, 5, positions.device)
    assert bounds.tolist() == [0, 2, 5, 9, 10] and bounds.dtype == torch.int32 and longest == 4
    bounds, longest = attention.boundaries(None, 2, 5, positions.device)
    assert bounds.tolist() == [0, 5, 10] and longest == 5


def test_loop_kernel_equals_a_block_mask_for_unequal_lengths_and_shared_keys():
    torch.manual_seed(0)
    query, key, value = torch.randn(9, 4, 8), torch.randn(9, 2, 8), torch.randn(9, 2, 8)
    bounds = torch.tensor([0, 4, 5, 9], dtype=torch.int32)
    segment = torch.tensor([0] * 4 + [1] + [2] * 4)
    for causal in (True, False):
        mask = segment[:, None] == segment[None]
        mask = mask.tril() if causal else mask
        heads = [
            t.transpose(0, 1)
            for t in (query, key.repeat_interleave(2, 1), value.repeat_interleave(2, 1))
        ]
        expected = torch.nn.functional.scaled_dot_product_attention(
            *heads, attn_mask=mask, scale=0.3
        ).transpose(0, 1)
        got = kernels.loop(query, key, value, bounds.diff().tolist(), causal=causal, scale=0.3)
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize(
    ("choice", "message"),
    [("quick", "use one of auto"), ("varlen", "runs on CUDA"), ("flash2", "needs the package")],
)
def test_choices_that_this_machine_cannot_run_are_refused(choice, message):
    if torch.cuda.is_available() and choice != "quick":
        pytest.skip("this machine can run it")
    with pytest.raises(ValueError, match=message):
        attention.use(tiny().model, choice)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_varlen_on_cuda_agrees_with_sdpa():
    model = copy.deepcopy(tiny().model).cuda().bfloat16()
    batch = {name: tensor.cuda() for name, tensor in collate(four_samples()).items()}
    losses = {}
    for choice in ("varlen", "sdpa", "loop"):
        attention.use(model, choice)
        losses[choice] = float(model(**batch, use_cache=False).loss)
    assert (
        losses["varlen"]
        == pytest.approx(losses["sdpa"], rel=2e-3)
        == pytest.approx(losses["loop"], rel=2e-3)
    )


def test_a_kernel_whose_gradient_is_wrong_is_refused_by_name(monkeypatch):
    from obvlib.models import kernels

    def forward(query, key, value, seen):
        lengths, options = seen.spans.lengths, {"causal": seen.causal, "scale": seen.scale}
        return kernels.loop(query, key, value, lengths, **options), query.new_zeros(0)

    def backward(gradient, saved, seen):
        d_query, d_key, d_value = kernels._loop_backward(gradient, saved, seen)
        return [d_query.flip(0) if wrong else d_query, d_key, d_value]

    monkeypatch.setitem(kernels.FORWARD, "tried", forward)
    monkeypatch.setitem(kernels.BACKWARD, "tried", backward)
    for causal in (False, True):
        wrong = False
        kernels.check_gradients.cache_clear()
        found = kernels.check_gradients("tried", 4, 2, 80, causal, "cpu")
        assert set(found) == {"output", "d_query", "d_key", "d_value"}
        assert all(0 < error < 0.02 for error in found.values())
        wrong = True
        kernels.check_gradients.cache_clear()
        with pytest.raises(ValueError, match=r"'tried' .* heads of 80: d_query by 1\d\d\.\d% off"):
            kernels.check_gradients("tried", 4, 2, 80, causal, "cpu")
    kernels.check_gradients.cache_clear()
