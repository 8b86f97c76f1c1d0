"""Downloading source videos: each one whole or not at all, each failure by its class.

A dataset publishes ids and times, never videos: its users fetch them from where they are published.
Many are gone by then, so a failure is a normal end with a class that can be counted.

>>> stage = DownloadStage(output_dir="data/videos/openbiomedvid")
>>> run = run_stage(sources_of(clips), stage, ledger, num_workers=2)
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from obvlib.core import Clip
from obvlib.core.checks import check_id
from obvlib.core.locations import local_dir
from obvlib.core.record_rows import digest
from obvlib.engine import Claim, Ledger, Stage, StageRun, StageStopped, claimed, run_stage
from obvlib.manifests import sites
from obvlib.manifests.failures import DownloadError
from obvlib.media.opening import EXTENSIONS

WATCH = "https://www.youtube.com/watch?v="  # and the id: where a row names no address
BYTES_PER_S = 150_000  # of 720p H.264 with sound, for the estimate of the disk that is needed
MIN_FREE_BYTES = 1 << 30
LEDGER = "ledger.sqlite"
UNFINISHED = ".downloading"  # below the output directory: what a stopped run had fetched


@dataclass(frozen=True, kw_only=True)
class SourceVideo:
    """A video to fetch: its id in the dataset, its address, and the stretches that clips name
    (seconds), which can be had instead of the whole.
    """

    video_id: str
    url: str
    sections: tuple[tuple[float, float], ...] = ()

    @property
    def needed_s(self) -> float:
        """Return the seconds from the start to the last clip's end: a lower bound of its length."""
        return max((end for _, end in self.sections), default=0.0)


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """A source that is there: the file's name in the output directory and its size."""

    video_id: str
    file_name: str
    size_bytes: int
    captions: tuple[str, ...] = ()  # names of sidecar caption files
    origin: str = ""  # which contents of the address, see `sites.origin_of`


def sources_of(clips: Iterable[Clip]) -> list[SourceVideo]:
    """Return the source videos that clips need, in the order of their first clip."""
    spans: dict[str, list[tuple[float, float]]] = {}
    urls: dict[str, str] = {}
    for clip in clips:
        spans.setdefault(clip.video_id, []).append((clip.start_s, clip.end_s))
        urls.setdefault(clip.video_id, getattr(clip, "video_url", "") or "")
    return [
        SourceVideo(video_id=name, url=urls[name] or WATCH + name, sections=tuple(sorted(found)))
        for name, found in spans.items()
    ]


def disk_needed(sources: Sequence[SourceVideo]) -> int:
    """Return about how many bytes the sources take at least, from their last clips' ends."""
    return round(sum(source.needed_s for source in sources) * BYTES_PER_S)


def check_disk(directory: str | os.PathLike, sources: Sequence[SourceVideo]) -> None:
    """Raise ValueError where the sources would not fit on the disk of `directory`."""
    place = Path(directory).absolute()
    while not place.exists():
        place = place.parent
    needed, free = disk_needed(sources), shutil.disk_usage(place).free
    if needed > free - MIN_FREE_BYTES:
        raise ValueError(
            f"{len(sources)} videos need about {needed / 1e9:.1f} GB, {MIN_FREE_BYTES / 1e9:.1f} GB"
            f" stay unused, and {place} has {free / 1e9:.1f} GB free: make room, take --limit, or"
            " another --output-dir"
        )


def own_sources(
    sources: Sequence[SourceVideo], claim: Claim, *, captions: bool
) -> tuple[list[SourceVideo], list[SourceVideo]]:
    """Claim the files that sources may become; return the sources whose files are ours to write,
    and those of which a file is there that was not downloaded.
    """
    names = {f"{s.video_id}.{extension}": s.video_id for s in sources for extension in EXTENSIONS}
    if captions:
        names |= {_captions_of(s.video_id): s.video_id for s in sources}
    foreign = {names[name] for name in claim.take(names)}
    own = [source for source in sources if source.video_id not in foreign]
    return own, [source for source in sources if source.video_id in foreign]


class Fetched(NamedTuple):
    """How each download ended, what is reachable, and sources whose place another file holds."""

    run: StageRun
    report: dict[str, Any]
    foreign: list[SourceVideo]


def fetch_all(
    sources: Sequence[SourceVideo], stage: DownloadStage, *, num_workers: int = 0
) -> Fetched:
    """Download sources into the stage's directory, which is local and claimed meanwhile."""
    local_dir(stage.output_dir)
    with claimed(stage.output_dir, "obv download", stage.params()) as claim:
        if not claim.names:  # the first run here
            claim.require([LEDGER])
        own, foreign = own_sources(sources, claim, captions=stage.captions)
        with Ledger(Path(stage.output_dir, LEDGER)) as ledger:
            run = run_stage(own, stage, ledger, num_workers=num_workers)
            report = reachable(sources, ledger.rows(stage.name, run.params))
    return Fetched(run, report, foreign)


