"""Golden pages are rewritten only on request, and as much as can be read."""

from pathlib import Path

import pytest
from pytest import MonkeyPatch  # noqa: PT013 - its type

from tests.kit.golden import MOST, but, check


def said(page: Path, played: str) -> str:
    """Return what a check says of a page that differs."""
    with pytest.raises(pytest.fail.Exception) as caught:
        check(page, played)
    return str(caught.value)


def test_a_page_is_rewritten_on_request_and_shown(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    """Without the variable it stays; with it, it is rewritten, shown once, and passes from then on."""
    page = tmp_path / "page.txt"
    page.write_text("one\ntwo\n")
    monkeypatch.delenv("UPDATE_PAGES", raising=False)
    assert "-two\n+three" in said(page, "one\nthree\n")
    assert page.read_text() == "one\ntwo\n"
    monkeypatch.setenv("UPDATE_PAGES", "1")
    assert "is rewritten; read what changed" in said(page, "one\nthree\n")
    check(page, "one\nthree\n")


def test_a_page_that_would_be_another_is_rewritten_by_all_only(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    """More lines than a reviewer reads are a mistake of the test more often than a change."""
    page = tmp_path / "page.txt"
    page.write_text("old\n" * (MOST + 1))
    monkeypatch.setenv("UPDATE_PAGES", "1")
    assert f"would lose {MOST + 1} lines; UPDATE_PAGES=all" in said(page, "new\n")
    assert page.read_text().startswith("old")
    monkeypatch.setenv("UPDATE_PAGES", "all")
    said(page, "new\n")
    check(page, "new\n")


def test_of_an_outcome_only_what_differs_from_the_one_before_is_shown() -> None:
    """If most lines are the same, and there are as many; nothing that differs is left out."""
    before = ["a", "b", "c", "d", "e"]
    assert but(before, [*before]) == ["as before"]
    assert but(before, ["a", "b", "x", "d", "e"]) == ["as before, but:", "line 3: x"]
    for other in (["a", "x", "y", "z", "e"], before[:4], [*before, "f"], ["a", "b", "c"]):
        assert but(before, other) == other
