"""Every rendered page on a phone, at twice its size, and in the dark (`page_checks.py`)."""

from __future__ import annotations

import page_checks
import pytest
from conftest import HTML, WRITTEN
from page_checks import Opened

PHONE, ZOOMED = 390, 640  # px; 1280 px at 200 % zoom are 640


@pytest.mark.parametrize("name", WRITTEN)
def test_page_fits_a_phone_and_a_window_at_twice_its_size_and_is_accessible_in_the_dark(page, name):
    opened = Opened(page, HTML / name, scheme="dark", width=PHONE)
    assert page_checks.too_wide(opened, PHONE) == []
    assert page_checks.too_wide(opened, ZOOMED) == []
    page.set_viewport_size({"width": 1280, "height": 900})
    assert page_checks.axe_findings(page, rules=page_checks.SEEN) == []
