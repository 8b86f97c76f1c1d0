"""The inspector's read model, frames, server and exports; its JavaScript is tested by node."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import PIL.Image
import pytest
from video_samples import encode, numbers

from obvlib import mini
from obvlib.core import Clip, Example, FramePolicy, Prediction, QAPair, RecordError, Verdict
from obvlib.core.labels import LabelFile
from obvlib.core.records import to_json, write_jsonl
from obvlib.engine import Ledger
from obvlib.media import MediaError, clip_frames, frames_at, packets, slice_clip
from obvlib.widgets import exports, inspect, open_samples, read_pictures
from obvlib.widgets.base import script
from obvlib.widgets.inspector import SCRIPTS
from obvlib.widgets.pictures import Place, frame_of_video
from obvlib.widgets.runs import find_runs, judge
from obvlib.widgets.samples import samples_of

ROOT = Path(__file__).resolve().parent.parent
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def clip_row(**more) -> dict:
    row = {"video_id": "v1", "timestamp": [1.0, 3.5], "caption": "a heart", "modality": "Echo"}
    return row | more


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("OBV_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture(scope="module")
def sliced(tmp_path_factory) -> Path:
    """The slice of the corpus's first clip."""
    row = mini.rows()[0]
    out = tmp_path_factory.mktemp("clips") / row.file_name
    slice_clip(mini.videos_dir() / f"{row.video_id}.mp4", out, row.start_s, row.end_s)
    return out


# rows


