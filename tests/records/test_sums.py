"""Sums of the runs that a search finds, by day and by node: the same runs as in a list and in trends."""

import asyncio
import time
from contextlib import suppress
from typing import Annotated, Any

import pytest
from msgspec import UNSET
from msgspec.json import encode
from msgspec.structs import replace
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Retry, RunFailed, Runner, ScriptedModel, Secret
from graphengine.models import Response
from graphengine.records import sums
from graphengine.records.search import wanted_of
from graphengine.records.selection import Wanted, find_runs
from graphengine.records.sums import NodeSum, Sums, load_sums
from graphengine.records.trends import trends
from graphengine.serve.callers import Caller, CallersStore, acting

KEY = "0-0123456789-abcdefghijklmnopqrstuvwxyz"


class State(BaseModel):
    country: str = "CH"
    n: int = 0
    items: list[int] = [1, 2, 3]
    iban: Annotated[str, Secret] = "CH00-secret"


def paying() -> Graph[State]:
    """Return a graph with a node that can fail, a map, and a graph inside."""

    def charge(country: str, n: int) -> int:
        if country == "XX":
            raise ValueError("no such country")
        return n + 1

    inner = Graph("inner", State, secret_key=KEY)
    inner.add_node("note", lambda n: n + 1, writes="n")
    inner.add_path(START, "note", END)
    graph = Graph("pay", State, search=["input.country"], secret_key=KEY)
    graph.add_node("charge", charge, writes="n")
    graph.add_node("inside", inner, writes={"n": "n"})
    graph.add_path(START, "charge", "inside", END)
    return graph


async def sums_of(runner: Runner, search: str = "", **more: Any) -> Sums:
    """Return the sums of a search."""
    return await load_sums(runner.store, wanted_of(search, Wanted(5)), **more)


def node(found: Sums, name: str) -> NodeSum:
    """Return the sums of a node."""
    return next(each for each in found.nodes if each.node == name)


async def play(runner: Runner, run_id: str, country: str = "CH", **more: Any) -> None:
    """Let a run end."""
    with suppress(RunFailed):
        await runner.start(paying(), State(country=country), run_id=run_id, **more).result()


async def test_sums_are_of_the_runs_that_a_list_has(runner: Runner) -> None:
    """Whatever they are searched by; trends too."""
    for number, country in enumerate(("CH", "CH", "DE", "XX")):
        await play(runner, f"r{number}", country, tags=["even"] if number % 2 == 0 else [])
    (info,) = await runner.runs(limit=1)
    searches = (
        "", "input.country=CH", "input.country!=CH", "state.n<2", "status:failed", "status:running", "tag:even",
        f"version:{info.began_with[:8]}", "version:other", "error:country", "error:nothing", "agent:writer", "lost:no",
        "lost:yes", "cost>0", "since:1h", "before:2000-01-01", "charge", "graph:pay input.country=DE lost:no",
    )  # fmt: skip
    for search in searches:
        listed = await find_runs(runner.store, wanted_of(search, Wanted(99)))
        found = await sums_of(runner, search)
        assert found.runs == found.week.runs == sum(each.runs for each in found.days) == len(listed.runs), search
        assert (found.looked_at, found.unseen, found.read) == (listed.looked_at, listed.unseen, found.runs), search
        over_time = await trends(runner.store, search)
        assert sum(each.runs for each in over_time.trends) == len(listed.runs), search
        assert (over_time.looked_at, over_time.unseen) == (listed.looked_at, listed.unseen), search
        by_tag = await runner.admin.trends(search, by="tag")
        assert sum(each.runs for each in by_tag.trends) == sum(bool(each.tags) for each in listed.runs), search
    for wanted, runs in ((Wanted(9, newer_seconds=60), 4), (Wanted(9, older_seconds=60), 0)):
        assert (await load_sums(runner.store, wanted)).runs == runs
        assert sum(each.runs for each in (await trends(runner.store, wanted)).trends) == runs


async def test_each_node_has_its_visits(runner: Runner) -> None:
    """Those inside of graphs too; the slowest node is the first."""
    for run_id, country in (("a", "CH"), ("b", "CH"), ("c", "XX")):
        await play(runner, run_id, country)
    found = await sums_of(runner)
    assert {each.node: (each.visits, each.failed) for each in found.nodes} == {
        "charge": (3, 1), "inside": (2, 0), "inside/note": (2, 0),
    }  # fmt: skip
    times = [each.p95_seconds or 0.0 for each in found.nodes]
    assert times == sorted(times, reverse=True)
    assert node(found, "inside").p95_seconds >= node(found, "inside/note").p95_seconds > 0  # type: ignore[operator]
    assert (found.read, found.skipped, found.sample) == (3, 0, "by node: 3 runs")
    today, *before = found.days
    assert (today.runs, today.statuses, len(before)) == (3, {"failed": 1, "finished": 2}, 6)
    assert all((each.runs, each.p95_seconds) == (0, None) for each in before)
    assert found.week == replace(today, since=before[-1].since)


async def test_a_map_is_one_visit_and_tries_are_added(runner: Runner) -> None:
    """The items of a map are a part of its visit; a visit that was retried did not fail."""
    tries = 0

    def fragile(n: int) -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ValueError("again")
        return n

    graph = Graph("each", State, secret_key=KEY)
    graph.add_node("double", lambda item: item * 2, each={"item": "items"}, writes="items")
    graph.add_node("fragile", fragile, writes="n", retry=Retry(attempts=2, initial_seconds=0, jitter=0))
    graph.add_path(START, "double", "fragile", END)
    await runner.start(graph, State(), run_id="m").result()
    found = await sums_of(runner)
    assert {each.node: (each.visits, each.failed) for each in found.nodes} == {"double": (1, 0), "fragile": (1, 0)}


