"""DICOM cines as MP4: the header's rate, no header, and a blank strip on request."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from obvlib.media import MediaError, dicom, frames_at, probe

CINE = Path(get_testdata_file("examples_ybr_color.dcm"))


def test_a_cine_keeps_its_rate_and_loses_its_header(tmp_path):
    out = dicom.dicom_to_mp4(CINE, tmp_path / "echo.mp4")
    header = pydicom.dcmread(CINE)
    info = probe(out)
    assert info.fps == pytest.approx(1000 / float(header.FrameTime), rel=1e-3)
    assert info.duration_s == pytest.approx(
        header.NumberOfFrames * float(header.FrameTime) / 1000, rel=0.01
    )
    written = out.read_bytes()
    for element in header.iterall():
        value = str(element.value)
        if element.VR in ("PN", "UI", "DA", "LO") and len(value) > 6:
            assert value.encode() not in written, element.keyword


def test_the_strip_is_blanked_on_request_only(tmp_path):
    rows = round(0.2 * dicom.read_dicom(CINE).frames.shape[1])
    plain = frames_at(dicom.dicom_to_mp4(CINE, tmp_path / "a.mp4"), [0.0])[0]
    blank = frames_at(dicom.dicom_to_mp4(CINE, tmp_path / "b.mp4", blank_rows=0.2), [0.0])[0]
    assert np.squeeze(blank)[: rows - 4].max() < 24 < np.squeeze(plain)[: rows - 4].max()
    assert (
        np.abs(np.squeeze(plain)[rows + 4 :].astype(int) - np.squeeze(blank)[rows + 4 :]).mean() < 2
    )


@pytest.mark.parametrize(
    ("header", "fps"),
    [
        ({"FrameTime": 20}, 50.0),
        ({"FrameTimeVector": [0, 10, 30, 20]}, 50.0),
        ({"RecommendedDisplayFrameRate": 25, "CineRate": 30}, 25.0),
        ({"CineRate": 30}, 30.0),
    ],
)
def test_the_rate_is_the_headers(header, fps):
    assert dicom.frame_rate(header) == pytest.approx(fps)


def test_what_is_no_cine_is_an_error_by_name(tmp_path):
    with pytest.raises(MediaError, match="no frame rate"):
        dicom.frame_rate({})
    (tmp_path / "x.dcm").write_bytes(b"<html>")
    with pytest.raises(MediaError, match="x.dcm: not a DICOM file"):
        dicom.read_dicom(tmp_path / "x.dcm")
    with pytest.raises(MediaError, match="blank_rows is 1.5"):
        dicom.dicom_to_mp4(CINE, tmp_path / "x.mp4", blank_rows=1.5)
