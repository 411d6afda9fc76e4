"""What the stores in databases say, as pages. `UPDATE_PAGES=1 pytest tests/databases` rewrites them."""

from pathlib import Path

import pytest

from tests.kit.expression_page import check_page

PAGES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_what_is_said(page: Path) -> None:
    """Each page has its truths as comments."""
    check_page(page)
