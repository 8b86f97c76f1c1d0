"""Token for token, pixel for pixel, position for position what each family's own processor and
model give.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from packaging.version import Version

from obvlib.core.frame_policy import FramePolicy
from obvlib.inputs import Image, Turn, Video, VisionSpec, encode, fit_image, fit_video
from obvlib.inputs.turns import SYSTEM_TEXT
from obvlib.models.tokenizer import qwen_tokenizer

FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
# Qwen3-VL's own template puts <|vision_start|> and <|vision_end|> around a video's placeholder. Up
# to transformers 4.57 the processor replaced all three by the timestamped frames, each of which has
# its own pair; since 5.10 it replaces the placeholder alone and leaves an outer pair that the model
# was not trained with. Here the placeholder stands alone, which gives the first layout under both.
QWEN3_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in"
    " message['content'] %}{% if part['type'] == 'image'"
    " %}<|vision_start|><|image_pad|><|vision_end|>{% elif part['type'] == 'video'"
    " %}<|video_pad|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}{%"
    " if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def spec_of(family):
    if family == "qwen3_vl":
        return VisionSpec(family=family, patch_size=16, mean=(0.5,) * 3, std=(0.5,) * 3)
    return VisionSpec(family=family, tokens_per_second=2.0 if family == "qwen2_5_vl" else 1.0)


def processor_of(family):
    """The family's processor, offline, with the per-frame pixel cap passed explicitly."""
    import transformers as t

    tokenizer = qwen_tokenizer()
    if family == "qwen3_vl":
        size = {"shortest_edge": 4 * 32 * 32, "longest_edge": 16384 * 32 * 32}
        image = t.Qwen2VLImageProcessor(
            patch_size=16, image_mean=[0.5] * 3, image_std=[0.5] * 3, size=size
        )
        video = t.Qwen3VLVideoProcessor(cap_pixels_per_frame=True)
        return t.Qwen3VLProcessor(image, tokenizer, video, chat_template=QWEN3_TEMPLATE)
    size = {"shortest_edge": 56 * 56, "longest_edge": 16384 * 28 * 28}
    image, video = (
        t.Qwen2VLImageProcessor(size=size),
        t.Qwen2VLVideoProcessor(cap_pixels_per_frame=True),
    )
    cls = t.Qwen2VLProcessor if family == "qwen2_vl" else t.Qwen2_5_VLProcessor
    return cls(image, tokenizer, video, chat_template=tokenizer.chat_template)


def reference(family, turns, fps=1.0, add_generation_prompt=False, do_resize=False):
    """What the processor makes of the same conversation."""
    messages, images, videos = [], [], []
    for turn in turns:
        parts = [{"type": "video" if isinstance(v, Video) else "image"} for v in turn.visuals]
        messages.append(
            {"role": turn.role, "content": [*parts, {"type": "text", "text": turn.text}]}
        )
        images += [v.pixels for v in turn.visuals if isinstance(v, Image)]
        videos += [v.frames for v in turn.visuals if isinstance(v, Video)]
    processor = processor_of(family)
    text = processor.apply_chat_template(messages, add_generation_prompt=add_generation_prompt)
    metadata = [
        {
            "fps": fps,
            "frames_indices": list(range(len(v))),
            "total_num_frames": len(v),
            "duration": len(v) / fps,
        }
        for v in videos
    ]
    options = (
        {"do_sample_frames": False, "video_metadata": metadata, "do_resize": do_resize}
        if videos
        else {}
    )
    return processor(
        text=[text],
        images=[torch.from_numpy(i).permute(2, 0, 1) for i in images] or None,
        videos=[torch.from_numpy(np.ascontiguousarray(v)).permute(0, 3, 1, 2) for v in videos]
        or None,
        return_tensors="pt",
        videos_kwargs=options,
        images_kwargs={"do_resize": do_resize},
    )


def video(num_frames, height, width, seed=0, fps=1.0):
    frames = np.random.default_rng(seed).integers(
        0, 256, (num_frames, height, width, 3), dtype=np.uint8
    )
    return Video(frames, np.arange(num_frames) / fps)


