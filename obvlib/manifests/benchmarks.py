"""One reader for each benchmark: rows → examples, each with one question, its options, its answer
and the paths of its media.

What every reader keeps to: the order is that of the rows; `example_id` is unique; a closed answer
is a letter of `options`, a yes/no answer the word in lower case; `video_id` is what confidence
intervals cluster by (the source video, the study, the image). Paths are given whether or not the
file is there: a missing one becomes a failed prediction with its reason, not a smaller benchmark.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from obvlib.core import Clip, Example, RecordError, data_root
from obvlib.core.files import replacing
from obvlib.core.jsonl import read_rows
from obvlib.core.records import check_id
from obvlib.manifests.cards import Card, load_card, warn_of_differences
from obvlib.manifests.rows import RowProblem, as_letter, clip_from_row, hub_rows, iter_rows

NAMES = (
    "mini",
    "real_small",
    "MIMICEchoQA",
    "SurgeryVideoQA",
    "VQA-RAD",
    "PathVQA",
    "SLAKE",
    "MedQA",
    "PubMedQA",
)


def media_dir(name: str) -> Path:
    """Where a benchmark's slices, loops or images lie unless told otherwise: `media/<name>` under
    the data root.
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
    """The examples of a benchmark of `NAMES`, in any case.

    `media` is the folder of its files (default `media_dir(name)`), `rows` a JSON lines file to read
    in place of the hub, `limit` keeps the first so many. A row that is no example is added to
    `problems`, or warned about where no list is given; so is a number of questions other than the
    card's. Raises HubUnavailable where rows are neither cached nor within reach, ValueError for an
    unknown name.
    """
    known = {n.lower(): n for n in NAMES}
    if name.lower() not in known:
        raise ValueError(f"no benchmark named {name!r}: there are {', '.join(NAMES)}")
    name = known[name.lower()]
    folder = Path(media) if media is not None else media_dir(name)
    found: list[RowProblem] = []
    examples = []
    for item in _items(name, folder, rows):
        if isinstance(item, RowProblem):
            found.append(item)
        elif limit is None or len(examples) < limit:
            examples.append(item)
        else:
            break
    _check_unique(examples, name)
    card = load_card(name)
    if card.hub_id and rows is None and limit is None:
        warn_of_differences(card, {"qa_pairs": len(examples)})
    if problems is not None:
        problems.extend(found)
    elif found:
        warnings.warn(
            f"{name}: {len(found)} rows are no examples; the first: {found[0].reason}", stacklevel=2
        )
    return examples


def clip_examples(clips: Iterable[Clip], benchmark: str, folder: Path) -> Iterator[Example]:
    """One example for each question of each clip; its media is the clip's slice in `folder`."""
    for clip in clips:
        for number, pair in enumerate(clip.qa_pairs):
            yield Example(
                example_id=f"{clip.clip_id}-{number}",
                benchmark=benchmark,
                video_id=clip.video_id,
                question=pair.question,
                answer=pair.answer,
                options=pair.options,
                family=pair.family or _family(pair.answer, pair.options),
                media=(str(folder / clip.file_name),),
            )


def _items(
    name: str, folder: Path, rows: str | os.PathLike | None
) -> Iterator[Example | RowProblem]:
    if name == "real_small":
        from obvlib.mini import real_examples

        yield from real_examples(folder)
        return
    if name in ("mini", "SurgeryVideoQA"):
        source = Path(rows) if rows is not None else name
        for item in iter_rows(source, split="test" if name == "mini" else ""):
            yield from (
                [item] if isinstance(item, RowProblem) else clip_examples([item], name, folder)
            )
        return
    card = load_card(name)
    read = {"MIMICEchoQA": _echo, "MedQA": _medqa, "PubMedQA": _pubmedqa}.get(name, _image)
    for number, (where, row) in enumerate(
        read_rows(rows) if rows is not None else hub_rows(card), start=1
    ):
        try:
            yield read(row, where, number, card, folder, name)
        except RecordError as error:
            reason = str(error) if str(error).startswith(where) else f"{where}: {error}"
            yield RowProblem(where=where, reason=reason)


