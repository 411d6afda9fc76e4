"""Recorded work through the real runner: what is done once, what is done again, and what others are told of it."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Limits, PastRun, Retry, RunFailed, Runner, value
from graphengine.errors import InputError
from graphengine.reducers import append
from graphengine.runner.run import Emitted, StepRecorded
from graphengine.testing import FakeClock

SOON = 5  # seconds that a test may hang before it fails


class Page(BaseModel):
    url: str
    words: list[str] = []


class State(BaseModel):
    text: str = ""
    n: int = 0
    log: Annotated[list[str], append] = []
    items: list[int] = [1, 2, 3]


def one(work: Callable[..., Any], writes: str = "text", **options: Any) -> Graph[State]:
    """A graph of one node."""
    graph = Graph("one", State)
    graph.add_node("work", work, writes=writes, **options)
    graph.add_path(START, "work", END)
    return graph


async def kinds(runner: Runner, run_id: str) -> Sequence[str]:
    """What was recorded, by kind."""
    return [step.kind for step in await runner.history(run_id)]


async def failing(runner: Runner, graph: Graph[State], run_id: str | None = None) -> Any:
    """Run or resume what is to fail, and give the result."""
    run = runner.start(graph) if run_id is None else runner.resume(graph, run_id)
    with pytest.raises(RunFailed) as caught:
        await run.result()
    return caught.value.result


# -- what is recorded, and what comes back


async def test_a_step_gives_what_its_function_gives(runner: Runner) -> None:
    """Async and sync functions, methods, lambdas and partials; the sync ones in a thread."""
    here = threading.get_ident()
    threads: list[bool] = []

    def sync(n: int) -> int:
        threads.append(threading.get_ident() == here)
        return n + 1

    async def slow(n: int, *, by: int) -> int:
        await asyncio.sleep(0)
        return n * by

    async def work(ctx: Context) -> str:
        return f"{await ctx.step(sync, 1)} {await ctx.step(slow, 2, by=3)} {await ctx.step('x'.upper)}"

    run = runner.start(one(work))
    assert (await run.result()).state.text == "2 6 X"
    assert threads == [False]
    recorded = [step for step in await runner.history(run.id) if step.kind == "recorded"]
    assert [step.data["value"] for step in recorded] == [2, 6, "X"]
    assert [step.data["name"].rsplit(".", 1)[-1] for step in recorded] == ["sync", "slow", "upper"]
    assert {(step.path, step.visit, step.attempt) for step in recorded} == {("work", 1, 1)}


async def test_models_come_back_as_models(runner: Runner) -> None:
    """The return annotation says how a record is read, the first time as well as after an answer."""
    seen: list[object] = []

    async def fetch(url: str) -> Page:
        return Page(url=url, words=["a"])

    async def pages() -> list[Page]:
        return [Page(url="x")]

    async def pair() -> tuple[int, Page | None]:
        return 1, None

    async def work(ctx: Context) -> str:
        seen.append((await ctx.step(fetch, "u"), await ctx.step(pages), await ctx.step(pair)))
        return await ctx.ask("Well?", str)

    graph = one(work)
    run_id = (await runner.start(graph).result()).run_id
    await runner.answer(run_id, "x")
    await runner.resume(graph, run_id).result()
    assert seen == [(Page(url="u", words=["a"]), [Page(url="x")], (1, None))] * 2


async def test_without_an_annotation_a_result_is_plain_json(runner: Runner) -> None:
    """A lambda's mapping comes back as it was; a model without an annotation is refused with the repair."""

    async def plain(ctx: Context) -> str:
        return str(await ctx.step(lambda: {"a": [1, None, 2.5]}))

    assert (await runner.start(one(plain)).result()).state.text == "{'a': [1, None, 2.5]}"

    async def untyped(ctx: Context) -> str:
        return str(await ctx.step(lambda: Page(url="u")))

    result = await failing(runner, one(untyped))
    assert result.error.kind == "not_recordable"
    assert "annotate what the function returns" in result.repair


@pytest.mark.parametrize("made", [{1, 2}, (1, 2), object(), float("nan"), {1: "a"}, b"\xff"])
async def test_what_would_come_back_as_something_else_is_refused(runner: Runner, made: object) -> None:
    """Instead of a node that sees a set before a crash and a list after it."""

    def give():  # type: ignore[no-untyped-def]  # noqa: ANN202
        return made

    async def work(ctx: Context) -> str:
        return str(await ctx.step(give))

    result = await failing(runner, one(work))
    assert result.error.kind == "not_recordable"
    assert "recorded" not in await kinds(runner, result.run_id)


