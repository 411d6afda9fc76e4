"""Runs from code without an event loop: SyncRunner, and the options of run_sync."""

import asyncio
import errno
import inspect
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Agent,
    Context,
    Graph,
    RunFailed,
    Runner,
    ScriptedModel,
    SyncRun,
    SyncRunner,
    ask,
    value,
)
from graphengine.api.portal import Portal
from graphengine.errors import DefinitionError, InputError, RunExists, RunnerClosed, UnknownRun, UnknownStep
from graphengine.runner import Emitted, Run, RunEnded, StepRecorded
from scripts import sync_runner
from tests.kit.runs import SOON, alone


class State(BaseModel):
    n: int = 0
    text: str = ""


def one(name: str, runnable: Any, writes: str = "n", **options: Any) -> Graph[State]:
    """Return a graph START → a → END."""
    return alone(State, runnable, writes, name=name, node="a", **options)


def adds() -> Graph[State]:
    """Return a graph that adds 1."""
    return one("adds", lambda n: n + 1)


def test_the_types_are_generated_from_the_async_classes() -> None:
    """`python -m scripts.sync_runner` writes exactly this file."""
    assert sync_runner.FILE.read_text() == sync_runner.source()


def test_every_method_has_the_signature_and_the_text_of_the_async_one() -> None:
    """Only what workers, the command line and the inspector use is left out."""
    for made, given in ((SyncRunner, Runner), (SyncRun, Run)):
        for name, member in inspect.getmembers(given, inspect.isfunction):
            if name.startswith("_"):
                continue
            method = getattr(made, name)
            assert inspect.signature(method).parameters == inspect.signature(member).parameters
            assert inspect.getdoc(method)
    assert inspect.signature(SyncRunner).parameters == inspect.signature(Runner).parameters
    assert inspect.signature(SyncRunner.start).return_annotation == "SyncRun[S, Out_co]"
    assert inspect.signature(SyncRunner.watch).return_annotation == "Iterator[Event]"
    assert "await" not in (SyncRunner.start.__doc__ or "")


