"""Forks that are not well formed are refused at compile time, with the nodes named; all others are accepted."""

from __future__ import annotations

import os
from random import Random
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, FAIL, START, CompileError, Graph, failed, value
from graphengine.checks.fork_regions import Fork, breaches
from graphengine.reducers import append
from tests.kit.well_formed import Shape, ill_formed, random_shape

FORKS = {"bad_fork", "shared_arm", "enters_arm", "leaves_arm", "end_in_arm"}
SCENES = int(os.environ.get("SCENES", "3000"))


class State(BaseModel):
    """Fields with and without a reducer."""

    x: int = 0
    y: int = 0
    slots: dict[str, int] = {}
    log: Annotated[list[int], append] = []


def work() -> Any:
    """Never called."""
    raise AssertionError


def graph_of(*edges: tuple[Any, ...], nodes: str = "p a b c d j", **writes: Any) -> Graph[State]:
    """Return a graph of `(source, target)` edges and `(source, [targets], join)` forks, with these nodes' writes."""
    graph = Graph("forks", State)
    for name in nodes.split():
        graph.add_node(name, work, writes=writes.get(name, ()))
    for source, target, *join in edges:
        if join:
            graph.add_fork(source, target, join=join[0])
        else:
            graph.add_edge(source, target)
    return graph


def problems(graph: Graph[State]) -> list[tuple[str, str, str]]:
    """Return the problems of its forks: code, place and message."""
    return [(p.code, p.where, p.message) for p in graph.check() if not p.warning]


PLAIN = ((START, "p"), ("p", ["a", "b"], "j"), ("a", "j"), ("b", "j"), ("j", END))


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ([(START, ["a", "b"], END), ("a", END), ("b", END)], "from START to END"),
        ([(START, ["a", "b"], "a"), ("b", "a"), ("a", END)], "a target that is the join itself"),
        ([(START, "p"), ("p", ["a", "b"], "p"), ("a", "p"), ("b", "p")], "its own node as the join"),
        ([*PLAIN[:-1], ("j", "p")], "a join that leads back to the fork"),
        ([(START, "j"), *PLAIN[1:-1], ("j", "p")], "a join that is a loop's head"),
        ([(START, ["a", "b"], "j"), ("a", ["c", "d"], "j"), ("b", "j"), ("c", "j"), ("d", "j"), ("j", END)], "nested"),
        (
            [(START, ["a", "b"], "j"), ("a", ["c", "d"], "a"), ("b", "j"), ("c", "a"), ("d", "a"), ("j", END)],
            "in loops",
        ),
        ([(START, ["a", "b"], END), ("a", ["c", "d"], END), ("b", END), ("c", END), ("d", END)], "all to END"),
        ([(START, ["a"], "j"), ("a", "b"), ("b", "c"), ("c", "j"), ("j", END)], "one arm"),
    ],
)
def test_well_formed_forks_are_accepted(edges: list[tuple[Any, ...]], expected: str) -> None:
    """They compile, ignoring loops without an end and unreached joins."""
    nodes: set[str] = set()
    for source, targets, *join in edges:
        nodes |= {source, *join, *([targets] if isinstance(targets, str) else targets)}
    graph = graph_of(*edges, nodes=" ".join(sorted(nodes - {START, END})))
    assert [p for p in problems(graph) if p[0] in FORKS] == [], expected


