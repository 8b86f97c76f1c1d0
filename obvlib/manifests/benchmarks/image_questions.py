"""VQA-RAD, PathVQA and SLAKE: questions about pictures, yes/no, closed and open.

The picture is in the row (the hub), or named by it (`image`, `image_name` or `img_name`, a path
below the benchmark's media folder). It is written once as 8-bit RGB under the hash of its pixels,
which is the cluster too: questions about one picture are not independent.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from obvlib.core import Example, RecordError
from obvlib.core.files import replacing
from obvlib.core.records import check_id
from obvlib.manifests.benchmarks.reading import Place, family_of, text_of
from obvlib.manifests.options import answer_of
from obvlib.manifests.pictures import open_rgb, rgb_pixels

IMAGE_FIELDS = ("image", "image_name", "img_name")


def image_questions(row: Any, place: Place) -> Iterator[Example]:
    """Return the row's question; none for a row of SLAKE in another language than English."""
    question = text_of(row, "question", place.where)
    if row.get("q_lang") not in (None, "", "en"):
        return
    answer = answer_of(row, None, place.where)
    field = next((name for name in IMAGE_FIELDS if row.get(name) is not None), "image")
    path, digest = picture_path(row.get(field), field, place)
    family = family_of(answer, None)
    if family == "open" and str(row.get("answer_type", "")).strip().upper() == "CLOSED":
        family = "closed"
    yield Example(
        example_id=f"{place.card.name}-{place.number}",
        benchmark=place.name,
        video_id=digest,
        question=question,
        answer=answer,
        family=family,
        media=(str(path),),
        media_kind="image",
    )


def picture_path(image: Any, field: str, place: Place) -> tuple[Path, str]:
    """Write the picture in a row's `field` once, as PNG; return its path and its pixels' hash."""
    pixels = _pixels(image, field, place)
    digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()[:16]
    return _written(pixels, place.folder / f"{digest}.png"), digest


def _pixels(image: Any, field: str, place: Place) -> np.ndarray:
    """Return the picture, (H, W, 3) uint8."""
    where = f"{place.where}: field {field!r}"
    try:
        if hasattr(image, "save"):
            return rgb_pixels(image, where)
        if isinstance(image, dict) and isinstance(image.get("bytes"), bytes):
            return open_rgb(io.BytesIO(image["bytes"]))
        if isinstance(image, str):
            parts = [check_id(part, where) for part in PurePosixPath(image).parts]
            return open_rgb(place.folder.joinpath(*parts))
    except RecordError:
        raise
    except (OSError, SyntaxError, ValueError) as error:
        raise RecordError(f"{where}: {error}; supply the picture, or correct its path") from None
    raise RecordError(
        f"{where} is {type(image).__name__}, not a picture; read the rows through the hub"
    )


def _written(pixels: np.ndarray, path: Path) -> Path:
    if not path.exists():
        import PIL.Image

        with replacing(path) as partial:
            PIL.Image.fromarray(pixels).save(partial, format="PNG")
    return path
