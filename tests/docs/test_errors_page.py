"""docs/use/errors.md is generated from the error classes."""

from pathlib import Path

from scripts import error_docs

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "use" / "errors.md").read_text(encoding="utf-8")


def test_the_page_is_up_to_date() -> None:
    """The page is what scripts/error_docs.py writes."""
    assert error_docs.page() == PAGE, "docs/use/errors.md is not up to date; run scripts/error_docs.py"


def test_every_error_has_one_row() -> None:
    """Every error has one row, in the table of its nearest group."""
    for made in error_docs.classes():
        assert sum(f"| `{made.code}` | `" in line and f"{made.__name__}`: " in line for line in PAGE.splitlines()) == 1
