"""Still pictures as 8-bit RGB, contrast kept.

A 16-bit or float picture holds numbers that 8 bits cannot: Pillow's own conversion clips them, and
a CT slice turns white. Here the values that occur are spread over 0 to 255.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    import PIL.Image

# No format that runs a program (EPS) or that no dataset of pictures uses; JPEG includes MPO.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "PPM")
MAX_PIXELS = 64_000_000
WIDE_MODES = ("I", "F")  # also "I;16", "I;16B" …: one channel of more than 8 bits


def open_rgb(path: str | os.PathLike | BinaryIO) -> np.ndarray:
    """Return a picture file (a path, or an open one) as (H, W, 3) uint8, upright as its EXIF says.

    ValueError for what is not a picture of `FORMATS`, is damaged, or has too many pixels; OSError
    where there is no file.
    """
    import PIL.Image
    import PIL.ImageOps

    name = getattr(path, "name", "") or (path if isinstance(path, (str, os.PathLike)) else "")
    try:
        with PIL.Image.open(path, formats=FORMATS) as image:
            _check_size(image)
            return rgb_pixels(PIL.ImageOps.exif_transpose(image), str(name) or "picture")
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        if isinstance(error, OSError) and error.errno is not None:
            raise
        where = f"{name}: " if name else ""
        raise ValueError(f"{where}cannot be read as a picture ({error})") from None


def rgb_pixels(image: PIL.Image.Image, name: str = "picture") -> np.ndarray:
    """Return a Pillow image as (H, W, 3) uint8.

    One channel of more than 8 bits is scaled so that its smallest value becomes 0 and its largest
    255. ValueError where it holds NaN or infinity, or has too many pixels.
    """
    _check_size(image)
    if image.mode.partition(";")[0] not in WIDE_MODES:
        return np.asarray(image.convert("RGB"))
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or infinity: store numbers, or 8-bit grey")
    low, high = values.min(), values.max()
    grey = np.rint((values - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def _check_size(image: PIL.Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(
            f"{image.width}x{image.height} px, and at most {MAX_PIXELS / 1e6:.0f} million are read"
        )
