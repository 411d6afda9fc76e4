"""The texts of types, which are a part of a graph's fingerprint."""

from collections.abc import Callable
from itertools import count
from typing import Annotated, Any, Generic, List, Literal, Optional, TypeVar, Union  # noqa: UP035 - as users write them

import pytest
from pydantic import BaseModel

from graphengine import END, START
from graphengine.compile.compiler import compiled
from graphengine.graph.definition import GraphDefinition
from graphengine.state.field import type_name

T = TypeVar("T")


class Box(Generic[T]):
    class Inner:
        """A class in a class."""


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (Optional[int], "int | None"),  # noqa: UP045
        (int | None, "int | None"),
        (Union[None, int, str], "None | int | str"),  # noqa: UP007
        (List[Optional[int]], "List[int | None]"),  # noqa: UP006, UP045
        (list[Optional[int]], "list[int | None]"),  # noqa: UP045
        (dict[str, Union[int, list[Optional[str]]]], "dict[str, int | list[str | None]]"),  # noqa: UP007, UP045
        (Callable[[Optional[int]], Union[int, str]], "Callable[[int | None], int | str]"),  # noqa: UP007, UP045
        (Optional[Literal["Optional[int]", 1]], "Literal['Optional[int]', 1] | None"),  # noqa: UP045
        (Annotated[Optional[int], "m"], "Annotated[int | None, 'm']"),  # noqa: UP045
        (Box[Optional[Box.Inner]], "Box[Inner | None]"),  # noqa: UP045
        (Optional[Callable[..., Any]], "Callable[..., Any] | None"),  # noqa: UP045
        (tuple[int, ...], "tuple[int, ...]"),
        (Box.Inner, "Inner"),
        (None, "None"),
    ],
    ids=count(),
)
def test_a_type_has_one_text_on_every_python(annotation: object, text: str) -> None:
    """Python 3.14 prints `Optional[int]` as `int | None`, and cannot tell one from the other; 3.13 prints both."""
    assert type_name(annotation) == text


class State(BaseModel):
    amount: Optional[int] = None  # noqa: UP045
    parts: Union[int, List[Optional[str]]] = 0  # noqa: UP006, UP007, UP045


def test_a_graph_has_one_fingerprint_on_every_python() -> None:
    """Else every waiting run continued under a changed graph after an upgrade of Python."""
    graph = GraphDefinition("optional", State)
    graph.add_node("up", lambda amount: amount, writes="amount")
    graph.add_path(START, "up", END)
    assert compiled(graph).fingerprint == "cde183a681c11883"
