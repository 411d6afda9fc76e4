"""Graphs inside graphs: what a picture says of them, and of a run on them."""

import re
from pathlib import Path
from typing import Any

import pytest

from graphengine import END, START, Context, Graph, RunFailed, Runner
from graphengine.engine.graph_spec import EdgeSpec
from graphengine.engine.steps import Step
from graphengine.render import render_graph_spec
from graphengine.render.drawing import drawing_of, signs_of
from graphengine.render.parts import Arrow, Box, Cluster, Drawing
from tests.kit.facts import made_step
from tests.render.nested import Job, Paper, asking_run, company, graph_spec_of, newsroom, tree, waiting_run
from tests.render.samples import edge, graph_spec, node, read_xml


def box(drawing: Drawing, name: str) -> Box:
    """Return the box with this name."""
    return next(box for box in drawing.boxes if box.name == name)


def cluster(drawing: Drawing, title: str) -> Cluster:
    """Return the cluster with this title."""
    return next(cluster for cluster in drawing.clusters if cluster.lines[0].text == title)


def words(part: Box | Arrow) -> str:
    """Return all lines as one."""
    return " ".join(line.text for line in part.lines)


def untimed(part: Box) -> str:
    """Return the lines without durations."""
    return re.sub(r",? \d[\d.]* m?s\b", "", words(part))


def arrows(drawing: Drawing) -> list[tuple[str, str]]:
    """Return the source and target of each arrow, by name."""
    names = {box.id: box.name for box in drawing.boxes}
    return [(names[arrow.source], names[arrow.target]) for arrow in drawing.arrows]


def test_arrows_to_a_graph_end_at_its_border() -> None:
    """They do not cross its heading; the first node is the one without incoming edges, or is marked by a dot."""
    drawing = drawing_of(graph_spec_of(newsroom()))
    assert ("plan", "articles/search") in arrows(drawing)
    assert [arrow.head for arrow in drawing.arrows if arrow.head] == [cluster(drawing, "articles").id]
    assert not [box for box in drawing.boxes if box.shape == "entry"]
    inner = graph_spec(
        [node("a"), node("b")], [edge("START", "a"), edge("a", "b"), edge("b", "a", "x"), edge("b", "END")]
    )
    looping = drawing_of(graph_spec([node("n", graphs={"": inner})], [edge("START", "n"), edge("n", "END")]))
    assert ("START of n", "n/a") in arrows(looping)


def test_a_graph_is_left_through_its_end() -> None:
    """A dot is drawn for its END, so that no arrow from inside crosses the border."""
    found = arrows(drawing_of(graph_spec_of(company())))
    assert ("END of team (law)", "END of team") in found
    assert ("team (code)/join", "END of team (code)") in found
    deep = arrows(drawing_of(graph_spec_of(tree(2, 2))))
    assert ("inner/step_1_1", "END of inner") in deep
    assert ("END of inner", "step_2_1") in deep
    assert ("inner/step_1_1", "inner/step_1_1") in deep


@pytest.mark.parametrize(
    "edges",
    [
        [edge("START", "a"), edge("a", "END", label="done")],
        [edge("START", "a"), edge("a", "END"), edge("a", "FAIL", "failed with E", failure=True)],
        [edge("START", "a"), edge("a", "END", "x"), edge("a", "END")],
        [edge("START", "a"), edge("a", "FAIL")],
        [edge("START", "END")],
    ],
)
def test_an_end_with_a_label_or_condition_has_a_dot(edges: list[EdgeSpec]) -> None:
    """A label, a second edge, a condition, or no end at all: each keeps the dot, from which outer edges leave."""
    inner = graph_spec([node("a")] if len(edges) > 1 else [], edges, "inner")
    drawing = drawing_of(graph_spec([node("n", "graph", graphs={"": inner})], [edge("START", "n"), edge("n", "END")]))
    assert ("END of n", "END") in arrows(drawing)


def test_the_legend_explains_the_dots_in_the_picture() -> None:
    """The legend explains the start, the end, or both."""
    dot = {shape: Box(shape, shape, (), "", "plain") for shape in ("entry", "exit")}
    found = {
        ("entry",): ["dot: where a graph inside begins"],
        ("exit",): ["ringed dot: where a graph inside ends"],
        ("entry", "exit"): ["dot: where a graph inside begins, ringed where it ends"],
        (): [],
    }
    for shapes, signs in found.items():
        boxes = tuple(dot[shape] for shape in shapes)
        assert list(signs_of(Drawing("", (), "", boxes, ()))) == signs


