"""`preflight`: which runs that have not ended fit today's graphs.

That it says what a resume says, for every change on the pages of this folder, is asserted there.
"""

import asyncio
import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, model_validator

from graphengine import END, START, Context, Graph, Migration, RunFailed, Runner, ask
from graphengine.databases.postgres import PostgresStore
from graphengine.databases.sqlite import SQLiteStore
from graphengine.history.load import load_snapshot
from graphengine.migration.compatibility import field_changes
from graphengine.reducers import append
from graphengine.testing import Preflight, RunGroup, preflight
from graphengine.testing import preflights as module
from tests.kit.postgres import execute
from tests.kit.runs import WEEK, alone

TABLES = "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' ORDER BY 1"


class Page(BaseModel):
    title: str = ""
    rating: int = 0
    ok: bool = False
    log: Annotated[list[str], append] = []


class Rated(Page):
    rating: int = Field(default=0, le=5)


class Headed(BaseModel):
    headline: str
    kind: Literal["news", "essay"]
    ok: bool = False
    log: Annotated[list[str], append] = []


def titled(title: str) -> bool:
    """Return whether there is a title."""
    return bool(title)


def paper(state: type[BaseModel] = Page, node: str = "check", **options: Any) -> Graph[Any]:
    """Return a graph that asks one question."""
    return alone(state, ask("Print?", bool), "ok", name="paper", node=node, **options)


async def begun(runner: Runner, graph: Graph[Any], count: int) -> list[str]:
    """Start runs that wait, with other values each."""
    for n in range(count):
        await runner.start(graph, {"title": f"t{n}", "rating": n}, run_id=f"r{n}").result()
    return [f"r{n}" for n in range(count)]