def _echo(
    row: dict[str, Any], where: str, number: int, card: Card, folder: Path, name: str
) -> Example:
    """MIMICEchoQA: options in columns, the loop by its path below PhysioNet's file tree; clustered
    by patient, else by folder.
    """
    video = _text(row, "video", where)
    parts = PurePosixPath(video).parts
    for part in parts:
        check_id(part, f"a part of video {video!r}")
    patient = re.search(r"(?:^|/)(p\d{4,})/s\d+", video)
    pair = clip_from_row(
        {**row, "video_id": "loop", "video": "", "timestamp": [0, 1]}, where
    ).qa_pairs
    if not pair:
        raise RecordError(f"{where}: field 'question' is missing; add it to the row")
    return Example(
        example_id=f"mimicechoqa-{number}",
        benchmark=name,
        video_id=patient.group(1) if patient else parts[-2] if len(parts) > 1 else Path(video).stem,
        question=pair[0].question,
        answer=pair[0].answer,
        options=pair[0].options,
        family=_family(pair[0].answer, pair[0].options),
        media=(str(folder.joinpath(*parts)),),
    )


def _image(
    row: dict[str, Any], where: str, number: int, card: Card, folder: Path, name: str
) -> Example:
    """VQA-RAD, PathVQA, SLAKE: the picture is in the row; it is written once under the hash of its
    pixels, which is the cluster too.
    """
    image = row.get("image")
    if not hasattr(image, "save"):
        raise RecordError(
            f"{where}: field 'image' is {type(image).__name__}, not a picture; read the rows"
            " through the hub"
        )
    answer = _text(row, "answer", where)
    if answer.lower() in ("yes", "no"):
        answer = answer.lower()
    pixels = image.convert("RGB")
    digest = hashlib.sha256(repr(pixels.size).encode() + pixels.tobytes()).hexdigest()[:16]
    path = folder / f"{digest}.png"
    if not path.exists():
        with replacing(path) as partial:
            pixels.save(partial, format="PNG")
    return Example(
        example_id=f"{card.name}-{number}",
        benchmark=name,
        video_id=digest,
        question=_text(row, "question", where),
        answer=answer,
        family=_family(answer, None),
        media=(str(path),),
        media_kind="image",
    )


def _medqa(
    row: dict[str, Any], where: str, number: int, card: Card, folder: Path, name: str
) -> Example:
    """MedQA: a vignette with four lettered options."""
    options = row.get("options")
    if not isinstance(options, dict):
        raise RecordError(f"{where}: field 'options' is {options!r}; give letters with their texts")
    options = {letter: text for letter, text in sorted(options.items()) if text}
    said = row.get("answer_idx") or row.get("answer") or ""
    return Example(
        example_id=f"medqa-{number}",
        benchmark=name,
        video_id=f"medqa-{number}",
        question=_text(row, "question", where),
        answer=as_letter(said, options) or str(said),
        options=options,
        family="closed",
        media_kind="text",
    )


def _pubmedqa(
    row: dict[str, Any], where: str, number: int, card: Card, folder: Path, name: str
) -> Example:
    """PubMedQA: the abstract comes before the question; yes, no and maybe are the options A, B and
    C.
    """
    context = row.get("context") or {}
    sections = context.get("contexts", []) if isinstance(context, dict) else [str(context)]
    options = {"A": "yes", "B": "no", "C": "maybe"}
    decision = _text(row, "final_decision", where)
    return Example(
        example_id=f"pubmedqa-{row.get('pubid', number)}",
        benchmark=name,
        video_id=f"pubmedqa-{row.get('pubid', number)}",
        question="\n".join([*sections, _text(row, "question", where)]),
        answer=as_letter(decision, options) or decision,
        options=options,
        family="closed",
        media_kind="text",
    )


def _family(answer: str, options: dict[str, str] | None) -> str:
    return "closed" if options else "yes_no" if answer in ("yes", "no") else "open"


def _text(row: Any, field: str, where: str) -> str:
    value = row.get(field) if isinstance(row, dict) else None
    if not isinstance(value, str) or not value.strip():
        raise RecordError(f"{where}: field {field!r} is {value!r}; give it some text")
    return value.strip()


def _check_unique(examples: list[Example], name: str) -> None:
    seen: set[str] = set()
    for example in examples:
        if example.example_id in seen:
            raise RecordError(
                f"{name}: example_id {example.example_id!r} comes twice; remove the repeated row"
            )
        seen.add(example.example_id)
