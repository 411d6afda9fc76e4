"""The place in the user's code where something was declared, so that problems are reported by file and line.

A declaration stores the line of the call that made it: the nearest one outside graphengine. For a pattern, that is the
user's call of the pattern. This takes about half a microsecond and reads no files.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterable, Sequence
    from types import CodeType, FrameType, FunctionType

    from graphengine.errors import Problem
    from graphengine.graph.definition import GraphDefinition

_OWN = "graphengine."


class Origin(NamedTuple):
    """A line of a file."""

    file: str
    line: int


def origin_of_call() -> Origin | None:
    """Return the line of the user's code that called graphengine, to show it in errors; None if it is unknown."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - inspect.stack() reads files; this costs nothing
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_OWN):
        frame = frame.f_back
    return None if frame is None else Origin(frame.f_code.co_filename, frame.f_lineno)


def origin_of_field(model: type, name: str) -> Origin | None:
    """Return the line that declares a field of a model, to show it in errors.

    If this line is not found, the line of the model's class is returned; None if there is no source.
    """
    import ast  # noqa: PLC0415 - needed only to report a problem

    model = getattr(model, "__declared__", model)  # a TypedDict or a dataclass
    found: Origin | None = None
    for owner in model.__mro__:
        declared, origin = source_of(owner) or (None, None)
        if not isinstance(declared, ast.ClassDef) or origin is None:
            continue
        for node in declared.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
                return Origin(origin.file, origin.line + node.lineno - declared.lineno)
        if owner is model:
            found = origin
    return found


def source_of(owner: type | FunctionType) -> tuple[ast.stmt | ast.Lambda, Origin] | None:
    """Return the code that defines a class or a function, and its file and line; None if there is no source."""
    import ast  # noqa: PLC0415
    import inspect  # noqa: PLC0415
    from tokenize import TokenError  # noqa: PLC0415

    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    code: CodeType | None = getattr(owner, "__code__", None)
    try:
        if code is not None and code.co_name == "<lambda>":
            # The lines of a lambda can be a part of a statement, so the whole file is parsed.
            file = ast.walk(ast.parse("".join(inspect.findsource(code)[0])))
            written = next(node for node in file if isinstance(node, ast.Lambda) and _is_code_of(node, code))
            return written, Origin(code.co_filename, written.lineno)
        lines, first = inspect.getsourcelines(owner if code is None else code)  # not of the function that it wraps
        # Not dedented: a text in it can begin at the start of a line. It begins in line 2.
        tree = ast.parse("".join(["if True:\n" if lines[0][:1].isspace() else "\n", *lines]))
        found = next(node for node in ast.walk(tree) if isinstance(node, kinds))
        return found, Origin(inspect.getfile(owner), first + found.lineno - 2)
    except (OSError, TypeError, SyntaxError, ValueError, TokenError, StopIteration):  # from a prompt, or changed
        return None


def _is_code_of(node: ast.Lambda, code: CodeType) -> bool:
    """Return whether a lambda in the source is the one with this byte code. Several lambdas can be on one line."""
    body = node.body
    span = body.lineno, body.end_lineno, body.col_offset, body.end_col_offset
    return node.lineno == code.co_firstlineno and span in code.co_positions()


def place(problems: list[Problem], begin: int, origin: Origin | None) -> None:
    """Give each problem from index `begin` on the file and line where the user declared what the problem is about.

    A problem that already has a line of its own keeps it.

    Args:
        problems: All problems; changed in place.
        begin: The index of the first problem to change.
        origin: The declaration that the problems are about.
    """
    problems[begin:] = [_place_problem(problem, origin) for problem in problems[begin:]]


def place_rest(problems: list[Problem], graph: GraphDefinition[Any]) -> None:
    """Add to the remaining problems the file and line of what they name (a node, edge or field), or of the graph."""
    for index, problem in enumerate(problems):
        if problem.line is None:
            problems[index] = _place_problem(problem, _origin(problem.where, graph))


def join_places(problems: list[Problem], groups: Iterable[Sequence[int]]) -> None:
    """Merge all problems about one unknown name into a single problem, which lists all places where the name is used.

    If one of them is about an unknown field, that problem is kept, and the others are added to its message.

    Args:
        problems: All problems; changed in place.
        groups: For each name, the indices of the problems about it.
    """
    extra: set[int] = set()
    for group in groups:
        first = next((index for index in group if problems[index].code == "unknown_field"), group[0])
        others = [index for index in group if index != first]
        found = problems[first]
        places = dict.fromkeys((problems[index].where, problems[index].line) for index in others)
        places.pop((found.where, found.line), None)
        others_text = ", ".join(f"{where} at line {line}" if line else where for where, line in places)
        if others_text:
            problems[first] = replace(found, message=f"{found.message} (also: {others_text})")
        extra.update(others)
    problems[:] = [problem for index, problem in enumerate(problems) if index not in extra]


def _place_problem(problem: Problem, origin: Origin | None) -> Problem:
    if origin is None or problem.line is not None:
        return problem
    return replace(problem, file=origin.file, line=origin.line)


def _origin(where: str, graph: GraphDefinition[Any]) -> Origin | None:
    """Return the file and line where the user declared the node, edge or field that a problem is about.

    `where` is the place that the problem names, such as `node review`.
    """
    for place_name, origin in (
        *((f"node {declared.name}", declared.origin) for declared in graph.nodes),
        *((f"edge from {edge.source}", edge.origin) for edge in graph.edges),
        *((f"fork at {edge.source}", edge.origin) for edge in graph.edges if hasattr(edge, "join")),
    ):
        if where == place_name or where.startswith(f"{place_name},"):
            return origin
    if where.startswith(("field ", "state ")) and isinstance(graph.state, type):
        return origin_of_field(graph.state, where.rpartition(".")[2]) or graph.origin
    return graph.origin
