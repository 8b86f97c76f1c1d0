"""Predictions: one per example whatever happens, continued after a stop, never mixed with another
model's.
"""

import errno
import json
import os
import signal
import struct
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from typer.testing import CliRunner

from obvlib import mini
from obvlib.cli import app
from obvlib.core.frame_policy import FramePolicy
from obvlib.core.records import Example, Prediction, read_jsonl
from obvlib.engine import claimed
from obvlib.evaluation import (
    EvalConfig,
    end_tokens,
    evaluate,
    fingerprint,
    fingerprints,
    generate,
    memory_reader,
    predict,
    prompt_input,
    read_answers,
    visuals_reader,
)
from obvlib.evaluation import predictions as predictions_module
from obvlib.evaluation.generation import reply
from obvlib.evaluation.reading_ahead import read_ahead
from obvlib.inputs import ModelInput, Video, encode, question_turns
from obvlib.manifests import load_examples
from obvlib.manifests.pictures import open_rgb
from obvlib.media import write_video
from obvlib.mini.clips import SeenClip, generated_examples
from obvlib.models.bundle import load, tiny_bundle

CONFIG = EvalConfig(policy=FramePolicy.mini(), max_new_tokens=3, batch_size=4)


def evaluated(bundle, clips, folder):
    examples = generated_examples(clips)[:2]
    reader = memory_reader(clips)
    return evaluate(bundle, examples, folder, CONFIG, controls=["no_visual"], read=reader)


def test_weights_are_read_once_for_a_benchmark_and_its_controls(
    tmp_path, bundle, clips, monkeypatch
):
    read = []
    monkeypatch.setattr(fingerprints, "hash_weights", lambda model: read.append(model) or "same")
    evaluated(bundle, clips, tmp_path)
    assert len(read) == 1