def conversations(factor):
    """Odd and even frames, one frame, images, text alone, several visuals, several turns, a system
    turn, other scripts.
    """
    a, b = 2 * factor, 3 * factor
    image = Image(np.random.default_rng(5).integers(0, 256, (b, a, 3), dtype=np.uint8))
    return {
        "even video": [
            Turn("user", "What is this?", (video(4, a, b),)),
            Turn("assistant", "A heart."),
        ],
        "odd video": [
            Turn("user", "  What is this?\n\n", (video(5, a, a),)),
            Turn("assistant", "Lésion – 左心室."),
        ],
        "one frame": [Turn("user", "\nWhat?", (video(1, a, a),)), Turn("assistant", "55 %")],
        "image": [Turn("user", "Which organ?", (image,)), Turn("assistant", "Eye")],
        "text": [
            Turn("user", "\n\n Why?"),
            Turn("assistant", "Because.\n\n1. It is so"),
            Turn("user", "Oh. "),
        ],
        "several": [
            Turn("system", "Be brief."),
            Turn("user", "Compare.", (video(2, a, a, 1), image, video(6, factor, b, 2))),
            Turn("assistant", "(B) The second"),
            Turn("user", "And now?", (video(3, a, factor, 3),)),
            Turn("assistant", " Same. "),
        ],
    }


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "name", ["even video", "odd video", "one frame", "image", "text", "several"]
)
def test_ids_grids_and_pixels_equal_the_processors(family, name):
    spec = spec_of(family)
    turns = conversations(spec.factor)[name]
    ours, theirs = encode(turns, qwen_tokenizer(), spec), reference(family, turns)
    assert ours.input_ids.tolist() == theirs["input_ids"][0].tolist()
    for grid, pixels in (
        ("image_grid_thw", "pixel_values"),
        ("video_grid_thw", "pixel_values_videos"),
    ):
        assert (getattr(ours, grid) is None) == (grid not in theirs)
        if grid in theirs:
            assert getattr(ours, grid).tolist() == theirs[grid].tolist()
            torch.testing.assert_close(
                torch.from_numpy(getattr(ours, pixels)), theirs[pixels], rtol=0, atol=2e-6
            )


@pytest.mark.parametrize("family", FAMILIES)
def test_generation_prompt_equals_the_templates(family):
    turns = [
        Turn(
            "user",
            "What is this?",
            (video(4, 64, 64) if family == "qwen3_vl" else video(4, 56, 56),),
        )
    ]
    ours = encode(turns, qwen_tokenizer(), spec_of(family), add_generation_prompt=True)
    assert (
        ours.input_ids.tolist()
        == reference(family, turns, add_generation_prompt=True)["input_ids"][0].tolist()
    )


def test_qwen2_and_2_5_get_the_default_system_turn_and_qwen3_none():
    for family, first in (("qwen2_vl", f"system\n{SYSTEM_TEXT}"), ("qwen3_vl", "user\nWhy?")):
        ids = encode([Turn("user", "Why?")], qwen_tokenizer(), spec_of(family)).input_ids
        assert qwen_tokenizer().decode(ids).startswith(f"<|im_start|>{first}<|im_end|>")


@pytest.mark.parametrize(("height", "width"), [(240, 320), (720, 1280), (97, 333)])
def test_resized_frames_equal_the_processors_own_resizing(height, width):
    raw = video(4, height, width)
    fitted = fit_video(raw.frames, raw.times_s, FramePolicy())
    ours = encode([Turn("user", "What?", (fitted,))], qwen_tokenizer(), VisionSpec())
    theirs = reference("qwen2_vl", [Turn("user", "What?", (raw,))], do_resize=True)
    assert ours.video_grid_thw.tolist() == theirs["video_grid_thw"].tolist()
    assert ours.input_ids.tolist() == theirs["input_ids"][0].tolist()
    torch.testing.assert_close(
        torch.from_numpy(ours.pixel_values_videos), theirs["pixel_values_videos"], rtol=0, atol=2e-6
    )


