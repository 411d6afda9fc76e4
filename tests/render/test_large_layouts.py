"""Fans keep their order, and graphs of many arrows are laid out in seconds."""

import random
import time
from collections import Counter
from itertools import pairwise
from typing import Annotated

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, value
from graphengine.reducers import append
from graphengine.render.drawing import draw_graph
from graphengine.render.layout import layout

BOXES, ARROWS = 400, 800
MOST_SECONDS = 8
"""Of this thread's own time: it takes 3, and took 14."""


class State(BaseModel):
    n: int = 0
    outs: Annotated[list[str], append] = []


def fan(arms: int, *, is_conditional: bool = False) -> Graph[State]:
    """Return a graph with so many arms between a plan and a join."""
    graph = Graph("fan", State)
    names = [f"worker_{number}" for number in range(arms)]
    graph.add_node("plan", lambda n: n, writes="n", thread=False)
    for name in names:
        graph.add_node(name, lambda n: f"{n}", writes="outs", thread=False)
    graph.add_node("join", lambda n: n, writes="n", thread=False)
    graph.add_edge(START, "plan")
    told = [(name, value("n") != number) if is_conditional else name for number, name in enumerate(names)]
    graph.add_fork("plan", told, join="join")
    for name in names:
        graph.add_edge(name, "join")
    graph.add_edge("join", END)
    return graph


@pytest.mark.parametrize("arms", [6, 12, 30])
@pytest.mark.parametrize("is_conditional", [False, True])
def test_a_fan_keeps_its_order(arms: int, is_conditional: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The arms stand in one row, or alike ones in rows if they are many, from the first one to the last."""
    drawing = draw_graph(fan(arms, is_conditional=is_conditional).compile().graph_spec, detail="full")
    rects = layout(drawing).rects
    boxes = [rects[box.id] for box in drawing.boxes if box.name.startswith("worker_")]
    rows = Counter(round(box.y + box.high / 2) for box in boxes)
    assert all(
        one.x + one.wide <= other.x if round(one.y) == round(other.y) else one.y + one.high < other.y
        for one, other in pairwise(boxes)
    )
    assert len(rows) == (1 if is_conditional or arms == 6 else {12: 4, 30: 6}[arms])


def tangled() -> Graph[State]:
    """Return a graph whose arrows lead anywhere below."""
    draw, graph = random.Random(1), Graph("tangled", State)  # noqa: S311 - it is drawn the same each time
    out: dict[int, list[int]] = {box: [box + 1] for box in range(BOXES - 1)}
    left = ARROWS - BOXES + 1
    while left:
        source = draw.randrange(BOXES - 2)
        target = draw.randrange(source + 1, BOXES)
        if target not in out[source]:
            out[source].append(target)
            left -= 1
    for box in range(BOXES):
        graph.add_node(f"n{box}", lambda n: n, writes="n", thread=False)
    graph.add_edge(START, "n0")
    for source, targets in out.items():
        for target in targets[:0:-1]:
            graph.add_edge(f"n{source}", f"n{target}", when=value("n") == target)
        graph.add_edge(f"n{source}", f"n{targets[0]}")
    graph.add_edge(f"n{BOXES - 1}", END)
    return graph


def test_a_graph_of_many_arrows_is_laid_out_in_seconds() -> None:
    """400 boxes with 800 arrows that lead anywhere below, of which each passes 130 boxes."""
    drawing = draw_graph(tangled().compile().graph_spec, detail="brief")
    began = time.thread_time()
    found = layout(drawing)
    assert time.thread_time() - began < MOST_SECONDS
    assert len(found.routes) == len(drawing.arrows)