@pytest.mark.parametrize(
    "name", ["about.json", "examples.jsonl", "verdicts.jsonl", "controls/no_visual/about.json"]
)
def test_files_that_are_not_ours_stay_and_the_folder_is_refused(tmp_path, bundle, clips, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match=f"{name} was not made by `obv evaluate`"):
        evaluated(bundle, clips, tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_a_folder_of_an_earlier_version_is_continued(tmp_path, bundle, clips):
    first = evaluated(bundle, clips, tmp_path)
    (tmp_path / ".obv-claim").unlink()  # which it did not write
    assert evaluated(bundle, clips, tmp_path).predictions == first.predictions


def test_a_folder_of_another_command_is_refused(tmp_path, bundle, clips):
    with claimed(tmp_path, "obv slice", {}) as claim:
        (tmp_path / "a.mp4").write_text("made")
        claim.names.add("a.mp4")
    with pytest.raises(ValueError, match="holds what `obv slice` made"):
        evaluated(bundle, clips, tmp_path)


def test_media_and_results_are_on_this_machine(bundle, clips):
    with pytest.raises(ValueError, match="not on this machine") as error:
        load_examples("SurgeryVideoQA", media="https://user:hunter2@host/clips?token=SECRET")
    assert "hunter2" not in str(error.value) and "SECRET" not in str(error.value)
    with pytest.raises(ValueError, match="not on this machine"):
        evaluated(bundle, clips, Path("s3://bucket/out"))


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
    assert (tmp_path / "p.set_aside.jsonl").read_bytes() == b'{"example_id": "\xc3\n'


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


def test_models_take_turns_in_a_folder_and_none_is_paid_for_twice(tmp_path, bundle, clips):
    examples, asked = generated_examples(clips)[:2], []

    def read(example):
        asked.append(example.example_id)
        return memory_reader(clips)(example)

    out, other = tmp_path / "p.jsonl", tiny_bundle(seed=1)
    first = predict(bundle, examples, out, CONFIG, read=read)
    second = predict(other, examples, out, CONFIG, read=read, replace=True)
    asked.clear()
    assert predict(bundle, examples, out, CONFIG, read=read, replace=True) == first
    assert predict(other, examples, out, CONFIG, read=read, replace=True) == second
    assert asked == []
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
    assert [p.status for p in predictions] == ["ok", "failed", "failed", "not_obtained"]
    assert all(p.reason and not p.response for p in predictions[1:])
    assert all(
        json.loads(line)["example_id"] for line in (tmp_path / "p.jsonl").read_text().splitlines()
    )


def test_example_ids_must_be_unique(tmp_path, bundle, clips):
    examples = generated_examples(clips)[:1] * 2
    with pytest.raises(ValueError, match="appears twice"):
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


def lesson(path, name="e", question="Which?", answer="x", kind="video"):
    return Example(
        example_id=name,
        benchmark="b",
        video_id="v",
        question=question,
        answer=answer,
        media=(str(path),),
        media_kind=kind,
    )


@pytest.fixture
def four(tmp_path, clips):
    """Four questions about two clips in files."""
    for i in range(2):
        write_video(tmp_path / f"clips/{i}.mp4", clips[i].frames, fps=2)
    return [lesson(tmp_path / f"clips/{i % 2}.mp4", f"e{i}", f"Question {i}?") for i in range(4)]


def asked_again(bundle, examples, out, config=CONFIG):
    """How many questions a run asks, and what it returns."""
    read, asked = visuals_reader(config.policy), []

    class Counting:
        identity = read.identity

        def __call__(self, example):
            asked.append(example.example_id)
            return read(example)

    predictions = predict(bundle, examples, out, config, read=Counting())
    return sorted(asked), predictions


def test_answers_stay_while_clips_are_away(tmp_path, bundle, four):
    out = tmp_path / "p.jsonl"
    first = predict(bundle, four, out, CONFIG)
    before = out.read_bytes()
    (tmp_path / "clips").rename(tmp_path / "away")
    assert predict(bundle, four, out, CONFIG) == first and out.read_bytes() == before


def test_a_moved_folder_or_corrected_reference_asks_nothing(tmp_path, bundle, four):
    out = tmp_path / "p.jsonl"
    first = predict(bundle, four, out, CONFIG)
    (tmp_path / "clips").rename(tmp_path / "moved")
    moved = [
        replace(e, media=(e.media[0].replace("clips", "moved"),), answer="y", family="f")
        for e in four
    ]
    assert asked_again(bundle, moved, out) == ([], first)


def test_a_changed_clip_of_equal_size_and_date_is_asked_about_again(tmp_path, bundle, four):
    out, clip = tmp_path / "p.jsonl", tmp_path / "clips/0.mp4"
    predict(bundle, four, out, CONFIG)
    old, data = clip.stat(), bytearray(clip.read_bytes())
    data[-1] ^= 1
    clip.write_bytes(data)
    os.utime(clip, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert asked_again(bundle, four, out)[0] == ["e0", "e2"]
    aside = (tmp_path / "p.set_aside.jsonl").read_text().splitlines()
    assert [json.loads(line)["example_id"] for line in aside] == ["e0", "e2"]


def test_never_there_is_not_obtained_and_was_there_is_away(tmp_path, bundle, four):
    out = tmp_path / "p.jsonl"
    predict(bundle, four[:1], out, CONFIG)
    (tmp_path / "clips/0.mp4").rename(tmp_path / "kept.mp4")
    four[2] = replace(four[2], media=(str(tmp_path / "clips/never.mp4"),))
    out.write_bytes(b"")  # the run had seen e0's clip, and was killed before it answered
    states = [p.status for p in predict(bundle, four, out, CONFIG)]
    assert states == ["away", "ok", "not_obtained", "ok"]
    (tmp_path / "kept.mp4").rename(tmp_path / "clips/0.mp4")
    asked, predictions = asked_again(bundle, four, out)
    assert asked == ["e0"] and predictions[0].status == "ok"
    assert len(read_jsonl(out, Prediction)) == 4


def test_a_file_that_cannot_be_reached_now_is_away(tmp_path, bundle, four):
    class Unmounted:
        def identity(self, example):
            raise OSError(errno.EIO, "Input/output error")

    found = predict(bundle, four[:1], tmp_path / "p.jsonl", CONFIG, read=Unmounted())
    assert (found[0].status, found[0].reason) == ("away", "[Errno 5] Input/output error")


def test_a_passing_error_is_tried_again(tmp_path, bundle, clips):
    examples, out = generated_examples(clips)[:3], tmp_path / "p.jsonl"

    def flaky(example):
        if example is examples[1]:
            raise ConnectionError("the store does not answer")
        return memory_reader(clips)(example)

    first = predict(bundle, examples, out, CONFIG, read=flaky)
    assert [p.status for p in first] == ["ok", "failed", "ok"]
    assert first[1].reason == "the store does not answer"
    again = predict(bundle, examples, out, CONFIG, read=memory_reader(clips))
    assert [p.status for p in again] == ["ok", "ok", "ok"]
    assert len(read_jsonl(out, Prediction)) == 3
    assert b"does not answer" in (tmp_path / "p.set_aside.jsonl").read_bytes()


def test_a_batch_without_memory_is_asked_in_halves(tmp_path, bundle, clips, monkeypatch):
    examples, sizes = generated_examples(clips)[:4], []

    def small(model, prompts, **options):
        sizes.append(len(prompts))
        if len(prompts) > 1 or prompts[0].name == examples[2].example_id:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return reply(model, prompts, **options)

    expected = predict(bundle, examples, tmp_path / "e.jsonl", CONFIG, read=memory_reader(clips))
    monkeypatch.setattr(predictions_module, "reply", small)
    found = predict(bundle, examples, tmp_path / "p.jsonl", CONFIG, read=memory_reader(clips))
    assert sizes == [4, 2, 1, 1, 2, 1, 1]
    assert [p.status for p in found] == ["ok", "ok", "failed", "ok"]
    assert found[2].reason == "OutOfMemoryError: CUDA out of memory"
    assert [found[i].response for i in (0, 1, 3)] == [expected[i].response for i in (0, 1, 3)]


def test_batch_size_and_order_change_no_answer(tmp_path, bundle, clips):
    examples, read = generated_examples(clips), memory_reader(clips)
    alone = predict(
        bundle, examples, tmp_path / "1.jsonl", replace(CONFIG, batch_size=1), read=read
    )
    many = replace(CONFIG, batch_size=16)
    turned = predict(bundle, examples[::-1], tmp_path / "16.jsonl", many, read=read)
    assert turned[::-1] == alone


@pytest.mark.parametrize(
    "damage",
    [
        lambda good, lines: good + lines[0],
        lambda good, lines: good + '{"example_id": "e9", "response": "é'.encode()[:-1],
        lambda good, lines: lines[0] + lines[1][:20] + b"\n" + b"".join(lines[2:]),
        lambda good, lines: good + b"\0" * 64,
        lambda good, lines: lines[0] + b"\0" * 64 + b"\n" + b"".join(lines[1:]),
        lambda good, lines: lines[0] + b"\n" + b"".join(lines[1:]),
        lambda good, lines: good.replace(b"\n", b"\r\n"),
        lambda good, lines: b"\xef\xbb\xbf" + good,
        lambda good, lines: good[:-1],
        lambda good, lines: lines[0] + b'{"example_id": "\xff"}\n' + b"".join(lines[1:]),
        lambda good, lines: good + b"[]\n" + b"[" * 100_000,
        lambda good, lines: b"",
    ],
)
def test_a_damaged_file_heals_and_loses_nothing(tmp_path, bundle, clips, damage):
    examples, out = generated_examples(clips)[:4], tmp_path / "p.jsonl"
    first = predict(bundle, examples, out, CONFIG, read=memory_reader(clips))
    good = out.read_bytes()
    out.write_bytes(damage(good, good.splitlines(keepends=True)))
    assert read_answers(out) or not out.read_bytes()  # can be read as it is, too
    assert predict(bundle, examples, out, CONFIG, read=memory_reader(clips)) == first
    assert sorted(out.read_bytes().splitlines()) == sorted(good.splitlines())


def test_a_second_run_at_the_same_time_is_refused(tmp_path, bundle, clips):
    examples, out = generated_examples(clips)[:2], tmp_path / "p.jsonl"

    def intruding(example):
        with pytest.raises(ValueError, match="is being written by another run"):
            predict(bundle, examples, out, CONFIG, read=memory_reader(clips))
        return memory_reader(clips)(example)

    assert [p.status for p in predict(bundle, examples, out, CONFIG, read=intruding)] == ["ok"] * 2


def test_the_fingerprint_is_of_bytes(bundle, tmp_path):
    before = fingerprint(bundle, CONFIG)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert fingerprint(bundle, CONFIG) == before
    finally:
        torch.set_num_threads(threads)
    bundle.tokenizer(["a", "longer text"], padding=True)
    assert fingerprint(bundle, CONFIG) == before
    bundle.save(tmp_path / "m")
    assert fingerprint(load(str(tmp_path / "m")), CONFIG) == before
    tokenizer = tmp_path / "m/tokenizer.json"
    made = json.loads(tokenizer.read_text())
    made["model"]["merges"] = made["model"]["merges"][:100]
    tokenizer.write_text(json.dumps(made))
    assert fingerprint(load(str(tmp_path / "m")), CONFIG) != before


def test_every_end_token_that_is_named_ends_an_answer(bundle):
    other = tiny_bundle()
    other.model.generation_config.eos_token_id = [7, 9]
    other.model.config.text_config.eos_token_id = 11
    turn_end = other.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert end_tokens(other) == {7, 9, 11, turn_end, other.tokenizer.eos_token_id}
    assert fingerprint(other, CONFIG) != fingerprint(bundle, CONFIG)


def test_a_damaged_or_huge_picture_fails_alone(tmp_path, bundle):
    good = tmp_path / "good.png"
    PIL.Image.fromarray(np.zeros((60, 60, 3), np.uint8)).save(good)
    header = struct.pack(">IIBBBBB", 40_000, 30_000, 8, 2, 0, 0, 0)  # a slide of 1.2 gigapixels
    chunks = ((b"IHDR", header), (b"\xc7DAT", b"x"), (b"IEND", b""))
    (tmp_path / "bad.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d))
            for n, d in chunks
        )
    )
    names = ("bad", "good", "a\0b", "\ud800", "x" * 5000)
    examples = [lesson(tmp_path / f"{n}.png", f"e{i}", kind="image") for i, n in enumerate(names)]
    os.mkfifo(tmp_path / "fifo.png")
    examples += [lesson(tmp_path / "fifo.png", "fifo", kind="image"), lesson(tmp_path, "folder")]
    states = [p.status for p in predict(bundle, examples, tmp_path / "p.jsonl", CONFIG)]
    assert states == ["failed", "ok", "failed", "failed", "not_obtained", "failed", "failed"]


def test_wide_pictures_keep_their_contrast(tmp_path):
    ramp = np.arange(0, 4096, dtype=np.uint16).reshape(64, 64)
    grey = np.rint(np.arange(4096) * (255 / 4095)).astype(np.uint8).reshape(64, 64)
    for name, image in (
        ("16.png", PIL.Image.fromarray(ramp)),
        ("16.tiff", PIL.Image.fromarray(ramp + 1000)),
        ("float.tiff", PIL.Image.fromarray(ramp.astype(np.float32) / 4095)),
    ):
        image.save(tmp_path / name)
        pixels = open_rgb(tmp_path / name)
        assert pixels.shape == (64, 64, 3) and (pixels[..., 0] == grey).all()
    PIL.Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "nan.tiff")
    with pytest.raises(ValueError, match="holds NaN or infinity"):
        open_rgb(tmp_path / "nan.tiff")
    PIL.Image.fromarray(np.full((4, 4), 7, np.uint16)).save(tmp_path / "flat.png")
    assert (open_rgb(tmp_path / "flat.png") == 0).all()


