"""Files that a command wrote, and that are damaged when the next one reads them: it says so in one
line, or does without, and never ends in a traceback.
"""

from __future__ import annotations

import json

import pytest

from obvlib.core import Verdict
from obvlib.core.jsonl import read_object
from obvlib.core.records import read_jsonl
from obvlib.curation import curate, videos_in
from obvlib.curation.replaying import replay
from obvlib.evaluation.answer_file import AnswerFile
from obvlib.evaluation.runs import replace_rows
from obvlib.models.bundle import check_files
from obvlib.report.curation import load_curation
from obvlib.training.checkpoints import LIST, damage
from obvlib.training.run_records import TrainResult

DEEP = "[" * 100_000
DAMAGED = ["", "{", "[]", "5", DEEP, "\0"]


@pytest.mark.parametrize("text", [*DAMAGED, "{}"])
def test_what_is_no_object_or_lacks_a_name_is_refused_by_the_name_of_the_file(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.json is damaged"):
        read_object(tmp_path / "a.json", "at")
    (tmp_path / "a.json").write_text('{"at": NaN}')
    assert read_object(tmp_path / "a.json", "at")["at"] != 0


@pytest.mark.parametrize("text", [*DAMAGED, "{}"])
def test_a_damaged_curation_is_neither_replayed_nor_reported(tmp_path, text):
    for name in ("settings.json", "report.json"):
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=r"settings\.json is damaged"):
        replay(tmp_path, "filter_caption", "v_0_1000")
    with pytest.raises(ValueError, match=r"report\.json is damaged"):
        load_curation(tmp_path)


@pytest.mark.parametrize("name", ["videos", "segments", "speech", "model"])
@pytest.mark.parametrize("value", [5, [5], {"a": 5}, "text"])
def test_settings_of_a_wrong_type_are_damaged_settings(tmp_path, name, value):
    names = ("segments", "speech", "model", "test_share", "seed")
    row = {"videos": []} | dict.fromkeys(names) | {name: value}
    (tmp_path / "settings.json").write_text(json.dumps(row))
    with pytest.raises(ValueError, match=r"settings\.json is damaged"):
        replay(tmp_path, "filter_caption", "v_0_1000")


@pytest.mark.parametrize("text", [*DAMAGED[1:], "{}"])
def test_damaged_verdicts_are_set_aside_and_written_anew(tmp_path, text):
    about = dict.fromkeys(("example_id", "benchmark", "video_id", "family", "rule"), "a")
    verdict = Verdict(**about, correct=True, choice="A")
    (tmp_path / "verdicts.jsonl").write_text(text)
    replace_rows(tmp_path / "verdicts.jsonl", [verdict])
    assert read_jsonl(tmp_path / "verdicts.jsonl", Verdict) == [verdict]
    (kept,) = tmp_path.glob("verdicts.until_*.jsonl")
    assert kept.read_text() == text
    replace_rows(tmp_path / "verdicts.jsonl", [verdict])
    assert list(tmp_path.glob("verdicts.until_*.jsonl")) == [kept]


def test_a_curation_goes_on_without_damaged_lines_of_earlier_runs(tmp_path):
    """Also: reasons that differ only in the video's name are counted together."""
    (tmp_path / "in").mkdir()
    for name in ("v1", "v2", "v3"):
        (tmp_path / "in" / f"{name}.mp4").write_text("<html>not found</html>")
    for noise in ("", f'[]\n{{\n{DEEP}\n{{"at": 1, "settings": 2, "clips": 3}}\n'):
        with open(tmp_path / "runs.jsonl", "w") as file:
            file.write(noise)
        if noise:
            (tmp_path / "runs.jsonl").rename(tmp_path / "out" / "runs.jsonl")
        curate(videos_in(tmp_path / "in"), tmp_path / "out", show_progress=False)
        runs = (tmp_path / "out" / "runs.jsonl").read_text().splitlines()
        assert [sorted(json.loads(line)) for line in runs] == [["at", "clips", "settings"]]
    reasons = load_curation(tmp_path / "out")["stages"][0]["reasons"]
    ((reason, num),) = reasons.items()
    assert num == 3 and "v1.mp4 does not open as a video" in reason


@pytest.mark.parametrize("text", [*DAMAGED, "[[1]]", "{}"])
def test_an_evaluation_forgets_a_damaged_list_of_what_it_has_seen(tmp_path, text):
    answers = AnswerFile(tmp_path / "predictions.jsonl")
    answers.note_seen(["a"])
    assert answers.seen() == {"a"}
    (tmp_path / "predictions.jsonl.seen").write_text(text)
    assert answers.seen() == set()
    answers.note_seen(["b"])
    assert answers.seen() == {"b"}


@pytest.mark.parametrize("text", [*DAMAGED, "{}"])
def test_a_model_with_a_damaged_index_or_header_is_not_whole(tmp_path, text):
    (tmp_path / "model.safetensors").write_bytes(len(DEEP).to_bytes(8, "little") + DEEP.encode())
    with pytest.raises(ValueError, match="no readable header"):
        check_files(tmp_path, ())
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ValueError, match="damaged"):
        check_files(tmp_path, ())


@pytest.mark.parametrize("text", [*DAMAGED, '{"files": {}}', '{"files": [1], "step": 1}'])
def test_a_checkpoint_or_a_run_with_a_damaged_note_is_not_taken(tmp_path, text):
    (tmp_path / LIST).write_text(text)
    assert damage(tmp_path, 1) == f"{LIST} is missing or torn"
    if not text.startswith('{"'):
        with pytest.raises(ValueError, match="is damaged"):
            TrainResult.from_json(tmp_path / LIST)
