"""The training set on disk: what a row holds, resuming, the same bytes twice, drops with reasons,
contamination, and reading it back.
"""

import dataclasses
import hashlib
import json
import shutil

import datasets
import numpy as np
import pytest

from obvlib.core.frame_policy import FramePolicy
from obvlib.core.records import Clip
from obvlib.engine.ledger import Ledger
from obvlib.inputs import InputError
from obvlib.manifests.splits import Contamination
from obvlib.media import prepare_clip, write_video
from obvlib.training.dataset import BuildStage, build, load_sample
from obvlib.training.dataset_files import PARQUET, training_set
from obvlib.training.model_parts import tokenizer_and_spec
from tests.helpers_inputs import LETTERS, OPEN


@pytest.fixture(scope="module")
def clips_dir(tmp_path_factory):
    """Three slices of noise, 64x96 px, 4 s at 5 fps; the third is prepared, the fourth is no video."""  # noqa: E501
    directory = tmp_path_factory.mktemp("clips")
    for number in (1, 2, 3):
        rng = np.random.default_rng(number)
        frames = rng.integers(0, 256, (20, 64, 96, 3), dtype=np.uint8)
        write_video(directory / f"raw{number}.mp4", frames, fps=5)
    for number, clip in enumerate(clips()[:2], start=1):
        shutil.copy(directory / f"raw{number}.mp4", directory / clip.file_name)
    prepare_clip(
        directory / "raw3.mp4", directory / clips()[2].file_name, 0.0, 4.0, FramePolicy.mini()
    )
    (directory / clips()[3].file_name).write_bytes(b"no video")
    return directory


def clips(count: int = 5) -> list[Clip]:
    """Five clips of three source videos; the fourth's file is broken, the fifth's is missing."""
    pairs = [(LETTERS, OPEN), (), (OPEN,), (LETTERS,), (LETTERS,)]
    captions = ["A beating heart.", "A CT scan.", "", "Cells.", "Polyp."]
    return [
        Clip(
            video_id=f"v{i // 2}",
            start_s=4.0 * i,
            end_s=4.0 * i + 4,
            caption=captions[i],
            qa_pairs=pairs[i],
            modality="CT",
            split="train",
        )
        for i in range(count)
    ]


def stage_of(clips_dir, **changes) -> BuildStage:
    return BuildStage(clips_dir=str(clips_dir), policy=FramePolicy.mini(), **changes)


def made(tmp_path, clips_dir, records=None, **changes):
    records = clips() if records is None else records
    run = build(
        records, tmp_path, stage_of(clips_dir, **changes), benchmarks={}, show_progress=False
    )
    return run, training_set(tmp_path)


def digests(directory):
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in directory.rglob("*")
        if p.suffix in (".parquet", ".md", ".json")
    }


def test_rows_hold_turns_policy_counts_and_lineage(tmp_path, clips_dir):
    run, rows = made(tmp_path, clips_dir)
    assert (run.num_done, run.num_failed, run.num_dropped) == (3, 2, 0)
    assert rows["clip_id"] == ["v0_0_4000", "v0_4000_8000", "v1_8000_12000"] and rows[
        "video_id"
    ] == ["v0", "v0", "v1"]
    first = rows[0]
    assert [m["role"] for m in first["turns"]] == ["user", "assistant"] * 3
    assert (
        first["turns"][1]["text"] == "A beating heart."
        and "B. Ultrasound" in first["turns"][2]["text"]
    )
    assert FramePolicy.from_dict(json.loads(first["policy"])) == FramePolicy.mini()
    assert (first["num_frames"], first["height"], first["width"]) == (8, 56, 56) or first[
        "num_visual_tokens"
    ] <= 20
    assert not any("pixel" in name or "frames" == name for name in rows.column_names)


def test_counts_are_those_of_the_encoded_sample_for_slices_and_prepared_clips(tmp_path, clips_dir):
    _, rows = made(tmp_path, clips_dir)
    tokenizer, spec = tokenizer_and_spec("tiny")
    for row in rows:
        sample = load_sample(row, clips_dir, tokenizer, spec)
        assert sample.num_tokens == row["num_tokens"]
        assert int((sample.labels != -100).sum()) == row["num_label_tokens"]
        assert int((sample.input_ids == spec.video_token_id).sum()) == row["num_visual_tokens"]


def test_same_inputs_same_bytes_whatever_the_number_of_workers(tmp_path, clips_dir):
    made(tmp_path / "a", clips_dir)
    build(
        clips(),
        tmp_path / "b",
        stage_of(clips_dir),
        benchmarks={},
        num_workers=2,
        show_progress=False,
    )
    assert digests(tmp_path / "a") == digests(tmp_path / "b") and len(digests(tmp_path / "a")) == 3


