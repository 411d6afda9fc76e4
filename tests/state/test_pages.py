"""What compile says of secrets. `UPDATE_MISTAKES=1 pytest tests/state/test_pages.py` rewrites the page."""

from pathlib import Path

from tests.kit.expression_page import check_page
from tests.kit.extras import skip_without

skip_without("cryptography")


def test_a_secret_is_refused_where_its_page_says() -> None:
    """A secret needs a key, and is not used where it would be visible."""
    check_page(Path(__file__).with_name("secrets.txt"), "UPDATE_MISTAKES")
