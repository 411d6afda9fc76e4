"""Loops that nothing ends are reported: every graph by brute force. Single cases are in `loops.txt`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product
from random import Random

from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Condition,
    Graph,
    iterations,
    value,
)
from graphengine.graph.conditions import Comparison, Composed, Fact, Negated


class State(BaseModel):
    """A score that a loop may or may not reach."""

    score: int = 0


UNCERTAIN = value("score") >= 7
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