async def test_an_argument_that_is_no_json_needs_a_key(runner: Runner) -> None:
    """Without one it is refused with the repair; with one the call is told by it."""
    lock = threading.Lock()

    def use(what: object) -> str:
        return "used"

    async def bare(ctx: Context) -> str:
        return await ctx.step(use, lock)

    result = await failing(runner, one(bare))
    assert result.error.kind == "not_recordable"
    assert "key=" in result.repair

    async def keyed(ctx: Context) -> str:
        return await ctx.step(use, lock, key="the lock")

    assert (await runner.start(one(keyed)).result()).state.text == "used"


async def test_a_key_tells_calls_apart(runner: Runner) -> None:
    """In place of the arguments: one key is one call, whatever it is given the second time."""
    calls: list[int] = []

    async def count(n: int) -> int:
        calls.append(n)
        return n

    async def work(ctx: Context) -> str:
        first = await ctx.step(count, len(calls), key="k")
        await ctx.ask("Well?", str)
        return str(first)

    graph = one(work)
    run_id = (await runner.start(graph).result()).run_id
    await runner.answer(run_id, "x")
    assert (await runner.resume(graph, run_id).result()).state.text == "0"
    assert calls == [0]


async def test_equal_calls_are_told_apart_by_their_number(runner: Runner) -> None:
    """Three equal calls are three calls, and each gets its own record back, whichever ended first."""
    made: list[int] = []
    turns = [asyncio.Event() for _ in range(4)]
    turns[3].set()

    async def draw() -> int:
        number = len(made)
        made.append(number)
        await turns[number + 1].wait()
        turns[number].set()
        return number

    async def work(ctx: Context) -> str:
        drawn = await asyncio.gather(*(ctx.step(draw) for _ in range(3)))
        await ctx.ask("Well?", str)
        return str(drawn)

    graph = one(work)
    run_id = (await runner.start(graph).result()).run_id
    recorded = [step.data["value"] for step in await runner.history(run_id) if step.kind == "recorded"]
    assert recorded == [2, 1, 0]
    await runner.answer(run_id, "x")
    assert (await runner.resume(graph, run_id).result()).state.text == "[0, 1, 2]"
    assert made == [0, 1, 2]


async def test_unequal_calls_are_told_apart_whatever_their_order(runner: Runner) -> None:
    """Asked for in another order the second time, each gets its own record."""
    calls: list[str] = []

    async def fetch(name: str) -> str:
        calls.append(name)
        return name.upper()

    async def work(ctx: Context) -> str:
        order = ["a", "b"] if len(calls) == 0 else ["b", "a"]
        found = {name: await ctx.step(fetch, name) for name in order}
        await ctx.ask("Well?", str)
        return str(found)

    graph = one(work)
    run_id = (await runner.start(graph).result()).run_id
    await runner.answer(run_id, "x")
    assert (await runner.resume(graph, run_id).result()).state.text == "{'b': 'B', 'a': 'A'}"
    assert calls == ["a", "b"]


async def test_records_that_nobody_asks_for_are_named(runner: Runner) -> None:
    """The node's step says which, by name and number."""
    first = True

    def early() -> int:
        return 1

    async def work(ctx: Context) -> str:
        nonlocal first
        if first:
            first = False
            await ctx.step(early)
        await ctx.ask("Well?", str)
        return "done"

    graph = one(work)
    run_id = (await runner.start(graph).result()).run_id
    await runner.answer(run_id, "x")
    await runner.resume(graph, run_id).result()
    (unused,) = (await runner.history(run_id))[-1].data["unused"]
    assert "early" in unused


async def test_a_failed_step_is_recorded_nowhere_and_made_again(runner: Runner) -> None:
    """A call that raised and was caught is no record: the node that runs again calls it again."""
    calls: list[str] = []

    async def shaky() -> str:
        calls.append("shaky")
        if len(calls) == 1:
            raise OSError
        return "fine"

    async def work(ctx: Context) -> str:
        try:
            got = await ctx.step(shaky)
        except OSError:
            got = "caught"
        return f"{got} {await ctx.ask('Well?', str)}"

    graph = one(work)
    run_id = (await runner.start(graph).result()).run_id
    assert "recorded" not in await kinds(runner, run_id)
    await runner.answer(run_id, "x")
    assert (await runner.resume(graph, run_id).result()).state.text == "fine x"


