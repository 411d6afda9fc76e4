"""Cases that random programs hardly reach: labels that are read later, limits inside limits, the eleventh item."""

from typing import Annotated

import pytest
from pydantic import BaseModel

from graphengine import END, START, Failure, Graph, Limits, Retry, elapsed_seconds, ended_with, failed
from graphengine.engine.events import LimitMet, NodeEntered, Settled
from graphengine.engine.ready import ready
from graphengine.engine.snapshot import Task
from graphengine.engine.steps import Step
from graphengine.reducers import append
from graphengine.state.encoded import opened
from tests.kit.facts import said
from tests.kit.runs import alone
from tests.kit.session import Session


class Inner(BaseModel):
    """The state of the graph inside."""

    n: int = 0


class Outer(BaseModel):
    """The state of the graph around it."""

    n: int = 0
    wanted: list[int] = []
    errors: Annotated[list[Failure], append] = []


def work() -> int:
    """Fail: the tests never call it."""
    raise AssertionError


def inside(*, steps: int = 1000, visits: int = 1, label: str = "good") -> Graph[Inner]:
    """Return a graph with this many nodes in a row."""
    graph = Graph("inside", Inner, result="n", limits=Limits(visits=steps))
    names = [f"a{i}" for i in range(visits)]
    for name in names:
        graph.add_node(name, work, writes="n")
    graph.add_path(START, *names)
    graph.add_edge(names[-1], END, label=label)
    return graph


def go(session: Session) -> Step:
    """Do the first task that is ready; a node returns 1."""
    task = session.tasks()[0]
    session.now = max(session.now, task.due)
    if task.mode == "limit":
        return session.send(LimitMet(task.frame, session.now))
    if task.mode in ("join", "collect", "exit"):
        return session.send(Settled(task.frame, session.now))
    if task.mode == "leave":
        return session.leave(task.frame)
    if is_outer(session, task):
        return session.send(NodeEntered(task, session.now))
    return session.finish(1, of=task.frame or task.node)


def is_outer(session: Session, task: Task) -> bool:
    """Return whether a task enters a graph or a map."""
    frame = session.snapshot.frames[task.frame]
    return task.mode == "run" and not task.node.startswith("a") and frame.kind != "item"


def graph_with_a_label(*, repaired: bool) -> Graph[Outer]:
    """Return a graph with an edge for a label after one whose function raises until it is repaired."""

    def broken(n: int) -> bool:
        if not repaired:
            raise ValueError(n)
        return False

    graph = Graph("outer", Outer, collect_errors="errors")
    graph.add_node("sub", inside(), writes="n", fallback=5)
    graph.add_node("other")
    graph.add_edge(START, "sub")
    graph.add_edge("sub", END, when=broken, label="broken")
    graph.add_edge("sub", "other", when=ended_with("good"))
    graph.add_edge("sub", END, label="otherwise")
    graph.add_edge("other", "sub")
    return graph


def test_a_label_is_known_when_the_edge_is_chosen_later() -> None:
    """An edge that is chosen on a resume can still test the label its graph stopped with."""
    session = Session(graph_with_a_label(repaired=False))
    session.start()
    while session.snapshot.status == "running":
        go(session)
    assert session.log[-1].node == "sub"
    session.resume(graph=graph_with_a_label(repaired=True))
    assert said(go(session))["to"] == ["other"]


def test_a_label_is_that_of_this_visit() -> None:
    """If a fallback replaces the result of a graph, the label of its previous visit is gone."""
    session = Session(graph_with_a_label(repaired=False))
    session.start()
    while session.snapshot.status == "running":
        go(session)
    session.resume(graph=graph_with_a_label(repaired=True))
    go(session)
    session.finish(None)
    go(session)
    session.graph = graph_with_a_label(repaired=False)
    session.fail(ValueError("no"), of="sub/")
    assert said(go(session))["fallback"]
    assert session.snapshot.status == "failed"
    session.resume(graph=graph_with_a_label(repaired=True))
    assert said(go(session))["edge"] == "otherwise"


@pytest.mark.parametrize(("inner", "outer", "first"), [(2, 3, "sub/sub/"), (9, 2, "sub/")])
def test_a_visit_counts_in_every_graph_around_it(inner: int, outer: int, first: str) -> None:
    """Each limit of nested graphs counts all visits inside its graph."""
    middle = alone(Inner, inside(steps=inner, visits=5), "n", name="middle", node="sub", limits=Limits(visits=outer))
    graph = alone(Outer, middle, {"n": "n"}, name="outer", node="sub")
    session = Session(graph)
    session.start()
    while session.tasks()[0].mode != "limit":
        go(session)
    assert [task.frame for task in session.tasks()] == [first]


def test_time_in_a_graph_begins_with_its_visit() -> None:
    """Time driven before a graph was entered does not count for it or its arms; all of it counts for the run."""
    graph = Graph("inside", Inner)
    graph.add_node("a0", work, writes="n")
    graph.add_fork(START, ["a0"], join=END)
    graph.add_edge("a0", END, when=elapsed_seconds() >= 5, label="late")
    graph.add_edge("a0", "a0")
    outer = Graph("outer", Outer)
    outer.add_node("a", work, writes="n")
    outer.add_node("sub", graph, writes={"n": "n"})
    outer.add_path(START, "a", "sub")
    outer.add_edge("sub", END, when=elapsed_seconds() >= 15, label="later")
    outer.add_edge("sub", END)
    session = Session(outer)
    session.start()
    session.finish(1, seconds=10)
    go(session)
    assert said(session.finish(1, of="sub/~a0", seconds=4))["to"] == ["a0"]
    assert said(session.finish(1, of="sub/~a0", seconds=1))["edge"] == "late"
    go(session)
    assert said(go(session))["edge"] == "later"


def test_a_limit_records_its_attempt() -> None:
    """A graph that is begun again and reaches its limit then reports the second attempt."""
    graph = Graph("outer", Outer, collect_errors="errors")
    graph.add_node("sub", inside(steps=1, visits=2), writes="n", retry=Retry(attempts=2, initial_seconds=0))
    graph.add_edge(START, "sub")
    graph.add_edge("sub", END, when=failed(Exception))
    graph.add_edge("sub", END)
    session = Session(graph)
    session.start()
    go(session)
    session.fail(ValueError("first"), of="sub/")
    while session.snapshot.status == "running":
        go(session)
    assert [(e["path"], e["kind"], e["attempt"]) for e in opened(session.snapshot.root.values["errors"])] == [
        ("sub", "limit", 2)
    ]


def test_the_first_failure_has_the_lowest_number() -> None:
    """If items 2 and 10 failed, item 2 is the first."""
    graph = alone(Outer, work, "wanted", name="outer", node="sub", each={"n_": "wanted"}, concurrency=20)
    session = Session(graph)
    session.start({"wanted": list(range(12))})
    go(session)
    for task in ready(session.snapshot):
        if task.frame in ("sub[10]", "sub[2]"):
            session.fail(ValueError(task.frame), of=task.frame)
        else:
            session.finish(1, of=task.frame)
    assert said(go(session))["error"]["path"] == "sub[2]"