@pytest.mark.parametrize("how", [{"at": ("ay", 1)}, {"at": 99}, {"at": 1, "update": {"m": 1}}])
def test_a_handle_on_a_run_that_could_not_be_begun_says_why(how: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Each method raises what kept it from being recorded, not that there is no such run; it is not logged as well."""
    with SyncRunner() as runner:
        runner.start(adds(), run_id="r").result()
        child = runner.branch("r", adds(), **how)
        for method in (child.status, child.history, child.stop, child.result):
            with pytest.raises((UnknownStep, InputError), match=r"'ay'|99|'m'"):
                method()
    assert caplog.text == ""


def test_a_handle_on_a_run_that_another_one_began_reads_that(caplog: pytest.LogCaptureFixture) -> None:
    """A start that is refused, as the id is taken, leaves its handle on the run that has it."""
    with SyncRunner() as runner:
        runner.start(adds(), run_id="r").result()
        assert runner.start(one("other", lambda: 1), run_id="r").status() == "finished"
    assert "RunExists" in caplog.text


def test_a_loop_that_cannot_be_created_raises_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a free file descriptor, say, a call raises instead of waiting for ever, and a later one can succeed."""
    told: Queue[object] = Queue()

    def refuse() -> asyncio.AbstractEventLoop:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def use() -> None:
        try:
            portal.call(os.getpid)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test compares it
            told.put(error)

    portal = Portal()
    with monkeypatch.context() as patched:
        patched.setattr("asyncio.events.new_event_loop", refuse)
        patched.setattr("asyncio.new_event_loop", refuse)
        threading.Thread(target=use, daemon=True).start()
        error = told.get(timeout=SOON)
    assert isinstance(error, OSError)
    assert error.errno == errno.EMFILE
    assert portal.call(os.getpid) == os.getpid()
    portal.stop()


def test_a_script_starts_answers_and_lists_runs(database: Path | str) -> None:
    """The methods are those of Runner, without await."""
    asking = one("asking", ask("Which?", int))
    with SyncRunner(database) as runner:
        assert runner.start(adds(), {"n": 1}, run_id="first").result().state.n == 2
        run = runner.start(asking, run_id="second")
        assert [wait.question for wait in run.result().waits] == ["Which?"]
        assert run.status() == "waiting"
        run.answer("5")
        assert runner.resume("second", asking).result().state.n == 5
        assert [info.id for info in runner.runs()] == ["second", "first"]
        assert runner.get("first", adds()).result().state == State(n=2)
        assert runner.history("first")[-1].kind == "node"
        child = runner.get("first", adds()).branch(1, update={"n": 7})
        assert isinstance(child, SyncRun)
        assert child.result().state.n == 8
        assert [each.id for each in runner.recover(asking)] == []


def test_events_are_iterated_as_they_come(database: Path | str) -> None:
    """Events of the own run and of any other are iterated as they come; leaving the loop early closes the stream."""
    followed = threading.Event()

    async def emits(n: int, ctx: Context) -> int:
        await asyncio.to_thread(followed.wait, 30)
        ctx.emit("shown")
        return n + 1

    with SyncRunner(database) as runner:
        stream = iter(runner.start(one("emits", emits), run_id="r").events())
        events = [next(stream)]
        followed.set()
        events += stream
        assert [event.data for event in events if isinstance(event, Emitted)] == ["shown"]
        assert isinstance(events[-1], RunEnded)
        assert [event.seq for event in runner.watch("r") if isinstance(event, StepRecorded)] == [1, 2]
        first = next(runner.watch("r"))
        assert isinstance(first, StepRecorded)


def test_errors_are_those_of_the_async_runner() -> None:
    """A failed run has the exception as its cause."""

    def breaks(n: int) -> int:
        raise ValueError("broken")

    with SyncRunner() as runner:
        with pytest.raises(RunFailed) as caught:
            runner.start(one("breaks", breaks)).result()
        assert isinstance(caught.value.__cause__, ValueError)
        with pytest.raises(UnknownRun):
            runner.info("missing")
        runner.start(adds(), run_id="r").result()
        with pytest.raises(RunExists):
            runner.start(adds(), run_id="r").result()


def test_any_thread_may_use_it() -> None:
    """Any thread may use it, as the threads of a web server do."""
    with SyncRunner() as runner, ThreadPoolExecutor(4) as threads:
        results = threads.map(lambda n: runner.start(adds(), {"n": n}).result().state.n, range(8))
        assert list(results) == list(range(1, 9))


async def test_it_works_where_an_event_loop_is_running() -> None:
    """It works in a notebook, where an event loop is running: its own loop is in another thread."""
    with SyncRunner() as runner:
        assert runner.start(adds()).result().state.n == 1


def test_a_closed_one_refuses_calls_and_ends_its_thread(database: Path | str) -> None:
    """Its runs are released; closing it again does nothing."""
    entered = threading.Event()

    async def waits(n: int) -> int:
        entered.set()
        await asyncio.Event().wait()
        return n

    graph = one("waits", waits)
    others = {*threading.enumerate()}  # such as those of runners that other tests left open
    runner = SyncRunner(database)
    runner.start(graph, run_id="r")
    assert entered.wait(60)
    runner.close()
    runner.close()
    assert "graphengine loop" not in {thread.name for thread in {*threading.enumerate()} - others}
    with pytest.raises(RunnerClosed, match="with SyncRunner"):
        runner.runs()
    with SyncRunner(database) as later:
        assert [info.id for info in later.runs(status="interrupted")] == ["r"]


def test_a_node_that_waits_for_its_own_runner_is_refused() -> None:
    """It would wait for itself; a node in a thread may use it."""
    with SyncRunner() as runner:

        async def on_the_loop(n: int) -> int:
            return runner.start(adds()).result().state.n

        def in_a_thread(n: int) -> int:
            return runner.start(adds()).result().state.n

        with pytest.raises(RunFailed) as caught:
            runner.start(one("loop", on_the_loop)).result()
        assert isinstance(caught.value.__cause__, DefinitionError)
        assert runner.start(one("thread", in_a_thread)).result().state.n == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_is_told_to_create_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread of the loop is not in the child; waiting for it would never end."""
    with SyncRunner() as runner:
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            with pytest.raises(RunnerClosed, match="forked"):
                runner.runs()
        assert runner.runs() == []


def test_an_interrupted_caller_cancels_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run itself continues until the runner closes."""
    with SyncRunner() as runner:
        run = runner.start(one("waits", ask("Which?", int)), run_id="r")
        run.result()
        with monkeypatch.context() as patch:

            def interrupted(_: object, timeout: float | None = None) -> None:
                raise KeyboardInterrupt

            patch.setattr("concurrent.futures.Future.result", interrupted)
            with pytest.raises(KeyboardInterrupt):
                run.result()
        assert runner.info("r").status == "waiting"


def test_run_sync_takes_what_a_script_needs(tmp_path: Path) -> None:
    """A store and an id, so that the run can be continued; models and resources in place of the graph's own."""
    path = tmp_path / "runs.db"
    assert adds().run_sync({"n": 1}, store=path, run_id="r").state.n == 2
    with SyncRunner(path) as runner:
        assert runner.info("r").status == "finished"
    with pytest.raises(RunExists):
        adds().run_sync(store=path, run_id="r")
    writer = Agent("writer", prompt="go")
    result = one("writes", writer, "text").run_sync(models={"writer": ScriptedModel(["Once"])})
    assert result.state.text == "Once"

    def uses(db: str) -> str:
        return db

    graph = one("uses", uses, "text", resources={"db": lambda: "own"})
    assert graph.run_sync(resources={"db": "given"}).state.text == "given"


async def test_warnings_of_a_graph_are_shown_when_it_is_run() -> None:
    """`run` and `run_sync` warn with the place of the declaration; a Runner does not."""
    graph = Graph("loops", State)
    graph.add_node("a", lambda n: n + 1, writes="n")
    graph.add_edge(START, "a")
    graph.add_edge("a", END, when=value("n") >= 1)
    with pytest.warns(UserWarning, match=r"graph 'loops' compiles with a warning no_otherwise at node a") as shown:
        await graph.run()
    assert [each.filename for each in shown] == [__file__]


def test_a_misspelt_option_of_a_sync_runner_is_refused() -> None:
    """So is a missing argument; type checkers refuse both too."""
    with SyncRunner() as runner:
        with pytest.raises(DefinitionError, match=r"start has no option 'run_idd'\n.*did you mean 'run_id'"):
            runner.start(adds(), run_idd="r")  # type: ignore[call-arg]
        with pytest.raises(DefinitionError, match=r"info\(\) missing a required argument: 'run_id'"):
            runner.info()  # type: ignore[call-arg]


def test_what_the_result_has_is_refused_with_the_call() -> None:
    """A property of the result is refused on the run, with the call that returns the result."""
    with SyncRunner() as runner:
        run: Any = runner.start(adds())
        with pytest.raises(
            AttributeError,
            match=r"has no attribute .*\n  at: SyncRun.*\n  repair: run\.result\(\)\.\w+",
        ):
            _ = run.state
        assert run.result().state.n == 1
