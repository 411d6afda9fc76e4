"""Golden pages of Python: declarations, calls or pictures, each with what is said of it.

A page is a title (lines with `#`), Python that all of it shares under `== graph`, and a part of any other name: Python
in lines that begin with `>`, which may await, and whose last line is an expression; after `&` is another expression of
which the same is said. What follows is what check says of a graph, nothing if it finds no problem, the error that is
raised with its notes, or any other value as text. After `== mistakes of unbounded_loop`, only problems of this code
count. A line with `#` between them is a comment.
"""

from __future__ import annotations

import ast
import asyncio
import re
from itertools import groupby
from textwrap import indent
from types import CodeType
from typing import TYPE_CHECKING, Any, Final

from graphengine import Graph
from graphengine.errors import GraphEngineError, Problem
from tests.kit import golden
from tests.kit.scenario import namespace

if TYPE_CHECKING:
    from pathlib import Path

PART: Final = re.compile(r"^== \w+(?: of (\w+))?\n", re.MULTILINE)


def check_page(path: Path) -> None:
    """Fail unless a page reads as it should; with `UPDATE_PAGES=1`, write it as it should read."""
    golden.check(path, read(path.read_text(encoding="utf-8"), path.name))


def read(page: str, name: str) -> str:
    """Return a page as it should read."""
    title, _, graph, code, shared = PART.split(page)
    names = namespace(graph, name)
    lines, said = list[str](), ""
    for kind, group in groupby(shared.splitlines(), key=lambda line: line[:1]):
        given = [line.rstrip() for line in group]
        if kind == "#":
            lines += ["", *given]
        elif kind == ">":
            is_named = lines and lines[-1].startswith("#")
            said = outcome("\n".join(line[2:] for line in given), name, dict(names), code)
            lines += [*([] if is_named else [""]), *given, *([indent(said, "  ")] if said else [])]
        elif kind == "&":
            for each in given:
                other = outcome(each[2:], name, dict(names), code)
                place = len(lines) - bool(said)
                lines[place:place] = [each] if other == said else []
                lines += [] if other == said else ["", f"> {each[2:]}", *([indent(other, "  ")] if other else [])]
                said = other
    parts = PART.finditer(page)
    return "\n".join([f"{title}{next(parts)[0]}{graph}{next(parts)[0].rstrip()}", *lines, ""])


def outcome(source: str, name: str, names: dict[str, Any], code: str | None) -> str:
    """Return what is said of a declaration."""
    try:
        waiting = eval(program(source, name), names)  # noqa: S307 - our own pages
        if waiting is not None:
            asyncio.run(waiting)
    except GraphEngineError as error:
        repair = [f"  repair: {error.repair}"] if error.repair else []
        return without_places([f"{type(error).__name__}: {error.message}", *repair, *getattr(error, "__notes__", ())])
    except Exception as error:  # noqa: BLE001 - a page says which errors are raised
        return without_places([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
    made = names["_made"]
    if not isinstance(made, Graph):
        return without_places(str(made).rstrip("\n").split("\n"))
    wanted = [problem for problem in made.check() if code in (None, problem.code)]
    return "\n".join(shown(problem) for problem in wanted)


def program(source: str, name: str) -> CodeType:
    """Return a program that may await, and gives what its last expression is the name `_made`."""
    tree = ast.parse(source, name)
    last = tree.body[-1]
    if isinstance(last, ast.Expr):
        made_here = ast.Assign([ast.Name("_made", ast.Store())], last.value)
        tree.body[-1] = ast.fix_missing_locations(ast.copy_location(made_here, last))
    found: CodeType = compile(tree, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return found


def without_places(lines: list[str]) -> str:
    """Return lines without the places of objects in memory and of lines in files."""
    return re.sub(r" at 0x[0-9a-f]+| \(\w+\.(?:txt|py):\d+\)", "", "\n".join(line.rstrip() for line in lines))


def shown(problem: Problem) -> str:
    """Return a problem in readable form, without its line."""
    kind = "warning " if problem.warning else ""
    text = f"{kind}{problem.code} at {problem.where}: {problem.message}"
    return f"{text}\n  repair: {problem.repair}" if problem.repair else text