def test_rows_of_a_file_are_a_table_and_its_records_the_rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [clip_row(), clip_row(timestamp=[4, 9], qa_pairs=[{"question": "Q?", "answer": "lung"}])]
    path.write_text("\ufeff" + "\n\n".join(json.dumps(row) for row in rows) + "\n")
    samples = open_samples(path)
    assert samples.ids == ["v1_1000_3500", "v1_4000_9000"]
    assert samples.columns["questions"] == [0, 1]
    assert [samples.record(i).clip_id for i in range(2)] == samples.ids
    assert samples.table()["modality"] == {"values": ["Echo"], "codes": [0, 0]}
    assert samples.texts[1] == "a heart\nQ?"


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[1]",
        "null",
        '{"video_id": "v"}',
        '{"video_id": "v", "timestamp": [1]}',
        "\udcff",
        "{}",
    ],
)
def test_a_row_that_cannot_be_read_says_so_and_the_rest_works(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    text = f"{json.dumps(clip_row())}\n{line}\n{json.dumps(clip_row(timestamp=[4, 9]))}\n"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    samples = open_samples(path)
    assert samples.columns["outcome"] == ["", "bad row", ""]
    assert samples.ids[2] == "v1_4000_9000" == samples.record(2).clip_id
    with pytest.raises(RecordError):
        samples.record(1)


def test_the_glance_gives_the_ids_that_the_records_have():
    samples = open_samples("mini")
    assert samples.ids == [row.clip_id for row in mini.rows()]
    assert [samples.record(i) for i in range(len(samples))] == mini.rows()


def test_an_unknown_source_names_the_known_ones():
    with pytest.raises(ValueError, match="OpenBiomedVid|openbiomedvid"):
        open_samples("nothing of this name")


# frames


def test_the_strip_is_what_the_model_received_pixel_for_pixel(sliced):
    policy = FramePolicy.mini()
    pictures = read_pictures(Place(path=sliced), policy)
    frames, times_s = clip_frames(sliced, policy)
    shown = np.stack([np.asarray(PIL.Image.open(io.BytesIO(b))) for b in pictures.strip])
    assert pictures.is_exact
    np.testing.assert_array_equal(shown, frames)
    np.testing.assert_array_equal(pictures.times_s, times_s)


def test_presentation_times_are_those_of_the_decoder(sliced):
    pictures = read_pictures(Place(path=sliced), FramePolicy.mini())
    _, pts_s = frames_at(sliced, pictures.times_s)
    np.testing.assert_allclose(pictures.pts_s, pts_s, atol=1e-9)
    assert len(pictures.all_pts_s) == len(packets(sliced))


def test_a_variable_rate_gives_each_frame_its_own_time(tmp_path):
    path = tmp_path / "vfr.mp4"
    times_s = encode(path, "libx264", times_s=[0.0, 0.1, 0.15, 1.2, 1.25, 2.9])
    pictures = read_pictures(Place(path=path), FramePolicy.mini())
    assert {round(float(t), 3) for t in pictures.pts_s} <= set(times_s)
    np.testing.assert_allclose(pictures.all_pts_s, times_s, atol=1e-4)
    for asked_s, number in ((0.14, 1), (1.0, 2), (1.2, 3), (1.3, 4)):
        image, shown_s = frame_of_video(Place(path=path), asked_s)
        frame = np.asarray(PIL.Image.open(io.BytesIO(image)))
        assert (numbers(frame[None]), shown_s) == ([number], pytest.approx(times_s[number]))


def test_a_stretch_of_a_source_shows_the_frames_of_its_slice():
    row = mini.rows()[0]
    source = mini.videos_dir() / f"{row.video_id}.mp4"
    place = Place(path=source, start_s=row.start_s, end_s=row.end_s)
    pictures = read_pictures(place, FramePolicy.mini())
    frames, pts_s = frames_at(source, row.start_s + pictures.times_s, *pictures.frames.shape[1:3])
    np.testing.assert_array_equal(pictures.frames, frames)
    np.testing.assert_allclose(pictures.pts_s + row.start_s, pts_s, atol=1e-6)


def test_a_file_that_is_no_video_is_said_so(tmp_path):
    path = tmp_path / "page.mp4"
    path.write_text("<html>not a video</html>")
    with pytest.raises(MediaError):
        read_pictures(Place(path=path), FramePolicy.mini())


# runs


def example(number: int, answer: str = "A") -> Example:
    return Example(
        example_id=f"e{number}", benchmark="toy", video_id="v", question=f"Q{number}? {HOSTILE}",
        answer=answer, options={"A": "one", "B": "two"}, media_kind="text",
    )  # fmt: skip


def write_run(folder: Path, answers: dict[str, str]) -> None:
    rows = [Prediction(example_id=name, response=text) for name, text in answers.items()]
    write_jsonl(folder / "predictions.jsonl", rows)


def test_two_runs_are_judged_and_compared(tmp_path, data):
    examples = [example(n) for n in range(3)]
    write_jsonl(tmp_path / "run/examples.jsonl", examples)
    write_run(tmp_path / "run/before", {"e0": "A", "e1": "B", "e2": "hmm"})
    write_run(tmp_path / "run/after", {"e0": "B", "e1": "A"})
    write_jsonl(
        tmp_path / "run/after/judged.jsonl",
        [{"example_id": "e0", "reason": "says two", "score": 0}],
    )
    write_run(tmp_path / "run/probe", {"other": "A"})  # answers another benchmark: no column
    widget = inspect(tmp_path / "run", timelines={})
    runs = widget.table()["runs"]
    assert [(run["name"], run["column"]) for run in runs] == [
        ("before", ["right", "wrong", "unread"]),
        ("after", ["wrong", "right", ""]),
    ]
    detail = widget.on_show({"id": "e0"})[0]["detail"]
    first, second = detail["questions"][0]["answers"]
    assert (first["rule"], first["choice"]) == ("choice:letter", "A")
    assert second["extras"] == {"judged": {"example_id": "e0", "reason": "says two", "score": 0}}


def test_controls_and_a_judge_s_verdicts_are_shown_with_the_answer(tmp_path, data):
    run = tmp_path / "run"
    write_jsonl(run / "examples.jsonl", [example(0)])
    write_run(run, {"e0": "B"})
    write_run(run / "controls/blank", {"e0": "A"})
    judged = {"correct": True, "choice": "B", "rule": "judge:m"}
    kept = Verdict(example_id="e0", benchmark="toy", video_id="v", family="", **judged)
    write_jsonl(run / "verdicts.jsonl", [kept])
    widget = inspect(run, timelines={})
    assert widget.table()["runs"] == [{"name": "run", "column": ["right"]}]
    (answer,) = widget.on_show({"id": "e0"})[0]["detail"]["questions"][0]["answers"]
    assert answer["rule"] == "judge:m"
    assert [(c["run"], c["outcome"]) for c in answer["controls"]] == [("blank", "right")]


def test_a_prediction_without_its_question_and_a_torn_line_do_not_stop_the_rest(tmp_path):
    write_run(tmp_path / "run", {"e0": "A", "gone": "B"})
    with open(tmp_path / "run/predictions.jsonl", "a") as out:
        out.write('{"example_id": "e1", "resp')
    (run,) = find_runs(tmp_path / "run")
    judge([run], [example(0)])
    assert (run.outcome("e0"), run.outcome("gone"), run.outcome("e9")) == ("right", "answered", "")
    assert len(run.problems) == 1


# the widget's answers


def requests(widget) -> list[tuple[dict, list]]:
    sent: list[tuple[dict, list]] = []
    widget.send = lambda content, buffers=None: sent.append((content, buffers or []))
    return sent


def ask(widget, sent, kind: str, **content) -> tuple[dict, list]:
    widget._on_request(widget, {"kind": kind, "number": kind, **content}, [])
    for _ in range(400):
        if found := [message for message in sent if message[0]["number"] == kind]:
            return found[-1]
        import time

        time.sleep(0.05)
    raise AssertionError(f"no answer to {kind}")


def test_the_page_gets_table_detail_frames_and_tokens(data):
    widget = inspect("mini", rater="ada")
    sent = requests(widget)
    _, (_, table) = ask(widget, sent, "open")
    assert json.loads(table)["columns"]["id"] == [row.clip_id for row in mini.rows()]
    clip_id = mini.rows()[0].clip_id
    detail = ask(widget, sent, "show", id=clip_id, next=[])[0]["detail"]
    assert detail["facts"]["caption"] == mini.rows()[0].caption
    assert detail["timeline"]["segments"] and detail["timeline"]["words"]
    answer, images = ask(widget, sent, "pictures", id=clip_id)
    assert len(images) == len(answer["pictures"]["pts"]) == 8
    assert answer["pictures"]["video"].startswith("http://127.0.0.1:")
    tokens = ask(widget, sent, "tokens", id=clip_id)[0]["tokens"]
    assert tokens["num_visual"] == 16 and len(tokens["positions"][0]) == len(tokens["ids"])
    assert "<|im_start|>" in tokens["texts"]
    _, (preview,) = ask(widget, sent, "first_frame", id=clip_id)
    assert preview.startswith(b"\xff\xd8")
    frame, image = ask(widget, sent, "video_frame", id=clip_id, time=0.55)
    assert frame["time"] == pytest.approx(0.5) and image[0].startswith(b"\x89PNG")


def test_a_label_is_on_the_disk_when_the_page_hears_of_it(data):
    widget = inspect("mini", rater="ada")
    sent = requests(widget)
    label = {"label_id": "c1", "item_id": "x", "item_hash": "h", "field": "flag", "new": HOSTILE}
    ask(widget, sent, "label", label=label | {"undo_of": ""})
    assert LabelFile("ada").values() == {("x", "flag"): HOSTILE}
    sent.clear()
    undo = label | {"label_id": "c2", "undo_of": "c1", "new": None}
    ask(widget, sent, "label", label=undo)
    ask(widget, sent, "label", label=undo)
    assert LabelFile("ada").values() == {} and len(LabelFile("ada").labels()) == 2


def test_samples_that_were_passed_by_are_not_read(data, monkeypatch):
    from threading import Event

    widget, hold = inspect("mini", rater="ada"), Event()
    ids = [row.clip_id for row in mini.rows()]
    read: list[str] = []
    monkeypatch.setattr(widget, "_read", lambda item_id: (read.append(item_id), hold.wait(20)))
    for number in range(5):
        widget.on_show({"id": ids[number], "next": [ids[number + 5]]})
    hold.set()
    widget._worker.shutdown()
    assert set(read) == {ids[0], ids[5], ids[4], ids[9]}


def test_what_goes_wrong_is_an_answer_not_a_crash(data):
    widget = inspect("mini", rater="ada")
    sent = requests(widget)
    assert "not known" in ask(widget, sent, "nonsense")[0]["text"]
    for kind in ("trait_change", "msg", "widget_constructed"):
        assert "not known" in ask(widget, sent, kind)[0]["text"]
    clip_id = mini.rows()[0].clip_id
    for kind, odd in (
        ("show", {"id": "no such sample"}), ("show", {"id": ["x"]}), ("tokens", {}),
        ("frame", {"id": clip_id, "index": 10_000}), ("frame", {"id": clip_id, "index": "../x"}),
        ("video_frame", {"id": clip_id, "time": "soon"}), ("export", {"format": "../../x"}),
        ("label", {"label": None}),
    ):  # fmt: skip
        sent.clear()
        assert ask(widget, sent, kind, **odd)[0]["kind"] == "error"


@pytest.mark.parametrize("kind", ["missing", "broken", "text"])
def test_a_sample_without_pictures_shows_everything_else(tmp_path, data, kind):
    clips = tmp_path / "clips"
    clips.mkdir()
    pair = QAPair(question="Q?", answer="x")
    record = Clip(video_id="v", start_s=0, end_s=3, caption=HOSTILE, qa_pairs=(pair,))
    if kind == "broken":
        (clips / record.file_name).write_bytes(b"\0" * 400)
    records = [example(0)] if kind == "text" else [record]
    widget = inspect(records, clips_dir=clips, timelines={}, rater="ada")
    sent = requests(widget)
    item_id = widget.shelf.samples.ids[0]
    detail = ask(widget, sent, "show", id=item_id)[0]["detail"]
    assert len(detail["questions"]) == 1
    assert ask(widget, sent, "pictures", id=item_id)[0]["pictures"]["problem"]
    tokens = ask(widget, sent, "tokens", id=item_id)[0]["tokens"]
    assert tokens["num_visual"] == 0 and len(tokens["ids"]) > 10


@pytest.mark.parametrize("num_frames", [1, 4000])
def test_one_frame_and_four_thousand_are_shown(tmp_path, data, num_frames):
    record = Clip(video_id="v", start_s=0, end_s=num_frames / 25)
    encode(
        tmp_path / record.file_name,
        "mpeg4",
        times_s=[i / 25 for i in range(num_frames)],
        size=(60, 80),
    )
    widget = inspect([record], clips_dir=tmp_path, timelines={}, policy=FramePolicy.mini())
    answer, images = ask(widget, requests(widget), "pictures", id=record.clip_id)
    facts = answer["pictures"]
    assert len(facts["all_pts"]) == num_frames
    assert len(images) == len(facts["pts"]) == len(FramePolicy.mini().sample_times(num_frames / 25))
    assert facts["video"] == ""  # not under the data root: never served


def test_a_file_that_lost_its_frames_and_one_of_no_bytes_are_said_so(tmp_path, data):
    clips = [Clip(video_id=name, start_s=0, end_s=3) for name in ("empty", "header")]
    whole = tmp_path / "whole.mp4"
    encode(whole, "libx264", times_s=[i / 25 for i in range(75)])
    (tmp_path / clips[0].file_name).write_bytes(b"")
    (tmp_path / clips[1].file_name).write_bytes(whole.read_bytes()[:40])
    widget = inspect(clips, clips_dir=tmp_path, timelines={})
    for clip in clips:
        sent = requests(widget)
        problem = ask(widget, sent, "pictures", id=clip.clip_id)[0]["pictures"]["problem"]
        assert clip.file_name in problem
        assert ask(widget, sent, "show", id=clip.clip_id)[0]["detail"]["facts"]["clip"]


def test_a_row_that_cannot_be_read_does_not_stop_a_run_from_opening(tmp_path, data):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps(clip_row()) + "\n{\n")
    write_run(tmp_path / "run", {"v1_1000_3500-0": "A", "gone": "B"})
    widget = inspect(rows, runs=tmp_path / "run", timelines={})
    assert widget.table()["runs"][0]["column"][1] == ""


