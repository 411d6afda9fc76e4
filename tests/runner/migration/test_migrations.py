"""Versions and migrations: the effect of `Graph(version=…, migrate=…)` on runs recorded under older versions."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from graphengine import (
    END,
    START,
    CompileError,
    Context,
    Graph,
    Migration,
    Runner,
    ask,
    iterations,
)
from graphengine.engine.steps import Step
from graphengine.errors import GraphChanged, MigrationFailed
from graphengine.reducers import append
from tests.kit.facts import said
from tests.kit.preflights import agrees
from tests.kit.runs import alone

Fields = dict[str, Any]


class First(BaseModel):
    name: str = "ants"
    score: int = 0
    log: Annotated[list[str], append] = []


class Second(BaseModel):
    title: str
    score: int = 0
    log: Annotated[list[str], append] = []


class Third(BaseModel):
    title: str
    score: float = Field(ge=0)
    log: Annotated[list[str], append] = []


def to_second(values: Fields) -> Fields:
    """Rename the field name to title."""
    values["title"] = values.pop("name").upper()
    return values


def to_third(values: Fields) -> Fields:
    """Turn scores into shares."""
    return {**values, "score": values["score"] / 10}


def rated(
    state: type[BaseModel] = First,
    migrate: Mapping[int, Any] | None = None,
    version: int | None = None,
    node: str = "rate",
) -> Graph[Any]:
    """Return a graph that notes something, then asks for a score, three times."""
    graph: Graph[Any] = Graph("rated", state, version=version or len(migrate or {}) + 1, migrate=migrate)
    graph.add_node("note", lambda log: f"note {len(log)}", writes="log", thread=False)
    graph.add_node(node, ask("How good?", int), writes="score")
    graph.add_path(START, "note", node)
    graph.add_edge(node, END, when=iterations(node) >= 3, label="thrice")
    graph.add_edge(node, "note")
    return graph


async def answered_run(runner: Runner, graph: Graph[Any], *scores: int) -> str:
    """Start a run, answer it with these scores, and return its id."""
    run_id = (await runner.start(graph).result()).run_id
    for score in scores:
        await runner.answer(run_id, score)
        assert (await runner.resume(run_id, graph).result()).status == "waiting"
    return run_id


async def last(runner: Runner, run_id: str, kind: str = "resumed") -> Step:
    """Return the last step of a kind."""
    return [step for step in await runner.history(run_id) if step.kind == kind][-1]


async def untouched(runner: Runner, graph: Graph[Any], run_id: str) -> GraphChanged:
    """Assert that a resume is refused and leaves the run unchanged; return the error."""
    before = list(await runner.history(run_id)), await runner.store.info(run_id)
    await agrees(runner, graph, run_id, fits=False)
    with pytest.raises(GraphChanged) as caught:
        await runner.resume(run_id, graph).result()
    assert (list(await runner.history(run_id)), await runner.store.info(run_id)) == before
    return caught.value


# -- state


async def test_a_function_alone_moves_the_state_forward(runner: Runner) -> None:
    """It gets the recorded fields; its result is recorded with the resume, and the run continues with current types."""
    run_id = await answered_run(runner, rated(), 3)
    after = rated(Second, {1: to_second})
    result = await runner.resume(run_id, after).result()
    assert result.state == Second(title="ANTS", score=3, log=["note 0", "note 1"])
    step = await last(runner, run_id)
    assert said(step)["field_changes"] == {"": [["set", "title", "ANTS"], ["drop", "name"]]}
    assert "version 1 → 2" in said(step)["changes"]
    assert await runner.state_at(run_id) == {"title": "ANTS", "score": 3, "log": ["note 0", "note 1"]}


async def test_a_migration_is_not_called_a_second_time(runner: Runner) -> None:
    """Neither the next resume nor reading any step calls a migration again: its result is in the log."""
    calls: list[Fields] = []

    def counted(values: Fields) -> Fields:
        calls.append(dict(values))
        return to_second(values)

    run_id = await answered_run(runner, rated(), 3)
    after = rated(Second, {1: counted})
    await runner.resume(run_id, after).result()
    made = len(calls)  # one for the check before the run is claimed, one for the claim
    assert {str(call) for call in calls} == {str({"name": "ants", "score": 3, "log": ["note 0", "note 1"]})}
    for _ in range(2):
        await runner.answer(run_id, 4)
        await runner.resume(run_id, after).result()
    steps = await runner.history(run_id)
    for seq in range(1, len(steps) + 1):
        await runner.state_at(run_id, seq)
    assert (await runner.state_at(run_id, 2))["name"] == "ants"
    assert [d.path for d in await runner.diff(run_id, run_id, first_at=2)] == [
        "name",
        "score",
        "log[1]",
        "log[2]",
        "title",
    ]
    assert len(calls) == made


def _second() -> Graph[Any]:
    """Return a graph that begins under version 2."""

    class Worms(Second):
        title: str = "worms"

    return rated(Worms, {1: to_second})


async def test_a_migration_gets_a_copy(runner: Runner) -> None:
    """Changes of its input that it does not return are lost."""

    def careless(values: Fields) -> Fields:
        values["log"].append("spoilt")
        return {"title": "t", "score": 1, "log": ["a"]}

    run_id = await answered_run(runner, rated())
    after = rated(Second, {1: careless})
    assert (await runner.resume(run_id, after).result()).state.log == ["a"]
    assert (await runner.state_at(run_id, 2))["log"] == ["note 0"]


async def test_a_change_in_place_that_a_migration_returns_is_recorded(runner: Runner) -> None:
    """The result is compared with the record, not with the changed copy."""

    def appends(values: Fields) -> Fields:
        values["log"].append("moved on")
        return to_second(values)

    run_id = await answered_run(runner, rated())
    result = await runner.resume(run_id, rated(Second, {1: appends})).result()
    assert result.state.log == ["note 0", "moved on"]


def raises(values: Fields) -> Fields:
    """Look for a missing field."""
    return {"title": values["headline"]}


def gives_a_time(values: Fields) -> Fields:
    """Return a value that the field does not accept."""
    return {**to_second(values), "score": datetime(2020, 1, 1)}  # noqa: DTZ001


BAD: list[tuple[Callable[[Fields], Any], list[str]]] = [
    (raises, ["{1: raises} of graph 'rated' raised KeyError: 'headline'", "its input was {'name': 'ants', 'score': 3"]),
    (lambda _: None, ["returned NoneType None, not fields"]),
    (lambda _: {1: 2}, ["returned dict {1: 2}, not fields"]),
    (lambda values: {**to_second(values), "tilte": ""}, ["unknown field 'tilte': did you mean 'title'"]),
    (lambda values: {"title": 5, "score": values["score"]}, ["gave {'title': 5, 'score': 3}", "'title' holds 5"]),
    (lambda values: values, ["field 'title' is new and has no default"]),
    (gives_a_time, ["'score' holds '2020-01-01T00:00:00'"]),
    (lambda values: {**to_second(values), "score": float("nan")}, ["JSON cannot carry"]),
]


@pytest.mark.parametrize(("bad", "expected"), BAD)
async def test_a_migration_that_fails_leaves_the_run_unchanged(
    runner: Runner, bad: Callable[[Fields], Any], expected: list[str]
) -> None:
    """It raised, or returned an invalid value: the error has the values; with a repaired one the run continues."""
    run_id = await answered_run(runner, rated(), 3)
    error = await untouched(runner, rated(Second, {1: bad}), run_id)
    for text in expected:
        assert text in str(error)
    assert isinstance(error, MigrationFailed) or "is new" in str(error)
    with pytest.raises(GraphChanged):
        await runner.branch(run_id, rated(Second, {1: bad}), at=2, run_id="child").result()
    assert [info.id for info in await runner.store.runs()] == [run_id]
    assert (await runner.resume(run_id, rated(Second, {1: to_second})).result()).state.title == "ANTS"


async def test_a_missing_migration_is_reported(runner: Runner) -> None:
    """No migration leads on from the version of the run."""
    run_id = await answered_run(runner, rated())
    error = await untouched(runner, rated(Third, {2: to_third}, version=3), run_id)
    assert "recorded under version 1 of graph 'rated', and no migration leads from version 1 to 2" in str(error)
    assert "add migrate={1: f}" in error.repair


async def test_a_run_of_a_newer_version_is_refused(runner: Runner) -> None:
    """A run of a newer version is refused, since no migration leads back."""
    run_id = await answered_run(runner, _second())
    error = await untouched(runner, rated(Second), run_id)
    assert "recorded under version 2 of graph 'rated', which is version 1 here" in str(error)


# -- nodes


async def test_names_can_be_swapped_and_change_twice(runner: Runner) -> None:
    """Each version's names are those of that version."""
    run_id = await answered_run(runner, rated(), 1)
    steps = {
        1: Migration(renamed={"rate": "note", "note": "rate"}),
        2: Migration(renamed={"note": "judge", "rate": "write"}),
    }
    graph: Graph[Any] = Graph("rated", First, version=3, migrate=steps)
    graph.add_node("write", lambda log: f"note {len(log)}", writes="log", thread=False)
    graph.add_node("judge", ask("How good?", int), writes="score")
    graph.add_path(START, "write", "judge")
    graph.add_edge("judge", END, when=iterations("judge") >= 3, label="thrice")
    graph.add_edge("judge", "write")
    await runner.answer(run_id, 2)
    assert (await runner.resume(run_id, graph).result()).status == "waiting"
    await runner.answer(run_id, 3)
    result = await runner.resume(run_id, graph).result()
    assert (result.status, result.state.log) == ("finished", ["note 0", "note 1", "note 2"])