def test_resized_image_equals_the_processors_own_resizing():
    raw = Image(np.random.default_rng(1).integers(0, 256, (123, 211, 3), dtype=np.uint8))
    ours = encode(
        [Turn("user", "What?", (fit_image(raw.pixels, FramePolicy()),))],
        qwen_tokenizer(),
        VisionSpec(),
    )
    theirs = reference("qwen2_vl", [Turn("user", "What?", (raw,))], do_resize=True)
    assert ours.image_grid_thw.tolist() == theirs["image_grid_thw"].tolist()
    torch.testing.assert_close(
        torch.from_numpy(ours.pixel_values), theirs["pixel_values"], rtol=0, atol=2e-6
    )


def rope_model(family):
    """The family's model class without weights: only its position rule is asked."""
    import transformers as t
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel
    from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel
    from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLModel

    cls, config = {
        "qwen2_vl": (Qwen2VLModel, t.Qwen2VLConfig()),
        "qwen2_5_vl": (Qwen2_5_VLModel, t.Qwen2_5_VLConfig(vision_config={"tokens_per_second": 2})),
        "qwen3_vl": (Qwen3VLModel, t.Qwen3VLConfig()),
    }[family]
    model = cls.__new__(cls)
    torch.nn.Module.__init__(model)
    model.config = config
    return model


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("fps", [1.0, 2.0, 4.0])
def test_positions_equal_the_familys_model(family, fps):
    """For a video no longer in positions of time than in space: there all library versions agree."""  # noqa: E501
    if (
        family == "qwen2_5_vl"
        and fps == 4.0
        and Version(transformers.__version__) < Version("5.23")
    ):
        pytest.skip(
            "older releases cut seconds per patch to a whole number: half a second became none"
        )
    spec = spec_of(family)
    turns = [
        Turn("user", "What is this?", (video(4, 4 * spec.factor, 6 * spec.factor, fps=fps),)),
        Turn("assistant", "A heart."),
    ]
    ours, theirs = encode(turns, qwen_tokenizer(), spec), reference(family, turns, fps=fps)
    ids = theirs["input_ids"]
    options = {"second_per_grid_ts": torch.tensor([2 / fps])} if family == "qwen2_5_vl" else {}
    expected, delta = rope_model(family).get_rope_index(
        ids,
        mm_token_type_ids=(ids == 151_656).int() * 2,
        video_grid_thw=theirs["video_grid_thw"],
        **options,
    )
    assert ours.input_ids.tolist() == ids[0].tolist()
    assert ours.position_ids.tolist() == expected[:, 0].tolist() and ours.rope_delta == int(delta)


