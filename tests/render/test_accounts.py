"""Time and cost on a picture: what each node took; unknown values are shown as unknown."""

from typing import Any

from graphengine import END, FAIL, START, Graph, Migration, Runner, ask, value
from graphengine.engine.graph_spec import GraphSpec
from graphengine.engine.steps import Kind, Step
from graphengine.render.drawing import drawing_of
from graphengine.render.parts import Box, Drawing
from tests.kit.facts import altered, made_step, resaid, said
from tests.render.nested import Job, graph_spec_of, waiting_run
from tests.render.samples import done, edge, graph_spec, node, started
from tests.render.timed import paper_run


def lines_of(drawing: Drawing, name: str) -> list[str]:
    """Return the lines of a box or a cluster."""
    parts: list[Box] = [*drawing.boxes, *drawing.clusters]
    return [line.text for part in parts if part.name == name for line in part.lines]


def one_node() -> GraphSpec:
    """A graph of one node that may be visited again."""
    return graph_spec([node("a")], [edge("START", "a"), edge("a", "a", "again"), edge("a", "END")])


def worked(seq: int, seconds: float, to: str, **usage: float | None) -> Step:
    """A visit of the node that took this long."""
    step = done(seq, "a", to, visit=seq - 1, **({"usage": usage} if usage else {}))
    return altered(step, began=step.at - seconds)


def test_visits_of_a_node_add_up() -> None:
    """The node shows the driven time and cost of all visits next to their number; the caption shows the run's."""
    steps = [
        started("a"),
        worked(2, 0.25, "a", calls=1, cost_usd=0.01),
        worked(3, 0.5, "END", calls=2, cost_usd=0.0125),
    ]
    drawing = drawing_of(one_node(), steps)
    assert lines_of(drawing, "a")[-1] == "2 visits, 0.75 s, 0.0225 USD"
    assert drawing.caption[1].text.endswith("; 2.0 s, 0.0225 USD")


def test_an_unknown_cost_is_never_shown_as_zero() -> None:
    """The cost is called unknown, and its known part is shown as a minimum."""
    steps = [started("a"), worked(2, 0.25, "END", calls=1, cost_usd=None)]
    assert " ".join(lines_of(drawing_of(one_node(), steps), "a")).endswith(" 1 visit, 0.25 s, cost unknown")
    steps = [
        started("a"),
        worked(2, 0.25, "a", calls=1, cost_usd=0.5),
        worked(3, 0.25, "END", calls=1, cost_usd=None),
    ]
    known = " ".join(lines_of(drawing_of(one_node(), steps), "a"))
    assert known.endswith(" 2 visits, 0.50 s, over 0.5000 USD, not all known")


def test_failed_attempts_have_a_time_and_a_cost() -> None:
    """A failed attempt takes time and money; the pause before the next attempt does not count."""
    error = {"kind": "E", "message": "m"}
    failed = made_step(
        2, "attempt", 2.0, "", "a", 1, 1, 1.5, data={"error": error, "usage": {"calls": 1, "cost_usd": 0.1}}
    )
    drawing = drawing_of(one_node(), [started("a"), failed, worked(3, 0.25, "END", calls=1, cost_usd=0.1)])
    assert lines_of(drawing, "a")[-1] == "1 visit, 0.75 s, 0.2000 USD"


def test_time_between_stop_and_resume_is_not_counted() -> None:
    """Time in which no process drove the run is not counted."""
    stop = made_step(2, "stopped", 2.0, data={"status": "stopped", "ending": {"reason": "limit", "label": ""}})
    resumed = made_step(3, "resumed", 1000.0, data={"limits": {}, "fingerprint": "f"})
    drawing = drawing_of(
        one_node(), [started("a"), stop, resumed, altered(worked(4, 0, "END"), at=1001.0, began=1000.5)]
    )
    assert lines_of(drawing, "a")[-1] == "1 visit, 0.50 s"
    assert drawing.caption[1].text.endswith("; 2.0 s")