def _versions(step: Migration | None) -> dict[str, Any]:
    return {} if step is None else {"version": 2, "migrate": {1: step}}


async def test_pauses_follow_a_new_name(runner: Runner) -> None:
    """The node can be in the graph, or in one inside it that the run has not entered."""

    def outer(node: str, inner: str, *steps: Migration) -> Graph[Any]:
        of_outer, of_below = (_versions(step) for step in steps or (None, None))
        below: Graph[Any] = Graph("below", First, result="score", **of_below)
        below.add_node(inner, lambda: 1, writes="score", thread=False)
        below.add_path(START, inner, END)
        made: Graph[Any] = Graph("outer", First, **of_outer)
        made.add_node("first", ask("Well?", int), writes="score")
        made.add_node(node, below, writes="score")
        made.add_path(START, "first", node, END)
        return made

    run = runner.start(outer("part", "work"), pause_before=["part/work"])
    assert (await run.result()).status == "waiting"
    steps = Migration(renamed={"part": "piece"}), Migration(renamed={"work": "labour"})
    after = outer("piece", "labour", *steps)
    await runner.answer(run.id, 5)
    result = await runner.resume(run.id, after).result()
    assert [wait.name for wait in result.waits] == ["piece/labour"]
    await runner.answer(run.id, value=True)
    assert (await runner.resume(run.id, after).result()).status == "finished"


