"""What an unknown name of a graph, a plan or a result gets."""

import asyncio
import operator
import re
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Graph,
    Runner,
)
from graphengine.errors import DefinitionError, GraphEngineError, InputError, UnknownAttribute
from graphengine.graph.elsewhere import OF_A_GRAPH
from graphengine.graph.foreign import forms_by_name


class State(BaseModel):
    text: str = ""
    items: Annotated[list[str], operator.add] = []


class Keys(TypedDict):
    text: str
    score: int


def work(text: str) -> str:
    """A node."""
    return text + "!"


def three() -> Any:
    """Return three nodes, from a to b and c, typed as Any, so that type checkers accept the mistakes below."""
    graph: Any = Graph("three", State)
    for name in "abc":
        graph.add_node(name, work, writes="text")
    graph.add_edge(START, "a")
    return graph


def one(node: object, **options: Any) -> Any:
    """One node."""
    graph: Any = Graph("one", State)
    graph.add_node("a", node, **options)
    graph.add_path(START, "a", END)
    return graph


def test_other_names_are_unknown_as_in_python() -> None:
    """Other unknown names get Python's own suggestion; `hasattr` and copies work."""
    with pytest.raises(AttributeError, match="'Graph' object has no attribute 'add_nodes'") as caught:
        three().add_nodes()
    assert not isinstance(caught.value, GraphEngineError)
    assert (caught.value.name, hasattr(three(), "invoke")) == ("add_nodes", False)
    plan = one(work, writes="text").compile()
    named = {name for name in forms_by_name("Graph") if not name.startswith("__")}
    assert not {*dir(three())} & named - {*vars(Graph), *vars(Graph.__mro__[1])}
    assert not {*dir(plan)} & named - {*type(plan).__annotations__, *OF_A_GRAPH, "paths"}
    assert issubclass(UnknownAttribute, AttributeError)


async def test_a_run_that_is_awaited_is_a_coroutine() -> None:
    """It can be a task, and be awaited."""
    graph = one(work, writes="text")
    assert (await asyncio.create_task(graph.run({"text": "a"}))).state.text == "a!"
    assert (await graph.run({"text": "b"})).state.text == "b!"


def test_graphs_and_plans_are_shown_in_short() -> None:
    """Graphs and plans are shown by name, state and number of nodes."""
    graph = one(work, writes="text")
    assert (repr(graph), repr(graph.compile())) == ("Graph('one', State, 1 node)", "Plan('one', State, 1 node)")


def test_a_subclass_decides_what_it_takes() -> None:
    """What is said about a missing name or state is about the arguments of `Graph` itself."""

    class Named(Graph[State]):
        def __init__(self, name: str) -> None:
            super().__init__(name, State)

    assert repr(Named("a")) == "Graph('a', State, 0 nodes)"


@pytest.mark.parametrize(("state", "item"), [(State, "result.state.text"), (Keys, "result.state['text']")])
def test_an_item_of_a_result_is_an_attribute_or_a_key_of_its_state(state: type[Any], item: str) -> None:
    """result["text"] names what has it, as the type of the state does, and result["__interrupt__"] the waits."""
    graph: Any = Graph("one", state)
    graph.add_node("a", work, writes="text")
    graph.add_path(START, "a", END)
    result = graph.run_sync({"text": "hi", **({"score": 1} if state is Keys else {})})
    with pytest.raises(DefinitionError, match=re.escape(f"repair: use {item}, or result.output")):
        result["text"]
    with pytest.raises(DefinitionError, match=re.escape("repair: use result.waits")):
        result["__interrupt__"]


async def test_a_step_is_its_number_or_a_visit() -> None:
    """What is neither, such as a step of the history, is refused with what to give."""
    graph = one(work, writes="text")
    async with Runner() as runner:
        await runner.start(graph, {"text": "hi"}, run_id="first").result()
        step: Any = (await runner.history("first"))[0]
        repair = re.escape("give the number of a step, such as 7 (step 1 is the input), or a node's path and visit")
        with pytest.raises(InputError, match=repair):
            await runner.state_at("first", step)
        with pytest.raises(InputError, match=repair):
            await runner.branch("first", graph, at="a1").result()
