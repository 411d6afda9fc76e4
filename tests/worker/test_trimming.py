"""Retention of steps: what an endless run did goes behind a snapshot, over each store."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from graphengine import END, START, Graph, Limits, Retention, Runner, ask, value
from graphengine.cli.main import main
from graphengine.databases.postgres import doctor as postgres_doctor
from graphengine.databases.sqlite import doctor as sqlite_doctor
from graphengine.engine.reasons import InForce
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.steps import strip_removed
from graphengine.engine.stored import encode_snapshot
from graphengine.errors import DefinitionError, UnknownStep
from graphengine.history.reasons import StepReasons, load_specs
from graphengine.records.export import export_run, import_run
from graphengine.records.replay.replay import replay
from graphengine.records.spending import Spent, spending
from graphengine.records.visits import Visits, load_visits
from graphengine.worker.retention import Removed, Remover
from tests.kit.facts import made_step

ROUND = 300
"""Visits before the run waits: more than the steps from one snapshot to the next."""
KEPT = 40


class State(BaseModel):
    n: int = 0
    ok: bool = False
    notes: list[str] = []


def endless(edges: int = 0) -> Graph[State]:
    """Return a graph that counts, and asks every so often whether to go on; with so many edges that are never taken."""

    async def look(n: int) -> dict[str, object]:
        return {"n": n + 1, **({"notes": [f"{n} {'x' * 5000}"]} if n % 50 == 0 else {})}

    graph = Graph("endless", State, limits=Limits(visits=100_000))
    graph.add_node("look", look, writes=("n", "notes"))
    graph.add_node("check", ask("Go on?", bool), writes="ok")
    graph.add_edge(START, "look")
    for n in range(edges):
        graph.add_edge("look", END, when=value("n") > 10_000 + n)
    graph.add_edge("look", "check", when=lambda state: state.n % ROUND == 0, label="a round is over")
    graph.add_edge("look", "look")
    graph.add_edge("check", "look", when=lambda state: state.ok, label="go on")
    graph.add_edge("check", END)
    return graph


async def go_on(runner: Runner, run_id: str = "r") -> None:
    """Let a run go through one more round."""
    await runner.answer(run_id, value=True)
    await runner.resume(run_id, endless()).result()


async def rounds(runner: Runner, count: int) -> None:
    """Let the run go through so many rounds; it waits then."""
    await runner.start(endless(), run_id="r").result()
    for _ in range(count - 1):
        await go_on(runner)


def examined(database: Path | str) -> list[str]:
    """Return what the doctor of a database finds."""
    report = sqlite_doctor.examine(database) if isinstance(database, Path) else postgres_doctor.examine(database)
    return [finding.what for finding in report.faults]


def remover_of(runner: Runner) -> Remover:
    """Return what removes the steps of the endless runs before the last ones."""
    return Remover(runner.store, {"endless": Retention(None, None, keep_steps=KEPT)})


async def pass_over(runner: Runner) -> list[Removed]:
    """Make one pass."""
    remover = remover_of(runner)
    await runner.store.set_role(remover.role)
    return [each async for each in remover.once(0.0)]


async def test_old_steps_go_behind_a_snapshot(runner: Runner) -> None:
    """Numbers stay, what is left folds to the same run, and it goes on as before; a later pass moves the snapshot."""
    await rounds(runner, 3)
    whole = list(await runner.store.steps("r"))
    state = await runner.state_at("r")
    (passed,) = await pass_over(runner)
    left = list(await runner.store.steps("r"))
    assert [step.seq for step in left] == [step.seq for step in whole]
    kinds = [step.kind for step in left]
    end = max(at for at, kind in enumerate(kinds) if kind == "removed")
    assert (kinds[0], set(kinds[1 : end + 1])) == ("started", {"removed"})
    assert passed == Removed("endless", 0, end - 1)
    assert left[end + 1 :] == whole[end + 1 :]
    assert len(whole) - end - 1 >= KEPT
    assert await runner.state_at("r") == state
    assert (await load_visits(runner.store, "r")).snapshot.root.count("look") == 3 * ROUND
    assert await pass_over(runner) == []
    await go_on(runner)
    assert (await runner.state_at("r"))["n"] == 4 * ROUND
    (again,) = await pass_over(runner)
    assert again.steps > ROUND / 2
    await runner.answer("r", value=False)
    done = await runner.resume("r", endless()).result()
    assert (done.status, done.state.n) == ("finished", 4 * ROUND)
    assert len(await runner.store.steps("r")) == done.seq


async def test_a_removed_step_is_refused_by_name(runner: Runner) -> None:
    """Its state cannot be read, nothing can branch from it; the first step and those that are left can be used."""
    await rounds(runner, 2)
    seq = (await runner.store.info("r")).seq
    await pass_over(runner)
    for ask_for in (runner.state_at("r", 5), runner.branch("r", endless(), 5, run_id="child").result()):
        with pytest.raises(UnknownStep, match="step 5 of run 'r' was removed by the retention of its graph"):
            await ask_for
    with pytest.raises(UnknownStep):
        await load_visits(runner.store, "r", 5)
    assert (await runner.state_at("r", 1))["n"] == 0
    for at in (1, seq):
        await runner.branch("r", endless(), at, run_id=f"at{at}", update={"n": 2 * ROUND - 1}).result()
    assert (await runner.state_at(f"at{seq}"))["n"] == 2 * ROUND - 1
    assert (await runner.state_at("at1"))["n"] == 2 * ROUND


async def test_a_run_with_branches_keeps_its_steps(runner: Runner) -> None:
    """A branch reads them; its own are removed, and its parent's once it is gone."""
    await rounds(runner, 2)
    whole = list(await runner.store.steps("r"))
    await runner.branch("r", endless(), 5, run_id="child").result()
    await go_on(runner, "child")
    (passed,) = await pass_over(runner)
    assert list(await runner.store.steps("r")) == whole
    kinds = [step.kind for step in await runner.store.steps("child")]
    assert "removed" not in kinds[:6]
    assert kinds[5:7] == ["branched", "removed"]
    assert (await runner.state_at("child"))["n"] == 2 * ROUND
    await runner.stop("child")
    await runner.admin.prune(keep_last=0, statuses=["stopped"])
    (later,) = await pass_over(runner)
    assert passed.steps > 0 < later.steps