def test_what_was_dropped_and_why_can_be_filtered(tmp_path, data):
    rows = mini.rows()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.record(rows[0].clip_id, "slice", "dropped", reason="frozen picture")
        ledger.record(rows[1].file_name, "slice", "failed", reason="no sound")
        ledger.record(rows[2].clip_id, "slice", "failed", reason="no disk", params="first")
        ledger.record(rows[2].clip_id, "slice", "done", params="again")
        ledger.record(rows[-1].video_id, "download", "failed", reason="gone")
    columns = inspect("mini", ledger=tmp_path / "ledger.sqlite").shelf.samples.columns
    assert columns["outcome"][:4] == ["dropped", "failed", "", ""]
    assert columns["reason"][:2] == ["slice: frozen picture", "slice: no sound"]
    assert columns["reason"][-1] == "download: gone"


def test_what_curation_recorded_is_the_time_line(tmp_path, data):
    from obvlib.core import Word
    from obvlib.curation import CurationSettings, stages
    from obvlib.curation.passages import NarratedVideo
    from obvlib.curation.stages import ScoredVideo, SegmentedVideo, Stretch

    found = Stretch(video_id="v1", path="v1.mp4", start_s=1, end_s=2, score=0.9, change=0, flat=0)
    heart = Word(text="heart", start_s=1.1, end_s=1.4)
    flat = (0.1, 0.2, 0.9, 0.9, 0.1)
    outputs = {
        "score_frames": ScoredVideo(
            video_id="v1", path="v1.mp4", duration_s=2.5, step_s=0.5, scores=flat, changes=flat,
            flat=flat,
        ),
        "find_segments": SegmentedVideo(video_id="v1", stretches=(found,)),
        "narrate": NarratedVideo(video_id="v1", passages=(), words=(heart,)),
    }  # fmt: skip
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert set(outputs) <= {stage.name for stage in stages(CurationSettings())}
        for stage, output in outputs.items():
            ledger.record("v1", stage, "done", params={"threshold": 0.7}, output=to_json(output))
    clip = Clip(video_id="v1", start_s=0.5, end_s=1.6)
    widget = inspect([clip], ledger=tmp_path / "ledger.sqlite", timelines={})
    line = widget.on_show({"id": clip.clip_id})[0]["detail"]["timeline"]
    assert (line["score_times"], line["scores"]) == ([0.5, 1.0, 1.5], [0.2, 0.9, 0.9])
    assert line["words"] == [["heart", 1.1, 1.4]] and line["threshold"] == 0.7
    assert line["segments"] == [[1, 2, "segment"]]


