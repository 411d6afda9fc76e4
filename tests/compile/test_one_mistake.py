"""One mistake is one problem, with the place to repair; several are all reported at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel

from graphengine import END, FAIL, START, Agent, Graph, choose, ended_with, iterations, value
from graphengine.reducers import append


class State(BaseModel):
    """Fields of several kinds."""

    x: int = 0
    y: int = 0
    text: str = ""
    kind: Literal["long", "short"] = "short"
    items: list[str] = []
    log: Annotated[list[str], append] = []


def work() -> Any:
    """Never called."""
    raise AssertionError


def graph_of(nodes: str, *edges: tuple[Any, ...], **writes: str) -> Graph[State]:
    """Return a graph of `(node, …, node)` paths and `(source, [targets], join)` forks."""
    graph = Graph("g", State)
    for name in nodes.split():
        graph.add_node(name, work, writes=writes.get(name, ()))
    for source, *rest in edges:
        if isinstance(rest[0], list):
            graph.add_fork(source, rest[0], join=rest[1])
        else:
            graph.add_path(source, *rest)
    return graph


def path(runnable: Any, **options: Any) -> Graph[State]:
    """Return a graph of one node."""
    graph = Graph("g", State)
    graph.add_node("a", runnable, **options)
    graph.add_path(START, "a", END)
    return graph


def switched(on: str = "kind", *, otherwise: str | None = None, **cases: str) -> Graph[State]:
    """Return a graph with a switch between two nodes."""
    graph = graph_of("a b c", (START, "a"), ("b", END), ("c", END))
    graph.add_switch("a", on, cases or {"long": "b", "short": "c"}, otherwise)
    return graph


def guarded(condition: Any) -> Graph[State]:
    """Return a loop that a condition ends."""
    graph = graph_of("a b", (START, "a"), ("b", "a"))
    graph.add_edge("a", END, when=condition)
    graph.add_edge("a", "b")
    return graph


def asking(label: str, condition: Any = None) -> Graph[State]:
    """Return a graph with a condition on how an inner graph ended; the inner graph's condition can be wrong."""
    inner = Graph("inner", State, result="x")
    inner.add_node("n", work, writes="x")
    inner.add_path(START, "n")
    inner.add_edge("n", END, when=value("x") > 1 if condition is None else condition, label="good")
    inner.add_edge("n", END, label="bad")
    graph = Graph("g", State)
    graph.add_node("first", inner, writes="x")
    graph.add_node("second", inner, writes="y")
    graph.add_path(START, "first")
    graph.add_edge("first", "second", when=ended_with(label))
    graph.add_edge("first", END)
    graph.add_edge("second", END)
    return graph


def missing_node() -> Graph[State]:
    """Return a graph whose edges and condition name a forgotten node."""
    graph = graph_of("a c", (START, "a", "review"), ("review", "c"))
    graph.add_edge("c", END, when=iterations("review") > 2)
    graph.add_edge("c", "review")
    return graph


def odd_option() -> Graph[State]:
    """Return a graph with an invalid option on a node whose edges refer to its inner graph."""
    graph = asking("good")
    graph.nodes.clear()
    graph.add_node("first", Agent("w", prompt="{text}"), writes="x", retry=3)  # type: ignore[arg-type]
    graph.add_node("second", work, writes="x")
    return graph


FORK = (START, ["one", "two", "three"], "join")
NODES = "one two three join"

