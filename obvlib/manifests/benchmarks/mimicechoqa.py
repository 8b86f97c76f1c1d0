"""MIMICEchoQA: questions about echocardiography loops, as the hub and as PhysioNet publish them.

PhysioNet's MIMICEchoQA.json is one array whose rows have `videos` (a list of one path), `answer`
(the option's text), `correct_option` (its letter) and `option_A` to `option_D`; the hub's rows have
`video` (a path). Loops are found by their path below PhysioNet's file tree, and questions are
clustered by patient.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from obvlib.core import Example, RecordError
from obvlib.core.records import check_id
from obvlib.manifests.benchmarks.reading import Place, family_of, text_of
from obvlib.manifests.options import answer_of, options_of

_PATIENT = re.compile(r"(?:^|/)(p\d{4,})/s\d+")
_RELEASE = re.compile(r"mimic-iv-echo/[\d.]+/")  # a user may have the files with or without it


def echo_questions(row: Any, place: Place) -> Iterator[Example]:
    """Return the row's question."""
    question = text_of(row, "question", place.where)
    video = _video(row, place.where)
    parts = PurePosixPath(video).parts
    for part in parts:
        check_id(part, f"a part of video {video!r}")
    patient = _PATIENT.search(video)
    options = options_of(row, place.where)
    answer = answer_of(row, options, place.where)
    yield Example(
        example_id=f"mimicechoqa-{place.number}",
        benchmark=place.name,
        video_id=patient[1] if patient else parts[-2] if len(parts) > 1 else Path(video).stem,
        question=question,
        answer=answer,
        options=options,
        family=family_of(answer, options),
        media=(str(_loop(place.folder, video)),),
    )


def _video(row: dict[str, Any], where: str) -> str:
    """Return the loop's path: field `video`, or the one entry of `videos`."""
    listed = row.get("videos")
    if listed is None:
        return text_of(row, "video", where)
    if not isinstance(listed, (list, tuple)) or len(listed) != 1 or not isinstance(listed[0], str):
        raise RecordError(f"{where}: field 'videos' is {listed!r}; give a list of one path")
    return text_of({"videos": listed[0]}, "videos", where)


def _loop(folder: Path, video: str) -> Path:
    whole = folder.joinpath(*PurePosixPath(video).parts)
    short = folder.joinpath(*PurePosixPath(_RELEASE.sub("", video, count=1)).parts)
    return short if not whole.is_file() and short.is_file() else whole
