"""A benchmark by its name: the right reader over its rows, problems by name."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from obvlib.core import Example, RecordError, data_root
from obvlib.core.checks import add_unique
from obvlib.core.forgotten import forgotten_sources
from obvlib.core.jsonl import check_plain
from obvlib.core.locations import local_dir
from obvlib.core.messages import one_line
from obvlib.manifests.benchmarks.clips import ClipQuestions, clip_examples
from obvlib.manifests.benchmarks.image_questions import image_questions
from obvlib.manifests.benchmarks.medframeqa import frame_questions
from obvlib.manifests.benchmarks.medqa import medqa_questions
from obvlib.manifests.benchmarks.mimicechoqa import echo_questions
from obvlib.manifests.benchmarks.pubmedqa import pubmedqa_questions
from obvlib.manifests.benchmarks.reading import Place, rows_of
from obvlib.manifests.cards import load_card, warn_of_differences
from obvlib.manifests.rows import RowProblem, hub_rows, iter_rows, split_name, split_of

Reader = Callable[[Any, Place], Iterable[Example]]
NAMES = (
    "mini",
    "real_small",
    "MIMICEchoQA",
    "SurgeryVideoQA",
    "VQA-RAD",
    "PathVQA",
    "SLAKE",
    "MedFrameQA",
    "MedQA",
    "PubMedQA",
)


def media_dir(name: str) -> Path:
    """Return where a benchmark's slices, loops or images lie unless told otherwise: `media/<name>`
    under the data root.
    """
    return data_root() / "media" / name.lower()


def load_examples(
    name: str,
    *,
    media: str | os.PathLike | None = None,
    rows: str | os.PathLike | None = None,
    limit: int | None = None,
    problems: list[RowProblem] | None = None,
) -> list[Example]:
    """Return the examples of a benchmark of `NAMES`, in any case.

    `media` is the folder of its files (default `media_dir(name)`), `rows` a file to read in place
    of the hub (JSON lines, or one JSON array), `limit` keeps the first so many. A row that is no
    example is added to `problems`, or warned about where no list is given; so is a number of
    questions other than the card's. Raises HubUnavailable where rows are neither cached nor within
    reach, ValueError for an unknown name and for media that are not on this machine.
    """
    known = {n.lower(): n for n in NAMES}
    if name.lower() not in known:
        raise ValueError(f"no benchmark named {name!r}: there are {', '.join(NAMES)}")
    name = known[name.lower()]
    folder = local_dir(media) if media is not None else media_dir(name)
    found: list[RowProblem] = []
    forgotten = forgotten_sources()
    examples: dict[str, Example] = {}
    for item in _items(name, folder, rows):
        if isinstance(item, RowProblem):
            found.append(item)
            continue
        if len(examples) == limit:
            break
        try:
            forgotten.check(item.video_id, name)
            add_unique(examples, item.example_id, item, "example_id")
        except RecordError as error:
            found.append(RowProblem(where=name, reason=f"{name}: {error}"))
    card = load_card(name)
    if card.hub_id and rows is None and limit is None:
        warn_of_differences(card, {"qa_pairs": len(examples)})
    if problems is not None:
        problems.extend(found)
    elif found:
        warnings.warn(
            f"{name}: {len(found)} rows are not examples; the first: {found[0].reason}",
            stacklevel=2,
        )
    return list(examples.values())


def _reader(name: str) -> Reader:
    """Return a fresh reader of a benchmark's rows."""
    readers: dict[str, Reader] = {
        "MIMICEchoQA": echo_questions,
        "SurgeryVideoQA": ClipQuestions(),
        "MedFrameQA": frame_questions,
        "MedQA": medqa_questions,
        "PubMedQA": pubmedqa_questions,
    }
    return readers.get(name, image_questions)


def _items(
    name: str, folder: Path, rows: str | os.PathLike | None
) -> Iterator[Example | RowProblem]:
    if name == "real_small":
        from obvlib.mini import real_examples

        yield from real_examples(folder)
        return
    if name == "mini":
        for item in iter_rows(Path(rows) if rows is not None else name, split="test"):
            yield from (
                [item] if isinstance(item, RowProblem) else clip_examples([item], name, folder)
            )
        return
    card, read = load_card(name), _reader(name)
    given = rows_of(rows) if rows is not None else ((w, row, "") for w, row in hub_rows(card))
    for number, (where, row, broken) in enumerate(given, start=1):
        place = Place(name=name, card=card, folder=folder, number=number, where=where)
        try:
            if broken:
                raise RecordError(broken)
            check_plain(row, where)
            _check_split(row, place)
            yield from read(row, place)
        except ValueError as error:
            reason = str(error) if str(error).startswith(where) else f"{where}: {error}"
            yield RowProblem(where=where, reason=one_line(reason))


def _check_split(row: Any, place: Place) -> None:
    """Raise RecordError for a row that says it is of another split than the benchmark's."""
    said = split_of(row, place.where) if isinstance(row, dict) else ""
    if said and place.card.split and said != split_name(place.card.split):
        raise RecordError(
            f"{place.where}: split {said!r} is not the benchmark's, {place.card.split}:"
            " leave the row out"
        )