async def test_work_of_a_visit_that_was_dropped_is_dropped(runner: Runner) -> None:
    """The node at which the run continues does its own work, even if it asks the same."""

    async def asks(ctx: Context) -> int:
        return int(await ctx.ask("One?", int)) + int(await ctx.ask("Two?", int))

    def graph(node: str, **versions: Any) -> Graph[Any]:
        made: Graph[Any] = Graph("asks", First, **versions)
        made.add_node(node, asks, writes="score")
        made.add_path(START, node, END)
        return made

    run_id = await answered_run(runner, graph("before"), 1)
    after = graph("after", version=2, migrate={1: Migration(moved={"before": "after"})})
    assert [wait.question for wait in (await runner.resume(run_id, after).result()).waits] == ["One?"]


async def test_a_failed_run_can_be_moved(runner: Runner) -> None:
    """Its failure is over, and the count of its attempts restarts."""

    def breaks() -> int:
        raise ValueError("no")

    graph: Graph[Any] = alone(First, breaks, "score", name="breaks", node="bad")
    run = runner.start(graph)
    with pytest.raises(Exception, match="no"):
        await run.result()
    after: Graph[Any] = Graph("breaks", First, version=2, migrate={1: Migration(moved={"bad": "good"})})
    after.add_node("good", lambda: 5, writes="score")
    after.add_path(START, "good", END)
    result = await runner.resume(run.id, after).result()
    assert (result.status, result.state.score) == ("finished", 5)


