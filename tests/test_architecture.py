"""What import-linter cannot see: calls in the core that make it depend on more than its arguments.

The contracts in pyproject.toml keep impure modules out of graphengine/engine. `datetime` and `uuid` stay
allowed, since values of their types pass through, and `open` needs no import; so the calls are looked for.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE = Path(__file__).resolve().parent.parent / "graphengine" / "engine"
FILES = sorted(path.relative_to(CORE).as_posix() for path in CORE.rglob("*.py"))
IMPURE_METHODS = {"now", "utcnow", "today", "uuid1", "uuid4"}
IMPURE_FUNCTIONS = {"open", "print", "input", "uuid1", "uuid4"}


def impure_calls(source: str) -> Iterator[str]:
    """Yield each call in `source` to a clock, to chance or to the world outside, with its line."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(attr=name)) if name in IMPURE_METHODS:
                yield f"{name} (line {node.lineno})"
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_FUNCTIONS:
                yield f"{name} (line {node.lineno})"


@pytest.mark.parametrize("name", FILES)
def test_the_core_depends_on_its_arguments_alone(name: str) -> None:
    """No file of the core calls a clock, chance, or a built-in function that reads or writes."""
    assert list(impure_calls((CORE / name).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import datetime\nat = datetime.datetime.now(datetime.UTC)", ["now (line 2)"]),
        ("text = open('x').read()", ["open (line 1)"]),
        ("at = event.started_at\nnow = at", []),
    ],
    ids=["a clock", "a file", "a time that an event brought"],
)
def test_an_impure_call_is_found_where_it_stands(source: str, found: list[str]) -> None:
    """The search names the call and its line, and leaves times that events bring alone."""
    assert list(impure_calls(source)) == found
