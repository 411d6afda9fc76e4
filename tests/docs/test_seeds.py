"""The page about the five texts has no empty row, and every test that it names is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "seeds.md").read_text(encoding="utf-8")
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
def test_a_row_is_full_and_its_tests_are_there(row: str) -> None:
    """What the text shows, what it is here, and tests that exist."""
    cells = [cell.strip() for cell in row.strip().strip("|").split(" | ")]
    assert len(cells) == 3, row
    assert all(cells), row
    shown = SHOWN.findall(cells[2])
    assert shown, row
    for file, name in shown:
        assert (ROOT / file).is_file(), file
        assert not name or name in shows_of(file), f"{file} has no {name}"


@pytest.mark.parametrize("place", sorted(set(NAMED.findall(PAGE))))
def test_what_is_named_is_there(place: str) -> None:
    """Files and folders of the project."""
    assert (ROOT / place).exists()
