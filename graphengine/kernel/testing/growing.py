"""Tests of stores for tags, searches and removed runs. They are a part of `stores.StoreConformance`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from graphengine.errors import RunnerClosed, UnknownRun
from graphengine.kernel.store import INPUT_WORDS, Append, Summary
from graphengine.kernel.testing.kit import (
    StoreSuite,
    append,
    batch,
    branch,
    covers,
    new_run,
    refused,
    run_info,
    same,
    scenario,
    step,
    steps,
    waiting_run,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from graphengine.kernel.store import Sort, Status, Store

MANY: Final = 700
"""Enough steps for a store to free them in several batches."""


async def ended_run(store: Store, run_id: str = "r", *, count: int = 3, status: Status = "finished") -> None:
    """Create a run of this many steps that has ended."""
    fence = await new_run(store, run_id, count=count - 1)
    await append(store, batch(run_id, fence, [step(count)], status))


async def ended_branch(store: Store, run_id: str, parent: str, at: int) -> None:
    fence = await branch(store, run_id, parent, at)
    await append(store, batch(run_id, fence, [step(at + 1, field=run_id)], "finished"))


async def remove(store: Store, *run_ids: str) -> dict[str, str]:
    """Try to remove runs as they are now. Returns the runs that the store kept, with the reasons."""
    return dict(await store.remove([await store.info(run_id) for run_id in run_ids]))


async def listed(store: Store) -> list[str]:
    return sorted(info.id for info in await store.runs())


class GrowingStores(StoreSuite):
    """Tests of a store that holds many runs: tags, lists and searches of runs, removal of runs, and freed space."""

    vacuum_adds = 0  # the bytes that `vacuum` may add, of maps of what is free

    # -- tags

    @scenario
    async def test_a_run_keeps_the_tags_it_was_created_with(self, store: Store) -> None:
        """Test that every method that returns information about a run returns the run's tags, sorted."""
        await store.create(replace(run_info(), tags=("b", "a b", "ä")), [], {})
        assert (await store.info("r")).tags == ("a b", "b", "ä")
        assert (await store.load("r")).info.tags == ("a b", "b", "ä")
        assert (await store.runs())[0].tags == ("a b", "b", "ä")

    @scenario
    async def test_tags_can_be_added_and_removed(self, store: Store) -> None:
        """Test that adding a tag that a run already has changes nothing, and neither does removing a tag that it lacks.

        A tag that is both added and removed in one call is added.
        """
        await ended_run(store)
        assert await store.tag("r", ["x", "y"]) == ("x", "y")
        assert await store.tag("r", ["y", "z"], ["x", "nothing"]) == ("y", "z")
        assert await store.tag("r", ["z"], ["z", "y"]) == ("z",)
        assert await store.tag("r") == ("z",)
        assert (await store.info("r")).tags == ("z",)
        with refused(UnknownRun):
            await store.tag("unknown", ["x"])

    @scenario
    async def test_a_branch_has_none_of_its_parents_tags(self, store: Store) -> None:
        """Test that a branch does not inherit its parent's tags."""
        await store.create(replace(run_info("parent"), tags=("x",)), steps(1, 2), {})
        await branch(store, "child", "parent", at=1)
        assert (await store.info("child")).tags == ()

    @scenario
    async def test_runs_are_listed_by_tag(self, store: Store) -> None:
        """Test that runs can be filtered by a tag.

        The order and the pages stay the same, and the tag can be combined with a status and a graph.
        """
        times = [5.0, 3.0, 5.0, 1.0, 4.0, 5.0, 2.0, 3.0]
        for n, created_at in enumerate(times):
            info = replace(run_info(f"r{n}", created_at=created_at, graph=f"g{n % 3}"), tags=("x",) if n % 2 else ())
            fence = await store.create(info, [], {})
            await store.tag(info.id, ["all"])
            if n > 3:
                await append(store, batch(info.id, fence, [step(1)], "finished"))
        order = [f"r{n}" for _, n in sorted(((at, n) for n, at in enumerate(times)), reverse=True)]
        for size in (1, 2, 3, 50):
            found: list[str] = []
            while page := await store.runs(limit=size, tag="all", before=found[-1] if found else None):
                found += [info.id for info in page]
            assert found == order
        tagged = [run_id for run_id in order if int(run_id[1]) % 2]
        assert [info.id for info in await store.runs(tag="x")] == tagged
        assert [info.id for info in await store.runs(tag="x", graph="g1")] == ["r7", "r1"]
        assert [info.id for info in await store.runs(tag="x", status="finished")] == ["r5", "r7"]
        assert [info.id for info in await store.runs(tag="x", status="finished", graph="g2")] == ["r5"]
        assert list(await store.runs(tag="nothing")) == []

    @scenario
    async def test_a_page_of_runs_refuses_words_that_it_does_not_know(self, store: Store) -> None:
        """Test that a misspelt filter raises an error, so that it does not select all runs."""
        await new_run(store, "a", count=3)
        with refused(TypeError) as caught:
            await store.runs(stats="failed")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        assert "'stats'" in str(caught[0])

    # -- branches and sizes

    @scenario
    async def test_the_facts_of_many_runs(self, store: Store) -> None:
        """Test that `infos` returns each existing run once, with the same information as `info`.

        This also holds for thousands of ids.
        """
        await new_run(store, "a", count=3)
        await ended_run(store, "b")
        await branch(store, "c", "a", at=2, count=2)
        found = await store.infos(["a", "unknown", "b", "c", "a", *(f"none {n}" for n in range(2000))])
        assert {info.id: info.seq for info in found} == {"a": 3, "b": 3, "c": 4}
        for info in found:
            assert info == await store.info(info.id)
        assert list(await store.infos([])) == []

    @scenario
    async def test_the_runs_that_moved(self, store: Store) -> None:
        """Test that `moved` returns those of the given runs whose last step is not the step that the caller names.

        Runs that no longer exist are returned too.
        """
        await new_run(store, "a", count=3)
        await ended_run(store, 'b "é')
        await branch(store, "c", "a", at=2, count=2)
        here = {"a": 3, 'b "é': 3, "c": 4}
        assert list(await store.moved({})) == list(await store.moved(here)) == []
        assert sorted(await store.moved({**here, "a": 2, 'b "é': 4})) == ["a", 'b "é']
        gone = {f"none {n}": 1 for n in range(2000)}
        assert sorted(await store.moved({**here, **gone, "c": 5})) == sorted(["c", *gone])

    @scenario
    async def test_every_write_changes_the_token(self, store: Store) -> None:
        """Test that the store's change token differs after each write.

        Writes are, for example, that a run is created, claimed, tagged or removed.
        """
        fence = 0

        async def claim() -> None:
            nonlocal fence
            fence = await store.claim("r")

        async def create() -> None:
            nonlocal fence
            fence = await new_run(store, "r")

        async def remove() -> None:
            assert await store.remove([await store.info("r")]) == {}

        writes: list[Callable[[], Awaitable[object]]] = [
            create,
            lambda: append(store, batch("r", fence, [step(1)])),
            lambda: store.release("r", fence),
            claim,
            lambda: store.post("r", "send", {}, "key"),
            lambda: store.tag("r", ["x"]),
            lambda: append(store, batch("r", fence, [step(2)], "finished")),
            remove,
        ]
        before = await store.change_token()
        for write in writes:
            await write()
            after = await store.change_token()
            assert after != before
            before = after

    @scenario
    async def test_runs_are_counted(self, store: Store) -> None:
        """Test that `counts` returns how many runs there are for each graph, status and interval of creation times.

        With `tag=` or `text=`, only runs with this tag, or with these words, are counted.
        """
        for n, (created_at, graph) in enumerate(((5.0, "g"), (61.0, "g"), (62.5, "g"), (59.9, "h"))):
            fence = await new_run(store, f"r{n}", created_at=created_at, graph=graph)
            if n in {1, 2}:
                await append(store, batch(f"r{n}", fence, [step(1)], "finished"))
        await store.tag("r1", ["x"])
        await store.tag("r3", ["x"])
        assert sorted(await store.counts()) == [("g", "finished", 0, 2), ("g", "running", 0, 1), ("h", "running", 0, 1)]
        by_minute = [("g", "finished", 60, 2), ("g", "running", 0, 1), ("h", "running", 0, 1)]
        assert sorted(await store.counts(every_seconds=60)) == by_minute
        assert sorted(await store.counts(tag="x")) == [("g", "finished", 0, 1), ("h", "running", 0, 1)]
        assert sorted(await store.counts(text="R2")) == [("g", "finished", 0, 1)]
        assert sorted(await store.counts(text="r2", tag="x")) == []
        assert sorted(await store.counts(text="x g", every_seconds=60)) == [("g", "finished", 60, 1)]

    @scenario
    async def test_counts_follow_each_change_of_a_status(self, store: Store) -> None:
        """Test that the counts of runs stay right after each change of a run's status.

        Runs are created in any status, continue, end, continue again and are removed.
        """

        async def counts() -> dict[tuple[str, str], int]:
            kept, read = await store.counts(), await store.counts(every_seconds=1e6)
            assert sorted(kept) == sorted(read)
            return {(each.graph, each.status): each.runs for each in kept}

        pending: list[Awaitable[None] | None] = []
        for n in range(MANY):
            fence = await new_run(store, f"r{n}", count=1, graph=f"g{n % 3}")
            pending += [store.append(batch(f"r{n}", fence, [step(2)], "failed"))] if n % 2 else []
        for each in pending:
            await (each or asyncio.sleep(0))
        assert await counts() == {("g0", "running"): 117, ("g0", "failed"): 117} | {
            (f"g{n}", status): runs
            for n, status, runs in ((1, "running", 116), (1, "failed", 117), (2, "running", 117))
        } | {("g2", "failed"): 116}
        for n in (1, 7, 13):  # all of g1, and failed
            fence = await store.claim(f"r{n}")
            await append(store, batch(f"r{n}", fence, [step(3)]))
            assert (await counts())["g1", "running"] == 117
            await append(store, batch(f"r{n}", fence, [step(4)], "waiting"))
            assert (await counts())["g1", "waiting"] == 1
            fence = await store.claim(f"r{n}")
            await append(store, batch(f"r{n}", fence, [step(5)], "finished"))
        assert (await counts())["g1", "finished"] == 3
        assert await remove(store, "r1", "r3", *(f"r{n}" for n in range(601, 700, 2))) == {}
        await store.sweep()
        await ended_run(store, "last")
        assert await counts() == {
            ("g", "finished"): 1,
            ("g0", "failed"): 99,
            ("g0", "running"): 117,
            ("g1", "failed"): 97,
            ("g1", "finished"): 2,
            ("g1", "running"): 116,
            ("g2", "failed"): 100,
            ("g2", "running"): 117,
        }

    @scenario
    async def test_runs_are_listed_by_text_and_time(self, store: Store) -> None:
        """Test that runs are selected by words and by the time when they began.

        `begun_after` includes its time, and `begun_before` does not.
        """
        for n in range(8):
            fence = await new_run(store, f"{'ab%Ä'[n % 4]}-{n}", created_at=float(n), graph=f"g{n % 2}")
            await store.tag(f"{'ab%Ä'[n % 4]}-{n}", ["x"] if n > 3 else ["y"])
            if n % 3 == 0:
                await append(store, batch(f"{'ab%Ä'[n % 4]}-{n}", fence, [step(1)], "finished"))

        async def ids(**wanted: Any) -> list[str]:
            return [info.id for info in await store.runs(**wanted)]

        assert await ids(text="B") == ["b-5", "b-1"]
        assert await ids(text="ä 7") == await ids(text="7-A") == ["Ä-7"]
        assert await ids(text="nothing") == []
        assert await ids(text="%", limit=1) == await ids(limit=1), "no word selects every run"
        assert await ids(begun_after=5.0) == ["Ä-7", "%-6", "b-5"]
        assert await ids(begun_before=2.0) == ["b-1", "a-0"]
        assert await ids(begun_after=1.0, begun_before=3.0) == ["%-2", "b-1"]
        assert await ids(begun_after=1.0, before="b-5", limit=2) == ["a-4", "Ä-3"]
        assert await ids(begun_before=4.0, before="b-5") == ["Ä-3", "%-2", "b-1", "a-0"]
        assert await ids(text="g1", tag="x") == await ids(text="x", graph="g1") == ["Ä-7", "b-5"]
        assert await ids(begun_before=6.5, tag="x", begun_after=5.0) == ["%-6", "b-5"]
        assert await ids(text="g", status="finished", begun_after=1.0) == ["%-6", "Ä-3"]
        assert await ids(text="g1", before="b-5", limit=1) == ["Ä-3"]

    @scenario
    async def test_runs_are_listed_in_other_orders(self, store: Store) -> None:
        """Test that runs can be sorted by cost, duration and status.

        The order can be ascending or descending, and pages and filters work with it. Runs with an equal cost, duration
        or status are sorted by the time when they began.
        """
        rows: list[tuple[float, Status, float | None, float]] = [  # begin, status, cost, end
            (1.0, "finished", 0.5, 9.0),
            (2.0, "failed", 0.25, 2.5),
            (3.0, "running", None, 0.0),
            (4.0, "finished", 0.5, 4.5),
            (4.0, "waiting", 2.0, 4.1),
        ]
        for n, (begun, status, cost, at) in enumerate(rows):
            info = replace(run_info(f"r{n}", graph=f"g{n % 2}"), created_at=begun, tags=("x",) * (n < 4), tenant="acme")
            fence = await store.create(info, [], {"nodes": []})
            if status != "running":
                ending = batch(f"r{n}", fence, [step(1, at=at)], status)
                ending.summary = None if cost is None else Summary(cost_usd=cost)
                await append(store, ending)
        orders: dict[Sort, str] = {"begun": "43210", "cost": "43012", "took": "03142", "status": "42301"}
        for sort, order in orders.items():
            for ascending in (False, True):
                expected = [f"r{n}" for n in (reversed(order) if ascending else order)]
                found = [info.id for info in await store.runs(sort=sort, ascending=ascending)]
                assert found == expected, (sort, ascending)
                for at, last in enumerate(expected, 1):
                    page = await store.runs(sort=sort, ascending=ascending, before=last, limit=2)
                    assert [info.id for info in page] == expected[at : at + 2], (sort, ascending, last)

        async def ids(**wanted: Any) -> list[str]:
            return [info.id for info in await store.runs(**wanted)]

        assert await ids(sort="cost", tag="x", graph="g1") == await ids(sort="cost", text="g1 x") == ["r3", "r1"]
        assert await ids(sort="took", tenant="acme", status="finished", begun_after=1.0) == ["r0", "r3"]
        assert await ids(sort="took", ascending=True, text="x", before="r2", begun_before=4.0) == ["r1", "r0"]
        assert await ids(sort="cost", tenant="") == await ids(sort="cost", user="x") == await ids(starter="r0") == []
        with refused(UnknownRun):
            await store.runs(sort="cost", before="r9")

    @scenario
    async def test_runs_are_listed_by_the_fields_in_their_summaries(self, store: Store) -> None:
        """Test that runs are found by the values of fields that their graph declares with `search=`.

        The fields can belong to the input or to the result of a run. After a run is removed, its values find nothing.
        """
        for n, tenant in enumerate(["acme", None, "acme", "globex", "acme"]):
            begun = {"input.country": "CHDE"[n % 2 * 2 :][:2], "input.n": str(n)}
            info = replace(run_info(f"r{n}", graph=f"g{n % 2}"), created_at=float(n), tenant=tenant)
            fence = await store.create(replace(info, summary=Summary(fields=begun)), [step(1)], {"nodes": []})
            if n > 1:
                ending = batch(f"r{n}", fence, [step(2, at=9.0 - n)], "finished")
                ending.summary = Summary("done", cost_usd=float(n), fields={**begun, "output.status": "paid"})
                await append(store, ending)

        async def ids(fields: Mapping[str, Sequence[str]], **wanted: Any) -> list[str]:
            return [info.id for info in await store.runs(fields=fields, **wanted)]

        swiss, paid = {"input.country": ["CH"]}, {"output.status": ["paid", "late"]}
        assert await ids(swiss) == ["r4", "r2", "r0"]
        assert await ids({**swiss, **paid}) == await ids(swiss, status="finished") == ["r4", "r2"]
        assert await ids(swiss, tenant="acme", limit=1, before="r4") == ["r2"]
        assert await ids(paid, tenant="globex") == await ids(paid, text="g1") == ["r3"]
        assert await ids(paid, sort="cost", ascending=True, text="done") == ["r2", "r3", "r4"]
        assert await ids(paid, begun_after=3.0, begun_before=4.0) == ["r3"]
        assert await ids({"input.n": ["1", "3", "7"]}, limit=500) == ["r3", "r1"]
        assert await ids({"input.country": []}) == await ids({"input.x": ["CH"]}) == await ids(swiss, tenant="") == []
        assert (await store.info("r1")).summary == Summary(fields={"input.country": "DE", "input.n": "1"})
        await store.remove([await store.info("r4")])
        assert await ids(swiss) == ["r2", "r0"]

    @scenario
    async def test_runs_are_listed_and_counted_by_tenant(self, store: Store) -> None:
        """Test that runs can be selected by tenant, alone and with every other filter.

        An unknown tenant selects nothing.
        """
        for n, tenant in enumerate(["acme", None, "acme", "globex", "acme"]):
            info = replace(
                run_info(f"r{n}", graph=f"g{n % 2}"), created_at=float(n), tenant=tenant, tags=("x",) * (n > 1)
            )
            await store.create(replace(info, queued=n > 2), [step(1)], {"nodes": []})

        async def ids(**wanted: Any) -> list[str]:
            return [info.id for info in await store.runs(**wanted)]

        assert await ids(tenant="acme") == ["r4", "r2", "r0"]
        assert await ids(tenant="acme", limit=1, before="r4") == ["r2"]
        assert await ids(tenant="acme", tag="x") == await ids(tenant="acme", text="x") == ["r4", "r2"]
        assert await ids(tenant="acme", graph="g1") == await ids(tenant="", limit=9) == await ids(tenant="ac") == []
        assert await ids(tenant="globex", status="running") == await ids(tenant="globex", text="g1") == ["r3"]
        assert await ids(tenant="acme", begun_after=1.0, begun_before=4.0) == ["r2"]
        assert await ids(tenant="acme", status="finished") == await ids(tenant="a\0b") == []
        assert sorted(await store.counts(tenant="acme")) == [("g0", "running", 0, 3)]
        assert sorted(await store.counts(tenant="acme", tag="x", every_seconds=4)) == [
            ("g0", "running", 0, 1),
            ("g0", "running", 4, 1),
        ]
        assert sorted(await store.counts(tenant="globex", text="g1")) == [("g1", "running", 0, 1)]
        assert await store.counts(tenant="") == await store.counts(tenant="initech") == []

    @scenario
    async def test_runs_are_found_by_their_words(self, store: Store) -> None:
        """Test that a text search finds runs by the first letters of words.

        The words are those of the run's id, graph, tags, first input and ending. The order of the words and upper or
        lower case do not matter. A branch is also found by the input of its parent.
        """
        await new_run(store, "order-4711", graph="shop")
        first = step(1, value={"topic": "Die Äpfel\nund Birnen", "n": [42]})
        long = [f"said word{number}" for number in range(INPUT_WORDS)]
        await store.create(run_info("long"), [step(1, value={"topic": long})], {"nodes": []})
        await store.create(run_info("said"), [first], {"nodes": []})
        fence = await store.create(replace(run_info("said-2"), tags=("Früh",)), [first, step(2)], {"nodes": []})
        bough = await branch(store, "bough", "said-2", at=2, count=1)
        why = Summary("write: TimeoutError: no answer", "failed")
        await append(store, Append("said-2", fence, [step(3)], "failed", summary=why))

        async def ids(text: str) -> set[str]:
            return {info.id for info in await store.runs(text=text)}

        for number in range(600):  # some stores gather runs before they index them
            if number in {0, 599}:
                assert await ids("4711 SHOP order") == {"order-4711"}
                assert await ids("apfel birn") == await ids("42 ÄPFEL") == {"said", "said-2", "bough"}
                assert await ids("timeouterror apfel fruh") == await ids("Früh") == {"said-2"}
                assert await ids(f"word0 word{INPUT_WORDS - 2}") == {"long"}  # and "said", which counts once
                assert await ids(f"word{INPUT_WORDS - 1}") == set(), "an input has no more words than these"
                assert await ids("timeouterror shop") == await ids("pfel") == await ids("set") == set()
                await store.tag("order-4711", ["kept"])
                assert await ids("kept") == {"order-4711"}
                await store.tag("order-4711", remove=["kept"])
                assert await ids("kept") == set()
            await store.create(run_info(f"other-{number}"), [step(1)], {"nodes": []})
        await append(store, Append("bough", bough, [step(4)], "failed", summary=why))
        assert await ids("timeouterror") == {"said-2", "bough"}
        assert await remove(store, "bough", "said-2") == {}
        assert await ids("timeouterror") == set()
        assert await ids("birnen") == {"said"}

    @scenario
    async def test_ids_by_their_beginning(self, store: Store) -> None:
        """Test that `ids` returns the ids of runs that begin with a text, sorted.

        It returns at most as many ids as the caller asks for.
        """
        for run_id in ("ab", "a", "b", "abc", "abz", "ab%", "aB", "é", "éa"):
            await new_run(store, run_id)
        assert list(await store.ids("ab")) == ["ab", "ab%", "abc", "abz"]
        assert list(await store.ids("ab", limit=2)) == ["ab", "ab%"]
        assert list(await store.ids("é")) == ["é", "éa"]
        assert list(await store.ids("nobody")) == list(await store.ids("a", limit=0)) == []
        assert len(await store.ids("")) == 9

    @scenario
    async def test_branches_of_runs(self, store: Store) -> None:
        """Test that `branches` returns the runs that branch directly off the given runs.

        The returned runs contain the same information as from `info`.
        """
        await new_run(store, "a", count=3)
        await new_run(store, "lonely", count=3)
        await branch(store, "b", "a", at=2, count=2)
        await branch(store, "c", "a", at=1)
        await branch(store, "d", "b", at=4)
        found = await store.branches(["a", "lonely", "unknown"])
        assert sorted(info.id for info in found) == ["b", "c"]
        assert all([info == await store.info(info.id) for info in found])
        assert [info.id for info in await store.branches(["b"])] == ["d"]
        assert list(await store.branches([])) == []

    @scenario
    async def test_what_a_prune_needs_of_ended_runs(self, store: Store) -> None:
        """Test that `ended` returns pages of ended runs, the newest run first, with what a prune needs to know.

        That is the information of `info` and the size of each run. The size grows with the number of a run's own steps.
        Steps that a branch shares with its parent add nothing.
        """
        await ended_run(store, "short", count=1)
        await ended_run(store, "long", count=50)
        await ended_run(store, "failed", status="failed")
        await append(store, batch("child", await branch(store, "child", "long", at=50), [], "finished"))
        other = replace(run_info("other", graph="h"), created_at=101.0, tags=("b", "a"), starter="long", depth=1)
        await append(store, batch("other", await store.create(other, [], {"nodes": []}), [step(1)], "finished"))
        found = list(await store.ended("finished"))
        assert [run.id for run in found] == ["other", "short", "long", "child"]
        for run in found:
            info = await store.info(run.id)
            for name in {*run.__struct_fields__} - {"size", "branched"}:
                assert getattr(run, name) == getattr(info, name), (run.id, name)
        size = {run.id: run.size for run in found}
        assert size["child"] == 0
        assert 30 * size["short"] < size["long"] < 70 * size["short"]
        assert [run.id for run in found if run.branched] == ["long"]
        assert [run.id for run in await store.ended("finished", graph="g", limit=2)] == ["short", "long"]
        assert [run.id for run in await store.ended("finished", after=found[1])] == ["long", "child"]
        assert [run.id for run in await store.ended("failed")] == ["failed"]
        await store.claim("failed")
        assert (await store.ended("failed"))[0].driver is not None
        assert await remove(store, "child") == {}
        assert await store.remove([run for run in found if run.id in ("long", "other")]) == {}
        assert [run.id for run in await store.ended("finished", after=found[0])] == ["short"]

    # -- texts

    @scenario
    async def test_long_texts_come_back_unchanged(self, store: Store) -> None:
        """Test that a long text that occurs in many steps of a run is read unchanged in each step and each branch."""
        texts = [letter * 10_000 for letter in ("x", '"', "\\", "é", "\n")]
        fence = await new_run(store, count=0)
        recorded = [step(seq, value=[texts[seq % 5], "short", {"again": texts[seq % 5]}]) for seq in range(1, 21)]
        for each in recorded:
            await append(store, batch("r", fence, [each]))
        await branch(store, "child", "r", at=15)
        assert same(await store.steps("r"), recorded)
        assert same(await store.steps("child"), recorded[:15])
        assert same((await store.load("r", 12)).steps, recorded[:12])

    @scenario
    async def test_a_removed_run_leaves_others_their_texts(self, store: Store) -> None:
        """Test that a long text that several runs have in common is kept until the last of these runs is removed."""
        recorded = [step(seq, value="x" * 10_000) for seq in range(1, 4)]
        for run_id in ("a", "b"):
            fence = await new_run(store, run_id)
            await append(store, batch(run_id, fence, recorded, "finished"))
        assert await remove(store, "a") == {}
        await store.sweep()
        assert same(await store.steps("b"), recorded)

    # -- removal

    @scenario
    async def test_a_removed_run_is_unknown_everywhere(self, store: Store) -> None:
        """Test that after a removal every method behaves as if the run had never existed. Other runs are unchanged."""
        await ended_run(store, "r", count=MANY)
        await ended_run(store, "other")
        await store.tag("r", ["x"])
        await store.post("r", "message", 1, "k")
        assert await remove(store, "r") == {}
        for _ in range(2):
            for ask in (store.info, store.load, store.steps, store.claim, store.tag):
                with refused(UnknownRun):
                    await ask("r")
            with refused(UnknownRun):
                await store.post("r", "message", 1, "k")
            assert list(await store.inbox(["r"])) == []
            assert list(await store.runs(tag="x")) == []
            assert [info.id for info in await store.runs()] == ["other"]
            assert same(await store.steps("other"), steps(1, 3))
            await store.sweep()

    @scenario
    async def test_an_id_is_free_after_its_run_was_removed(self, store: Store) -> None:
        """Test that a new run with the id of a removed run has no data of the removed run.

        This also holds before the space of the removed run is freed.
        """
        for _ in range(3):
            await ended_run(store, "r", count=MANY)
            await store.tag("r", ["x"])
            assert await store.post("r", "message", 1, "k")
            await remove(store, "r")
        fence = await new_run(store, "r", count=2)
        await store.sweep()
        assert (await store.info("r")).tags == ()
        assert same(await store.steps("r"), steps(1, 2))
        assert list(await store.inbox(["r"])) == []
        assert await store.post("r", "message", 1, "k")
        await append(store, batch("r", fence, [step(3)]))
        assert covers(await store.load("r"), 3)

    @scenario
    async def test_freeing_does_not_affect_new_runs(self, store: Store) -> None:
        """Test that runs that are created after a removal, but before `sweep` frees the space, keep all their data."""
        await ended_run(store, "old", count=MANY)
        await remove(store, "old")
        await ended_run(store, "new", count=MANY)
        await ended_branch(store, "child", "new", at=MANY - 1)
        await store.sweep()
        await new_run(store, "newer", count=1)
        assert same(await store.steps("new"), steps(1, MANY))
        assert same(await store.steps("child"), [*steps(1, MANY - 1), step(MANY, field="child")])

    @scenario
    async def test_runs_that_can_continue_are_not_removed(self, store: Store) -> None:
        """Test that a run that is running or waiting, or that a process drives, cannot be removed."""
        fence = await new_run(store, "driven", count=1)
        fence_left = await new_run(store, "left", count=1)
        await store.release("left", fence_left)
        await waiting_run(store, "waits")
        statuses: Sequence[Status] = ("finished", "stopped", "failed")
        for status in statuses:
            await ended_run(store, status, status=status)
            await store.claim(status)
        kept = await remove(store, "driven", "left", "waits", *statuses)
        assert set(kept) == {"driven", "left", "waits", *statuses}
        assert kept["left"] == "it is running"
        assert kept["waits"] == "it is waiting"
        assert all(kept[run_id].startswith("driven by ") for run_id in ("driven", *statuses))
        await append(store, batch("driven", fence, [step(2)]))

    @scenario
    async def test_a_run_that_changed_is_not_removed(self, store: Store) -> None:
        """Test that a run is removed only if it has not changed since the caller read it.

        The store compares the nonce, the status, the last step and the tags.
        """
        for run_id in ("more", "tagged", "other", "same"):
            await ended_run(store, run_id)
        infos = [await store.info(run_id) for run_id in ("more", "tagged", "other", "same")]
        await append(store, batch("more", await store.claim("more"), [step(4)], "finished"))
        await store.tag("tagged", ["keep"])
        await append(store, batch("other", await store.claim("other"), [], "failed"))
        assert await store.remove(infos) == dict.fromkeys(("more", "tagged", "other"), "changed meanwhile")
        assert await listed(store) == ["more", "other", "tagged"]
        assert await store.remove(infos[3:]) == {"same": "already removed"}
        tagged = await store.info("tagged")  # each is judged when its turn comes, also a run that is given again
        assert await store.remove([infos[1], tagged]) == {"tagged": "changed meanwhile"}
        assert await listed(store) == ["more", "other"]
        ended = await store.ended("finished")  # what an earlier run with an id was, if another one looks the same
        assert [(run.id, run.nonce) for run in ended] == [("more", "")]
        for run in (await store.info("other"), replace(await store.info("more"), nonce="earlier")):
            assert await store.remove([replace(run, nonce="earlier")]) == {run.id: "changed meanwhile"}

    @scenario
    async def test_a_run_with_a_branch_is_not_removed(self, store: Store) -> None:
        """Test that a parent is removed with or after its branches, never before them."""
        await ended_run(store, "a")
        await ended_branch(store, "b", "a", at=2)
        await ended_branch(store, "c", "b", at=3)
        assert await remove(store, "a", "b") == {"a": "needed by branch b", "b": "needed by branch c"}
        assert await remove(store, "c", "a") == {"a": "needed by branch b"}
        await store.sweep()
        assert same(await store.steps("b"), [*steps(1, 2), step(3, field="b")])
        assert await remove(store, "b", "a") == {}
        assert await listed(store) == []

    @scenario
    async def test_outlines_are_removed_with_the_last_run_that_needs_them(self, store: Store) -> None:
        """Test that the store removes the description of a graph when no run needs it any more.

        The last run that has, or had, this version of the graph must be removed first. Afterwards the description can
        be stored again.
        """
        fence = await store.create(run_info("changed"), [step(1)], {"graph": "f1"})
        added = Append("changed", fence, [step(2)], "finished", fingerprint="f2", graph_spec={"graph": "f2"})
        await append(store, added)
        other = replace(run_info("other"), fingerprint="f3")
        await append(store, batch("other", await store.create(other, [step(1)], {"graph": "f3"}), [], "finished"))
        await remove(store, "other")
        await store.sweep()
        assert await store.graph_spec("f1") == {"graph": "f1"}
        assert await store.graph_spec("f2") == {"graph": "f2"}
        assert await store.graph_spec("f3") is None
        await store.create(other, [step(1)], {"graph": "f3"})
        assert await store.graph_spec("f3") == {"graph": "f3"}
        await remove(store, "changed")
        await store.sweep()
        assert await store.graph_spec("f1") is None
        assert await store.graph_spec("f2") is None

    @scenario
    async def test_codes_are_removed_with_the_last_run_that_needs_them(self, store: Store) -> None:
        """Test that the store removes the description of a run's code with the last run that was driven by this code.

        Afterwards the description can be stored again.
        """
        fence = await store.create(replace(run_info("changed"), code="c1"), [step(1)], {}, {"code": 1})
        await append(store, Append("changed", fence, [step(2)], "finished", code="c2", code_body={"code": 2}))
        other = replace(run_info("other"), code="c3")
        await append(store, batch("other", await store.create(other, [step(1)], {}, {"code": 3}), [], "finished"))
        await remove(store, "other")
        await store.sweep()
        assert [await store.code(each) for each in ("c1", "c2", "c3")] == [{"code": 1}, {"code": 2}, None]
        await store.create(other, [step(1)], {}, {"code": 3})
        assert await store.code("c3") == {"code": 3}
        await remove(store, "changed")
        await store.sweep()
        assert [await store.code(each) for each in ("c1", "c2", "c3")] == [None, None, {"code": 3}]

    @scenario
    async def test_a_vacuum_changes_no_run(self, store: Store) -> None:
        """Test that `vacuum` returns the size of the store before and after, and changes no run.

        Runs in progress are not changed either.
        """
        fence = await new_run(store, "going", count=2)
        await ended_run(store, "old", count=MANY)
        await remove(store, "old")
        await store.sweep()
        before, after = await store.vacuum()
        assert 0 <= after <= before + self.vacuum_adds
        assert same(await store.steps("going"), steps(1, 2))
        await append(store, batch("going", fence, [step(3)]))

    @scenario
    async def test_a_closed_store_removes_nothing(self, store: Store) -> None:
        """Test that every method of a closed store raises RunnerClosed."""
        await ended_run(store)
        info = await store.info("r")
        await store.close()
        for ask in (store.sweep, store.vacuum):
            with refused(RunnerClosed):
                await ask()
        with refused(RunnerClosed):
            await store.remove([info])
        with refused(RunnerClosed):
            await store.tag("r", ["x"])

    # -- two processes

    @scenario
    async def test_a_run_that_another_process_claimed_is_not_removed(self, store: Store) -> None:
        """Test that if a run is removed while another process claims or branches it, the first operation wins.

        After a claim or a branch, the run is not removed. After a removal, a claim or a branch raises UnknownRun.
        """
        for run_id in ("claimed", "branched", "removed"):
            await ended_run(store, run_id)
        infos = [await store.info(run_id) for run_id in ("claimed", "branched", "removed")]
        second = await self.open_second(store)
        try:
            fence = await second.claim("claimed")
            await branch(second, "child", "branched", at=2)
            kept = await store.remove(infos)
            assert set(kept) == {"claimed", "branched"}
            assert kept["branched"] == "needed by branch child"
            with refused(UnknownRun):
                await second.claim("removed")
            with refused(UnknownRun):
                await branch(second, "late", "removed", at=1)
            await append(second, batch("claimed", fence, [step(4)]))
            assert same(await second.steps("claimed"), steps(1, 4))
        finally:
            await second.close()