# -- subgraphs, arms


def book(inner: Graph[Any], **versions: Any) -> Graph[Any]:
    """Return a graph with a graph as a node, in an arm of a fork parallel to a question."""
    graph: Graph[Any] = Graph("book", First, **versions)
    name = next(iter(versions.get("migrate", {0: Migration()}).values())).renamed.get("chapter", "chapter")
    inputs = {"score": "score"} if inner.state is First else {"score": "score", "title": "name"}
    graph.add_node(name, inner, inputs=inputs, writes={"score": "score"})
    graph.add_node("other", ask("Well?"), writes="log")
    graph.add_node("merge")
    graph.add_edge(name, "merge")
    graph.add_edge("other", "merge")
    graph.add_fork(START, [name, "other"], join="merge")
    graph.add_edge("merge", END)
    return graph


async def test_updates_of_arms_are_applied_to_the_migrated_state(runner: Runner) -> None:
    """An arm that appended to a list sees the migrated list with its own item, and so does the join."""

    def forked(migrate: Mapping[int, Any] | None = None) -> Graph[Any]:
        graph: Graph[Any] = Graph("forked", First, version=len(migrate or {}) + 1, migrate=migrate)
        graph.add_node("begin", lambda: "begun", writes="log", thread=False)
        graph.add_node("a", lambda: "a", writes="log", thread=False)
        graph.add_node("see", lambda log: f"saw {'+'.join(log)}", writes="log", thread=False)
        graph.add_node("wait", ask("Go?"), writes="name")
        graph.add_node("merge")
        graph.add_edge(START, "begin")
        graph.add_fork("begin", ["a", "merge"], join="merge")
        graph.add_path("a", "wait", "see", "merge", END)
        return graph

    run = runner.start(forked())
    assert (await run.result()).status == "waiting"
    await runner.answer(run.id, "go")
    after = forked({1: lambda values: {**values, "log": [text.upper() for text in values["log"]]}})
    result = await runner.resume(run.id, after).result()
    assert result.state.log == ["BEGUN", "a", "saw BEGUN+a"]


async def test_items_of_a_map_in_progress_are_kept(runner: Runner) -> None:
    """A migration of the list they came from does not change them."""

    class Numbers(BaseModel):
        numbers: list[int] = [1, 2]
        doubled: list[int] = []

    class Figures(BaseModel):
        figures: list[int] = []
        doubled: list[int] = []

    async def double(number: int, ctx: Context) -> int:
        return number * int(await ctx.ask("Times?", int))

    def graph(state: type[BaseModel], field: str, migrate: Mapping[int, Any] | None = None) -> Graph[Any]:
        made: Graph[Any] = Graph("figures", state, version=len(migrate or {}) + 1, migrate=migrate)
        made.add_node("double", double, each={"number": field}, writes="doubled", concurrency=1)
        made.add_path(START, "double", END)
        return made

    run = runner.start(graph(Numbers, "numbers"))
    await run.result()
    after = graph(Figures, "figures", {1: lambda values: {"figures": [8, 9], "doubled": values["doubled"]}})
    await runner.answer(run.id, 2)
    await runner.resume(run.id, after).result()
    await runner.answer(run.id, 2)
    result = await runner.resume(run.id, after).result()
    assert result.state == Figures(figures=[8, 9], doubled=[2, 4])


# -- compile