async def test_a_branch_counts_only_what_it_did_itself(runner: Runner) -> None:
    """The steps that it shares with its parent are those of the parent."""
    await play(runner, "a")
    seq = next(step.seq for step in await runner.store.steps("a") if step.node == "charge" and step.kind == "node")
    await runner.branch("a", paying(), at=seq, run_id="b").result()
    found = await sums_of(runner)
    assert (node(found, "charge").visits, node(found, "inside").visits, found.read) == (1, 2, 2)


async def test_an_unknown_cost_is_never_zero(database: Any) -> None:
    """Of a node and of a day; what is known stays."""
    costs = (0.5, None)
    answers = [Response(f"{cost}", cost_usd=cost, input_tokens=3, output_tokens=1) for cost in costs]
    graph = Graph("write", State, secret_key=KEY)
    graph.add_node("write", Agent("writer", prompt="Write."), writes="country")
    graph.add_path(START, "write", END)
    async with Runner(database, models=ScriptedModel(answers)) as runner:
        for number, unknown in enumerate((0, 1)):
            await runner.start(graph, State(), run_id=f"w{number}").result()
            found = await sums_of(runner, "agent:writer")
            assert (found.days[0].cost_usd, found.days[0].unknown_costs) == (0.5, unknown)
            usage = node(found, "write").usage
            assert (usage.calls, usage.cost_usd) == (number + 1, None if unknown else 0.5)
            assert (usage.cost_usd or usage.priced_usd) == 0.5


async def test_a_tenant_sees_sums_of_its_own_runs(runner: Runner) -> None:
    """Neither runs nor nodes of others; no value of a state is in the answer, and removed runs are not counted."""
    await play(runner, "a", tenant="acme")
    await play(runner, "b", tenant="zoo")
    await play(runner, "c", tenant="zoo")
    for tenant, runs in (("acme", 1), ("zoo", 2)):
        with acting(Caller("who", tenant=tenant)):
            store = CallersStore.of(runner.store)
            for search in ("", "lost:no", "state.n=2", "tenant:acme"):
                found = await load_sums(store, wanted_of(search, Wanted(9)))
                expected = runs if search != "tenant:acme" or tenant == "acme" else 0
                assert (found.runs, found.read) == (expected, expected)
                assert sum(each.runs for each in (await trends(store, search)).trends) == expected
                assert all(each.visits == expected for each in found.nodes)
    assert b"secret" not in encode(await sums_of(runner))
    await runner.admin.bulk("prune", "tenant:zoo")
    assert ((await sums_of(runner)).runs, node(await sums_of(runner), "charge").visits) == (1, 1)


async def test_days_begin_at_the_readers_midnight(runner: Runner) -> None:
    """And the week ends before the time to which a search is limited."""
    await play(runner, "a")
    begun = (await runner.store.info("a")).created_at
    quarter = (begun // 900 + 1) * 900  # just after the run began
    if begun % 900 < 890:
        found = await sums_of(runner, midnight=quarter % 86_400)
        assert [each.runs for each in found.days] == [1, *[0] * 6]
        assert found.days[0].since == pytest.approx(quarter - 86_400)
    later = await load_sums(runner.store, Wanted(9, begun_before=begun - 86_400))
    assert (later.runs, later.sample) == (0, "no such run began in these days")
    assert later.days[0].since <= begun - 86_400 < later.days[0].since + 86_400
    assert (await load_sums(runner.store, Wanted(9, begun_after=time.time() + 5))).runs == 0
    for time_of_user in (-1.7e308, -1.0, 0.0, 1.7e308):
        for found in (
            await load_sums(runner.store, Wanted(9, begun_before=time_of_user)),
            await load_sums(runner.store, Wanted(9, begun_after=time_of_user)),
        ):
            assert [type(each.since) for each in found.days] == [float] * 7
            assert b"null" not in encode([each.since for each in found.days])


async def test_the_sample_is_bounded_and_named(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long runs are left out, few runs are read, and other tasks go on meanwhile."""
    for number in range(4):
        await play(runner, f"r{number}")
    turns, is_done = 0, False

    async def move() -> None:
        nonlocal turns
        while not is_done:
            turns += 1
            await asyncio.sleep(0)

    moving = asyncio.create_task(move())
    await sums_of(runner, "lost:no")
    is_done = True
    await moving
    assert turns >= 4
    monkeypatch.setattr(sums, "_RUNS", 3)
    found = await sums_of(runner)
    assert (found.runs, found.read, found.sample) == (4, 3, "by node: the newest 3 of 4 runs")
    monkeypatch.setattr(sums, "_STEPS", 1)
    found = await sums_of(runner)
    left_out = "by node: the newest 3 of 4 runs, but for 3 that have too many steps or cannot be read"
    assert (found.nodes, found.read, found.skipped, found.sample) == ([], 0, 3, left_out)
    monkeypatch.setattr(sums, "_SECONDS", -1.0)
    assert (await sums_of(runner)).sample == "by node: the newest 0 of 4 runs"
    assert found.unseen is UNSET