def test_failure_edges_leave_from_the_border() -> None:
    """Any node in the cluster can have failed; an edge back to the same graph does not leave from the border."""
    drawing = drawing_of(graph_spec_of(newsroom()))
    tails = {arrow.words: arrow.tail for arrow in drawing.arrows if arrow.failure}
    assert tails == {("plan anew; failed with Exception",): cluster(drawing, "articles").id}
    inner = graph_spec([node("a")], [edge("START", "a"), edge("a", "END")])
    again = [edge("START", "n"), edge("n", "n", "failed with E", failure=True), edge("n", "END")]
    assert [a.tail for a in drawing_of(graph_spec([node("n", graphs={"": inner})], again)).arrows] == [""] * 4


def test_a_choice_among_graphs_has_one_cluster_per_graph() -> None:
    """A box names the selector, an arrow to each graph has its value; other targets share a box."""
    drawing = drawing_of(graph_spec_of(company()))
    team = cluster(drawing, "team")
    assert [c.lines[0].text for c in drawing.clusters if c.cluster == team.id] == ["law", "code"]
    picks = next(box for box in drawing.boxes if box.cluster == team.id and box.shape == "choose")
    assert words(picks) == "team"
    found = [words(a) for a in drawing.arrows if a.source == picks.id and not a.tail]
    assert found == ["is law", "is code", "is other"]


def test_three_levels_of_sixty_nodes_are_drawn_completely(tmp_path: Path) -> None:
    """Each node is drawn once, each cluster is in its parent, and all are painted."""
    drawing = drawing_of(graph_spec_of(tree(3, 20)))
    named = [box.name for box in drawing.boxes if "step_" in box.name]
    assert len(named) == len(set(named)) == 60
    assert [c.depth for c in drawing.clusters] == [0, 1]
    render_graph_spec(graph_spec_of(tree(3, 20)), tmp_path / "deep.svg")
    root = read_xml((tmp_path / "deep.svg").read_bytes())
    groups = root.findall(".//{http://www.w3.org/2000/svg}g")
    titles = [g.findtext("{http://www.w3.org/2000/svg}title", "") for g in groups if g.get("class") == "node"]
    assert set(titles) >= {box.spoken for box in drawing.boxes}
    assert len([g for g in groups if g.get("class") == "cluster"]) == 2


async def test_a_waiting_run_shows_where_and_for_what_it_waits() -> None:
    """The question is marked, and the steps of all items count at the nodes of their graph."""
    graph, steps = await waiting_run()
    drawing = drawing_of(graph.compile().graph_spec, steps)
    assert box(drawing, "approve").tone == "waiting"
    assert words(box(drawing, "approve")).endswith('waits: Publish [ "tides", "dunes", "winds" ]?')
    assert untimed(cluster(drawing, "articles")).endswith("writes articles; 1 visit; 3 items done")
    assert untimed(box(drawing, "articles/read")).endswith("3 visits 6 items done fell back once")
    taken = {arrow.spoken.split(":")[0]: arrow.spoken for arrow in drawing.arrows}
    assert taken["plan to articles"].endswith(": taken once")
    assert taken["articles/read to articles/write"].endswith(": taken 3 times")
    assert taken["articles to approve"].endswith(": taken once")
    assert drawing.caption[1].text.startswith("run sea: waiting after ")


async def test_an_unfinished_map_shows_its_progress() -> None:
    """Items that are done are counted, and those that wait are marked where they wait."""
    graph, steps = await asking_run()
    drawing = drawing_of(graph.compile().graph_spec, steps)
    assert "1 of 3 done" in words(cluster(drawing, "articles"))
    assert cluster(drawing, "articles").tone == "here"
    assert box(drawing, "articles/write").tone == "waiting"
    assert untimed(box(drawing, "articles/write")).endswith("1 visit 2 wait, one of them: What of tides?")
    assert box(drawing, "END").tone == "unused"


