"""Graphs and runs as networkx graphs."""

import io
import subprocess
import sys
from typing import Any

import networkx as nx
import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Retry, RunFailed, Runner
from graphengine.records.export import read_file
from graphengine.render.network import to_networkx
from tests.kit.gallery import GALLERY, NAMES, graph_of
from tests.render.nested import newsroom
from tests.render.samples import LOOP, review_loop


class Parts(BaseModel):
    parts: list[int] = [1, 2]
    found: list[str] = []


def test_nodes_and_edges_keep_their_facts() -> None:
    """Kinds, labels, conditions, the order of evaluation, and parallel edges of their own."""
    found = to_networkx(review_loop())
    assert found.name == "review_loop"
    assert found.nodes["write"] == {"kind": "agent", "title": "write", "writes": "draft"}
    assert found.nodes["START"]["kind"] == "start"
    edges = list(found.get_edge_data("review", "END").values())
    assert [(edge["kind"], edge["label"], edge["order"]) for edge in edges] == [
        ("failure", "accepted unreviewed", 0),
        ("edge", "approved", 0),
        ("edge", "no longer improving", 1),
        ("edge", "out of iterations", 2),
    ]
    assert edges[1]["condition"] == "history[-1].score >= 7"
    assert [edge["back"] for edge in found.get_edge_data("review", "write").values()] == [True]


def test_a_run_adds_visits_times_and_explanations() -> None:
    """What was never taken has 0."""
    found = to_networkx(review_loop(), LOOP)
    assert found.nodes["write"]["visits"] == 2
    assert (found.nodes["write"]["cost_usd"], found.nodes["write"]["failures"]) == (0.0, 0)
    taken = [(edge["taken"], edge["why"]) for edge in found.get_edge_data("review", "END").values()]
    assert taken == [(0, ""), (1, "history[-1].score 8 >= 7: yes"), (0, ""), (0, "")]


@pytest.mark.parametrize("form", ["graphml", "gexf"])
@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_written_as_other_programs_read_it(name: str, form: str) -> None:
    """As yEd and Gephi do: with and without a run, whatever its costs are; the same nodes and edges come back."""
    run = read_file(GALLERY / f"{name}.json")
    graph_spec = graph_of(name).compile().graph_spec
    forms: dict[str, tuple[Any, Any]] = {
        "graphml": (nx.write_graphml_xml, nx.read_graphml),
        "gexf": (nx.write_gexf, nx.read_gexf),
    }
    write, read = forms[form]
    for steps in (None, run.steps):
        found = to_networkx(graph_spec, steps)
        file = io.BytesIO()
        write(found, file)
        file.seek(0)
        again = read(file)
        assert set(again.nodes) == set(found.nodes)
        assert again.number_of_edges() == found.number_of_edges()


async def test_an_attempt_that_failed_counts_once() -> None:
    """The failure of a map or a graph is that of what is in it."""

    def check(part: int) -> str:
        raise ConnectionError

    graph = Graph("parts", Parts)
    graph.add_node("check", check, each={"part": "parts"}, writes="found", retry=Retry(attempts=2, initial_seconds=0))
    graph.add_path(START, "check", END)
    around = Graph("around", Parts)
    around.add_node("inner", graph, writes={"found": "found"})
    around.add_path(START, "inner", END)
    async with Runner() as runner:
        with pytest.raises(RunFailed):
            await runner.start(around, run_id="a").result()
        found = around.to_networkx(await runner.history("a"))
    assert [found.nodes[name]["failures"] for name in ("inner", "inner/check")] == [0, 4]


def test_the_critical_path_of_a_run() -> None:
    """The critical path is the longest chain by time: of two nodes side by side, the slower one."""
    run = read_file(GALLERY / "content_pipeline.json")
    found = to_networkx(run.graph_specs[run.info.fingerprint], run.steps)
    once: nx.DiGraph[str] = nx.DiGraph(
        (source, target, {"seconds": found.nodes[target]["seconds"]})
        for source, target, edge in found.edges(data=True)
        if edge.get("taken") and not edge["back"]
    )
    path = nx.dag_longest_path(once, weight="seconds")
    assert path == ["START", "research", "write", "edit", "list"]
    assert found.nodes["research"]["seconds"] > found.nodes["survey"]["seconds"]


def test_nodes_that_every_run_passes() -> None:
    """Every run passes the dominators of END: no run finishes without them."""
    found = graph_of("review_loop").to_networkx()
    dominators = nx.immediate_dominators(nx.DiGraph(found), "START")
    assert dominators["END"] == "write"


def test_graphs_inside_are_connected() -> None:
    """A node that is a graph leads to its START, and its END leads back."""
    found = newsroom().to_networkx()
    assert nx.has_path(found, "START", "articles/review")
    assert found.get_edge_data("articles", "articles/START")[0]["kind"] == "enter"
    assert found.get_edge_data("articles/END", "articles")[0]["kind"] == "leave"


def test_networkx_is_loaded_only_when_it_is_asked_for() -> None:
    """It takes longer to import than the package."""
    program = "import sys, graphengine.render; print('networkx' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
