"""The two stages that touch video: all clips of a source are cut, or prepared, while it is open
once.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obvlib import media
from obvlib.core import files
from obvlib.core.files import partial_name
from obvlib.engine import stops_everything
from obvlib.slicing.jobs import ClipJob

RETRY_WAITS_S = (0.5, 2.0)  # before a clip whose file could not be written or sent is tried again


@dataclass(frozen=True, kw_only=True)
class ClipFile:
    """A clip that was made, where it is and how. `lead_in_s` of a copied clip is hidden by its edit
    list and decoded first.
    """

    clip_id: str
    video_id: str
    start_s: float
    end_s: float
    path: str
    mode: str
    num_frames: int
    size_bytes: int
    lead_in_s: float = 0.0
    note: str = ""
    mtime_ns: int = 0  # of the file as it was left; 0 where it is remote
    source_bytes: int = -1


@dataclass(frozen=True, kw_only=True)
class _Stage:
    output_dir: str
    cache_dir: str
    num_threads: int = 0
    max_cache_bytes: int = files.MAX_CACHE_BYTES

    def run_group(self, jobs: list[ClipJob]) -> Iterator[tuple[int, ClipFile | Exception]]:
        """Make all clips of one source; yield (index, file or what went wrong) as each ends."""
        if not jobs[0].source:
            reason = media.MediaError(
                f"no video of {jobs[0].video_id} in the input directory: download it", "missing"
            )
            yield from ((index, reason) for index in range(len(jobs)))
            return
        with ExitStack() as stack:
            path = files.local_copy(jobs[0].source, self.cache_dir, self.max_cache_bytes)
            try:
                source = stack.enter_context(media.open_source(path, self.num_threads))
            except media.MediaError as error:
                yield from ((index, error) for index in range(len(jobs)))
                return
            yield from self._make(source, jobs, self._directory(stack))

    def _directory(self, stack: ExitStack) -> Path:
        """Where clips are written: the output directory, or a local one on the way to a remote."""
        if not files.is_remote(self.output_dir):
            return Path(self.output_dir)
        Path(self.cache_dir).mkdir(parents=True, exist_ok=True)
        return Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(dir=self.cache_dir, prefix=partial_name(""))
            )
        )

    def _finish(self, job: ClipJob, made: Any, mode: str, lead_in_s: float) -> ClipFile:
        size, mtime_ns = os.path.getsize(made.path), os.stat(made.path).st_mtime_ns
        location = files.join(self.output_dir, job.file_name)
        if files.is_remote(self.output_dir):
            files.publish(made.path, location)
            os.unlink(made.path)
        return ClipFile(
            clip_id=job.clip_id,
            video_id=job.video_id,
            start_s=made.start_s,
            end_s=made.end_s,
            path=location,
            mode=mode,
            num_frames=made.num_frames,
            size_bytes=size,
            lead_in_s=lead_in_s,
            note=made.note,
            mtime_ns=0 if files.is_remote(self.output_dir) else mtime_ns,
            source_bytes=job.source_bytes,
        )


@dataclass(frozen=True, kw_only=True)
class SliceStage(_Stage):
    """Cut clips as they are, in one of `media.MODES`."""

    mode: str = "smart"

    def _make(
        self, source: media.Source, jobs: list[ClipJob], directory: Path
    ) -> Iterator[tuple[int, ClipFile | Exception]]:
        for index in sorted(range(len(jobs)), key=lambda i: jobs[i].start_s):
            job = jobs[index]
            yield index, _tried(lambda job=job: self._one(source, job, directory))

    def _one(self, source: media.Source, job: ClipJob, directory: Path) -> ClipFile:
        made = media.slice_clip(
            source, directory / job.file_name, job.start_s, job.end_s, self.mode, self.num_threads
        )
        return self._finish(job, made, made.mode, made.lead_in_s)


@dataclass(frozen=True, kw_only=True)
class PrepareStage(_Stage):
    """Write what `policy` shows a model of each clip, in one pass over the source."""

    policy: Any = None

    def _make(
        self, source: media.Source, jobs: list[ClipJob], directory: Path
    ) -> Iterator[tuple[int, ClipFile | Exception]]:
        clips = [(directory / job.file_name, job.start_s, job.end_s) for job in jobs]
        for index, made in media.prepare_clips(source, clips, self.policy, self.num_threads):
            if not isinstance(made, Exception):
                made = _tried(
                    lambda index=index, made=made: self._finish(jobs[index], made, "prepared", 0.0)
                )
            yield index, made


def _tried(make: Callable[[], ClipFile]) -> ClipFile | Exception:
    """One clip, or what is wrong with it; what may pass (a connection) is tried again, and a full
    disk stops the run.
    """
    for wait_s in (*RETRY_WAITS_S, None):
        try:
            return make()
        except Exception as error:
            if stops_everything(error):
                raise
            if isinstance(error, media.MediaError):
                return error
            if wait_s is None or not isinstance(error, OSError):
                return media.MediaError(f"{type(error).__name__}: {error}")
            time.sleep(wait_s)
    raise AssertionError("unreachable")