@pytest.mark.parametrize("num_readers", [0, 2])
def test_processes_that_read_ahead_change_no_prediction(tmp_path, bundle, clips, num_readers):
    for clip in clips:
        write_video(tmp_path / f"{clip.name}.mp4", clip.frames, 2.0)
    (tmp_path / "torn.mp4").write_bytes(b"no video")
    names = [*(clip.name for clip in clips), "torn"]
    examples = [lesson(tmp_path / f"{n}.mp4", f"e{i}") for i, n in enumerate(names)]
    config = replace(CONFIG, num_readers=num_readers)
    found = predict(bundle, examples, tmp_path / "p.jsonl", config)
    assert [p.status for p in found] == ["ok"] * len(clips) + ["failed"]
    assert "torn.mp4" in found[-1].reason
    read = visuals_reader(CONFIG.policy)
    for prediction, example in zip(found[:-1], examples, strict=False):
        prompt = prompt_input(example, read(example), bundle, CONFIG)  # normalised in numpy
        (tokens,) = generate(
            bundle.model, [prompt], max_new_tokens=3, eos_token_ids=end_tokens(bundle)
        )
        assert prediction.response == bundle.text_of(tokens)


def test_readers_are_really_other_processes_and_bring_arrays_as_they_are():
    prompts = list(read_ahead([1, 2, 3], process_prompt, 2))
    assert len({p.name for p in prompts}) == 2 and str(os.getpid()) not in {p.name for p in prompts}
    assert all((p.pixel_values_videos == np.arange(6, dtype=np.uint8)).all() for p in prompts)
    assert {p.name for p in read_ahead([1], process_prompt, 0)} == {str(os.getpid())}


