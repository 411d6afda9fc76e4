"""The page about the five texts has no empty row, and every test that it names exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "project" / "seeds.md").read_text(encoding="utf-8")
HEAD = ("| In the text |", "| --- |")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(HEAD)]
SHOWN = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+(?:::\w+)?))?`")
NAMED = re.compile(r"`((?:graphs|nodes|graphengine|tests|docs|benchmarks)/[\w/.]+)")


@cache
def shows_of(file: str) -> set[str]:
    """The tests of a file, those of a class as Class::test."""
    found = set[str]()
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{each.name}" for each in node.body if hasattr(each, "name")}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return {name for name in found if "test_" in name}


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_complete_and_its_tests_exist(row: str) -> None:
    """A feature of the text, its implementation, and existing tests."""
    cells = [cell.strip() for cell in row.strip().strip("|").split(" | ")]
    assert len(cells) == 3, row
    assert all(cells), row
    shown = SHOWN.findall(cells[2])
    assert shown, row
    for file, name in shown:
        assert (ROOT / file).is_file(), file
        assert not name or name in shows_of(file), f"{file} has no {name}"


@pytest.mark.parametrize("place", sorted(set(NAMED.findall(PAGE))))
def test_every_file_that_is_named_exists(place: str) -> None:
    """Files and folders of the project."""
    assert (ROOT / place).exists()


def test_each_text_has_its_rows() -> None:
    """All five are covered."""
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    assert len(sections) == 5
    for section in sections:
        assert section.count("\n| ") > 10, section.splitlines()[0]


@pytest.mark.parametrize("file", sorted((ROOT / "graphs").glob("[!_]*.py")), ids=lambda file: file.stem)
def test_a_workflow_is_one_short_file_and_is_named(file: Path) -> None:
    """A reader of the text finds its counterpart in one file, named on the page."""
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 150
    assert f"`graphs/{file.name}`" in PAGE
