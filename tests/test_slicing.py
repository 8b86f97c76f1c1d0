"""Rows to clips: every row ends in the report, whatever is wrong with it, and a second run does
only what is left.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest
import video_samples as samples
from typer.testing import CliRunner

from obvlib import media, slicing
from obvlib.cli import app
from obvlib.core.frame_policy import FramePolicy
from obvlib.core.records import Clip
from obvlib.engine import StageStopped
from obvlib.engine.ledger import Ledger
from obvlib.manifests import coverage
from obvlib.manifests.rows import load_rows
from obvlib.slicing.stages import passes

ROWS = [
    {"video_id": "one", "video": "one_1_4.mp4", "timestamp": [1, 4]},
    {
        "video_id": "one",
        "video": "one_2_9.mp4",
        "timestamp": [2.5, 9],
        "question": "What?",
        "answer": "This.",
    },
    {
        "video_id": "one",
        "video": "one_2_9.mp4",
        "timestamp": [2.5, 9],
        "question": "Why?",
        "answer": "So.",
    },
    {"video_id": "one", "video": "one_2_9.mp4", "timestamp": [3, 9]},
    {"video_id": "one", "timestamp": [20, 29]},
    {"video_id": "one", "timestamp": [9, 10.5]},
    {"video_id": "two", "timestamp": [2, 4]},
    {"video_id": "odd", "timestamp": [2, 4]},
    {"video_id": "half", "timestamp": [6, 9]},
    {"video_id": "empty", "timestamp": [2, 4]},
    {"video_id": "text", "timestamp": [2, 4]},
    {"video_id": "gone", "timestamp": [2, 4]},
    {"video_id": "../../etc/passwd", "timestamp": [2, 4]},
    {"video_id": "one", "video": "../out.mp4", "timestamp": [2, 4]},
    {"video_id": "one", "timestamp": [4, 2]},
    {"video_id": "one"},
    {"timestamp": [1, 2]},
    None,
]
MADE = {
    "one_1_4.mp4",
    "one_2_9.mp4",
    "one_9000_10500.mp4",
    "two_2000_4000.mp4",
    "odd_2000_4000.mp4",
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Good, odd-sized, silent, truncated, empty and fake sources."""
    directory = tmp_path_factory.mktemp("videos")
    samples.make(directory / "one.mp4", options={"g": "50", "sc_threshold": "0"})
    samples.encode(
        directory / "two.webm",
        "libvpx-vp9",
        options={"deadline": "realtime", "cpu-used": "8"},
        sound="libopus",
    )
    samples.encode(
        directory / "odd.mkv",
        "libvpx-vp9",
        size=(121, 161),
        options={"deadline": "realtime", "cpu-used": "8"},
    )
    whole = (directory / "one.mp4").read_bytes()
    (directory / "half.mp4").write_bytes(whole[: len(whole) // 2])
    (directory / "empty.mp4").write_bytes(b"")
    (directory / "text.mp4").write_text("<html>404</html>" * 50)
    return directory


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "".join(("nonsense" if row is None else json.dumps(row)) + "\n" for row in ROWS)
    )
    return load_rows(path)


@pytest.fixture(autouse=True)
def data_root(tmp_path, monkeypatch):
    monkeypatch.setenv("OBV_DATA", str(tmp_path / "data"))


def clip_files(directory) -> set[str]:
    return {path.name for path in Path(directory).iterdir()} - {
        "coverage_slice.json",
        "coverage_prepare.json",
        ".obv-claim",
        ".obv-lock",
    }


@pytest.mark.parametrize("mode", media.MODES)
@pytest.mark.parametrize("num_workers", [1, 2])
def test_every_row_is_accounted_for(videos, rows, tmp_path, mode, num_workers):
    out = tmp_path / "segments"
    report = slicing.slice_dataset(
        *rows, videos, out, mode=mode, num_workers=num_workers, show_progress=False
    )
    assert report["clips"] == {
        "done": 5,
        "skipped": 0,
        "missing": 1,
        "broken": 3,
        "past_end": 1,
        "other": 0,
        "conflicts": 1,
    }
    assert report["num_clips"] == 11 == sum(report["clips"].values()) and report["bad_rows"] == 6
    assert report["hours"]["done"] == pytest.approx((3 + 6.5 + 1.5 + 2 + 2) / 3600, abs=1e-4)
    assert clip_files(out) == MADE
    assert json.loads((out / "coverage_slice.json").read_text()) == report
    assert all(failure["reason"].partition(":")[2].strip() for failure in report["failures"])
    assert not (tmp_path / "out.mp4").exists()


def test_a_second_run_does_nothing_and_a_missing_file_is_made_again(videos, rows, tmp_path):
    out = tmp_path / "segments"
    slicing.slice_dataset(*rows, videos, out, show_progress=False)
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.mp4")}
    again = slicing.slice_dataset(*rows, videos, out, show_progress=False)
    assert (again["clips"]["done"], again["clips"]["skipped"]) == (0, 5)
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.mp4")} == before
    (out / "one_1_4.mp4").unlink()
    (out / "one_2_9.mp4").write_bytes(b"cut short")
    third = slicing.slice_dataset(*rows, videos, out, show_progress=False)
    assert (third["clips"]["done"], third["clips"]["skipped"]) == (2, 3) and media.probe(
        out / "one_2_9.mp4"
    ).duration_s == 6.5


def test_a_report_that_is_not_ours_is_not_replaced(videos, rows, tmp_path):
    (tmp_path / "out").mkdir()
    report = tmp_path / "out" / "coverage_slice.json"
    report.write_text("mine")
    with pytest.raises(ValueError, match="coverage_slice.json was not made by `obv slice`"):
        slicing.slice_dataset(*rows, videos, tmp_path / "out", show_progress=False)
    assert report.read_text() == "mine" and clip_files(tmp_path / "out") == set()


def test_an_output_directory_that_was_moved_is_not_made_again(videos, rows, tmp_path):
    out = tmp_path / "segments"
    slicing.slice_dataset(*rows, videos, out, show_progress=False)
    for place in ("moved", "and/again"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        out = out.rename(tmp_path / place)
        again = slicing.slice_dataset(*rows, videos, out, show_progress=False)
        assert (again["clips"]["done"], again["clips"]["skipped"]) == (0, 5)
    first = slicing.slice_dataset(*rows, videos, tmp_path / "segments", show_progress=False)
    assert first["clips"]["done"] == 5 and again["output_dir"] == str(out)


def test_another_mode_runs_again_and_a_source_that_appears_is_used(videos, rows, tmp_path):
    inputs = tmp_path / "videos"
    inputs.mkdir()
    out = tmp_path / "segments"
    assert slicing.slice_dataset(*rows, inputs, out, show_progress=False)["clips"]["missing"] == 10
    for video in videos.iterdir():
        (inputs / video.name).symlink_to(video)
    assert slicing.slice_dataset(*rows, inputs, out, show_progress=False)["clips"]["done"] == 5
    assert (
        slicing.slice_dataset(*rows, inputs, out, mode="smart", show_progress=False)["clips"][
            "done"
        ]
        == 5
    )


def test_prepare_reads_each_source_once(videos, rows, tmp_path, monkeypatch):
    opened = []
    original = media.open_source
    monkeypatch.setattr(
        media, "open_source", lambda path, *a: opened.append(Path(path).name) or original(path, *a)
    )
    out = tmp_path / "prepared"
    report = slicing.prepare_dataset(
        *rows, videos, out, policy=FramePolicy.mini(), show_progress=False
    )
    assert report["clips"]["done"] == 5 and opened.count("one.mp4") == 1
    frames, times_s = media.clip_frames(out / "one_1_4.mp4", FramePolicy.mini())
    assert frames.shape == (8, 56, 56, 3) and times_s[1] == 0.375
    assert clip_files(out) == MADE


def test_whole_videos_keep_their_place(videos, tmp_path):
    """MIMICEchoQA's rows name loops by their path: there is nothing to cut, and the same name
    stands in many folders.
    """
    for folder in ("p10/s1", "p10/s2"):
        (tmp_path / "loops" / folder).mkdir(parents=True)
        (tmp_path / "loops" / folder / "loop.mp4").symlink_to(videos / "one.mp4")
    loops = ["p10/s1/loop.mp4", "p10/s2/loop.mp4", "p10/s2/loop.mp4", "p10/s3/loop.mp4"]
    out = tmp_path / "out"
    for expected in ({"done": 2, "skipped": 0}, {"done": 0, "skipped": 2}):
        report = slicing.prepare_dataset(
            [],
            [],
            tmp_path / "loops",
            out,
            policy=FramePolicy.mini(),
            whole_videos=loops,
            show_progress=False,
        )
        assert {k: report["clips"][k] for k in expected} == expected and report["clips"][
            "missing"
        ] == 1
    assert media.clip_frames(out / "p10" / "s2" / "loop.mp4", FramePolicy.mini())[1][1] == 1.25
    with pytest.raises(ValueError, match="holds what `obv prepare` made"):
        slicing.slice_dataset(
            [], [], tmp_path / "loops", out, whole_videos=loops, show_progress=False
        )
    cut = tmp_path / "cut"
    report = slicing.slice_dataset(
        [], [], tmp_path / "loops", cut, whole_videos=loops, show_progress=False
    )
    assert report["clips"]["done"] == 2
    assert media.probe(cut / "p10" / "s1" / "loop.mp4").duration_s == 10.0
    with pytest.raises(ValueError, match="cannot be used in a file name"):
        slicing.slice_dataset(
            [], [], tmp_path / "loops", cut, whole_videos=["../loop.mp4"], show_progress=False
        )


def test_no_clip_overwrites_a_source_or_the_report(videos, tmp_path):
    clips = [
        Clip(video_id="one", start_s=0, end_s=2, video="coverage_slice.json"),
        Clip(video_id="one", start_s=3, end_s=4),
    ]
    with pytest.raises(ValueError, match="is the input directory"):
        slicing.slice_dataset(clips, [], videos, videos, show_progress=False)
    report = slicing.slice_dataset(clips, [], videos, tmp_path / "out", show_progress=False)
    assert report["clips"]["done"] == 1 and report["clips"]["conflicts"] == 1
    assert (
        json.loads((tmp_path / "out/coverage_slice.json").read_text())["clips"] == report["clips"]
    )


def test_what_is_done_is_done_again_when_its_name_its_source_or_its_file_has_changed(
    videos, tmp_path
):
    sources, out = tmp_path / "sources", tmp_path / "out"
    sources.mkdir()
    shutil.copy(videos / "one.mp4", sources / "one.mp4")

    def run(name):
        clip = Clip(video_id="one", start_s=1, end_s=3, video=name)
        return slicing.slice_dataset([clip], [], sources, out, show_progress=False)["clips"]

    assert run("x.mp4")["done"] == 1 and run("x.mp4")["skipped"] == 1
    assert run("y.mp4")["done"] == 1 and (out / "y.mp4").is_file()
    (out / "y.mp4").write_bytes(bytes((out / "y.mp4").stat().st_size))
    assert run("y.mp4")["done"] == 1 and media.probe(out / "y.mp4").duration_s == 2.0
    samples.make(sources / "one.mp4", options={"g": "10"})
    assert run("y.mp4")["done"] == 1
    (sources / "one.mp4").unlink()
    assert run("y.mp4")["skipped"] == 1  # a source that is gone leaves its clips alone


def test_a_picture_that_stands_still_over_damage_is_no_clip(videos, tmp_path):
    """Packets in the middle of the file are blank: what is asked there fails, what is asked before
    and after does not.
    """
    sources = tmp_path / "sources"
    sources.mkdir()
    data = bytearray((videos / "one.mp4").read_bytes())
    with av.open(str(videos / "one.mp4")) as file:
        hurt = [p for p in file.demux(video=0) if p.size and 4 <= p.pts * p.time_base < 6]
        for packet in hurt:
            data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    (sources / "one.mp4").write_bytes(data)
    clips = [Clip(video_id="one", start_s=start, end_s=start + 1) for start in (1, 4.5, 8)]
    report = slicing.prepare_dataset(
        clips, [], sources, tmp_path / "out", policy=FramePolicy.mini(), show_progress=False
    )
    assert report["clips"]["done"] == 2 and report["clips"]["broken"] == 1, report
    assert not (tmp_path / "out/one_4500_5500.mp4").exists()


def test_an_input_directory_that_is_not_there_says_so(rows, tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        slicing.slice_dataset(*rows, tmp_path / "nowhere", tmp_path / "out")


SCRIPT = """
import sys
from obvlib import slicing
from obvlib.manifests import load_rows
if __name__ == "__main__":
    slicing.slice_dataset(
        *load_rows(sys.argv[1]), *sys.argv[2:4], mode="exact", num_workers=int(sys.argv[4]),
        show_progress=False,
    )
"""


def start(tmp_path, rows_path, videos, out, num_workers, **kwargs):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, script, rows_path, videos, out, str(num_workers)],
        start_new_session=True,
        **kwargs,
    )


def many_rows(tmp_path, num: int, length_s: float = 3) -> Path:
    path = tmp_path / "many.jsonl"
    path.write_text(
        "".join(
            json.dumps({"video_id": "one", "timestamp": [i / 10, i / 10 + length_s]}) + "\n"
            for i in range(num)
        )
    )
    return path


@pytest.mark.parametrize("num_workers", [1, 2])
def test_killed_at_any_moment_and_started_again(videos, tmp_path, num_workers):
    rows_path, out = many_rows(tmp_path, 60), tmp_path / "out"
    for after_s in (0.5, 0.9, 1.3):
        process = start(tmp_path, rows_path, videos, out, num_workers)
        time.sleep(after_s)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for path in out.glob("*.mp4"):
            assert media.probe(path).duration_s == 3.0
    assert start(tmp_path, rows_path, videos, out, num_workers).wait() == 0
    report = json.loads((out / "coverage_slice.json").read_text())
    assert report["clips"]["done"] + report["clips"]["skipped"] == 60
    assert len(clip_files(out)) == 60 and not list(out.rglob(".partial*"))


def test_a_full_disk_stops_cleanly(videos, tmp_path):
    """A limit on file size stands in for the disk: writing past it fails in the same way."""
    rows_path, out = many_rows(tmp_path, 10, length_s=9), tmp_path / "out"
    limit = 60_000  # room for the ledger's first pages, not for a clip
    process = start(
        tmp_path, rows_path, videos, out, 1, stderr=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and b"StageStopped" in errors and b"same command again" in errors
    assert clip_files(out) == set()
    assert start(tmp_path, rows_path, videos, out, 1).wait() == 0
    assert len(list(out.glob("*.mp4"))) == 10


def test_a_really_full_disk_stops_cleanly(videos, tmp_path):
    out = tmp_path / "small"
    out.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", out], capture_output=True
    ).returncode:
        return  # only root may mount; the test above needs no rights
    try:
        clips, problems = load_rows(many_rows(tmp_path, 30))
        with pytest.raises(StageStopped, match="same command again"):
            slicing.slice_dataset(clips, problems, videos, out, mode="exact", show_progress=False)
        made = list(out.glob("*.mp4"))
        assert 1 <= len(made) < 30 and all(media.probe(path).duration_s == 3.0 for path in made)
        assert not list(out.glob(".partial*"))
        with Ledger(tmp_path / "data" / "ledger.sqlite") as ledger:
            assert {row["status"] for row in ledger.rows("slice")} == {"done"}
    finally:
        subprocess.run(["umount", out], check=True)


def test_a_source_that_vanishes_in_between_is_recorded(videos, tmp_path):
    inputs = tmp_path / "videos"
    inputs.mkdir()
    (inputs / "one.mp4").symlink_to(tmp_path / "not there any more.mp4")
    (inputs / "two.mp4").symlink_to(videos / "one.mp4")
    jobs = [
        slicing.ClipJob(
            clip_id=n,
            video_id=n,
            start_s=1,
            end_s=2,
            file_name=f"{n}.mp4",
            source=str(inputs / f"{n}.mp4"),
        )
        for n in ("one", "two")
    ]
    stage = slicing.SliceStage(output_dir=str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert dict(stage.run_group(jobs[:1]))[0].kind == "missing"
    assert dict(stage.run_group(jobs[1:]))[0].num_frames == 25


def test_what_a_dataset_asks_for():
    clips = [
        Clip(video_id="a", start_s=0, end_s=10),
        Clip(video_id="a", start_s=5, end_s=15),
        Clip(video_id="b", start_s=0, end_s=5),
    ]
    plan = coverage.summarize([*clips, clips[0]])
    assert (plan["num_clips"], plan["num_sources"], plan["max_clips_per_source"]) == (3, 2, 2)
    assert plan["hours"] == pytest.approx(25 / 3600) and plan["overlap"] == pytest.approx(0.2)


def test_the_command(videos, tmp_path):
    rows_path = many_rows(tmp_path, 3)
    command = [sys.executable, "-m", "obvlib.cli"]
    arguments = ["--dataset", rows_path, "--input-dir", videos, "--output-dir", tmp_path / "out"]
    done = subprocess.run([*command, "slice", *arguments], capture_output=True, text=True)
    assert done.returncode == 0 and "3 done" in done.stdout
    done = subprocess.run(
        [*command, "prepare", *arguments[:-1], tmp_path / "prepared"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "3 done" in done.stdout
    plan = json.loads(subprocess.check_output([*command, "slice", "--plan", *arguments], text=True))
    assert plan["num_clips"] == 3
    made = [tmp_path / name / "one_0_3000.mp4" for name in ("out", "prepared")]
    heard = [
        json.loads(subprocess.check_output([*command, "probe", path], text=True)) for path in made
    ]
    # a prepared clip holds frames only
    assert [info["num_audio_streams"] > 0 for info in heard] == [True, False]
    failed = subprocess.run(
        [*command, "probe", tmp_path / "nothing.mp4"], capture_output=True, text=True
    )
    assert failed.returncode == 1 and "no file" in failed.stderr


def padded(path, size):
    """Bring a file to `size` bytes with a box that readers skip."""
    data = path.read_bytes()
    box = (size - len(data)).to_bytes(4, "big") + b"free"
    path.write_bytes(data + box + bytes(size - len(data) - 8))


@pytest.mark.parametrize("kind", ["edited", "another directory", "whole video"])
def test_another_source_of_equal_size_is_noticed(tmp_path, kind):
    """Two sources of the same length in bytes that show different numbers."""
    sources, others, out = tmp_path / "in", tmp_path / "others", tmp_path / "out"
    sources.mkdir()
    others.mkdir()
    samples.make(sources / "one.mp4", num_frames=50, with_sound=False)
    samples.make(others / "one.mp4", num_frames=75, with_sound=False)
    size = max(path.stat().st_size for path in (sources / "one.mp4", others / "one.mp4")) + 100
    for directory in (sources, others):
        padded(directory / "one.mp4", size)
    whole = ["one.mp4"] if kind == "whole video" else []
    clips = [] if whole else [Clip(video_id="one", start_s=0, end_s=1)]

    def run(directory):
        return slicing.slice_dataset(
            clips, [], directory, out, whole_videos=whole, show_progress=False
        )["clips"]

    assert run(sources)["done"] == 1
    moved = sources.rename(tmp_path / "moved")
    assert run(moved)["skipped"] == 1
    if kind != "another directory":
        (moved / "one.mp4").write_bytes((others / "one.mp4").read_bytes())
    again = run(others if kind == "another directory" else moved)
    assert (again["done"], again["skipped"]) == (1, 0)


@pytest.mark.parametrize("command", ["slice", "prepare"])
def test_what_cannot_be_written_fails_its_clip_and_the_source_is_not_blamed(
    videos, tmp_path, command
):
    out = tmp_path / "out"
    (out / "one_3000_4000.mp4").mkdir(parents=True)
    (out / "one_1000_2000.mp4").write_text("mine")
    clips = [Clip(video_id="one", start_s=start, end_s=start + 1) for start in (0, 1, 3, 5)]
    run = {"slice": slicing.slice_dataset, "prepare": slicing.prepare_dataset}[command]
    settings = {"policy": FramePolicy.mini()} if command == "prepare" else {}
    report = run(clips, [], videos, out, show_progress=False, **settings)
    assert (report["clips"]["done"], report["clips"]["broken"]) == (2, 0)
    assert report["clips"]["conflicts"] == 2 and report["reasons"] == {"foreign": 2}
    assert (out / "one_1000_2000.mp4").read_text() == "mine"
    # one of ours that turned into a directory
    (out / "one_0_1000.mp4").unlink()
    (out / "one_0_1000.mp4").mkdir()
    report = run(clips, [], videos, out, show_progress=False, **settings)
    assert report["reasons"] == {"foreign": 2, "output": 1} and report["clips"]["broken"] == 0


@pytest.mark.parametrize(
    "name", ["README.md", "readme.md", "card.json", "ledger.sqlite", "ledger.sqlite-wal"]
)
def test_names_of_our_own_notes_are_no_clips(videos, tmp_path, name):
    clip = Clip(video_id="one", start_s=0, end_s=1, video=name)
    report = slicing.slice_dataset([clip], [], videos, tmp_path / "out", show_progress=False)
    assert report["clips"]["conflicts"] == 1 and not (tmp_path / "out" / name).exists()


def test_prepare_never_writes_over_slices_whose_run_was_stopped(videos, tmp_path, monkeypatch):
    clip, out = Clip(video_id="one", start_s=0, end_s=1), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(coverage, "coverage", raise_interrupt)
        with pytest.raises(KeyboardInterrupt):
            slicing.slice_dataset([clip], [], videos, out, show_progress=False)
    before = (out / "one_0_1000.mp4").read_bytes()
    with pytest.raises(ValueError, match="holds what `obv slice` made"):
        slicing.prepare_dataset(
            [clip], [], videos, out, policy=FramePolicy.mini(), show_progress=False
        )
    assert (out / "one_0_1000.mp4").read_bytes() == before


def raise_interrupt(*_):
    raise KeyboardInterrupt


def test_reads_of_a_source_keep_few_clips_open():
    def job(start_s, end_s):
        return slicing.ClipJob(
            clip_id="", video_id="", start_s=start_s, end_s=end_s, file_name="a.mp4"
        )

    assert passes([job(4, 5), job(0, 2), job(1, 3), job(2, 4)], 1) == [[1, 3, 0], [2]]
    assert passes([job(0, None), job(8, 9)], 1) == [[0], [1]]
    many = passes([job(0.001 * i, 9) for i in range(300)], 48)
    assert sorted(i for part in many for i in part) == list(range(300))
    assert [len(part) for part in many] == [48] * 6 + [12]


@pytest.mark.parametrize(
    ("wanted", "status"), [(("one",), 0), (("one", "gone"), 3), (("gone",), 1), ((), 1)]
)
def test_the_exit_status_tells_all_some_and_none_apart(videos, tmp_path, wanted, status):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"video_id": "{v}", "timestamp": [0, 1]}}\n' for v in wanted))
    options = ["--dataset", rows, "--input-dir", videos, "--output-dir", tmp_path / "out"]
    command = ["slice", *map(str, options), "--num-workers", "0"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == status
    assert ("1 missing" in done.output) == ("gone" in wanted)
    assert ("no rows" in done.output) == (not wanted)


def test_passwords_are_neither_kept_nor_shown(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"video_id": "one", "timestamp": [0, 1]}\n')
    where = "http://user:S3CRET@127.0.0.1:9/videos?token=S3CRET"
    options = ["--dataset", rows, "--input-dir", where, "--output-dir", tmp_path / "out"]
    done = CliRunner().invoke(app, ["slice", *map(str, options), "--num-workers", "0"])
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert done.exit_code == 1 and "S3CRET" not in done.output and len(kept) >= 3
    assert not [path for path in kept if b"S3CRET" in path.read_bytes()]


def test_equal_frames_give_equal_bytes(tmp_path):
    # with x264's AVX-512 code one to three of these differed, as its memory happened to lie
    samples.make(tmp_path / "a.mp4", num_frames=100, options={"g": "25"})
    made = set()
    for _ in range(120):
        clip = media.slice_clip(tmp_path / "a.mp4", tmp_path / "clip.mp4", 0.5, 2.0, num_threads=1)
        made.add(Path(clip.path).read_bytes())
    assert len(made) == 1
