"""DICOM pictures and cines as pixels, and as MP4: the true frame rate, and no header.

What identifies a patient stands in a DICOM file's header and, sometimes, burnt into the picture's
upper rows. An MP4 written here holds pixels only; `blank_rows` blackens the strip on request.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from obvlib.media.source import MediaError
from obvlib.media.write import Encoding, write_video

MAX_BYTES = 8_000_000_000  # of all frames as RGB
OVERLAY_ROWS = 0.10  # of an echo machine's picture: the strip that names patient and hospital


class DicomPixels(NamedTuple):
    """`frames` (T, H, W, 3) uint8 RGB; `fps` 0 for a still."""

    frames: np.ndarray
    fps: float


def read_dicom(path: str | os.PathLike) -> DicomPixels:
    """Return a DICOM file's frames and their rate; MediaError for what holds no picture.

    Grey values are windowed between their 1st and 99.5th percentile; inverted film (MONOCHROME1) is
    inverted back so that bone is bright. The rate comes from FrameTime, FrameTimeVector (its mean),
    RecommendedDisplayFrameRate or CineRate, in this order.
    """
    pydicom = _pydicom()
    try:
        dataset = pydicom.dcmread(path)
        _check_size(dataset)
        values = dataset.pixel_array  # pydicom turns YBR into RGB here
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        name = Path(path).name
        raise MediaError(
            f"{name}: not a DICOM file with a picture ({error})", "unreadable"
        ) from None
    is_color = dataset.SamplesPerPixel == 3
    frames = values if values.ndim == 3 + is_color else values[None]
    if not is_color:
        frames = _gray(frames, dataset.PhotometricInterpretation == "MONOCHROME1")
    return DicomPixels(frames, frame_rate(dataset) if len(frames) > 1 else 0.0)


def frame_rate(dataset: Any) -> float:
    """Return the frames per second that a cine's header states; MediaError where it states none."""
    if value := float(dataset.get("FrameTime", 0) or 0):
        return 1000 / value  # ms
    steps_ms = [
        float(step) for step in dataset.get("FrameTimeVector", None) or [] if float(step) > 0
    ]
    if steps_ms:
        return 1000 * len(steps_ms) / sum(steps_ms)
    for name in ("RecommendedDisplayFrameRate", "CineRate"):
        if value := float(dataset.get(name, 0) or 0):
            return value
    raise MediaError("the DICOM header states no frame rate: give fps", "settings")


def dicom_to_mp4(
    path: str | os.PathLike, out: str | os.PathLike, *, fps: float = 0.0, blank_rows: float = 0.0
) -> Path:
    """Write a DICOM cine as MP4 without any of its header; return the path.

    `fps` overrides the header's rate. `blank_rows` is the share of the picture's height, from the
    top, that is blackened; `OVERLAY_ROWS` covers the usual strip of an echo machine.
    """
    frames, stated = read_dicom(path)
    if not 0 <= blank_rows < 1:
        raise MediaError(
            f"blank_rows is {blank_rows}: give a share of the height below 1", "settings"
        )
    if blank_rows:
        frames = frames.copy()
        frames[:, : round(blank_rows * frames.shape[1])] = 0
    return write_video(out, frames, fps or stated or 1.0, encoding=Encoding(crf=12))


def _check_size(dataset: Any) -> None:
    """Raise ValueError where a header claims more pixels than fit in memory."""
    num_frames = int(dataset.get("NumberOfFrames", 1) or 1)
    num_bytes = num_frames * int(dataset.Rows) * int(dataset.Columns) * 3
    if num_bytes > MAX_BYTES:
        raise ValueError(
            f"{num_frames} frames of {dataset.Columns}x{dataset.Rows} px are"
            f" {num_bytes / 1e9:.0f} GB of pixels, and at most {MAX_BYTES / 1e9:.0f} are read"
        )


def _gray(values: np.ndarray, is_inverted: bool) -> np.ndarray:
    low, high = np.percentile(values, [1, 99.5])
    share = (values.astype(np.float64) - low) / max(high - low, 1e-9)
    gray = (np.clip(share, 0, 1) * 255).astype(np.uint8)
    if is_inverted:
        gray = 255 - gray
    return np.repeat(gray[..., None], 3, axis=-1)


def _pydicom() -> Any:
    try:
        import pydicom
    except ImportError:
        raise ImportError("DICOM files need pydicom: pip install 'obvlib[mini]'") from None
    return pydicom
