"""Requirements for stores about queues: which runs a worker gets, and what a list shows of a run.

Part of the suite in `conformance.py`, which explains how to use it.
"""
# ruff: noqa: S101  # these are tests, though they are part of the product

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from graphengine.errors import LeaseLost
from graphengine.stores.base import Append, Summary
from graphengine.testing.store_kit import StoreSuite, append, batch, due_ids, new_run, refused, run_info, scenario, step

if TYPE_CHECKING:
    from graphengine.stores.base import Store

SUMMARY: Final = Summary("approved", "end", cost_usd=0.25, tokens=70, visits=3, seconds=1.5)


class QueuedRuns(StoreSuite):
    """Tests of queues and summaries."""

    # -- summaries

    @scenario
    async def test_a_summary_is_written_with_a_change_of_status(self, store: Store) -> None:
        """A run has no summary at first, and afterwards the last one that was appended, in every list."""
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
        """Of several batches only those that are recorded change a summary."""
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
        """A run that waits from its first step on has one."""
        await store.create(replace(run_info(), status="waiting", summary=SUMMARY), [step(1)], {"nodes": []})
        assert (await store.info("r")).summary == SUMMARY

    # -- queues

    @scenario
    async def test_a_run_has_the_queue_it_was_created_in(self, store: Store) -> None:
        """Queue, priority and key are kept; without any it is the default queue."""
        await store.create(replace(run_info(), queue="mail", priority=-3, key="tenant"), [step(1)], {"nodes": []})
        await new_run(store, "other")
        info, other = await store.info("r"), await store.info("other")
        assert (info.queue, info.priority, info.key, info.queued) == ("mail", -3, "tenant", False)
        assert (other.queue, other.priority, other.key, other.queued) == ("default", 0, None, False)
        assert info.driver is not None

    @scenario
    async def test_a_queued_run_has_no_driver(self, store: Store) -> None:
        """It is due at once, and whoever claims it drives it; from then on it is not queued."""
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