def test_a_page_never_holds_a_video_that_would_not_be_served(tmp_path, data, sliced):
    row = mini.rows()[0]
    held = inspect([row], clips_dir=sliced.parent, timelines={}, embed_mb=2).embedded
    assert held["samples"][row.clip_id]["pictures"]["video"] == ""
    inside = data / "clips"
    inside.mkdir(parents=True)
    shutil.copy(sliced, inside / row.file_name)
    held = inspect([row], clips_dir=inside, timelines={}, embed_mb=2).embedded
    assert held["samples"][row.clip_id]["pictures"]["video"].startswith("data:video/mp4")


def test_lineage_is_every_line_of_the_ledger_about_the_sample_and_its_source(tmp_path, data):
    row = mini.rows()[0]
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.record(row.video_id, "download", "done", params={"format": "mp4"}, output={"n": 1})
        ledger.record(row.clip_id, "slice", "dropped", reason="frozen picture")
        ledger.record("someone else", "slice", "dropped", reason="frozen picture")
    widget = inspect("mini", ledger=tmp_path / "ledger.sqlite")
    lines = widget.on_show({"id": row.clip_id})[0]["detail"]["lineage"]
    assert [(line["stage"], line["status"], line["reason"]) for line in lines] == [
        ("download", "done", ""),
        ("slice", "dropped", "frozen picture"),
    ]
    assert lines[0]["settings"] == {"format": "mp4"}


