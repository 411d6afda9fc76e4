"""Tests of stores for waiting runs: their messages, their timers, and the runs that are due.

They are a part of `stores.StoreConformance`, whose module explains how to use the tests.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from graphengine.errors import LeaseLost, RunIsDriven, StoreError
from graphengine.kernel.store import Append
from graphengine.kernel.testing.kit import (
    StoreSuite,
    append,
    batch,
    branch,
    due_ids,
    let_time_pass,
    new_run,
    refused,
    run_info,
    scenario,
    step,
    waiting_run,
)

if TYPE_CHECKING:
    from graphengine.kernel.store import Status, Store

LATER: Final = 4e9
"""Epoch seconds, later than the store's clock during a test."""

LATEST: Final = 5e9

ENDED: Final[tuple[Status, ...]] = ("finished", "stopped", "failed")


class WaitingRuns(StoreSuite):
    """Tests of runs that wait: their messages, their timers, and the order in which workers find them."""

    # -- the inbox

    @scenario
    async def test_messages_wait_in_order_until_they_are_consumed(self, store: Store) -> None:
        """Test that messages are kept in the order of posting until an append of steps consumes them."""
        fence = await new_run(store)
        await new_run(store, "other")
        await store.post("r", "answer", {"ok": True}, "k1")
        await store.post("other", "stop", None, "k1")
        await store.post("r", "message", [1, "é"], "k2")
        assert [m.kind for m in await store.inbox(["other", "r"])] == ["answer", "stop", "message"]
        waiting = await store.inbox(["r", "unknown"])
        assert [(m.run_id, m.kind, m.payload) for m in waiting] == [
            ("r", "answer", {"ok": True}),
            ("r", "message", [1, "é"]),
        ]
        await append(store, Append("r", fence, [step(1)], "running", [waiting[0].id]))
        assert [m.kind for m in await store.inbox(["r", "other"])] == ["stop", "message"]
        assert list(await store.inbox([])) == []

    @scenario
    async def test_the_same_key_again_changes_nothing(self, store: Store) -> None:
        """Test that a message is ignored if it has the same key as an earlier message to the run.

        This also holds if the earlier message was consumed.
        """
        fence = await new_run(store)
        await new_run(store, "other")
        assert await store.post("r", "answer", 1, "k") is True
        assert await store.post("r", "message", 2, "k") is False  # whatever kind it is
        assert await store.post("other", "answer", 2, "k") is True
        waiting = await store.inbox(["r"])
        assert [m.payload for m in waiting] == [1]
        await append(store, Append("r", fence, [step(1)], "running", [waiting[0].id]))
        assert await store.post("r", "answer", 3, "k") is False
        assert list(await store.inbox(["r"])) == []
        assert await store.post("r", "answer", 4, "k2") is True
        assert await store.post("r", "answer", 5, "k2") is False
        assert [m.payload for m in await store.inbox(["r"])] == [4]

    @scenario
    async def test_a_message_can_be_the_only_one_of_its_kind_of_key(self, store: Store) -> None:
        """Test that with `alone="turn 1 "`, only one message whose key begins with `turn 1 ` can be posted.

        Later messages of this kind are ignored. If several callers post such messages at the same time, only one
        succeeds.
        """
        fence = await new_run(store)
        await new_run(store, "other")
        assert await store.post("r", "message", 1, "turn 10 a")
        posts = (store.post("r", "message", number, f"turn 1 {number}", "turn 1 ") for number in range(5))
        assert sorted(await asyncio.gather(*posts)) == [False] * 4 + [True]
        first, second = await store.inbox(["r"])
        await append(store, Append("r", fence, [step(1)], "running", [second.id]))
        assert await store.post("r", "message", 7, "turn 1 late", alone="turn 1 ") is False  # even if it was consumed
        assert await store.post("r", "message", 7, "turn 2 ", alone="turn 2 ") is True
        assert await store.post("other", "message", 7, "turn 1 late", alone="turn 1 ") is True
        assert [m.payload for m in await store.inbox(["r"])] == [first.payload, 7]

    @scenario
    async def test_the_keys_of_messages_are_kept(self, store: Store) -> None:
        """Test that `message_keys` returns the keys of a run's messages in the order of posting.

        Each key comes with the id of its message. The id is 0 once the message was consumed.
        """
        fence = await new_run(store)
        await new_run(store, "other")
        for run_id, key in (("r", "k2"), ("other", "k1"), ("r", "k1"), ("r", "k2")):
            await store.post(run_id, "message", 1, key)
        first, second = await store.inbox(["r"])
        assert [*(await store.message_keys("r")).items()] == [("k2", first.id), ("k1", second.id)]
        await append(store, Append("r", fence, [step(1)], "running", [first.id]))
        assert [*(await store.message_keys("r")).items()] == [("k2", 0), ("k1", second.id)]
        assert dict(await store.message_keys("unknown")) == {}
        for number in range(3, 9):
            await store.post("r", "message", 1, f"k{number}")
        assert [*await store.message_keys("r", 3)] == ["k6", "k7", "k8"]
        assert [*await store.message_keys("r", 99)] == [*await store.message_keys("r")]

    @scenario
    async def test_a_refused_batch_consumes_nothing(self, store: Store) -> None:
        """Test that if an append of steps is refused, the messages that it would have consumed stay in the run's inbox.

        A message also stays if an append to another run names it.
        """
        fence = await new_run(store)
        other = await new_run(store, "other")
        await store.post("r", "answer", 1, "k")
        (message,) = await store.inbox(["r"])
        with refused(LeaseLost):
            await append(store, Append("r", fence + 1, [step(1)], "running", [message.id]))
        with refused(StoreError):
            await append(store, Append("r", fence, [step(2)], "running", [message.id]))
        await append(store, Append("other", other, [step(1)], "running", [message.id]))
        assert list(await store.inbox(["r"])) == [message]

    @scenario
    async def test_a_run_without_a_driver_can_receive_messages(self, store: Store) -> None:
        """Test that a message can be posted to a run that no process drives.

        A branch does not inherit its parent's messages.
        """
        fence = await new_run(store, count=1)
        await append(store, batch("r", fence, [], "waiting"))
        await store.post("r", "answer", 1, "k")
        await branch(store, "child", "r", at=1)
        assert len(await store.inbox(["r"])) == 1
        assert list(await store.inbox(["child"])) == []

    @scenario
    async def test_a_batch_can_consume_several_messages(self, store: Store) -> None:
        """Test that an append of steps consumes exactly those messages of the run that it names.

        Unknown ids are ignored.
        """
        fence = await new_run(store)
        for n in range(5):
            await store.post("r", "message", n, f"k{n}")
        ids = [message.id for message in await store.inbox(["r"])]
        await append(store, Append("r", fence, [step(1)], "running", [ids[3], ids[0], ids[1]]))
        assert [m.payload for m in await store.inbox(["r"])] == [2, 4]
        await append(store, Append("r", fence, [step(2)], "waiting", [ids[0], ids[4], ids[-1] + 1000]))
        assert [m.payload for m in await store.inbox(["r"])] == [2]

    @scenario
    async def test_a_message_is_kept_whatever_the_status_of_its_run(self, store: Store) -> None:
        """Test that a message stays in the run's inbox until it is consumed, whatever the run does.

        The run may wait, be claimed by a process, or have ended.
        """
        await waiting_run(store)
        await store.post("r", "answer", 1, "k")
        for status in ("waiting", *ENDED):
            fence = await store.claim("r")
            await append(store, batch("r", fence, [], status))
            assert [m.payload for m in await store.inbox(["r"])] == [1]

    # -- timers

    @scenario
    async def test_a_waiting_run_has_a_timer(self, store: Store) -> None:
        """Test that the timer (`due_at`) of a waiting run stays until steps are appended.

        Claims and releases do not change it.
        """
        await waiting_run(store, due_at=7.5)
        assert (await store.info("r")).due_at == 7.5
        fence = await store.claim("r")
        assert (await store.load("r")).info.due_at == 7.5
        await store.release("r", fence)
        assert [info.due_at for info in await store.runs()] == [7.5]
        fence = await store.claim("r")
        await append(store, Append("r", fence, [step(2)], "running", due_at=8.5))
        assert (await store.info("r")).due_at is None

    @scenario
    async def test_each_wait_has_its_own_timer(self, store: Store) -> None:
        """Test that a run that waits again has the timer of the new wait, or no timer if the new wait has none.

        A run that ended has no timer.
        """
        await waiting_run(store, due_at=7.5)
        for due_at in (9.5, None, 3.25):
            await append(store, Append("r", await store.claim("r"), [], "waiting", due_at=due_at))
            assert (await store.info("r")).due_at == due_at
            assert await due_ids(store, 5.0) == (["r"] if due_at == 3.25 else [])
        for status in ENDED:
            await waiting_run(store, status, due_at=3.25)
            await append(store, Append(status, await store.claim(status), [], status, due_at=3.25))
            assert (await store.info(status)).due_at is None
        assert await due_ids(store, LATEST) == ["r"]

    @scenario
    async def test_a_run_can_be_created_waiting(self, store: Store) -> None:
        """Test that a run can be created with the status `waiting` and a timer.

        It can become due only after its creator releases it.
        """
        fence = await store.create(replace(run_info(), status="waiting", due_at=7.5), [], {})
        await store.create(replace(run_info("runs"), due_at=7.5), [], {})
        assert [(await store.info(run_id)).due_at for run_id in ("r", "runs")] == [7.5, None]
        assert await due_ids(store, LATEST) == []
        await store.release("r", fence)
        assert await due_ids(store, LATEST) == ["r"]

    @scenario
    async def test_a_timer_is_due_at_its_time(self, store: Store) -> None:
        """Test that a waiting run is due from the time of its timer on. Without a timer it is never due."""
        await waiting_run(store, due_at=10.5)
        await waiting_run(store, "endless")
        assert await due_ids(store, 10.25) == []
        assert await due_ids(store, 10.5) == ["r"]
        assert await due_ids(store, LATEST) == ["r"]

    # -- messages that make a run due

    @scenario
    async def test_a_message_makes_a_waiting_run_due(self, store: Store) -> None:
        """Test that a waiting run is due while it has a message in its inbox.

        A due run is one that a worker should continue. A message of the kind `stop` does not count.
        """
        for kind in ("answer", "message", "other", "stop"):
            await waiting_run(store, kind, due_at=LATER)
            await store.post(kind, kind, None, "k")
            let_time_pass()
        assert await due_ids(store, 0.0) == ["answer", "message", "other"]
        await store.post("stop", "stop", None, "k2")
        await store.post("stop", "answer", None, "k")  # a key that was used
        assert "stop" not in await due_ids(store, 0.0)
        await store.post("stop", "answer", None, "k3")
        assert await due_ids(store, 0.0) == ["answer", "message", "other", "stop"]

    @scenario
    async def test_a_message_that_came_before_the_wait_counts(self, store: Store) -> None:
        """Test that a run that begins to wait with a message in its inbox is due at once.

        A message of the kind `stop` does not count.
        """
        for kind in ("answer", "stop"):
            fence = await new_run(store, kind)
            await store.post(kind, kind, None, "k")
            assert kind not in await due_ids(store, LATEST)
            await append(store, batch(kind, fence, [step(1)], "waiting"))
        assert await due_ids(store, 0.0) == ["answer"]

    @scenario
    async def test_a_run_is_due_until_its_last_message_is_delivered(self, store: Store) -> None:
        """Test that a waiting run stays due until its last message is consumed.

        Posting a message again with the key of a consumed message does not make the run due.
        """
        await waiting_run(store)
        for n in range(3):
            await store.post("r", "message", n, f"k{n}")
        first, second, third = [message.id for message in await store.inbox(["r"])]
        await append(store, Append("r", await store.claim("r"), [step(2)], "waiting", [first]))
        assert await due_ids(store, 0.0) == ["r"]
        fence = await store.claim("r")
        await append(store, Append("r", fence, [step(3)], "running", [third]))
        await append(store, Append("r", fence, [step(4)], "waiting"))
        assert await due_ids(store, 0.0) == ["r"]
        await append(store, Append("r", await store.claim("r"), [step(5)], "waiting", [second]))
        for n in range(3):
            await store.post("r", "message", n, f"k{n}")
        assert await due_ids(store, 0.0) == []

    @scenario
    async def test_a_refused_batch_leaves_a_run_due(self, store: Store) -> None:
        """Test that a run stays due if an append of steps is refused.

        The refused append neither consumes a message nor sets a timer.
        """
        await waiting_run(store, "timer", due_at=5.0)
        await waiting_run(store)
        await store.post("r", "answer", 1, "k")
        (message,) = await store.inbox(["r"])
        fence = await store.claim("r")
        with refused(StoreError):
            await append(store, Append("r", fence, [step(7)], "waiting", [message.id], due_at=LATER))
        with refused(LeaseLost):
            await append(store, Append("timer", 1, [step(2)], "waiting", due_at=LATER))
        await store.release("r", fence)
        assert await due_ids(store, 5.0) == ["timer", "r"]

    # -- which runs are due

    @scenario
    async def test_a_running_run_without_a_driver_is_due(self, store: Store) -> None:
        """Test that a run with the status `running` is due as long as no process drives it.

        This is the case after its process has released it and before another process claims it.
        """
        fence = await new_run(store, count=1)
        assert await due_ids(store, LATEST) == []
        await store.release("r", fence)
        assert await due_ids(store, 0.0) == ["r"]
        fence = await store.claim("r")
        assert await due_ids(store, LATEST) == []
        await store.release("r", fence - 1)
        assert await due_ids(store, LATEST) == []
        await append(store, batch("r", fence, [step(2)], "finished"))
        assert await due_ids(store, LATEST) == []

    @scenario
    async def test_runs_of_a_closed_store_are_due(self, store: Store) -> None:
        """Test that closing a store releases its runs, so those that were running are due.

        Waiting runs are due as their timers say.
        """
        await new_run(store)
        await append(store, batch("ended", await new_run(store, "ended"), [step(1)], "finished"))
        await waiting_run(store, "waits", due_at=LATER)
        await waiting_run(store, "waits too", due_at=5.0)
        for run_id in ("ended", "waits", "waits too"):
            await store.claim(run_id)
        await store.close()
        await store.open()
        assert await due_ids(store, 10.0) == ["waits too", "r"]

    @scenario
    async def test_a_driven_run_is_not_due(self, store: Store) -> None:
        """Test that a run that a process drives is not due until it is released.

        Timers and messages do not change this.
        """
        await waiting_run(store, due_at=5.0)
        fence = await store.claim("r")
        await store.post("r", "answer", 1, "k")
        assert await due_ids(store, LATEST) == []
        await store.release("r", fence)
        assert await due_ids(store, 0.0) == ["r"]
        fence = await store.claim("r")
        await append(store, batch("r", fence, [step(2)]))
        await store.post("r", "answer", 2, "k2")
        assert await due_ids(store, LATEST) == []

    @scenario
    async def test_a_run_that_ended_is_not_due(self, store: Store) -> None:
        """Test that a run that has ended is never due, even if it gets messages, or is claimed and released again."""
        for status in ENDED:
            await waiting_run(store, status, due_at=5.0)
            await store.post(status, "message", 1, "k1")
            fence = await store.claim(status)
            await append(store, batch(status, fence, [step(2)], status))
            assert await due_ids(store, LATEST) == []
            await store.post(status, "message", 2, "k2")
            fence = await store.claim(status)
            await store.post(status, "message", 3, "k3")
            await store.release(status, fence)
        assert await due_ids(store, LATEST) == []

    @scenario
    async def test_due_returns_the_same_facts_as_info(self, store: Store) -> None:
        """Test that `due` returns the same information about runs as `info`, and claims none of them.

        The caller can claim the returned runs afterwards.
        """
        await waiting_run(store, due_at=5.0)
        await store.release("child", await branch(store, "child", "r", at=1, count=2))
        found = await store.due(10.0)
        assert list(await store.due(10.0)) == list(found)
        assert [(info.id, info.seq, info.due_at) for info in found] == [("r", 1, 5.0), ("child", 3, None)]
        for info in found:
            assert info == await store.info(info.id)
            await append(store, batch(info.id, await store.claim(info.id), [step(info.seq + 1)]))
        assert await due_ids(store, LATEST) == []

    # -- the order of due runs

    @scenario
    async def test_the_earliest_timer_comes_first(self, store: Store) -> None:
        """Test that `due` returns runs with timers in the order of their times, at most `limit` of them.

        Runs that a process drives are left out.
        """
        times = {"e": 5.0, "b": 2.5, "d": 4.0, "a": -1.0, "c": 3.0}
        for run_id, due_at in times.items():
            await waiting_run(store, run_id, due_at=due_at)
        for limit in (0, -1, 1, 3, 5, 10**30):
            assert await due_ids(store, 10.0, limit=limit) == list("abcde")[: max(limit, 0)]
        await store.claim("a")
        await store.claim("c")
        assert await due_ids(store, 10.0, limit=2) == ["b", "d"]

    @scenario
    async def test_due_returns_a_hundred_runs_by_default(self, store: Store) -> None:
        """Test that without `limit`, `due` returns at most 100 runs."""
        await asyncio.gather(*(waiting_run(store, f"r{n}", due_at=float(n)) for n in range(103)))
        assert [info.id for info in await store.due(1000.0)] == [f"r{n}" for n in range(100)]
        assert len(await store.due(1000.0, limit=200)) == 103

    @scenario
    async def test_due_returns_only_runs_of_the_named_graphs(self, store: Store) -> None:
        """Test that `due` leaves out runs of graphs that the caller does not name.

        These runs do not count towards the limit either.
        """
        for n, graph in enumerate(["other", "g", "other", "h", "g"]):
            fence = await new_run(store, f"{n}", graph=graph)
            await append(store, Append(f"{n}", fence, [step(1)], "waiting", due_at=float(n)))
        for run_id, graph in (("left", "g"), ("left too", "other")):
            await store.release(run_id, await new_run(store, run_id, graph=graph))
        await store.post("2", "message", 1, "k")
        wanted = [info.id for info in await store.due(10.0, limit=3, graphs=["g", "h"])]
        assert wanted == ["1", "3", "4"]
        assert [info.id for info in await store.due(10.0, graphs=["g"])] == ["1", "4", "left"]
        assert list(await store.due(10.0, graphs=[])) == []

    @scenario
    async def test_the_oldest_message_comes_first(self, store: Store) -> None:
        """Test that `due` sorts runs with messages by the time of their oldest message.

        It does not matter how many messages arrived later.
        """
        for run_id in "abcd":
            await waiting_run(store, run_id)
        await store.post("b", "stop", None, "k")
        for n, run_id in enumerate("cacdbc"):
            let_time_pass()
            await store.post(run_id, "message", n, f"k{n}")
        assert await due_ids(store, 0.0) == ["c", "a", "d", "b"]
        oldest = (await store.inbox(["c"]))[0]
        await append(store, Append("c", await store.claim("c"), [step(2)], "waiting", [oldest.id]))
        assert await due_ids(store, 0.0) == ["a", "c", "d", "b"]

    @scenario
    async def test_released_runs_come_in_the_order_of_their_release(self, store: Store) -> None:
        """Test that `due` sorts released runs by the time of their release.

        A second release without a new claim does not count.
        """
        fences = {run_id: await new_run(store, run_id) for run_id in "abcd"}
        for run_id in "cadbca":
            await store.release(run_id, fences[run_id])
            let_time_pass()
        assert await due_ids(store, 0.0) == ["c", "a", "d", "b"]
        await store.release("c", await store.claim("c"))
        assert await due_ids(store, 0.0, limit=2) == ["a", "d"]
        assert await due_ids(store, 0.0) == ["a", "d", "b", "c"]

    @scenario
    async def test_the_longest_due_run_comes_first_whatever_the_reason(self, store: Store) -> None:
        """Test that `due` sorts runs by the time since when they are due, whatever the reason.

        The reason can be a timer, a message or a release. A run that is due for two reasons is placed by the reason
        that came first.
        """
        for run_id, due_at in (("late", LATER), ("both", 3.0), ("early", 2.0), ("soon", LATER), ("answered", None)):
            await waiting_run(store, run_id, due_at=due_at)
        left = await new_run(store, "left")
        await store.post("soon", "message", 1, "k")
        let_time_pass()
        await store.release("left", left)
        let_time_pass()
        await store.post("answered", "answer", 1, "k")
        await store.post("both", "answer", 1, "k")
        expected = ["early", "both", "soon", "left", "answered", "late"]
        assert await due_ids(store, LATEST) == expected
        for limit in range(7):
            assert await due_ids(store, LATEST, limit=limit) == expected[:limit]

    # -- two processes

    @scenario
    async def test_runs_of_a_dead_process_come_first(self, store: Store) -> None:
        """Test that `due` returns runs whose process has died before all other runs.

        They come even before runs that are due for longer.
        """
        await store.release("first", await new_run(store, "first"))
        await waiting_run(store, "timer", due_at=2.0)
        await waiting_run(store, "asks")
        await store.post("asks", "answer", 1, "k")
        second = await self.open_second(store)
        await new_run(second, "cut off", count=3)
        await second.claim("timer")
        let_time_pass()
        try:
            await self.abandon_store(second)
        finally:
            await second.close()
        assert await due_ids(store, LATEST) == ["cut off", "timer", "first", "asks"]
        assert await due_ids(store, LATEST, limit=1) == ["cut off"]

    @scenario
    async def test_another_process_finds_due_runs(self, store: Store) -> None:
        """Test that a run that waits in one process can be found and claimed by another process.

        After that, `due` no longer returns the run in either process.
        """
        await waiting_run(store, due_at=5.0)
        await waiting_run(store, "asks")
        second = await self.open_second(store)
        try:
            await second.post("asks", "answer", 1, "k")
            assert await due_ids(store, 10.0) == await due_ids(second, 10.0) == ["r", "asks"]
            for run_id in ("r", "asks"):
                fence = await second.claim(run_id)
                with refused(RunIsDriven):
                    await store.claim(run_id)
                assert run_id not in await due_ids(store, 10.0) + await due_ids(second, 10.0)
                await append(second, batch(run_id, fence, [step(2)]))
            assert await due_ids(store, 10.0) == await due_ids(second, 10.0) == []
        finally:
            await second.close()
        assert set(await due_ids(store, 10.0)) == {"r", "asks"}
