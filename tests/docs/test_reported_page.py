"""docs/project/reported.md is generated from reported.toml, and each test that it names exists."""

import tomllib

from scripts import reported_docs


def test_the_page_is_up_to_date() -> None:
    """The page is what scripts/reported_docs.py writes."""
    written = reported_docs.PAGE.read_text(encoding="utf-8")
    assert reported_docs.page() == written, "the page is not up to date; run python -m scripts.reported_docs"


def test_every_test_that_is_named_exists() -> None:
    """A function that pytest collects by its name, the section of a page that a test plays, or a row of types.md."""
    assert [test for test in reported_docs.tests() if not reported_docs.exists(test)] == []


def test_a_row_is_complete() -> None:
    """Each has reports with their numbers or names, and sentences that fit a cell."""
    table = tomllib.loads(reported_docs.TABLE.read_text(encoding="utf-8"))
    rows = [row for theme in table["themes"] for row in theme["rows"]]
    for row in [*rows, *table["undone"]]:
        words = " ".join([row["situation"], row.get("done", ""), row.get("why", "")])
        assert row["reports"]
        assert 20 < len(words) < 400, row
        assert "\n" not in words
        assert " | " not in words
    assert all(row["tests"] for row in rows)
