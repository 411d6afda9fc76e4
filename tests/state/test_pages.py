"""What states do, as a page. `UPDATE_PAGES=1 pytest tests/state` rewrites it."""

from pathlib import Path

from tests.kit.expression_page import check_page


def test_a_field_with_rules_is_recorded_as_its_page_says() -> None:
    """What a rule of a field or of the whole lets pass is recorded, and reads back equal."""
    check_page(Path(__file__).with_name("rules.txt"))
