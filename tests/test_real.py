"""Real pictures from installed packages: there, readable, without headers, asked about in balanced
questions.
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from obvlib import mini
from obvlib.manifests.cards import load_card
from obvlib.media import frames_at, probe
from obvlib.mini.materials import materials, read_material


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    return mini.real_examples(tmp_path_factory.mktemp("real"))


def test_every_example_has_its_picture(examples):
    assert len({e.example_id for e in examples}) == len(examples)
    for example in examples:
        if example.media_kind == "video":
            assert probe(example.media[0]).duration_s > 0
        else:
            pixels = np.asarray(Image.open(example.media[0]))
            assert pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.std() > 5


def test_card_lists_the_pictures(examples):
    card = load_card("real_small")
    assert set(card.columns) == {e.video_id for e in examples}
    assert card.counts == {"pictures": len(card.columns), "qa_pairs": len(examples)}


def test_the_cine_is_one_second_of_thirty_frames_that_move(examples):
    (path,) = {e.media[0] for e in examples if e.video_id == "echo-cine"}
    info = probe(path)
    assert (info.height, info.width, info.fps) == (
        240,
        320,
        30.0,
    ) and info.duration_s == pytest.approx(1.0, abs=0.01)
    frames, _ = frames_at(path, np.array([0.0, 0.5]))
    assert np.abs(frames[0].astype(int) - frames[1]).mean() > 1


def test_no_patient_or_hospital_text_goes_along(examples):
    for path in {e.media[0] for e in examples}:
        data = open(path, "rb").read()
        assert not any(
            word in data for word in (b"BAPTIST", b"HOSPITAL", b"IMAGING CENTER", b"Patient")
        )


def test_yes_and_no_are_about_as_frequent(examples):
    answers = Counter(e.answer for e in examples if e.family == "visible")
    assert abs(answers["yes"] - answers["no"]) <= 2


def test_files_are_written_once(examples):
    folder = Path(examples[0].media[0]).parent
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert mini.real_examples(folder) == examples
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert {str(path) for path in before} == {e.media[0] for e in examples}


@pytest.mark.parametrize(("module", "name"), [("pydicom", "pydicom"), ("skimage", "scikit-image")])
def test_a_missing_package_names_the_extra(monkeypatch, tmp_path, module, name):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ImportError,
        match=rf"come with {name}, which is not installed: pip install 'obvlib\[mini\]'",
    ):
        mini.real_examples(tmp_path)


def test_every_installed_material_can_be_read():
    """The frame head learns from what packages ship; each file is a picture or a cine."""
    found = materials()
    assert {material.look for material in found} >= {"echo", "ct", "mr"}
    for material in found:
        frames = read_material(material)
        assert frames.dtype == np.uint8 and frames.ndim == 4 and frames.shape[-1] == 3, (
            material.file
        )
