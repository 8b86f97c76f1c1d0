"""Which data and models there are (cards), and their rows as clips: every row becomes a Clip or a
problem that says where and why.

>>> load_card("SurgeryVideoQA").hub_id
'connectthapa84/SurgeryVideoQA'
>>> clips, problems = load_rows("mini", split="test")
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obvlib.core import Clip, QAPair, RecordError, manifests_dir
from obvlib.core.forgotten import forgotten_sources
from obvlib.core.jsonl import check_plain, parse, scan_rows
from obvlib.core.messages import one_line
from obvlib.core.records import from_json
from obvlib.manifests.cards import Card, card_names, counts_of, load_card, warn_of_differences
from obvlib.manifests.options import answer_of, is_letter, lower_names, options_of

_SPLIT_NAMES = {
    **dict.fromkeys([""], ""),
    **dict.fromkeys(["train", "training"], "train"),
    **dict.fromkeys(["validation", "valid", "val", "dev"], "validation"),
    **dict.fromkeys(["test", "testing"], "test"),
}


@dataclass(frozen=True, kw_only=True)
class RowProblem:
    """A row that could not be used: `where` names the file and line, `video_id` is empty where the
    row has none.
    """

    where: str
    reason: str
    video_id: str = ""


def load_rows(source: str | Path, *, split: str = "") -> tuple[list[Clip], list[RowProblem]]:
    """Return the clips of a card ("mini", "OpenBiomedVid" …) or of a JSON lines file, and the rows
    that are not clips.

    A bad row never ends the run. HubUnavailable for a hub dataset that is neither cached nor within
    reach; FileNotFoundError for a path that is not there. `split` keeps one split where the source
    has several.
    """
    clips: list[Clip] = []
    problems: list[RowProblem] = []
    for item in iter_rows(source, split=split):
        if isinstance(item, Clip):
            clips.append(item)
        else:
            problems.append(item)
    if isinstance(source, str) and source.lower() in card_names():
        card = load_card(source)
        if card.hub_id and split in ("", card.split):
            warn_of_differences(card, counts_of(clips))
    return clips, problems


def iter_rows(source: str | Path, *, split: str = "") -> Iterator[Clip | RowProblem]:
    """Yield the clips of a card or file in order, each once with the questions of all its rows, and
    a RowProblem for each row that could not be used.
    """
    is_card = isinstance(source, str) and source.lower() in card_names()
    card = load_card(str(source)) if is_card else None
    dataset = card.name if card else Path(source).stem
    default = "" if card is None else split or card.split
    merged = _Merged()
    problems = []
    forgotten = forgotten_sources()
    for where, row, broken in _rows(source, card, split):
        short = Path(where).name  # the file's name says enough, its directory is nobody's business
        try:
            if broken:
                raise RecordError(f"{short}: {broken}")
            clip = clip_from_row(row, short, dataset=dataset, split=default)
            forgotten.check(clip.video_id, short)
            merged.add(clip, short)
        except RecordError as error:
            said = row.get("video_id", "") if isinstance(row, dict) else ""
            video_id = "" if said in forgotten else one_line(said)
            problems.append(RowProblem(where=where, reason=one_line(error), video_id=video_id))
    yield from (c for c in merged.clips() if not split or c.split == split_name(split))
    yield from problems


class _Merged:
    """The clips of many rows, each once. Questions are kept apart until all rows are read, so that
    the time for a row does not depend on how many came before it.
    """

    def __init__(self) -> None:
        self._clips: dict[str, Clip] = {}  # without questions
        self._pairs: dict[str, dict[Hashable, QAPair]] = {}

    def add(self, clip: Clip, where: str) -> None:
        """Add a row's clip to those of earlier rows; RecordError where it contradicts one. A clip
        that any row holds out does not train, even if the rest of that row is refused.
        """
        bare = dataclasses.replace(clip, qa_pairs=())
        known = self._clips.setdefault(clip.clip_id, bare)
        if known is not bare:
            if known.is_for_training and not clip.is_for_training:
                self._clips[clip.clip_id] = dataclasses.replace(known, split=clip.split)
            self._clips[clip.clip_id] = _agreed(known, bare, where)
        pairs = self._pairs.setdefault(clip.clip_id, {})
        for pair in clip.qa_pairs:
            pairs.setdefault(_identity(pair), pair)

    def clips(self) -> Iterator[Clip]:
        """Yield each clip with all its questions, in the order of their first rows."""
        for clip_id, clip in self._clips.items():
            yield dataclasses.replace(clip, qa_pairs=tuple(self._pairs[clip_id].values()))


def _rows(source: str | Path, card: Card | None, split: str) -> Iterator[tuple[str, Any, str]]:
    """Yield (where, row, what is wrong with the line) for each row of a card or file."""
    if card is not None and card.access != "shipped":
        yield from ((where, row, "") for where, row in hub_rows(card, split))
        return
    path = Path(source) if card is None else manifests_dir() / card.name / "rows.jsonl"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is not a file of rows, and no card has this name: use one of"
            f" {', '.join(card_names())}"
        )
    for number, row, broken in scan_rows(path):
        yield f"{path}, line {number}", row, broken


def _agreed(first: Clip, other: Clip, where: str) -> Clip:
    """Return what two rows say about one clip; what only one of them says is kept. RecordError
    where they contradict each other.
    """
    kept: dict[str, Any] = {}
    for f in dataclasses.fields(Clip):
        ours, theirs = getattr(first, f.name), getattr(other, f.name)
        if f.name in ("start_s", "end_s"):  # equal to the millisecond
            kept[f.name] = ours
        elif ours and theirs and ours != theirs:
            raise RecordError(
                f"{where}: clip {first.clip_id} has another {f.name} in an earlier row ({ours!r},"
                f" now {theirs!r}): make them agree"
            )
        else:
            kept[f.name] = ours or theirs
    return Clip(**kept)


def _identity(pair: QAPair) -> Hashable:
    """Return what equal questions share, whatever the order of their options."""
    options = None if pair.options is None else frozenset(pair.options.items())
    return pair.question, pair.answer, options, pair.family


def split_name(said: Any, where: str = "split") -> str:
    """Return the name of a split as clips have it ("Training" is train, "dev" is validation), ""
    where nothing is said. RecordError for an unknown name: a test row must not train.
    """
    found = _SPLIT_NAMES.get("" if said is None else str(said).strip().lower())
    if found is None:
        raise RecordError(
            f"{where}: split {said!r} is unknown; use one of train, validation and test"
        )
    return found


def split_of(row: dict[str, Any], where: str) -> str:
    """Return the split that a row itself names, in its column `split` in any spelling, else "".
    RecordError for an unknown name, and where two columns disagree.
    """
    columns = [name for name in row if str(name).strip().lower() == "split"]
    found = {split_name(row[name], where) for name in columns} - {""}
    if len(found) > 1:
        raise RecordError(f"{where}: columns {', '.join(columns)} name several splits; keep one")
    return found.pop() if found else ""


def hub_rows(card: Card, split: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Return ("hub id, split, row N", row) for each row of a hub dataset at the card's revision;
    HubUnavailable when it cannot be had.
    """
    from obvlib.manifests.hub import fetch

    directory = fetch(card.hub_id, revision=card.revision, repo_type="dataset")
    from datasets import load_dataset

    split = split or card.split
    rows = load_dataset(str(directory), card.hub_config or None, split=split)
    for number, row in enumerate(rows, start=1):
        yield f"{card.hub_id}, {split}, row {number}", row