def test_a_process_that_dies_at_an_example_costs_that_example_alone(tmp_path):
    def prompt(example):
        if example == 3 or (example == 5 and not (tmp_path / "tried").exists()):
            (tmp_path / "tried").write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        return process_prompt(example)

    found = list(read_ahead(list(range(9)), prompt, 2))
    assert [place for place, p in enumerate(found) if isinstance(p, str)] == [3]
    assert found[3] == "the process that read it died, twice (exit code -9)"


def test_readers_keep_no_more_than_two_examples_each_ahead_and_end_with_the_run(tmp_path):
    def prompt(example):
        (tmp_path / str(example)).write_text(str(os.getpid()))
        return process_prompt(example)

    prompts = read_ahead(list(range(40)), prompt, 2)
    for _ in range(5):
        next(prompts)
    time.sleep(1)
    assert 5 <= len(list(tmp_path.iterdir())) <= 5 + 2 * 2
    pids = {int(path.read_text()) for path in tmp_path.iterdir()}
    prompts.close()
    assert len(pids) == 2 and not any(Path(f"/proc/{pid}").exists() for pid in pids)


def process_prompt(example):
    ones = np.ones(2, np.int64)
    return ModelInput(
        input_ids=ones,
        labels=ones,
        position_ids=np.ones((3, 2), np.int64),
        rope_delta=0,
        pixel_values_videos=np.arange(6, dtype=np.uint8),
        name=str(os.getpid()),
    )


