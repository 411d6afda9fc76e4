"""Rules of `require`: proved, broken by a path that is shown as a test, or not decided; and watched in runs."""

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, RunFailed, failed, value
from graphengine.testing import walk


class Post(BaseModel):
    """What is written, judged and published."""

    topic: str
    score: int = 0
    kind: Literal["short", "long", "none"] = "short"
    done: bool = False


def desk(*rules: tuple[str, Mapping[str, Any]]) -> Graph[Post]:
    """Return a graph with nodes and rules, without edges."""
    graph = Graph("desk", Post)
    graph.add_node("write", lambda score: score, writes="score")
    graph.add_node("approve", lambda: True, writes="done")
    graph.add_node("publish", lambda score: score, writes="score")
    for node, rule in rules:
        graph.require(node, **rule)
    return graph


BEFORE: Any = ("approve", {"before": "publish"})


@pytest.mark.parametrize("wrong", ["failure", "score", "kind", "fallback", "fork"])
def test_a_broken_rule_is_shown_as_a_test(wrong: str) -> None:
    """An error has the stand-ins of a path, and a walk with them is refused where the rule is broken."""
    graph = desk(BEFORE)
    graph.add_edge(START, "write")
    if wrong == "fork":
        graph.add_fork("write", ["approve", "publish"], join=END)
        graph.add_edge("approve", END)
    else:
        if wrong == "score":
            graph.add_edge("write", "publish", when=value("score") > 6)
        if wrong == "kind":
            graph.add_switch("write", "kind", {"short": "approve", "long": "approve", "none": "publish"})
        if wrong == "failure":
            graph.add_edge("approve", "publish", when=failed(ValueError))
        if wrong == "fallback":
            graph.nodes[1] = _with_fallback()
        if wrong != "kind":
            graph.add_edge("write", "approve")
        graph.add_edge("approve", "publish")
    graph.add_edge("publish", END)
    run_shown(graph)


def run_shown(graph: Graph[Any], rule: str = "approve before publish") -> str:
    """Run the test that the only error shows, and return its text."""
    (problem,) = [problem for problem in graph.check() if not problem.warning]
    assert (problem.code, problem.where) == ("rule_broken", f"require {rule}")
    assert problem.line is not None
    text = problem.message.partition(":\n")[2]
    names: dict[str, Any] = {"walk": walk, "graph": graph}
    exec(compile(text, "shown", "exec"), names)  # noqa: S102 - our own text
    asyncio.run(names[f"test_{'_'.join(rule.split())}"]())
    return text


def _with_fallback() -> Any:
    graph = Graph("other", Post)
    graph.add_node("approve", lambda: True, writes="done", fallback=False)
    return graph.nodes[0]


def test_a_function_leaves_it_undecided_and_the_run_is_watched() -> None:
    """It is a warning with the function's name; the run that would break the rule fails before the node."""
    published: list[int] = []
    graph = desk(BEFORE)
    graph.nodes.pop()

    def publish(score: int) -> None:
        published.append(score)

    graph.add_node(publish)

    def hasty(score: int) -> bool:
        return score == 0

    graph.add_edge(START, "write")
    graph.add_edge("write", "publish", when=hasty)
    graph.add_path("write", "approve", "publish", END)
    (problem,) = [problem for problem in graph.check() if problem.code == "rule_not_decided"]
    assert problem.warning
    assert "hasty" in problem.message
    with pytest.raises(RunFailed) as raised:
        graph.run_sync({"topic": "tides"})
    error = raised.value.result.error
    assert error is not None
    assert (error.kind, error.path, published) == ("rule_broken", "write", [])


def test_what_an_arm_needs_to_begin_is_in_its_test() -> None:
    """An arm with a condition begins in the walk: the state, or what a node before the fork wrote, makes it hold."""
    graph = desk(BEFORE)
    graph.add_node("tell", lambda: "long", writes="kind")
    graph.add_edge(START, "write")
    graph.add_fork("write", [("publish", value("score") > 6), "tell"], join="approve")
    for arm in ("publish", "tell"):
        graph.add_edge(arm, "approve")
    graph.add_edge("approve", END)
    broken = run_shown(graph)
    assert "'write': [{'score':" in broken
    graph = desk(BEFORE)
    graph.add_fork(START, [("publish", value("score") > 6), "approve"], join="write")
    for arm in ("publish", "approve"):
        graph.add_edge(arm, "write")
    graph.add_edge("write", END)
    assert "{'score': 7" in run_shown(graph)


def test_an_arm_does_not_decide_what_another_one_tests() -> None:
    """A test in one arm is of what was written before the fork, though another arm writes the field too."""
    graph = Graph("desk", Post)
    for name, field in (
        ("write", "score"),
        ("lower", "score"),
        ("look", "kind"),
        ("publish", "topic"),
        ("approve", "done"),
    ):
        graph.add_node(name, lambda score: score, writes=field)
    graph.require("approve", after="publish")
    graph.add_edge(START, "write")
    graph.add_fork("write", ["lower", "look"], join="end")
    graph.add_node("end")
    graph.add_edge("look", "publish", when=value("score") > 6)
    for arm in ("look", "publish", "lower"):
        graph.add_edge(arm, "end")
    graph.add_edge("end", "approve", when=value("topic") == "tides")
    graph.add_edge("end", END)
    graph.add_edge("approve", END)
    assert "'write': [{'score': 7" in run_shown(graph, "approve after publish")
