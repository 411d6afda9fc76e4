"""Loops that nothing ends are found, whatever the order and the direction of the conditions; others are not reported.

What ends a loop by the length of a list is in `test_problems.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product
from random import Random
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    FAIL,
    START,
    Condition,
    Context,
    Graph,
    Limits,
    ask,
    choose,
    elapsed_seconds,
    failed,
    iterations,
    plateau,
    value,
)
from graphengine.graph.conditions import Comparison, Composed, Fact, Negated


class State(BaseModel):
    """Something to hope for."""

    score: int = 0
    other: int = 0
    word: str = ""


def scored() -> int:
    """Give a score."""
    return 0


async def received(ctx: Context) -> int:
    """Wait for a message."""
    return await ctx.receive("scores", int)


async def slept(ctx: Context) -> int:
    """Wait for a time."""
    await ctx.sleep(1)
    return 0


HOPE = value("score") >= 7
Ways = list[tuple[Any, ...]]


def loops(*ways: tuple[Any, ...], limits: Limits | None = None, **runnables: Any) -> list[str]:
    """The loops that are reported of these `(source, target, condition)` edges; nodes give a score unless told."""
    graph = Graph("g", State, limits=limits)
    for name in dict.fromkeys(name for source, target, *_ in ways for name in (source, target)):
        if name not in (START, END, FAIL):
            graph.add_node(name, runnables.get(name, scored), writes="score")
    graph.add_edge(START, ways[0][0])
    for source, target, *condition in ways:
        graph.add_edge(source, target, when=condition[0] if condition else None)
    found = [problem for problem in graph.check() if problem.code == "unbounded_loop"]
    return [problem.message.split(" loop ")[1].removesuffix(" to end").replace(" → ", "") for problem in found]


@pytest.mark.parametrize(
    "ways",
    [
        [("a", "a", iterations("a") < 3), ("a", END)],
        [("a", "b", iterations("a") < 3), ("a", END), ("b", "a")],
        [("a", "a", (iterations("a") <= 3) & HOPE), ("a", END)],
        [("a", "a", ~(iterations("a") >= 3)), ("a", END)],
        [("a", "a", ~plateau("score")), ("a", END)],
        [("a", "a", ~((iterations("a") >= 3) | HOPE)), ("a", END)],
        [("a", "a", (iterations("a") < 3) | (elapsed_seconds() < 60)), ("a", END)],
        [("a", "a", iterations("a") == 3), ("a", END)],
        [("a", END, iterations("a") != 1), ("a", "a")],
        [("a", END, (iterations("a") >= 3) & (elapsed_seconds() > 1)), ("a", "a")],
        [("a", "b", iterations("a") < 3), ("a", END, HOPE), ("a", FAIL), ("b", "a", HOPE), ("b", END)],
        [("a", END, HOPE), ("a", FAIL, iterations("a") > 3), ("a", "a")],
        [("a", "a", failed(ValueError) & (iterations("a") < 3)), ("a", END)],
    ],
)
def test_a_guard_may_be_on_either_edge(ways: Ways) -> None:
    """An edge back that holds no more from some round on ends a loop as an edge out does that holds from then on."""
    assert loops(*ways) == []


@pytest.mark.parametrize(
    ("ways", "expected"),
    [
        ([("a", "a", HOPE), ("a", END, iterations("a") >= 3), ("a", "a")], ["aa"]),
        ([("a", "b", HOPE), ("a", END, iterations("a") >= 3), ("a", "c"), ("b", "a"), ("c", "a")], ["aba"]),
        ([("a", END, iterations("c") >= 3), ("a", "b", HOPE), ("a", "c"), ("b", "a"), ("c", "a")], ["aba"]),
        ([("a", "a", (iterations("a") < 3) | HOPE), ("a", END)], ["aa"]),
        ([("a", "a", ~((iterations("a") >= 3) & HOPE)), ("a", END)], ["aa"]),
        ([("a", END, iterations("a", since="b") >= 3), ("a", "b"), ("b", "a")], ["aba"]),
        ([("a", END, plateau("score", since="b")), ("a", "b"), ("b", "a")], ["aba"]),
        ([("a", END, plateau("other")), ("a", "a")], ["aa"]),
        ([("a", "a", iterations("a") >= 3), ("a", END)], ["aa"]),
        ([("a", END, iterations("a") >= 3), ("a", "a", failed(ValueError)), ("a", "a")], ["aa"]),
        ([("a", END, iterations("a") == 3), ("a", "a")], ["aa"]),
        ([("a", "a", HOPE), ("a", "b", HOPE), ("a", END), ("b", "b", HOPE), ("b", END)], ["aa", "bb"]),
    ],
)
def test_a_cap_that_does_not_guard_every_round_is_none(ways: Ways, expected: list[str]) -> None:
    """Edges before a cap, rounds that it does not count, and what it is counted since are looked at."""
    assert loops(*ways) == expected


def asks_always() -> Graph[State]:
    """A graph that asks on every path."""
    graph = Graph("asks", State, result="score")
    graph.add_node("first", ask("First?", int), writes="score")
    graph.add_node("second", ask("Second?", int), writes="score")
    graph.add_edge(START, "first", when=HOPE)
    graph.add_edge(START, "second")
    graph.add_edge("first", END)
    graph.add_edge("second", END)
    return graph


def asks_sometimes() -> Graph[State]:
    """The same with a path that asks nothing, for a node that is run on none."""
    graph = asks_always()
    graph.ways.clear()
    graph.add_switch(START, "score", {0: "first", 1: "second"}, otherwise=END)
    graph.add_edge("first", END)
    graph.add_edge("second", END)
    return graph


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (ask("Good?", int), []),
        (received, []),
        (choose("score", {0: ask("Good?", int), 1: received}), []),
        (asks_always(), []),
        (slept, ["aba"]),
        (choose("score", {0: ask("Good?", int), 1: scored}), ["aba"]),
        (asks_sometimes(), ["aba"]),
    ],
    ids=["a question", "a message", "either", "a graph that asks", "a time", "sometimes", "a graph that may ask"],
)
def test_a_loop_that_waits_for_somebody_is_not_reported(node: Any, expected: list[str]) -> None:
    """Each round waits for an answer or a message from outside, which is where it ends; a time is not."""
    assert loops(("a", "b"), ("b", "a", HOPE), ("b", END), b=node) == expected


def test_a_graph_that_is_meant_to_have_no_end_says_so() -> None:
    """`Limits(steps=None)` is said in so many words; any other limit still ends the run in an unwanted place."""
    ways: Ways = [("a", END, HOPE), ("a", "a")]
    assert loops(*ways, limits=Limits(steps=None)) == []
    assert loops(*ways, limits=Limits(steps=50)) == ["aa"]


# -- every graph by brute force

NODES = "abc"


def some_condition(random: Random, source: str) -> Condition:
    """A cap, a guard, a hope, or two of them."""
    kind = random.random()
    if kind < 0.2:
        return HOPE
    if kind < 0.4:
        left, right = some_condition(random, source), some_condition(random, source)
        return left & right if random.random() < 0.5 else left | right
    counted = random.choice(NODES)
    since = random.choice([None, None, *(set(NODES) - {source, counted})])
    count = iterations(counted, since=since)
    made = random.choice([count >= 2, count < 2, count == 1, count != 1])
    return ~made if random.random() < 0.2 else made


def some_graph(random: Random) -> dict[str, list[tuple[str, Condition | None]]]:
    """Edges with conditions, and one without, of each of three nodes."""
    return {
        name: [
            *((random.choice([*NODES, END]), some_condition(random, name)) for _ in range(random.randint(0, 3))),
            (random.choice([*NODES, END, END]), None),
        ]
        for name in NODES
    }


Counts = dict[tuple[str, str], int]


def outcomes(condition: Condition | None, counts: Counts) -> set[bool]:
    """What a condition may find; a hope may find anything."""
    if condition is None:
        return {True}
    if isinstance(condition, Negated):
        return {not held for held in outcomes(condition.of, counts)}
    if isinstance(condition, Composed):
        pairs = product(outcomes(condition.left, counts), outcomes(condition.right, counts))
        return {(a and b) if condition.word == "and" else (a or b) for a, b in pairs}
    assert isinstance(condition, Comparison)
    if not isinstance(condition.quantity, Fact):
        return {True, False}
    counted, since = (*condition.quantity.names, "")[:2]
    count, bound = counts.get((counted, since), 0), condition.other
    assert isinstance(bound, int)
    return {{">=": count >= bound, "<": count < bound, "==": count == bound, "!=": count != bound}[condition.operator]}


KINDS = [(counted, since) for counted in NODES for since in ("", *NODES)]
Place = tuple[str, tuple[int, ...]]


def following(ways: dict[str, list[tuple[str, Condition | None]]], place: Place) -> Iterator[Place]:
    """The nodes that a node may lead to, with all counts, up to 3."""
    node, held = place
    now = dict(zip(KINDS, held, strict=True))
    for counted, since in KINDS:
        if counted == node:
            now[counted, since] = min(now[counted, since] + 1, 3)
    left = tuple(0 if since == node else count for (_, since), count in now.items())  # begins anew when it is left
    for target, condition in ways[node]:
        may = outcomes(condition, now)
        if True in may and target != END:
            yield target, left
        if False not in may:
            return


def runs_for_ever(ways: dict[str, list[tuple[str, Condition | None]]]) -> bool:
    """Whether some run never ends: whether there is a cycle among all places with all counts."""
    start: Place = ("a", (0,) * len(KINDS))
    is_open = {start: True}
    walk = [(start, following(ways, start))]
    while walk:
        here, rest = walk[-1]
        there = next(rest, None)
        if there is None:
            is_open[here] = False
            walk.pop()
        elif is_open.get(there):
            return True
        elif there not in is_open:
            is_open[there] = True
            walk.append((there, following(ways, there)))
    return False


def test_every_run_without_an_end_is_found() -> None:
    """Where some run of a random graph never ends, a loop is reported; most that are reported have such a run."""
    told = Counter[tuple[bool, bool]]()
    for number in range(1500):
        ways = some_graph(Random(number))  # noqa: S311 - no secret
        graph = Graph("g", State)
        graph.add_edge(START, "a")
        for name in NODES:
            graph.add_node(name)
            for target, condition in ways[name]:
                graph.add_edge(name, target, when=condition)
        reported = any(problem.code in ("unbounded_loop", "dead_end") for problem in graph.check())
        endless = runs_for_ever(ways)
        assert reported or not endless, (number, {s: [(t, str(c)) for t, c in w] for s, w in ways.items()})
        told[endless, reported] += 1
    assert told[False, False] > 300
    assert told[False, True] < told[True, True], told  # some end for a reason that is not looked for
