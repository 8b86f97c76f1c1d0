"""Training and evaluation show the model the same: ids, grids, frame times, pixels and positions,
for every benchmark and frame policy.
"""

import dataclasses
import json

import numpy as np
import pytest

from obvlib.core.frame_policy import FramePolicy
from obvlib.core.records import Clip, Example
from obvlib.evaluation import predictions
from obvlib.inputs import encode, fit_image, question_turns
from obvlib.manifests.benchmarks import NAMES
from obvlib.manifests.cards import load_card
from obvlib.media import prepare_clip, write_video
from obvlib.training.dataset import BuildStage, build, load_sample
from obvlib.training.dataset_files import training_set
from tests.helpers_inputs import LETTERS, OPEN, picture, tiny

POLICIES = {"mini": FramePolicy.mini(), "gpu and full": FramePolicy()}
CLOSED = ("MIMICEchoQA", "MedFrameQA", "MedQA", "PubMedQA", "mini")


def kind_of(name: str) -> str:
    """What a benchmark shows: its card's columns say it."""
    if name.lower().startswith("mini"):
        return "video"
    columns = load_card(name).columns
    if {"image", "image_1"} & columns.keys():
        return "image"
    return "video" if "video" in columns else "text"


def evaluated(example, policy):
    """The evaluation's own reader and encoder."""
    visuals = predictions.visuals_reader(policy)(example)
    return visuals, predictions.prompt_input(
        example, visuals, tiny(), predictions.EvalConfig(policy=policy)
    )


def assert_prefix(prompt, sample):
    """The prompt is how the training sample begins, and shows the same."""
    length = prompt.num_tokens
    assert (sample.input_ids[:length] == prompt.input_ids).all() and sample.num_tokens > length
    assert (sample.labels[:length] == -100).all() and sample.labels[length] != -100
    assert (sample.position_ids[:, :length] == prompt.position_ids).all()
    for field in ("pixel_values", "image_grid_thw", "pixel_values_videos", "video_grid_thw"):
        ours, theirs = getattr(sample, field), getattr(prompt, field)
        assert (ours is None) == (theirs is None)
        assert ours is None or np.array_equal(ours, theirs)


@pytest.fixture(scope="module")
def lecture(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "source.mp4"
    frames = np.random.default_rng(0).integers(0, 256, (45, 64, 96, 3), dtype=np.uint8)
    write_video(path, frames, fps=5)
    return path


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("prepared", [False, True], ids=["slice", "prepared"])
@pytest.mark.parametrize("name", [name for name in NAMES if kind_of(name) == "video"])
def test_video_benchmarks(tmp_path, lecture, name, prepared, policy):
    question = LETTERS if name in CLOSED else OPEN
    clip = Clip(video_id="v", start_s=0.0, end_s=9.0, qa_pairs=(question,))
    path = tmp_path / clip.file_name
    if prepared:
        prepare_clip(lecture, path, 0.0, 9.0, policy)
    else:
        path.write_bytes(lecture.read_bytes())
    build(
        [clip],
        tmp_path / "set",
        BuildStage(clips_dir=str(tmp_path), policy=policy),
        benchmarks={},
        show_progress=False,
    )
    row = training_set(tmp_path / "set")[0]
    sample = load_sample(row, tmp_path, tiny().tokenizer, tiny().spec)
    example = Example(
        example_id="e",
        benchmark=name,
        video_id="w",
        question=question.question,
        answer=question.answer,
        options=question.options,
        media=(str(path),),
    )
    visuals, prompt = evaluated(example, policy)
    assert_prefix(prompt, sample)
    assert visuals[0].times_s.tolist() == policy.sample_times(9.0).tolist()
    assert (
        row["num_frames"] == len(visuals[0].times_s)
        and json.loads(row["policy"]) == policy.to_dict()
    )


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("name", [name for name in NAMES if kind_of(name) == "image"])
def test_image_benchmarks(tmp_path, name, policy):
    from PIL import Image

    pixels = picture(90, 130, seed=3).pixels
    Image.fromarray(pixels).save(tmp_path / "i.png")
    example = Example(
        example_id="e",
        benchmark=name,
        video_id="w",
        question=OPEN.question,
        answer=OPEN.answer,
        media=(str(tmp_path / "i.png"),),
        media_kind="image",
    )
    _, prompt = evaluated(example, policy)
    trained = encode(
        question_turns([fit_image(pixels, policy)], OPEN), tiny().tokenizer, tiny().spec
    )
    assert_prefix(prompt, trained)


@pytest.mark.parametrize("name", [name for name in NAMES if kind_of(name) == "text"])
def test_text_benchmarks(name):
    example = Example(
        example_id="e",
        benchmark=name,
        video_id="w",
        question=LETTERS.question,
        answer="B",
        options=LETTERS.options,
        media_kind="text",
    )
    _, prompt = evaluated(example, FramePolicy())
    assert_prefix(prompt, encode(question_turns([], LETTERS), tiny().tokenizer, tiny().spec))


def test_every_benchmark_is_compared():
    kinds = [kind_of(name) for name in NAMES]
    assert len(NAMES) >= 8 and set(kinds) == {"video", "image", "text"}


def test_another_policy_shows_other_frames(lecture):
    """The comparison can fail: one frame a second is not two."""
    example = Example(
        example_id="e",
        benchmark="mini",
        video_id="w",
        question="Which?",
        answer="x",
        media=(str(lecture),),
    )
    _, one = evaluated(example, FramePolicy())
    _, two = evaluated(example, dataclasses.replace(FramePolicy(), fps=2.0))
    assert one.video_grid_thw[0, 0] == 5 and two.video_grid_thw[0, 0] == 9
