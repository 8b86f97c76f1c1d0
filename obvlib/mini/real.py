"""Real medical pictures that installed packages ship, with questions written by hand from what can
be seen in them.

One echocardiography cine and stills of other modalities. They are read from the packages pydicom,
pydicom-data and scikit-image and written as mp4 and PNG: pixels only, without DICOM headers, and
without the strip into which a machine burnt a hospital's name.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from obvlib.core import Example, QAPair

_MAX_SIDE = 1024  # px of a still; two of the films are twice that


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One real picture or cine: where its file is, how it is cut (top row, bottom row as shares),
    and what is asked about it.
    """

    name: str
    package: str
    file: str
    pairs: tuple[QAPair, ...]
    rows: tuple[float, float] = (0.0, 1.0)

    @property
    def is_cine(self) -> bool:
        return self.name.endswith("-cine")


def real_examples(out_dir: str | os.PathLike) -> list[Example]:
    """Write the pictures to `out_dir` (those not there yet) and return one example for each
    question about them.

    Raises ImportError naming the extra to install where a package is missing.
    """
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    examples = []
    for picture in PICTURES:
        path = out_dir / f"{picture.name}.{'mp4' if picture.is_cine else 'png'}"
        if not path.exists():
            _write(picture, path)
        for number, pair in enumerate(picture.pairs):
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
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    if picture.is_cine:
        from obvlib.media import write_video

        write_video(partial, pixels, fps, crf=12)
    else:
        from PIL import Image

        image = Image.fromarray(pixels)
        image.thumbnail((_MAX_SIDE, _MAX_SIDE))
        image.save(partial)
    os.replace(partial, path)


def dicom_pixels(path: str | os.PathLike) -> tuple[np.ndarray, float]:
    """A DICOM file's picture (H, W, 3) or cine (T, H, W, 3) as uint8 RGB, and its frames per second
    (0 for a still).

    Grey values are windowed between their 1st and 99.5th percentile; inverted film (MONOCHROME1) is
    turned so that bone is bright.
    """
    pydicom = _package("pydicom")
    dataset = pydicom.dcmread(path)
    values = dataset.pixel_array  # pydicom turns YBR into RGB here
    fps = 1000 / float(dataset.FrameTime) if "FrameTime" in dataset else 0.0
    if dataset.SamplesPerPixel == 3:
        return values, fps
    low, high = np.percentile(values, [1, 99.5])
    gray = (np.clip((values.astype(np.float64) - low) / max(high - low, 1e-9), 0, 1) * 255).astype(
        np.uint8
    )
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        gray = 255 - gray
    return np.repeat(gray[..., None], 3, axis=-1), fps


def _from_pydicom(file: str) -> tuple[np.ndarray, float]:
    return dicom_pixels(Path(_package("pydicom").__file__).parent / "data" / "test_files" / file)


def _from_pydicom_data(file: str) -> tuple[np.ndarray, float]:
    return dicom_pixels(Path(_package("data_store").__file__).parent / "data" / file)


def _from_skimage(file: str) -> tuple[np.ndarray, float]:
    from PIL import Image

    with Image.open(Path(_package("skimage").__file__).parent / "data" / file) as image:
        return np.asarray(image.convert("RGB")), 0.0


def _package(module: str):
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


def _choice(family: str, question: str, answer: str, **options: str) -> QAPair:
    return QAPair(question=question, answer=answer, options=options, family=family)


def _yes_no(question: str, answer: str) -> QAPair:
    return QAPair(question=question, answer=answer, family="visible")


def _words(question: str, answer: str) -> QAPair:
    return QAPair(question=question, answer=answer, family="open")


_MODALITY = "Which imaging modality is this?"
_REGION = "Which part of the body is shown?"

