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
COMMAND = re.compile(r"`(make run|graphengine (?:run|new) [^`]+)`")
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


def cells(row: str) -> list[str]:
    """Return the texts between the bars."""
    return [cell.strip() for cell in row.strip().strip("|").split(" | ")]


def test_every_row_is_complete() -> None:
    """Every row has what the text says, how it is here, and a test or a command."""
    assert [row for row in ROWS if len(cells(row)) != 3 or not all(cells(row))] == []
    assert [row for row in ROWS if not SHOWN.search(cells(row)[-1]) and not COMMAND.search(cells(row)[-1])] == []
    assert len(PAGE.split()) < 3000


def test_every_test_that_is_named_exists() -> None:
    """Every test that the last cell of a row names exists."""
    shown = {found for row in ROWS for found in SHOWN.findall(cells(row)[-1])}
    files = sorted({file for file, _ in shown})
    assert [file for file in files if not (ROOT / file).is_file()] == []
    assert [f"{file}::{name}" for file, name in sorted(shown) if name and name not in shows_of(file)] == []


def test_every_file_that_is_named_exists() -> None:
    """Every file and folder of the project that the page names exists."""
    assert [place for place in sorted(set(NAMED.findall(PAGE))) if not (ROOT / place).exists()] == []


def test_each_text_has_its_rows() -> None:
    """Each of the five texts has its rows."""
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    assert len(sections) == 5
    for section in sections:
        assert section.count("\n| ") > 8, section.splitlines()[0]


@pytest.mark.parametrize("file", sorted((ROOT / "graphs").glob("[!_]*.py")), ids=lambda file: file.stem)
def test_a_workflow_is_one_short_file_and_is_named(file: Path) -> None:
    """A reader of the text finds its counterpart in one file, named on the page."""
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 190
    assert f"`graphs/{file.name}`" in PAGE
