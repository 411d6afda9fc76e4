"""Every page of this folder is true. `UPDATE_MISTAKES=1 pytest tests/compile` rewrites what is said.

A page is a title (lines with `#`), Python that its mistakes share under `== graph`, and declarations under
`== mistakes`: Python in lines that begin with `>`, whose last line is a graph or raises an error, followed by what
check says of the graph, or by the error; any other value is shown as text. After `== mistakes of unbounded_loop`, only
problems of this code count. A line with `#` between declarations is a comment.
"""

import ast
import difflib
import os
import re
from itertools import groupby
from pathlib import Path
from textwrap import indent
from typing import Any, Final

import pytest

from graphengine import Graph
from graphengine.errors import GraphEngineError, Problem
from tests.kit.scenario import namespace

PAGES: Final = sorted(Path(__file__).parent.glob("*.txt"))
PART: Final = re.compile(r"^== (?:graph|mistakes(?: of (\w+))?)\n", re.MULTILINE)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_compile_says_of_a_mistake_what_its_page_says(path: Path) -> None:
    """Each mistake of a page is reported with its code, place and repair, without follow-up problems."""
    written = path.read_text(encoding="utf-8")
    said = read(written, path.name)
    if os.environ.get("UPDATE_MISTAKES"):
        path.write_text(said, encoding="utf-8")
    elif said != written:
        diff = difflib.unified_diff(written.splitlines(), said.splitlines(), "the page", "compile", lineterm="", n=6)
        pytest.fail("\n".join([f"{path.name} (UPDATE_MISTAKES=1 rewrites it):", *diff]), pytrace=False)


def read(page: str, name: str) -> str:
    """Return a page as it should read."""
    title, _, graph, code, mistakes = PART.split(page)
    names = namespace(graph, name)
    lines = list[str]()
    for kind, group in groupby(mistakes.splitlines(), key=lambda line: line[:1]):
        given = [line.rstrip() for line in group]
        if kind == "#":
            lines += ["", *given]
        elif kind == ">":
            is_named = lines and lines[-1].startswith("#")
            said = outcome("\n".join(line[2:] for line in given), name, dict(names), code)
            lines += [*([] if is_named else [""]), *given, indent(said, "  ")]
    parts = PART.finditer(page)
    return "\n".join([f"{title}{next(parts)[0]}{graph}{next(parts)[0].rstrip()}", *lines, ""])


def outcome(source: str, name: str, names: dict[str, Any], code: str | None) -> str:
    """Return what is said of a declaration."""
    tree = ast.parse(source, name)
    last = tree.body.pop()
    assert isinstance(last, ast.Expr), source
    try:
        exec(compile(tree, name, "exec", dont_inherit=True), names)  # noqa: S102 - our own pages
        made: object = eval(compile(ast.Expression(last.value), name, "eval", dont_inherit=True), names)  # noqa: S307
    except GraphEngineError as error:
        message = re.sub(r" at 0x[0-9a-f]+", "", error.message)
        return f"{type(error).__name__}: {message}\n  repair: {error.repair}"
    if not isinstance(made, Graph):
        return str(made)
    wanted = [problem for problem in made.check() if code in (None, problem.code)]
    return "\n".join(shown(problem) for problem in wanted) or "no problem"


def shown(problem: Problem) -> str:
    """Return a problem in readable form, without its line."""
    kind = "warning " if problem.warning else ""
    text = f"{kind}{problem.code} at {problem.where}: {problem.message}"
    return f"{text}\n  repair: {problem.repair}" if problem.repair else text