async def test_a_set_is_the_same_input_each_time(runner: Runner) -> None:
    """Whatever order it has in this process."""
    names = ["b", "a", "c"] * 2
    sets = iter([frozenset(names), frozenset(reversed(names))])
    calls: list[object] = []

    async def count(what: dict[str, frozenset[str]]) -> int:
        calls.append(what)
        return len(what["names"])

    async def work(ctx: Context) -> str:
        found = await ctx.step(count, {"names": next(sets)})
        await ctx.ask("Well?", str)
        return str(found)

    graph = one(work)
    run_id = (await runner.start(graph).result()).run_id
    await runner.answer(run_id, "x")
    assert (await runner.resume(graph, run_id).result()).state.text == "3"
    assert len(calls) == 1


def test_the_digest_of_a_set_does_not_depend_on_the_process() -> None:
    """Hashes of text differ from one process to the next, and so does the order of a set of it."""
    code = "from graphengine.runner.work import _digest; print(_digest('f', [{'a', 'b', 'c'}], {}))"
    root = Path(__file__).resolve().parents[2]
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in "123"
    }
    assert len(found) == 1


async def test_an_iterator_needs_a_key(runner: Runner) -> None:
    """Looking at it would use it up before the call gets it."""

    async def bare(ctx: Context) -> str:
        return str(await ctx.step(sum, (n for n in (1, 2, 3))))

    result = await failing(runner, one(bare))
    assert result.error.kind == "not_recordable"
    assert "used up" in result.error.message

    async def keyed(ctx: Context) -> str:
        return str(await ctx.step(sum, (n for n in (1, 2, 3)), key="sum"))

    assert (await runner.start(one(keyed)).result()).state.text == "6"


async def test_a_class_makes_its_own_instances(runner: Runner) -> None:
    """A model's class is a function that gives that model; a sync function may say that it gives an awaitable."""

    def later() -> Awaitable[int]:
        async def three() -> int:
            return 3

        return three()

    async def work(ctx: Context) -> str:
        return f"{(await ctx.step(Page, url='u')).url} {await ctx.step(later)}"

    assert (await runner.start(one(work)).result()).state.text == "u 3"


async def test_a_return_type_that_json_cannot_carry_is_refused_before_the_call(runner: Runner) -> None:
    """By name, with the repair, and nothing is done."""
    calls: list[int] = []

    def make() -> threading.Event:
        calls.append(1)
        return threading.Event()

    async def work(ctx: Context) -> str:
        return str(await ctx.step(make))

    result = await failing(runner, one(work))
    assert (result.error.kind, calls) == ("not_recordable", [])
    assert "make returns, Event" in result.error.message


async def test_steps_inside_steps_are_told_apart_by_the_outer_one(runner: Runner) -> None:
    """Two calls side by side make equal calls inside; each keeps its own, and none of them is unused."""
    calls: list[str] = []
    first_may_go = asyncio.Event()

    async def inner(ctx: Context, name: str) -> str:
        calls.append(name)
        return name

    async def outer(name: str, ctx: Context) -> str:
        if name == "a":
            await first_may_go.wait()
        got = await ctx.step(inner, ctx, name, key="inner")
        first_may_go.set()
        return got

    async def work(ctx: Context) -> str:
        both = await asyncio.gather(*(ctx.step(outer, name, ctx, key=name) for name in "ab"))
        await ctx.ask("Well?", str)
        return " ".join(both)

    graph = one(work)
    run_id = (await runner.start(graph).result()).run_id
    assert calls == ["b", "a"]
    await runner.answer(run_id, "x")
    assert (await runner.resume(graph, run_id).result()).state.text == "a b"
    assert "unused" not in (await runner.history(run_id))[-1].data


@pytest.mark.parametrize("kind", ["ask", "receive", "sleep"])
async def test_waiting_inside_a_step_is_a_clear_error(runner: Runner, kind: str) -> None:
    """It would wait for its own end; the error says where to wait."""

    async def inner(ctx: Context) -> str:
        if kind == "ask":
            await ctx.ask("Well?", str)
        elif kind == "receive":
            await ctx.receive("t")
        else:
            await ctx.sleep(5)
        return "x"

    async def work(ctx: Context) -> str:
        return await ctx.step(inner, ctx, key="k")

    with pytest.raises(RunFailed, match=rf"ctx.{kind} was called inside a ctx.step[\s\S]*in the node itself"):
        async with asyncio.timeout(SOON):
            await runner.start(one(work)).result()


async def test_errors_that_cause_each_other_end(timed: Runner) -> None:
    """A node's error whose causes go round in a circle is looked at once."""

    async def work(ctx: Context) -> str:
        await ctx.step("x".upper)
        first, second = ValueError("first"), ValueError("second")
        second.__cause__ = first
        raise first from second

    result = await failing(timed, one(work))
    assert result.error.message == "first"


# -- retries (K2)


