"""Each stop of the slider below a run's graph is the run as of that step, as `graphengine show --at` has it."""

import asyncio
import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec import UNSET
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, RunWaits, ask
from graphengine.cli.main import main
from graphengine.databases.sqlite import SQLiteStore
from graphengine.engine.phases import Collecting, Ended, Forked, Inside
from graphengine.history.load import load_snapshot
from graphengine.records.export import import_run, parse
from graphengine.serve.read_documents import Moments
from graphengine.serve.requests import AtStep, MomentsParameters
from tests.serve.inspector.conftest import ROOT
from tests.serve.inspector.graphs import Walk, halls, record, record_some, walked
from tests.serve.inspector.test_views import views_of

KINDS = ("blackboard", "event_bus", "parallel_research", "review_loop")
RUNS = (*KINDS, "asks", "broken", "five", "halls", "items", "other", "walked")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with runs that loop, fork, map, wait, fail, branch and have graphs inside."""
    path = tmp_path_factory.mktemp("moments") / "runs.db"

    async def write() -> None:
        async with Runner(path) as runner:
            for name in KINDS:
                file = ROOT / "checkpoints" / "gallery" / f"{name}.json"
                await import_run(runner.store, parse(file.read_text(encoding="utf-8"), name))
            await record_some(runner)
            await record(runner, halls("middle"), "halls")
            await runner.start(walked(), Walk(), run_id="walked").result()

    asyncio.run(write())
    return path


def shown(database: Path, run: str, at: int) -> Any:
    """Return the document of `graphengine show RUN --at STEP --json`."""
    found = CliRunner().invoke(main, ["show", run, "--at", str(at), "--json", "--store", str(database)])
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def values(found: Moments) -> list[Any]:
    """Return the value of the chosen field after each step."""
    value, each = found.before, []
    for moment in found.moments:
        value = value if moment.value is UNSET else moment.value
        each.append(value)
    return each


@pytest.mark.parametrize("run", RUNS)
async def test_each_stop_is_the_run_as_of_that_step(database: Path, run: str) -> None:
    """Its status, its cost and each field are those of `show --at`, its tokens where the frames are, in any window."""
    store = SQLiteStore(database, read_only=True)
    await store.open()
    views, last = views_of(store), (await store.info(run)).seq
    documents = [await asyncio.to_thread(shown, database, run, at) for at in range(1, last + 1)]
    fields = {name for each in documents for name in each["state"]}
    for window in (5, 64):
        for field in sorted(fields):
            states: list[Any] = []
            for first in range(1, last + 1, window):
                asked = MomentsParameters(run_id=run, first=first, limit=window, field=field)
                found = await views.moments(asked)
                assert found.field == field
                states += values(found)
            assert json.loads(json.dumps(states)) == [each["state"].get(field) for each in documents]
    atlas = await views.books.atlas((await store.info(run)).fingerprint)
    nodes = {number: spot[1] for spot, number in atlas.spots.items()}
    for at, document in enumerate(documents, 1):
        found = await views.moments(MomentsParameters(run_id=run, first=at, limit=1))
        (moment,) = found.moments
        assert (moment.seq, moment.status, moment.cost_usd) == (
            at,
            document["status"],
            document["usage"]["cost_usd"],
        )
        head = await views.run(AtStep(run_id=run, at=at))
        assert (head.at, head.standings) == (at, moment.standings)
        frames = (await load_snapshot(store, run, at)).frames
        inner = {key: each for key, each in frames.items() if not isinstance(each.phase, (Forked, Inside, Collecting))}
        there = {key: each.at for key, each in inner.items() if not isinstance(each.phase, Ended)}
        book = await views.books.recent(await store.info(run), at)
        tokens = book.tokens(book.standings())
        assert {key: nodes[spot] for key, spot in tokens.items() if key in there} == there
        assert moment.tokens == Counter(tokens.values())
    await store.close()


class Items(BaseModel):
    items: list[int] = []
    out: list[bool] = []


class Item(BaseModel):
    item: int = 0
    word: str = ""
    fine: bool = False


async def test_a_stop_does_not_grow_with_the_items_of_a_map() -> None:
    """Tokens are counted by node; of many fields only those are named that are in no item; each can be followed."""
    inner = Graph("inner", Item, result="fine")
    inner.add_node("well", ask("Well?", bool), writes="fine")
    inner.add_path(START, "well", END)
    graph = Graph("many", Items)
    graph.add_node("list", lambda: [*range(40)], writes="items", thread=False)
    graph.add_node("each", inner, each={"item": "items"}, writes="out")
    graph.add_path(START, "list", "each", END)
    async with Runner() as runner:
        with suppress(RunWaits):
            await runner.start(graph, run_id="many").result()
        views, last = views_of(runner.store), (await runner.store.info("many")).seq
        field = "each[39]/fine"
        found = await views.moments(MomentsParameters(run_id="many", first=last, limit=1, field=field))
        atlas = await views.books.atlas((await runner.store.info("many")).fingerprint)
    (moment,) = found.moments
    assert [*moment.tokens.values()] == [40]
    assert moment.tokens == {atlas.spots[(("each", ""),), "well"]: 40}
    assert found.fields == [*Items.model_fields]
    assert found.before is False
