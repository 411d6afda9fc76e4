"""Graphs as nodes on a real event loop: inputs, results, resources, limits, failures, resumes, branches inside."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from graphengine import (
    END,
    FAIL,
    START,
    Agent,
    Context,
    Ending,
    Failure,
    Graph,
    Limits,
    Node,
    Retry,
    RunFailed,
    Runner,
    ScriptedModel,
    choose,
    ended_with,
    failed,
    iterations,
    plateau,
    value,
)
from graphengine.errors import GraphChanged, InputError
from graphengine.reducers import append
from graphengine.testing import FakeClock
from tests.kit.facts import said
from tests.kit.runs import watch


class Article(BaseModel):
    topic: str = ""
    draft: str = ""
    score: int = 0
    notes: Annotated[list[str], append] = []


class State(BaseModel):
    task: str = "ants"
    text: str = ""
    score: int = 0
    label: str = ""
    log: Annotated[list[str], append] = []
    topics: list[str] = ["a", "b", "c"]
    texts: list[str] = []


async def write(topic: str, score: int) -> str:
    """Write about the topic."""
    return f"{topic} v{score + 1}"


async def rate(score: int) -> int:
    """Return a score one higher than before."""
    return score + 1


def joined(result: object) -> str:
    """Return a result as text."""
    return "".join(result) if isinstance(result, list) else str(result)


def article(until: int = 2, write: Callable[..., Any] = write, **options: Any) -> Graph[Article]:
    """Return a loop that writes and rates until the score is high enough."""
    graph = Graph("article", Article, **{"result": "draft", **options})
    graph.add_node("write", write, writes="draft")
    graph.add_node("rate", rate, writes="score")
    graph.add_path(START, "write", "rate")
    graph.add_edge("rate", END, when=value("score") >= until, label="approved")
    graph.add_edge("rate", END, when=iterations("rate") >= 5, label="given up")
    graph.add_edge("rate", "write")
    return graph


def around(inner: Graph[Any], writes: Any = "text", **options: Any) -> Graph[State]:
    """Return a graph of one node that is a graph."""
    graph = Graph("outer", State)
    graph.add_node("article", inner, writes=writes, **{"inputs": {"topic": "task"}, **options})
    graph.add_path(START, "article", END)
    return graph


async def test_a_graph_can_be_a_node(runner: Runner) -> None:
    """It begins with its inputs, writes its result, and its steps are rows of the same log."""
    run = runner.start(around(article()))
    result = await run.result()
    assert result.state.text == "ants v2"
    steps = await runner.history(run.id)
    assert [(step.kind, step.path, step.visit) for step in steps] == [
        ("started", "", 0),
        ("entered", "article", 1),
        ("node", "article/write", 1),
        ("node", "article/rate", 1),
        ("node", "article/write", 2),
        ("node", "article/rate", 2),
        ("node", "article", 1),
    ]
    assert result.steps == 5


async def test_the_fields_of_a_subgraph_are_its_own(runner: Runner) -> None:
    """A node that names inputs leaves the rest to the graph's defaults; what is not written stays inside."""
    state = (await runner.start(around(article(until=9, result=None), {"text": "draft"}), {"score": 7}).result()).state
    assert (state.text, state.score) == ("ants v5", 7)


@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize(
    ("options", "text"),
    [({}, " v8"), ({"inputs": {"topic": "task"}}, "ants v1"), ({"inputs": {}}, " v1")],
    ids=["nothing is said", "some is named", "none is named"],
)
async def test_a_subgraph_gets_the_inputs_of_its_node(
    runner: Runner, options: dict[str, Any], text: str, *, chosen: bool
) -> None:
    """By default it gets the fields of the same name; else the named ones, and the others keep their defaults."""
    inner = Graph("article", Article, result="draft")
    inner.add_node("write", write, writes="draft")
    inner.add_path(START, "write", END)
    node = choose("task", {"ants": Node(inner, **options)}) if chosen else Node(inner, **options)
    graph = Graph("given", State)
    graph.add_node("article", node, writes="text")
    graph.add_path(START, "article", END)
    assert (await runner.start(graph, State(score=7)).result()).state.text == text


