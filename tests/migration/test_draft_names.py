"""The draft of a migration pairs fields by type, and among several by name."""

import re
from pathlib import Path

from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, ask
from graphengine.migration.draft import renamed_fields
from graphengine.testing import preflight


class Before(BaseModel):
    """As recorded."""

    customer: str = ""
    city: str = ""
    ok: bool = False


class After(BaseModel):
    """As it is now: both texts have other names, and need a value."""

    customer_name: str
    ok: bool = False


def asking(state: type[BaseModel], version: int = 1) -> Graph[BaseModel]:
    """Return a graph that waits."""
    graph: Graph[BaseModel] = Graph("asking", state, version=version)
    graph.add_node("ask", ask("Right?", bool), writes="ok")
    graph.add_path(START, "ask", END)
    return graph


async def test_of_several_the_similar_one_is_paired(tmp_path: Path) -> None:
    """`customer_name` was `customer`, not `city`; both are candidates by type."""
    store = tmp_path / "runs.db"
    async with Runner(store) as runner:
        await runner.start(asking(Before), Before(customer="ada"), run_id="a").result()
    found = await preflight([asking(After)], store)
    assert re.search(r"old\['customer_name'\] = old.pop\('customer'\)", str(found))
    old, new = asking(Before).compile().graph_spec, asking(After).compile().graph_spec
    assert renamed_fields(old, new) == {"customer": ["customer_name"], "city": ["customer_name"]}
