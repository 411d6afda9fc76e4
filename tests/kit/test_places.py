"""The order of what parallel work does, on golden pages."""

import asyncio
from collections.abc import Sequence

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Node, Runner
from tests.kit.places import Place, in_order, place_here, steps_in_order
from tests.kit.runs import SOON


class State(BaseModel):
    """Two parts that arms write, and items of a map."""

    left: str = ""
    right: str = ""
    items: list[str] = ["a", "b"]
    found: list[str] = []


async def _walked(slow: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the steps and the calls of a run whose work at these places ends last."""
    calls: list[tuple[tuple[str, Place], str]] = []
    others = asyncio.Semaphore(0)

    async def work(name: str) -> str:
        calls.append((place_here(), name))
        if name in slow:
            await others.acquire()
        else:
            others.release()
        return name

    async def left() -> str:
        return await work("left")

    async def right() -> str:
        return await work("right")

    async def each(item: str) -> str:
        return await work(item)

    graph = Graph("g", State)
    for name, function in {"left": left, "right": right}.items():
        graph.add_node(name, function, writes=name)
        graph.add_node(f"{name}_again", function, writes=name)
        graph.add_edge(name, f"{name}_again")
        graph.add_edge(f"{name}_again", "map")
    graph.add_node("map", Node(each), each={"item": "items"}, writes="found")
    graph.add_fork(START, ["left", "right"], join="map")
    graph.add_edge("map", END)
    async with asyncio.timeout(SOON), Runner() as runner:
        await runner.start(graph, run_id="r").result()
        steps = steps_in_order(await runner.history("r"))
    return [f"{step.kind} {step.path}" for step in steps], [name for _, name in in_order(calls, lambda call: call[0])]


@pytest.mark.parametrize("slow", [("left", "a"), ("right", "b"), ("left", "b")])
async def test_it_is_the_declared_one_whatever_ends_first(slow: Sequence[str]) -> None:
    """An arm follows another, and an item another, between the steps of the frame that made them."""
    steps, calls = await _walked(slow)
    arms = ["node left", "node left_again", "node right", "node right_again"]
    items = ["mapped map", "item map[0]", "item map[1]", "node map"]
    assert steps == ["started ", *arms, "joined map", *items]
    assert calls == ["left", "left", "right", "right", "a", "b"]


def test_runs_do_not_change_places() -> None:
    """What several runs do in turns stays so."""
    places: list[tuple[str, Place]] = [("a", ((1,),)), ("b", ((0,),)), ("a", ((0,),)), ("a", ())]
    assert in_order(places, lambda each: each) == [("a", ((1,),)), ("b", ((0,),)), ("a", ()), ("a", ((0,),))]