async def test_an_export_of_a_trimmed_run_is_imported_and_replayed(runner: Runner, tmp_path: Path) -> None:
    """It begins with its first step and goes on from the snapshot; what was removed is said to be unchecked."""
    await rounds(runner, 2)
    (passed,) = await pass_over(runner)
    exported = await export_run(runner.store, "r")
    found = replay(endless(), exported)
    assert found.same
    assert found.unchecked == {"steps that the retention of the graph removed": passed.steps + 1}
    async with Runner(tmp_path / "other.db") as other:
        assert await import_run(other.store, exported)
        assert list(await other.store.steps("r")) == list(await runner.store.steps("r"))
        await go_on(other)
        assert (await other.state_at("r"))["n"] == 3 * ROUND


async def test_reasons_behind_removed_steps_are_read_in_the_spec_that_was_in_force(runner: Runner) -> None:
    """That is known, although the step that names its fingerprint was removed with the others."""
    await runner.start(endless(), run_id="r").result()
    for edges in (3, 1):
        await runner.answer("r", value=True)
        await runner.resume("r", endless(edges)).result()
        assert await pass_over(runner) != []
        steps = await runner.store.steps("r")
        own, exported = await load_specs(runner.store, steps), await export_run(runner.store, "r")
        in_order = InForce(own)
        whys = {
            "in order": [in_order.why(step) for step in steps][-2],
            "from the middle": await StepReasons(runner.store, "r").why(steps[-2]),
            "visits": _why(Visits.of(steps, specs=own)),
            "exported": _why(Visits.of(exported.steps, specs=exported.graph_specs)),
        }
        n = (await runner.state_at("r"))["n"]
        wanted = "; ".join([*(f"n {n} > {10_000 + each}: no" for each in range(edges)), "function of state: yes"])
        assert whys == dict.fromkeys(whys, wanted)


def _why(visits: Visits) -> str:
    """Return why the last edge was taken."""
    return [entry.edge.why for entry in visits.entries if entry.edge is not None][-1]