async def test_parts_of_a_subgraphs_state_can_be_written(runner: Runner) -> None:
    """A graph without a result gives its fields; a function can take how it stopped."""

    def how(ending: Ending) -> str:
        return f"{ending.reason} {ending.label} {ending.condition}"

    graph = around(article(result=None), {"text": "draft", "score": "score", "label": how})
    state = (await runner.start(graph).result()).state
    assert (state.text, state.score, state.label) == ("ants v2", 2, "end approved score >= 2")


async def test_edges_can_test_how_a_subgraph_ended(runner: Runner) -> None:
    """They use the label of its edge to END."""
    for until, label in ((2, "fine"), (9, "no good")):
        graph = around(article(until))
        graph.edges.pop()
        graph.add_edge("article", END, when=ended_with("approved"), label="fine")
        graph.add_edge("article", END, when=ended_with("given up"), label="no good")
        graph.add_edge("article", END)
        result = await runner.start(graph).result()
        assert result.ending is not None
        assert result.label == label
        assert result.ending.explanation.startswith("article ended")


async def test_each_visit_of_a_subgraph_begins_from_scratch(runner: Runner) -> None:
    """Its counts, plateaus and state are those of this visit alone."""
    seen: list[int] = []

    async def look(score: int) -> int:
        seen.append(score)
        return min(score + 1, 2)

    inner = Graph("inner", Article, result="score")
    inner.add_node("look", look, writes="score")
    inner.add_edge(START, "look")
    inner.add_edge("look", END, when=iterations("look") >= 9)
    inner.add_edge("look", END, when=plateau("score"), label="level")
    inner.add_edge("look", "look")
    graph = Graph("outer", State)
    graph.add_node("inner", inner, inputs={"score": lambda: 0}, writes={"log": joined})
    graph.add_edge(START, "inner")
    graph.add_edge("inner", END, when=iterations("inner") >= 2)
    graph.add_edge("inner", "inner")
    assert (await runner.start(graph).result()).state.log == ["2", "2"]
    assert seen == [0, 1, 2] * 2


async def test_subgraphs_can_be_nested_to_any_depth(runner: Runner) -> None:
    """Twelve of them are nested here, which shows in the path."""
    inner: Graph[Any] = article()
    for depth in range(12):
        graph = Graph(f"level{depth}", Article, result="draft")
        graph.add_node("in", inner, writes="draft")
        graph.add_path(START, "in", END)
        inner = graph
    run = runner.start(around(inner))
    assert (await run.result()).state.text == "ants v2"
    deepest = max((step.path for step in await runner.history(run.id)), key=len)
    assert deepest == f"article/{'in/' * 12}write"


@pytest.mark.parametrize("concurrency", [1, 16])
async def test_each_item_can_have_a_subgraph(runner: Runner, concurrency: int) -> None:
    """They run in parallel, each in its own frame; results are in item order."""
    graph = Graph("outer", State)
    graph.add_node(
        "article",
        article(),
        each={"topic": "topics"},
        inputs={"topic": "topic"},
        writes="texts",
        concurrency=concurrency,
    )
    graph.add_path(START, "article", END)
    run = runner.start(graph)
    assert (await run.result()).state.texts == ["a v2", "b v2", "c v2"]
    paths = {step.path for step in await runner.history(run.id)}
    assert {"article[0]/write", "article[1]/rate", "article[2]"} <= paths


async def test_forks_can_be_nested_in_graphs_in_forks(runner: Runner) -> None:
    """An arm is a graph with a fork of its own."""

    def note(name: str) -> Callable[[], Any]:
        async def work() -> str:
            return name

        return work

    inner = Graph("inner", Article, result="notes")
    for name in "xy":
        inner.add_node(name, note(name), writes="notes")
        inner.add_edge(name, END)
    inner.add_fork(START, ["x", "y"], join=END)
    graph = Graph("outer", State)
    graph.add_node("a", inner, writes={"log": joined})
    graph.add_node("b", note("b"), writes="log")
    graph.add_fork(START, ["a", "b"], join=END)
    graph.add_edge("a", END)
    graph.add_edge("b", END)
    assert (await runner.start(graph).result()).state.log == ["xy", "b"]