def counted(calls: list[str], name: str) -> Callable[[], str]:
    """A function that notes its calls."""

    def call() -> str:
        calls.append(name)
        return name

    call.__qualname__ = name
    return call


async def test_a_retry_after_a_failed_call_keeps_what_was_recorded(timed: Runner) -> None:
    """Work before the call that raised is not done again, whether the error came as it is or wrapped."""
    for wrap in (False, True):
        calls: list[str] = []

        async def shaky(calls: list[str] = calls) -> str:
            calls.append("shaky")
            if calls.count("shaky") < 3:
                raise OSError
            return "shaky"

        async def work(ctx: Context, calls: list[str] = calls, wrap: bool = wrap, shaky: Any = shaky) -> str:  # noqa: FBT001
            first = await ctx.step(counted(calls, "first"))
            try:
                return first + await ctx.step(shaky, key="k")
            except OSError as error:
                if wrap:
                    raise ValueError from error
                raise

        result = await timed.start(one(work, inputs={}, retry=Retry(attempts=3, jitter=0))).result()
        assert result.state.text == "firstshaky"
        assert calls == ["first", "shaky", "shaky", "shaky"]


async def test_a_retry_after_a_failed_call_in_a_group_keeps_what_was_recorded(timed: Runner) -> None:
    """The call's error inside an exception group is the call's."""
    calls: list[str] = []

    async def shaky() -> str:
        calls.append("shaky")
        if calls.count("shaky") < 2:
            raise OSError
        return "shaky"

    async def work(ctx: Context) -> str:
        first = await ctx.step(counted(calls, "first"))
        async with asyncio.TaskGroup() as group:
            second = group.create_task(ctx.step(shaky))  # type: ignore[arg-type]
        return first + second.result()

    assert (await timed.start(one(work, retry=Retry(attempts=2))).result()).state.text == "firstshaky"
    assert calls == ["first", "shaky", "shaky"]


async def test_a_retry_after_the_nodes_own_error_starts_afresh(timed: Runner) -> None:
    """What was recorded may be what it stumbled over."""
    calls: list[str] = []

    async def work(ctx: Context) -> str:
        first = await ctx.step(counted(calls, "first"))
        if len(calls) < 2:
            raise ValueError
        return first

    assert (await timed.start(one(work, retry=Retry(attempts=2))).result()).state.text == "first"
    assert calls == ["first", "first"]


async def test_a_retry_after_a_bad_update_starts_afresh(timed: Runner) -> None:
    """An update that does not fit is the node's failure."""
    calls: list[str] = []

    async def work(ctx: Context) -> object:
        await ctx.step(counted(calls, "first"))
        return "no number" if len(calls) < 2 else 5

    assert (await timed.start(one(work, "n", retry=Retry(attempts=2))).result()).state.n == 5
    assert calls == ["first", "first"]


async def test_a_caught_error_of_a_call_is_not_the_nodes_later_one(timed: Runner) -> None:
    """A node that caught a call's error and then raises its own starts afresh."""
    calls: list[str] = []

    async def broken() -> str:
        raise OSError

    async def work(ctx: Context) -> str:
        first = await ctx.step(counted(calls, "first"))
        try:
            await ctx.step(broken)
        except OSError:
            pass
        if len(calls) < 2:
            message = "my own"
            raise ValueError(message)
        return first

    assert (await timed.start(one(work, retry=Retry(attempts=2))).result()).state.text == "first"
    assert calls == ["first", "first"]


async def test_a_resume_after_a_failed_call_keeps_what_was_recorded(runner: Runner) -> None:
    """The run failed with the call's error; mended and resumed it does the rest."""
    calls: list[str] = []
    broken = True

    async def shaky() -> str:
        calls.append("shaky")
        if broken:
            raise OSError
        return "shaky"

    async def work(ctx: Context) -> str:
        return await ctx.step(counted(calls, "first")) + await ctx.step(shaky)

    graph = one(work)
    run_id = (await failing(runner, graph)).run_id
    broken = False
    assert (await runner.resume(graph, run_id).result()).state.text == "firstshaky"
    assert calls == ["first", "shaky", "shaky"]


async def test_a_fallback_may_record_work_too(runner: Runner) -> None:
    """And wait: it runs again with what it had."""
    calls: list[str] = []

    async def work() -> str:
        raise ValueError

    async def instead(ctx: Context) -> str:
        return await ctx.step(counted(calls, "first")) + await ctx.ask("Well?", str)

    graph = one(work, fallback=instead)
    run_id = (await runner.start(graph).result()).run_id
    await runner.answer(run_id, "!")
    assert (await runner.resume(graph, run_id).result()).state.text == "first!"
    assert calls == ["first"]


