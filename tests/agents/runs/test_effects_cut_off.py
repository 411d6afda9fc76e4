"""Effects that began and have no recorded end: whatever cut them off, they are found out and not repeated.

An effect is a node, a recorded call or a tool of an agent, and a line in a file outside the run, which is the oracle.
It is cut off here in a process that lives on; `tests/crash` has processes that are killed or suspended, and full disks.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Agent,
    Context,
    Graph,
    NotDone,
    Once,
    Result,
    Retry,
    RunFailed,
    Runner,
    ScriptedModel,
    Worker,
    tool,
)
from graphengine.errors import InputError, RunIsDriven
from graphengine.graph.effect import Effect
from graphengine.models.scripted import calls
from graphengine.runner import Posted
from graphengine.worker.worker import RunOutcome, WorkerEvent
from tests.kit.runs import SOON, outlast, pass_time

HOUR = 3600.0


class State(BaseModel):
    """What was done."""

    text: str = ""


class Ledger:
    """The receiver of effects: a file with a line for each, its key. The first `troubles` effects have trouble."""

    def __init__(
        self, file: Path, trouble: Callable[[], Awaitable[object]], troubles: int = 1, *, in_thread: bool = False
    ) -> None:
        self._file, self._trouble, self._troubles, self.in_thread = file, trouble, troubles, in_thread
        self._loop = asyncio.get_running_loop()
        self.begun = asyncio.Event()

    @property
    def keys(self) -> list[str]:
        """The keys of all effects that happened."""
        return self._file.read_text(encoding="utf-8").splitlines() if self._file.exists() else []

    @property
    def chosen(self) -> Callable[[str], Any]:
        """The function that acts."""
        return self.act_in_a_thread if self.in_thread else self.act

    async def act(self, idempotency_key: str) -> str:
        """Act, and return."""
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{idempotency_key}\n")
        self.begun.set()
        self._troubles -= 1
        if self._troubles >= 0:
            await self._trouble()
        return "acted"

    def act_in_a_thread(self, idempotency_key: str) -> str:
        """Act, and return when each time limit is over."""
        asyncio.run_coroutine_threadsafe(self.act(idempotency_key), self._loop).result()
        outlast(self._loop, 0.05)
        return "acted"

    def find(self, idempotency_key: str) -> str:
        """Return what became of an effect."""
        if idempotency_key in self.keys:
            return "found"
        raise NotDone("no such key")


async def hang() -> None:
    """Never return."""
    await asyncio.Event().wait()


async def hang_for_hours() -> None:
    """Let each time limit pass, and do not return."""
    pass_time(2 * HOUR)
    await hang()


async def pass_hours() -> None:
    """Let each time limit pass."""
    pass_time(2 * HOUR)


async def break_down() -> None:
    """Lose the connection."""
    raise ConnectionError("the line broke")


async def be_cancelled() -> None:
    """Be cancelled by its own code, not by the run."""
    raise asyncio.CancelledError("by a library")


Form = Callable[[Ledger, Effect, dict[str, Any], dict[str, Any]], Graph[State]]


def as_node(ledger: Ledger, effect: Effect, node: dict[str, Any], _: dict[str, Any]) -> Graph[State]:
    """Return a graph whose node is the effect."""

    async def act(ctx: Context) -> str:
        return await ledger.act(ctx.idempotency_key)

    def act_in_a_thread(ctx: Context) -> str:
        return ledger.act_in_a_thread(ctx.idempotency_key)

    return made(act_in_a_thread if ledger.in_thread else act, effect=effect, **node)


def as_call(ledger: Ledger, effect: Effect, node: dict[str, Any], _: dict[str, Any]) -> Graph[State]:
    """Return a graph whose node makes a recorded call that is the effect."""

    async def work(ctx: Context) -> str:
        return await ctx.call(ledger.chosen, effect=effect)

    return made(work, **node)


def as_tool(ledger: Ledger, effect: Effect, node: dict[str, Any], options: dict[str, Any]) -> Graph[State]:
    """Return a graph whose agent has the effect as a tool, and answers with what the tool returned."""
    acting = tool(ledger.chosen, name="act", description="Act.", effect=effect, **options)
    model = ScriptedModel(
        lambda request: request.messages[-1].text if len(request.messages) > 1 else calls(("act", {}))
    )
    return made(Agent("clerk", model=model, prompt="Act.", tools=[acting]), **node)


def made(work: Any, **options: Any) -> Graph[State]:
    """Return a graph of one node, which is retried: no retry repeats an effect."""
    graph = Graph("acting", State, result="text")
    graph.add_node("work", work, writes="text", retry=Retry(attempts=3, initial_seconds=0), **options)
    graph.add_path(START, "work", END)
    return graph


async def stop(runner: Runner, _: "asyncio.Task[Any]", __: Path | str) -> None:
    """Stop the run at once."""
    await runner.stop("r", now=True)


async def stop_from_outside(_: Runner, __: "asyncio.Task[Any]", database: Path | str) -> None:
    """Stop it at once from another Runner."""
    async with Runner(database) as other:
        await other.stop("r", now=True)


async def cancel(_: Runner, living: "asyncio.Task[Any]", __: Path | str) -> None:
    """Cancel the task that has opened the Runner and awaits the run."""
    living.cancel()


async def close(runner: Runner, _: "asyncio.Task[Any]", __: Path | str) -> None:
    """Close the Runner."""
    await runner.__aexit__(None, None, None)


async def nothing(_: Runner, __: "asyncio.Task[Any]", ___: Path | str) -> None:
    """Leave it to the effect, which has its own trouble."""


CUTS: dict[str, tuple[Any, Any, dict[str, Any], dict[str, Any]]] = {
    "stop": (stop, hang, {}, {}),
    "stop from outside": (stop_from_outside, hang, {}, {}),
    "cancel": (cancel, hang, {}, {}),
    "close": (close, hang, {}, {}),
    "timeout of the node": (nothing, hang_for_hours, {"timeout_seconds": HOUR}, {}),
    "timeout of the tool": (nothing, hang_for_hours, {}, {"timeout_seconds": HOUR}),
    "exception": (nothing, break_down, {}, {}),
    "cancelled by itself": (nothing, be_cancelled, {}, {}),
}
FORMS = (as_node, as_call, as_tool)


def fits(form: Form, what: str) -> bool:
    """Return whether a form of an effect can be cut off so: only a tool has a time limit of its own."""
    return form is as_tool or not CUTS[what][3]


async def live(database: Path | str, graph: Graph[State], opened: "asyncio.Future[Runner]") -> None:
    """Start the run, and await its result, in a Runner of its own."""
    async with Runner(database) as runner:
        opened.set_result(runner)
        await runner.start(graph, run_id="r").result()


async def cut_off(database: Path | str, graph: Graph[State], ledger: Ledger, cut: Any = close) -> None:
    """Run until the effect has begun, and cut it off."""
    opened: asyncio.Future[Runner] = asyncio.get_running_loop().create_future()
    living, begun = asyncio.create_task(live(database, graph, opened)), asyncio.create_task(ledger.begun.wait())
    runner = await opened
    await asyncio.wait([living, begun], return_when=asyncio.FIRST_COMPLETED)
    assert begun.done(), living.result()
    await cut(runner, living, database)
    await asyncio.gather(living, return_exceptions=True)


async def resumed(runner: Runner, graph: Graph[State]) -> Result[State]:
    """Resume the run; twice if it failed before it asked."""
    try:
        return await runner.resume("r", graph).result()
    except RunFailed:
        return await runner.resume("r", graph).result()


@pytest.mark.parametrize("finds_out", [False, True])
@pytest.mark.parametrize(("form", "what"), [(form, what) for form in FORMS for what in CUTS if fits(form, what)])
async def test_an_effect_that_was_cut_off_is_not_repeated(
    what: str, form: Form, database: Path | str, tmp_path: Path, *, finds_out: bool
) -> None:
    """A person is asked, or `reconcile=` finds out, and that is its result: the ledger has one line to the end."""
    cut, trouble, node, options = CUTS[what]
    ledger = Ledger(tmp_path / "ledger", trouble)
    graph = form(ledger, Once(reconcile=ledger.find) if finds_out else "once", node, options)
    await cut_off(database, graph, ledger, cut)
    async with Runner(database) as runner:
        if (await runner.store.info("r")).status != "finished":
            result = await resumed(runner, graph)
            if not finds_out:
                assert (result.status, [wait.kind for wait in result.waits]) == ("waiting", ["unknown"])
                assert len(ledger.keys) == 1
                await runner.answer("r", {"result": "told"})
                result = await runner.resume("r", graph).result()
            assert result.output == ("found" if finds_out else "told")
        assert (await runner.store.info("r")).status == "finished"
    assert len(ledger.keys) == 1


@pytest.mark.parametrize("form", FORMS)
async def test_an_effect_in_a_thread_that_returns_too_late_is_not_repeated(
    form: Form, database: Path | str, tmp_path: Path
) -> None:
    """The time of its node is over before its thread returns: a person is asked, whatever the retries."""
    ledger = Ledger(tmp_path / "ledger", pass_hours, in_thread=True)
    graph = form(ledger, "once", {"timeout_seconds": HOUR}, {})
    async with Runner(database) as runner:
        result = await runner.start(graph, run_id="r").result()
        assert (result.status, [wait.kind for wait in result.waits]) == ("waiting", ["unknown"])
        await runner.answer("r", {"result": "told"})
        assert (await runner.resume("r", graph).result()).output == "told"
    assert len(ledger.keys) == 1


@pytest.mark.parametrize("form", FORMS)
async def test_one_of_several_that_resume_begins_it_again(form: Form, database: Path | str, tmp_path: Path) -> None:
    """A person said that it did not happen: three Runners want the run, one does it, and two are refused meanwhile."""
    refused = asyncio.Event()
    ledger = Ledger(tmp_path / "ledger", hang)
    graph = form(ledger, "once", {}, {})
    await cut_off(database, graph, ledger)
    again = Ledger(tmp_path / "ledger", refused.wait)
    graph = form(again, "once", {}, {})
    refusals: list[RunIsDriven] = []

    async def compete(runner: Runner) -> str:
        try:
            return str((await runner.resume("r", graph).result()).output)
        except RunIsDriven as error:
            refusals.append(error)
            if len(refusals) == 2:
                refused.set()
            return "refused"

    async with Runner(database) as one, Runner(database) as two, Runner(database) as three:
        await one.resume("r", graph).result()
        await one.answer("r", "rerun")
        async with asyncio.timeout(SOON):
            found = await asyncio.gather(*map(compete, (one, two, three)))
    assert sorted(found) == ["acted", "refused", "refused"]
    assert len(again.keys) == 2
    assert len(set(again.keys)) == 1


@pytest.mark.parametrize("form", FORMS)
async def test_workers_that_compete_do_each_effect_once(form: Form, database: Path | str, tmp_path: Path) -> None:
    """Three workers of three Runners take from one queue: the ledger has one line for each run."""
    runs = [f"r{number}" for number in range(12)]
    ledger = Ledger(tmp_path / "ledger", hang, troubles=0)
    graph = form(ledger, "once", {}, {})
    ended = set[str]()

    def tell(event: WorkerEvent) -> None:
        if isinstance(event, RunOutcome):
            ended.add(event.info.id)
        if len(ended) == len(runs):
            for worker in workers:
                worker.stop()

    async with Runner(database) as one, Runner(database) as two, Runner(database) as three:
        for run in runs:
            await one.start(graph, run_id=run, queue="q").result()
        workers = [Worker(each, graph, poll_seconds=0.01, on_event=tell) for each in (one, two, three)]
        async with asyncio.timeout(SOON):
            await asyncio.gather(*(worker.run() for worker in workers))
    assert sorted(key.partition("/")[0] for key in ledger.keys) == sorted(runs)


@pytest.mark.parametrize("form", FORMS)
async def test_an_answer_that_comes_twice_counts_once(form: Form, database: Path | str, tmp_path: Path) -> None:
    """Two people say `rerun`: the second finds no question, and it begins once more, not twice."""
    ledger = Ledger(tmp_path / "ledger", hang)
    graph = form(ledger, "once", {}, {})
    await cut_off(database, graph, ledger)
    async with Runner(database) as runner, Runner(database) as other:
        await runner.resume("r", graph).result()
        answers = [each.answer("r", "rerun") for each in (runner, other)]
        outcomes = await asyncio.gather(*answers, return_exceptions=True)
        refused = [each for each in outcomes if not isinstance(each, Posted)]
        assert all(isinstance(each, InputError) for each in refused)
        assert (await runner.resume("r", graph).result()).output == "acted"
    assert len(ledger.keys) == 2
