"""Runs drawn on their graphs."""

import re
from typing import Any

import pytest

from graphengine import END, FAIL, START, Graph, Runner
from graphengine.engine.steps import Step
from graphengine.render.drawing import drawing_of
from graphengine.render.files import RenderError
from graphengine.render.parts import Box, Drawing
from tests.kit.facts import made_step
from tests.render.samples import Article, done, edge, graph_spec, help_desk, node, review_loop, started


def boxes(drawing: Drawing) -> dict[str, Box]:
    """Return the boxes by their first line."""
    return {box.lines[0].text: box for box in drawing.boxes}


def counts(drawing: Drawing) -> list[int]:
    """How often each edge was taken, in the order of the arrows."""
    edges = [words for arrow in drawing.arrows for words in arrow.words]
    taken = [re.search(r"(?:^|; |\. )(never taken|taken once|taken twice|taken (\d+) times)", words) for words in edges]
    return [_COUNTS[found[1]] if found[2] is None else int(found[2]) for found in taken if found is not None]


_COUNTS = {"never taken": 0, "taken once": 1, "taken twice": 2}


LOOP = [
    started("research"),
    done(2, "research", "write"),
    done(3, "write", "review"),
    done(4, "review", "write", why="history[-1].score 3 >= 7: no; no gain: no; iterations of review 1: no; otherwise"),
    done(5, "write", "review", 2),
    done(6, "review", END, 2, edge="approved", why="history[-1].score 8 >= 7: yes"),
]


def test_a_finished_run_shows_its_path() -> None:
    """Each arrow shows how often it was taken, each node its visits, and the caption how the run ended."""
    drawing = drawing_of(review_loop(), LOOP)
    assert counts(drawing) == [1, 1, 2, 0, 1, 0, 0, 1]
    assert [arrow.tone for arrow in drawing.arrows][3:] == ["unused", "done", "done"]
    assert boxes(drawing)["write"].lines[-1].text == "2 visits"
    assert {box.tone for box in drawing.boxes} == {"done"}
    assert drawing.caption[1].text == "run r1: finished after 5 visits: approved; 5.0 s"


def test_an_unfinished_run_shows_its_next_node() -> None:
    """The node that comes next is marked; what was never reached is paler."""
    tones = {name: box.tone for name, box in boxes(drawing_of(review_loop(), LOOP[:2])).items()}
    assert tones == {"START": "done", "research": "done", "write": "here", "review": "unused", "END": "unused"}
    assert boxes(drawing_of(review_loop(), LOOP[:2]))["write"].lines[-1].text == "is here"


def test_a_stopped_run_is_marked() -> None:
    """A limit or a person leaves the mark on the node that did not run."""
    stop = {"status": "stopped", "ending": {"reason": "limit", "label": "", "why": "steps 1 of 1"}}
    drawing = drawing_of(review_loop(), [*LOOP[:2], made_step(3, "stopped", 3.0, data=stop)])
    assert boxes(drawing)["write"].lines[-1].text == "stopped before this visit"
    assert drawing.caption[1].text.endswith("stopped after 1 visit: steps 1 of 1; 2.0 s")


def failure(message: str) -> dict[str, Any]:
    """Return the facts of a failure that ends a run."""
    error = {"path": "a", "kind": "ValueError", "message": message, "attempt": 1}
    stop = {"reason": "failed", "label": "", "condition": "", "why": message}
    return {"error": error, "status": "failed", "ending": stop}


def test_a_failed_run_shows_its_node_and_error() -> None:
    """The failed node is marked and shows its error, once."""
    steps = [*LOOP[:2], made_step(3, "failed", 3.0, "", "write", 1, 1, data=failure("no <model>"))]
    box = boxes(drawing_of(review_loop(), steps))["write"]
    assert box.tone == "failed"
    assert [line.text for line in box.lines[1:]] == ["agent", "writes draft", "failed here: ValueError: no", "<model>"]