@pytest.mark.parametrize(
    ("edges", "code", "place", "named"),
    [
        ([*PLAIN[:2], ("a", "c"), ("b", "c"), ("c", "j"), PLAIN[-1]], "shared_arm", "p", "c belongs to the arms to"),
        ([*PLAIN[:3], ("b", "a"), PLAIN[-1]], "shared_arm", "p", "a belongs to the arms to a and to b"),
        ([(START, "p"), ("p", ["a", "p"], "j"), ("a", "j"), ("j", END)], "bad_fork", "p", "arm to p leads back"),
        ([*PLAIN[:2], ("a", "p"), *PLAIN[3:]], "bad_fork", "p", "the arm to a leads back to the fork"),
        ([*PLAIN[:3], ("b", END), PLAIN[-1]], "end_in_arm", "p", "b leads to END inside the arm to b"),
        ([*PLAIN[:4], ("j", "a")], "enters_arm", "p", "j enters a, which is inside the arm to a"),
        ([(START, ["p", "d"], "j"), *PLAIN[1:], ("d", "b")], "enters_arm", "p", "d enters b"),
        ([(START, "p"), ("p", ["a", "a"], "j"), ("a", "j"), ("j", END)], "bad_fork", "p", "two arms to a"),
        ([(START, "p"), ("p", [], "j"), ("j", END)], "bad_fork", "p", "no arms"),
        ([*PLAIN, (START, ["a"], "p")], "enters_arm", "p", "START enters a"),
        ([(START, ["a"], "j"), ("a", ["b", "c"], "d"), ("b", "j"), ("c", "d"), ("d", "j"), ("j", END)],
         "leaves_arm", "a", "b leads to j inside the arm to b, and j comes after the join d"),
        ([(START, "p"), ("p", ["a", "b"], FAIL), ("a", END), ("b", END)], "bad_fork", "p", "FAIL"),
        ([(START, "p"), ("p", ["a", "b"], START), ("a", END), ("b", END)], "bad_edge", "p", "START"),
        ([(START, "p"), ("p", ["a", "bb"], "j"), ("a", "j"), ("j", END)], "unknown_node", "p", "'bb'"),
        ([(START, "p"), ("p", ["a", "b"], "jj"), ("a", "j"), ("b", "j"), ("j", END)], "unknown_node", "p", "'jj'"),
    ],
)  # fmt: skip
def test_ill_formed_forks_are_refused_by_name(edges: list[tuple[Any, ...]], code: str, place: str, named: str) -> None:
    """The problem has the code, the fork's node, the nodes that break the rule, and a repair."""
    graph = graph_of(*edges)
    found = [p for p in graph.check() if p.code == code and p.where.endswith(f" {place}")]
    assert any(named in problem.message for problem in found), [str(p) for p in graph.check()]
    assert all(problem.repair for problem in found)
    with pytest.raises(CompileError, match=code):
        graph.compile()


def test_an_arms_first_node_is_entered_only_by_its_fork() -> None:
    """Neither another edge of the fork's node nor another fork of it can lead into an arm."""
    for number in range(2):
        graph = graph_of((START, "p"), nodes="p a b j")
        if number:
            graph.add_fork("p", ["a"], join="j", when=value("x") > 1)
        else:
            graph.add_edge("p", "a", when=value("x") > 1)
        for edge in PLAIN[1:]:
            add_edge_to(graph, edge)
        assert any(code == "enters_arm" and "p enters a" in text for code, _, text in problems(graph)), number


def add_edge_to(graph: Graph[State], edge: tuple[Any, ...]) -> None:
    """Add another edge."""
    source, target, *join = edge
    if join:
        graph.add_fork(source, target, join=join[0])
    else:
        graph.add_edge(source, target)


@pytest.mark.parametrize(
    ("first", "second", "place"),
    [
        ("x", "x", "x"),
        ("x", ("y", "x"), "x"),
        ({"x": "."}, "x", "x"),
        ("slots[k]", "slots[k]", "slots[k]"),
        ("slots[k]", "slots", "slots"),
        ("slots", "slots[k]", "slots"),
    ],
)
def test_two_arms_that_write_one_place_conflict(first: Any, second: Any, place: str) -> None:
    """Only one arm can write a field without a reducer, or one literal key of it; the message names both nodes."""
    graph = graph_of(*PLAIN, nodes="p a b j", a=first, b=second)
    found = [text for code, where, text in problems(graph) if code == "write_conflict" and where == "fork at p"]
    assert len(found) == 1
    assert "a and b" in found[0] or "b and a" in found[0]
    assert place in found[0]


@pytest.mark.parametrize(
    ("first", "second"), [("log", "log"), ("slots[k]", "slots[l]"), ("x", "y"), (("x", "log"), ("y", "log"))]
)
def test_arms_without_conflicts_are_accepted(first: Any, second: Any) -> None:
    """Fields with a reducer, different keys, different fields."""
    assert problems(graph_of(*PLAIN, nodes="p a b j", a=first, b=second)) == []