def test_the_page_holds_no_more_than_its_budget(data):
    widget = inspect("mini", embed_mb=0.25, start=mini.rows()[5].clip_id)
    kept = widget.embedded
    assert len(json.dumps(kept)) < 300_000 and 1 <= len(kept["samples"]) < 66
    assert mini.rows()[5].clip_id in kept["samples"]
    assert kept["table"]["columns"]["id"] == list(kept["samples"]) and kept["table"]["total"] == 66
    for sample in kept["samples"].values():
        assert all(image.startswith("data:image/png") for image in sample["pictures"]["images"])


# export


@pytest.mark.parametrize("name", exports.FORMATS)
def test_exports_hold_every_label_that_holds(tmp_path, data, name):
    ada = LabelFile("ada")
    ada.add("x", "h", "verdict", "right")
    ada.add("x", "h", "note", HOSTILE)
    ada.add("x", "h", "frame 0.500", {"shown": "model", "time_s": 0.5})
    ada.add("y", "h", "flag", "private")
    ada.add("z", "h", "flag", "taken back")
    ada.undo()
    path = exports.export(ada, name, {"x": "/clips/x.mp4"})
    text = path.read_text()
    assert path.is_relative_to(data)
    found = (
        [json.loads(line) for line in text.splitlines()] if name == "jsonl" else json.loads(text)
    )
    if name == "jsonl":
        mark = {"shown": "model", "time_s": 0.5}
        labels = {"verdict": "right", "note": HOSTILE, "frame 0.500": mark}
        assert found[0]["labels"] == labels
    elif name == "label_studio":
        assert [result["value"] for result in found[0]["annotations"][0]["result"]] == [
            {"choices": ["right"]},
            {"text": [HOSTILE]},
            {"text": ['{"shown": "model", "time_s": 0.5}']},
        ]
        # Label Studio refuses an annotator whose address no member has
        assert [set(a) for task in found for a in task["annotations"]] == [{"result"}] * 2
        assert {task["data"]["rater"] for task in found} == {"ada"}
        view = ElementTree.parse(path.with_suffix(".xml")).getroot()
        controls = {control.get("name"): control.tag for control in view[1:]}
        fields = {"flag": "Choices", "frame 0.500": "TextArea", "note": "TextArea"}
        assert controls == fields | {"verdict": "Choices"}
    else:
        first, second = found["samples"]
        # FiftyOne takes no field that the file does not declare
        fields = {name for sample in found["samples"] for name in sample} - {"filepath", "tags"}
        assert fields == set(found["sample_fields"]) and found["media_type"] == "video"
        assert (first["filepath"], first["note"]) == ("/clips/x.mp4", HOSTILE)
        assert first["verdict"] == {"_cls": "Classification", "label": "right"}
        assert first["marked_s"] == [0.5] and second["filepath"] == "y.mp4"
    assert "taken back" not in text


