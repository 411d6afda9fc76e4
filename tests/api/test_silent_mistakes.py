"""Mistakes that a program would not notice: each is a problem with its place and what to write."""

import functools
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ValidationInfo, field_validator

from graphengine import END, START, Agent, Context, Graph, Memory, QueueLimits, Runner, Schedule, ScriptedModel, Worker
from graphengine.databases import SQLiteStore
from graphengine.errors import CompileError, DefinitionError, InputError
from graphengine.runner import RunFailed


class State(BaseModel):
    """A state."""

    text: str = ""
    count: int = 0


def graph_of(node: Any, state: type[BaseModel] = State, name: str = "g", **options: Any) -> Any:
    """Return a graph of one node."""
    graph: Any = Graph(name, state, **options)
    graph.add_node("n", node, writes="text")
    graph.add_path(START, "n", END)
    return graph


def labelled(label: Any) -> Any:
    """Return a graph with an edge of a label."""
    graph = graph_of(word)
    graph.add_node("last")
    graph.add_edge(START, "last", when=lambda count: count > 1, label=label)
    graph.add_edge("last", END)
    return graph


def word() -> str:
    """A node."""
    return "x"


def by_position(count: int, /) -> str:
    """A node that cannot be called by name."""
    return str(count)


@functools.singledispatch
def by_type(count: object) -> str:
    """A node that is chosen by the type of what it gets."""
    return str(count)


class Inner(BaseModel):
    """A model whose validator needs a context."""

    text: str = "x"

    @field_validator("text")
    @classmethod
    def with_context(cls, value: str, info: ValidationInfo) -> str:
        """Read the context."""
        return value + str((info.context or {})["suffix"])


class Outer(BaseModel):
    """A state with such a model in it."""

    text: str = ""
    many: list[Inner] = []


class Reduced(BaseModel):
    """A state whose reducer takes one value."""

    text: Annotated[str, lambda new: new] = ""


class Reviewed(BaseModel):
    """A state with a list of models."""

    text: str = ""
    many: list[State] = []


def connected() -> Iterator[str]:
    """A factory as other libraries take it."""
    yield "open"


def of_context(context: Context) -> str:
    """A node that takes the context under another name, near that of a field."""
    return context.node


REFUSED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "retention": (lambda: graph_of(word, retention=7), "retention=7 is not a Retention", "Retention(keep_days=…)"),
    "position": (lambda: graph_of(by_position), "by_position has the parameter count before a /", "remove the /"),
    "dispatch": (lambda: graph_of(by_type), "by_type has functools.singledispatch", "call it in a function"),
    "context": (
        lambda: graph_of(word, Outer),
        "validator with_context of the field reads info.context",
        "check the value in a node",
    ),
    "reducer": (lambda: graph_of(word, Reduced), "the old value and the new one", "(old, new)"),
    "factory": (
        lambda: graph_of(word, resources={"db": connected}),
        "is made by a generator function",
        "contextlib.contextmanager",
    ),
    "item": (lambda: graph_of(word, Reviewed, result="many.text"), "unknown field 'many.text'", "as in many[-1]"),
    "label": (lambda: labelled(3), "label=3 of an edge is not a text", "label='…'"),
    "name": (lambda: graph_of(of_context), "no field or resource provides the parameter 'context'", "ctx: Context"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_graph_names_it(kind: str) -> None:
    """When it is compiled, not when a run comes to it."""
    make, text, repair = REFUSED[kind]
    with pytest.raises(CompileError) as caught:
        make().compile()
    (problem, *_) = caught.value.problems
    assert text in problem.message
    assert repair in problem.repair


def test_a_tool_that_models_are_told_nothing_of_is_a_warning() -> None:
    """It has no docstring, or a parameter without a type."""

    def weather(city) -> str:  # type: ignore[no-untyped-def]  # noqa: ANN001
        return f"rain in {city}"

    problems = graph_of(Agent("a", model=ScriptedModel(["x"]), prompt="{text}", tools=[weather])).check()
    assert {"tool_without_description", "untyped_tool"} <= {problem.code for problem in problems}


async def test_a_memory_that_is_not_awaited_fails_the_node() -> None:
    """As a call of the context does."""
    memory = Memory()

    async def node(memory: Memory) -> str:
        memory.put("users", "ada", 1)  # type: ignore[unused-coroutine]
        return "x"

    with pytest.raises(RunFailed, match="not_awaited"):
        await graph_of(node, resources={"memory": lambda: memory}).run()


async def test_a_worker_needs_graphs() -> None:
    """It would run for ever, and drive nothing."""
    async with Runner() as runner:
        with pytest.raises(DefinitionError, match="so it would leave all runs alone"):
            Worker(runner)
        with pytest.raises(DefinitionError, match=re.escape("write queues=['mail']")):
            Worker(runner, graph_of(word), queues="mail")


async def test_a_schedule_is_of_its_graph() -> None:
    """The graph that it names is not replaced by another one."""
    other: Any = graph_of(word, name="other")
    async with Runner() as runner:
        said = "the schedule names the graph 'g', but the graph that was passed to schedule(…) is 'other'"
        with pytest.raises(InputError, match=re.escape(said)):
            await runner.admin.schedule(Schedule("daily", "0 7 * * *", "g"), other)
        with pytest.raises(InputError, match=re.escape("rate=100")):
            await runner.admin.limit_queue("mail", QueueLimits(rate=100))  # type: ignore[arg-type]


async def test_a_misspelt_filter_is_no_word() -> None:
    """A search for it would find nothing; in quotes, or of another name, it is one."""
    async with Runner() as runner:
        with pytest.raises(InputError, match=re.escape("did you mean status:failed?")):
            await runner.runs("statsu:failed")
        with pytest.raises(InputError, match="graph must be a text"):
            await runner.runs(graph=graph_of(word))
        assert list(await runner.runs("order:17")) == []


@pytest.mark.parametrize("store", [b"runs.db", object(), SQLiteStore])
def test_a_runner_is_given_a_store(store: Any) -> None:
    """Not when it is entered: it is made with it."""
    with pytest.raises(DefinitionError, match="the runs must be kept at a path, at an address, or in a Store object"):
        Runner(store)


async def test_an_empty_id_is_not_generated() -> None:
    """As of a variable that is not set, it would name another run each time."""
    async with Runner() as runner:
        with pytest.raises(InputError, match="'' cannot be a run's id"):
            runner.start(graph_of(word), run_id="")


async def test_a_runner_in_a_node_is_a_warning() -> None:
    """Its runs are not linked to that of the node."""

    async def node(ctx: Context) -> str:
        async with Runner() as runner:
            result = await runner.start(graph_of(word), run_id=f"{ctx.run_id}-inner").result()
            return str(result.state.text)

    with pytest.warns(UserWarning, match=re.escape("ctx.start(graph, …)")):
        await graph_of(node, name="outer").run()


async def test_what_a_child_lacks_its_result_has() -> None:
    """A child is a handle, as a run is."""
    child = graph_of(word, name="child")

    async def node(ctx: Context) -> str:
        started: Any = await ctx.start(child, {"text": "a"})
        return str(started.state.text)

    async with Runner() as runner:
        with pytest.raises(RunFailed, match=re.escape("(await child.result()).state")):
            await runner.start(graph_of(node, name="outer")).result()