def test_conflicts_are_found_after_an_inner_fork() -> None:
    """A whole arm counts, including inner arms; nodes after the join do not."""
    edges = [
        (START, ["a", "b"], "j"),
        ("a", ["c", "d"], "p"),
        ("b", "j"),
        ("c", "p"),
        ("d", "p"),
        ("p", "j"),
        ("j", END),
    ]
    reported = problems(graph_of(*edges, d="x", b="x", j="x"))
    found = [
        (where, "d and b" in text or "b and d" in text) for code, where, text in reported if code == "write_conflict"
    ]
    assert found == [("fork at START", True)]


def test_one_arm_may_write_a_field_twice() -> None:
    """Nodes of one arm come one after the other."""
    edges = [*PLAIN[:2], ("a", "c"), ("c", "j"), *PLAIN[3:]]
    assert problems(graph_of(*edges, nodes="p a b c j", a="x", c="x")) == []


def test_a_node_that_two_arms_share_is_reported_once() -> None:
    """It is not reported as a conflict with itself too."""
    edges = [*PLAIN[:2], ("a", "c"), ("b", "c"), ("c", "j"), PLAIN[-1]]
    assert {code for code, _, _ in problems(graph_of(*edges, nodes="p a b c j", c="x"))} == {"shared_arm"}


def test_a_node_in_an_arm_declares_what_it_writes() -> None:
    """Without writes=, conflicts at the join would be unknown."""
    graph = graph_of(*PLAIN, nodes="p b j")
    graph.add_node("a", work)
    assert [(code, "a, in the arm to a" in text) for code, _, text in problems(graph)] == [("unknown_writes", True)]
    graph = graph_of(*PLAIN, nodes="p b j")
    graph.add_node("a")
    assert problems(graph) == []


@pytest.mark.parametrize("need", [0, -1, 3])
def test_need_is_a_number_of_arms(need: int) -> None:
    """`need` is a number from 1 to the number of targets."""
    graph = graph_of(PLAIN[0], *PLAIN[2:], nodes="p a b j")
    graph.add_fork("p", ["a", "b"], join="j", need=need)
    assert [(code, f"need={need} is out of range for 2 arms" in text) for code, _, text in problems(graph)] == [
        ("bad_fork", True)
    ]


def test_a_fork_starts_after_success() -> None:
    """A condition on a failure belongs to an edge."""
    arms: tuple[Any, ...] = (["a", "b"], failed(ValueError)), ([("a", failed(ValueError)), "b"], value("x") > 1)
    for targets, when in arms:
        graph = graph_of(PLAIN[0], *PLAIN[2:], ("p", "j"), nodes="p a b j")
        graph.edges.insert(0, graph.edges.pop())
        graph.add_fork("p", targets, join="j", when=when)
        assert "mixed_failure" in {code for code, _, _ in problems(graph)}


def test_conditions_of_arms_are_checked() -> None:
    """Unknown fields are reported there as elsewhere."""
    graph = graph_of(PLAIN[0], *PLAIN[2:], nodes="p a b j")
    graph.add_fork("p", [("a", value("z") > 1), "b"], join="j", when=value("w") > 1)
    assert sorted(text.split("'")[1] for code, _, text in problems(graph) if code == "unknown_field") == ["w", "z"]


def test_random_forks_are_accepted_exactly_if_they_are_well_formed() -> None:
    """A definition that tries every path agrees on thousands of random shapes, ill formed and well formed."""
    found = {True: 0, False: 0}
    for number in range(SCENES):
        shape = random_shape(Random(number))  # noqa: S311 - not security
        why = ill_formed(shape)
        found_breaches = list(breaches([Fork(f.source, f.targets, f.join) for f in shape.forks], shape.out))
        assert bool(found_breaches) == bool(why), (number, shape, why, found_breaches)
        found[bool(why)] += 1
        if number % 20 == 0 and all(fork.join in {*shape.nodes, END} for fork in shape.forks):
            assert compiled(shape) == {breach.code for breach in found_breaches}, (number, shape)
    assert min(found.values()) > SCENES // 20, found


def compiled(shape: Shape) -> set[str]:
    """Return the codes that compile reports for the forks of a shape."""
    graph = Graph("random", State)
    for name in shape.nodes:
        graph.add_node(name)
    for source, target in shape.edges:
        graph.add_edge(source, target, when=value("x") > 1)
    for fork in shape.forks:
        graph.add_fork(fork.source, fork.targets, join=fork.join, when=value("x") > 2)
    return {p.code for p in graph.check()} & FORKS
