"""Two runs side by side: what they share, where they diverge, and both pictures in one."""

import re

import pytest

from graphengine import END, START, Graph, Runner, value
from graphengine.render.charts import RenderError, comparison, pair_of
from tests.render.relatives import relatives
from tests.render.samples import read_xml
from tests.render.timed import Paper

SVG = "{http://www.w3.org/2000/svg}"


async def test_the_divergence_shows_each_runs_edge_and_why() -> None:
    """The chart shows the shared steps, the first edge that differs in each run, and the fields that differ."""
    async with relatives() as runner:
        chart = comparison(await pair_of(runner.store, "tides", "again"))
    assert chart.spoken[0] == "they share steps 1 to 13, and part: A at step 14, B at step 16"
    assert chart.spoken[1] == "A tides: waiting after 9 visits; 5 visits in 6.6 s since they parted"
    assert chart.spoken[2].endswith("since they parted; branched off with draft")
    edges = [words for words in chart.spoken if "step 14 " in words or "step 16 review " in words]
    assert any("A, step 14 review → write: history[-1].score 4.0 >= 7: no" in words for words in edges)
    assert any("B, step 16 review → approve [approved]: history[-1].score 9.0 >= 7: yes" in words for words in edges)
    assert {"A, history[0].score: 4.0", "B, history[0].score: 9.0"} <= {*chart.spoken}
    assert {"A, ok: none", "B, ok: true"} <= {*chart.spoken}


async def test_one_graph_shows_both_runs_with_the_divergence_marked() -> None:
    """Where they differ, it has the counts of both; the mark names each run's step."""
    async with relatives() as runner:
        root = read_xml(comparison(await pair_of(runner.store, "tides", "again")).svg().encode())
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert len(list(root.iter(f"{SVG}svg"))) == 2
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert "A parts at step 14" in words
    assert "B parts at step 16" in words
    assert words.count("A \N{MULTIPLICATION SIGN}3, B") == 3  # both nodes of the loop, and the edge between them
    assert "only A \N{MULTIPLICATION SIGN}2" in words
    assert "only B" in words
    assert {"A: waits: Publish it?", "B: 1 visit", "B: ended here"} <= {*words}
    assert sum(str(text).startswith("1. 2. 3.: edges are tried") for text in words) == 1  # one legend for both
    fills = {element.get("fill") for element in root.iter()}
    assert not any(str(fill).startswith(("#a-", "#b-")) for fill in fills)
    named = {each for svg in root.iter(f"{SVG}svg") for each in (svg.get("aria-labelledby") or "").split()}
    assert named <= set(ids)


async def test_a_run_that_ends_where_the_other_continues_has_no_step() -> None:
    """A branch that has not moved yet has no step to mark."""
    async with relatives() as runner:
        chart = comparison(await pair_of(runner.store, "mine", "again"))
    assert "they share steps 1 to 14, then went the same way for 1 step, and part: B at step 19" in chart.spoken
    assert "A, ends before" in chart.spoken


async def test_runs_with_the_same_path_do_not_diverge() -> None:
    """Two independent runs that did the same have no shared step and no difference."""
    graph = Graph("same", Paper)
    graph.add_node("write", lambda: "x", writes="draft", thread=False)
    graph.add_path(START, "write", END)
    async with Runner() as runner:
        for name in ("a", "b"):
            await runner.start(graph, Paper(), run_id=name).result()
        chart = comparison(await pair_of(runner.store, "a", "b"))
    assert chart.spoken[0] == "they share no step, but went the same way for 2 steps, and never part"
    assert "Their states are the same" in chart.spoken
    assert "part at" not in chart.svg()


async def test_long_paths_and_many_fields_are_truncated() -> None:
    """At most a dozen of each are listed; the rest is counted."""
    graph = Graph("long", Paper)
    graph.add_node("write", lambda draft: draft + "x", writes="draft", thread=False)
    graph.add_edge(START, "write")
    graph.add_edge("write", END, when=lambda draft: len(draft) > 40)
    graph.add_edge("write", "write")
    async with Runner() as runner:
        await runner.start(graph, Paper(draft="x" * 39), run_id="a").result()
        await runner.start(graph, Paper(topics=[str(n) for n in range(30)]), run_id="b").result()
        chart = comparison(await pair_of(runner.store, "a", "b"))
    assert "B: 28 more" in chart.spoken
    assert "B: 18 more" in chart.spoken


async def test_runs_of_different_graphs_are_refused() -> None:
    """Runs of different graphs are refused, and so is a run with itself; the error names the repair."""
    graph = Graph("other", Paper)
    graph.add_node("write", lambda: "x", writes="draft", thread=False)
    graph.add_path(START, "write", END)
    async with relatives() as runner:
        await runner.start(graph, Paper(), run_id="strange").result()
        with pytest.raises(RenderError, match="different graphs: tides of 'paper', strange of 'other'") as caught:
            await pair_of(runner.store, "tides", "strange")
        assert "graphengine diff" in caught.value.repair
        with pytest.raises(RenderError, match="both are run tides") as caught:
            await pair_of(runner.store, "tides", "tides")
        assert "--timeline" in caught.value.repair


def forking(name: str) -> Graph[Paper]:
    """A node that passes through to one of two."""
    graph = Graph(name, Paper, result="draft")
    graph.add_node("sort")
    graph.add_node("long", lambda draft: draft[:3], writes="draft", thread=False)
    graph.add_node("short", lambda draft: draft + "!", writes="draft", thread=False)
    graph.add_edge(START, "sort")
    graph.add_edge("sort", "long", when=value("draft").length() > 3)
    graph.add_edge("sort", "short")
    graph.add_edge("long", END)
    graph.add_edge("short", END)
    return graph


async def test_the_note_is_at_ellipses_and_at_nodes_of_nested_graphs() -> None:
    """A node that only passes through has the note, and a node of a nested graph is found by its path."""
    outer = Graph("outer", Paper)
    outer.add_node("each", forking("inner"), writes="draft")
    outer.add_path(START, "each", END)
    async with Runner() as runner:
        for graph in (forking("flat"), outer):
            for number, draft in enumerate(("x", "xxxxx")):
                await runner.start(graph, Paper(draft=draft), run_id=f"{graph.name}{number}").result()
            chart = comparison(await pair_of(runner.store, f"{graph.name}0", f"{graph.name}1"))
            assert re.findall(r">(.) parts at step", chart.svg()) == ["A", "B"]


async def test_a_graph_that_changed_is_drawn_for_each_run() -> None:
    """Each run is on the graph that made it."""
    changed = Graph("flat", Paper)
    changed.add_node("sort", lambda draft: draft[:3], writes="draft", thread=False)
    changed.add_path(START, "sort", END)
    async with Runner() as runner:
        await runner.start(forking("flat"), Paper(draft="x"), run_id="a").result()
        await runner.start(changed, Paper(draft="xxxxx"), run_id="b").result()
        chart = comparison(await pair_of(runner.store, "a", "b"))
    root = read_xml(chart.svg().encode())
    assert len(list(root.iter(f"{SVG}svg"))) == 3
    assert re.findall(r">(.) parts at step", chart.svg()) == ["A", "B"]
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