def test_qwen2_5_spaces_time_by_seconds_and_qwen3_writes_it():
    long = [Turn("user", "What?", (video(8, 56, 56, fps=0.25),))]
    ours = encode(long, qwen_tokenizer(), spec_of("qwen2_5_vl"))
    times = ours.position_ids[0][ours.input_ids == 151_656]
    # 8 s a patch, 2 positions a second
    assert sorted(set((times - times[0]).tolist())) == [0, 16, 32, 48]
    third = [Turn("user", "What?", (video(4, 64, 64, fps=0.5),))]
    text = qwen_tokenizer().decode(encode(third, qwen_tokenizer(), spec_of("qwen3_vl")).input_ids)
    assert (
        text.count("<1.0 seconds><|vision_start|>")
        == text.count("<5.0 seconds><|vision_start|>")
        == 1
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_spec_is_read_from_the_familys_config(family):
    assert VisionSpec.from_config(rope_model(family).config) == VisionSpec(
        **{
            **spec_of(family).__dict__,
            "vocab_size": rope_model(family).config.get_text_config().vocab_size,
        }
    )


def small_model(family):
    """A few thousand random weights of each family with its own architecture."""
    import transformers as t

    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
    text = dict(
        vocab_size=151_936,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        rope_parameters=rope,
        rope_scaling=rope,
    )
    torch.manual_seed(0)
    if family == "qwen2_5_vl":
        vision = dict(
            depth=2,
            hidden_size=32,
            out_hidden_size=32,
            num_heads=2,
            intermediate_size=32,
            tokens_per_second=2,
            fullatt_block_indexes=[1],
            window_size=56,
        )
        config = t.Qwen2_5_VLConfig(text_config=text, vision_config=vision)
        return t.Qwen2_5_VLForConditionalGeneration._from_config(
            config, attn_implementation="sdpa"
        ).eval()
    vision = dict(
        depth=2,
        hidden_size=32,
        out_hidden_size=32,
        num_heads=2,
        intermediate_size=32,
        num_position_embeddings=16,
        deepstack_visual_indexes=[0],
    )
    config = t.Qwen3VLConfig(text_config=text, vision_config=vision)
    return t.Qwen3VLForConditionalGeneration._from_config(config, attn_implementation="sdpa").eval()


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_packed_equals_unpacked_and_decoding_equals_one_pass_for_the_other_families(family):
    from obvlib.evaluation.generation import generate
    from obvlib.inputs.packing import collate
    from obvlib.models import attention

    model = small_model(family)
    assert attention.use(model) == ("varlen" if torch.cuda.is_available() else "loop")
    spec = VisionSpec.from_config(model.config)
    side = spec.factor
    samples = [
        encode(
            [Turn("user", "What?", (video(n, side, 2 * side, seed=n),))],
            qwen_tokenizer(),
            spec,
            add_generation_prompt=True,
        )
        for n in (4, 24)
    ]
    with torch.no_grad():
        packed = (
            model(**collate(samples), use_cache=False)
            .logits[0]
            .split([s.num_tokens for s in samples])
        )
        for sample, together in zip(samples, packed, strict=True):
            alone = model(**collate([sample]), use_cache=False).logits[0]
            torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    answers = generate(model, samples, max_new_tokens=4, eos_token_ids=[-1])
    assert [answer[0] for answer in answers] == [int(logits[-1].argmax()) for logits in packed]
    assert answers == [
        generate(model, [s], max_new_tokens=4, eos_token_ids=[-1])[0] for s in samples
    ]


REFERENCE_SCRIPT = """
import json, sys, numpy as np, torch, transformers as t
from obvlib.models import qwen_tokenizer
assert t.__version__ == "4.57.6", t.__version__
tokenizer = t.Qwen2TokenizerFast(tokenizer_object=qwen_tokenizer().backend_tokenizer)
size = {"shortest_edge": 4096, "longest_edge": 10**8}
image = t.Qwen2VLImageProcessorFast(patch_size=16)
processor = t.Qwen3VLProcessor(image, tokenizer, t.Qwen3VLVideoProcessor(size=size, do_resize=False))
text = "<|im_start|>user\\n<|vision_start|><|video_pad|><|vision_end|>What?<|im_end|>\\n<|im_start|>assistant\\n"
metadata = [{"fps": 1.0, "frames_indices": list(range(5)), "total_num_frames": 5, "duration": 5.0}]
frames = torch.zeros(5, 3, 64, 64, dtype=torch.uint8)
out = processor(text=[text], videos=[frames], video_metadata=metadata, do_sample_frames=False, return_tensors="pt")
print(json.dumps(out["input_ids"][0].tolist()))
"""  # noqa: E501


@pytest.mark.slow
def test_qwen3_prompt_equals_the_processor_of_transformers_4_57_6():
    python = os.environ.get("OBV_PYTHON_TRANSFORMERS_4")
    if not python:
        pytest.skip(
            "needs transformers 4.57.6: set OBV_PYTHON_TRANSFORMERS_4 to a Python that has it,"
            " torch and qwen-tokenizer"
        )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [python, "-c", REFERENCE_SCRIPT], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ours = encode(
        [Turn("user", "What?", (video(5, 64, 64),))],
        qwen_tokenizer(),
        spec_of("qwen3_vl"),
        add_generation_prompt=True,
    )
    assert ours.input_ids.tolist() == json.loads(done.stdout)
