"""What random nests hardly meet: labels that are asked for later, limits inside limits, the eleventh item."""

from typing import Annotated

import pytest
from pydantic import BaseModel

from graphengine import END, START, Failure, Graph, Limits, Retry, elapsed_seconds, ended, failed
from graphengine.engine.events import LimitMet, NodeEntered, Settled
from graphengine.engine.ready import ready
from graphengine.engine.snapshot import Task
from graphengine.engine.steps import Step
from graphengine.reducers import append
from tests.kit.facts import said
from tests.kit.session import Session


class Inner(BaseModel):
    """Of the graph inside."""

    n: int = 0


class Outer(BaseModel):
    """Of the graph around it."""

    n: int = 0
    wanted: list[int] = []
    errors: Annotated[list[Failure], append] = []


def work() -> int:
    """Never called."""
    raise AssertionError


def inside(*, steps: int = 1000, visits: int = 1, label: str = "good") -> Graph[Inner]:
    """A graph of so many nodes in a row."""
    graph = Graph("inside", Inner, result="n", limits=Limits(steps=steps))
    names = [f"a{i}" for i in range(visits)]
    for name in names:
        graph.add_node(name, work, writes="n")
    graph.add_path(START, *names)
    graph.add_edge(names[-1], END, label=label)
    return graph


def go(session: Session) -> Step:
    """Do the first thing that is ready; a node returns 1."""
    task = session.tasks()[0]
    session.now = max(session.now, task.due)
    if task.mode == "limit":
        return session.send(LimitMet(task.frame, session.now))
    if task.mode in ("join", "collect", "exit"):
        return session.send(Settled(task.frame, session.now))
    if task.mode == "leave":
        return session.leave(task.frame)
    if is_outer(session, task):
        return session.send(NodeEntered(task.frame, task.node, task.visit, task.attempt, session.now))
    return session.finish(1, of=task.frame or task.node)


def is_outer(session: Session, task: Task) -> bool:
    """Whether a task is to enter a graph or a map."""
    frame = session.snapshot.frames[task.frame]
    return task.mode == "run" and not task.node.startswith("a") and frame.kind != "item"


def asked_for_a_label(*, mended: bool) -> Graph[Outer]:
    """A way that asks for a label stands behind a function that raises until it is mended."""

    def broken(n: int) -> bool:
        if not mended:
            raise ValueError(n)
        return False

    graph = Graph("outer", Outer, errors="errors")
    graph.add_node("sub", inside(), writes="n", fallback=5)
    graph.add_node("other")
    graph.add_edge(START, "sub")
    graph.add_edge("sub", END, when=broken, label="broken")
    graph.add_edge("sub", "other", when=ended("good"))
    graph.add_edge("sub", END, label="otherwise")
    graph.add_edge("other", "sub")
    return graph


def test_a_label_is_known_when_the_way_is_chosen_later() -> None:
    """A way out that is chosen on a resume may still ask what label its graph stopped with."""
    session = Session(asked_for_a_label(mended=False))
    session.start()
    while session.snapshot.status == "running":
        go(session)
    assert session.log[-1].node == "sub"
    session.resume(graph=asked_for_a_label(mended=True))
    assert said(go(session))["to"] == ["other"]


def test_a_label_is_that_of_this_visit() -> None:
    """Where a fallback stands in for a graph, nothing is left of the label of its visit before."""
    session = Session(asked_for_a_label(mended=False))
    session.start()
    while session.snapshot.status == "running":
        go(session)
    session.resume(graph=asked_for_a_label(mended=True))
    go(session)
    session.finish(None)
    go(session)
    session.graph = asked_for_a_label(mended=False)
    session.fail(ValueError("no"), of="sub/")
    assert said(go(session))["fallback"]
    assert session.snapshot.status == "failed"
    session.resume(graph=asked_for_a_label(mended=True))
    assert said(go(session))["edge"] == "otherwise"


@pytest.mark.parametrize(("inner", "outer", "first"), [(2, 3, "sub/sub/"), (9, 2, "sub/")])
def test_a_visit_counts_in_every_graph_around_it(inner: int, outer: int, first: str) -> None:
    """Limits of graphs in graphs are each held against all that is in them."""
    middle = Graph("middle", Inner, limits=Limits(steps=outer))
    middle.add_node("sub", inside(steps=inner, visits=5), writes="n")
    middle.add_path(START, "sub", END)
    graph = Graph("outer", Outer)
    graph.add_node("sub", middle, writes={"n": "n"})
    graph.add_path(START, "sub", END)
    session = Session(graph)
    session.start()
    while session.tasks()[0].mode != "limit":
        go(session)
    assert [task.frame for task in session.tasks()] == [first]


def test_time_in_a_graph_begins_with_its_visit() -> None:
    """What was driven before a graph was entered is not of its time, in its arms neither; all is of the run's."""
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


def test_a_limit_says_at_which_attempt_it_was_met() -> None:
    """A graph that is begun again and meets its limit then says so."""
    graph = Graph("outer", Outer, errors="errors")
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
    assert [(e["path"], e["kind"], e["attempt"]) for e in session.snapshot.root.values["errors"]] == [
        ("sub", "limit", 2)
    ]


def test_the_first_failure_is_that_of_the_lowest_number() -> None:
    """Of items 2 and 10 that failed, 2 is the first."""
    graph = Graph("outer", Outer)
    graph.add_node("sub", work, each={"n_": "wanted"}, writes="wanted", concurrency=20)
    graph.add_path(START, "sub", END)
    session = Session(graph)
    session.start({"wanted": list(range(12))})
    go(session)
    for task in ready(session.snapshot):
        if task.frame in ("sub[10]", "sub[2]"):
            session.fail(ValueError(task.frame), of=task.frame)
        else:
            session.finish(1, of=task.frame)
    assert said(go(session))["error"]["path"] == "sub[2]"
