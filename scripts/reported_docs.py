"""Write docs/project/reported.md from tests/docs/reported.toml: reports of other projects, and our tests of them.

Run `python -m scripts.reported_docs` when the table changes; a test checks that the page is up to date, and that each
test of the table exists. A test is named as pytest does, `tests/….py::test_…`, or by a page that a test plays, with its
section: `tests/….txt: …`. A row of docs/use/types.md, which a test writes, counts too.
"""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).resolve().parents[1]
TABLE: Final = ROOT / "tests" / "docs" / "reported.toml"
PAGE: Final = ROOT / "docs" / "project" / "reported.md"
LINKED: Final = re.compile(r"([\w.-]+/([\w.-]+))#(\d+)")
LONGEST: Final = 48

HEAD: Final = """\
<!-- Generated from tests/docs/reported.toml; edit that, and run python -m scripts.reported_docs. -->

# Reported elsewhere, tried here

This page lists public reports about problems of other engines, agent frameworks, providers and servers. We rebuilt each
situation with graphengine. Each row describes the situation, says what graphengine does in it, and names a test that
shows this. A report describes how a program behaved at one time; most of these problems have been repaired since. If we
do not know the address of a report, the row names only its repository.
"""
UNDONE: Final = """
## Not done

Situations in which what is done here is not what one would want, and why.

| reported | situation | why |
|---|---|---|
"""


def page() -> str:
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return "".join([HEAD, *(_section(theme) for theme in table["themes"]), UNDONE, *map(_undone, table["undone"])])


def tests() -> Iterator[str]:
    """Yield the tests that the rows of the table name."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    for theme in table["themes"]:
        for row in theme["rows"]:
            yield from row["tests"]


def exists(test: str) -> bool:
    """Return whether a named test exists.

    A test is a test function, a section of a recorded page that a test replays, or a row in the table of a page.

    Args:
        test: The name of the test as it stands in the table.
    """
    if "::" in test:
        file, _, name = test.partition("::")
        return name in _functions(file)
    file, _, title = test.partition(": ")
    return title in _titles(file)


def _section(theme: Mapping[str, Any]) -> str:
    rows = "".join(
        f"| {_reports(row)} | {row['situation']} | {row['done']} | {', '.join(map(_shown, row['tests']))} |\n"
        for row in theme["rows"]
    )
    return f"\n## {theme['title']}\n\n| reported | situation | here | shown by |\n|---|---|---|---|\n{rows}"


def _undone(row: Mapping[str, Any]) -> str:
    return f"| {_reports(row)} | {row['situation']} | {row['why']} |\n"


def _reports(row: Mapping[str, Any]) -> str:
    return ", ".join(LINKED.sub(r"[\2#\3](https://github.com/\1/issues/\3)", each) for each in row["reports"])


def _shown(test: str) -> str:
    """Return the name of a test as the page shows it.

    A long title is shortened, because its beginning identifies it.
    """
    if "::" in test:
        return f"`{test}`"
    file, _, title = test.partition(": ")
    if file.endswith(".md"):
        return f"[{title}](../use/{Path(file).name})"
    plain = title.translate({ord("`"): None, ord("<"): "&lt;", ord("|"): "\\|"})
    return f"`{file}`: {plain if len(plain) <= LONGEST else plain[:LONGEST].rsplit(' ', 1)[0] + ' …'}"


@cache
def _functions(file: str) -> set[str]:
    """Return the names of the test functions in a file. Tests in a class are named Class::test."""
    found = set[str]()
    for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            functions = [each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
            found |= {f"{node.name}::{name}" for name in functions if name.startswith("test_")}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            found.add(node.name)
    return found


@cache
def _titles(file: str) -> set[str]:
    """Return the titles of the sections in a recorded page, or the first cells of the tables in a Markdown page."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return set(re.findall(r"(?m)^\| (.+?) \|" if file.endswith(".md") else r"(?m)^(?:==|#) (.+)$", text))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}")
