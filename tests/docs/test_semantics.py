"""docs/explain/semantics.md and the pages of tests/scenarios belong together."""

import re
from pathlib import Path

import pytest

from tests.kit import scenario

ROOT = Path(__file__).resolve().parents[2]
RULE = re.compile(r"^- \*\*([A-Z])(\d+)\*\* (.*?)(?=^- |^#|\Z)", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"\*\(([^)]*)\)\*")


def sections() -> dict[str, str]:
    """The text of each section that has rules, by its title."""
    parts = re.split(r"^## ", (ROOT / "docs/explain/semantics.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {part.split("\n", 1)[0]: part for part in parts}


def rules() -> dict[str, list[str]]:
    """The pages named by each rule."""
    found: dict[str, list[str]] = {}
    for text in sections().values():
        for letter, number, body in RULE.findall(text):
            named = NAMED.search(body)
            found[f"{letter}{number}"] = re.split(r",\s*", named.group(1)) if named else []
    return found


def pages() -> set[str]:
    """The existing pages."""
    return {path.stem for path in scenario.pages()}


def test_the_rules_were_found() -> None:
    """The document has many rules, in several sections."""
    assert len(rules()) > 40
    assert len(sections()) > 5


def test_a_rule_has_pages_that_exist() -> None:
    """Every rule names at least one page, and only existing ones."""
    assert [rule for rule, named in rules().items() if not named] == []
    existing = pages()
    assert {rule: lost for rule, named in rules().items() if (lost := set(named) - existing)} == {}


def test_every_page_belongs_to_a_rule() -> None:
    """No page is without a rule."""
    assert not pages() - {page for named in rules().values() for page in named}


@pytest.mark.parametrize(("title", "text"), sorted(sections().items()))
def test_rules_are_numbered_without_gaps(title: str, text: str) -> None:
    """The rules of a section have one letter, which no other section has, and numbers from 1."""
    listed = [(letter, int(number)) for letter, number, _ in RULE.findall(text)]
    letters = {letter for letter, _ in listed}
    assert len(letters) == 1
    assert [number for _, number in listed] == list(range(1, len(listed) + 1))
    others = {letter for name, other in sections().items() if name != title for letter, _, _ in RULE.findall(other)}
    assert not letters & others
