"""The two stages that touch video: all clips of a source are cut, or prepared, while it is open
once.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from obvlib import media
from obvlib.core import FramePolicy, files
from obvlib.engine import Stage, tried
from obvlib.slicing.jobs import ClipJob

MAX_OPEN = 48  # overlapping clips of a source that are written at once: files, encoders, memory
Made = Any  # media.Slice or media.Prepared


class OutputError(ValueError):
    """A clip that was made and could not be put in its place: the source is not at fault."""

    kind = "output"


@dataclass(frozen=True, kw_only=True)
class ClipFile:
    """A clip that was made, its name below the output directory and how. `lead_in_s` of a copied
    clip is hidden by its edit list and decoded first.
    """

    clip_id: str
    video_id: str
    start_s: float
    end_s: float
    file_name: str
    mode: str
    num_frames: int
    size_bytes: int
    lead_in_s: float = 0.0
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class ClipStage(Stage):
    """What slicing and preparing share: where sources come from and where clips go."""

    output_dir: str
    cache_dir: str
    made_in: str = ""  # where the output directory was before it was moved
    num_threads: int = 0
    max_cache_bytes: int = files.MAX_CACHE_BYTES

    result = ClipFile

    def code(self) -> Sequence[ModuleType]:
        return (media, sys.modules[__name__])

    def group(self, job: ClipJob) -> str:
        return job.video_id

    def weight(self, job: ClipJob) -> float:
        return job.duration_s

    def inputs(self, job: ClipJob) -> Sequence[str]:
        return (job.source,) if job.source else ()

    def outputs(self, made: ClipFile) -> Sequence[str]:
        return (files.join(self.output_dir, made.file_name),)

    def fetch(self, location: str) -> str:
        return files.local_copy(location, self.cache_dir, self.max_cache_bytes)

    def place(self) -> str:
        """Return the output directory as the ledger knows it: wherever a run is started from, and
        wherever the directory has been moved to.
        """
        if self.made_in:
            return self.made_in
        is_remote = files.is_remote(self.output_dir)
        return files.shown(self.output_dir) if is_remote else os.path.realpath(self.output_dir)

    def run_group(self, jobs: list[ClipJob]) -> Iterator[tuple[int, ClipFile | Exception]]:
        """Make all clips of one source; yield (index, file or what went wrong) as each ends."""
        if not jobs[0].source:
            reason = media.MediaError(
                f"no video of {jobs[0].video_id} in the input directory: download it", "missing"
            )
            yield from ((index, reason) for index in range(len(jobs)))
            return
        with ExitStack() as stack:
            path = self.fetch(jobs[0].source)
            try:
                source = stack.enter_context(media.open_source(path, self.num_threads))
            except media.MediaError as error:
                yield from ((index, error) for index in range(len(jobs)))
                return
            yield from self._make(source, jobs, stack.enter_context(self._work_dir()))

    def _make(
        self, source: media.Source, jobs: list[ClipJob], directory: Path
    ) -> Iterator[tuple[int, ClipFile | Exception]]:
        raise NotImplementedError

    @contextmanager
    def _work_dir(self) -> Iterator[Path]:
        """Yield a directory to make clips in, on the disk that they stay on or are sent from."""
        is_remote = files.is_remote(self.output_dir)
        parent = Path(self.cache_dir if is_remote else self.output_dir)
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=files.partial_name("")) as directory:
            yield Path(directory)

    def _finish(self, job: ClipJob, made: Made, mode: str) -> ClipFile:
        size = os.path.getsize(made.path)
        location = files.join(self.output_dir, job.file_name)
        try:
            files.publish(made.path, location)
        except (IsADirectoryError, NotADirectoryError, FileExistsError, PermissionError) as error:
            raise OutputError(
                f"{job.file_name} cannot be replaced ({error.strerror}): move it away, or choose"
                " another output directory"
            ) from None
        return ClipFile(
            clip_id=job.clip_id,
            video_id=job.video_id,
            start_s=made.start_s,
            end_s=made.end_s,
            file_name=job.file_name,
            mode=mode,
            num_frames=made.num_frames,
            size_bytes=size,
            lead_in_s=getattr(made, "lead_in_s", 0.0),
            note=made.note,
        )


@dataclass(frozen=True, kw_only=True)
class SliceStage(ClipStage):
    """Cut clips as they are, in one of `media.MODES`."""

    mode: str = media.DEFAULT_MODE

    name = "slice"

    def params(self) -> dict[str, Any]:
        return {"mode": self.mode, "output_dir": self.place()}

    def _make(
        self, source: media.Source, jobs: list[ClipJob], directory: Path
    ) -> Iterator[tuple[int, ClipFile | Exception]]:
        for index in sorted(range(len(jobs)), key=lambda i: jobs[i].start_s):
            cut = functools.partial(self._one, source, jobs[index], directory)
            yield index, tried(cut, self.num_retries)

    def _one(self, source: media.Source, job: ClipJob, directory: Path) -> ClipFile:
        made = media.slice_clip(
            source, directory / job.file_name, job.start_s, job.end_s, self.mode, self.num_threads
        )
        return self._finish(job, made, made.mode)


@dataclass(frozen=True, kw_only=True)
class PrepareStage(ClipStage):
    """Write what `policy` shows a model of each clip, in one pass over the source."""

    policy: FramePolicy

    name = "prepare"

    def params(self) -> dict[str, Any]:
        return {"policy": self.policy.to_dict(), "output_dir": self.place()}

    def _make(
        self, source: media.Source, jobs: list[ClipJob], directory: Path
    ) -> Iterator[tuple[int, ClipFile | Exception]]:
        for part in passes(jobs, MAX_OPEN):
            clips = [(directory / jobs[i].file_name, jobs[i].start_s, jobs[i].end_s) for i in part]
            for at, made in media.prepare_clips(source, clips, self.policy, self.num_threads):
                if not isinstance(made, Exception):
                    finish = functools.partial(self._finish, jobs[part[at]], made, "prepared")
                    made = tried(finish, self.num_retries)
                yield part[at], made


@dataclass
class _Read:
    """One read of a source: the clips it makes, and when those end that are open."""

    indices: list[int] = field(default_factory=list)
    ends_s: list[float] = field(default_factory=list)

    def has_room(self, start_s: float, max_open: int) -> bool:
        self.ends_s = [end_s for end_s in self.ends_s if end_s > start_s]
        return len(self.ends_s) < max_open


def passes(jobs: Sequence[ClipJob], max_open: int) -> list[list[int]]:
    """Return the indices of jobs in as few reads of their source as keep at most `max_open` clips
    open at any time: each clip goes into the first read that has room when it starts.
    """
    reads: list[_Read] = []
    for index in sorted(range(len(jobs)), key=lambda i: jobs[i].start_s):
        start_s, end_s = jobs[index].start_s, jobs[index].end_s
        read = next((r for r in reads if r.has_room(start_s, max_open)), None)
        if read is None:
            reads.append(read := _Read())
        read.indices.append(index)
        read.ends_s.append(float("inf") if end_s is None else end_s)
    return [read.indices for read in reads]
