"""The exception of a failed run in Python: the cause of RunFailed, and the recorded traceback."""

import asyncio
import gc
import re
import traceback
import weakref
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, SecretStr

from graphengine import END, START, Context, Failure, Graph, Retry, RunFailed, Runner, failed
from graphengine.engine.steps import FailureRecord
from graphengine.errors import ConditionFailed, InputError, StoreFull
from graphengine.reducers import append
from graphengine.state.recorded_text import to_show
from graphengine.stores.base import Append
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import alone

KEY = "a-key-for-tests-0123456789-abcdefghijklmnop"


class State(BaseModel):
    n: int = 0
    m: int = 0
    errors: Annotated[list[Failure], append] = []


class Odd(Exception):
    """A custom error of these tests."""


def breaks(n: int) -> int:
    """Fail at a line that is easy to find."""
    raise Odd(f"at {n}")


def one(runnable: Any, **options: Any) -> Graph[State]:
    """Return a graph START → a → END."""
    return alone(State, runnable, "n", **options, name="g", node="a")


async def test_run_failed_has_the_exception_as_its_cause(runner: Runner) -> None:
    """It is the object that the node raised, with its traceback; the failure has the recorded text."""
    run = runner.start(one(breaks))
    for _ in range(2):  # each call of result raises again
        with pytest.raises(RunFailed) as caught:
            await run.result()
        assert isinstance(caught.value.__cause__, Odd)
        assert caught.value.__cause__.__traceback__ is not None
        error = caught.value.result.error
        assert error is not None
        assert "in breaks" in error.traceback
        assert "traceback" not in error.model_dump()


async def test_an_error_of_graphengine_in_a_node_keeps_its_parts(runner: Runner) -> None:
    """Its place and its repair are recorded apart from its message, and RunFailed reports each of them once."""

    def refuses(n: int) -> int:
        raise InputError("the amount is negative", where="order 7", repair="give a positive amount")

    with pytest.raises(RunFailed) as caught:
        await runner.start(one(refuses)).result()
    error = caught.value.result.error
    assert error is not None
    assert (error.message, error.where, error.repair) == ("the amount is negative", "order 7", "give a positive amount")
    assert str(caught.value).splitlines()[1:] == ["  at: a, order 7", "  repair: give a positive amount"]


def frames_of(error: BaseException | None) -> list[tuple[str, str]]:
    """Return the file and the function of each frame of an exception and of those that caused it."""
    found: list[tuple[str, str]] = []
    while error is not None:
        entries = traceback.walk_tb(error.__traceback__)
        found += [(Path(frame.f_code.co_filename).name, frame.f_code.co_name) for frame, _ in entries]
        error = error.__cause__ or error.__context__
    return found


def deeper(n: int) -> int:
    """Fail with an error that another one caused."""
    try:
        return breaks(n)
    except Odd as error:
        raise ValueError("deeper") from error


async def awaits(n: int) -> int:
    """Fail on the event loop."""
    return breaks(n)


@pytest.mark.parametrize(
    ("node", "options", "functions"),
    [
        (breaks, {}, ["breaks"]),
        (awaits, {}, ["awaits", "breaks"]),
        (awaits, {"timeout_seconds": 60}, ["awaits", "breaks"]),
        (deeper, {}, ["deeper", "deeper", "breaks"]),
    ],
)
async def test_a_traceback_has_only_frames_of_user_code(
    runner: Runner, node: Any, options: dict[str, Any], functions: list[str]
) -> None:
    """The exception and the recorded text lead from the node to the line that raised, in a thread and on the loop."""
    with pytest.raises(RunFailed) as caught:
        await runner.start(one(node, **options)).result()
    assert frames_of(caught.value.__cause__) == [("test_causes.py", name) for name in functions]
    error = caught.value.result.error
    assert error is not None
    assert error.traceback.startswith("Traceback (most recent call last):\n")
    assert set(re.findall(r'File ".*[/\\](.+)", line', error.traceback)) == {"test_causes.py"}
    assert "During handling" not in error.traceback


