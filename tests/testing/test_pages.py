"""What tests of graphs show, as pages. `UPDATE_PAGES=1 pytest tests/testing` rewrites them."""

from pathlib import Path

import pytest

from tests.kit.expression_page import check_page

HERE = Path(__file__).parent
PAGES = sorted([*HERE.glob("*.txt"), *HERE.glob("evaluation/*.txt")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_what_is_said(page: Path) -> None:
    """Each page has its truths as comments."""
    check_page(page)
