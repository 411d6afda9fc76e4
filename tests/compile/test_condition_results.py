"""What a function that is a condition may return: a bool. Anything else is refused by check or where it is returned."""

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, Literal, Protocol

import pytest
from pydantic import BaseModel
from typing_extensions import TypeIs

from graphengine import END, FAIL, START, Graph, RunFailed


class State(BaseModel):
    """A number and a list."""

    n: int = 0
    items: list[int] = []


class Colour(Enum):
    """What is true, whatever it is."""

    RED = "red"


class NumpyBool:
    """A stand-in for numpy's bool, which is not needed for this: its type is known by its home and name."""

    def __init__(self, *, is_true: bool) -> None:
        self._is_true = is_true

    def __bool__(self) -> bool:
        return self._is_true


NumpyBool.__module__, NumpyBool.__name__ = "numpy", "bool_"


class Sized(Protocol):
    """Whatever has this may be a bool."""

    def __bool__(self) -> bool: ...


def routed(when: Callable[..., Any]) -> Graph[State]:
    """Return a graph that ends if the condition holds, and fails else."""
    graph = Graph("routed", State)
    graph.add_node("a", lambda: 1, writes="n")
    graph.add_edge(START, "a")
    graph.add_edge("a", END, when=when)
    graph.add_edge("a", FAIL)
    return graph


@pytest.mark.parametrize("given", [True, NumpyBool(is_true=True)], ids=["bool", "numpy"])
async def test_a_bool_holds(given: object) -> None:
    """Python's, and numpy's, which is what a comparison of its numbers returns."""
    assert (await routed(lambda n: given).run()).status == "finished"


@pytest.mark.parametrize("given", [False, NumpyBool(is_true=False)], ids=["bool", "numpy"])
async def test_and_one_that_is_false_does_not(given: object) -> None:
    """The next edge is tried."""
    with pytest.raises(RunFailed):
        await routed(lambda n: given).run()


OTHERS: Final[list[object]] = [None, "no", "", 0, 1, 0.5, [], [0], {}, (), Colour.RED, b"no", object]


@pytest.mark.parametrize("given", OTHERS, ids=lambda value: f"{type(value).__name__} {value!r}")
async def test_anything_else_is_refused_with_its_value(given: object) -> None:
    """Text that says no would hold; a function without a return would never hold."""
    with pytest.raises(RunFailed, match="which is neither True nor False") as failed:
        await routed(lambda n: given).run()
    assert "condition_failed" in str(failed.value)


def returns(kind: object) -> Callable[..., Any]:
    """Return a condition that is annotated so."""

    def condition(n: int) -> Any:
        return n > 0

    condition.__annotations__["return"] = kind
    return condition


@pytest.mark.parametrize(
    "kind", [bool, bool | None, Any, object, Literal[True], NumpyBool, Sized, TypeIs[int], bool | int], ids=str
)
def test_check_lets_pass_what_may_be_a_bool(kind: object) -> None:
    """Whatever has a bool among it, or above it."""
    assert not [problem for problem in routed(returns(kind)).check() if problem.code == "wrong_comparison"]


@pytest.mark.parametrize(
    "kind",
    [str, int, float, None, list[int], dict, Colour, Literal["yes", "no"], State, str | None, int | float],
    ids=str,
)
def test_check_reports_what_cannot_be_one(kind: object) -> None:
    """Before anything runs."""
    (found,) = [problem for problem in routed(returns(kind)).check() if problem.code == "wrong_comparison"]
    assert "not a bool" in found.message