def test_running_again_does_only_what_changed(tmp_path, clips_dir):
    made(tmp_path, clips_dir)
    before = digests(tmp_path)
    run, _ = made(tmp_path, clips_dir)
    assert run.num_skipped == 3 and run.num_done == 0 and digests(tmp_path) == before
    edited = [dataclasses.replace(clips()[0], caption="A still heart."), *clips()[1:]]
    run, rows = made(tmp_path, clips_dir, edited)
    assert (run.num_skipped, run.num_done) == (2, 1) and rows[0]["turns"][1][
        "text"
    ] == "A still heart."
    run, _ = made(tmp_path, clips_dir, seed=1)
    assert run.num_done == 3


def test_drops_and_failures_have_reasons_and_are_counted_on_the_card(tmp_path, clips_dir):
    bare = dataclasses.replace(clips()[1], caption="", qa_pairs=())
    run, rows = made(
        tmp_path, clips_dir, [clips()[0], bare, clips()[2], *clips()[3:]], max_tokens=100
    )
    assert rows["clip_id"] == ["v1_8000_12000"]
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        reasons = {row["item_id"]: (row["status"], row["reason"]) for row in ledger.rows()}
    assert (
        reasons["v0_0_4000"][0] == "dropped"
        and "a row holds 100: left out, not cut" in reasons["v0_0_4000"][1]
    )
    assert reasons["v0_4000_8000"] == (
        "dropped",
        "neither a caption nor questions: nothing to learn from it",
    )
    assert reasons["v1_12000_16000"][0] == reasons["v2_16000_20000"][0] == "failed"
    card = json.loads((tmp_path / "card.json").read_text())
    assert sum(count for _, _, count in card["left_out"]) == 4 and card["counts"]["samples"] == 1
    assert card["sha256"] == {
        "train-00000-of-00001.parquet": (
            hashlib.sha256((tmp_path / PARQUET).read_bytes()).hexdigest()
        )
    }
    assert "left out, not cut" in (tmp_path / "README.md").read_text()


def test_foreign_files_are_refused_by_name_and_the_card_holds_no_local_path(tmp_path, clips_dir):
    (tmp_path / "README.md").write_text("my project")
    with pytest.raises(ValueError, match="README.md was not made by `obv build`: choose another"):
        made(tmp_path, clips_dir)
    assert (tmp_path / "README.md").read_text() == "my project"
    made(tmp_path / "set", clips_dir)
    for name in ("README.md", "card.json"):
        text = (tmp_path / "set" / name).read_text()
        assert str(tmp_path) not in text and str(clips_dir) not in text


def test_another_clip_of_as_many_tokens_is_not_taken_for_the_sets_own(tmp_path, clips_dir):
    own = tmp_path / "clips"
    shutil.copytree(clips_dir, own)
    _, rows = made(tmp_path / "set", own)
    shutil.copy(own / "raw2.mp4", own / rows[0]["video"])
    with pytest.raises(
        InputError, match="v0_0_4000.mp4 is not the one that the set was built from"
    ):
        load_sample(rows[0], own, *tokenizer_and_spec("tiny"))


def test_contamination_and_test_clips_are_refused(tmp_path, clips_dir):
    test = [Clip(video_id="v1", start_s=50.0, end_s=60.0)]
    with pytest.raises(Contamination, match="benchmark SurgeryVideoQA: 1 source videos .*: v1"):
        build(
            clips(),
            tmp_path,
            stage_of(clips_dir),
            benchmarks={"SurgeryVideoQA": test},
            show_progress=False,
        )
    with pytest.raises(ValueError, match="1 clips are of the test split, the first is v0_0_4000"):
        build(
            [dataclasses.replace(clips()[0], split="test")],
            tmp_path,
            stage_of(clips_dir),
            benchmarks={},
        )
    assert not (tmp_path / PARQUET).exists()


def test_the_card_says_what_was_checked_and_what_was_not(tmp_path, clips_dir):
    other = [Clip(video_id="w", start_s=0.0, end_s=1.0)]
    build(
        clips(2),
        tmp_path,
        stage_of(clips_dir),
        benchmarks={"mini": other},
        unchecked={"X": "no network"},
        show_progress=False,
    )
    text = (tmp_path / "README.md").read_text()
    assert (
        "- mini: none of its 1 source videos is in here" in text
        and "- X: **not checked**: no network" in text
    )


def test_nothing_usable_is_one_clear_error(tmp_path, clips_dir):
    with pytest.raises(ValueError, match="no clip could be used: 1 broken: .*; 1 missing: no file"):
        build(clips()[3:], tmp_path, stage_of(clips_dir), benchmarks={}, show_progress=False)
    with pytest.raises(ValueError, match="clips is empty"):
        build([], tmp_path, stage_of(clips_dir), benchmarks={})


def test_a_changed_clip_or_policy_is_noticed_on_reading(tmp_path, clips_dir):
    _, rows = made(tmp_path, clips_dir)
    tokenizer, spec = tokenizer_and_spec("tiny")
    with pytest.raises(
        InputError, match="sample 'v0_0_4000': .* tokens, 999 when the set was built"
    ):
        load_sample(rows[0] | {"num_tokens": 999}, clips_dir, tokenizer, spec)
    other = json.dumps(FramePolicy(max_frames=16).to_dict())
    with pytest.raises(ValueError, match="prepared with another frame policy"):
        load_sample(rows[2] | {"policy": other}, clips_dir, tokenizer, spec)


