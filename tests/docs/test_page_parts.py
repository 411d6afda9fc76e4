"""The parts of pages that repeat the code are what scripts/page_parts.py writes."""

import pytest

from scripts import page_parts


@pytest.mark.parametrize("name", page_parts.PARTS)
def test_a_part_is_up_to_date(name: str) -> None:
    """The page has its part once, between the two comments."""
    text = (page_parts.USE / name).read_text(encoding="utf-8")
    assert (text.count(page_parts.BEGIN), text.count(page_parts.END)) == (1, 1)
    assert page_parts.page(name) == text, "run python -m scripts.page_parts"
