"""Limits around a runnable."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Limits, RunFailed, Runner, ScriptedModel, ended_with, iterations
from graphengine.models import Response
from graphengine.models.scripted import calls
from graphengine.patterns import with_limits
from tests.patterns.scripted import named, play


class Search(BaseModel):
    """A search."""

    task: str = ""
    found: str = ""


def priced(text: str = "found it") -> Response:
    """Return an answer that costs something."""
    return Response(text, input_tokens=40, output_tokens=10, cost_usd=0.25, model="acme:big")


def walk(visits: int) -> Graph[Search]:
    """Return a graph with this many agent calls."""
    graph = Graph("walk", Search, result="found")
    graph.add_node("look", named("look"), writes="found")
    graph.add_edge(START, "look")
    graph.add_edge("look", END, when=iterations("look") >= visits)
    graph.add_edge("look", "look")
    return graph


INSTEAD = named("instead")


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        (Limits(visits=3), 3),
        (Limits(tokens=100), 2),
        (Limits(cost_usd=0.75), 3),
        (Limits(), 5),
    ],
)
async def test_a_runnable_is_called_until_a_limit_is_reached(limits: Limits, allowed: int) -> None:
    """When a limit is reached, the replacement runs once; within the limits it does not run."""
    graph = with_limits(Search, walk(5), answer="found", limits=limits, instead=INSTEAD)
    met = allowed < 5
    played = await play(graph, {"task": "?"}, {"look": lambda _: priced(), "instead": ["nothing"] if met else []})
    assert played.calls.total() == allowed + met
    assert (played.label, played.output) == (("limit reached", "nothing") if met else ("within limits", "found it"))
    assert played.result.usage.cost_usd == 0.25 * allowed


async def test_without_a_replacement_the_answer_is_unchanged() -> None:
    """Without a replacement the answer is unchanged, and the label says so."""
    graph = with_limits(Search, walk(5), answer="found", limits=Limits(visits=2))
    played = await play(graph, {"task": "?", "found": "old"}, {"look": lambda _: "new"})
    assert (played.label, played.output) == ("limit reached", "old")


async def test_an_agent_is_stopped_within_its_conversation() -> None:
    """It stops before the model call that would exceed the limit."""

    def look(what: str) -> str:
        """Look."""
        return what

    again = calls(("look", {"what": "x"}))
    turn = Response("", again.calls, "tools", input_tokens=40, output_tokens=10, cost_usd=0.25)
    agent = named("look").but(tools=[look])
    graph = with_limits(Search, agent, answer="found", limits=Limits(cost_usd=0.5), instead=INSTEAD)
    played = await play(graph, {"task": "?"}, {"look": lambda _: turn, "instead": ["nothing"]})
    assert (played.calls["look"], played.output) == (2, "nothing")


async def test_seconds_cut_off_a_function_in_its_midst() -> None:
    """The function need not end by itself."""

    async def wait(task: str) -> str:
        await asyncio.Event().wait()
        return task

    graph = with_limits(Search, wait, answer="found", limits=Limits(seconds=0.01), instead=lambda: "nothing")
    assert (await graph.run({"task": "?"})).output == "nothing"


@pytest.mark.parametrize("instead", [None, lambda: "nothing"])
async def test_a_failure_by_itself_is_no_limit(instead: Any) -> None:
    """Its failure is that of the run."""

    def fail(task: str) -> str:
        raise TimeoutError(task)

    graph = with_limits(Search, fail, answer="found", limits=Limits(seconds=60), instead=instead)
    with pytest.raises(RunFailed, match="TimeoutError"):
        await graph.run({"task": "?"})


async def test_limits_can_be_nested() -> None:
    """The inner limit is reached and its replacement runs; the outer one includes both and is not reached."""
    inner: Graph[Any] = with_limits(Search, walk(5), answer="found", limits=Limits(visits=2), instead=INSTEAD)
    outer = with_limits(Search, inner, answer="found", limits=Limits(visits=20))
    graph = Graph("around", Search)
    graph.add_node("search", outer, writes="found")
    graph.add_edge(START, "search")
    graph.add_edge("search", END, when=ended_with("within limits"), label="well")
    graph.add_edge("search", END)
    played = await play(graph, {"task": "?"}, {"look": lambda _: "x", "instead": ["nothing"]})
    assert (played.label, played.state.found) == ("well", "nothing")


async def test_a_limit_of_the_run_is_another_thing() -> None:
    """It stops the run, which can be resumed; the replacement does not run."""
    graph = with_limits(Search, walk(3), answer="found", limits=Limits(visits=50), instead=INSTEAD)
    async with Runner(models={"*": ScriptedModel({"look": ["a", "b", "c"]})}) as runner:
        run = runner.start(graph, {"task": "?"}, limits=Limits(visits=2))
        assert (await run.result()).status == "stopped"
        result = await runner.resume(run.id, graph, limits=Limits(visits=50)).result()
    assert (result.status, result.output) == ("finished", "c")