@dataclass(frozen=True, kw_only=True)
class DownloadStage(Stage):
    """Fetch one source video. Settings that change what is fetched are part of the result's key;
    where to wait and whose cookies to use are not.
    """

    output_dir: str
    max_height: int = 720  # px; more costs disk, and a model is shown less anyway
    captions: bool = False  # also the site's own captions, as WebVTT beside the video
    sections_only: bool = False  # only the stretches that clips name (needs the ffmpeg program)
    cookies: str = ""  # a cookies.txt of an account that may watch
    rate_bytes_s: int = 0  # at most so many bytes a second; 0: no limit
    sleep_s: float = 1.0  # between two requests to a site
    timeout_s: float = 30.0  # without a byte

    name = "download"
    result = Downloaded
    num_retries = 3

    def params(self) -> dict[str, Any]:
        return {
            "max_height": self.max_height,
            "captions": self.captions,
            "sections_only": self.sections_only,
        }

    def code(self) -> Sequence[ModuleType]:
        return ()  # a newer way of downloading makes no better copy of a video that is there

    def outputs(self, result: Downloaded) -> Sequence[str]:
        return [
            os.path.join(self.output_dir, name) for name in (result.file_name, *result.captions)
        ]

    def weight(self, record: SourceVideo) -> float:
        return max(1.0, record.needed_s)

    def is_current(self, row: dict[str, Any], record: SourceVideo) -> bool:
        """Return whether the address of a file still leads to what was fetched; a file that cannot
        be asked about, and a video of a site's page, is kept.
        """
        before = row["output"].get("origin", "")
        return not before or sites.origin_of(record.url) in ("", before)

    def __call__(self, record: SourceVideo) -> Downloaded:
        """Return the file that was fetched; DownloadError by class, PassingError to try again."""
        unfinished = Path(self.output_dir, UNFINISHED, check_id(record.video_id))
        origin = sites.origin_of(record.url)
        # kept, so that bytes are resumed, but not those of another file
        work = unfinished / digest([record.url, record.sections, origin, self.params()])
        for other in unfinished.glob("*"):
            if other != work:
                shutil.rmtree(other) if other.is_dir() else other.unlink()
        work.mkdir(parents=True, exist_ok=True)
        try:
            sites.fetch(record.url, str(work), self._options(record))
        except StageStopped as error:
            raise StageStopped(f"{self.output_dir}: {error}") from None
        kept = self._keep(record, work, origin)
        shutil.rmtree(unfinished)
        return kept

    def _options(self, record: SourceVideo) -> dict[str, Any]:
        options: dict[str, Any] = {
            "socket_timeout": self.timeout_s,
            "sleep_interval_requests": self.sleep_s,
        }
        if self.captions:
            options |= sites.CAPTIONS
        if self.cookies:
            options["cookiefile"] = self.cookies
        if self.rate_bytes_s:
            options["ratelimit"] = self.rate_bytes_s
        if self.sections_only and record.sections:
            from yt_dlp.utils import download_range_func

            options["download_ranges"] = download_range_func(None, record.sections)
        return options | {"format": sites.formats(record.url, self.max_height)}

    def _keep(self, record: SourceVideo, work: Path, origin: str) -> Downloaded:
        """Give what was fetched its name, after a look at whether it is a video at all."""
        from obvlib import media

        found = [path for path in work.iterdir() if path.suffix not in (".vtt", ".part", ".ytdl")]
        if len(found) != 1:
            shutil.rmtree(work)
            raise DownloadError(f"{len(found)} files came instead of one video", "format")
        try:
            media.probe(found[0])
        except media.MediaError as error:
            shutil.rmtree(work)  # else it counts as fetched when the site has mended it
            raise DownloadError(
                f"what came is not a video that can be read ({error})", "format"
            ) from None
        ending = found[0].suffix.lower()  # a server that names none gets "unknown_video"
        name = f"{record.video_id}{ending if ending[1:] in EXTENSIONS else '.mp4'}"
        captions = []
        if tracks := sorted(work.glob("*.vtt"), key=lambda path: (len(path.name), path.name)):
            captions.append(_captions_of(record.video_id))
            os.replace(tracks[0], os.path.join(self.output_dir, captions[0]))  # plain English first
        size = found[0].stat().st_size
        os.replace(found[0], os.path.join(self.output_dir, name))
        return Downloaded(
            video_id=record.video_id,
            file_name=name,
            size_bytes=size,
            captions=tuple(captions),
            origin=origin,
        )


def _captions_of(video_id: str) -> str:
    return f"{video_id}.en.vtt"


def reachable(sources: Sequence[SourceVideo], rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return how many videos are there, how many clips and hours they carry, and the failures by
    class. `rows` are the stage's rows of the ledger.
    """
    status = {row["item_id"]: row for row in rows}
    done = [s for s in sources if status.get(s.video_id, {}).get("status") == "done"]
    reasons = Counter(
        status[s.video_id]["reason"].partition(":")[0]
        for s in sources
        if status.get(s.video_id, {}).get("status") == "failed"
    )
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "num_videos": len(sources),
        "num_downloaded": len(done),
        "num_clips": sum(len(s.sections) for s in sources),
        "num_clips_downloaded": sum(len(s.sections) for s in done),
        "hours": round(sum(e - b for s in sources for b, e in s.sections) / 3600, 4),
        "hours_downloaded": round(sum(e - b for s in done for b, e in s.sections) / 3600, 4),
        "failures": dict(reasons.most_common()),
    }


def render(report: dict[str, Any]) -> str:
    """Return what `reachable` found as a few lines."""
    lines = [
        f"{report['num_downloaded']} of {report['num_videos']} videos are here, with"
        f" {report['num_clips_downloaded']} of {report['num_clips']} clips and"
        f" {report['hours_downloaded']:.2f} of {report['hours']:.2f} hours"
    ]
    lines += [f"  {num} failed: {kind}" for kind, num in report["failures"].items()]
    return "\n".join(lines)