# -- cancellation, timeouts, threads


async def test_a_timeout_amid_a_step_starts_afresh(timed: Runner) -> None:
    """The step that was cut off is made again, and what came before it: no call raised, the node was too slow."""
    calls: list[str] = []

    async def slow() -> str:
        calls.append("slow")
        if calls.count("slow") == 1:
            await asyncio.Event().wait()
        return "slow"

    async def work(ctx: Context) -> str:
        return await ctx.step(counted(calls, "first")) + await ctx.step(slow)

    graph = one(work, timeout_seconds=0.05, retry=Retry(attempts=2, jitter=0))
    run = timed.start(graph)
    assert (await run.result()).state.text == "firstslow"
    assert calls == ["first", "slow"] * 2
    attempt = next(step for step in await timed.history(run.id) if step.kind == "attempt")
    assert attempt.data["error"]["kind"] == "timeout"


async def test_a_step_in_a_thread_is_waited_for_when_it_is_cut_off(timed: Runner) -> None:
    """No second attempt begins beside the thread of the first."""
    running, most = 0, 0
    lock, calls = threading.Lock(), list[int]()

    def slow() -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        calls.append(1)
        if len(calls) == 1:
            threading.Event().wait(0.15)
        with lock:
            running -= 1
        return "slow"

    async def work(ctx: Context) -> str:
        return await ctx.step(slow)

    graph = one(work, timeout_seconds=0.05, retry=Retry(attempts=2, jitter=0))
    assert (await timed.start(graph).result()).state.text == "slow"
    assert (most, len(calls)) == (1, 2)


async def test_closing_amid_a_step_leaves_what_was_recorded(tmp_path: Path) -> None:
    """Another runner goes on with the record; the step in flight is made again."""
    calls: list[str] = []
    begun, hang = asyncio.Event(), True

    async def slow() -> str:
        calls.append("slow")
        begun.set()
        if hang:
            await asyncio.Event().wait()
        return "slow"

    async def work(ctx: Context) -> str:
        return await ctx.step(counted(calls, "first")) + await ctx.step(slow)

    graph = one(work)
    async with Runner(tmp_path / "runs.db") as runner:
        run = runner.start(graph)
        await begun.wait()
    hang = False
    async with Runner(tmp_path / "runs.db") as runner:
        assert (await runner.resume(graph, run.id).result()).state.text == "firstslow"
    assert calls == ["first", "slow", "slow"]


async def test_a_stop_amid_steps_lets_the_node_finish(runner: Runner) -> None:
    """The node in flight ends with all its steps."""
    begun, leave = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        begun.set()
        await leave.wait()
        return "slow"

    async def work(ctx: Context) -> str:
        return await ctx.step(slow) + await ctx.step("x".upper)

    run = runner.start(one(work))
    await begun.wait()
    stopping = asyncio.create_task(runner.stop(run.id))
    await asyncio.sleep(0)
    leave.set()
    await stopping
    result = await run.result()
    assert result.state.text == "slowX"


async def test_a_step_in_a_sync_node_is_a_clear_error(runner: Runner) -> None:
    """It says to make the node async; a step that nobody awaited is none that was forgotten."""

    def work(ctx: Context) -> str:
        ctx.step(counted([], "first"))
        return "x"

    with pytest.raises(RunFailed, match=r"ctx.step was called outside the event loop[\s\S]*make the node async"):
        await runner.start(one(work)).result()


async def test_steps_of_arms_and_items_are_their_own(runner: Runner) -> None:
    """The same call in each item is another call, and recorded with its path."""
    calls: list[str] = []

    async def work(item: int, ctx: Context) -> int:
        await ctx.step(counted(calls, "same"))
        await ctx.ask("Well?", bool)
        return item

    graph = Graph("g", State)
    graph.add_node("work", work, each={"item": "items"}, writes="items")
    graph.add_path(START, "work", END)
    run_id = (await runner.start(graph).result()).run_id
    for wait in await runner.waits(run_id):
        await runner.answer(run_id, True, wait=wait.name)
    assert (await runner.resume(graph, run_id).result()).state.items == [1, 2, 3]
    assert calls == ["same"] * 3
    recorded = [step.path for step in await runner.history(run_id) if step.kind == "recorded"]
    assert sorted(recorded) == ["work[0]", "work[1]", "work[2]"]


# -- idempotency keys


async def keys_of(runner: Runner, graph: Graph[State], keys: list[str]) -> list[str]:
    """The keys that a run to its end was given."""
    keys.clear()
    await runner.start(graph).result()
    return list(keys)