def test_read_from_a_url(tmp_path, clips_dir):
    import fsspec

    _, rows = made(tmp_path, clips_dir)
    fsspec.filesystem("memory").put(str(tmp_path / "data"), "/set/data", recursive=True)
    again = training_set("memory://set")
    assert again.to_list() == rows.to_list()
    assert (
        datasets.load_dataset(
            str(tmp_path), split="train", cache_dir=str(tmp_path / "cache")
        ).to_list()
        == rows.to_list()
    )


def test_command_builds_and_refuses(tmp_path, clips_dir, monkeypatch):
    from typer.testing import CliRunner

    from obvlib.cli.app import app
    from obvlib.core.records import write_jsonl
    from obvlib.training import dataset

    write_jsonl(tmp_path / "rows.jsonl", [dataclasses.replace(clip, split="") for clip in clips()])
    options = [
        "build",
        "--dataset",
        str(tmp_path / "rows.jsonl"),
        "--input-dir",
        str(clips_dir),
        "--output-dir",
        str(tmp_path / "set"),
    ]
    monkeypatch.setattr(dataset, "tested_on", lambda names: ({}, {"mini": "no network"}))
    refused = CliRunner().invoke(app, options)
    assert refused.exit_code == 2 and "mini cannot be checked" in " ".join(refused.output.split())
    done = CliRunner().invoke(app, [*options, "--allow-unchecked"])
    assert done.exit_code == 3 and "3 samples" in done.output and "2 failed" in done.output
    assert "  1 missing: no file" in done.output
    assert len(training_set(tmp_path / "set")) == 3
    card = (tmp_path / "set" / "README.md").read_text()
    assert str(tmp_path) not in card + (tmp_path / "set" / "card.json").read_text()
    held_out = dataclasses.replace(clips()[0], start_s=0.5, end_s=0.9, split="test", video="")
    write_jsonl(tmp_path / "rows.jsonl", [clips()[0], held_out])
    shared = CliRunner().invoke(app, [*options, "--allow-unchecked"])
    assert shared.exit_code == 1 and "the test split of its own rows: 1 source vid" in shared.output


def test_a_benchmark_that_cannot_be_read_is_named_with_its_reason(monkeypatch):
    from obvlib.manifests.hub import HubUnavailable
    from obvlib.manifests.rows import RowProblem
    from obvlib.training import dataset

    def rows(name, split):
        if name == "SurgeryVideoQA":
            raise HubUnavailable("no network")
        return (
            ([clips()[0]], [RowProblem(where="row 2", reason="bad", video_id="v9")])
            if name == "mini"
            else ([], [])
        )

    monkeypatch.setattr(dataset, "load_rows", rows)
    benchmarks, unchecked = dataset.tested_on(["mini", "SurgeryVideoQA", "MIMICEchoQA"])
    assert [item.video_id for item in benchmarks["mini"]] == ["v0", "v9"]
    assert unchecked == {
        "SurgeryVideoQA": "no network",
        "MIMICEchoQA": "its rows name no source video",
    }


def test_clips_are_read_from_a_url_once(tmp_path, clips_dir, monkeypatch):
    import fsspec

    monkeypatch.setenv("OBV_DATA", str(tmp_path / "root"))
    row = made(tmp_path, clips_dir)[1][0]
    store = fsspec.filesystem("memory")
    store.put(str(clips_dir / row["video"]), f"/clips/{row['video']}")
    tokenizer, spec = tokenizer_and_spec("tiny")
    far = load_sample(row, "memory://clips", tokenizer, spec)
    monkeypatch.setattr(store, "get_file", None)  # unchanged at its origin: not fetched again
    again = load_sample(row, "memory://clips", tokenizer, spec)
    near = load_sample(row, clips_dir, tokenizer, spec)
    for sample in (far, again):
        assert (sample.pixel_values_videos == near.pixel_values_videos).all() and (
            sample.input_ids == near.input_ids
        ).all()
    (kept,) = [path for path in (tmp_path / "root").rglob("*") if path.is_file()]
    assert kept.read_bytes() == (clips_dir / row["video"]).read_bytes()


@pytest.mark.slow
def test_read_from_s3(tmp_path, clips_dir, monkeypatch):
    import boto3
    import moto.server as moto

    _, rows = made(tmp_path, clips_dir)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    server = moto.ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        store = boto3.client("s3", endpoint_url=address)
        store.create_bucket(Bucket="sets")
        store.upload_file(str(tmp_path / PARQUET), "sets", f"mini/{PARQUET}")
        again = training_set("s3://sets/mini", {"client_kwargs": {"endpoint_url": address}})
        assert again.to_list() == rows.to_list()
    finally:
        server.stop()
