"""Readers show the edges and reasons that were recorded, whatever the texts hold and however the graph changed since.

A run of one node goes along edges of the same ends and labels, which only their conditions tell apart; its graph is
changed between its steps: edges are inserted, removed and put in another order. The edge that must have been taken is
worked out here from the numbers and texts themselves.
"""

from collections import Counter
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from graphengine import END, START, Graph, value
from graphengine.engine.graph_spec import GraphSpec
from graphengine.graph.condition_spec import condition_text
from graphengine.records.replay.replay import replay
from graphengine.records.visits import Visits
from graphengine.render import to_text
from graphengine.render.network import to_networkx
from graphengine.render.scopes import scopes_of
from graphengine.render.text import one_line
from graphengine.render.trace import list_tried_edges
from tests.kit.session import Session

SEPARATORS = ["; ", ": yes", ": no", " and ", " or ", "not (", "otherwise", "|1", "/", ".", "#", ", ", " is ", "'", '"']
"""What sentences, keys and paths have been put together with and taken apart by."""


class State(BaseModel):
    """What conditions read."""

    n: int = 0
    text: str = ""


class Declared(NamedTuple):
    """An edge that is taken if the number is at least this and the text is another one."""

    least: int
    other: str

    def holds(self, n: int, text: str) -> bool:
        """Return whether it is taken."""
        return n >= self.least and text != self.other


Visited = tuple[int, str]
texts = st.lists(st.sampled_from([*SEPARATORS, "a"]), max_size=4).map("".join)
edges = st.builds(Declared, st.integers(0, 4), texts)
versions = st.lists(st.lists(edges, max_size=5, unique=True), min_size=1, max_size=3)
visits = st.lists(st.lists(st.tuples(st.integers(0, 4), texts), max_size=3), min_size=3, max_size=3)


def loop(declared: list[Declared]) -> Graph[State]:
    """Return a graph whose node leads to itself along each of these edges, or else along one without a condition."""
    graph = Graph("loop", State)
    graph.add_node("a", lambda: None, writes=("n", "text"))
    graph.add_edge(START, "a")
    graph.add_edge("a", END, when=value("n") > 100)
    for each in declared:
        graph.add_edge("a", "a", when=(value("n") >= each.least) & (value("text") != each.other), label="again")
    graph.add_edge("a", "a", label="again")
    return graph


@settings(max_examples=60, deadline=None)
@given(versions, visits)
def test_readers_say_the_edges_that_were_recorded(versions: list[list[Declared]], visits: list[list[Visited]]) -> None:
    """Counts, reasons and tried edges are those of the record, under each version of the graph that the run had."""
    session = Session(loop(versions[0]))
    specs: dict[str, GraphSpec] = {}
    session.start()
    taken: list[Declared | None] = []
    for number, declared in enumerate(versions):
        if number:
            session.crash()
            session.resume(graph=loop(declared))
        specs[session.plan.fingerprint] = session.plan.graph_spec
        for n, text in visits[number]:
            session.finish({"n": n, "text": text})
            taken.append(next((each for each in declared if each.holds(n, text)), None))

    drawn, last = session.plan.graph_spec, versions[-1]
    found = to_networkx(drawn, session.log, specs)
    counts = [edge["taken"] for _, target, edge in found.out_edges("a", data=True) if target == "a"]
    expected = Counter(taken)
    assert counts == [expected[each] for each in (*last, None)]
    earlier = sum(times for each, times in expected.items() if each is not None and each not in last)
    assert (f"{earlier} move" in to_text(drawn, session.log, specs=specs)) == (earlier > 0)

    run = Visits.of(session.log, specs=specs)
    moved = [entry for entry in run.entries if entry.edge is not None and entry.step.kind == "node"]
    for entry, each in zip(moved, taken, strict=True):
        assert entry.edge is not None
        tried = list_tried_edges(scopes_of(drawn)[()], entry.edge)
        [way] = [one for one in tried if one.is_taken]
        words = "" if each is None else condition_text(loop([each]).compile().graph_spec["ways"][2]["when"])
        is_earlier = each is not None and each not in last
        assert (way.edge.condition, way.is_earlier) == (one_line(words), is_earlier)
        assert way.why.endswith(": yes") == (each is not None)
    if len(versions) == 1:
        assert replay(session.graph, session.log).differences == []
