"""What a new user writes instead of what is meant: the text says what was given, and what to write."""

from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Retry, failed
from graphengine.errors import DefinitionError


class State(BaseModel):
    n: int = 0
    s: str = ""


def both() -> tuple[int, str]:
    """Return a number and a text."""
    return 1, "a"


def test_a_tuple_has_no_names() -> None:
    """A tuple for two fields is an error at compile, and its repair works."""
    graph = Graph[Any, Any]("both", State)
    graph.add_node("both", both, writes=("n", "s"))
    graph.add_path(START, "both", END)
    [problem] = graph.check()
    assert problem.code == "no_writes"
    assert "both returns tuple[int, str], but writes=['n', 's'] needs a mapping" in problem.message
    assert problem.repair.endswith("writes={'n': lambda result: result[0], 's': lambda result: result[1]}")
    repaired = Graph[Any, Any]("both", State)
    repaired.add_node("both", both, writes={"n": lambda result: result[0], "s": lambda result: result[1]})
    repaired.add_path(START, "both", END)
    assert repaired.check() == []


@pytest.mark.parametrize(
    ("on", "shown", "repair"),
    [
        ("OSError", "'OSError'", "give the type, not its name: on=OSError"),
        (OSError(), "OSError()", "give the type of the exception: on=OSError"),
        (["OSError"], "'OSError'", "give the type, not its name: on=OSError"),
        ([3], "3", "give exception types: on=(OSError,)"),
    ],
    ids=["name", "instance", "names", "number"],
)
def test_a_retry_is_on_types(on: Any, shown: str, repair: str) -> None:
    """A name or an instance for an exception's type is named as it was given."""
    with pytest.raises(DefinitionError) as raised:
        Retry(on=on)
    assert (raised.value.message, raised.value.repair) == (f"Retry(on={shown}) must name types of exceptions", repair)


def test_failed_shows_what_it_was_given() -> None:
    """One name is shown as it was written, without the comma of a tuple."""
    name: Any = "OSError"
    with pytest.raises(DefinitionError, match=r"failed\('OSError'\)"):
        failed(name)


def nothing(n: int) -> None:
    """Return nothing."""


def test_a_function_that_returns_none_writes_nothing() -> None:
    """Without writes= it is a node; with it, the text says None, and not the name of its class."""
    graph = Graph[Any, Any]("none", State)
    graph.add_node("plain", nothing)
    graph.add_node("written", nothing, writes="n")
    graph.add_path(START, "plain", "written", END)
    [problem] = graph.check()
    assert problem.message == "nothing returns None, but the field 'n' takes int"
    assert problem.repair == "return the value; a node that returns None writes nothing, and needs no writes="