def only(found: Preflight) -> RunGroup:
    """Return the only group."""
    (group,) = found.groups
    return group


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what was done: `load` for each run that was read, `decide` for each that was decided."""
    done: list[str] = []

    async def loads(*args: Any) -> Any:
        done.append("load")
        return await load_snapshot(*args)

    def decides(*args: Any) -> Any:
        done.append("decide")
        return field_changes(*args)

    monkeypatch.setattr(module, "load_snapshot", loads)
    monkeypatch.setattr(module, "field_changes", decides)
    return done


# -- what is read and decided


async def test_runs_at_one_place_are_decided_once(runner: Runner, looked: list[str]) -> None:
    """Values whose type is the recorded one, and needs no validation, do not matter."""
    await begun(runner, paper(), 70)
    found = await preflight([paper(node="sign")], runner.store)
    assert (only(found).verdict, only(found).places, only(found).runs) == ("refused", ("check",), 70)
    assert len(only(found).examples) == 3
    assert (looked.count("load"), looked.count("decide")) == (73, 1)  # three are read again, to try the draft on them


async def test_values_that_matter_are_decided_one_by_one(runner: Runner, looked: list[str]) -> None:
    """Of a field whose type has a new bound every value counts; the runs of one reason are one group."""
    await begun(runner, paper(), 9)
    changed = paper(Rated, title="Check")
    found = await preflight([changed], runner.store)
    assert [(group.verdict, group.runs) for group in found.groups] == [("refused", 3), ("fits", 6)]
    assert looked.count("decide") == 9
    assert "field 'rating' holds" in found.groups[0].reasons[0].text
    assert "less than or equal to 5" in str(found)


@pytest.mark.parametrize("kind", ["whole", "default", "migration"])
async def test_what_code_can_read_matters(runner: Runner, looked: list[str], kind: str) -> None:
    """A validator, a default or a migration can read every value, so each run is decided by itself."""

    class Whole(Page):
        @model_validator(mode="after")
        def _few(self) -> "Whole":
            assert self.rating < 2
            return self

    class Made(Page):
        few: int = Field(default_factory=lambda values: values["rating"], lt=2, validate_default=True)

    def moved(values: dict[str, Any]) -> dict[str, Any]:
        assert values["rating"] < 2
        return values

    await begun(runner, paper(), 4)
    state = {"whole": Whole, "default": Made}.get(kind, Page)
    options: Any = {"version": 2, "migrate": {1: moved}} if kind == "migration" else {}
    graph: Graph[Any] = alone(state, ask("Now?", bool), "ok", name="paper", node="check", **options)
    found = await preflight([graph], runner.store)
    assert (found.runs, found.refused, looked.count("decide")) == (4, 2, 4), found


# -- what is said


async def test_statuses_are_those_that_people_know(tmp_path: Path) -> None:
    """Waiting, sleeping, queued, interrupted; runs that have ended are left out."""
    begins, naps_now = asyncio.Event(), asyncio.Event()

    async def nap(ctx: Context) -> bool:
        naps_now.set()
        await ctx.sleep(WEEK)
        return True

    async def stuck() -> bool:
        begins.set()
        await asyncio.Event().wait()
        return True

    naps = alone(Page, nap, "ok", name="naps")
    cut = alone(Page, stuck, "ok", name="cut")
    ends = alone(Page, titled, "ok", name="ends", thread=False)
    async with Runner(tmp_path / "runs.db") as runner:
        await begun(runner, paper(), 1)
        assert (await runner.start(ends, run_id="ends").result()).status == "finished"
        await runner.start(paper(), run_id="queued", queue="later").result()
        runner.start(cut, run_id="cut")
        await begins.wait()
        runner.start(naps, run_id="naps")
        await naps_now.wait()
        await runner.release("naps")
        await runner.release("cut", now=True)
        found = await preflight([paper(), naps, cut, ends], runner.store)
    assert found.fits
    statuses = {group.graph: dict(group.statuses) for group in found.groups}
    assert statuses == {"paper": {"waiting": 1, "queued": 1}, "naps": {"sleeping": 1}, "cut": {"interrupted": 1}}


async def test_a_run_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """It hides no other."""
    path = tmp_path / "runs.db"
    async with Runner(path) as runner:
        await begun(runner, paper(), 2)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM steps WHERE id & 4294967295 = 2 AND id >> 32 = 1")
    found = await preflight([paper(node="sign")], path)
    assert sorted(group.verdict for group in found.groups) == ["refused", "unreadable"]


# -- drafts


def run_draft(found: Preflight, names: dict[str, Any], **given: Any) -> dict[str, Any]:
    """Run a draft, with what a person fills in, and return the options of its graph."""
    ((draft,),) = found.drafts.values()
    for old, new in given.items():
        assert f"[{old!r}] = ..." in draft
        draft = draft.replace(f"[{old!r}] = ...", f"[{old!r}] = {new!r}")
    head, _, call = draft.rpartition("\n")
    options: dict[str, Any] = {}
    scope = {"Any": Any, "Migration": Migration, "Graph": lambda *_, **found: options.update(found), **names}
    exec(f"{head}\n{call}", scope)  # noqa: S102 - our own draft
    return options


async def test_the_draft_lets_the_runs_continue(runner: Runner) -> None:
    """A node with another name, a field with another name, one that is new, and one that is gone."""
    run_ids = await begun(runner, paper(), 2)

    def today(**options: Any) -> Graph[Any]:
        graph: Graph[Any] = Graph("paper", Headed, **options)
        graph.add_node("sign", ask("Print?", bool), writes="ok")
        graph.add_path(START, "sign", END)
        return graph

    found = await preflight([today()], runner.store)
    assert not found.fits
    options = run_draft(found, {"Headed": Headed}, kind="news")
    migrated = today(**options)
    after = await preflight([migrated], runner.store)
    assert (only(after).verdict, only(after).migrations) == ("migrates", ("paper 1 → 2",))
    for n, run_id in enumerate(run_ids):
        await runner.answer(run_id, value=True)
        result = await runner.resume(run_id, migrated).result()
        assert result.state == Headed(headline=f"t{n}", kind="news", ok=True)


async def test_the_draft_begins_again_what_became_something_else(runner: Runner) -> None:
    """The node is still there, so that the visit can begin again."""
    await begun(runner, paper(), 1)
    today = alone(Page, titled, "ok", name="paper", node="check", thread=False)
    found = await preflight([today], runner.store)
    options = run_draft(found, {"Page": Page})
    assert options["migrate"][1].moved == {"check": "check"}


# -- read-only


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of every file."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


async def test_a_file_is_the_same_afterwards(tmp_path: Path) -> None:
    """Byte for byte; nothing is left next to it, also where nothing can be written."""
    folder = tmp_path / "kept"
    folder.mkdir()
    async with Runner(folder / "runs.db") as runner:
        await begun(runner, paper(), 3)
    before = digests(folder)
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    try:
        assert not (await preflight([paper(node="sign")], folder / "runs.db")).fits
        store = SQLiteStore(folder / "runs.db", read_only=True)
        assert (await preflight([paper()], store)).fits
        await store.close()
    finally:
        folder.chmod(0o755)
    assert digests(folder) == before


async def test_the_rows_of_a_server_are_the_same_afterwards(postgres: str) -> None:
    """Every row of every table."""
    async with Runner(postgres) as runner:
        await begun(runner, paper(), 3)

    def rows() -> list[Any]:
        names = [str(name) for (name,) in execute(postgres, TABLES)]
        return [(name, sorted(map(str, execute(postgres, f"TABLE {name}")))) for name in names]

    before = rows()
    assert not (await preflight([paper(node="sign")], postgres)).fits
    store = PostgresStore(postgres, read_only=True)
    assert (await preflight([paper()], store)).fits
    await store.close()
    assert rows() == before


@pytest.mark.parametrize("is_moved", [False, True], ids=["the code changed", "the node was moved"])
async def test_an_effect_in_flight_in_changed_code_is_named(runner: Runner, *, is_moved: bool) -> None:
    """Each run with an effect that began and has no recorded end is named, if its node has other code now."""

    def pay(title: str) -> bool:
        raise ConnectionError(title)

    async def sells(title: str, ctx: Context) -> bool:
        return await ctx.call(pay, title, effect="once")

    async def sells_otherwise(title: str, ctx: Context) -> bool:
        return await ctx.call(pay, f"{title}!", effect="once")

    graph = alone(Page, sells, "ok", name="shop", node="sell")
    other = alone(Page, sells_otherwise, "ok", name="shop", node="sell")
    if is_moved:
        other = alone(Page, ask("Buy?", bool), "ok", name="shop", node="buy")
    for number in range(4):
        run = runner.start(graph, {"title": f"t{number}"}, run_id=f"r{number}")
        with pytest.raises(RunFailed):
            await run.result()
        await runner.release(run.id)
    assert not (await preflight([graph], runner.store)).groups
    for number in range(4):
        runner.resume(f"r{number}", graph)
        await runner.release(f"r{number}", now=True)
    found = await preflight([graph], runner.store)
    assert [group.unsettled for group in found.groups] == [()]
    told = str(await preflight([other], runner.store))
    assert [f"pay began in sell of run r{number}" in told for number in range(4)] == [True] * 4
    assert ("# moved: a person is asked first" in told) == is_moved