# -- failing


async def test_the_failure_of_a_subgraph_is_its_nodes(runner: Runner) -> None:
    """The report has the path inside; a resume continues at the failed node."""
    calls: list[str] = []
    broken = True

    async def rate_badly(score: int) -> int:
        calls.append("rate")
        if broken and score:
            message = "no rating"
            raise ValueError(message)
        return score + 1

    async def write_noted(topic: str) -> str:
        calls.append("write")
        return topic

    inner = article(write=write_noted)
    inner.nodes[1] = inner.nodes[1].__class__("rate", rate_badly, inner.nodes[1].options)
    graph = around(inner)
    run = runner.start(graph)
    with pytest.raises(RunFailed, match="no rating") as caught:
        await run.result()
    assert caught.value.result.error == Failure(path="article/rate", kind="ValueError", message="no rating", attempt=1)
    assert caught.value.where == "article/rate"
    broken = False
    assert (await runner.resume(graph, run.id).result()).state.text == "ants"
    assert calls == ["write", "rate", "write", "rate", "rate"]


async def test_a_failed_run_inside_is_resumed_in_another_runner(database: Path | str) -> None:
    """The failure can be at any depth; the database suffices."""
    broken = True

    async def shaky(topic: str) -> str:
        if broken:
            raise OSError
        return topic

    middle = Graph("middle", Article, result="draft")
    middle.add_node("article", article(write=shaky), writes="draft")
    middle.add_path(START, "article", END)
    graph = around(middle)
    async with Runner(database) as runner:
        run = runner.start(graph)
        with pytest.raises(RunFailed):
            await run.result()
    broken = False
    async with Runner(database) as runner:
        assert (await runner.resume(graph, run.id).result()).state.text == "ants"


async def test_a_retry_begins_a_subgraph_again(timed: Runner) -> None:
    """All of it runs again; a fallback can replace it; an edge after failure can be taken."""
    calls: list[str] = []

    async def shaky(topic: str) -> str:
        calls.append("write")
        if len(calls) < 2:
            raise OSError
        return topic

    result = await timed.start(around(article(write=shaky), retry=Retry(attempts=2))).result()
    assert (result.state.text, len(calls)) == ("ants", 3)

    async def broken(topic: str) -> str:
        raise OSError(topic)

    result = await timed.start(around(article(write=broken), fallback="nothing")).result()
    assert result.state.text == "nothing"

    async def instead(task: str, error: Failure, ctx: Context) -> str:
        return f"{task} {error.kind} at {error.path}, {ctx.path}"

    result = await timed.start(around(article(write=broken), fallback=instead)).result()
    assert result.state.text == "ants OSError at article/write, article"
    graph = around(article(write=broken))
    graph.edges.pop()
    graph.add_edge("article", END, when=failed(OSError), label="without it")
    graph.add_edge("article", END)
    assert (await timed.start(graph).result()).label == "without it"


async def test_fail_in_a_subgraph_is_its_nodes_failure(runner: Runner) -> None:
    """FAIL in a subgraph is its node's failure, with the label."""
    inner = article(until=9)
    inner.edges = [edge for edge in inner.edges if getattr(edge, "label", "") != "given up"]
    inner.edges.insert(3, inner.edges.pop())
    inner.edges.pop()
    inner.add_edge("rate", FAIL, when=iterations("rate") >= 2, label="hopeless")
    inner.add_edge("rate", "write")
    with pytest.raises(RunFailed, match="hopeless"):
        await runner.start(around(inner)).result()


