"""Graphs that change while their runs wait: runs that fit continue and record the change, others are left unchanged."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, model_validator

from graphengine import (
    END,
    START,
    Agent,
    Context,
    Graph,
    Limits,
    Migration,
    Runner,
    ScriptedModel,
    ask,
    changed,
    iterations,
    plateau,
    value,
)
from graphengine.errors import GraphChanged
from graphengine.reducers import append
from tests.kit.facts import said
from tests.kit.preflights import agrees
from tests.kit.runs import alone, repeated


class Desk(BaseModel):
    title: str = "Ants"
    draft: str = ""
    n: int = 1
    ok: bool = False
    log: Annotated[list[str], append] = []
    items: list[int] = [1, 2, 3]
    doubled: list[int] = []


def write(title: str) -> str:
    """Write about the title: the first node."""
    return f"all about {title}"


def publish(draft: str) -> str:
    """Publish the draft: the last node."""
    return f"published {draft}"


Edit = Callable[[Graph[Any]], None]


def desk(edit: Edit | None = None, state: type[BaseModel] = Desk, **options: Any) -> Graph[Any]:
    """Return a graph that writes, asks for approval and publishes."""
    graph: Graph[Any] = Graph("desk", state, **options)
    graph.add_node("write", write, writes="draft")
    graph.add_node("approve", ask("Print {title}?", bool), writes="ok")
    graph.add_node("publish", publish, writes="log")
    graph.add_path(START, "write", "approve", "publish", END)
    if edit is not None:
        edit(graph)
    return graph


def replaced(name: str, runnable: Any, **options: Any) -> Edit:
    """Return an edit that replaces a node by another of the same name."""

    def edit(graph: Graph[Any]) -> None:
        at = next(i for i, declared in enumerate(graph.nodes) if declared.name == name)
        graph.add_node(name, runnable, **options)
        graph.nodes[at] = graph.nodes.pop()

    return edit


def rewired(source: str, *edges: tuple[str, Mapping[str, Any]]) -> Edit:
    """Return an edit that replaces the outgoing edges of a node."""

    def edit(graph: Graph[Any]) -> None:
        graph.edges = [edge for edge in graph.edges if edge.source != source]
        for target, options in edges:
            graph.add_edge(source, target, **options)

    return edit


def both(*edits: Edit) -> Edit:
    """Return an edit that makes several ones."""

    def edit(graph: Graph[Any]) -> None:
        for each in edits:
            each(graph)

    return edit


def renamed(old: str, new: str) -> Edit:
    """Return an edit that renames a node, with all its edges."""
    names = {old: new}

    def edit(graph: Graph[Any]) -> None:
        nodes, edges = graph.nodes, graph.edges
        graph.nodes, graph.edges = [], []
        for node in nodes:
            graph.add_node(names.get(node.name, node.name), node.runnable, **_given(node.options))
        for edge in edges:
            source, target = names.get(edge.source, edge.source), names.get(getattr(edge, "target", ""), edge.target)  # type: ignore[union-attr]
            graph.add_edge(source, target, when=edge.condition, label=edge.label)  # type: ignore[union-attr]

    return edit


def _given(options: Any) -> dict[str, Any]:
    return {"writes": options.writes, "inputs": options.inputs}


def removed(name: str, target: str) -> Edit:
    """Return an edit that removes a node and leads its incoming edges to another one."""

    def edit(graph: Graph[Any]) -> None:
        graph.nodes = [node for node in graph.nodes if node.name != name]
        sources = [edge.source for edge in graph.edges if getattr(edge, "target", "") == name]
        graph.edges = [edge for edge in graph.edges if name not in (edge.source, getattr(edge, "target", ""))]
        for source in sources:
            graph.add_edge(source, target)

    return edit


async def waiting(runner: Runner, graph: Graph[Any], **options: Any) -> str:
    """Start a run that waits or stops, and return its id."""
    result = await runner.start(graph, **options).result()
    assert result.status in ("waiting", "stopped")
    return result.run_id


async def changes_of(runner: Runner, run_id: str) -> list[str]:
    """Return the changes of the graph in the last resume."""
    resumes = [step for step in await runner.history(run_id) if step.kind == "resumed"]
    return list(said(resumes[-1]).get("changes", ()))


async def refused(runner: Runner, graph: Graph[Any], run_id: str, *expected: str) -> GraphChanged:
    """Assert that a graph does not fit, that the error has these texts, and that the run is unchanged."""
    before = list(await runner.history(run_id)), await runner.store.info(run_id)
    await agrees(runner, graph, run_id, fits=False)
    with pytest.raises(GraphChanged):
        await runner.resume(run_id, graph, limits=Limits()).result()
    with pytest.raises(GraphChanged) as caught:
        await runner.resume(run_id, graph, limits=Limits()).result()
    after = list(await runner.history(run_id)), await runner.store.info(run_id)
    assert after == before
    for text in expected:
        assert text in str(caught.value)
    return caught.value


# -- runs that continue


class WithDefault(Desk):
    pages: int = 4


class Narrower(BaseModel):
    title: str = "Ants"
    draft: str = ""
    ok: bool = False
    log: Annotated[list[str], append] = []


class Wider(Desk):
    n: int | str | None = 1  # type: ignore[assignment]


class NoReducer(Desk):
    log: list[str] = []


def shout(text: str) -> str:
    """Publish a text: another function, with other inputs."""
    return f"published {text}"


FITTING: list[tuple[str, Edit | None, type[BaseModel], str]] = [
    ("edge", both(lambda g: g.add_node("more"), rewired("approve", ("more", {})), rewired("more", ("publish", {}))),
     Desk, "edge gone: approve → publish"),
    ("condition", rewired("approve", ("publish", {"when": value("n") >= 1}), ("write", {})), Desk,
     "edge approve → publish: when none → n >= 1"),
    ("label", rewired("approve", ("publish", {"label": "new"})), Desk, "edge approve → publish: label none → new"),
    ("function", replaced("publish", lambda draft: f"published {draft}", writes="log"), Desk, ""),
    ("inputs", replaced("publish", shout, writes="log", inputs={"text": "draft"}), Desk,
     "node publish: reads draft → text=draft"),
    ("writes", replaced("publish", publish, writes="title"), Desk, "node publish: writes log → title"),
    ("field with a default", None, WithDefault, "field pages is new: int"),
    ("field that is gone", None, Narrower, "field n is gone: int"),
    ("wider type", None, Wider, "field n: int → int | str | None"),
    ("reducer", replaced("publish", lambda draft: [f"published {draft}"], writes="log"), NoReducer,
     "field log: reducer append → none"),
    ("question far off", both(lambda g: g.add_node("again", ask("Sure?", bool), writes="ok"),
                              rewired("publish", ("again", {"when": value("n") > 5}), (END, {})),
                              rewired("again", (END, {}))), Desk, "node again is new: ask"),
    ("map of a later node", replaced("publish", str, each={"item": "items"}, writes="log"), Desk,
     "node publish: each none → item: items"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "state", "expected"), [c[1:] for c in FITTING], ids=[c[0] for c in FITTING])
async def test_a_change_that_the_run_fits_is_a_step(
    runner: Runner, edit: Edit | None, state: type[BaseModel], expected: str
) -> None:
    """The resume records what was changed, and the run finishes; a changed line of a function is not seen."""
    run_id = await waiting(runner, desk())
    await runner.answer(run_id, value=True)
    after = desk(edit, state)
    await agrees(runner, after, run_id, fits=True)
    result = await runner.resume(run_id, after).result()
    assert result.status == "finished"
    changes = await changes_of(runner, run_id)
    assert (expected in changes) if expected else not changes
    fingerprint = (await runner.store.info(run_id)).fingerprint
    assert fingerprint == after.compile().fingerprint
    assert await runner.store.graph_spec(fingerprint) == after.compile().graph_spec
    assert (await runner.resume(run_id, after).result()).status == "finished"


async def test_a_changed_prompt_is_recorded_with_the_old_one(runner: Runner) -> None:
    """Old and new text are cut around their difference; the next call has the new one."""
    model = ScriptedModel(["x"])

    def graph(prompt: str) -> Graph[Any]:
        return desk(replaced("publish", Agent("teller", model=model, prompt=prompt), writes="log"))

    run_id = await waiting(runner, graph("Tell of this: {draft}"))
    await runner.answer(run_id, value=True)
    long = "Tell of this: {draft}" + " and be kind" * 20
    await runner.resume(run_id, graph(long)).result()
    (line,) = await changes_of(runner, run_id)
    assert line.startswith("node publish: prompt '…ell of this: {draft}' → '…ell of this: {draft} and be kind")
    assert len(line) < 200
    assert model.requests[0].prompt == "Tell of this: <draft>all about Ants</draft>" + " and be kind" * 20


async def test_edges_in_another_order_are_a_change(runner: Runner) -> None:
    """The first that holds is taken, so the order matters."""
    one, other = ("publish", {"when": value("n") >= 1, "label": "a"}), ("write", {"when": value("n") < 1})
    run_id = await waiting(runner, desk(rewired("approve", one, other, (END, {}))))
    await runner.answer(run_id, value=True)
    await runner.resume(run_id, desk(rewired("approve", other, one, (END, {})))).result()
    assert await changes_of(runner, run_id) == ["edges out of approve: they are tried in another order"]


async def test_new_conditions_begin_at_the_resume(runner: Runner) -> None:
    """In the graph and in one inside it, counts since a node and changes ignore what was before the resume."""

    def graph(*, new: bool) -> Graph[Any]:
        inner: Graph[Any] = Graph("inner", Desk, result="n")
        inner.add_node("count", lambda n: n + 1, writes="n", thread=False)
        inner.add_node("check", ask("Continue?", bool), writes="ok")
        inner.add_path(START, "count", "check")
        if new:
            inner.add_edge("check", END, when=(iterations("check", since="count") > 1) | changed("title"))
        inner.add_edge("check", END, when=value("n") >= 3)
        inner.add_edge("check", "count")
        return alone(Desk, inner, "n", name="outer", node="inner")

    run_id = await waiting(runner, graph(new=False))
    await runner.answer(run_id, value=True)
    result = await runner.resume(run_id, graph(new=True)).result()
    assert result.status == "waiting"  # n is 3 now, and neither new condition held
    resumed = [step for step in await runner.history(run_id) if step.kind == "resumed"][-1]
    assert set(said(resumed)["marks_of"]["inner/"]) == {"count:check:count", "change:title:check"}
    assert any(line.startswith("edge new: inner/check → END") for line in said(resumed)["changes"])


# -- questions that changed while they wait


@pytest.mark.parametrize("answered", [False, True])
async def test_a_question_that_changed_is_asked_again(runner: Runner, *, answered: bool) -> None:
    """Its text or its type changed: an answer to the old one is recorded as refused, and one to the new one counts."""
    run_id = await waiting(runner, desk())
    if answered:
        await runner.answer(run_id, value=True)
    other = ask("Print {title} how often?", Literal["once", "twice"])
    after = desk(replaced("approve", other, writes="draft"))
    (wait,) = (await runner.resume(run_id, after).result()).waits
    assert (wait.question, wait.schema) == ("Print Ants how often?", {"enum": ["once", "twice"], "type": "string"})
    kinds = [step.kind for step in await runner.history(run_id)]
    assert kinds.count("waiting") == 2
    assert kinds.count("refused") == answered
    await runner.answer(run_id, "twice")
    result = await runner.resume(run_id, after).result()
    assert result.state.log == ["published twice"]


# -- runs that do not fit


class Required(Desk):
    pages: int


class Typed(BaseModel):
    title: Literal["Bees"] = "Bees"
    draft: str = ""
    n: int = 1
    ok: bool = False
    log: Annotated[list[str], append] = []
    items: list[int] = [1, 2, 3]
    doubled: list[int] = []


class Strict(Desk):
    @model_validator(mode="after")
    def _long(self) -> "Strict":
        if len(self.title) < 10:
            message = "titles are long"
            raise ValueError(message)
        return self


async def waits_inside(title: str, ctx: Context) -> bool:
    """Ask inside a function."""
    return bool(await ctx.ask(f"Print {title}?", bool))


INNER: Graph[Any] = alone(Desk, ask("Sure?", bool), "ok", name="inner", node="sure", result="ok")

MISFITS: list[tuple[str, Edit | None, Edit | None, type[BaseModel], list[str]]] = [
    ("removed node", None, removed("approve", "publish"), Desk,
     ["is at node 'approve' (visit 1, waiting), which the graph no longer has", "node approve is gone: ask",
      "put back node 'approve'", "version=2, migrate={1: Migration(moved={'approve': 'the node to continue at'})}",
      "branch it from a step where it still fits"]),
    ("renamed node", None, renamed("approve", "sign_off"), Desk,
     ["is at node 'approve'", "node sign_off is new: ask", "Migration(renamed={'approve': 'its new name'})"]),
    ("required field", None, None, Required,
     ["field 'pages' is new and has no default", "repair: give 'pages' a default; or ", "migrate={1: f}"]),
    ("narrower type", None, None, Typed,
     ["field 'title' holds 'Ants': ", "'Bees'", "field title: str → Literal['Bees']", "put back the type of 'title'"]),
    ("validator", replaced("publish", publish, writes="title"), None, Strict,
     ["the state as a whole: ", "titles are long"]),
    ("question to function", None, replaced("approve", bool, writes="ok"), Desk,
     ["waits for an answer to approve, which is no longer a question", "node approve: kind ask → function"]),
    ("question to graph", None, replaced("approve", INNER, writes="ok"), Desk, ["no longer a question"]),
    ("function to graph", replaced("approve", waits_inside, writes="ok"), replaced("approve", INNER, writes="ok"),
     Desk, ["waits inside approve for 'Print Ants?', and that node is a graph now"]),
    ("function to map", replaced("approve", waits_inside, writes="ok"),
     replaced("approve", lambda item: item, each={"item": "items"}, writes="doubled"), Desk,
     ["and that node is a map now"]),
    ("graph to function", replaced("approve", INNER, writes="ok"), replaced("approve", lambda ok: ok, writes="ok"),
     Desk, ["inside a graph at approve, which is no longer one"]),
    ("graph to map", replaced("approve", INNER, writes="ok"),
     replaced("approve", INNER, each={"item": "items"}, inputs={"n": "item"}, writes="doubled"), Desk,
     ["inside the graph at approve, which is a map now"]),
    ("map to function", replaced("approve", INNER, each={"item": "items"}, inputs={"n": "item"}, writes="doubled"),
     replaced("approve", lambda ok: ok, writes="ok"), Desk, ["the map at approve over item, which is in progress"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "state", "expected"), [case[1:] for case in MISFITS], ids=[case[0] for case in MISFITS]
)
async def test_a_run_that_does_not_fit_is_left_unchanged(
    runner: Runner, before: Edit | None, after: Edit | None, state: type[BaseModel], expected: list[str]
) -> None:
    """The error has what does not fit, what was changed and the repair; with the old graph the run continues."""
    run_id = await waiting(runner, desk(before))
    error = await refused(runner, desk(after, state), run_id, *expected)
    assert error.code == "graph_changed"
    assert all(len(line) < 200 for line in error.message.splitlines())
    result = await runner.resume(run_id, desk(before)).result()
    while result.waits:
        for name in dict.fromkeys(wait.name for wait in result.waits):
            await runner.answer(run_id, value=True, question=name)
        result = await runner.resume(run_id, desk(before)).result()
    assert result.status == "finished"


@pytest.mark.parametrize(
    ("before", "after"), [case[1:3] for case in MISFITS if case[3] is Desk], ids=[c[0] for c in MISFITS if c[3] is Desk]
)
async def test_a_run_continues_where_a_migration_moves_it(runner: Runner, before: Edit, after: Edit) -> None:
    """The visit in progress is dropped with all below it, and the run continues at the given node."""
    run_id = await waiting(runner, desk(before))
    moved = desk(after, version=2, migrate={1: Migration(moved={"approve": "publish"})})
    result = await runner.resume(run_id, moved).result()
    assert (result.status, result.state.log) == ("finished", ["published all about Ants"])
    resumed = next(step for step in await runner.history(run_id) if step.kind == "resumed")
    assert said(resumed)["moved"] == {"": "publish"}


# -- inside subgraphs


def book(inner: Graph[Any]) -> Graph[Any]:
    """Return a graph with a desk as a node."""
    graph: Graph[Any] = Graph("book", Desk)
    inputs = {"title": "title", **({"pages": "n"} if inner.state is Required else {})}
    graph.add_node("chapter", inner, inputs=inputs, writes=("ok", "draft"))
    graph.add_path(START, "chapter", END)
    return graph


async def test_a_change_inside_is_recorded_with_its_path(runner: Runner) -> None:
    """The run is inside the graph, and continues in the changed one."""
    run_id = await waiting(runner, book(desk()))
    await runner.answer(run_id, value=True)
    inner = desk(replaced("publish", publish, writes="draft"), WithDefault)
    result = await runner.resume(run_id, book(inner)).result()
    assert result.state.draft == "published all about Ants"
    assert await changes_of(runner, run_id) == [
        "field chapter/pages is new: int",
        "node chapter/publish: writes log → draft",
    ]


@pytest.mark.parametrize(
    ("edit", "state", "expected"),
    [
        (removed("approve", "publish"), Desk, "is at node 'chapter/approve'"),
        (None, Required, "field 'pages' is new and has no default (in the graph at chapter)"),
        (None, Typed, "field 'title' holds 'Ants'"),
    ],
)
async def test_a_run_inside_a_graph_that_does_not_fit_is_refused(
    runner: Runner, edit: Edit | None, state: type[BaseModel], expected: str
) -> None:
    """The error has the path, and the repair for the graph inside."""
    run_id = await waiting(runner, book(desk()))
    error = await refused(runner, book(desk(edit, state)), run_id, expected, "Graph('desk', …, version=2, migrate={1: ")
    assert "chapter" in error.message
    await runner.answer(run_id, value=True)
    assert (await runner.resume(run_id, book(desk())).result()).status == "finished"


async def test_another_graph_at_the_node_is_reported(runner: Runner) -> None:
    """A graph with another name is another graph, even if its fields and nodes are the same."""
    run_id = await waiting(runner, book(desk()))
    other = desk()
    other.name = "table"
    await refused(runner, book(other), run_id, "inside graph 'desk' at chapter, and that is graph 'table' now")


# -- forks


class Plan(BaseModel):
    log: Annotated[list[str], append] = []
    one: str = ""
    two: str = ""


class PlanWithout(BaseModel):
    log: Annotated[list[str], append] = []
    two: str = ""


class PlanOfSets(BaseModel):
    log: list[str] = []
    one: str = ""
    two: str = ""


def forked(arms: tuple[str, ...] = ("a", "b"), state: type[BaseModel] = Plan, edit: Edit | None = None) -> Graph[Any]:
    """Return a graph with two arms, each of a node that is done and a question, and a join."""
    graph: Graph[Any] = Graph("plan", state)
    graph.add_node("begin", lambda: "begun", writes="log", thread=False)
    for arm in arms:
        graph.add_node(arm, lambda: "x", writes="log", thread=False)
        graph.add_node(f"{arm}2", ask("Well?"), writes={"a": "one", "b": "two"}.get(arm, "log"))
        graph.add_path(arm, f"{arm}2", "merge")
    graph.add_node("merge", lambda: "merged", writes="log", thread=False)
    graph.add_edge(START, "begin")
    graph.add_fork("begin", list(arms), join="merge")
    graph.add_edge("merge", END)
    if edit is not None:
        edit(graph)
    return graph


def without_fork(graph: Graph[Any]) -> None:
    """Put the nodes one after another."""
    graph.edges = [edge for edge in graph.edges if edge.source not in ("begin", "a2")]
    graph.add_edge("begin", "a")
    graph.add_edge("a2", "b")


def earlier_join(graph: Graph[Any]) -> None:
    """Put the question of arm a after the join."""
    graph.edges = [edge for edge in graph.edges if edge.source not in ("a", "a2", "merge")]
    graph.add_edge("a", "merge")
    graph.add_path("merge", "a2", END)


def of_sets(graph: Graph[Any]) -> None:
    """Make no two arms write one field, so that none needs a reducer."""
    for name in ("begin", "merge"):
        replaced(name, lambda log: log, writes="log")(graph)
    for name, field in (("a", "one"), ("b", "two")):
        replaced(name, lambda: "", writes=field)(graph)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (forked(("a",)), "the fork at begin into a, b with the join merge, which is in progress, no longer exists"),
        (forked(edit=without_fork), "the fork at begin into a, b"),
        (forked(edit=earlier_join), "is at a2 in the arm to a of the fork at begin, which no longer leads there"),
        (forked(state=PlanOfSets, edit=of_sets),
         "the arm to a wrote append to field 'log', whose reducer is none now"),
    ],
)  # fmt: skip
async def test_a_forked_run_is_refused_if_its_arms_are_gone(runner: Runner, after: Graph[Any], expected: str) -> None:
    """Nothing is changed; with the arms restored it continues."""
    run_id = await waiting(runner, forked())
    await refused(runner, after, run_id, expected)
    for name in ("a2", "b2"):
        await runner.answer(run_id, name, question=name)
    result = await runner.resume(run_id, forked()).result()
    assert result.state == Plan(log=["begun", "x", "x", "merged"], one="a2", two="b2")


async def test_a_field_that_an_arm_wrote_cannot_be_removed(runner: Runner) -> None:
    """The join could not apply the write."""
    run_id = await waiting(runner, forked())
    await runner.answer(run_id, "one", question="a2")
    assert (await runner.resume(run_id, forked()).result()).status == "waiting"
    after = forked(state=PlanWithout, edit=replaced("a2", ask("Well?"), writes="log"))
    await refused(runner, after, run_id, "the arm to a wrote field 'one', which no longer exists")


async def test_a_run_at_a_node_that_became_part_of_an_arm_does_not_fit(runner: Runner) -> None:
    """It is not forked, and the other arm would never run."""
    run_id = await waiting(runner, forked(edit=without_fork))
    expected = "is at a2, which is in the arm to a of the fork at begin now, and the run is not forked there"
    await refused(runner, forked(), run_id, expected)
    moved = forked()
    moved.version, moved.migrate = 2, {1: Migration(moved={"a2": "begin"})}
    result = await runner.resume(run_id, moved).result()
    assert sorted(wait.name for wait in result.waits) == ["a2", "b2"]


# -- maps


async def test_items_keep_what_they_wrote_if_it_still_fits(runner: Runner) -> None:
    """The remaining items can use another function; another reducer, or a removed field, does not fit."""

    class Sums(BaseModel):
        items: list[int] = [1, 2, 3]
        sums: list[int] = []

    class Appended(BaseModel):
        items: list[int] = [1, 2, 3]
        sums: Annotated[list[int], append] = []

    async def double(item: int, ctx: Context) -> int:
        return item * 2 if item < 3 else int(await ctx.ask("How much?", int))

    async def treble(item: int, ctx: Context) -> int:
        return item * 3 if item < 3 else 3 * int(await ctx.ask("How much?", int))

    def graph(function: Any, state: type[BaseModel] = Sums, each: str = "items") -> Graph[Any]:
        return alone(state, function, "sums", each={"item": each}, name="sums", node="sum")

    run_id = await waiting(runner, graph(double))
    await refused(runner, graph(double, Appended), run_id, "an item of the map at sum wrote item to field 'sums'")
    await runner.answer(run_id, 7)
    assert (await runner.resume(run_id, graph(treble)).result()).state.sums == [2, 4, 21]


async def test_a_new_plateau_has_no_sample_yet(runner: Runner) -> None:
    """It begins with the next write of its field."""

    def graph(*, new: bool) -> Graph[Any]:
        return repeated(
            Desk, ask("How good?", int), "n", plateau("n") if new else value("n") > 9, name="scores", node="score"
        )

    run_id = await waiting(runner, graph(new=False))
    for score in (5, 5):
        await runner.answer(run_id, score)
        assert (await runner.resume(run_id, graph(new=False)).result()).status == "waiting"
    after = graph(new=True)
    await runner.answer(run_id, 5)
    assert (await runner.resume(run_id, after).result()).status == "waiting"
    await runner.answer(run_id, 5)
    assert (await runner.resume(run_id, after).result()).status == "finished"