async def test_another_process_gets_only_the_recorded_traceback(database: Path | str) -> None:
    """A failed run that is read again has the text, and no exception."""
    async with Runner(database) as runner:
        with pytest.raises(RunFailed):
            await runner.start(one(breaks), run_id="r").result()
    async with Runner(database) as runner:
        run: Any = runner.resume("r", one(breaks))
        run._life.claim.asked = False  # only read it  # noqa: SLF001 - not public
        with pytest.raises(RunFailed) as caught:
            await run.result()
        assert caught.value.__cause__ is None
        error = caught.value.result.error
        assert error is not None
        assert "in breaks" in error.traceback


async def test_a_graph_with_secrets_gives_no_live_exception() -> None:
    """The exception can quote a secret; the record hides it."""
    pytest.importorskip("cryptography")

    class Vault(BaseModel):
        token: SecretStr = SecretStr("hunter2-very-secret")
        n: int = 0

    def leak(token: SecretStr) -> int:
        raise Odd(token.get_secret_value())

    graph = alone(Vault, leak, "n", name="vault", node="a", secret_key=KEY)
    with pytest.raises(RunFailed) as caught:
        await graph.run()
    assert caught.value.__cause__ is None


async def test_no_store_keeps_exceptions_alive() -> None:
    """Steps are kept for long; an exception would keep the frames of its node alive with them."""

    class Big:
        """A large value that a node holds when it fails."""

    def holds_much(n: int) -> int:
        much = Big()
        raise Odd(str(much))

    graph = Graph("loop", State, collect_errors="errors")
    retry = Retry(attempts=2, initial_seconds=0)
    graph.add_node("a", holds_much, writes="n", retry=retry, thread=False)  # a thread releases its last call later
    graph.add_node("b")
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    graph.add_edge("a", "b", when=failed(Odd))
    graph.add_edge("b", END)
    async with Runner(InMemoryStore()) as runner:
        await runner.start(graph).result()
        gc.collect()
        assert not [each for each in gc.get_objects() if isinstance(each, Big)]


async def test_a_store_that_fails_keeps_nothing_of_the_nodes_that_fail_with_it() -> None:
    """The failure of the node is never recorded; its exception has frames that have the failure."""
    held: weakref.WeakSet[asyncio.Event] = weakref.WeakSet()

    class Full(InMemoryStore):
        """A store that has no room for a result of a call."""

        def append(self, batch: Append) -> None:
            if any(step.kind == "recorded" for step in batch.steps):
                raise StoreFull("there is no room")
            super().append(batch)

    async def holds_much(ctx: Context) -> int:
        here = asyncio.Event()
        held.add(here)
        return await ctx.call(lambda: int(here.is_set()))

    async with Runner(Full()) as runner:
        with pytest.raises(StoreFull):
            await runner.start(alone(State, holds_much, "n")).result()
    gc.collect()
    assert not held


async def test_the_failure_of_the_first_step_has_its_cause_and_keeps_nothing() -> None:
    """A condition of an edge out of START is asked when the run begins."""
    held: weakref.WeakSet[asyncio.Event] = weakref.WeakSet()

    def odd(state: State) -> bool:
        here = asyncio.Event()
        held.add(here)
        raise Odd(f"{state.n} {here.is_set()}")

    graph = Graph("begins", State)
    graph.add_node("a")
    graph.add_edge(START, "a", when=odd)
    graph.add_edge(START, END)
    graph.add_edge("a", END)
    async with Runner(InMemoryStore()) as runner:
        with pytest.raises(RunFailed) as caught:
            await runner.start(graph).result()
        assert isinstance(caught.value.__cause__, ConditionFailed)
        assert isinstance(caught.value.__cause__.__cause__, Odd)
        del caught
        gc.collect()
        assert not held


async def test_failures_are_compared_by_their_fields() -> None:
    """A failure kept in a state equals the one that a node received, whose traceback is known."""
    kept = Failure(path="a", kind="x", message="m")
    read = Failure.of(FailureRecord("a", "x", to_show("m"), 1, traceback="Traceback"))
    assert kept == read
    assert hash(kept) == hash(read)
    assert (kept.traceback, read.traceback) == ("", "Traceback")
