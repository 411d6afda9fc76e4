"""What states do, and what compile says of secrets. `UPDATE_PAGES=1 pytest tests/state` rewrites the pages."""

from pathlib import Path

import pytest

from tests.kit.expression_page import check_page


def test_a_field_with_rules_is_recorded_as_its_page_says() -> None:
    """What a rule of a field or of the whole lets pass is recorded, and reads back equal."""
    check_page(Path(__file__).with_name("rules.txt"))


def test_a_secret_is_refused_where_its_page_says() -> None:
    """A secret needs a key, and is not used where it would be visible."""
    pytest.importorskip("cryptography")
    check_page(Path(__file__).with_name("secrets.txt"))
