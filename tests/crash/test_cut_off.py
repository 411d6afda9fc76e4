"""A process that is cut off from the database acts no more before another one does what it had in flight.

Its packets vanish: it is not told of anything, and neither is the server. Two Runners stand for two hosts.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, NotDone, Once, Runner, tool
from graphengine.databases import leases, owner_locks
from graphengine.databases.leases import CUT_OFF_EXIT
from graphengine.databases.postgres import PostgresStore
from graphengine.databases.postgres import reads as postgres_reads
from graphengine.engine.steps import Resumed
from graphengine.errors import RunIsDriven
from graphengine.executors import ProcessExecutor
from graphengine.models import Request, Response, calls
from tests.crash import heavy_effect
from tests.kit.postgres import PostgresServer, execute
from tests.kit.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LEASE_SECONDS: Final = 1.5
LONG_SECONDS: Final = 600.0
POLL_SECONDS: Final = 0.02
_END_SESSION: Final = (
    "SELECT pg_terminate_backend(l.pid) FROM runs AS r JOIN owners AS o ON o.id = r.driver JOIN pg_locks AS l "
    "ON l.locktype = 'advisory' AND l.objid::bigint = o.lock & 4294967295 AND l.granted"
)
"""Ends the session of a run's driver, as a firewall does."""


class State(BaseModel):
    """What was paid."""

    paid: str = ""