def problems(**options: Any) -> list[str]:
    """Return the problems of a graph with these options."""
    graph: Graph[Any] = Graph("g", First, **options)
    graph.add_node("a")
    graph.add_path(START, "a", END)
    return [f"{p.code} at {p.where}: {p.message} / {p.repair}" for p in graph.check()]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"version": 0}, "bad_option at graph g: version=0 is not a version / give a whole number from 1"),
        ({"version": True}, "version=True"),
        ({"version": "2"}, "version='2'"),
        ({"migrate": {1: to_second}}, "migrate={1: …} does not name an older version: the graph has version 1 / raise"),
        (
            {"version": 2, "migrate": {2: to_second}},
            "older version: the graph has version 2 / name versions from 1 to 1",
        ),
        ({"version": 2, "migrate": {"1": to_second}}, "migrate={'1': …}"),
        ({"version": 2, "migrate": {1: "f"}}, "migrate={1: …} is of type str, not a migration / give a function"),
        ({"version": 2, "migrate": {1: Migration(state="f")}}, "state='f' is not a function / give"),  # type: ignore[arg-type]
        ({"version": 2, "migrate": {1: Migration(renamed=["a"])}}, "renamed=['a'] does not map names"),  # type: ignore[arg-type]
        (
            {"version": 4, "migrate": {1: to_second, 3: to_third}},
            "migration_missing at graph g: migrate= covers 1, 3, but not the step from version 2 to 3 / add 2: f",
        ),
        ({"version": 3, "migrate": {1: to_second}}, "not the step from version 2 to 3"),
        (
            {"version": 2, "migrate": {1: Migration(renamed={"old": "aa"})}},
            "unknown_node at graph g, migrate={1: …}: unknown node 'aa' / did you mean 'a'",
        ),
        ({"version": 2, "migrate": {1: Migration(moved={"old": "b"})}}, "unknown node 'b'"),
        ({"version": 2, "migrate": {1: Migration(renamed={"x": "a", "y": "a"})}}, "two nodes are renamed to 'a'"),
        ({"version": 2, "migrate": {1: Migration(renamed={"x": "a"}, moved={"x": "a"})}}, "'x' is renamed and moved"),
    ],
)
def test_compile_reports_invalid_migrations(options: dict[str, Any], expected: str) -> None:
    """Each problem has its code, place and repair, and is the only one."""
    found = problems(**options)
    assert len(found) == 1
    assert expected in found[0]


def test_versions_without_migrations_are_valid() -> None:
    """A chain can also begin later: runs of earlier versions are refused when they are resumed."""
    assert not problems(version=7)
    assert not problems(version=3, migrate={2: to_third})
    with pytest.raises(CompileError):
        Graph("empty", First, version=2, migrate={}).compile()


async def test_a_subgraph_has_its_own_versions(runner: Runner) -> None:
    """Its frame is migrated by its own functions, its nodes by its own names, whatever the graphs around it."""
    run = runner.start(book(rated()))
    await run.result()
    names = {"chapter": "part"}
    inner = rated(Second, {1: Migration(state=to_second, renamed={"rate": "judge"})}, node="judge")
    after = book(inner, version=2, migrate={1: Migration(renamed=names)})
    waits = [w.name for w in await runner.waits(run.id)]
    assert sorted(waits) == ["chapter/rate", "other"]
    await runner.answer(run.id, 4, question="chapter/rate")
    result = await runner.resume(run.id, after).result()
    step = await last(runner, run.id)
    assert said(step)["field_changes"] == {"~part/part/": [["set", "title", "ANTS"], ["drop", "name"]]}
    assert said(step)["renamed"] == {"": names, "~chapter/chapter/": {"rate": "judge"}}
    for score in (5, 6):
        names_now = [wait.name for wait in result.waits]
        assert "part/judge" in names_now
        await runner.answer(run.id, score, question="part/judge")
        result = await runner.resume(run.id, after).result()
    await runner.answer(run.id, "well", question="other")
    result = await runner.resume(run.id, after).result()
    assert (result.status, result.state.score, result.state.log) == ("finished", 6, ["well"])
