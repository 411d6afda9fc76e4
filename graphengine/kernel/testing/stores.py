"""The requirements of the `Store` protocol, as tests for any store.

Subclass `StoreConformance`, define how an empty store is made, and let pytest collect the subclass:

    class TestMyStore(StoreConformance):
        async def make_store(self) -> Store:
            return MyStore(...)

Each test is a plain function that runs an event loop of its own, so no plugin is needed. Tests with two processes are
skipped unless `make_second_store` is defined too. Tests of waiting runs and their messages are in `waiting.py`, tests
of tags and removed runs in `growing.py`, and tests of queues in `queued.py`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from msgspec import structs
from msgspec.structs import replace

from graphengine.errors import (
    GraphEngineError,
    LeaseLost,
    RunExists,
    RunIsDriven,
    RunnerClosed,
    StoreError,
    TreeStopped,
    UnknownRun,
    UnknownStep,
)
from graphengine.kernel.inside import to_show
from graphengine.kernel.reader import Decided, Failed, FailureRecord, Step
from graphengine.kernel.store import Append, Page, Post, RunInfo, Summary
from graphengine.kernel.testing.growing import GrowingStores
from graphengine.kernel.testing.kit import (
    SnapshotProbe,
    append,
    batch,
    branch,
    covers,
    new_run,
    refused,
    run_info,
    same,
    scenario,
    seqs,
    step,
    steps,
)
from graphengine.kernel.testing.queued import QueuedRuns
from graphengine.kernel.testing.waiting import WaitingRuns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import GraphSpec
    from graphengine.kernel.store import Status, StopMark, Store

MANY_STEPS: Final = 1200
"""Enough steps for several snapshots."""


class StoreConformance(GrowingStores, QueuedRuns, WaitingRuns):
    """All tests that a store has to pass. A subclass defines how the store under test is made.

    Attributes:
        vacuum_adds: How many bytes `vacuum` may add to the store for its maps of free space; 0 unless a subclass sets
            it.
    """

    # -- opening and closing

    @scenario
    async def test_open_and_close_are_idempotent(self, store: Store) -> None:
        """Test that opening an open store and closing a closed one change nothing."""
        await new_run(store, count=1)
        await store.open()
        assert (await store.info("r")).seq == 1
        await store.close()
        await store.close()

    @scenario
    async def test_a_closed_store_refuses_work(self, store: Store) -> None:
        """Test that every method of a closed store raises RunnerClosed."""
        fence = await new_run(store)
        await store.close()
        asked: Sequence[Callable[[], Awaitable[object]]] = (
            lambda: append(store, batch("r", fence, [step(1)])),
            lambda: new_run(store, "other"),
            lambda: store.claim("r"),
            lambda: store.info("r"),
            lambda: store.infos(["r"]),
            lambda: store.moved({"r": 1}),
            store.change_token,
            store.counts,
            lambda: store.ids(""),
            lambda: store.load("r"),
            lambda: store.steps("r"),
            store.runs,
            lambda: store.branches(["r"]),
            lambda: store.graph_spec("f1"),
            lambda: store.code("c1"),
            lambda: store.due(0.0),
            lambda: store.limit_queue("q", None),
            store.queue_limits,
            store.queue_counts,
            lambda: store.drop_schedule("s"),
            store.schedules,
            lambda: store.move_schedule("s", 0.0, 1.0),
            lambda: store.set_role({}),
            store.owners,
            lambda: store.post("r", "answer", 1, "key"),
            lambda: store.inbox(["r"]),
            lambda: store.ended("finished"),
        )
        for ask in asked:
            with refused(RunnerClosed):
                await ask()

    # -- runs and their facts

    @scenario
    async def test_a_new_run_has_the_facts_it_was_created_with(self, store: Store) -> None:
        """Test that after `create`, `info` returns the information that was passed to it.

        In addition it returns the number and time of the last step, and the process that drives the run.
        """
        await new_run(store, count=3, created_at=50.5)
        info = await store.info("r")
        assert info.driver is not None
        expected = RunInfo("r", "g", "f1", "running", 3, 50.5, 103.0, driver=info.driver, held=True)
        assert info == replace(expected, began_with="f1")

    @scenario
    async def test_a_run_keeps_how_it_began(self, store: Store) -> None:
        """Test that a run keeps the title, user, deploy, starter, root and depth with which it was created.

        Its `began_with` is the fingerprint of its first graph, unless the creator passes another value.
        """
        options: dict[str, Any] = {"title": 'Tides \\ "', "user": "ada", "deploy": "v7"}
        options |= {"starter": "p", "root": "top", "depth": 2}
        for run_id, first in (("r", ""), ("s", "f0")):
            info = replace(run_info(run_id), **options, began_with=first)
            fence = await store.create(info, [step(1)], {"nodes": []})
            await append(store, Append(run_id, fence, [], "running", fingerprint="f2"))
            kept = await store.info(run_id)
            assert {name: getattr(kept, name) for name in options} == options
            assert (kept.began_with, kept.fingerprint) == (first or "f1", "f2")

    @scenario
    async def test_a_run_has_ended_at_its_last_step_until_it_is_resumed(self, store: Store) -> None:
        """Test that `ended_at` is the time of the step with which the run ended; None while the run runs or waits."""
        fence = await new_run(store, count=1)
        assert (await store.info("r")).ended_at is None
        await append(store, Append("r", fence, [step(2, at=7.25)], "waiting"))
        assert (await store.info("r")).ended_at is None
        fence = await store.claim("r")
        await append(store, Append("r", fence, [step(3, at=9.5)], "failed", summary=Summary(cost_usd=0.5)))
        assert (await store.info("r")).ended_at == 9.5
        fence = await store.claim("r")
        await append(store, Append("r", fence, [step(4, at=11.0)], "running"))
        assert (await store.info("r")).ended_at is None
        await append(store, Append("r", fence, [], "finished"))
        assert (await store.info("r")).ended_at == 11.0
        await store.create(replace(run_info("s"), status="finished"), [step(1, at=3.5)], {"nodes": []})
        assert (await store.info("s")).ended_at == 3.5

    @scenario
    async def test_runs_are_found_by_user_and_by_the_run_that_started_them(self, store: Store) -> None:
        """Test that runs can be selected by their user and by the run that started them.

        Both filters can be combined with other filters.
        """
        for number, (user, starter) in enumerate(
            [("ada", None), ("bob", "p"), ("ada", "p"), (None, "q"), ("ada", "p")]
        ):
            new_run_info = replace(run_info(f"r{number}", created_at=float(number)), user=user, starter=starter)
            await store.create(replace(new_run_info, tags=("x",) if number == 2 else ()), [step(1)], {"nodes": []})
        found = [
            [info.id for info in await store.runs(**page)]
            for page in (
                Page(user="ada"),
                Page(starter="p"),
                Page(user="ada", starter="p", limit=1),
                Page(starter="p", tag="x", status="running"),
                Page(user="ada", text="r2"),
                Page(starter="p", before="r4"),
                Page(user="eve"),
            )
        ]
        assert found == [["r4", "r2", "r0"], ["r4", "r2", "r1"], ["r4"], ["r2"], ["r2"], ["r2", "r1"], []]

    @scenario
    async def test_a_stop_holds_for_all_runs_below_and_refuses_new_ones(self, store: Store) -> None:
        """Test that a mark that stops a run also stops the runs that it started, and the runs that those started.

        The mark does not reach a run that is declared as its own root, nor the runs below it. The mark still holds if a
        run in between was removed, and it can be taken back.
        """
        tree = {"top": None, "a": "top", "b": "a", "c": "b", "left": "b", "below": "left"}
        roots = {"top": None, "left": None, "below": "left"}

        async def make(run_id: str, starter: str | None, status: Status = "running") -> None:
            root = roots.get(run_id, "top")
            new_run_info = replace(run_info(run_id), starter=starter, root=root, status=status)
            await store.create(new_run_info, [step(1)], {"nodes": []})

        for run_id, starter in tree.items():
            await make(run_id, starter, "finished" if run_id == "a" else "running")
        assert sorted(info.id for info in await store.started(["top", "a", "b", "x"])) == ["a", "b", "c"]
        await store.mark_stop("x", "stop")
        await store.mark_stop("a", "stop")
        holds = {run_id: await store.stop_over(run_id) for run_id in [*tree, "x"]}
        assert holds == {**dict.fromkeys([*tree, "x"]), **dict.fromkeys("abc", ("a", "stop"))}
        for starter in "bc":
            with refused(TreeStopped) as caught:
                await make("d", starter)
            assert [getattr(each, "by", None) for each in caught] == ["a"]
        await make("e", "left")
        await store.mark_stop("a", "")
        await make("d", "c")
        await store.mark_stop("top", "stop")
        await store.remove([await store.info("a")])
        assert await store.stop_over("d") == ("top", "stop")
        assert (await store.info("top")).stop_asked == "stop"

    @scenario
    async def test_a_run_is_its_id_and_its_nonce(self, store: Store) -> None:
        """Test that two runs that had the same id one after the other are told apart by their nonce, a random text.

        Children, stops and messages of the earlier run do not reach the later one.
        """
        of_early = replace(run_info("old"), starter="top", starter_nonce="a2", root="top", root_nonce="a2")
        for info in (replace(run_info("top"), nonce="a2"), of_early):
            await append(store, batch(info.id, await store.create(info, [step(1)], {"nodes": []}), [], "finished"))
        below = replace(run_info("below"), starter="old", root="top", root_nonce="a2")
        fence = await store.create(below, [step(1)], {"nodes": []})
        assert await store.remove([await store.info("top")]) == {}
        assert [info.id for info in await store.started(["top"])] == ["old"]
        await store.create(replace(run_info("top"), nonce="b3"), [step(1)], {"nodes": []})
        own = replace(run_info("own"), starter="top", starter_nonce="b3", root="top", root_nonce="b3")
        await store.create(own, [step(1)], {"nodes": []})
        info = await store.info("own")
        assert (info.starter_nonce, info.root_nonce, (await store.info("top")).cursor) == ("b3", "b3", "1.b3")
        assert [info.id for info in await store.started(["top", "old"])] in (["own", "below"], ["below", "own"])
        assert [info.id for info in await store.runs(starter="top")] == ["own"]
        assert [info.id for info in await store.runs(starter="top", text="own")] == ["own"]
        assert [info.id for info in await store.runs(starter="top", text="old")] == []
        assert [each.starter_nonce for each in await store.ended("finished")] == ["a2"]
        await store.mark_stop("top", "stop")
        assert [await store.stop_over(each) for each in ("own", "old", "below")] == [("top", "stop"), None, None]
        for nonce in ("a2", ""):
            with refused(UnknownRun):
                await store.post("top", "message", 1, "k", nonce=nonce)
            with refused(UnknownRun):
                await store.post("top", "message", 1, "k 1", alone="k ", nonce=nonce)
        posts = [Post("top", "message", nonce, f"from {nonce}", nonce) for nonce in ("a2", "b3", None)]
        await append(store, Append("below", fence, [step(2)], "running", posts=posts))
        assert await store.post("top", "message", 2, "k", nonce="b3")
        assert await store.post("top", "message", 3, "k 1", alone="k ", nonce="b3")
        assert [message.payload for message in await store.inbox(["top"])] == ["b3", None, 2, 3]

    @scenario
    async def test_a_branch_knows_the_keys_of_the_messages_that_it_takes_over(self, store: Store) -> None:
        """Test that a branch remembers the keys of messages that its parent consumed before the branching point.

        If such a message is posted to the branch again, it is ignored.
        """
        fence = await store.create(run_info("r"), [step(1)], {"nodes": []})
        await new_run(store, "longer", count=9)
        for seq, key in ((2, "message pay k1"), (3, "once 1"), (4, "message pay k2")):
            await store.post("r", "message", seq, key)
            taken = [message.id for message in await store.inbox(["r"])]
            await append(store, Append("r", fence, [step(seq)], "running", consume=taken))
        await store.post("r", "message", 5, "message pay k3")
        await branch(store, "early", "r", 1)
        await branch(store, "late", "r", 3, count=1)
        await branch(store, "of late", "late", 4)
        assert await store.message_keys("early") == {}
        for run_id in ("late", "of late"):
            assert await store.message_keys(run_id) == {"message pay k1": 0}
            assert [await store.post(run_id, "message", 6, f"message pay k{n}") for n in (1, 2, 3)] == [
                False,
                True,
                True,
            ]
            assert [message.payload for message in await store.inbox([run_id])] == [6, 6]

    @scenario
    async def test_a_final_mark_stays(self, store: Store) -> None:
        """Test that a mark that cancels a run for good cannot be taken back or replaced.

        It also overrides other stop marks.
        """
        await new_run(store, "top", count=1)
        await store.create(replace(run_info("a"), starter="top", root="top"), [step(1)], {"nodes": []})
        marks: tuple[StopMark, ...] = ("stop", "cancel", "stop", "")
        for mark in marks:
            await store.mark_stop("top", mark)
        await store.mark_stop("a", "stop")
        assert (await store.info("top")).stop_asked == "cancel"
        assert await store.stop_over("a") == ("top", "cancel")

    @scenario
    async def test_runs_that_are_started_while_a_stop_is_marked_are_refused_or_seen(self, store: Store) -> None:
        """Test that if another process starts child runs while a stop is recorded, no child run escapes the stop.

        Each start is refused, or its run is listed after the stop was recorded.
        """
        await new_run(store, "top", count=1)
        second = await self.open_second(store)
        made: list[str] = []
        begun = asyncio.Event()

        async def start() -> None:
            for number in range(100):
                given = replace(run_info(f"r{number}"), starter="top", root="top")
                await second.create(given, [step(1)], {"nodes": []})
                made.append(given.id)
                begun.set()

        try:
            starting = asyncio.create_task(start())
            await begun.wait()
            await store.mark_stop("top", "stop")
            seen = {info.id for info in await store.started(["top"])}
            with refused(TreeStopped):
                await starting
            assert seen == set(made)
        finally:
            await second.close()

    @scenario
    async def test_a_run_without_steps_was_updated_at_its_creation(self, store: Store) -> None:
        """Test that a run without steps has the last step number 0.

        Its time of creation counts as the time of its last change.
        """
        await new_run(store, created_at=50.5)
        info = await store.info("r")
        assert (info.seq, info.updated_at) == (0, 50.5)
        assert (await store.load("r")).steps == []

    @scenario
    async def test_facts_follow_the_appended_batches(self, store: Store) -> None:
        """Test that after an append of steps, `info` returns the run's new status, step number, time and fingerprint.

        The graph and the time of creation stay the same.
        """
        fence = await new_run(store, count=1)
        await append(store, Append("r", fence, [step(2, at=7.25)], "waiting", fingerprint="f2"))
        info = await store.info("r")
        assert (info.status, info.seq, info.updated_at, info.fingerprint) == ("waiting", 2, 7.25, "f2")
        assert (info.graph, info.created_at) == ("g", 100.0)

    @scenario
    async def test_an_id_can_be_used_once(self, store: Store) -> None:
        """Test that a second run with the same id is refused, and the first is unchanged."""
        await new_run(store, count=2)
        with refused(RunExists):
            await new_run(store, count=5, graph="other")
        info = await store.info("r")
        assert (info.graph, info.seq) == ("g", 2)

    @scenario
    async def test_an_unknown_run_is_unknown_everywhere(self, store: Store) -> None:
        """Test that every method raises UnknownRun for an unknown id, even if the id is not valid text."""
        for run_id in ("unknown", "", "\udc80", "' OR 1=1 --"):
            for ask in (store.info, store.load, store.steps, store.claim):
                with refused(UnknownRun):
                    await ask(run_id)
            with refused(UnknownRun):
                await store.post(run_id, "answer", 1, "key")
        with refused(UnknownRun):
            await branch(store, "child", "unknown", 1)
        with refused(UnknownRun):
            await store.runs(before="unknown")

    @scenario
    async def test_an_outline_is_kept_once_for_each_fingerprint(self, store: Store) -> None:
        """Test that the store keeps the first graph description that it receives for a fingerprint.

        Later descriptions for the fingerprint are ignored. For an unknown fingerprint the store returns None.
        """
        fence = await store.create(run_info(), [], {"nodes": [{"name": "a"}, {"name": "b"}]})
        await store.create(run_info("again"), [], {"nodes": [{"name": "ignored"}]})
        other: GraphSpec = {"nodes": [{"name": "c"}]}
        await append(store, Append("r", fence, [step(1)], "running", fingerprint="f2", graph_spec=other))
        assert await store.graph_spec("f1") == {"nodes": [{"name": "a"}, {"name": "b"}]}
        assert await store.graph_spec("f2") == other
        assert await store.graph_spec("f3") is None

    @scenario
    async def test_a_code_is_kept_once_for_each_id(self, store: Store) -> None:
        """Test that the store keeps the first description of the code for each code id.

        For an unknown id it returns None.
        """
        body: dict[str, JsonValue] = {"functions": {"a/ß": "4f1c", "b": None}, "types": [{"x": 1.5}, "\udc80é"[1:]]}
        fence = await store.create(replace(run_info(), code="c1"), [step(1)], {}, body)
        await store.create(replace(run_info("again"), code="c1"), [], {}, {"functions": "ignored"})
        await store.create(replace(run_info("unkept"), code="c3"), [], {})
        assert (await store.info("r")).code == "c1"
        await append(store, Append("r", fence, [step(2)], "running", code="c2", code_body={"functions": {}}))
        assert (await store.info("r")).code == "c2"
        await append(store, Append("r", fence, [step(3)], "waiting", code=""))
        assert [info.code for info in await store.infos(["r"])] == [""]
        assert await store.code("c1") == body
        assert await store.code("c2") == {"functions": {}}
        for unknown in ("c3", "c4", "", "\udc80"):
            assert await store.code(unknown) is None

    @scenario
    async def test_runs_created_together_keep_their_codes(self, store: Store) -> None:
        """Test that each run keeps the id of its own code.

        This also holds if programs with different code create runs at the same time.
        """
        codes = ["c1", "c2", "", "c1"]
        created = [replace(run_info(f"r{place}"), code=code) for place, code in enumerate(codes)]
        bodies = [{"functions": code} if code else None for code in codes]
        pairs = zip(created, bodies, strict=True)
        await asyncio.gather(*(store.create(info, [step(1)], {}, body) for info, body in pairs))
        assert [(await store.info(info.id)).code for info in created] == codes
        assert [await store.code(code) for code in codes] == bodies

    # -- the log

    @scenario
    async def test_steps_come_back_unchanged(self, store: Store) -> None:
        """Test that a step that the store returns equals the step that was appended, however unusual its values are.

        Only `typed`, the Python objects of the step, is not stored.
        """
        values: list[JsonValue] = [
            None, True, 0, -1, 2**63, 10**30, 0.1, 1e308, "", "\x00\x1f\u2028\U0001f600", "é" * 5000,
            [], {}, {"": {"a": [1, [2, {"b": None}]]}}, ["x"] * 1000,
        ]  # fmt: skip
        recorded = [step(seq, value=value) for seq, value in enumerate(values, 1)]
        facts = Failed(
            error=FailureRecord("article", "E", to_show("failed"), pause_seconds=0.5, names=["E"]), status="failed"
        )
        recorded.append(Step(len(values) + 1, 1.5, facts, frame="article"))
        fence = await new_run(store)
        await append(store, batch("r", fence, [Decided(**structs.asdict(each), typed=[object()]) for each in recorded]))
        found = await store.steps("r")
        assert same(found, recorded)
        assert all(type(each) is Step for each in found)

    @scenario
    async def test_the_caller_may_change_its_list_of_steps(self, store: Store) -> None:
        """Test that a caller may change its list of steps after it has called `append`.

        The store writes the original steps.
        """
        fence = await new_run(store)
        added = steps(1, 3)
        pending = store.append(batch("r", fence, added))
        added.clear()
        if pending is not None:
            await pending
        assert seqs(await store.steps("r")) == [1, 2, 3]

    @scenario
    async def test_a_log_has_no_gaps_and_no_repeats(self, store: Store) -> None:
        """Test that the store refuses steps whose numbers do not directly follow the last step of the run.

        Afterwards it accepts the steps with the right numbers.
        """
        fence = await new_run(store, count=2)
        for wrong in ([step(4)], [step(2)], [step(1)], [step(3), step(5)], [step(3), step(3)], [step(0)]):
            with refused(StoreError):
                await append(store, batch("r", fence, wrong))
        with refused(StoreError):
            await store.create(run_info("late"), [step(2)], {})
        with refused(UnknownRun):
            await store.info("late")
        await append(store, batch("r", fence, [step(3), step(4)]))
        assert same(await store.steps("r"), steps(1, 4))

    @scenario
    async def test_a_refused_batch_releases_nothing(self, store: Store) -> None:
        """Test that if the store refuses the steps that would have ended a run, its process still drives the run.

        The process can append other steps.
        """
        fence = await new_run(store, count=1)
        with refused(StoreError):
            await append(store, batch("r", fence, [step(3)], "finished"))
        await append(store, batch("r", fence, [step(2)]))
        info = await store.info("r")
        assert (info.status, info.seq, info.held) == ("running", 2, True)

    @scenario
    async def test_a_batch_without_steps_may_change_the_status(self, store: Store) -> None:
        """Test that an append without steps can change the status of a run.

        The status `waiting` or `stopped` also ends the claim of the process that drives the run.
        """
        fence = await new_run(store, count=1)
        await append(store, batch("r", fence, [], "stopped"))
        info = await store.info("r")
        assert (info.status, info.seq, info.driver) == ("stopped", 1, None)
        fence = await new_run(store, "waits", count=1)
        await append(store, batch("waits", fence, [], "waiting"))
        info = await store.info("waits")
        assert (info.status, info.seq, info.driver, info.due_at) == ("waiting", 1, None, None)
        with refused(LeaseLost):
            await append(store, batch("waits", fence, [step(2)]))
        assert await store.claim("waits") > fence

    @scenario
    async def test_steps_can_be_read_in_part(self, store: Store) -> None:
        """Test that `steps` returns the steps within the given bounds.

        The list is empty if the bounds lie outside the log.
        """
        await new_run(store, count=6)
        assert seqs(await store.steps("r", after=2, upto=4)) == [3, 4]
        assert seqs(await store.steps("r", after=4)) == [5, 6]
        assert seqs(await store.steps("r", upto=2)) == [1, 2]
        assert seqs(await store.steps("r", after=-5, upto=10**30)) == [1, 2, 3, 4, 5, 6]
        for after, upto in ((6, None), (10**30, None), (4, 2), (0, 0), (0, -1)):
            assert seqs(await store.steps("r", after=after, upto=upto)) == []

    @scenario
    async def test_a_run_can_be_loaded_up_to_a_step(self, store: Store) -> None:
        """Test that `load` with a step number returns the run up to this step.

        It raises UnknownStep for a step that the run does not have.
        """
        await new_run(store, count=5)
        for upto in range(1, 6):
            loaded = await store.load("r", upto)
            assert seqs(loaded.steps) == list(range(1, upto + 1))
            assert loaded.info.seq == 5
        for upto in (0, -1, 6, 10**30):
            with refused(UnknownStep):
                await store.load("r", upto)

    @scenario
    async def test_snapshots_and_the_steps_after_them_cover_the_log(self, store: Store) -> None:
        """Test that a loaded run consists of a snapshot and exactly the steps after it.

        This holds whenever the store took the snapshot.
        """
        await self._long_run(store)
        for upto in (1, 255, 256, 257, 300, 600, MANY_STEPS - 1, MANY_STEPS):
            assert covers(await store.load("r", upto), upto)
        assert covers(await store.load("r"), MANY_STEPS)
        assert seqs(await store.steps("r")) == list(range(1, MANY_STEPS + 1))

    @scenario
    async def test_snapshots_are_requested_rarely_and_during_the_call(self, store: Store) -> None:
        """Test that the store requests a snapshot only during a call of `append`, and at most every 256 steps."""
        asked = await self._long_run(store)
        assert asked == sorted(set(asked))
        assert all(later - earlier >= 256 for earlier, later in zip([0, *asked], asked, strict=False))

    async def _long_run(self, store: Store) -> list[int]:
        fence = await new_run(store)
        probe = SnapshotProbe()
        for seq in range(1, MANY_STEPS + 1):
            await probe.append(store, fence, seq)
        return probe.asked

    # -- drivers

    @scenario
    async def test_a_driven_run_cannot_be_claimed(self, store: Store) -> None:
        """Test that a run that a process drives cannot be claimed, even by the same process.

        The error names the process and its lease's end.
        """
        fence = await new_run(store)
        with refused(RunIsDriven) as caught:
            await store.claim("r")
        error = caught[0]
        assert isinstance(error, RunIsDriven)
        assert error.run_id == "r"
        assert error.owner
        assert error.expires_at > 0
        await append(store, batch("r", fence, [step(1)]))

    @scenario
    async def test_fences_only_grow(self, store: Store) -> None:
        """Test that each time a process claims a run, it gets a higher fence than every process before.

        A fence is the number that a process passes with each write, to prove that its claim is the current one.
        """
        fences = [await new_run(store)]
        for _ in range(5):
            await store.release("r", fences[-1])
            fences.append(await store.claim("r"))
        assert fences == sorted(set(fences))

    @scenario
    async def test_a_stale_fence_writes_nothing(self, store: Store) -> None:
        """Test that the store refuses to append steps with any fence but that of the current claim.

        It then writes none of the steps.
        """
        old = await new_run(store, count=1)
        await store.release("r", old)
        fence = await store.claim("r")
        for wrong in (old, fence + 1, 0, -1):
            with refused(LeaseLost):
                await append(store, Append("r", wrong, [step(2)], "finished", fingerprint="f9"))
        with refused(LeaseLost):
            await append(store, batch("unknown", fence, [step(1)]))
        info = await store.info("r")
        assert (info.seq, info.status, info.fingerprint) == (1, "running", "f1")
        await append(store, batch("r", fence, [step(2)]))

    @scenario
    async def test_a_released_run_takes_no_steps(self, store: Store) -> None:
        """Test that after a process has released a run, no process drives the run.

        The fence of the ended claim cannot be used to write.
        """
        fence = await new_run(store)
        await store.release("r", fence)
        assert (await store.info("r")).driver is None
        with refused(LeaseLost):
            await append(store, batch("r", fence, [step(1)]))

    @scenario
    async def test_a_run_that_ends_or_waits_is_released(self, store: Store) -> None:
        """Test that when steps are appended with another status than `running`, the claim on the run ends.

        So a run that waits, has finished, was stopped or failed can be claimed by any process, but its old fence is
        invalid.
        """
        statuses: tuple[Status, ...] = ("waiting", "finished", "stopped", "failed")
        for status in statuses:
            fence = await new_run(store, status)
            await append(store, batch(status, fence, [step(1)], status))
            assert (await store.info(status)).driver is None
            with refused(LeaseLost):
                await append(store, batch(status, fence, [step(2)]))
            fence = await store.claim(status)
            assert (await store.info(status)).status == status
            await append(store, batch(status, fence, [step(2)]))
            assert (await store.info(status)).status == "running"

    @scenario
    async def test_a_run_is_held_until_it_is_released(self, store: Store) -> None:
        """Test that a process holds a run that it created or claimed until it releases the run.

        Its hold also ends when it appends steps with another status than `running`, and when it closes the store.
        """
        fence = await new_run(store)
        await new_run(store, "other")
        held = [(await store.info("r")).held]
        await store.release("r", fence)
        held.append((await store.info("r")).held)
        fence = await store.claim("r")
        held.append((await store.info("r")).held)
        await append(store, batch("r", fence, [step(1)]))
        held.append((await store.load("r")).info.held)
        await append(store, batch("r", fence, [step(2)], "waiting"))
        held.append((await store.load("r")).info.held)
        assert held == [True, False, True, True, False]
        assert {info.id: info.held for info in await store.runs()} == {"r": False, "other": True}
        for run_id in ("r", "other"):  # no other owner has them
            assert await store.former_lease(run_id) is None
        with refused(UnknownRun):
            await store.former_lease("nowhere")
        await store.close()
        await store.open()
        assert not (await store.info("other")).held

    @scenario
    async def test_a_stale_release_is_ignored(self, store: Store) -> None:
        """Test that a release with the fence of an earlier claim does not affect the present claim."""
        old = await new_run(store)
        await store.release("r", old)
        fence = await store.claim("r")
        await store.release("r", old)
        await append(store, batch("r", fence, [step(1)]))
        await append(store, batch("r", fence, [step(2)], "waiting"))
        await store.release("r", fence)

    # -- branches

    @scenario
    async def test_a_branch_shares_its_parents_log_up_to_its_seq(self, store: Store) -> None:
        """Test that the log of a branch begins with its parent's steps up to the branching point.

        After them follow the branch's own steps.
        """
        fence = await new_run(store, "parent", count=4)
        own = await branch(store, "child", "parent", at=2, count=1)
        await append(store, batch("parent", fence, [step(5)]))
        await append(store, batch("child", own, [step(4, field="child")]))
        expected = steps(1, 2) + steps(3, 4, field="child")
        assert same(await store.steps("child"), expected)
        assert same((await store.load("child")).steps, expected)
        assert same(await store.steps("parent"), steps(1, 5))
        info = await store.info("child")
        assert (info.parent, info.parent_seq, info.seq) == ("parent", 2, 4)

    @scenario
    async def test_a_branch_without_steps_ends_at_its_parents_seq(self, store: Store) -> None:
        """Test that a branch that has no steps of its own ends at the branching point.

        Its first own step has the next number.
        """
        await new_run(store, "parent", count=3)
        fence = await branch(store, "child", "parent", at=2)
        assert (await store.info("child")).seq == 2
        with refused(StoreError):
            await append(store, batch("child", fence, [step(1)]))
        await append(store, batch("child", fence, [step(3, field="child")]))
        assert seqs(await store.steps("child")) == [1, 2, 3]

    @scenario
    async def test_a_branch_can_have_branches(self, store: Store) -> None:
        """Test that a branch can itself be branched, at its own steps and at steps that it shares with its parents."""
        await new_run(store, "a", count=4)
        await branch(store, "b", "a", at=3, count=3)
        await branch(store, "c", "b", at=5, count=2)
        await branch(store, "d", "c", at=2, count=1)
        await branch(store, "e", "d", at=3)
        logs = {
            "c": steps(1, 3) + steps(4, 5, field="b") + steps(6, 7, field="c"),
            "d": [*steps(1, 2), step(3, field="d")],
            "e": [*steps(1, 2), step(3, field="d")],
        }
        for run_id, expected in logs.items():
            assert same(await store.steps(run_id), expected)
            for upto in range(1, len(expected) + 1):
                assert same((await store.load(run_id, upto)).steps, expected[:upto])
                assert same(await store.steps(run_id, after=upto - 1), expected[upto - 1 :])

    @scenario
    async def test_a_long_chain_of_branches_loads(self, store: Store) -> None:
        """Test that a chain of hundreds of branches, each made from the one before, can be loaded as one log."""
        await new_run(store, "b0", count=1)
        count = 300
        for n in range(1, count + 1):
            fence = await branch(store, f"b{n}", f"b{n - 1}", at=n)
            await SnapshotProbe(f"b{n}").append(store, fence, n + 1, "finished")
        assert covers(await store.load(f"b{count}"), count + 1)
        assert seqs(await store.steps(f"b{count}")) == list(range(1, count + 2))

    @scenario
    async def test_a_branch_uses_its_parents_snapshots(self, store: Store) -> None:
        """Test that a branch of a long run loads from the parent's snapshots and from its own."""
        await self._long_run(store)
        for at in (100, 700, MANY_STEPS):
            await branch(store, f"at{at}", "r", at=at, count=3)
            assert covers(await store.load(f"at{at}"), at + 3)
            assert covers(await store.load(f"at{at}", at), at)

    @scenario
    async def test_a_branch_starts_at_a_step_that_exists(self, store: Store) -> None:
        """Test that a branch at a step that the parent does not have is refused, and nothing is created."""
        await new_run(store, "parent", count=3)
        for at in (0, -1, 4, 10**30):
            with refused(UnknownStep):
                await store.create(replace(run_info("child"), parent="parent", parent_seq=at), [], {})
        with refused(StoreError):
            await store.create(replace(run_info("child"), parent="parent", parent_seq=2), [step(1)], {})
        with refused(UnknownRun):
            await store.info("child")

    # -- the list of runs

    @scenario
    async def test_runs_are_listed_newest_first_page_by_page(self, store: Store) -> None:
        """Test that pages of runs follow each other without gaps or repeats, by time of creation and then by id."""
        times = [5.0, 3.0, 5.0, 1.0, 5.0, 4.0, 3.0]
        for n, created_at in enumerate(times):
            await new_run(store, f"r{n}", created_at=created_at)
        expected = [run_id for _, run_id in sorted(((at, f"r{n}") for n, at in enumerate(times)), reverse=True)]
        for size in (1, 2, 3, 7, 50, 10**30):
            listed: list[str] = []
            while page := await store.runs(limit=size, before=listed[-1] if listed else None):
                assert len(page) <= size
                listed += [info.id for info in page]
            assert listed == expected
        assert list(await store.runs(limit=0)) == []
        assert list(await store.runs(limit=-1)) == []

    @scenario
    async def test_runs_are_listed_by_status_and_graph(self, store: Store) -> None:
        """Test that filters by status and graph can be combined, also page by page.

        A listed run has the same information as from `info`.
        """
        for n in range(12):
            fence = await new_run(store, f"r{n:02}", count=1, created_at=float(n), graph=f"g{n % 2}")
            if n % 3 == 0:
                await append(store, batch(f"r{n:02}", fence, [step(2)], "finished"))
        finished = await store.runs(status="finished")
        assert [info.id for info in finished] == ["r09", "r06", "r03", "r00"]
        assert [info.id for info in await store.runs(status="finished", graph="g0")] == ["r06", "r00"]
        assert [info.id for info in await store.runs(graph="g1", before="r05")] == ["r03", "r01"]
        assert [info.id for info in await store.runs(status="finished", graph="g1", before="r09")] == ["r03"]
        assert list(await store.runs(status="failed")) == []
        for info in await store.runs():
            assert info == await store.info(info.id)

    # -- concurrency

    @scenario
    async def test_concurrent_runs_do_not_mix(self, store: Store) -> None:
        """Test that if many runs are written at the same time, each run gets its own steps in the right order."""

        async def drive(run_id: str) -> None:
            fence = await new_run(store, run_id)
            for seq in range(1, 11):
                await append(store, batch(run_id, fence, [step(seq, value=run_id)]))

        names = [f"r{n}" for n in range(40)]
        await asyncio.gather(*map(drive, names))
        for name in names:
            assert same(await store.steps(name), steps(1, 10, value=name))

    @scenario
    async def test_appends_take_effect_in_the_order_of_the_calls(self, store: Store) -> None:
        """Test that a process can append steps several times without waiting for the earlier calls.

        The steps become durable in the order of the calls, so the durable part of the log never has a gap.
        """
        fence = await new_run(store)
        pending = [store.append(batch("r", fence, [step(seq)])) for seq in range(1, 31)]
        for expected, each in enumerate(pending, 1):
            if each is not None:
                await each
            assert (await store.info("r")).seq >= expected
        assert seqs(await store.steps("r")) == list(range(1, 31))

    @scenario
    async def test_a_stale_batch_fails_alone(self, store: Store) -> None:
        """Test that if the store refuses the steps of one run, the steps of other runs are still written.

        This must hold although the store writes the steps of several runs together.
        """
        fences = {f"r{n}": await new_run(store, f"r{n}") for n in range(6)}
        await store.release("r1", fences["r1"])

        async def attempt(run_id: str, added: Sequence[Step]) -> type[GraphEngineError] | None:
            try:
                await append(store, batch(run_id, fences[run_id], added))
            except GraphEngineError as error:
                return type(error)
            return None

        wrong = {"r1": LeaseLost, "r3": StoreError}
        results = await asyncio.gather(*(attempt(run_id, [step(2 if run_id == "r3" else 1)]) for run_id in fences))
        assert results == [wrong.get(run_id) for run_id in fences]
        assert [(await store.info(run_id)).seq for run_id in fences] == [0 if n in wrong else 1 for n in fences]

    @scenario
    async def test_a_cancelled_waiter_loses_nothing(self, store: Store) -> None:
        """Test that if a caller that waits for a commit is cancelled, its steps are still written.

        Other callers that wait for the same commit are not affected.
        """
        fence = await new_run(store)
        other = await new_run(store, "other")

        async def write(added: Append) -> None:
            await append(store, added)

        cancelled = asyncio.create_task(write(batch("r", fence, [step(1)])))
        neighbour = asyncio.create_task(write(batch("other", other, [step(1)])))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        await neighbour
        await append(store, batch("r", fence, [step(2)]))
        assert seqs(await store.steps("r")) == [1, 2]
        assert seqs(await store.steps("other")) == [1]

    @scenario
    async def test_a_cancelled_claim_can_be_repeated(self, store: Store) -> None:
        """Test that a process can repeat a claim of a run that was cancelled before its fence was returned."""
        fence = await new_run(store)
        await store.release("r", fence)
        claim = asyncio.create_task(store.claim("r"))
        await asyncio.sleep(0)
        claim.cancel()
        (result,) = await asyncio.gather(claim, return_exceptions=True)
        if isinstance(result, int):
            await store.release("r", result)
        assert await store.claim("r") > fence

    # -- two processes

    @scenario
    async def test_another_process_sees_what_was_awaited(self, store: Store) -> None:
        """Test that once a write has returned, another process reads what was written."""
        fence = await new_run(store)
        await append(store, batch("r", fence, [step(1)]))
        second = await self.open_second(store)
        try:
            assert same(await second.steps("r"), [step(1)])
            await append(store, batch("r", fence, [step(2)]))
            assert same((await second.load("r")).steps, steps(1, 2))
            await second.post("r", "answer", 1, "k")
            assert [m.payload for m in await store.inbox(["r"])] == [1]
        finally:
            await second.close()

    @scenario
    async def test_one_process_drives(self, store: Store) -> None:
        """Test that while a process is alive, no other process can claim its runs.

        When it closes its store, other processes can claim them, and its own fences are invalid.
        """
        fence = await new_run(store)
        second = await self.open_second(store)
        try:
            with refused(RunIsDriven):
                await second.claim("r")
            with refused(LeaseLost):
                await append(second, batch("r", fence, [step(1)]))
            await store.close()
            higher = await second.claim("r")
            assert higher > fence
            await append(second, batch("r", higher, [step(1)]))
        finally:
            await second.close()

    @scenario
    async def test_a_replaced_driver_gets_an_error(self, store: Store) -> None:
        """Test that a process cannot write or release a run with its old fence after another process has claimed it."""
        fence = await new_run(store)
        second = await self.open_second(store)
        try:
            await store.release("r", fence)
            higher = await second.claim("r")
            with refused(LeaseLost):
                await append(store, batch("r", fence, [step(1)]))
            with refused(RunIsDriven):
                await store.claim("r")
            await store.release("r", higher)
            await append(second, batch("r", higher, [step(1)]))
        finally:
            await second.close()
