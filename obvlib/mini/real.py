"""Real medical pictures that installed packages ship, with questions about what they show.

One echocardiography cine and stills of other modalities. They are read from the packages pydicom,
pydicom-data and scikit-image and written as mp4 and PNG: pixels only, without DICOM headers, and
without the strip into which a machine burnt a hospital's name.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from obvlib.core import Example, QAPair, manifests_dir
from obvlib.core.files import replacing
from obvlib.core.jsonl import read_rows
from obvlib.core.records import from_json

_MAX_SIDE = 1024  # px of a still; two of the films are twice that


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One real picture or cine: where its file is, how it is cut (top row, bottom row as shares),
    and what is asked about it.
    """

    name: str
    package: str
    file: str
    qa_pairs: tuple[QAPair, ...]
    rows: tuple[float, float] = (0.0, 1.0)

    @property
    def is_cine(self) -> bool:
        return self.name.endswith("-cine")


def pictures() -> list[Picture]:
    """Return the pictures listed in `data_manifests/real_small/pictures.jsonl`."""
    path = manifests_dir() / "real_small" / "pictures.jsonl"
    return [from_json(Picture, row, where) for where, row in read_rows(path)]


def real_examples(out_dir: str | os.PathLike) -> list[Example]:
    """Write the pictures to `out_dir` (those not there yet) and return one example for each
    question about them.

    Raises ImportError naming the extra to install where a package is missing.
    """
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    examples = []
    for picture in pictures():
        path = out_dir / f"{picture.name}.{'mp4' if picture.is_cine else 'png'}"
        if not path.exists():
            _write(picture, path)
        for number, pair in enumerate(picture.qa_pairs):
            examples.append(
                Example(
                    example_id=f"{picture.name}-{number}",
                    benchmark="real_small",
                    video_id=picture.name,
                    question=pair.question,
                    answer=pair.answer,
                    options=pair.options,
                    family=pair.family,
                    media=(str(path),),
                    media_kind="video" if picture.is_cine else "image",
                )
            )
    return examples


def _write(picture: Picture, path: Path) -> None:
    pixels, fps = _READERS[picture.package](picture.file)
    top, bottom = (round(share * pixels.shape[-3]) for share in picture.rows)
    pixels = pixels[..., top:bottom, :, :]
    if picture.is_cine:
        from obvlib.media import Encoding, write_video

        write_video(path, pixels, fps, encoding=Encoding(crf=12))
        return
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((_MAX_SIDE, _MAX_SIDE))
    with replacing(path) as partial:
        image.save(partial, format="PNG")


def _dicom(path: Path) -> tuple[np.ndarray, float]:
    from obvlib.media import dicom

    frames, fps = dicom.read_dicom(path)
    return (frames, fps) if fps else (frames[0], 0.0)


def _from_pydicom(file: str) -> tuple[np.ndarray, float]:
    return _dicom(Path(_package("pydicom").__file__).parent / "data" / "test_files" / file)


def _from_pydicom_data(file: str) -> tuple[np.ndarray, float]:
    return _dicom(Path(_package("data_store").__file__).parent / "data" / file)


def _from_skimage(file: str) -> tuple[np.ndarray, float]:
    from PIL import Image

    with Image.open(Path(_package("skimage").__file__).parent / "data" / file) as image:
        return np.asarray(image.convert("RGB")), 0.0


def _package(module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        name = {"data_store": "pydicom-data", "skimage": "scikit-image"}.get(module, module)
        raise ImportError(
            f"the real pictures come with {name}, which is not installed: pip install"
            " 'obvlib[mini]'"
        ) from None


_READERS: dict[str, Callable[[str], tuple[np.ndarray, float]]] = {
    "pydicom": _from_pydicom,
    "pydicom-data": _from_pydicom_data,
    "scikit-image": _from_skimage,
}