# JavaScript


def test_the_modules_logic_holds():
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the JavaScript's unit tests did not run")
    tests = sorted(str(path) for path in (ROOT / "tests/javascript").glob("*.test.mjs"))
    done = subprocess.run(
        [node, "--test", *tests], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_joined_modules_name_nothing_twice_and_import_nothing():
    text = script(*SCRIPTS)
    assert "import {" not in text and "\nexport " in text
    import re

    names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", text, re.MULTILINE)
    assert sorted(names) == sorted(set(names))


def test_text_from_data_is_never_html():
    for path in sorted((ROOT / "obvlib/widgets/static").glob("*.mjs")):
        text = path.read_text()
        for banned in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert banned not in text, f"{path.name} uses {banned}"


def test_records_in_memory_are_samples_too():
    records = [mini.rows()[0], example(1)]
    samples = samples_of(records, "both")
    assert samples.ids == [records[0].clip_id, "e1"]
    assert [to_json(samples.record(i)) for i in range(2)] == [to_json(record) for record in records]


# the command


def test_the_command_writes_a_notebook_that_opens_the_source_and_starts_jupyterlab(
    tmp_path, data, monkeypatch
):
    from typer.testing import CliRunner

    from obvlib.cli import app

    called: list[list[str]] = []

    def run(command, check):
        called.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    rows = tmp_path / "it's mine.jsonl"
    rows.write_text(json.dumps(clip_row()) + "\n")
    done = CliRunner().invoke(app, ["inspect", f"{rows}#v1_1000_3500", "--rater", "ada"])
    assert done.exit_code == 0, done.output
    (command,) = called
    notebook = json.loads(Path(command[3]).read_text())
    namespace: dict = {}
    exec(notebook["cells"][1]["source"].replace("inspect(", "widget = inspect(", 1), namespace)
    widget = namespace["widget"]
    assert (widget.rater, widget.start) == ("ada", "v1_1000_3500")
    assert widget.shelf.samples.ids == ["v1_1000_3500"]


def test_the_command_refuses_what_is_not_there(data):
    from typer.testing import CliRunner

    from obvlib.cli import app

    done = CliRunner().invoke(app, ["inspect", "nothing"])
    assert done.exit_code == 1 and "is not a file or folder" in done.output
