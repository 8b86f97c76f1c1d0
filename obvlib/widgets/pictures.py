"""The frames of a sample as the model receives them, each with its presentation time, and any
other frame of its file: always decoded by `obvlib.media`, never by a browser's seek.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from obvlib.core import Clip, Example, FramePolicy
from obvlib.media import MediaError, clip_frames, frames_at, packets, probe

EXACT_PIXELS = 4_000_000  # of all frames together: up to here the strip itself is lossless
THUMB_HEIGHT = 96  # px, of larger frames in the strip; one frame at a time comes at full size
ON_SCREEN_S = 1e-3  # a frame is on screen at a time that rounding put just before it


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a sample's pictures are: a slice, or a stretch of a source video from `start_s` to
    `end_s` where the slice is not there.
    """

    path: Path
    start_s: float = 0.0
    end_s: float | None = None
    is_image: bool = False

    @property
    def is_slice(self) -> bool:
        """Is the whole file the sample?"""
        return self.start_s == 0 and self.end_s is None


def find_place(record: Clip | Example, clips_dir: Path | None, videos_dir: Path | None) -> Place:
    """Return the sample's slice, else the stretch of its source video; MediaError says where it is
    not.
    """
    if isinstance(record, Example):
        if not record.media:
            raise MediaError("a question in words alone: there is no picture to show", "settings")
        path = Path(record.media[0])
        if not path.is_file():
            raise MediaError(
                f"{path.name} is not in {path.parent}: slice or download it", "missing"
            )
        return Place(path=path, is_image=record.media_kind == "image")
    if clips_dir is not None and (clips_dir / record.file_name).is_file():
        return Place(path=clips_dir / record.file_name)
    source = videos_dir / f"{record.video_id}.mp4" if videos_dir is not None else None
    if source is not None and source.is_file():
        return Place(path=source, start_s=record.start_s, end_s=record.end_s)
    places = " or ".join(str(place) for place in (clips_dir, videos_dir) if place is not None)
    raise MediaError(
        f"neither {record.file_name} nor {record.video_id}.mp4 is in {places or 'any folder'}:"
        " download the source video, then slice it",
        "missing",
    )


@dataclass(frozen=True, eq=False)
class Pictures:
    """What the model saw of a sample: frames (T, H, W, 3) uint8, the policy's times (T,) and the
    presentation times (T,) of the frames on screen then, in seconds from the sample's start.
    """

    place: Place
    frames: np.ndarray
    times_s: np.ndarray
    pts_s: np.ndarray
    all_pts_s: np.ndarray  # of every frame of the file within the sample, for stepping

    @cached_property
    def is_exact(self) -> bool:
        """Is the strip itself lossless, or made of small previews?"""
        return self.frames[..., 0].size <= EXACT_PIXELS

    @cached_property
    def strip(self) -> list[bytes]:
        """Return one PNG (or, for large frames, a JPEG preview) a frame."""
        return [to_png(f) if self.is_exact else _preview(f) for f in self.frames]


def read_pictures(place: Place, policy: FramePolicy) -> Pictures:
    """Read a sample's frames the way training and evaluation do. MediaError says what is wrong."""
    if place.is_image:
        return _still(place, policy)
    shown = np.array([packet.time_s for packet in packets(place.path)])
    shown = np.sort(shown)
    if not len(shown):
        raise MediaError(f"{place.path.name} holds no frame: download it again", "damaged")
    if place.is_slice:
        frames, times_s = clip_frames(place.path, policy)
    else:
        frames, times_s = _frames_of_source(place, policy)
    end_s = place.end_s if place.end_s is not None else np.inf
    within = shown[(shown >= _on_screen(shown, np.array([place.start_s]))[0]) & (shown < end_s)]
    pts_s = _on_screen(shown, place.start_s + times_s)
    return Pictures(place, frames, times_s, pts_s - place.start_s, within - place.start_s)