async def test_inputs_of_a_subgraph_that_do_not_fit_fail_the_node(runner: Runner) -> None:
    """The node fails before the graph begins, and without another attempt."""

    class Strict(BaseModel):
        topic: str = Field(max_length=3)
        draft: str = ""

    inner = Graph("strict", Strict, result="draft")
    inner.add_node("write", lambda topic: topic, writes="draft")
    inner.add_path(START, "write", END)
    run = runner.start(around(inner, retry=Retry(attempts=3)))
    with pytest.raises(RunFailed, match="topic: String should have at most 3 characters"):
        await run.result()
    assert "entered" not in [step.kind for step in await runner.history(run.id)]


async def test_limits_of_a_subgraph_fail_its_node(runner: Runner) -> None:
    """The failure has the kind `limit`; the run's limits still count; a resume with higher ones continues inside."""
    graph = around(article(until=4, limits=Limits(steps=3)))
    run = runner.start(graph)
    with pytest.raises(RunFailed, match="article reached its limit: steps 3 >= 3") as caught:
        await run.result()
    assert caught.value.result.error is not None
    assert (caught.value.result.error.kind, caught.value.result.error.path) == ("limit", "article")
    raised = around(article(until=4, limits=Limits(steps=99)))
    result = await runner.resume(raised, run.id).result()
    assert (result.state.text, result.steps) == ("ants v4", 9)


async def test_the_runs_limits_stop_it_inside_a_subgraph(runner: Runner) -> None:
    """The run's limits stop it inside a subgraph, and a resume continues there."""
    graph = around(article(until=4))
    result = await runner.start(graph, limits=Limits(steps=3)).result()
    assert result.status == "stopped"
    assert (await runner.resume(graph, result.run_id, limits=Limits()).result()).state.text == "ants v4"


async def test_the_seconds_limit_of_a_subgraph_counts_its_own_time() -> None:
    """Time before it began is not included."""
    clock = FakeClock(start=0.0)

    async def long(topic: str, score: int) -> str:
        clock.move(40)
        return f"{topic} v{score + 1}"

    async def before() -> str:
        clock.move(1000)
        return "before"

    def after_long(seconds: float) -> Graph[State]:
        graph = Graph("outer", State)
        graph.add_node("before", before, writes="log")
        inner = article(write=long, limits=Limits(seconds=seconds))
        graph.add_node("article", inner, inputs={"topic": "task"}, writes="text")
        graph.add_path(START, "before", "article", END)
        return graph

    async with Runner(clock=clock) as runner:
        assert (await runner.start(after_long(100)).result()).state.text == "ants v2"
        with pytest.raises(RunFailed, match="seconds 80"):
            await runner.start(after_long(60)).result()


# -- resources, models, usage


async def test_a_graph_sees_its_own_resources_then_those_around_it(runner: Runner) -> None:
    """Its own resources come first; all are closed with the runner."""
    closed: list[str] = []

    @contextmanager
    def made(name: str) -> Iterator[str]:
        yield name
        closed.append(name)

    async def use(here: str, there: str) -> str:
        return f"{here} {there}"

    def with_use(name: str, state: type[BaseModel], **resources: Any) -> Graph[Any]:
        graph = Graph(name, state, resources=resources)
        graph.add_node("use", use, writes="log" if state is State else "notes")
        graph.add_path(START, "use", END)
        return graph

    inner = with_use("inner", Article, here=lambda: made("inner here"))
    inner.result = "notes"
    graph = with_use("outer", State, here=lambda: made("outer here"), there=lambda: made("outer there"))
    graph.add_node("inner", inner, writes={"log": lambda result: result[0]})
    graph.edges.pop()
    graph.add_path("use", "inner", END)
    async with Runner() as own:
        state = (await own.start(graph).result()).state
    assert state.log == ["outer here outer there", "inner here outer there"]
    assert sorted(closed) == ["inner here", "outer here", "outer there"]
    async with Runner(resources={"there": "test"}) as own:
        assert (await own.start(graph).result()).state.log == ["outer here test", "inner here test"]


