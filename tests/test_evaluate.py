"""Predictions: one per example whatever happens, continued after a stop, never mixed with another
model's.
"""

import json
from dataclasses import replace

import pytest

from obvlib import mini
from obvlib.core.frame_policy import FramePolicy
from obvlib.core.records import Example, Prediction, read_jsonl
from obvlib.evaluation.predictions import EvalConfig, memory_reader, predict, prompt_input
from obvlib.inputs.encoding import Video, encode, question_turns
from obvlib.media import write_video
from obvlib.mini.clips import SeenClip, generated_examples
from obvlib.models.bundle import tiny_bundle

CONFIG = EvalConfig(policy=FramePolicy.mini(), max_new_tokens=3, batch_size=4)


@pytest.fixture(scope="module")
def bundle():
    return tiny_bundle()


@pytest.fixture(scope="module")
def clips():
    return [
        SeenClip(name=c.name, frames=c.frames, times_s=c.times_s, qa_pairs=c.qa_pairs)
        for c in mini.heldout_clips(2, 0)
    ]


def test_one_prediction_an_example_in_order(tmp_path, bundle, clips):
    examples = generated_examples(clips)
    predictions = predict(bundle, examples, tmp_path / "p.jsonl", CONFIG, read=memory_reader(clips))
    assert [p.example_id for p in predictions] == [e.example_id for e in examples]
    assert read_jsonl(tmp_path / "p.jsonl", Prediction) == predictions
    assert all(p.status == "ok" and p.num_new_tokens <= 3 for p in predictions)


def test_a_second_run_answers_only_what_is_missing(tmp_path, bundle, clips):
    examples, asked = generated_examples(clips), []

    def read(example):
        asked.append(example.example_id)
        return memory_reader(clips)(example)

    first = predict(bundle, examples[:5], tmp_path / "p.jsonl", CONFIG, read=read)
    text = (tmp_path / "p.jsonl").read_text()
    (tmp_path / "p.jsonl").write_text(text[:-20])  # killed in the middle of a line
    asked.clear()
    both = predict(bundle, examples, tmp_path / "p.jsonl", CONFIG, read=read)
    assert asked == [e.example_id for e in examples[4:]]
    assert both[:5] == first
    assert len(read_jsonl(tmp_path / "p.jsonl", Prediction)) == len(examples)


def test_what_a_killed_run_or_a_strange_response_left_is_read_back(tmp_path, bundle, clips):
    examples, out = generated_examples(clips), tmp_path / "p.jsonl"
    predictions = predict(bundle, examples, out, CONFIG, read=memory_reader(clips))
    lines = out.read_bytes().splitlines(keepends=True)
    odd = json.loads(lines[0]) | {"response": "two\u2028lines"}
    lines[0] = json.dumps(odd, ensure_ascii=False).encode() + b"\n"
    # cut inside a character
    out.write_bytes(b"".join(lines[:-1]) + '{"example_id": "ü'.encode()[:-1])
    again = predict(bundle, examples, out, CONFIG, read=memory_reader(clips))
    assert again[0].response == "two\u2028lines" and again[1:] == predictions[1:]
    out.write_bytes(b"oops\n" + out.read_bytes())
    with pytest.raises(ValueError, match="p.jsonl, line 1: not JSON .*remove the line"):
        predict(bundle, examples, out, CONFIG, read=memory_reader(clips))


def test_another_model_or_setting_is_not_mixed_in(tmp_path, bundle, clips):
    examples = generated_examples(clips)[:2]
    read = memory_reader(clips)
    predict(bundle, examples, tmp_path / "p.jsonl", CONFIG, read=read)
    with pytest.raises(ValueError, match="another model or other settings"):
        predict(tiny_bundle(seed=1), examples, tmp_path / "p.jsonl", CONFIG, read=read)
    with pytest.raises(ValueError, match="choose another output folder"):
        predict(
            bundle,
            examples,
            tmp_path / "p.jsonl",
            EvalConfig(policy=FramePolicy.mini(), max_new_tokens=4),
            read=read,
        )


def test_with_replace_the_other_models_predictions_are_moved_aside(tmp_path, bundle, clips):
    examples, read = generated_examples(clips)[:2], memory_reader(clips)
    first = predict(bundle, examples, tmp_path / "p.jsonl", CONFIG, read=read)
    predict(tiny_bundle(seed=1), examples, tmp_path / "p.jsonl", CONFIG, read=read, replace=True)
    (aside,) = tmp_path.glob("p.*.jsonl")
    assert read_jsonl(aside, Prediction) == first


def test_a_changed_question_is_asked_again(tmp_path, bundle, clips):
    examples, read = generated_examples(clips)[:3], memory_reader(clips)
    first = predict(bundle, examples, tmp_path / "p.jsonl", CONFIG, read=read)
    examples[1] = replace(examples[1], question="Which technique is this, then?")
    second = predict(bundle, examples, tmp_path / "p.jsonl", CONFIG, read=read)
    assert [a == b for a, b in zip(first, second, strict=True)] == [True, False, True]
    assert sorted(p.example_id for p in read_jsonl(tmp_path / "p.jsonl", Prediction)) == sorted(
        e.example_id for e in examples
    )


def test_broken_and_missing_media_become_failed_predictions(tmp_path, bundle, clips):
    write_video(tmp_path / "good.mp4", clips[0].frames, fps=2)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "good.mp4").read_bytes()[:900])
    examples = [
        Example(
            example_id=name,
            benchmark="b",
            video_id=name,
            question="What?",
            answer="x",
            media=(str(tmp_path / f"{name}.mp4"),),
        )
        for name in ("good", "empty", "cut", "absent")
    ]
    predictions = predict(bundle, examples, tmp_path / "p.jsonl", CONFIG)
    assert [p.status for p in predictions] == ["ok", "failed", "failed", "failed"]
    assert all(p.reason and not p.response for p in predictions[1:])
    assert all(
        json.loads(line)["example_id"] for line in (tmp_path / "p.jsonl").read_text().splitlines()
    )


def test_example_ids_must_be_unique(tmp_path, bundle, clips):
    examples = generated_examples(clips)[:1] * 2
    with pytest.raises(ValueError, match="stands twice"):
        predict(bundle, examples, tmp_path / "p.jsonl", CONFIG, read=memory_reader(clips))


def test_the_prompt_is_the_training_sample_up_to_the_answer(bundle, clips):
    clip = clips[0]
    example, pair = generated_examples([clip])[0], clip.qa_pairs[0]
    prompt = prompt_input(example, memory_reader(clips)(example), bundle, CONFIG)
    trained = encode(
        question_turns([Video(clip.frames, clip.times_s)], pair), bundle.tokenizer, bundle.spec
    )
    length = prompt.num_tokens
    assert (trained.input_ids[:length] == prompt.input_ids).all()
    assert (trained.position_ids[:, :length] == prompt.position_ids).all()
    assert (trained.pixel_values_videos == prompt.pixel_values_videos).all()
    assert (trained.labels[:length] == -100).all() and trained.labels[length] != -100
