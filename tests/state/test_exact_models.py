"""Large models whose types decide that their records read back equal are not read back, and all others are."""

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, computed_field, field_validator

from graphengine import END, START, Graph, Runner, value
from graphengine.errors import NotRecordable
from graphengine.runner import RunFailed
from graphengine.state.encoded import LARGE
from graphengine.state.immutable import exact_models
from graphengine.state.schema import StateType
from graphengine.state.update import Unread
from graphengine.state.view import RecordsAlone, View


class Author(BaseModel):
    name: str = ""


class Poet(Author):
    verses: int = 0


class Item(BaseModel):
    id: int = 0
    title: str = ""
    score: float = 0.5
    kind: Literal["a", "b"] = "a"
    tags: list[str] = []
    counts: dict[str, int] = {}
    author: Author | None = None
    authors: list[Author] = []


class Text(str):
    """A text of a type of its own."""

    __slots__ = ()


FILLING = [Item(id=at, title="lorem ipsum " * 9, author=Author(name="ada")) for at in range(LARGE // 100)]


def taken(made: object, annotation: Any = list[Item]) -> object:
    """Return the typed value of an update: `Unread` if it was not read back."""
    state = StateType.of(type("State", (BaseModel,), {"__annotations__": {"items": annotation}, "items": []}))
    view = View(state, RecordsAlone({"items": []}))
    return state.fields["items"].take(made, view, later=True)[1]


def test_a_large_list_of_models_is_not_read_back() -> None:
    """Its typed value is built when it is first read; that of a small one is known."""
    assert isinstance(taken(FILLING), Unread)
    assert taken(FILLING[:3]) == FILLING[:3]


@pytest.mark.parametrize(
    "wrong",
    [
        {"author": Poet(name="ada", verses=3)},
        {"author": Item()},
        {"authors": [Author(), Poet()]},
        {"score": math.nan},
        {"score": -math.inf},
        {"kind": "c"},
        {"id": None},
        {"title": None},
        {"tags": ["a", None]},
        {"tags": ("a",)},
        {"id": "1"},
        {"id": 10**5000},
        {"counts": {1: 1}},
        {"title": "\ud800"},
    ],
    ids=[
        "subclass",
        "other",
        "inner",
        "nan",
        "inf",
        "choice",
        "int",
        "text",
        "null",
        "tuple",
        "digits",
        "long",
        "key",
        "lone",
    ],
)
def test_what_would_read_back_different_is_refused(wrong: dict[str, Any]) -> None:
    """An instance that was made without validation, or changed since, is found, wherever it stands."""
    with pytest.raises(NotRecordable):
        taken([*FILLING, Item.model_construct(**{**dict(Item()), **wrong})])


def test_an_instance_without_a_field_is_refused() -> None:
    """One that has a default would read back with it."""

    class Needed(BaseModel):
        text: str
        note: str = ""

    filling = [Needed(text="lorem ipsum " * 9) for _ in range(LARGE // 100)]
    with pytest.raises(NotRecordable):
        taken([*filling, Needed.model_construct(note="a")], list[Needed])


@given(st.lists(st.builds(Item), max_size=3), st.data())
def test_what_is_not_read_back_would_read_back_equal(items: list[Item], data: st.DataObject) -> None:
    """Whatever valid models hold, and what equals it: numbers that are booleans, texts of a type of their own."""
    odd: dict[str, Any] = data.draw(
        st.sampled_from([{}, {"id": True}, {"title": Text("a")}, {"score": 1}, {"kind": "b"}])
    )
    made = taken([*FILLING, *items, Item.model_construct(**{**dict(Item()), **odd})])
    if isinstance(made, Unread):
        state = StateType.of(type("State", (BaseModel,), {"__annotations__": {"items": list[Item]}, "items": []}))
        back = state.fields["items"].build(made.record, View(state, RecordsAlone({})))
        assert back == [*FILLING, *items, Item.model_construct(**{**dict(Item()), **odd})]


class Constrained(BaseModel):
    text: str = Field("", max_length=200)


class Validated(BaseModel):
    text: str = ""

    @field_validator("text")
    @classmethod
    def stripped(cls, text: str) -> str:
        return text.strip()


class Hiding(BaseModel):
    text: str = ""
    note: str = Field("", exclude=True)


class Private(BaseModel):
    text: str = ""
    _note: str = PrivateAttr("")


class Computed(BaseModel):
    text: str = ""

    @computed_field
    def length(self) -> int:
        return len(self.text)


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    text: str = ""


class Tree(BaseModel):
    text: str = ""
    below: list["Tree"] = []


class Equal(BaseModel):
    text: str = ""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


class Loose(BaseModel):
    text: Any = ""


class Inner(BaseModel):
    texts: list[Annotated[str, Field(max_length=200)]] = []


@pytest.mark.parametrize(
    "kind",
    [Constrained, Validated, Hiding, Private, Computed, Open, Tree, Equal, Loose, Inner],
    ids=lambda kind: kind.__name__,
)
def test_models_with_rules_of_their_own_are_read_back(kind: type[BaseModel]) -> None:
    """Types do not decide what their validators, serialisers, constraints and comparisons do."""
    assert exact_models(list[kind]) is None  # type: ignore[valid-type]


class Library(BaseModel):
    items: list[Item] = []
    found: str = ""


def library(*nodes: Callable[..., Any]) -> Graph[Library]:
    """Return a graph that runs these nodes in turn."""
    graph = Graph("library", Library)
    for node in nodes:
        graph.add_node(node.__name__, node, writes="items" if node.__name__ == "fill" else "found")
    graph.add_path(START, *(node.__name__ for node in nodes), END)
    return graph


async def test_the_node_that_made_a_value_does_not_share_it() -> None:
    """What a node changes after it returned a large value reaches no other node, and no result."""
    mine = [item.model_copy(deep=True) for item in FILLING]

    async def fill() -> list[Item]:
        return mine

    async def spoil() -> str:
        mine[0].title = "changed"
        mine.clear()
        return "spoilt"

    async def look(items: list[Item]) -> str:
        return items[0].title

    async with Runner() as runner:
        result = await runner.start(library(fill, spoil, look)).result()
    assert result.state.found == FILLING[0].title
    assert result.state.items == FILLING


async def test_a_node_that_changes_such_a_value_is_found() -> None:
    """Its first reader builds it, and must not change it."""

    async def fill() -> list[Item]:
        return FILLING

    async def change(items: list[Item]) -> str:
        items[0].title = "changed"
        return "changed"

    async with Runner() as runner:
        with pytest.raises(RunFailed, match="changed"):
            await runner.start(library(fill, change)).result()


async def test_conditions_read_what_the_step_has_just_written() -> None:
    """The value is built once, for the condition and for the node after it."""

    async def fill() -> list[Item]:
        return FILLING

    async def look(items: list[Item]) -> str:
        return items[-1].author.name if items[-1].author else ""

    graph = Graph("library", Library)
    graph.add_node("fill", fill, writes="items")
    graph.add_node("look", look, writes="found")
    graph.add_edge(START, "fill")
    graph.add_edge("fill", "look", when=value("items[0].author.name") == "ada")
    graph.add_edge("fill", END)
    graph.add_edge("look", END)
    async with Runner() as runner:
        result = await runner.start(graph).result()
    assert result.state.found == "ada"