async def test_one_graph_at_two_places_sees_the_resources_around_each(runner: Runner) -> None:
    """The same graph object is in two graphs with different resources of one name."""

    async def use(db: str) -> str:
        return db

    inner = Graph("inner", Article, result="draft")
    inner.add_node("use", use, writes="draft")
    inner.add_path(START, "use", END)
    left = Graph("l", Article, result="draft", resources={"db": lambda: "l"})
    right = Graph("r", Article, result="draft", resources={"db": lambda: "r"})
    for side in (left, right):
        side.add_node("inner", inner, writes="draft")
        side.add_path(START, "inner", END)
    graph = Graph("outer", State)
    graph.add_node("a", left, writes="log")
    graph.add_node("b", right, writes="log")
    graph.add_path(START, "a", "b", END)
    assert (await runner.start(graph).result()).state.log == ["l", "r"]


async def test_a_missing_resource_is_found_at_compile() -> None:
    """A graph that needs one of the graph around it does not compile alone."""

    async def use(db: str) -> str:
        return db

    inner = Graph("inner", Article, result="draft")
    inner.add_node("use", use, writes="draft")
    inner.add_path(START, "use", END)
    assert [problem.code for problem in inner.check()] == ["unknown_parameter"]
    graph = Graph("outer", State, resources={"db": lambda: "x"})
    graph.add_node("inner", inner, writes="text")
    graph.add_path(START, "inner", END)
    assert list(graph.check()) == []


async def test_usage_inside_counts_for_the_run(runner: Runner) -> None:
    """Models are replaced by the agent's name at any depth."""
    writer = Agent("writer", model=ScriptedModel(["no"]), prompt="{topic}")
    inner = Graph("inner", Article, result="draft")
    inner.add_node("write", writer, writes="draft")
    inner.add_path(START, "write", END)
    async with Runner(models={"writer": ScriptedModel(["x", "y"])}) as own:
        result = await own.start(around(inner)).result()
    assert (result.state.text, result.usage.calls) == ("x", 1)


# -- branches, changes, stops, events


async def test_a_branch_inside_continues_inside(runner: Runner) -> None:
    """An update of the graph's state is given by its path."""
    graph = around(article())
    run = runner.start(graph)
    await run.result()
    at = next(step.seq for step in await runner.history(run.id) if step.path == "article/write")
    child = await runner.branch(graph, run.id, at, path="article", update={"topic": "bees"}).result()
    assert child.state.text == "bees v2"
    outer = await runner.branch(graph, run.id, at, path="", update={"log": "mine"}).result()
    assert (outer.state.text, outer.state.log) == ("ants v2", ["mine"])
    with pytest.raises(InputError, match="several states are open there"):
        await runner.branch(graph, run.id, at, update={"topic": "bees"}).result()
    with pytest.raises(InputError, match="the paths are: '', 'article'"):
        await runner.branch(graph, run.id, at, path="artikel", update={"topic": "bees"}).result()
    with pytest.raises(InputError, match="unknown field 'task'"):
        await runner.branch(graph, run.id, at, path="article", update={"task": "bees"}).result()


async def test_a_change_inside_a_graph_is_a_change_of_the_run(runner: Runner) -> None:
    """A run inside it continues if it still fits, and is refused if its position is gone."""
    graph = around(article(until=3))
    result = await runner.start(graph, limits=Limits(steps=2)).result()
    changed = article(until=3)
    changed.add_node("more", lambda: "x", writes="notes")
    changed.edges = [edge for edge in changed.edges if edge.source != "write"]
    changed.add_path("write", "more", "rate")
    done = await runner.resume(around(changed), result.run_id, limits=Limits()).result()
    assert done.state.text == "ants v3"
    resumed = next(step for step in await runner.history(result.run_id) if step.kind == "resumed")
    assert said(resumed)["changes"]

    result = await runner.start(graph, limits=Limits(steps=1)).result()
    gone = Graph("article", Article, result="draft")
    gone.add_node("write", write, writes="draft")
    gone.add_path(START, "write", END)
    with pytest.raises(GraphChanged, match="is at node 'article/rate'"):
        await runner.resume(around(gone), result.run_id, limits=Limits()).result()


