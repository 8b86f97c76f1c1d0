"""What is to be cut: each clip once, however many rows ask about it, and where its source is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from obvlib.core import Clip, files
from obvlib.core.checks import RecordError, check_path
from obvlib.media.opening import EXTENSIONS

UNKNOWN_S = 0.0  # how long a clip counts as in sums and estimates whose length only its file knows


@dataclass(frozen=True, kw_only=True)
class ClipJob:
    """One clip to make. `source` is the location of its video, empty where none was found; without
    `end_s` the clip is all of it.
    """

    clip_id: str
    video_id: str
    start_s: float
    end_s: float | None
    file_name: str
    source: str = field(default="", compare=False)  # a source that moved makes no other clip

    @property
    def duration_s(self) -> float:
        return UNKNOWN_S if self.end_s is None else self.end_s - self.start_s


@dataclass(frozen=True)
class Refused:
    """A row that names the output of another clip: making both would overwrite one."""

    clip_id: str
    video_id: str
    reason: str
    duration_s: float


def make_jobs(clips: Iterable[Clip], input_dir: str) -> tuple[list[ClipJob], list[Refused]]:
    """Return one job for each file to write, with its source; rows about the same clip share one,
    rows in conflict are refused with a reason.
    """
    by_name: dict[str, Clip] = {}
    refused = []
    for clip in clips:
        if is_reserved(clip.file_name):
            reason = (
                f"conflict: file {clip.file_name!r} is the name of our own notes; rename the clip"
            )
            refused.append(Refused(clip.clip_id, clip.video_id, reason, clip.duration_s))
            continue
        first = by_name.setdefault(clip.file_name, clip)
        if first.clip_id != clip.clip_id:
            reason = (
                f"conflict: file {clip.file_name!r} is already the name of clip {first.clip_id};"
                " rename one"
            )
            refused.append(Refused(clip.clip_id, clip.video_id, reason, clip.duration_s))
    sources = find_sources(input_dir, {clip.video_id for clip in by_name.values()})
    jobs, seen = [], set()
    for name, clip in by_name.items():
        # the same stretch under two names
        id_ = clip.clip_id if clip.clip_id not in seen else f"{clip.clip_id}:{name}"
        seen.add(id_)
        jobs.append(
            ClipJob(
                clip_id=id_,
                video_id=clip.video_id,
                start_s=clip.start_s,
                end_s=clip.end_s,
                file_name=name,
                source=sources.get(clip.video_id, ""),
            )
        )
    return jobs, refused


def is_reserved(file_name: str) -> bool:
    """Return whether a file in an output directory is ours to write and no clip's."""
    name = file_name.casefold()
    is_report = name.startswith("coverage_") and name.endswith(".json")
    return is_report or name in ("readme.md", "card.json") or name.startswith("ledger.sqlite")


def own_jobs(jobs: list[ClipJob], foreign: set[str]) -> tuple[list[ClipJob], list[Refused]]:
    """Return the jobs that write files of our own, and the others as refused with a reason."""
    refused = [
        Refused(
            job.clip_id,
            job.video_id,
            f"foreign: file {job.file_name!r} in the output directory was not made by this command;"
            " move it away, or choose another directory",
            job.duration_s,
        )
        for job in jobs
        if job.file_name in foreign
    ]
    return [job for job in jobs if job.file_name not in foreign], refused


def whole_jobs(paths: Iterable[str], input_dir: str) -> list[ClipJob]:
    """Return a job for each whole video, named by its path below `input_dir`, which it keeps
    (MIMICEchoQA's loops). RecordError for a path that leaves it, or is the name of our own notes.
    """
    jobs = []
    for path in dict.fromkeys(paths):
        if is_reserved(path):
            raise RecordError(f"video {path!r} has the name of our own notes; rename the file")
        source = files.join(input_dir, check_path(path))
        found = source if files.size_bytes(source) >= 0 else ""
        jobs.append(
            ClipJob(
                clip_id=path, video_id=path, start_s=0.0, end_s=None, file_name=path, source=found
            )
        )
    return jobs


def find_sources(input_dir: str, video_ids: Iterable[str]) -> dict[str, str]:
    """Return where the videos are: `{video_id}.{extension}` directly in `input_dir`, a path or any
    fsspec location. Extensions may be in capitals.
    """
    names = files.file_names(input_dir)
    spelled = {_lower_extension(name): name for name in names or ()}
    found = {}
    for video_id in video_ids:
        for name in [f"{video_id}.{extension}" for extension in EXTENSIONS] + [video_id]:
            name = name if names is not None and name in names else spelled.get(name, name)
            if name in names if names is not None else files.exists(files.join(input_dir, name)):
                found[video_id] = files.join(input_dir, name)
                break
    return found


def _lower_extension(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    return stem + dot + extension.lower()
