"""Stopping runs: the recorded reason, whichever process stops the run."""

from pathlib import Path

from graphengine import Context, Runner
from graphengine.kernel.fake_clock import FakeClock
from graphengine.runner import StepRecorded
from graphengine.worker.worker import RunOutcome, Took
from tests.kit.runs import alone
from tests.kit.workers import let_work
from tests.runner.test_stops import Gate, Plain


async def test_a_worker_finds_what_a_closed_runner_released(database: Path | str) -> None:
    """It takes a run in flight as an orphan, as if its process had been killed, and one that sleeps when it is due."""
    gate, clock = Gate(), FakeClock(start=1000.0)

    async def sleeps(n: int, ctx: Context) -> int:
        await ctx.sleep(60)
        return n + 5

    asleep = alone(Plain, sleeps, "n", name="asleep", node="a")
    async with Runner(database) as runner:
        runs = [runner.start(asleep, run_id="asleep"), runner.start(gate.graph(), run_id="flight")]
        async for event in runs[0].events():
            if isinstance(event, StepRecorded) and event.step.kind == "waiting":
                break
        await gate.entered.wait()
    assert (await runs[1].result()).status == "running"
    gate.leave.set()
    async with Runner(database, clock=clock) as runner:
        clock.move(10**10)  # after every wait
        events = await let_work(runner, 2, gate.graph(), asleep, concurrency=1)
    took = sorted((event.info.id, event.why) for event in events if isinstance(event, Took))
    ended = sorted((event.info.id, event.result.status) for event in events if isinstance(event, RunOutcome))
    assert took == [("asleep", "due"), ("flight", "orphan")]
    assert ended == [("asleep", "finished"), ("flight", "finished")]


async def test_a_stop_that_its_process_did_not_see_is_not_lost(database: Path | str) -> None:
    """A run is stopped while no process drives it: the next worker stops it, and only `resume` continues it."""
    gate = Gate()
    gate.leave.set()
    async with Runner(database) as runner:
        for run_id in ("r", "again"):
            run = runner.start(gate.graph(), run_id=run_id)
            await runner.release(run_id)
            await run.result()
            await runner.stop(run_id, "not needed")
        assert (await runner.resume("again", gate.graph()).result()).status == "finished"
        await let_work(runner, 1, gate.graph())
        info = await runner.info("r")
        assert (info.status, info.summary and info.summary.reason) == ("stopped", "not needed")
        assert gate.calls == 1
        assert (await runner.resume("r", gate.graph()).result()).status == "finished"