class Ledger:
    """What happened, in order, as "host what"."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = asyncio.Event()

    def note(self, host: str, what: str) -> None:
        """Add a line."""
        self.lines.append(f"{host} {what}")
        self._changed.set()

    async def until(self, line: str) -> None:
        """Return once there is a line."""
        while line not in self.lines:
            self._changed.clear()
            await self._changed.wait()


class Bank:
    """Pays for a host; on the first one it hangs, and only a cancellation ends it."""

    def __init__(self, host: str, ledger: Ledger, *, hangs: bool) -> None:
        self.host, self.ledger, self.hangs = host, ledger, hangs

    async def pay(self) -> str:
        """Pay."""
        self.ledger.note(self.host, "begin")
        try:
            if self.hangs:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.ledger.note(self.host, "cancelled")
            raise
        self.ledger.note(self.host, "paid")
        return f"paid by {self.host}"

    def found(self) -> str:
        """Return what was paid."""
        self.ledger.note(self.host, "asked")
        if f"{self.host} paid" not in self.ledger.lines:
            raise NotDone
        return "found"


async def pay(bank: Bank) -> str:
    """Pay by a bank."""
    return await bank.pay()


def found(bank: Bank) -> str:
    """Find out whether it was paid."""
    return bank.found()


def paying(effect: Any, way: str) -> Graph[State]:
    """Return a graph that pays in a node, in a recorded call, or by a tool of an agent."""
    graph = Graph("pays", State, result="paid", resources={"bank": no_bank})

    async def calling(ctx: Context, bank: Bank) -> str:
        return await ctx.call(pay, bank, effect=effect, key="pay")

    if way == "node":
        graph.add_node("pay", pay, writes="paid", effect=effect)
    elif way == "call":
        graph.add_node("pay", calling, writes="paid")
    else:
        model = Payer()
        tools = [tool(pay, name="pay", description="Pay.", effect=effect)]
        graph.add_node("pay", Agent("payer", model=model, prompt="Pay.", tools=tools), writes="paid")
    graph.add_path(START, "pay", END)
    return graph


def no_bank() -> Bank:
    """Refuse: each Runner has its own."""
    raise LookupError


class Payer:
    """A model that pays once."""

    name = "acme:payer"

    async def answer(self, request: Request) -> Response:
        """Call the tool, then say so."""
        is_first = not any(message.role == "assistant" for message in request.messages)
        return calls(("pay", {})) if is_first else Response("done")


@pytest.fixture
async def proxy(postgres_server: PostgresServer) -> AsyncIterator[Proxy]:
    """The network of the first host."""
    async with Proxy(postgres_server) as made:
        yield made


@asynccontextmanager
async def hosts(
    proxy: Proxy, postgres: str, ledger: Ledger, lease_seconds: float = LEASE_SECONDS
) -> AsyncIterator[tuple[Runner, Runner]]:
    """Open the Runners of two hosts; the network of the first one is whole again before it closes."""
    schema = postgres.partition("?schema=")[2]
    first = PostgresStore(proxy.address(schema), lease_seconds=lease_seconds, patience_seconds=5.0)
    second = PostgresStore(postgres, lease_seconds=lease_seconds)
    async with (
        Runner(second, resources={"bank": Bank("b", ledger, hangs=False)}) as b,
        Runner(first, resources={"bank": Bank("a", ledger, hangs=True)}) as a,
    ):
        try:
            yield a, b
        finally:
            proxy.thaw()


async def taken(runner: Runner, graph: Graph[Any]) -> Any:
    """Return the result of a run, once its driver looks dead."""
    while True:
        try:
            return await runner.resume("r", graph).result()
        except RunIsDriven:
            await asyncio.sleep(POLL_SECONDS)


async def waited(runner: Runner) -> list[float]:
    """Return for how long each resume that followed a process which was cut off waited for the end of its lease."""
    steps = [step for step in await runner.history("r") if isinstance(step.data, Resumed)]
    return [step.data.cut_until - step.at for step in steps if isinstance(step.data, Resumed) and step.data.cut_until]


@pytest.mark.parametrize("way", ["node", "call", "tool"])
@pytest.mark.parametrize(
    "effect",
    ["idempotent", Once(reconcile=found, settle_seconds=0), Once(reconcile=found, settle_seconds=0.5)],
    ids=["idempotent", "reconciled", "settled"],
)
async def test_what_is_cut_off_is_cancelled_before_another_host_does_it(
    proxy: Proxy, postgres: str, way: str, effect: Any
) -> None:
    """It ends a little before its lease does; the other host asks and begins a little after that."""
    ledger, graph = Ledger(), paying(effect, way)
    async with hosts(proxy, postgres, ledger) as (a, b):
        a.start(graph, run_id="r")
        await ledger.until("a begin")
        proxy.freeze()
        result = await taken(b, graph)
        assert a.store.lease._obeyed.is_set()  # type: ignore[attr-defined]  # noqa: SLF001 - else a worker ends itself
        asked = ["b asked"] * (effect != "idempotent")
        assert (result.status, ledger.lines) == ("finished", ["a begin", "a cancelled", *asked, "b begin", "b paid"])
        assert len(await waited(b)) == 1


@pytest.mark.parametrize("way", ["node", "call", "tool"])
async def test_a_person_is_asked_if_what_was_cut_off_may_still_happen(proxy: Proxy, postgres: str, way: str) -> None:
    """Nobody knows how long a request is under way, unless the effect says it: then `NotDone` proves nothing."""
    ledger, graph = Ledger(), paying(Once(reconcile=found), way)
    async with hosts(proxy, postgres, ledger) as (a, b):
        a.start(graph, run_id="r")
        await ledger.until("a begin")
        proxy.freeze()
        result = await taken(b, graph)
        assert (result.status, ledger.lines) == ("waiting", ["a begin", "a cancelled", "b asked"])
        assert "was cut off, is not known to be dead, and may still do it" in result.waits[0].question
        await b.answer("r", "rerun", wait=result.waits[0])
        ended = await b.resume("r", graph).result()
        assert (ended.status, ledger.lines[-2:]) == ("finished", ["b begin", "b paid"])


async def test_a_time_to_settle_is_waited_for_before_anybody_is_asked(proxy: Proxy, postgres: str) -> None:
    """Meanwhile the run is stored as waiting; after that `NotDone` counts."""
    ledger, graph = Ledger(), paying(Once(reconcile=found, settle_seconds=LONG_SECONDS), "call")
    async with hosts(proxy, postgres, ledger) as (a, b):
        a.start(graph, run_id="r")
        await ledger.until("a begin")
        proxy.freeze()
        while True:
            with suppress(RunIsDriven):
                await b.resume("r", graph).begun()
                break
            await asyncio.sleep(POLL_SECONDS)
        while (await b.info("r")).status != "waiting":  # noqa: ASYNC110 - it is waited for as by another process
            await asyncio.sleep(POLL_SECONDS)
        info = await b.info("r")
        assert info.due_at is not None
        assert info.due_at - info.updated_at > LONG_SECONDS / 2
        assert ledger.lines == ["a begin", "a cancelled"]


async def test_a_function_in_a_thread_ends_by_itself(proxy: Proxy, postgres: str) -> None:
    """A cancellation would not end it, and would lose its result: it can still be recorded if nobody took the run."""
    began, may_end = threading.Event(), threading.Event()

    def blocks() -> str:
        began.set()
        may_end.wait()
        return "paid"

    graph = Graph("pays", State, result="paid")
    graph.add_node("pay", blocks, writes="paid", effect="once")
    graph.add_path(START, "pay", END)
    schema = postgres.partition("?schema=")[2]
    async with Runner(PostgresStore(proxy.address(schema), lease_seconds=LEASE_SECONDS)) as runner:
        run = runner.start(graph, run_id="r")
        await asyncio.to_thread(began.wait)
        await late(runner, proxy)
        may_end.set()
        result = await run.result()
        assert (result.status, result.output) == ("finished", "paid")


async def test_a_child_process_that_acts_is_ended_before_another_host_acts(
    proxy: Proxy, postgres: str, tmp_path: Path
) -> None:
    """A node on an executor of processes can be ended, other than one in a thread."""

    class Heavy(BaseModel):
        ledger: str = str(tmp_path / "ledger")
        paid: str = ""

    graph = Graph("pays", Heavy, result="paid")
    graph.add_node("pay", heavy_effect.pay, writes="paid", on="cpu", effect="idempotent")
    graph.add_path(START, "pay", END)
    schema = postgres.partition("?schema=")[2]
    first = PostgresStore(proxy.address(schema), lease_seconds=LEASE_SECONDS, patience_seconds=5.0)
    second = PostgresStore(postgres, lease_seconds=LEASE_SECONDS)
    executors = {"cpu": lambda: ProcessExecutor(1)}
    async with Runner(second, executors=executors) as b, Runner(first, executors=executors) as a:
        a.start(graph, run_id="r")
        while not (tmp_path / "ledger").exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(POLL_SECONDS)
        proxy.freeze()
        try:
            result = await taken(b, graph)
        finally:
            proxy.thaw()
        assert (result.status, result.output) == ("finished", "paid")


async def late(runner: Runner, proxy: Proxy) -> None:
    """Cut a Runner off until its lease is about to end, so that what acts is cancelled."""
    proxy.freeze()
    lease = runner.store.lease  # type: ignore[attr-defined]
    while not lease._obeyed.is_set():  # noqa: ASYNC110, SLF001 - a thread says that it is late
        await asyncio.sleep(POLL_SECONDS)
    proxy.thaw()


async def test_a_run_that_was_taken_ends_as_soon_as_its_first_host_is_back(
    proxy: Proxy, postgres: str, postgres_server: PostgresServer
) -> None:
    """A firewall resets its session, so that another host has the run after a second, long before the lease ends."""
    ledger, graph = Ledger(), paying("idempotent", "node")
    async with hosts(proxy, postgres, ledger, LONG_SECONDS) as (a, b):
        a.start(graph, run_id="r")
        await ledger.until("a begin")
        proxy.freeze()
        execute(postgres, _END_SESSION)
        taking = asyncio.create_task(taken(b, graph))
        while not any(step.kind == "resumed" for step in await b.history("r")):  # noqa: ASYNC110 - another process records it
            await asyncio.sleep(POLL_SECONDS)
        assert ledger.lines == ["a begin"]
        proxy.thaw()
        await ledger.until("a cancelled")
        assert "b begin" not in ledger.lines
        await b.release("r", now=True)
        with suppress(asyncio.CancelledError):
            await taking


async def test_what_a_model_is_asked_goes_on_without_the_database(proxy: Proxy, postgres: str) -> None:
    """The database restarts for longer than a lease: the answers of a fleet of models are not paid twice."""
    asked, answered = asyncio.Event(), asyncio.Event()
    turns: list[int] = []

    class Slow:
        name = "acme:slow"

        async def answer(self, request: Request) -> Response:
            turns.append(len(request.messages))
            asked.set()
            await answered.wait()
            return Response("done")

    graph = Graph("asks", State, result="paid")
    graph.add_node("ask", Agent("asker", model=Slow(), prompt="Go."), writes="paid")
    graph.add_path(START, "ask", END)
    schema = postgres.partition("?schema=")[2]
    async with Runner(PostgresStore(proxy.address(schema), lease_seconds=LEASE_SECONDS)) as runner:
        run = runner.start(graph, run_id="r")
        await asked.wait()
        await late(runner, proxy)
        answered.set()
        result = await run.result()
        assert (result.status, len(turns)) == ("finished", 1)


async def test_a_process_that_this_host_shows_dead_is_not_waited_for(
    proxy: Proxy, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock on its file is free: it can act no more, and a lease of minutes is not waited for."""
    ledger, graph = Ledger(), paying(Once(reconcile=found), "node")
    monkeypatch.setattr(postgres_reads, "is_known_dead", lambda owner_id: True)
    async with hosts(proxy, postgres, ledger) as (a, b):
        a.start(graph, run_id="r")
        await ledger.until("a begin")
        proxy.freeze()
        result = await taken(b, graph)
        assert (result.status, result.output) == ("finished", "paid by b")
        assert await waited(b) == []