async def test_an_idempotency_key_is_the_same_over_retries_answers_and_resumes(timed: Runner) -> None:
    """And another in the next visit."""
    keys: list[tuple[int, str]] = []
    broken = True

    async def work(ctx: Context) -> str:
        keys.append((ctx.visit, ctx.idempotency_key))
        if ctx.attempt < 3 and ctx.visit == 1 and broken:
            raise ValueError
        return await ctx.ask("Well?", str)

    graph = Graph("g", State)
    graph.add_node("work", work, writes="log", retry=Retry(attempts=2))
    graph.add_edge(START, "work")
    graph.add_edge("work", END, when=value("log").length() >= 2)
    graph.add_edge("work", "work")
    run_id = (await failing(timed, graph)).run_id
    broken = False
    result = await timed.resume(graph, run_id).result()
    while result.status == "waiting":
        await timed.answer(run_id, "x")
        result = await timed.resume(graph, run_id).result()
    assert [visit for visit, _ in keys] == [1, 1, 1, 1, 2, 2]
    assert len(set(keys)) == 2
    assert len({key for _, key in keys}) == 2


async def test_every_item_arm_subgraph_visit_and_branch_has_its_own_key(runner: Runner) -> None:
    """No two attempts of different work ever get one key."""
    keys: list[str] = []

    async def note(ctx: Context) -> str:
        keys.append(ctx.idempotency_key)
        return "x"

    async def note_item(item: int, ctx: Context) -> int:
        keys.append(ctx.idempotency_key)
        return item

    inner = Graph("inner", State, result="text")
    inner.add_node("note", note, writes="text")
    inner.add_node("items", note_item, each={"item": "items"}, writes="items")
    inner.add_path(START, "note", "items", END)
    graph = Graph("g", State)
    graph.add_node("note", note, writes="log")
    graph.add_node("items", note_item, each={"item": "items"}, writes="items")
    graph.add_node("a", inner, writes="log")
    graph.add_node("b", inner, writes="log")
    graph.add_node("each", inner, each={"n_": "items"}, inputs={"n": "n_"}, writes="log")
    graph.add_node("merge")
    graph.add_edge(START, "note")
    graph.add_edge("note", "items")
    graph.add_fork("items", ["a", "b"], join="merge")
    graph.add_path("a", "merge")
    graph.add_path("b", "merge")
    graph.add_edge("merge", "each")
    graph.add_edge("each", END, when=value("log").length() > 9)
    graph.add_edge("each", "note")
    result = await runner.start(graph).result()
    assert len(keys) == len(set(keys)) == 2 * (1 + 3 + 4 + 4 + 12)
    before = set(keys)
    keys.clear()
    await runner.branch(graph, result.run_id, 1).result()
    assert not before & set(keys)


async def test_the_key_of_a_cancelled_arm_is_never_given_again(runner: Runner) -> None:
    """The fork is visited again after it went on without that arm."""
    keys: list[tuple[str, str]] = []

    async def quick(ctx: Context) -> str:
        await asyncio.sleep(0)
        keys.append(("quick", ctx.idempotency_key))
        return "quick"

    async def slow(ctx: Context) -> str:
        keys.append(("slow", ctx.idempotency_key))
        await asyncio.Event().wait()
        return "slow"

    graph = Graph("g", State)
    graph.add_node("plan")
    graph.add_node("quick", quick, writes="log")
    graph.add_node("slow", slow, writes="log")
    graph.add_node("merge")
    graph.add_edge(START, "plan")
    graph.add_fork("plan", ["quick", "slow"], join="merge", need=1)
    graph.add_edge("quick", "merge")
    graph.add_edge("slow", "merge")
    graph.add_edge("merge", END, when=value("log").length() >= 3)
    graph.add_edge("merge", "plan")
    async with asyncio.timeout(SOON):
        await runner.start(graph).result()
    slow_keys = [key for name, key in keys if name == "slow"]
    assert len(slow_keys) == len(set(slow_keys)) == 3


async def test_the_random_numbers_of_an_attempt_come_again(runner: Runner) -> None:
    """A node that runs again with an answer draws what it drew."""
    drawn: list[float] = []

    async def work(ctx: Context) -> str:
        drawn.append(ctx.random.random())
        return await ctx.ask("Well?", str)

    graph = one(work)
    run_id = (await runner.start(graph).result()).run_id
    await runner.answer(run_id, "x")
    await runner.resume(graph, run_id).result()
    await runner.start(graph).result()
    assert drawn[0] == drawn[1] != drawn[2]


# -- crashes


