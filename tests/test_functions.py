"""How long and branched a function may be; the lists name what is over that, and only shrink."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "graphengine"
MOST_LINES, MOST_PATHS, MOST_PARAMETERS = 60, 30, 12

LONG = {
    "databases/postgres/writes.py create",
    "history/event_of_step.py _event",
}
BRANCHED: set[str] = set()
MANY_PARAMETERS = {
    "agents/mcp_servers.py mcp",
    "api/runner.py __init__",
    "cli/whatif.py whatif",
    "graph/definition.py __init__",
    "graph/definition.py add_node",
    "runner/runner.py start",
    "stores/base.py runs",
    "testing/evaluation/what_if.py what_if",
}
"""Options that users give by name."""


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield each function of the package with its file and name."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{path.relative_to(PACKAGE).as_posix()} {node.name}", node


def lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function's body without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (node.end_lineno or 0) - body[0].lineno + 1 if body else 0


def paths(node: ast.AST) -> int:
    """Return one more than the decisions in a function, as radon counts them; above 30 is its grade E."""
    found = 1
    for part in ast.walk(node):
        match part:
            case ast.If() | ast.IfExp() | ast.Assert() | ast.Lambda() | ast.match_case():
                found += 1
            case ast.For() | ast.AsyncFor() | ast.While():
                found += 1 + bool(part.orelse)
            case ast.Try():
                found += len(part.handlers) + bool(part.orelse)
            case ast.BoolOp():
                found += len(part.values) - 1
            case ast.comprehension():
                found += 1 + len(part.ifs)
            case _:
                pass
    return found


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many parameters a function has."""
    return len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)


def test_no_function_is_longer_or_more_branched_than_the_rule() -> None:
    """A new one over it is opened; one that was opened leaves its list."""
    found = list(functions())
    assert {name for name, node in found if lines(node) > MOST_LINES} == LONG
    assert {name for name, node in found if paths(node) > MOST_PATHS} == BRANCHED
    assert {name for name, node in found if parameters(node) > MOST_PARAMETERS} == MANY_PARAMETERS
