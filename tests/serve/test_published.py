"""What a run publishes, over HTTP: waited for, by tenant, and in the run's own document."""

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph
from tests.serve.two_tenants import place


class State(BaseModel):
    """What is mapped, and what was heard."""

    items: list[int] = [1, 2]
    found: list[int] = []
    word: str = ""


async def tell(ctx: Context) -> str:
    """Publish before and after a message."""
    await ctx.publish("progress", {"done": 0})
    word = await ctx.receive("word", str)
    await ctx.publish("progress", {"done": 1})
    return word


async def measure(ctx: Context, item: int) -> int:
    """Publish by item; the second one waits."""
    await ctx.publish("size", item)
    return item if item == 1 else await ctx.ask("How large?", int)


def tells() -> Graph[State]:
    """Return a graph of both."""
    graph = Graph("tells", State)
    graph.add_node("tell", tell, writes="word")
    graph.add_node("measure", measure, each={"item": "items"}, writes="found")
    graph.add_path(START, "tell", "measure", END)
    return graph


@pytest.mark.parametrize("kept", ["sqlite", "postgres"])
async def test_a_value_is_waited_for_by_its_own_tenant(
    kept: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """By `wait` and `after`, and by item; nothing yet is 204; for others there is no run; an ended one says so."""
    database = request.getfixturevalue("postgres") if kept == "postgres" else tmp_path / "runs.db"
    async with place(tmp_path, database, {"tells": tells()}) as here:
        begun = await here.send("acme", "POST", "/graphs/tells/runs", {})
        run = begun.json["run_id"]
        first = await here.send("acme", "GET", f"/runs/{run}/values/progress?wait=30")
        assert (first.status, first.json["value"], first.json["item"]) == (200, {"done": 0}, "")
        seen = first.json["seq"]
        assert (await here.send("acme", "GET", f"/runs/{run}/values/progress?after={seen}")).status == 204
        assert (await here.send("acme", "GET", f"/runs/{run}/values/other")).status == 204
        refused = await here.send("globex", "GET", f"/runs/{run}/values/progress")
        assert (refused.status, refused.json["error"]["code"]) == (404, "unknown_run")
        waiting = asyncio.create_task(here.send("acme", "GET", f"/runs/{run}/values/progress?wait=30&after={seen}"))
        await here.send("acme", "POST", f"/runs/{run}/messages", {"topic": "word", "payload": "hi"})
        assert (await waiting).json["value"] == {"done": 1}
        item = await here.send("acme", "GET", f"/runs/{run}/values/size?wait=30&item=measure%5B1%5D")
        assert (item.json["value"], item.json["path"]) == (2, "measure[1]")
        now = (await here.send("acme", "GET", f"/runs/{run}?wait=30&after={item.json['seq']}")).json
        assert now["progress"][0] | {"began": 0} == {
            "path": "measure",
            "of": 2,
            "done": 1,
            "failed": 0,
            "waiting": 1,
            "began": 0,
        }
        assert {(each["name"], each["item"]) for each in now["published"]} == {
            ("progress", ""),
            ("size", "measure[0]"),
            ("size", "measure[1]"),
        }
        await here.send("acme", "POST", f"/runs/{run}/stop", {"final": True})
        over = await here.send("acme", "GET", f"/runs/{run}/values/other?wait=30")
        assert (over.status, over.json["error"]["code"]) == (404, "not_published")
        assert "progress" in over.json["error"]["repair"]


NAMES = ["events", "a/b", "values/x", "a/values/b", "a\nb", "", "..", "é?#%2F"]


async def name_all(ctx: Context) -> str:
    """Publish by names that mean something in addresses."""
    for name in NAMES:
        await ctx.publish(name, name)
    return "named"


async def test_a_value_of_any_name_is_found(tmp_path: Path) -> None:
    """A name can have what separates paths, and be the name of another route of a run; a tenant in front is none."""
    graph = Graph("names", State)
    graph.add_node("name", name_all, writes="word")
    graph.add_path(START, "name", END)
    async with place(tmp_path, tmp_path / "runs.db", {"names": graph}) as here:
        run = (await here.send("acme", "POST", "/graphs/names/runs", {})).json["run_id"]
        last = await here.send("acme", "GET", f"/runs/{run}/values/{quote(NAMES[-1], safe='')}?wait=30")
        assert last.json["value"] == NAMES[-1]
        for name in NAMES:
            found = await here.send("acme", "GET", f"/runs/{run}/values/{quote(name, safe='')}")
            assert (found.status, found.json.get("value")) == (200, name)
            refused = await here.send("globex", "GET", f"/runs/acme/{run}/values/{quote(name, safe='')}")
            assert (refused.status, refused.json["error"]["code"]) == (404, "unknown_run")
