"""States that are declared as a TypedDict or a dataclass: they work as pydantic models do, and users get their own."""

import difflib
import operator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict, assert_type

import pytest
from pydantic import Field

from graphengine import END, START, Graph, Limits, Runner, iterations
from graphengine.errors import InputError
from graphengine.reducers import append


class Keys(TypedDict):
    text: str
    items: Annotated[list[str], operator.add]
    answer: NotRequired[str]
    log: NotRequired[list[str]]


@dataclass(frozen=True, slots=True)
class Values:
    text: str
    n: Annotated[int, Field(ge=0)] = 0
    items: Annotated[list[str], append] = field(default_factory=list)


def louder(text: str) -> str:
    """Return it with an exclamation mark."""
    return text + "!"


SEEN: list[object] = []


def seen(state: object) -> None:
    """Keep the whole state as a node gets it."""
    SEEN.append(state)


def of_keys() -> Graph[Keys]:
    """Two nodes over a TypedDict."""
    graph = Graph("keys", Keys)
    graph.add_node(seen)
    graph.add_node(louder, writes="text")
    graph.add_path(START, "seen", "louder", END)
    return graph


def of_values() -> Graph[Values]:
    """Two nodes over a dataclass, in a loop."""
    graph = Graph("values", Values)
    graph.add_node(seen)
    graph.add_node("louder", louder, writes={"text": ".", "items": "."})
    graph.add_path(START, "seen", "louder")
    graph.add_edge("louder", END, when=iterations("louder") >= 2)
    graph.add_edge("louder", "seen")
    return graph


async def test_a_typed_dict_is_a_dict_everywhere() -> None:
    """Nodes and results get a dict; a key that is not required is missing until it is written, or empty if a list."""
    result = await of_keys().run({"text": "a", "items": ["x"]})
    assert_type(result.state, Keys)
    assert result.state == {"text": "a!", "items": ["x"], "log": []}
    assert SEEN.pop() == {"text": "a", "items": ["x"], "log": []}


async def test_a_dataclass_is_an_instance_everywhere() -> None:
    """Nodes and results get one, frozen and with slots; its defaults hold, and its reducers."""
    result = await of_values().run(Values("a"))
    assert_type(result.state, Values)
    assert result.state == Values("a!!", items=["a!", "a!!"])
    assert SEEN[-2:] == [Values("a"), Values("a!", items=["a!"])]
    assert (await of_values().run({"text": "a", "n": 1})).state.n == 1


@pytest.mark.parametrize(("made", "given"), [(of_keys, {"text": "a", "items": []}), (of_values, Values("a"))])
async def test_runs_are_resumed_branched_and_continued(tmp_path: Path, made: Any, given: object) -> None:
    """Runs are resumed, branched and continued from the same records as those of a model."""
    graph = made()
    whole = (await graph.run(given)).state
    async with Runner(tmp_path / "runs.db") as runner:
        run = runner.start(graph, given, limits=Limits(visits=1))
        assert (await run.result()).status == "stopped"
        assert (await runner.resume(run.id, graph, limits=Limits()).result()).state == whole
        branch = await runner.branch(run.id, graph, at=2, update={"text": "b"}).result()
        assert type(branch.state) is type(whole)
        further = await runner.start(graph, {"text": "c"}, after=run.id).result()
        assert type(further.state) is type(whole)


async def test_a_graph_of_one_is_a_node_of_another() -> None:
    """Its whole state is a value of the type that the user declared."""

    class Outer(TypedDict):
        text: str
        inside: NotRequired[Values]

    outer = Graph("outer", Outer)
    outer.add_node("inner", of_values(), inputs={"text": "text"}, writes="inside")
    outer.add_path(START, "inner", END)
    assert outer.check() == []
    assert (await outer.run({"text": "a"})).state["inside"] == Values("a!!", items=["a!", "a!!"])


async def test_a_dataclass_that_a_node_returns_names_fields() -> None:
    """A dataclass that a node returns names fields as a mapping does."""

    @dataclass
    class Changes:
        text: str

    def change(text: str) -> Changes:
        return Changes(text + "?")

    graph = Graph("changing", Keys)
    graph.add_node(change)
    graph.add_path(START, "change", END)
    assert (await graph.run({"text": "a", "items": []})).state["text"] == "a?"


def test_what_does_not_fit_is_refused() -> None:
    """What does not fit is refused by field, with the value, as with a model."""
    with pytest.raises(InputError, match="items: Field required"):
        of_keys().run_sync({"text": "a"})
    with pytest.raises(InputError, match="n: Input should be greater than or equal to 0"):
        of_values().run_sync(Values("a", n=-1))
    with pytest.raises(InputError, match=r"unknown field 'txt'(?s:.*)items: Input should be a valid list") as caught:
        of_keys().run_sync({"txt": "a", "items": 3})
    assert "text: Field required" not in caught.value.message  # it follows from the misspelt name


def test_a_change_in_place_is_found() -> None:
    """A change in place is found, also of a dict."""

    def change(state: dict[str, Any]) -> None:
        state["text"] = "b"

    graph = Graph("changing", Keys)
    graph.add_node(change)
    graph.add_path(START, "change", END)
    with pytest.raises(Exception, match="change changed its input 'text' in place"):
        graph.run_sync({"text": "a", "items": []})


class Text(TypedDict):
    text: str


@dataclass
class Line:
    text: str = ""


@pytest.mark.parametrize(("state", "made"), [(Text, {"text": "a!"}), (Line, Line("a!"))])
async def test_a_state_of_plain_fields_is_what_was_declared(state: type[Any], made: object) -> None:
    """It is its own record, and the result has it in the declared type."""
    graph: Graph[Any] = Graph("plain", state)
    graph.add_node(louder, writes="text")
    graph.add_path(START, "louder", END)
    assert (await graph.run({"text": "a"})).state == made


class CountedKey(str):
    """A key that counts how often it is compared."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        """Count a comparison."""
        CountedKey.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_many_unknown_fields_are_reported_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first few are looked up among the known ones, and the rest are counted."""
    looked_up: list[str] = []

    def close_matches(word: str, *_: object, **__: object) -> list[str]:
        looked_up.append(word)
        return []

    monkeypatch.setattr(difflib, "get_close_matches", close_matches)
    CountedKey.compared = 0
    body: dict[str, object] = {CountedKey(f"key {number}"): 1 for number in range(2_000)}
    with pytest.raises(InputError, match=r"unknown field 'key 0': (?s:.*)1,988 more unknown fields") as caught:
        of_keys().run_sync({**body, "items": 5})
    assert "items: Input should be a valid list" in caught.value.message
    assert len(looked_up) <= 24
    assert CountedKey.compared <= 5 * len(body)
    assert len(caught.value.message) < 2_000