PICTURES = (
    Picture(
        name="echo-cine",
        package="pydicom",
        file="examples_ybr_color.dcm",
        pairs=(
            _choice(
                "modality",
                _MODALITY,
                "B",
                A="CT scan",
                B="Echocardiography",
                C="Microscopy",
                D="Endoscopy",
            ),
            _choice("region", _REGION, "A", A="heart", B="colon", C="head", D="knee"),
            _yes_no("Do the structures move from frame to frame?", "yes"),
            _yes_no("Is blood flow shown in colour?", "no"),
            _words("Which organ is seen beating?", "heart"),
        ),
    ),
    Picture(
        name="lymph-node-ultrasound",
        package="pydicom",
        file="examples_rgb_color.dcm",
        rows=(0.23, 1.0),
        pairs=(
            _choice("modality", _MODALITY, "C", A="X-ray", B="MRI", C="Ultrasound", D="Microscopy"),
            _yes_no("Is blood flow shown in colour?", "yes"),
            _words("What does the label below the picture say?", "lymph node"),
        ),
    ),
    Picture(
        name="spine-ct",
        package="pydicom",
        file="CT_small.dcm",
        pairs=(
            _choice(
                "modality",
                _MODALITY,
                "D",
                A="Ultrasound",
                B="Endoscopy",
                C="Microscopy",
                D="CT scan",
            ),
            _choice(
                "region",
                "Which bone is seen in the middle?",
                "B",
                A="rib",
                B="vertebra",
                C="skull",
                D="femur",
            ),
            _yes_no("Is the picture in colour?", "no"),
        ),
    ),
    Picture(
        name="abdomen-mri",
        package="pydicom",
        file="examples_overlay.dcm",
        pairs=(
            _choice(
                "modality",
                _MODALITY,
                "A",
                A="MRI",
                B="Endoscopy",
                C="Microscopy",
                D="Echocardiography",
            ),
            _choice("region", _REGION, "C", A="head", B="shoulder", C="abdomen", D="foot"),
            _yes_no("Are both kidneys visible?", "yes"),
            _yes_no("Is there a round lesion in the liver?", "yes"),
        ),
    ),
    Picture(
        name="chest-xray",
        package="pydicom-data",
        file="RG1_UNCI.dcm",
        pairs=(
            _choice(
                "modality", _MODALITY, "A", A="X-ray", B="Ultrasound", C="Microscopy", D="Endoscopy"
            ),
            _choice("region", _REGION, "D", A="hand", B="abdomen", C="head", D="chest"),
            _yes_no("Are ribs visible?", "yes"),
            _yes_no("Are there round shadows in the lungs?", "yes"),
        ),
    ),
    Picture(
        name="lower-leg-xray",
        package="pydicom-data",
        file="RG3_UNCI.dcm",
        pairs=(
            _choice(
                "modality", _MODALITY, "B", A="MRI", B="X-ray", C="Echocardiography", D="Microscopy"
            ),
            _choice(
                "region", _REGION, "C", A="skull", B="spine", C="lower leg and ankle", D="shoulder"
            ),
            _yes_no("Is a hand shown?", "no"),
        ),
    ),
    Picture(
        name="shoulder-mri",
        package="pydicom-data",
        file="MR2_UNCI.dcm",
        pairs=(
            _choice(
                "modality", _MODALITY, "D", A="Endoscopy", B="Microscopy", C="Ultrasound", D="MRI"
            ),
            _choice("region", _REGION, "A", A="shoulder", B="head", C="heart", D="colon"),
            _words("Which bone has the round head in the middle of the picture?", "humerus"),
        ),
    ),
    Picture(
        name="bone-scan",
        package="pydicom-data",
        file="JPEG2000_UNC.dcm",
        pairs=(
            _choice(
                "modality",
                _MODALITY,
                "C",
                A="Endoscopy",
                B="Microscopy",
                C="Bone scan",
                D="Echocardiography",
            ),
            _yes_no("Is the whole body shown?", "yes"),
            _yes_no("Is only the head shown?", "no"),
            _yes_no("Is the picture taken through a microscope?", "no"),
        ),
    ),
    Picture(
        name="retina",
        package="scikit-image",
        file="retina.jpg",
        pairs=(
            _choice("region", _REGION, "B", A="skin", B="eye", C="colon", D="heart"),
            _choice(
                "modality",
                _MODALITY,
                "D",
                A="CT scan",
                B="X-ray",
                C="Ultrasound",
                D="Fundus photography",
            ),
            _yes_no("Is the optic disc visible?", "yes"),
            _yes_no("Is the background of the eye shown in grey?", "no"),
        ),
    ),
    Picture(
        name="stained-tissue",
        package="scikit-image",
        file="ihc.png",
        pairs=(
            _choice(
                "modality", _MODALITY, "A", A="Microscopy", B="CT scan", C="Endoscopy", D="X-ray"
            ),
            _yes_no("Is part of the tissue stained brown?", "yes"),
            _yes_no("Is a whole organ shown?", "no"),
        ),
    ),
    Picture(
        name="single-cell",
        package="scikit-image",
        file="cell.png",
        pairs=(
            _choice(
                "modality",
                _MODALITY,
                "C",
                A="MRI",
                B="Endoscopy",
                C="Microscopy",
                D="Fundus photography",
            ),
            _yes_no("Are many cells touching each other?", "no"),
            _words("How many bright round cells are there?", "one"),
        ),
    ),
)