class Crash:
    """A database as it was at a moment: what a process that died then has left."""

    def __init__(self, here: Path) -> None:
        self.here = here / "runs.db"
        self.left = here / "left.db"

    def now(self) -> None:
        """Keep the database as it is."""
        for file in self.here.parent.glob("runs.db*"):
            if file.suffix != ".lock" and file.is_file():
                shutil.copy(file, str(file).replace("runs.db", "left.db"))


@pytest.fixture
def crash(tmp_path: Path) -> Crash:
    """Where a crash keeps what it left."""
    return Crash(tmp_path)


async def test_a_crash_costs_the_step_in_flight_alone(crash: Crash) -> None:
    """What was recorded before is given to the node that runs again."""
    calls: list[str] = []

    def dies() -> str:
        calls.append("dies")
        if calls.count("dies") == 1:
            crash.now()
        return "dies"

    async def work(ctx: Context) -> str:
        return await ctx.step(counted(calls, "first")) + await ctx.step(dies) + ctx.idempotency_key

    graph = one(work)
    async with Runner(crash.here) as runner:
        expected = (await runner.start(graph, run_id="r").result()).state.text
    async with Runner(crash.left) as runner:
        assert (await runner.store.info("r")).status == "running"
        assert (await runner.resume(graph, "r").result()).state.text == expected
        assert (await runner.history("r"))[2].data.get("crashed") is True
    assert calls == ["first", "dies", "dies"]


@pytest.mark.parametrize(
    ("decision", "text", "calls"),
    [("rerun", "sent", 2), ({"result": "it was sent"}, "it was sent", 1)],
)
async def test_a_node_that_must_not_be_repeated_asks_after_a_crash(
    crash: Crash, decision: object, text: str, calls: int
) -> None:
    """A person says whether it is run again, or what its result was."""
    sent: list[int] = []

    async def send() -> str:
        sent.append(1)
        if len(sent) == 1:
            await asyncio.to_thread(crash.now)
        return "sent"

    graph = one(send, on_resume="ask")
    async with Runner(crash.here) as runner:
        await runner.start(graph, run_id="r").result()
    async with Runner(crash.left) as runner:
        result = await runner.resume(graph, "r").result()
        assert result.status == "waiting"
        (wait,) = result.waits
        assert (wait.name, wait.kind, wait.answerable) == ("work", "crash", True)
        assert "may have done its work" in wait.question
        with pytest.raises(InputError, match="JSON Schema"):
            await runner.answer("r", "perhaps")
        await runner.answer("r", decision)
        assert (await runner.resume(graph, "r").result()).state.text == text
    assert len(sent) == calls


async def test_a_node_that_is_not_to_be_run_again_fails(crash: Crash) -> None:
    """With not_rerun; the run can still be resumed, and then it is."""
    sent: list[int] = []

    async def send() -> str:
        sent.append(1)
        if len(sent) == 1:
            await asyncio.to_thread(crash.now)
        return "sent"

    graph = one(send, on_resume="ask")
    async with Runner(crash.here) as runner:
        await runner.start(graph, run_id="r").result()
    async with Runner(crash.left) as runner:
        await runner.resume(graph, "r").result()
        await runner.answer("r", "fail")
        result = await failing(runner, graph, "r")
        assert result.error.kind == "not_rerun"
        assert (await runner.resume(graph, "r").result()).state.text == "sent"


async def test_a_result_that_does_not_fit_is_no_answer_after_a_crash(crash: Crash) -> None:
    """What a person gives for the node's result is checked like the node's."""

    async def count() -> int:
        await asyncio.to_thread(crash.now)
        return 1

    graph = one(count, "n", on_resume="ask")
    async with Runner(crash.here) as runner:
        await runner.start(graph, run_id="r").result()
    async with Runner(crash.left) as runner:
        await runner.resume(graph, "r").result()
        await runner.answer("r", {"result": "no number"})
        result = await failing(runner, graph, "r")
        assert result.error.kind == "invalid_update"


async def test_without_a_crash_nothing_is_asked(runner: Runner) -> None:
    """A start is recorded, and the run goes its way; after a clean stop too."""

    async def work() -> str:
        return "x"

    run = runner.start(one(work, on_resume="ask"))
    assert (await run.result()).state.text == "x"
    assert await kinds(runner, run.id) == ["started", "begun", "node"]


async def test_a_clean_close_is_a_stop_of_a_node_that_must_not_be_repeated(tmp_path: Path) -> None:
    """It was cut off amid its work by the close: whether that asks or reruns, it does not run twice unasked."""
    begun = asyncio.Event()
    calls: list[int] = []

    async def work() -> str:
        calls.append(1)
        begun.set()
        if len(calls) == 1:
            await asyncio.Event().wait()
        return "x"

    graph = one(work, on_resume="ask")
    async with Runner(tmp_path / "runs.db") as runner:
        run = runner.start(graph)
        await begun.wait()
    async with Runner(tmp_path / "runs.db") as runner:
        result = await runner.resume(graph, run.id).result()
        assert (result.status, [wait.kind for wait in result.waits], len(calls)) == ("waiting", ["crash"], 1)