def _on_screen(shown: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """Return the presentation time of the frame on screen at each time: the last one not
    after it.
    """
    return shown[np.maximum(np.searchsorted(shown, times_s + ON_SCREEN_S, side="right") - 1, 0)]


def _frames_of_source(place: Place, policy: FramePolicy) -> tuple[np.ndarray, np.ndarray]:
    info = probe(place.path)
    end_s = info.duration_s if place.end_s is None else min(place.end_s, info.duration_s)
    if end_s <= place.start_s:
        raise MediaError(
            f"{place.path.name} is {info.duration_s:.3f} s long, and the sample begins at"
            f" {place.start_s:.3f} s",
            "past_end",
        )
    times_s = policy.sample_times(round(end_s - place.start_s, 3))
    height, width = policy.fit_size(info.height, info.width, len(times_s))
    frames, _ = frames_at(place.path, place.start_s + times_s, height, width)
    return frames, times_s


def _still(place: Place, policy: FramePolicy) -> Pictures:
    from obvlib.inputs import fit_image
    from obvlib.manifests.pictures import open_rgb

    try:
        pixels = open_rgb(place.path)
    except (OSError, ValueError) as error:
        raise MediaError(str(error)) from None
    zero = np.zeros(1)
    return Pictures(place, fit_image(pixels, policy).pixels[None], zero, zero, zero)


def frame_of_video(place: Place, time_s: float) -> tuple[bytes, float]:
    """Return the frame on screen `time_s` after the sample's start as PNG at the file's own size,
    and its presentation time: what a paused video shows and what a label is about.
    """
    frames, pts_s = frames_at(place.path, [place.start_s + max(0.0, time_s) + ON_SCREEN_S])
    return to_png(frames[0]), float(pts_s[0]) - place.start_s


def picture_facts(pictures: Pictures, policy: FramePolicy) -> dict[str, Any]:
    """Return what the page needs to know of a sample's frames."""
    _, height, width, _ = pictures.frames.shape
    place = pictures.place
    end_s = place.end_s if place.end_s is not None else float(pictures.all_pts_s[-1]) + 0.04
    return {
        "times": pictures.times_s.tolist(),
        "pts": pictures.pts_s.round(6).tolist(),
        "all_pts": pictures.all_pts_s.round(6).tolist(),
        "height": height,
        "width": width,
        "rows": height // policy.factor,
        "columns": width // policy.factor,
        "temporal": policy.temporal_patch_size,
        "exact": pictures.is_exact,
        "can_decode": not place.is_image,
        "start": place.start_s,
        "end": end_s,
        "notice": ""
        if place.is_slice
        else "The slice is not there; these are the same seconds of the source video.",
    }


def to_png(frame: np.ndarray) -> bytes:
    """Return a frame (H, W, 3) uint8 without loss."""
    return _encoded(frame, format="PNG", compress_level=1)


def _preview(frame: np.ndarray) -> bytes:
    height, width, _ = frame.shape
    return to_jpeg(frame, round(max(1.0, width / height) * THUMB_HEIGHT))


def to_jpeg(frame: np.ndarray, max_side: int) -> bytes:
    """Return a small copy of a frame (H, W, 3) uint8 whose longer side has at most `max_side`
    px.
    """
    import PIL.Image

    shrink = min(1.0, max_side / max(frame.shape[:2]))
    size = tuple(max(1, round(side * shrink)) for side in (frame.shape[1], frame.shape[0]))
    small = PIL.Image.fromarray(frame).resize(size, PIL.Image.Resampling.BILINEAR)
    return _encoded(np.asarray(small), format="JPEG", quality=85)


def _encoded(frame: np.ndarray, **options: Any) -> bytes:
    import PIL.Image

    out = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(frame)).save(out, **options)
    return out.getvalue()


def data_url(data: bytes, kind: str = "") -> str:
    """Return bytes as an address that a page can show without asking anybody."""
    kind = kind or ("image/png" if data.startswith(b"\x89PNG") else "image/jpeg")
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
