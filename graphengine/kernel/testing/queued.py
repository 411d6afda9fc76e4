"""Tests of stores for queues: which runs a worker gets, and what a list shows of a run.

They are a part of `stores.StoreConformance`, whose module explains how to use the tests.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from graphengine.errors import LeaseLost
from graphengine.kernel.store import Append, ClaimQuery, QueueCount, QueueLimits, StoredSchedule, Summary
from graphengine.kernel.testing.kit import (
    StoreSuite,
    append,
    batch,
    due_ids,
    new_run,
    refused,
    run_info,
    same,
    scenario,
    step,
    waiting_run,
)

if TYPE_CHECKING:
    from graphengine.kernel.store import Store

SUMMARY: Final = Summary("approved", "end", cost_usd=0.25, tokens=70, visits=3, seconds=1.5)


class QueuedRuns(StoreSuite):
    """Tests of queues: which runs a worker gets, how limits and pauses apply, and what lists show of a run."""

    # -- summaries

    @scenario
    async def test_a_summary_is_written_with_a_change_of_status(self, store: Store) -> None:
        """Test that a new run has no summary.

        After a summary was appended with steps, every list shows the last one.
        """
        fence = await new_run(store, count=1)
        assert (await store.info("r")).summary is None
        waits = Summary("Publish it?", "ask", waits=2, cost_usd=None, tokens=9)
        await append(store, Append("r", fence, [step(2)], "waiting", summary=waits))
        assert (await store.info("r")).summary == waits
        fence = await store.claim("r")
        await append(store, Append("r", fence, [step(3)], "running", summary=Summary(tokens=9)))
        assert [info.summary for info in await store.runs()] == [Summary(tokens=9)]
        await append(store, batch("r", fence, [step(4)]))
        assert [info.summary for info in await store.infos(["r"])] == [Summary(tokens=9)]
        await append(store, Append("r", fence, [step(5)], "finished", summary=SUMMARY))
        assert (await store.load("r")).info.summary == SUMMARY
        assert (await store.info("r")).summary == SUMMARY

    @scenario
    async def test_a_refused_batch_leaves_the_summary(self, store: Store) -> None:
        """Test that if an append of steps is refused, the run's summary does not change.

        This also holds if the store writes the refused append together with others.
        """
        fence = await new_run(store, count=1)
        other = await new_run(store, "other", count=1)
        with refused(LeaseLost):
            await append(store, Append("r", fence + 1, [step(2)], "finished", summary=SUMMARY))
        pending = store.append(Append("other", other, [step(2)], "finished", summary=SUMMARY))
        with refused(LeaseLost):
            await append(store, Append("r", fence + 1, [step(2), step(3)], "finished", summary=SUMMARY))
        if pending is not None:
            await pending
        assert (await store.info("r")).summary is None
        assert (await store.info("other")).summary == SUMMARY

    @scenario
    async def test_a_run_can_be_created_with_a_summary(self, store: Store) -> None:
        """Test that a run that waits from its first step on can be created with a summary."""
        await store.create(replace(run_info(), status="waiting", summary=SUMMARY), [step(1)], {"nodes": []})
        assert (await store.info("r")).summary == SUMMARY

    # -- queues

    @scenario
    async def test_a_run_has_the_queue_it_was_created_in(self, store: Store) -> None:
        """Test that a run keeps its queue, priority and tenant. By default it is in the queue `default`."""
        await store.create(replace(run_info(), queue="mail", priority=-3, tenant="tenant"), [step(1)], {"nodes": []})
        await new_run(store, "other")
        info, other = await store.info("r"), await store.info("other")
        assert (info.queue, info.priority, info.tenant, info.queued) == ("mail", -3, "tenant", False)
        assert (other.queue, other.priority, other.tenant, other.queued) == ("default", 0, None, False)
        assert info.driver is not None

    @scenario
    async def test_a_queued_run_has_no_driver(self, store: Store) -> None:
        """Test that no process drives a queued run until a process claims it. The run is due from the beginning.

        After the claim, the run is no longer queued.
        """
        info = replace(run_info(), queued=True, queue="mail")
        assert await store.create(info, [step(1)], {"nodes": []}) == 0
        found = await store.info("r")
        assert (found.queued, found.status, found.driver, found.held) == (True, "running", None, False)
        assert await due_ids(store, 0.0) == ["r"]
        with refused(LeaseLost):
            await append(store, batch("r", 0, [step(2)]))
        fence = await store.claim("r")
        assert fence > 0
        found = await store.info("r")
        assert (found.queued, found.driver is not None, found.queue) == (False, True, "mail")
        await append(store, batch("r", fence, [step(2)]))
        assert await due_ids(store, 0.0) == []
        await store.release("r", fence)
        assert (await store.info("r")).queued is False

    # -- taking runs

    @scenario
    async def test_a_queued_run_is_taken_once(self, store: Store) -> None:
        """Test that a worker that takes a run drives the run from then on.

        The worker receives the run's information, fence, log and messages.
        """
        await queue_run(store, "r")
        await store.post("r", "message", {"topic": "t", "payload": 1}, "k")
        (taken,) = await store.take(pick())
        assert (taken.info.id, taken.info.queued, taken.info.driver, taken.info.seq) == ("r", True, None, 1)
        assert taken.fence is not None
        assert taken.loaded is not None
        assert (taken.loaded.snapshot, same(taken.loaded.steps, [step(1)])) == (None, True)
        assert [message.payload for message in taken.inbox] == [{"topic": "t", "payload": 1}]
        assert list(await store.take(pick())) == []
        info = await store.info("r")
        assert (info.queued, info.driver is not None) == (False, True)
        await append(store, batch("r", taken.fence, [step(2)], "finished"))
        assert list(await store.take(pick())) == []
        assert (await store.info("r")).status == "finished"

    @scenario
    async def test_runs_that_are_due_are_taken(self, store: Store) -> None:
        """Test that `take` gives a worker runs that were released, whose timer is due, or that received an answer.

        It does not give runs that another process drives, or that wait for something that has not come.
        """
        await waiting_run(store, "later", due_at=2e9)
        await waiting_run(store, "due", due_at=5.0)
        await waiting_run(store, "asked")
        await store.post("asked", "answer", 1, "k")
        await waiting_run(store, "silent")
        await store.post("silent", "stop", None, "k")
        await new_run(store, "driven")
        await store.release("released", await new_run(store, "released", count=1))
        taken = await store.take(pick(now=10.0))
        assert {each.info.id: each.info.status for each in taken} == {
            "due": "waiting",
            "asked": "waiting",
            "released": "running",
        }
        assert not any(each.info.queued for each in taken)

    @scenario
    async def test_only_what_is_picked_is_taken(self, store: Store) -> None:
        """Test that `take` gives a worker only runs of its graphs and queues, at most `limit` of them.

        It leaves out the runs that the worker names in `aside`.
        """
        for number, (queue, graph) in enumerate([("a", "g"), ("a", "h"), ("b", "g")]):
            await queue_run(store, f"{queue}{graph}", queue=queue, graph=graph, created_at=float(number))
        assert await ids(store, pick(graphs=["h"], queues=["b"])) == []
        assert await ids(store, pick(graphs=["h"])) == ["ah"]
        assert await ids(store, pick(queues=["b", "other"])) == ["bg"]
        assert await ids(store, pick(aside=["ag"])) == []
        assert await ids(store, pick(limit=0)) == []
        assert await ids(store, pick(limit=1)) == ["ag"]

    @scenario
    async def test_priority_then_what_was_begun_then_the_order_of_arrival(self, store: Store) -> None:
        """Test that runs are taken by priority.

        Of equal priority, runs that were driven before come first, then the oldest.
        """
        for number in range(3):
            await queue_run(store, f"r{number}")
        await queue_run(store, "urgent", priority=7)
        await queue_run(store, "lazy", priority=-1)
        await store.release("begun", await new_run(store, "begun", count=1))
        assert await ids(store, pick(limit=4)) == ["urgent", "begun", "r0", "r1"]
        assert await ids(store, pick()) == ["r2", "lazy"]

    @scenario
    async def test_priority_counts_among_runs_that_were_driven(self, store: Store) -> None:
        """Test that among runs that were driven before, those with the highest priority are taken first.

        These are waiting runs and released runs. Of equal priority, the run that is due for the longest time comes
        first.
        """
        due = {"low": None, "high": None, "early": 3.0, "both": 4.0, "late": 5.0}
        for name, due_at in due.items():
            info = replace(run_info(name), priority=9 * (name in ("high", "late")))
            fence = await store.create(info, [step(1)], {"nodes": []})
            if due_at is None:
                await store.release(name, fence)
            else:
                await append(store, Append(name, fence, [], "waiting", due_at=due_at))
        await store.post("both", "answer", 1, "k")
        taken = [await ids(store, pick(limit=1)) for _ in due]
        assert taken == [["late"], ["high"], ["early"], ["both"], ["low"]]

    @scenario
    async def test_tenants_take_turns(self, store: Store) -> None:
        """Test that the tenants of a queue take turns.

        So a tenant with few runs need not wait for all runs of another tenant. A tenant whose first run arrives later
        joins the current round: it does not get extra turns for earlier rounds.
        """
        for number in range(4):
            await queue_run(store, f"a{number}", tenant="a")
        for number in range(2):
            await queue_run(store, f"b{number}", tenant="b")
        assert await ids(store, pick(limit=4)) == ["a0", "b0", "a1", "b1"]
        await queue_run(store, "c0", tenant="c")
        await queue_run(store, "c1", tenant="c")
        assert await ids(store, pick()) == ["a2", "c0", "a3", "c1"]

    @scenario
    async def test_queues_take_turns(self, store: Store) -> None:
        """Test that queues take turns, so that a short queue does not wait for a long one."""
        for number in range(4):
            await queue_run(store, f"a{number}", queue="a")
        await queue_run(store, "b0", queue="b")
        assert await ids(store, pick(limit=3)) == ["a0", "b0", "a1"]

    @scenario
    async def test_queues_take_turns_if_one_run_is_taken_at_a_time(self, store: Store) -> None:
        """Test that queues take turns even if a worker takes only one run at a time.

        Whenever one run has ended, the worker gets the next run from the next queue in turn.
        """
        for number in range(3):
            await queue_run(store, f"a{number}", queue="a")
            await queue_run(store, f"b{number}", queue="b")
        taken = [await ids(store, pick(limit=1, taken_before=number)) for number in range(4)]
        assert taken == [["a0"], ["b0"], ["a1"], ["b1"]]

    @scenario
    async def test_a_queue_drives_no_more_than_its_concurrency(self, store: Store) -> None:
        """Test that workers never drive more runs of a queue at the same time than the queue's `concurrency`.

        When one of these runs ends or waits, another one can be taken.
        """
        await store.limit_queue("mail", QueueLimits(concurrency=2))
        for number in range(4):
            await queue_run(store, f"r{number}", queue="mail")
        await queue_run(store, "free", queue="other")
        taken = await store.take(pick())
        assert sorted(each.info.id for each in taken) == ["free", "r0", "r1"]
        assert await ids(store, pick()) == []
        fences = {each.info.id: each.fence or 0 for each in taken}
        await append(store, batch("r0", fences["r0"], [step(2)], "waiting"))
        assert await ids(store, pick()) == ["r2"]
        await store.limit_queue("mail", None)
        assert await ids(store, pick()) == ["r3"]
        assert await store.queue_limits() == {}

    @scenario
    async def test_nothing_is_taken_from_a_paused_queue(self, store: Store) -> None:
        """Test that no run of a paused queue is taken, whether it is new or due.

        The runs are taken when the pause ends.
        """
        await store.limit_queue("mail", QueueLimits(concurrency=5, paused=True))
        await queue_run(store, "new", queue="mail")
        await store.create(replace(run_info("begun"), queue="mail"), [step(1)], {"nodes": []})
        await store.release("begun", 1)
        await queue_run(store, "free", queue="other")
        assert await ids(store, pick()) == ["free"]
        await store.limit_queue("mail", QueueLimits(concurrency=5))
        assert await ids(store, pick()) == ["begun", "new"]

    @scenario
    async def test_nothing_is_taken_of_a_paused_tenant(self, store: Store) -> None:
        """Test that no run of a paused tenant is taken, whether it is new or due. Runs of other tenants are taken."""
        await store.limit_queue("mail", QueueLimits(tenant_concurrency=5))
        for queue in ("mail", "free"):
            for tenant in ("acme", "zeta", None):
                await queue_run(store, f"{queue} {tenant}", queue=queue, tenant=tenant)
            begun = replace(run_info(f"{queue} begun"), queue=queue, tenant="acme")
            await store.create(begun, [step(1)], {"nodes": []})
            await store.release(begun.id, 1)
        assert sorted(await ids(store, pick(paused_tenants=["acme"]))) == [
            "free None",
            "free zeta",
            "mail None",
            "mail zeta",
        ]
        assert sorted(await ids(store, pick())) == ["free acme", "free begun", "mail acme", "mail begun"]

    @scenario
    async def test_a_key_has_no_more_than_its_concurrency(self, store: Store) -> None:
        """Test that a tenant never has more running runs than `tenant_concurrency` allows.

        While the limit is reached, only runs of other tenants are taken. Runs without a tenant have no such limit.
        """
        limits = QueueLimits(tenant_concurrency=1)
        await store.limit_queue("mail", limits)
        assert await store.queue_limits() == {"mail": limits}
        for number in range(3):
            await queue_run(store, f"a{number}", queue="mail", tenant="a")
        await queue_run(store, "b0", queue="mail", tenant="b")
        await queue_run(store, "n0", queue="mail")
        await queue_run(store, "n1", queue="mail")
        taken = await store.take(pick())
        assert {each.info.id for each in taken} == {"a0", "b0", "n0", "n1"}
        fences = {each.info.id: each.fence or 0 for each in taken}
        await append(store, batch("a0", fences["a0"], [step(2)], "finished"))
        assert await ids(store, pick()) == ["a1"]

    @scenario
    async def test_a_rate_limits_what_begins(self, store: Store) -> None:
        """Test that with `rate=(2, 10.0)`, at most two runs of a queue begin within ten seconds, also after a pause.

        Runs that were driven before do not count. The rate still works after the clock was set back.
        """
        await store.limit_queue("mail", QueueLimits(rate=(2, 10.0)))
        for number in range(8):
            await queue_run(store, f"r{number}", queue="mail")
        await store.create(replace(run_info("begun"), queue="mail"), [step(1)], {"nodes": []})
        await store.release("begun", 1)
        assert await ids(store, pick(now=1000.0)) == ["begun", "r0", "r1"]
        assert await ids(store, pick(now=1004.0)) == []
        assert await ids(store, pick(now=1009.0)) == []
        assert await ids(store, pick(now=1010.0)) == ["r2"]
        assert await ids(store, pick(now=1014.0)) == []
        assert await ids(store, pick(now=1015.0)) == ["r3"]
        assert await ids(store, pick(now=1025.0)) == ["r4", "r5"]
        assert await ids(store, pick(now=500.0)) == ["r6", "r7"]
        assert await ids(store, pick(now=501.0)) == []

    @scenario
    async def test_a_rate_of_a_key_leaves_other_keys_alone(self, store: Store) -> None:
        """Test that with a rate for each tenant, a tenant that has used up its rate does not hold back others."""
        await store.limit_queue("mail", QueueLimits(tenant_rate=(1, 10.0)))
        for number in range(2):
            for tenant in "ab":
                await queue_run(store, f"{tenant}{number}", queue="mail", tenant=tenant)
        assert await ids(store, pick(now=1000.0)) == ["a0", "b0"]
        assert await ids(store, pick(now=1001.0)) == []
        assert await ids(store, pick(now=1010.0, limit=1)) == ["a1"]
        assert await ids(store, pick(now=1010.0)) == ["b1"]

    @scenario
    async def test_what_is_queued_and_driven_is_counted(self, store: Store) -> None:
        """Test that the store counts the queued and the driven runs of each queue.

        It also lists the processes, each with the runs that it drives.
        """
        await queue_run(store, "a0", queue="a")
        await queue_run(store, "a1", queue="a")
        await queue_run(store, "b0", queue="b")
        await store.take(pick(queues=["a"], limit=1))
        assert list(await store.queue_counts()) == [QueueCount("a", 1, 1), QueueCount("b", 1, 0)]
        await store.set_role({"queues": ["a"], "concurrency": 3})
        (owner,) = await store.owners()
        assert (owner.id, owner.runs, owner.driven) == ((await store.info("a0")).driver, ["a0"], 1)
        assert owner.role == {"queues": ["a"], "concurrency": 3}
        assert owner.pid == os.getpid()

    @scenario
    async def test_no_run_is_taken_twice(self, store: Store) -> None:
        """Test that if two processes call `take` at the same time, no run is given to both.

        Together they get all runs.
        """
        second = await self.open_second(store)
        try:
            for number in range(40):
                await queue_run(store, f"r{number:02}", tenant=f"{number % 3}")
            found: list[str] = []
            for _ in range(30):
                both = await asyncio.gather(store.take(pick(limit=3)), second.take(pick(limit=3)))
                found += [each.info.id for taken in both for each in taken]
            assert sorted(found) == [f"r{number:02}" for number in range(40)]
        finally:
            await second.close()

    @scenario
    async def test_limits_hold_over_processes(self, store: Store) -> None:
        """Test that if two processes take runs at the same time, they never exceed the limits of a queue together."""
        most = 3
        second = await self.open_second(store)
        try:
            await store.limit_queue("mail", QueueLimits(concurrency=most, tenant_concurrency=2))
            for number in range(12):
                await queue_run(store, f"r{number:02}", queue="mail", tenant=f"{number % 2}")
            both = await asyncio.gather(*(each.take(pick(limit=2)) for each in (store, second) for _ in range(3)))
            assert len([each for taken in both for each in taken]) == most
        finally:
            await second.close()

    @scenario
    async def test_the_runs_of_a_dead_process_are_offered(self, store: Store) -> None:
        """Test that runs whose process has died are offered to workers first, even if their queue is at its limit.

        Unlike other runs, the worker still has to claim them. Runs that the dead process had only queued are taken like
        others.
        """
        second = await self.open_second(store)
        await second.limit_queue("default", QueueLimits(concurrency=1))
        await queue_run(second, "r0", tenant="acme")
        await queue_run(second, "r1", tenant="acme")
        await second.take(pick(limit=1))
        await self.abandon_store(second)
        while not (taken := await store.take(pick())):  # noqa: ASYNC110 - the death is not announced here
            await asyncio.sleep(0.01)
        (first,) = taken
        assert (first.info.id, first.fence, first.info.held, first.info.driver) == ("r0", None, True, None)
        assert await ids(store, pick(aside=["r0"])) == [], "it keeps its place, also while it is being claimed"
        assert await ids(store, pick(graphs=["other"])) == []
        assert await ids(store, pick(paused_tenants=["acme"])) == [], "a pause of its tenant holds it too"
        await store.limit_queue("default", QueueLimits(paused=True))
        assert await ids(store, pick()) == [], "a pause holds them too"
        await store.limit_queue("default", QueueLimits(concurrency=1))
        assert await ids(store, pick(aside=["r0"], refused=["r0"])) == ["r1"]
        assert await store.claim("r0") > 0

    # -- schedules

    @scenario
    async def test_schedules_are_kept_by_name(self, store: Store) -> None:
        """Test that a schedule replaces an earlier schedule of the same name, and that schedules survive a restart.

        The store is closed and opened again.
        """
        first, second = (
            StoredSchedule("b", {"cron": "* * * * *"}, 60.0),
            StoredSchedule("a", {"tags": ["é"]}, float("inf")),
        )
        await store.keep_schedule(first._replace(body={}))
        await store.keep_schedule(first)
        await store.keep_schedule(second)
        await store.close()
        await store.open()
        assert list(await store.schedules()) == [second, first]
        assert await store.drop_schedule("a") is True
        assert await store.drop_schedule("a") is False
        assert list(await store.schedules()) == [first]

    @scenario
    async def test_a_schedule_is_moved_by_the_first(self, store: Store) -> None:
        """Test that if two workers try to move a schedule to its next time, only the first of them changes it."""
        schedule = StoredSchedule("a", {}, 60.0)
        await store.keep_schedule(schedule)
        await store.move_schedule("a", 60.0, 120.0)
        await store.move_schedule("a", 60.0, 180.0)
        await store.move_schedule("unknown", 60.0, 180.0)
        assert list(await store.schedules()) == [schedule._replace(next_at=120.0)]


async def queue_run(  # noqa: PLR0913 - what a run is queued with
    store: Store,
    run_id: str,
    *,
    queue: str = "default",
    priority: int = 0,
    tenant: str | None = None,
    graph: str = "g",
    created_at: float = 100.0,
) -> None:
    info = replace(run_info(run_id, graph=graph, created_at=created_at), queued=True)
    await store.create(replace(info, queue=queue, priority=priority, tenant=tenant), [step(1)], {"nodes": []})


def pick(now: float = 1e9, limit: int = 100, **only: Any) -> ClaimQuery:
    return ClaimQuery(now, limit, **only)


async def ids(store: Store, wanted: ClaimQuery) -> list[str]:
    """Take runs, and return their ids in the order in which they were taken."""
    return [each.info.id for each in await store.take(wanted)]
