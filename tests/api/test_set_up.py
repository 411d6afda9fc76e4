"""A mistake of the set-up is one sentence: it is raised before the first step, and without frames of the engine."""

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel, SyncRunner, failed, value
from graphengine.agents import Hooks
from graphengine.errors import GraphEngineError
from graphengine.models import Request, Response, sdk
from graphengine.models.errors import ModelUnavailable

MODEL = "anthropic:claude-sonnet-5-5"
pytestmark = pytest.mark.real_models
"""Nothing is sent: each model lacks something, or is not asked."""


class State(BaseModel):
    n: int = 0
    text: str = ""


def writer(model: str | None = MODEL) -> Agent[str]:
    """Return an agent."""
    return Agent("writer", model=model, prompt="Write about the number {n}.")


def graph_of(agent: Agent[str], begun: list[str]) -> Graph[State]:
    """Return a graph whose first node notes that it ran, and whose second node is an agent."""

    def count() -> int:
        begun.append("count")
        return 1

    graph = Graph("set_up", State)
    graph.add_node(count, writes="n")
    graph.add_node("write", agent, writes="text")
    graph.add_path(START, "count", "write", END)
    return graph


def without_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the key."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)


def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a key be there, and hide the package."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-of-these-tests")
    monkeypatch.setattr(sdk, "_loaded", {})
    monkeypatch.setitem(sys.modules, "anthropic", None)


def without_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave all as it is."""
    del monkeypatch


MISTAKES: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str | None, str]] = {
    "no key": (without_key, MODEL, "needs an API key, but the environment variable ANTHROPIC_API_KEY is not set"),
    "no extra": (without_extra, MODEL, "needs the package 'anthropic', which is not installed"),
    "no model": (without_anything, None, "agent 'writer' has no model"),
    "unknown provider": (without_anything, "anthropc:claude", "anthropc:claude"),
}


def run_sync(graph: Graph[State]) -> object:
    """Run it alone."""
    return graph.run_sync()


def run_by_sync_runner(graph: Graph[State]) -> object:
    """Run it in a script."""
    with SyncRunner() as runner:
        return runner.start(graph).result()


def start_and_wait(graph: Graph[State]) -> object:
    """Start it in async code; check that nothing is recorded."""

    async def main() -> object:
        async with Runner() as runner:
            try:
                return await runner.start(graph).result()
            finally:
                assert await runner.runs() == []

    return asyncio.run(main())


@contextmanager
def ends_in_its_sentence(sentence: str) -> Iterator[None]:
    """Check that the block raises an error of the set-up with at most two frames of the engine."""
    with pytest.raises(GraphEngineError) as raised:
        yield
    error = raised.value
    assert error.of_set_up
    assert sentence in str(error)
    assert "repair: " in str(error)
    assert (error.__cause__, error.__context__) == (None, None)
    frames = traceback.extract_tb(error.__traceback__)
    last = [place for place, each in enumerate(frames) if each.filename == __file__][-1]
    assert len(frames) - 1 - last <= 2 or all("asyncio" in each.filename for each in frames[last + 1 : -1])


@pytest.mark.parametrize("run", [run_sync, run_by_sync_runner, start_and_wait])
@pytest.mark.parametrize("kind", MISTAKES)
def test_a_run_whose_set_up_is_wrong_does_not_begin(
    kind: str, run: Callable[[Graph[State]], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node before the agent does not run, and nothing is recorded."""
    break_it, model, sentence = MISTAKES[kind]
    break_it(monkeypatch)
    begun: list[str] = []
    with ends_in_its_sentence(sentence):
        run(graph_of(writer(model), begun))
    assert begun == []


@pytest.mark.parametrize("kind", MISTAKES)
def test_an_agent_that_is_run_alone_ends_in_the_sentence(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no missing event loop above it."""
    break_it, model, sentence = MISTAKES[kind]
    break_it(monkeypatch)
    with ends_in_its_sentence(sentence):
        writer(model).run_sync(n=1)


def test_a_definition_that_is_refused_has_no_frames_of_the_engine() -> None:
    """The line of the program is the last one that matters."""
    graph: Any = Graph("set_up", State)
    with ends_in_its_sentence("add_node has no option 'writs'"):
        graph.add_node("work", lambda: 1, writs="n")


@pytest.mark.parametrize("way", ["condition", "fallback", "failure edge"])
def test_a_graph_that_may_do_without_the_agent_begins(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that may not be reached, or whose failure has an edge or a fallback, is not asked for its key before."""
    without_key(monkeypatch)
    graph = Graph("set_up", State)
    graph.add_node("count", lambda: 1, writes="n")
    options: dict[str, Any] = {"fallback": "none"} if way == "fallback" else {}
    graph.add_node("write", writer(), writes="text", **options)
    graph.add_edge(START, "count")
    if way == "condition":
        graph.add_edge("count", END, when=value("n") == 1)
    graph.add_edge("count", "write")
    graph.add_edge("write", END)
    if way == "failure edge":
        graph.add_edge("write", END, when=failed(ModelUnavailable))
    result = graph.run_sync()
    assert (result.status, result.state.n) == ("finished", 1)


class Cached(Hooks):
    """Answers in place of the model."""

    async def around_model(self, request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        del request, call
        return Response("One.")


class Watching(Hooks):
    """Leaves calls of the model alone."""


def test_a_run_whose_hook_answers_in_place_of_the_model_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model may never be asked; hooks that are around tools alone change nothing."""
    without_key(monkeypatch)
    assert graph_of(writer().but(hooks=[Watching(), Cached()]), []).run_sync().state.text == "One."
    begun: list[str] = []
    with ends_in_its_sentence("needs an API key"):
        graph_of(writer().but(hooks=[Watching()]), begun).run_sync()
    assert begun == []


async def test_a_run_is_resumed_without_a_key_that_it_may_not_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a run that begins is refused: what is recorded of another one may be all that it needs."""
    without_key(monkeypatch)
    graph = graph_of(writer(), [])
    async with Runner(models=ScriptedModel(["One."])) as runner:
        await runner.start(graph, run_id="r").result()
        result = await runner.resume("r", graph).result()
    assert result.state.text == "One."