def test_retries_fallbacks_and_survived_failures_are_shown() -> None:
    """Each counts at its node, and a failure that an edge took on is an arrow that was taken."""
    error = {"kind": "E", "message": "m"}
    retried = made_step(2, "attempt", 2.0, "", "research", 1, 1, data={"error": error, "due_at": 3.0})
    fell = done(3, "research", "write", fallback=True, error=error)
    survived = {
        "to": [END],
        "edge": "accepted unreviewed",
        "error": error,
        "status": "finished",
        "ending": {"label": "x"},
    }
    last = made_step(5, "failed", 5.0, "", "review", 1, 1, data=survived)
    drawing = drawing_of(review_loop(), [started("research"), retried, fell, done(4, "write", "review"), last])
    assert [line.text for line in boxes(drawing)["research"].lines[-2:]] == ["tried again once", "fell back once"]
    assert boxes(drawing)["review"].lines[-1].text == "failed once"
    assert counts(drawing)[3] == 1


def test_the_value_of_a_switch_selects_its_arrow() -> None:
    """Values that share an arrow count together; FAIL is where the run ended."""
    spam = done(2, "sort", FAIL, edge="spam", why="kind is 'spam'", **failure("spam"))
    drawing = drawing_of(help_desk(), [started("sort"), spam])
    assert counts(drawing) == [1, 0, 1, 0, 0, 0]
    assert boxes(drawing)["FAIL"].tone == "failed"
    assert boxes(drawing)["Sort the request"].tone == "done"


def test_equal_edges_are_distinguished_by_the_conditions_checked() -> None:
    """Two edges with the same source, target and label differ in the number of conditions that were checked."""
    edges = [edge("START", "a"), edge("a", "a", "x > 1"), edge("a", "a", "y > 1"), edge("a", "END")]
    steps = [started("a"), done(2, "a", "a", why="x 0 > 1: no; y 2 > 1: yes"), done(3, "a", "a", 2, why="x 2 > 1: yes")]
    assert counts(drawing_of(graph_spec([node("a")], edges), [*steps, done(4, "a", "a", 3, why="a; b")])) == [
        1,
        1,
        2,
        0,
    ]


async def test_every_end_that_an_arm_reached_is_marked() -> None:
    """If END joins the arms of the whole run, each END that an arm reached is marked."""
    names = [*"abcde"]
    graph = Graph("arms", Article)
    for name in names:
        graph.add_node(name, lambda draft: draft, writes=f"findings[{name!r}]", thread=False)
        graph.add_edge(name, END)
    graph.add_fork(START, names, join=END)
    async with Runner() as runner:
        run = runner.start(graph, Article())
        await run.result()
        steps = await runner.history(run.id)
    drawn = drawing_of(graph.compile().graph_spec, steps)
    ends = [box for box in drawn.boxes if box.shape == "end"]
    assert [(box.tone, box.lines[-1].text) for box in ends] == [("done", "ended here")] * 5
    first = next(index for index, step in enumerate(steps) if step.kind == "node")
    ends = [box for box in drawing_of(graph.compile().graph_spec, steps[: first + 1]).boxes if box.shape == "end"]
    assert sorted(box.tone for box in ends) == ["here", *["unused"] * 4]
    assert [box.lines[-1].text for box in ends if box.tone == "here"] == ["1 of 5 arms arrived"]


def test_a_step_of_a_removed_node_is_omitted() -> None:
    """A run of an older form of the graph is drawn as far as it fits."""
    drawing = drawing_of(graph_spec([node("a")], [edge("START", "a"), edge("a", "END")]), [started("gone")])
    assert counts(drawing) == [0, 0]


@pytest.mark.parametrize("steps", [LOOP[2:], [made_step(1, "started", 1.0)]])
def test_an_invalid_run_is_refused(steps: list[Step]) -> None:
    """Steps that do not begin at 1, or do not fold, get an error with the repair."""
    with pytest.raises(RenderError, match="every step from seq 1"):
        drawing_of(review_loop(), steps)


async def test_the_arrows_of_a_run_match_the_engine() -> None:
    """The arrows of a real run are taken as often as the engine took them."""
    graph = Graph("drafts", Article)
    graph.add_node("write", lambda draft: draft + "x", writes="draft", thread=False)
    graph.add_edge(START, "write")
    graph.add_edge("write", END, when=lambda draft: len(draft) > 3, label="long enough")
    graph.add_edge("write", "write", when=lambda draft: len(draft) > 2)
    graph.add_edge("write", "write")
    async with Runner() as runner:
        run = runner.start(graph, Article())
        await run.result()
        steps = await runner.history(run.id)
    drawing = drawing_of(graph.compile().graph_spec, steps)
    assert counts(drawing) == [1, 1, 1, 2]
    assert f"run {run.id}: finished after 4 visits: long enough" in drawing.caption[1].text