async def test_a_failure_in_a_nested_graph_is_shown_where_it_happened() -> None:
    """The failed node is marked with its error, and so is the node of its graph; the map counts it."""

    def check(task: str) -> str:
        if task == "b":
            message = "no b"
            raise ValueError(message)
        return task

    inner = Graph("inner", Job, result="answer")
    inner.add_node("check", check, writes="answer", thread=False)
    inner.add_path(START, "check", END)
    graph = Graph("outer", Paper)
    graph.add_node("all", inner, each={"item": "topics"}, inputs={"task": "item"}, writes="articles")
    graph.add_path(START, "all", END)
    async with Runner() as runner:
        run = runner.start(graph, Paper(topics=["a", "b", "c"]))
        with pytest.raises(RunFailed):
            await run.result()
        drawing = drawing_of(graph.compile().graph_spec, await runner.history(run.id))
    assert box(drawing, "all/check").tone == "failed"
    assert untimed(box(drawing, "all/check")).endswith("2 visits failed here: ValueError: no b")
    assert cluster(drawing, "all").tone == "failed"
    assert untimed(cluster(drawing, "all")).endswith("2 of 3 done, 1 failed")


async def test_a_run_shows_which_graph_was_chosen() -> None:
    """Only the cluster that was entered is done, and the arrow to it was taken."""
    graph = company()
    async with Runner(models="placeholder") as runner:
        run = runner.start(graph, Job(task="write code"))
        await run.result()
        drawing = drawing_of(graph.compile().graph_spec, await runner.history(run.id))
    assert [cluster(drawing, name).tone for name in ("team", "law", "code")] == ["done", "unused", "done"]
    tones = {words(arrow): arrow.tone for arrow in drawing.arrows if words(arrow).startswith("is ")}
    assert tones == {"is law": "unused", "is code": "done", "is other": "unused"}
    assert "well done" in next(words(a) for a in drawing.arrows if a.tone == "done" and "ended 'done'" in words(a))


def waits(**wait: Any) -> list[Step]:
    """Return a run whose one node waits in this way."""
    data = {"run_id": "r", "graph": "g", "fingerprint": "f", "limits": {}, "to": ["a"]}
    return [
        made_step(1, "started", 1.0, data=data),
        made_step(2, "waiting", 2.0, "", "a", 1, 1, data={"waits": {"a": {"id": "1", **wait}}}),
    ]


@pytest.mark.parametrize(
    ("wait", "found"),
    [
        ({"kind": "ask", "question": "Go on?", "key": "k"}, "waits: Go on?"),
        ({"kind": "receive", "question": "a message on 'x'", "topic": "x"}, "waits for a message on 'x'"),
        ({"kind": "sleep", "question": "60 s", "due": 86_460.0}, "waits until 1970-01-02 00:01 UTC"),
        ({"kind": "sleep", "question": "60 s", "due": 1e30}, "waits until 1e+30 s after 1970"),
        ({"kind": "pause", "question": "paused before a"}, "paused before this visit"),
        ({"kind": "unknown", "question": "…"}, "unknown: it began, and nobody knows how it ended"),
    ],
)
def test_each_kind_of_wait_has_its_text(wait: dict[str, Any], found: str) -> None:
    """A waiting node is marked with what it waits for."""
    drawing = drawing_of(graph_spec([node("a")], [edge("START", "a"), edge("a", "END")]), waits(**wait))
    assert box(drawing, "a").tone == "waiting"
    assert " ".join(line.text for line in box(drawing, "a").lines[2:]) == found


async def test_unfinished_arms_are_marked_at_their_nodes() -> None:
    """Each arm is shown at its node, and the join shows how many have arrived."""
    graph = Graph("arms", Job)
    graph.add_node("ask", _asked, writes="first")
    graph.add_node("do", lambda task: task, writes="second", thread=False)
    graph.add_node("join", lambda first, second: first + second, writes="answer", thread=False)
    graph.add_fork(START, ["ask", "do"], join="join")
    graph.add_path("ask", "join")
    graph.add_path("do", "join", END)
    async with Runner() as runner:
        run = runner.start(graph, Job(task="x"))
        await run.result()
        drawing = drawing_of(graph.compile().graph_spec, await runner.history(run.id))
    assert box(drawing, "ask").tone == "waiting"
    assert box(drawing, "do").tone == "done"
    assert words(box(drawing, "join")).endswith("1 of 2 arms arrived")


async def _asked(ctx: Context) -> str:
    return await ctx.ask("Well?")