@pytest.mark.parametrize(("broken", "status"), [((), 0), (("b.mp4",), 3), (("a.mp4", "b.mp4"), 1)])
def test_the_commands_status_tells_all_some_and_none_apart(
    tmp_path, bundle, monkeypatch, broken, status
):
    monkeypatch.setenv("OBV_DATA", str(tmp_path / "data"))
    bundle.save(tmp_path / "model")
    rows = []
    for name in ("a.mp4", "b.mp4"):
        if name in broken:
            (tmp_path / name).write_bytes(b"no video")
        else:
            write_video(tmp_path / name, np.zeros((20, 32, 32, 3), np.uint8), 10)
        rows.append({"video_id": name[0], "video": name, "timestamp": [0, 2]})
    pair = {"question": "What is it?", "answer": "a heart"}
    text = "".join(json.dumps(row | pair) + "\n" for row in rows)
    (tmp_path / "rows.jsonl").write_text(text)
    places = ["--dataset", str(tmp_path / "rows.jsonl"), "--input-dir", str(tmp_path)]
    places += ["--output-dir", str(tmp_path / "out"), "--model", str(tmp_path / "model")]
    command = ["evaluate", "--benchmark", "SurgeryVideoQA", "--controls", "none", *places]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == status, done.output
    if broken:
        assert f"{len(broken)} of 2 questions failed" in done.output
    if status == 0:
        (tmp_path / "rows.jsonl").write_text(text + "{}\n")
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 3 and "1 rows are not questions; the first: " in done.output
        (tmp_path / "rows.jsonl").write_text("{}\n")
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 1 and "1 rows are not questions; the first: " in done.output
