"""What the checks of a graph say of mistakes. `UPDATE_PAGES=1 pytest tests/checks` rewrites the pages."""

from pathlib import Path

import pytest

from tests.kit.expression_page import check_page

PAGES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_mistake_is_reported_as_its_page_says(path: Path) -> None:
    """Each mistake has its code, place and repair, without problems that the same repair removes."""
    if path.stem == "secrets":
        pytest.importorskip("cryptography")
    check_page(path)