CASES: dict[str, tuple[Callable[[], Graph[State]], str, str, str]] = {
    "edge to a misspelt node": (
        lambda: graph_of("write judge send", (START, "write", "jugde"), ("judge", "send", END)),
        "unknown_node", "edge from write", "did you mean 'judge'?",
    ),
    "edge from a misspelt node": (
        lambda: graph_of("write judge send", (START, "write", "judge"), ("jugde", "send", END)),
        "unknown_node", "edge from jugde", "did you mean 'judge'?",
    ),
    "a node declared under a misspelt name": (
        lambda: graph_of("write jugde send", (START, "write", "judge", "send", END)),
        "unknown_node", "edge from write", "did you mean 'jugde'?",
    ),
    "a forgotten node": (missing_node, "unknown_node", "edge from a", "(also: edge from review at line "),
    "edge to nothing like a node": (
        lambda: graph_of("write judge", (START, "write", "zzz"), ("judge", END)),
        "unknown_node", "edge from write", "known: ",
    ),
    "edge from nothing like a node": (
        lambda: graph_of("write judge", (START, "write"), ("zzz", "judge", END)),
        "unknown_node", "edge from zzz", "known: ",
    ),
    "misspelt first node": (
        lambda: graph_of("write judge", (START, "wriet"), ("write", "judge", END)),
        "unknown_node", "edge from START", "did you mean 'write'?",
    ),
    "no edge from START": (lambda: graph_of("a b c", ("a", "b", "c", END)), "no_start", "START", "add_edge(START"),
    "no edge to END": (lambda: graph_of("a b c", (START, "a", "b", "c")), "dead_end", "node c", "add_edge('c', END)"),
    "a loop without an end": (
        lambda: graph_of("a b c", (START, "a", "b", "c", "a")), "dead_end", "node a", "leaves the loop",
    ),
    "an edge left out": (
        lambda: graph_of("a b c d", (START, "a", "b"), ("c", "d", END)),
        "dead_end", "node b", "add_edge('b', 'c')",
    ),
    "nodes that nothing leads to": (
        lambda: graph_of("a b c", (START, "a", END), ("b", "c", END)), "unreachable", "node b", "'b'",
    ),
    "a node without any edge": (
        lambda: graph_of("a b", (START, "a", END)), "unreachable", "node b", "no outgoing edge",
    ),
    "a node called END": (lambda: graph_of("a END", (START, "a", END)), "bad_name", "node END", "identifier"),
    "an arm without an edge": (
        lambda: graph_of(NODES, FORK, ("one", "join", END), ("two", "join")),
        "dead_end", "node three", "add_edge('three', 'join')",
    ),
    "a longer arm without its last edge": (
        lambda: graph_of(f"{NODES} more", FORK, ("one", "join", END), ("two", "join"), ("three", "more")),
        "dead_end", "node more", "add_edge('more', 'join')",
    ),
    "a longer arm without an edge amid it": (
        lambda: graph_of(f"{NODES} more", FORK, ("one", "join", END), ("two", "join"), ("more", "join")),
        "dead_end", "node three", "add_edge('three', 'more')",
    ),
    "an arm that passes the join": (
        lambda: graph_of(f"{NODES} last", FORK, ("one", "join", "last", END), ("two", "join"), ("three", "last")),
        "leaves_arm", "fork at START", "three leads to last",
    ),
    "an arm that may pass the join of an inner fork": (
        lambda: graph_of(
            f"{NODES} a b met", FORK, ("one", ["a", "b"], "met"), ("a", "met", "join", END), ("b", "join"),
            ("two", "join"), ("three", "join"),
        ),
        "leaves_arm", "fork at one", "lead it to the join met",
    ),
    "an inner arm that ends": (
        lambda: graph_of(
            f"{NODES} a b met", FORK, ("one", ["a", "b"], "met"), ("a", "met", "join", END), ("b", END),
            ("two", "join"), ("three", "join"),
        ),
        "end_in_arm", "fork at one", "lead it to the join met",
    ),
    "an arm to a misspelt node": (
        lambda: graph_of(NODES, (START, ["one", "two", "thre"], "join"), ("one", "join", END), ("two", "join"),
                         ("three", "join")),
        "unknown_node", "edge from START", "did you mean 'three'?",
    ),
    "a misspelt join": (
        lambda: graph_of(NODES, (START, ["one", "two", "three"], "jion"), ("one", "join", END), ("two", "join"),
                         ("three", "join")),
        "unknown_node", "edge from START", "did you mean 'join'?",
    ),
    "arms that meet before the join": (
        lambda: graph_of(f"{NODES} met last", FORK, ("one", "met", "last", "join", END), ("two", "met"),
                         ("three", "met")),
        "shared_arm", "fork at START", "met belongs to the arms to one and to two and to three",
    ),
    "another node than the join": (
        lambda: graph_of(f"{NODES} met", FORK, ("one", "met", END), ("two", "met"), ("three", "met"), ("join", END)),
        "shared_arm", "fork at START", "make met the join",
    ),
    "an arm back to the fork": (
        lambda: graph_of("p a b join", (START, "p"), ("p", ["a", "b"], "join"), ("a", "p"), ("b", "join", END)),
        "bad_fork", "fork at p", "lead it to join",
    ),
    "an arm to FAIL": (
        lambda: graph_of("p a join", (START, "p"), ("p", ["a", FAIL], "join"), ("a", "join", END)),
        "bad_fork", "edge from p", "add an edge to FAIL",
    ),
    "arms that write one field": (
        lambda: graph_of(NODES, FORK, ("one", "join", END), ("two", "join"), ("three", "join"), one="x", two="x",
                         three="x"),
        "write_conflict", "fork at START", "one, two and three, in different arms, all write x",
    ),
    "a field that is not there": (
        lambda: graph_of("a b c", (START, "a", "b", "c", END), a="z", b="z", c="z"),
        "unknown_field", "node a", "(also: node b at line ",
    ),
    "a misspelt field in a condition": (lambda: guarded(value("scor") > 1), "unknown_field", "edge from a", "scor"),
    "a misspelt node in a cap": (lambda: guarded(iterations("aa") > 1), "unknown_node", "edge from a", "mean 'a'?"),
    "a text in a cap": (lambda: guarded(value("text") > 1), "wrong_comparison", "edge from a", "type"),
    "a switch on a misspelt field": (lambda: switched("kidn"), "unknown_field", "edge from a", "mean 'kind'?"),
    "a misspelt case": (lambda: switched(long="b", shrot="c"), "unknown_case", "edge from a", "mean 'short'?"),
    "a case left out": (lambda: switched(long="b", short="b"), "unreachable", "node c", "'c'"),
    "a value without a case": (
        lambda: switched("kind", long="b", other="c"), "unknown_case", "edge from a", "known: long, short",
    ),
    "a switch to a misspelt node": (
        lambda: switched(long="b", short="cc"), "unknown_node", "edge from a", "mean 'c'?",
    ),
    "each of a misspelt field": (
        lambda: path(lambda item: item, each={"item": "itms"}, writes="items"), "unknown_field", "node a, each item",
        "mean 'items'?",
    ),
    "a misspelt item": (
        lambda: path(lambda itm: itm, each={"item": "items"}, writes="items"), "unknown_parameter", "node a",
        "mean 'item'?",
    ),
    "a misspelt input": (
        lambda: path(lambda title: title, inputs={"titel": "text"}, writes="text"), "unknown_input", "node a",
        "mean 'title'?",
    ),
    "an input of a misspelt prompt": (
        lambda: path(Agent("w", prompt="{titel}"), inputs={"title": "text"}, writes="text"), "unknown_input", "node a",
        "mean 'titel'?",
    ),
    "choice on a misspelt field": (
        lambda: path(choose("kidn", {"long": work}), writes="x"), "unknown_field", "node a", "mean 'kind'?",
    ),
    "a parameter of all cases": (
        lambda: path(choose("kind", {"long": lambda txt: txt, "short": lambda txt: txt}), writes="text"),
        "unknown_parameter", "node a, choice 'long'", "(also: node a, choice 'short' at line ",
    ),
    "a mistake in a graph that is two nodes": (
        lambda: asking("good", value("z") > 1), "unknown_field", "node first: edge from n", "'z'",
    ),
    "a misspelt end": (lambda: asking("god"), "unknown_label", "edge from first", "mean 'good'?"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "code", "where", "text"), CASES.values(), ids=CASES)