def clip_from_row(row: Any, where: str, *, dataset: str = "", split: str = "") -> Clip:
    """Return a row of the published schema (video_id, timestamp [start, end], video, caption,
    qa_pairs …) or of our own as a Clip.

    Columns that a clip has no place for are ignored. RecordError names `where`, the field, its
    value and the remedy.
    """
    if not isinstance(row, dict):
        raise RecordError(
            f"{where}: expected a JSON object, got {type(row).__name__}; a failed step may have"
            " written it, drop the line"
        )
    check_plain(row, where)
    split = split_of(row, where) or split_name(split, where)
    row = {name: value for name, value in row.items() if name.strip().lower() != "split"}
    if "start_s" in row:
        return from_json(Clip, row | {"split": split}, where)
    row = lower_names(row, where)
    if "video_id" not in row:
        raise RecordError(f"{where}: field 'video_id' is missing; add the id of the source video")
    start_s, end_s = _timestamp(row, where)
    cleaned, said = row.get("cleaned_caption"), row.get("caption")
    fields = {
        "video_id": row["video_id"],
        "start_s": start_s,
        "end_s": end_s,
        "caption": cleaned or said or "",
        "transcript": (row.get("transcript") or (said if cleaned else "")) or "",
        "dataset": dataset,
        "split": split,
        **{
            name: row[name]
            for name in ("video", "video_url", "modality", "region")
            if row.get(name)
        },
    }
    pairs = [
        _pair_fields(pair, f"{where}, field 'qa_pairs[{i}]'")
        for i, pair in enumerate(_pairs(row, where))
    ]
    return from_json(Clip, {**fields, "qa_pairs": pairs}, where)


def _timestamp(row: dict[str, Any], where: str) -> tuple[float, float]:
    value = row.get("timestamp")
    if value is None:
        raise RecordError(f"{where}: field 'timestamp' is missing; add [start, end] in seconds")
    numbers = isinstance(value, (list, tuple)) and len(value) == 2
    if not numbers or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in value):
        raise RecordError(
            f"{where}: field 'timestamp' is {value!r}; give [start, end], two numbers of seconds"
        )
    if any(isinstance(v, int) and abs(v) >= 2**53 for v in value):
        raise RecordError(
            f"{where}: field 'timestamp' has a number of {max(len(str(v)) for v in value)} digits;"
            " give seconds"
        )
    return float(value[0]), float(value[1])


def _pairs(row: dict[str, Any], where: str) -> list[Any]:
    """Return the row's QA pairs: a list, a list written as a JSON string, or one pair spread over
    the row itself.
    """
    pairs = row.get("qa_pairs")
    if isinstance(pairs, str):
        try:
            pairs = parse(pairs) if pairs.strip() else []
            check_plain(pairs, where)
        except ValueError as error:
            raise RecordError(
                f"{where}: field 'qa_pairs' is not JSON ({error}); give a list of pairs"
            ) from None
    if pairs is None:
        pairs = [row] if row.get("question") else []
    if not isinstance(pairs, (list, tuple)):
        raise RecordError(
            f"{where}: field 'qa_pairs' is a {type(pairs).__name__}; give a list of pairs"
        )
    return list(pairs)


def _pair_fields(pair: Any, where: str) -> dict[str, Any]:
    """Return a published pair in our fields: options by letter, the answer as a letter where there
    are options.
    """
    pair = lower_names(pair, where) if isinstance(pair, dict) else {}
    if not pair.get("question"):
        raise RecordError(f"{where}: {pair!r} has no question; drop the pair or fill it in")
    options = options_of(pair, where)
    answer = answer_of(pair, options, where)
    if options is None and is_letter(answer):  # they stand under a name that says nothing
        raise RecordError(f"{where}: answer {answer!r} is a letter, and no options are given")
    return {
        "question": pair["question"],
        "answer": answer,
        "options": options,
        "family": pair.get("family") or "",
    }