async def test_a_changed_subgraph_is_compiled_again(runner: Runner) -> None:
    """A node added to the graph inside runs, though the graph around it was compiled before."""
    inner = Graph("inner", Article, result="notes")
    inner.add_node("one", lambda: "one", writes="notes")
    inner.add_edge(START, "one")
    inner.add_edge("one", END, when=value("notes").length() >= 9)
    inner.add_edge("one", FAIL)
    graph = around(inner, {"log": joined})
    graph.compile()
    inner.edges = inner.edges[:1]
    inner.add_node("two", lambda: "two", writes="notes")
    inner.add_path("one", "two", END)
    assert (await runner.start(graph).result()).state.log == ["onetwo"]


async def test_a_stop_inside_lets_the_node_in_flight_finish(runner: Runner) -> None:
    """A stop inside a subgraph lets the node in flight finish, and the resume continues after it."""
    calls: list[str] = []
    begun, leave = asyncio.Event(), asyncio.Event()

    async def slow(topic: str) -> str:
        calls.append("write")
        begun.set()
        await leave.wait()
        return topic

    graph = around(article(until=1, write=slow))
    run = runner.start(graph)
    await begun.wait()
    stopping = asyncio.create_task(runner.stop(run.id))
    await asyncio.sleep(0)
    leave.set()
    await stopping
    assert (await run.result()).status == "stopped"
    assert (await runner.resume(graph, run.id).result()).state.text == "ants"
    assert calls == ["write"]


async def test_a_graph_without_limits_has_none_inside_another(runner: Runner) -> None:
    """Only the run's own step limit counts, which a caller can raise; as a whole run it has the default."""
    inner = Graph("inner", Article, result="score")
    inner.add_node("count", lambda score: score + 1, writes="score", thread=False)
    inner.add_edge(START, "count")
    inner.add_edge("count", END, when=value("score") > Limits().given()["steps"])
    inner.add_edge("count", "count")
    graph = Graph("outer", State)
    graph.add_node("inner", inner, writes="score")
    graph.add_path(START, "inner", END)
    assert (await runner.start(graph, limits=Limits(steps=None)).result()).state.score == 1001
    stopped = await runner.start(graph).result(), await runner.start(inner).result()
    assert [(result.status, result.ending.reason) for result in stopped if result.ending] == [("stopped", "limit")] * 2


async def test_events_inside_have_their_paths(runner: Runner) -> None:
    """Begin, emit and step events have them."""
    watched = asyncio.Event()

    async def show(topic: str, ctx: Context) -> str:
        await watched.wait()
        ctx.emit(topic)
        return f"{ctx.path} {ctx.node}"

    run = runner.start(around(article(until=1, write=show)))
    began, shown, recorded = await watch(run, watched)
    assert began[-2:] == ["article/write", "article/rate"]
    assert shown == [("article/write", "ants")]
    assert recorded == ["", "article", "article/write", "article/rate", "article"]
    assert (await run.result()).state.text == "article/write write"


async def test_the_result_of_a_subgraph_is_not_shared(runner: Runner) -> None:
    """A list from inside that a later node changes is caught as anywhere."""
    inner = Graph("inner", Article, result="notes")
    inner.add_node("note", lambda: "x", writes="notes")
    inner.add_path(START, "note", END)

    async def spoil(texts: list[str]) -> str:
        texts.append("spoilt")
        return "x"

    graph = Graph("outer", State)
    graph.add_node("inner", inner, writes="texts")
    graph.add_node("spoil", spoil, writes="text")
    graph.add_path(START, "inner", "spoil", END)
    with pytest.raises(RunFailed, match="changed texts in place") as caught:
        await runner.start(graph).result()
    assert caught.value.result.state.texts == ["x"]