async def test_a_nested_graph_has_the_cost_of_its_nodes() -> None:
    """Its time is that of its visits; the cost of its nodes also counts for each enclosing graph."""
    graph, steps = await waiting_run()
    priced = [resaid(step, usage={"calls": 1, "cost_usd": 0.125}) if "usage" in said(step) else step for step in steps]
    drawing = drawing_of(graph_spec_of(graph), priced)
    assert lines_of(drawing, "articles/write")[-1].endswith("s, 0.7500 USD")
    assert "0.7500 USD" in " ".join(lines_of(drawing, "articles"))
    assert "USD" not in " ".join(lines_of(drawing, "articles/search"))
    assert "0.7500 USD" in " ".join(lines_of(drawing_of(graph_spec_of(graph), priced, fold=0), "articles"))


async def test_a_renamed_node_keeps_its_time_and_its_visits() -> None:
    """Work done under the old name counts under the new one."""

    def graph(name: str, migrate: dict[int, Migration] | None = None) -> Graph[Job]:
        made = Graph("g", Job, version=len(migrate or {}) + 1, migrate=migrate)
        made.add_node(name, lambda task: task, writes="answer", thread=False)
        made.add_node("wait", ask("Well?", str), writes="second")
        made.add_path(START, name, "wait", END)
        return made

    async with Runner() as runner:
        await runner.start(graph("old"), run_id="r").result()
        await runner.answer("r", "well")
        after = graph("new", {1: Migration(renamed={"old": "new"})})
        await runner.resume("r", after).result()
        steps = await runner.history("r")
    timed = [altered(step, began=step.at - 0.25) if step.node == "old" else step for step in steps]
    assert lines_of(drawing_of(graph_spec_of(after), [altered(timed[0], at=timed[0].at - 1), *timed[1:]]), "new")[
        -1
    ] == ("1 visit, 0.25 s")


async def test_a_renamed_node_keeps_its_edges_and_the_end_of_its_arm() -> None:
    """A branch of a run that waits renames the node of an arm that failed, after its edges were counted."""

    def graph(name: str, migrate: dict[int, Migration] | None = None) -> Graph[Job]:
        made = Graph("g", Job, version=len(migrate or {}) + 1, migrate=migrate)
        made.add_node(name, lambda task: task, writes="answer", thread=False)
        made.add_node("wait", ask("Well?", str), writes="second")
        made.add_fork(START, [name, "wait"], join=END)
        made.add_edge(name, FAIL, when=value("task") == "")
        made.add_edge(name, END)
        made.add_edge("wait", END)
        return made

    async with Runner() as runner:
        await runner.start(graph("old"), run_id="r").result()
        after = graph("new", {1: Migration(renamed={"old": "new"})})
        await runner.branch("r", after, 3, run_id="b").result()
        drawn = drawing_of(graph_spec_of(after), await runner.history("b"))
    assert lines_of(drawn, "FAIL") == ["FAIL", "ended here"]
    assert [arrow.spoken for arrow in drawn.arrows if arrow.spoken.startswith("new to FAIL")] == [
        "new to FAIL: 1. task == ''; taken once, because task '' == '': yes"
    ]


async def test_an_answered_question_shows_how_long_it_was_open() -> None:
    """A question does no work: it shows no time while it waits, and its waiting time once it is answered."""
    graph, steps = await paper_run()
    asked = next(index for index, step in enumerate(steps) if step.kind == "waiting")
    shape = graph_spec_of(graph)
    assert lines_of(drawing_of(shape, steps[: asked + 1]), "approve")[-2:] == ["writes ok", "waits: Publish it?"]
    assert lines_of(drawing_of(shape, steps), "approve")[-1] == "1 visit, waited 2 h"


def test_a_function_that_waits_shows_its_waiting_time() -> None:
    """It works before and after each answer; two waits in one visit add up."""

    def step(seq: int, kind: Kind, at: float, **data: Any) -> Step:
        return made_step(seq, kind, at, "", "a", 1, 1, at - 0.5 if kind != "answered" else 0.0, data=data)

    asked = {"waits": {"a": {"kind": "ask", "question": "a"}}}
    answer = {"wait": "a", "by": "answer", "answer": {"value": 1}}
    steps = [
        started("a"),
        step(2, "waiting", 2.0, **asked),
        step(3, "answered", 12.0, **answer),
        step(4, "waiting", 13.0, **asked),
        step(5, "answered", 18.0, **answer),
    ]
    ended = altered(done(6, "a", END), at=19.0, began=18.5)
    assert lines_of(drawing_of(one_node(), [*steps, ended]), "a")[-2:] == ["1 visit, 1.5 s,", "waited 15.0 s"]
