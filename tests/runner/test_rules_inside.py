"""A rule of `require` about a node inside another graph: `publish` does not begin there before `approve` around it."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, RunFailed, Runner, value
from graphengine.errors import CompileError, DefinitionError
from graphengine.graph.definition import Edge
from tests.kit.runs import failing

published: list[str] = []
broken: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    published.clear()
    broken.clear()


class Post(BaseModel):
    """What is approved and published."""

    items: list[int] = [1, 2]
    hasty: bool = True
    approved: bool = False


def publish() -> None:
    """Publish."""
    published.append("post")


def write() -> None:
    """Write, or fail once if a test wants it."""
    if broken:
        raise ValueError(broken.pop())


def article(shape: str) -> Graph[Post]:
    """Return a graph that publishes: at once, after a node, in an arm, at a join, or in a graph inside it."""
    graph = Graph("article", Post)
    if shape == "deeper":
        graph.add_node("article", article("node"), inputs={}, writes={})
        graph.add_path(START, "article", END)
        return graph
    graph.add_node(publish, writes={})
    if shape != "start":
        graph.add_node(write, writes={})
    if shape in ("arm", "join"):
        graph.add_node("look", lambda: None, writes={})
    if shape == "start":
        graph.add_edge(START, "publish")
    elif shape == "node":
        graph.add_path(START, "write", "publish")
    elif shape == "arm":
        graph.add_edge(START, "write")
        graph.add_fork("write", ["publish", "look"], join=END)
        graph.add_edge("look", END)
    else:
        graph.add_fork(START, ["write", "look"], join="publish")
        graph.add_edge("write", "publish")
        graph.add_edge("look", "publish")
    graph.add_edge("publish", END)
    return graph


def desk(shape: str, place: str = "node") -> Graph[Post]:
    """Return a graph that approves, unless it is hasty, and then has the article: as a node, a map, or in an arm."""
    graph = Graph("desk", Post)
    graph.add_node("judge", lambda: None, writes={})
    graph.add_node("approve", lambda: True, writes="approved")
    each: Any = {"item": "items"} if place == "map" else None
    graph.add_node("article", article(shape), inputs={}, writes={}, each=each)
    graph.add_node("begin")
    graph.add_edge(START, "judge")
    graph.add_edge("judge", "begin", when=value("hasty").is_true())
    graph.add_path("judge", "approve", "begin")
    if place == "arm":
        graph.add_node("aside", lambda: None, writes={})
        graph.add_fork("begin", ["aside", "article"], join=END)
        graph.add_edge("aside", END)
    else:
        graph.add_edge("begin", "article")
    graph.add_edge("article", END)
    graph.require("approve", before="article/article/publish" if shape == "deeper" else "article/publish")
    return graph


@pytest.mark.parametrize("place", ["node", "map", "arm"])
@pytest.mark.parametrize("shape", ["start", "node", "arm", "join", "deeper"])
async def test_a_node_inside_does_not_begin_before_what_is_required_around_it(shape: str, place: str) -> None:
    """The run that approves publishes, the hasty one fails with the rule, and nothing is published."""
    graph = desk(shape, place)
    result = await graph.run({"hasty": False})
    assert (result.status, len(published)) == ("finished", 2 if place == "map" else 1)
    published.clear()
    broken = await failing(graph.run({"hasty": True}))
    assert "approve before publish" in str(broken.error)
    assert published == []


async def test_it_holds_after_resumes_and_in_branches(tmp_path: Path) -> None:
    """What was approved before a failure is known to the process that resumes; a branch that did not approve fails."""
    graph = desk("node")
    broken.append("once")
    async with Runner(tmp_path / "runs.db") as runner:
        with pytest.raises(RunFailed):
            await runner.start(graph, {"hasty": False}, run_id="good").result()
        with pytest.raises(RunFailed):
            await runner.start(graph, {"hasty": True}, run_id="hasty").result()
    async with Runner(tmp_path / "runs.db") as runner:
        assert (await runner.resume("good", graph).result()).status == "finished"
        assert published == ["post"]
        for again in (runner.resume("hasty", graph), runner.branch("good", graph, 1, update={"hasty": True})):
            with pytest.raises(RunFailed, match="approve before publish"):
                await again.result()
    assert published == ["post"]


@pytest.mark.parametrize("place", ["node", "map", "arm"])
def test_the_graph_that_states_it_is_checked(place: str) -> None:
    """It is proved where no path comes to the graph without approval, and else not decided."""
    graph = desk("deeper", place)
    (problem,) = (problem for problem in graph.check() if problem.code.startswith("rule"))
    assert (problem.code, problem.warning) == ("rule_not_decided", True)
    assert "whether article comes to article/publish" in problem.message
    graph.edges = [edge for edge in graph.edges if getattr(edge, "condition", None) is None]
    assert not [problem for problem in graph.check() if problem.code.startswith("rule")]


def test_only_the_rules_of_a_position_are_handed_down() -> None:
    """The same graph is at two nodes, and the rule is about one of them."""
    inner = article("node")
    graph = Graph("desk", Post)
    graph.add_node("approve", lambda: True, writes="approved")
    graph.add_node("draft", inner, inputs={}, writes={})
    graph.add_node("article", inner, inputs={}, writes={})
    graph.add_path(START, "draft", "approve", "article", END)
    graph.require("approve", before="article/publish")
    assert graph.check() == []
    assert (graph.run_sync().status, published) == ("finished", ["post", "post"])


def test_what_a_graph_must_have_done_when_it_ends_is_its_own_rule() -> None:
    """`before=END` is proved, or broken; with it, naming the graph's node outside is enough."""
    graph = article("node")
    graph.require("write", before=END)
    assert graph.check() == []
    graph.edges[1:1] = [Edge("write", END, value("hasty").is_true(), "")]
    graph.require("publish", before=END)
    assert "rule_broken" in {problem.code for problem in graph.check()}


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (("article/publish", {"before": "approve"}), r"in the graph at article require\('publish', before=END\)"),
        (("article/publish", {"at_most": 1}), "does not see publish inside article"),
        (("approve", {"after": "article/publish"}), "does not see publish inside article"),
    ],
)
def test_a_rule_that_looks_inside_is_refused(rule: tuple[str, Any], says: str) -> None:
    """With what to write in its place."""
    with pytest.raises(DefinitionError, match=says):
        desk("node").require(rule[0], **rule[1])


@pytest.mark.parametrize("path", ["article/publsh", "judge/publish", "artcle/publish", "article/article/publish"])
def test_a_path_that_leads_nowhere_is_named(path: str) -> None:
    """It is an unknown node."""
    graph = desk("node")
    graph.require("approve", before=path)
    with pytest.raises(CompileError, match="unknown node"):
        graph.compile()
