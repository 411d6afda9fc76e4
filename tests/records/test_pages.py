"""What records of runs say, as pages. `UPDATE_PAGES=1 pytest tests/records` rewrites them."""

from pathlib import Path

import pytest

from tests.kit.expression_page import check_page

FOLDER = Path(__file__).parent
PAGES = sorted([*FOLDER.glob("*.txt"), *FOLDER.glob("replay/*.txt")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_what_is_said(page: Path) -> None:
    """Each page has its truths as comments."""
    if page.stem == "secrets":
        pytest.importorskip("cryptography")
    check_page(page)
