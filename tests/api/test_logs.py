"""Records of a user's own loggers say which run, node, visit and attempt they are from."""

import asyncio
import io
import logging
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, NodeLogFilter, Runner, iterations

LOG = logging.getLogger("users.own")


class State(BaseModel):
    n: int = 0


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Return what the logger writes, with the facts in front."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(NodeLogFilter())
    handler.setFormatter(logging.Formatter("%(run)s|%(node)s|%(visit)s|%(attempt)s|%(message)s"))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    yield stream
    LOG.removeHandler(handler)


def logs(n: int) -> int:
    """Log from a function that runs in a thread."""
    LOG.info("in a thread")
    return n + 1


async def counts(n: int) -> int:
    """Log from the event loop, and from a thread of the node's own."""
    LOG.info("counting")
    await asyncio.to_thread(LOG.info, "beside")
    return n + 1


async def test_records_of_nodes_say_where_they_are_from(lines: io.StringIO) -> None:
    """Each record of a node has its run, node, visit and attempt; one outside a node has none."""
    graph = Graph("logged", State)
    graph.add_node(counts, writes="n")
    graph.add_node("beside", logs, writes="n", thread=True)
    graph.add_path(START, "counts", "beside")
    graph.add_edge("beside", "counts", when=iterations("counts") < 2)
    graph.add_edge("beside", END)
    LOG.info("before")
    async with Runner() as runner:
        await runner.run(graph, run_id="r1")
    assert lines.getvalue().splitlines() == [
        "||None|None|before",
        "r1|counts|1|1|counting",
        "r1|counts|1|1|beside",
        "r1|beside|1|1|in a thread",
        "r1|counts|2|1|counting",
        "r1|counts|2|1|beside",
        "r1|beside|2|1|in a thread",
    ]


async def test_events_of_structlog_have_them_too() -> None:
    """As a processor it adds the facts inside a node, and keeps what the event has already."""
    events: list[object] = []
    processor = NodeLogFilter()

    async def noted() -> int:
        events.append(processor(None, "info", {"event": "here", "node": "mine"}))
        return 1

    graph = Graph("logged", State)
    graph.add_node(noted, writes="n")
    graph.add_path(START, "noted", END)
    async with Runner() as runner:
        await runner.run(graph, run_id="r1")
    events.append(processor(None, "info", {"event": "outside"}))
    assert events == [{"event": "here", "node": "mine", "run": "r1", "visit": 1, "attempt": 1}, {"event": "outside"}]