def test_only_a_free_lock_on_this_host_shows_a_death() -> None:
    """A file that is missing, of another host or of an id that is no file name, proves nothing."""
    owner, other = "0" * 31 + "a", "0" * 31 + "b"
    lock = owner_locks.lock_on_host(owner)
    assert lock is not None
    try:
        assert [owner_locks.is_known_dead(each) for each in (owner, other, "../x")] == [False, False, False]
        lock.let_go()
        assert owner_locks.is_known_dead(owner)
    finally:
        lock.folder.joinpath(f"{owner}.lock").unlink()


def test_a_process_that_was_suspended_renews_its_lease_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop that slept for an hour is not cut off: only what it has lost meanwhile is cancelled."""
    hours, said, renewed = [0.0], list[str](), threading.Event()
    monkeypatch.setattr(leases, "now", lambda: leases.Moment(hours[0], hours[0]))

    class Sleeper(leases.LeaseThread):
        def _turn(self, *, is_due: bool) -> bool:
            self._stopped.wait(0.2)  # far longer than the other thread looks
            if is_due:
                self.note_renewed(leases.now())
                renewed.set()
            return is_due

        def _disconnect(self) -> None:
            pass

    lease = Sleeper(0.4, said.append)
    lease.keep(threading.current_thread(), lambda: None)
    hours[0] += 3600.0
    assert renewed.wait(60)
    lease.stop()
    assert said == ["renewed"]


_STUCK = """
import threading
from graphengine.databases.leases import LeaseThread
class Stuck(LeaseThread):
    def _turn(self, *, is_due):
        self._stopped.wait(0.05)
        return is_due
    def _disconnect(self): pass
said = []
lease = Stuck(0.5, said.append, ends_process={ends})
lease.keep(threading.current_thread(), lambda: None)
{then}
"""


@pytest.mark.parametrize(
    ("ends", "then", "code"),
    [
        pytest.param(True, "threading.Event().wait()", CUT_OFF_EXIT, id="held"),
        pytest.param(True, "while not said: pass\nlease.obeyed()\nlease._watcher.join(1)", 0, id="obeyed"),
        pytest.param(False, "lease._watcher.join(1); print(said)", 0, id="without the switch"),
    ],
)
def test_a_process_whose_event_loop_is_held_ends_before_its_lease(ends: bool, then: str, code: int) -> None:  # noqa: FBT001
    """Nothing else can keep it from acting: the switch of workers says so, with an exit code of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _STUCK.format(ends=ends, then=then)], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert ("another process does the same" in done.stderr) is (code != 0)