def test_one_mistake_is_one_problem(make: Callable[[], Graph[State]], code: str, where: str, text: str) -> None:
    """It is reported at the place to repair, without problems that the same repair removes."""
    (problem,) = make().check()
    assert (problem.code, problem.where) == (code, where), problem
    assert text in problem.message + problem.repair


def test_several_mistakes_are_all_reported_at_once() -> None:
    """Several mistakes at unrelated places are all reported, even if an earlier check failed."""
    graph = graph_of(
        f"{NODES} last alone",
        FORK,
        ("one", "join", "lats"),
        ("two", "join"),
        ("last", END),
        ("alone", "last"),
        one="x",
        two="x",
    )
    graph.add_node("odd", work, retry=3)  # type: ignore[arg-type]
    graph.add_edge("odd", END, when=value("zz") > 1)
    graph.add_edge("odd", "odd", when=value("x") > 1)
    graph.add_edge("odd", END)
    graph.add_edge("last", "odd", when=value("x") > 1)
    found = {(problem.code, problem.where) for problem in graph.check()}
    assert found == {
        ("bad_option", "node odd"),
        ("unknown_node", "edge from join"),
        ("unknown_field", "edge from odd"),
        ("dead_end", "node three"),
        ("unreachable", "node alone"),
        ("write_conflict", "fork at START"),
        ("otherwise_not_last", "node last"),
    }