# -- earlier runs, and what is shown


async def test_a_node_reads_earlier_runs_of_a_graph(runner: Runner) -> None:
    """The newest first, finished ones only, not itself; recorded, so that an answer changes nothing of it."""
    seen: list[list[tuple[str, str]]] = []

    async def work(text: str, ctx: Context) -> str:
        past = await ctx.runs("one", last=2)
        assert all(isinstance(run, PastRun) for run in past)
        seen.append([(run.run_id, run.state["text"]) for run in past])
        if text == "ask":
            await ctx.ask("Well?", str)
        return f"{text}!"

    graph = one(work)
    for name in "abc":
        await runner.start(graph, {"text": name}, run_id=name).result()
    assert seen == [[], [("a", "a!")], [("b", "b!"), ("a", "a!")]]
    await runner.start(graph, {"text": "ask"}, run_id="asks").result()
    await runner.start(graph, {"text": "d"}, run_id="d").result()
    await runner.answer("asks", "x")
    await runner.resume(graph, "asks").result()
    assert seen[3] == seen[5] == [("c", "c!"), ("b", "b!")]


async def test_a_graph_itself_may_be_named_for_earlier_runs(runner: Runner) -> None:
    """By the graph or its name; of one that never ran there are none."""

    async def work(ctx: Context) -> str:
        return str(len(await ctx.runs(other)) + len(await ctx.runs("nobody")))

    other = Graph("other", State)
    other.add_node("a", lambda: "x", writes="text")
    other.add_path(START, "a", END)
    await runner.start(other).result()
    assert (await runner.start(one(work)).result()).state.text == "1"


async def test_what_is_emitted_is_kept_where_that_is_asked_for(runner: Runner) -> None:
    """Watchers see both, with the path; the step has the one."""

    async def work(ctx: Context) -> str:
        ctx.emit({"half": 1})
        ctx.emit(Page(url="u"), record=True)
        return "x"

    run = runner.start(one(work))
    shown = [(event.path, event.data) async for event in run.events() if isinstance(event, Emitted)]
    assert shown == [("work", {"half": 1}), ("work", Page(url="u"))]
    step = (await runner.history(run.id))[-1]
    assert step.data["emitted"] == [{"url": "u", "words": []}]


async def test_recorded_steps_are_events(runner: Runner) -> None:
    """They come in order of seq, while the node still runs."""
    leave = asyncio.Event()

    async def work(ctx: Context) -> str:
        await ctx.step("x".upper)
        await leave.wait()
        return "x"

    run = runner.start(one(work))
    seen: list[str] = []
    async with asyncio.timeout(SOON):
        async for event in run.events():
            if isinstance(event, StepRecorded):
                seen.append(event.step.kind)
                if event.step.kind == "recorded":
                    leave.set()
    assert seen == ["started", "recorded", "node"]


async def test_recorded_steps_are_no_steps_of_the_limits(runner: Runner) -> None:
    """A node's pieces of work are one visit."""

    async def work(ctx: Context) -> str:
        for n in range(5):
            await ctx.step(str, n)
        return "x"

    result = await runner.start(one(work), limits=Limits(steps=1)).result()
    assert (result.status, result.steps) == ("finished", 1)


async def test_a_branch_at_a_recorded_step_keeps_what_was_recorded_by_then(runner: Runner) -> None:
    """Work behind it is done again, for the branch alone."""
    calls: list[str] = []

    async def work(ctx: Context) -> str:
        return await ctx.step(counted(calls, "first")) + await ctx.step(counted(calls, "second"))

    graph = one(work)
    run_id = (await runner.start(graph).result()).run_id
    result = await runner.branch(graph, run_id, 2).result()
    assert (result.state.text, calls) == ("firstsecond", ["first", "second", "second"])


async def test_time_in_a_step_is_told_with_its_record() -> None:
    """When it began and when it was done."""
    clock = FakeClock(start=50.0)

    async def slow() -> str:
        clock.move(7)
        return "x"

    async def work(ctx: Context) -> str:
        return await ctx.step(slow)

    async with Runner(clock=clock) as runner:
        run = runner.start(one(work))
        await run.result()
        (step,) = [step for step in await runner.history(run.id) if step.kind == "recorded"]
        assert (step.began, step.at) == (50.0, 57.0)
