"""Loops that nothing ends are reported, for any order and direction of the conditions; others are not.

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
    """A score that a loop may or may not reach."""

    score: int = 0
    other: int = 0
    word: str = ""


def scored() -> int:
    """Return a score."""
    return 0


async def received(ctx: Context) -> int:
    """Wait for a message."""
    return await ctx.receive("scores", int)


async def slept(ctx: Context) -> int:
    """Sleep for a time."""
    await ctx.sleep(1)
    return 0


UNCERTAIN = value("score") >= 7
Edges = list[tuple[Any, ...]]


def loops(*edges: tuple[Any, ...], limits: Limits | None = None, **runnables: Any) -> list[str]:
    """Return the reported loops of these `(source, target, condition)` edges; nodes return a score by default."""
    graph = Graph("g", State, limits=limits)
    for name in dict.fromkeys(name for source, target, *_ in edges for name in (source, target)):
        if name not in (START, END, FAIL):
            graph.add_node(name, runnables.get(name, scored), writes="score")
    graph.add_edge(START, edges[0][0])
    for source, target, *condition in edges:
        graph.add_edge(source, target, when=condition[0] if condition else None)
    found = [problem for problem in graph.check() if problem.code == "unbounded_loop"]
    return [problem.message.split(" loop ")[1].removesuffix(" to end").replace(" → ", "") for problem in found]


@pytest.mark.parametrize(
    "edges",
    [
        [("a", "a", iterations("a") < 3), ("a", END)],
        [("a", "b", iterations("a") < 3), ("a", END), ("b", "a")],
        [("a", "a", (iterations("a") <= 3) & UNCERTAIN), ("a", END)],
        [("a", "a", ~(iterations("a") >= 3)), ("a", END)],
        [("a", "a", ~plateau("score")), ("a", END)],
        [("a", "a", ~((iterations("a") >= 3) | UNCERTAIN)), ("a", END)],
        [("a", "a", (iterations("a") < 3) | (elapsed_seconds() < 60)), ("a", END)],
        [("a", "a", iterations("a") == 3), ("a", END)],
        [("a", END, iterations("a") != 1), ("a", "a")],
        [("a", END, (iterations("a") >= 3) & (elapsed_seconds() > 1)), ("a", "a")],
        [("a", "b", iterations("a") < 3), ("a", END, UNCERTAIN), ("a", FAIL), ("b", "a", UNCERTAIN), ("b", END)],
        [("a", END, UNCERTAIN), ("a", FAIL, iterations("a") > 3), ("a", "a")],
        [("a", "a", failed(ValueError) & (iterations("a") < 3)), ("a", END)],
        [("a", END, plateau("score")), ("a", "a")],
        [("a", END, UNCERTAIN | (iterations("a") >= 3)), ("a", "a")],
        [
            ("a", END, iterations("a") >= 3),
            ("a", "b"),
            ("b", "c"),
            ("c", "a", iterations("c", since="a") >= 3),
            ("c", "b"),
        ],
    ],
)
def test_a_guard_may_be_on_either_edge(edges: Edges) -> None:
    """An edge back that stops holding ends a loop just as an outgoing edge that starts to hold."""
    assert loops(*edges) == []


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ([("a", "a", UNCERTAIN), ("a", END, iterations("a") >= 3), ("a", "a")], ["aa"]),
        ([("a", "b", UNCERTAIN), ("a", END, iterations("a") >= 3), ("a", "c"), ("b", "a"), ("c", "a")], ["aba"]),
        ([("a", END, iterations("c") >= 3), ("a", "b", UNCERTAIN), ("a", "c"), ("b", "a"), ("c", "a")], ["aba"]),
        ([("a", "a", (iterations("a") < 3) | UNCERTAIN), ("a", END)], ["aa"]),
        ([("a", "a", ~((iterations("a") >= 3) & UNCERTAIN)), ("a", END)], ["aa"]),
        ([("a", END, iterations("a", since="b") >= 3), ("a", "b"), ("b", "a")], ["aba"]),
        ([("a", END, plateau("score", since="b")), ("a", "b"), ("b", "a")], ["aba"]),
        ([("a", END, plateau("other")), ("a", "a")], ["aa"]),
        ([("a", END, UNCERTAIN & (iterations("a") >= 3)), ("a", "a")], ["aa"]),
        ([("a", "a", iterations("a") >= 3), ("a", END)], ["aa"]),
        ([("a", END, iterations("a") >= 3), ("a", "a", failed(ValueError)), ("a", "a")], ["aa"]),
        ([("a", END, iterations("a") == 3), ("a", "a")], ["aa"]),
        ([("a", "a", UNCERTAIN), ("a", "b", UNCERTAIN), ("a", END), ("b", "b", UNCERTAIN), ("b", END)], ["aa", "bb"]),
    ],
)
def test_a_cap_must_guard_every_round(edges: Edges, expected: list[str]) -> None:
    """The edges before a cap, uncounted rounds, and the node since which it counts all matter."""
    assert loops(*edges) == expected


def asks_always() -> Graph[State]:
    """Return a graph that asks on every path."""
    graph = Graph("asks", State, result="score")
    graph.add_node("first", ask("First?", int), writes="score")
    graph.add_node("second", ask("Second?", int), writes="score")
    graph.add_edge(START, "first", when=UNCERTAIN)
    graph.add_edge(START, "second")
    graph.add_edge("first", END)
    graph.add_edge("second", END)
    return graph


def asks_sometimes() -> Graph[State]:
    """Return the same graph with a path that does not ask."""
    graph = asks_always()
    graph.edges.clear()
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
def test_a_loop_that_waits_for_input_is_not_reported(node: Any, expected: list[str]) -> None:
    """Each round waits for an answer or a message from outside, which can end it; a sleep cannot."""
    assert loops(("a", "b"), ("b", "a", UNCERTAIN), ("b", END), b=node) == expected


@pytest.mark.parametrize("limits", [Limits(visits=None), Limits(visits=50), Limits(cost_usd=1)])
def test_a_limit_that_was_given_explicitly_is_no_warning(limits: Limits) -> None:
    """The user decided where the graph ends, or that it never does; the default limit is no such decision."""
    edges: Edges = [("a", END, UNCERTAIN), ("a", "a")]
    assert loops(*edges, limits=limits) == []
    assert loops(*edges) == ["aa"]


# -- every graph by brute force

NODES = "abc"


def some_condition(random: Random, source: str) -> Condition:
    """Return a cap, a guard, a condition that may never hold, or two of them."""
    kind = random.random()
    if kind < 0.2:
        return UNCERTAIN
    if kind < 0.4:
        left, right = some_condition(random, source), some_condition(random, source)
        return left & right if random.random() < 0.5 else left | right
    counted = random.choice(NODES)
    since = random.choice([None, None, *(set(NODES) - {source, counted})])
    count = iterations(counted, since=since)
    made = random.choice([count >= 2, count < 2, count == 1, count != 1])
    return ~made if random.random() < 0.2 else made


def some_graph(random: Random) -> dict[str, list[tuple[str, Condition | None]]]:
    """Return edges with conditions, and one without, for each of three nodes."""
    return {
        name: [
            *((random.choice([*NODES, END]), some_condition(random, name)) for _ in range(random.randint(0, 3))),
            (random.choice([*NODES, END, END]), None),
        ]
        for name in NODES
    }


Counts = dict[tuple[str, str], int]


def outcomes(condition: Condition | None, counts: Counts) -> set[bool]:
    """Return the possible results of a condition; one on a score can have any."""
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


def following(edges: dict[str, list[tuple[str, Condition | None]]], place: Place) -> Iterator[Place]:
    """Return the nodes to which a node can lead, with all counts, up to 3."""
    node, held = place
    now = dict(zip(KINDS, held, strict=True))
    for counted, since in KINDS:
        if counted == node:
            now[counted, since] = min(now[counted, since] + 1, 3)
    left = tuple(0 if since == node else count for (_, since), count in now.items())  # begins again when it is left
    for target, condition in edges[node]:
        may = outcomes(condition, now)
        if True in may and target != END:
            yield target, left
        if False not in may:
            return


def runs_for_ever(edges: dict[str, list[tuple[str, Condition | None]]]) -> bool:
    """Return whether some run never ends: whether the graph of places and counts has a cycle."""
    start: Place = ("a", (0,) * len(KINDS))
    is_open = {start: True}
    walk = [(start, following(edges, start))]
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
            walk.append((there, following(edges, there)))
    return False


def test_every_run_without_an_end_is_found() -> None:
    """If some run of a random graph never ends, a loop is reported; most reported graphs have such a run."""
    counts = Counter[tuple[bool, bool]]()
    for number in range(1500):
        edges = some_graph(Random(number))  # noqa: S311 - not security
        graph = Graph("g", State)
        graph.add_edge(START, "a")
        for name in NODES:
            graph.add_node(name)
            for target, condition in edges[name]:
                graph.add_edge(name, target, when=condition)
        reported = any(problem.code in ("unbounded_loop", "dead_end") for problem in graph.check())
        endless = runs_for_ever(edges)
        assert reported or not endless, (number, {s: [(t, str(c)) for t, c in w] for s, w in edges.items()})
        counts[endless, reported] += 1
    assert counts[False, False] > 300
    assert counts[False, True] < counts[True, True], counts  # some end for a reason that is not checked