@pytest.mark.parametrize("steps", [0, -1, True, 1.5, "many"])
def test_a_number_of_steps_that_cannot_be_kept_is_refused(steps: object) -> None:
    """It is refused where it is written."""
    with pytest.raises(DefinitionError, match="Retention\\(keep_steps="):
        Retention(keep_steps=steps)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_doctor_finds_a_trimmed_run_sound(database: Path | str) -> None:
    """In the middle of it too, when some of the old steps are still there: each follows those before it."""
    async with Runner(database) as runner:
        await rounds(runner, 3)
        state = await runner.state_at("r")
        for limit in (1, 300, 10_000):
            assert await runner.store.trim("r", KEPT, limit) > 0
            assert await runner.state_at("r") == state
            assert (await load_visits(runner.store, "r")).snapshot.root.values == state
            assert (await asyncio.to_thread(examined, database)) == []
        assert await runner.store.trim("r", KEPT, 10_000) == 0


def test_what_removed_steps_spent_stays_in_the_total() -> None:
    """It is listed apart, as which agent and model it was only the steps said; what is inherited stays as it was."""
    data = {"by": {"agent": "a", "model": "m"}, "usage": {"calls": 1, "cost_usd": 0.25}}
    calls = [made_step(seq, "recorded", 1.0, "", "ask", 1, 1, data=data) for seq in (1, 2, 4)]
    until = Snapshot(usage={"calls": 5, "cost_usd": 1.25}, inherited={"calls": 1, "cost_usd": 0.25})
    log = [*calls[:2], strip_removed(3, 2.0, encode_snapshot(until)), calls[2]]
    assert spending(log, shared_seq=1) == [
        Spent("a", "m", "ask", inherited=True, usage={"calls": 1, "cost_usd": 0.25}),
        Spent("", "", "removed steps", inherited=False, usage={"calls": 4, "cost_usd": 1.0}),
        Spent("a", "m", "ask", inherited=False, usage={"calls": 1, "cost_usd": 0.25}),
    ]
    assert spending([strip_removed(2, 2.0, encode_snapshot(Snapshot()))]) == []


def test_show_says_what_was_removed_in_a_line(tmp_path: Path) -> None:
    """It lists the steps that are left; a removed one cannot be shown."""
    path = tmp_path / "runs.db"

    async def trimmed() -> int:
        async with Runner(path) as runner:
            await rounds(runner, 2)
            return (await pass_over(runner))[0].steps

    steps = asyncio.run(trimmed())
    shown = CliRunner().invoke(main, ["show", "r", "--all", "--store", str(path)])
    ends = f"steps 2 to {steps + 2} were removed by retention: the run goes on from a snapshot after step {steps + 2}"
    assert [line for line in shown.output.splitlines() if "removed" in line] == [ends]
    refused = CliRunner().invoke(main, ["show", "r", "--step", "5", "--store", str(path)])
    assert (refused.exit_code, "step 5 of run 'r' was removed" in refused.stderr) == (2, True)


async def test_steps_are_removed_while_the_run_is_driven(database: Path | str) -> None:
    """Another process removes them, and the one that drives the run neither waits nor notices."""
    async with Runner(database) as runner, Runner(database) as other:
        await rounds(runner, 2)
        await runner.answer("r", value=True)
        ended = asyncio.ensure_future(runner.resume("r", endless()).result())
        gone = 0
        while not ended.done():
            gone += await other.store.trim("r", KEPT, 7)
            await asyncio.sleep(0)
        assert (await ended).state.n == 3 * ROUND
        assert gone > 0
        assert (await load_visits(other.store, "r")).snapshot.root.count("look") == 3 * ROUND


async def test_a_prune_by_retention_trims_too(database: Path | str) -> None:
    """What workers would remove is also what `prune(retention=)` removes; a dry run removes nothing."""
    keep = Retention(keep_steps=KEPT)
    async with Runner(database) as runner:
        await runner.start(endless(), run_id="r").result()
        before = len(await runner.history("r"))
        assert (await runner.admin.prune(retention=keep, dry_run=True)).trimmed_steps == 0
        assert len(await runner.history("r")) == before
        pruned = await runner.admin.prune(retention=keep, graph="another")
        assert (pruned.trimmed_steps, pruned.runs) == (0, ())
        pruned = await runner.admin.prune(retention=keep)
        assert pruned.trimmed_steps > ROUND / 2
        assert pruned.runs == ()
        await go_on(runner)
        assert (await runner.state_at("r"))["n"] == 2 * ROUND
