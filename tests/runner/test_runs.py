"""Starting, failing, resuming, branching and stopping runs, over both stores."""

import asyncio
import threading
from pathlib import Path
from typing import Annotated, Self

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Failure,
    Graph,
    Limits,
    Retry,
    RunFailed,
    Runner,
    ask,
    value,
)
from graphengine.errors import (
    InputError,
    RunExists,
    RunnerClosed,
    UnknownRun,
    UnknownStep,
)
from graphengine.reducers import append
from graphengine.runner import RunEnded
from tests.kit.runs import alone, outlast


class Count(BaseModel):
    n: int = 0
    seen: Annotated[list[int], append] = []


def counting(until: int = 3, trouble: dict[int, Exception] | None = None) -> Graph[Count]:
    """Return a loop that counts up; at a number in `trouble` it raises the error once."""
    raises = trouble if trouble is not None else {}

    async def more(n: int) -> int:
        if n + 1 in raises:
            raise raises.pop(n + 1)
        return n + 1

    async def note(n: int) -> int:
        return n

    graph = Graph("counting", Count)
    graph.add_node("more", more, writes="n")
    graph.add_node("note", note, writes="seen")
    graph.add_path(START, "more", "note")
    graph.add_edge("note", END, when=value("n") >= until, label="enough")
    graph.add_edge("note", "more")
    return graph


async def test_a_run_reaches_its_end_and_records_why(runner: Runner) -> None:
    """The result has the state, the label and condition that ended it, and the number of completed visits."""
    result = await runner.start(counting(), Count()).result()
    assert result.state == Count(n=3, seen=[1, 2, 3])
    assert result.status == "finished"
    assert result.ending is not None
    assert (result.ending.reason, result.label, result.ending.condition) == ("end", "enough", "n >= 3")
    assert result.ending.why == "n 3 >= 3: yes"
    assert (result.visits, result.seq) == (6, 7)


async def test_a_failed_run_is_resumed_where_it_failed(runner: Runner) -> None:
    """Visits completed before the failure do not run again, and the result has the state so far."""
    graph = counting(trouble={2: ValueError("no twos")})
    run = runner.start(graph, Count())
    with pytest.raises(RunFailed, match="no twos") as caught:
        await run.result()
    assert caught.value.result.state == Count(n=1, seen=[1])
    assert caught.value.result.error == Failure(path="more", kind="ValueError", message="no twos", attempt=1)
    result = await runner.resume(run.id, graph).result()
    assert result.state == Count(n=3, seen=[1, 2, 3])
    nodes = [(s.node, s.visit) for s in await runner.history(run.id) if s.kind == "node"]
    assert nodes == [("more", 1), ("note", 1), ("more", 2), ("note", 2), ("more", 3), ("note", 3)]


async def test_resuming_a_finished_run_returns_its_result_and_records_nothing(runner: Runner) -> None:
    """A finished run is read, not driven."""
    graph = counting()
    first = await runner.start(graph, Count(), run_id="done").result()
    again = await runner.resume("done", graph).result()
    assert again == first
    assert len(await runner.history("done")) == first.seq


async def test_a_branch_starts_after_a_step_and_leaves_its_parent_unchanged(runner: Runner) -> None:
    """The child shares the steps up to `at`, applies its update through the reducers, and continues separately."""
    graph = counting()
    parent = await runner.start(graph, Count(), run_id="parent").result()
    before = list(await runner.history("parent"))
    child = await runner.branch("parent", graph, at=3, update={"n": 10, "seen": 99}).result()
    assert child.state == Count(n=11, seen=[1, 99, 11])
    assert list(await runner.history("parent")) == before
    steps = await runner.history(child.run_id)
    assert [s.seq for s in steps] == list(range(1, 7))
    assert steps[:3] == before[:3]
    assert steps[3].kind == "branched"
    assert parent.run_id == "parent"


async def test_unknown_names_have_their_own_errors(runner: Runner) -> None:
    """An unknown run, step or field is named."""
    graph = counting()
    await runner.start(graph, Count(), run_id="r").result()
    with pytest.raises(UnknownRun):
        await runner.resume("nope", graph).result()
    with pytest.raises(UnknownStep):
        await runner.branch("r", graph, at=99).result()
    with pytest.raises(InputError, match="unknown field 'm'"):
        await runner.branch("r", graph, at=2, update={"m": 1}).result()
    with pytest.raises(InputError, match="n: Input should be a valid integer"):
        await runner.branch("r", graph, at=2, update={"n": "x"}).result()
    with pytest.raises(UnknownRun):
        await runner.stop("nope")


async def test_a_bad_state_is_refused_before_anything_is_recorded(runner: Runner) -> None:
    """Wrong types and misspelt fields are reported when start is called."""
    with pytest.raises(InputError, match="did you mean 'seen'"):
        runner.start(counting(), {"sen": []})
    with pytest.raises(InputError, match="n: Input should be a valid integer"):
        runner.start(counting(), {"n": "many"})


async def test_a_run_can_begin_where_another_ended(runner: Runner) -> None:
    """`after=` carries over the fields that the graph keeps; the update goes through the reducers."""
    graph = counting()
    await runner.start(graph, Count(), run_id="first").result()
    result = await runner.start(graph, {"n": 0, "seen": 50}, after="first").result()
    assert result.state.seen == [1, 2, 3, 50, 1, 2, 3]


async def test_only_the_kept_fields_are_carried_over(runner: Runner) -> None:
    """Fields outside `keep` start from their defaults."""
    graph = counting()
    graph.carry_over = ("seen",)
    graph.limits = Limits()
    await runner.start(graph, Count(), run_id="first").result()
    result = await runner.start(graph, after="first").result()
    assert result.state == Count(n=3, seen=[1, 2, 3, 1, 2, 3])


async def test_each_watcher_gets_every_step_from_the_first(runner: Runner) -> None:
    """Recorded events have the seq without gaps, also for a late watcher."""
    run = runner.start(counting(), Count())
    early = [e.seq async for e in run.events() if hasattr(e, "seq")]
    late = [e.seq async for e in run.events() if hasattr(e, "seq")]
    assert early == late == [1, 2, 3, 4, 5, 6, 7]


async def test_states_can_be_read_and_compared_at_any_step(runner: Runner) -> None:
    """The log gives the state after each step, and the paths at which two states differ."""
    await runner.start(counting(), Count(), run_id="r").result()
    assert await runner.state_at("r", 3) == {"n": 1, "seen": [1]}
    assert await runner.state_at("r") == {"n": 3, "seen": [1, 2, 3]}
    found = await runner.diff("r", "r", first_at=3, second_at=5)
    assert [str(d) for d in found] == ["n: 1 → 2", "seen[1]: None → 2"]


async def test_generated_ids_begin_with_different_characters(runner: Runner) -> None:
    """Whoever types the first characters of an id names one run."""
    ids = [runner.start(counting(), Count()).id for _ in range(20)]
    assert len({each[:6] for each in ids}) == 20
    await asyncio.gather(*(runner.get(each).result() for each in ids))


async def test_a_page_of_runs_says_whether_there_are_more(runner: Runner) -> None:
    """So does one of waits, which come from all waiting runs; the next page begins after the last run of this one."""
    graph = alone(Count, ask("Which?", int), "n", name="asks", node="number")
    for run_id in ("a", "b", "c"):
        await runner.start(graph, run_id=run_id).result()
    await runner.start(counting(), Count(), run_id="d").result()
    first = await runner.runs(graph="asks", limit=2)
    assert ([info.id for info in first], first.more) == (["c", "b"], True)
    last = await runner.runs(graph="asks", limit=2, before=first[-1].id)
    assert ([info.id for info in last], last.more) == (["a"], False)
    waits = await runner.waits(limit=2)
    assert [(wait.run_id, wait.graph, wait.name, wait.kind) for wait in waits] == [
        ("c", "asks", "number", "ask"),
        ("b", "asks", "number", "ask"),
    ]
    assert waits.more
    assert all(wait.since == info.updated_at for wait, info in zip(waits, first, strict=True))
    assert [wait.run_id for wait in await runner.waits(graph="asks", before="b")] == ["a"]
    assert await runner.waits(graph="count") == []
    assert [wait.run_id for wait in await runner.waits("a")] == ["a"]


async def test_a_part_of_the_history_can_be_read(runner: Runner) -> None:
    """The steps after a seq, at most so many."""
    await runner.start(counting(), Count(), run_id="r").result()
    assert [step.seq for step in await runner.history("r", after=2, limit=3)] == [3, 4, 5]
    assert [step.seq for step in await runner.history("r", after=5)] == [6, 7]


async def test_a_closed_runner_refuses_to_start_runs(database: Path | str) -> None:
    """The error says that it is closed."""
    async with Runner(database) as runner:
        pass
    with pytest.raises(RunnerClosed):
        runner.start(counting())


async def test_a_stop_requested_by_another_process_arrives(database: Path | str) -> None:
    """A message in the inbox stops the run at its next safe point, and is consumed with the step."""
    entered = asyncio.Event()

    async def turn(n: int) -> int:
        entered.set()
        await asyncio.sleep(0.01)
        return n + 1

    graph = Graph("turn", Count)
    graph.add_node("turn", turn, writes="n")
    graph.add_edge(START, "turn")
    graph.add_edge("turn", END, when=value("n") < 0)
    graph.add_edge("turn", "turn")
    async with Runner(database) as first, Runner(database) as second:
        run = first.start(graph, run_id="r")
        await entered.wait()
        await second.stop("r")
        result = await run.result()
        assert result.status == "stopped"
        assert result.ending is not None
        assert result.ending.reason == "asked"
        assert await first.store.inbox(["r"]) == []


class Work(BaseModel):
    done: str = ""
    errors: Annotated[list[Failure], append] = []


async def test_a_sync_node_runs_in_a_thread_and_a_timeout_waits_for_it() -> None:
    """No retry starts before the thread of the attempt that timed out has ended."""
    running = 0
    most = 0
    lock, loop = threading.Lock(), asyncio.get_running_loop()

    def block() -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        outlast(loop, 0.05)
        with lock:
            running -= 1
        return "late"

    graph = Graph("block", Work)
    graph.add_node(
        "block",
        block,
        writes="done",
        timeout_seconds=0.01,
        retry=Retry(attempts=2, initial_seconds=0),
        fallback="gave up",
    )
    graph.add_path(START, "block", END)
    result = await graph.run()
    assert result.state.done == "gave up"
    assert most == 1


@pytest.mark.parametrize(
    ("error", "on", "attempts"),
    [
        (ValueError("odd"), (Exception,), 3),
        (TypeError("odd"), (Exception,), 1),
        (ModuleNotFoundError("odd"), (BaseException,), 1),
        (TypeError("odd"), (Exception, TypeError), 3),
        (ModuleNotFoundError("odd"), (ImportError,), 3),
    ],
)
async def test_a_mistake_in_the_code_is_repeated_only_if_it_is_listed(
    error: Exception, on: tuple[type[BaseException], ...], attempts: int
) -> None:
    """`on=Exception` repeats what another attempt can help with; a mistake is repeated if its class is listed."""

    def fail() -> int:
        raise error

    graph = alone(Count, fail, "n", retry=Retry(attempts=3, initial_seconds=0, on=on), thread=False)
    with pytest.raises(RunFailed) as caught:
        await graph.run()
    assert caught.value.result.error is not None
    assert caught.value.result.error.attempt == attempts


async def test_a_node_that_changes_its_input_fails() -> None:
    """The mutation is named, not retried, and the value is the recorded one."""

    async def spoil(seen: list[int]) -> int:
        seen.append(1)
        return 5

    graph = alone(Count, spoil, "n", retry=Retry(attempts=3, initial_seconds=0), name="spoil", node="spoil")
    with pytest.raises(RunFailed, match="changed seen in place") as caught:
        await graph.run(Count(seen=[7]))
    assert caught.value.result.state == Count(n=0, seen=[7])
    assert caught.value.result.error is not None
    assert (caught.value.result.error.kind, caught.value.result.error.attempt) == ("mutated_input", 1)


async def test_assigning_to_the_whole_state_is_caught() -> None:
    """A node that sets a field of its input state would lose the write without an error."""

    async def spoil(state: Count) -> int:
        state.n = 9
        return 5

    graph = alone(Count, spoil, "n", name="spoil", node="spoil")
    with pytest.raises(RunFailed, match="changed n in place"):
        await graph.run()


async def test_resources_are_built_once_and_closed_with_the_runner() -> None:
    """Async context managers are entered for the first run and left when the runner closes."""
    log: list[str] = []

    class Search:
        async def __aenter__(self) -> Self:
            log.append("open")
            return self

        async def __aexit__(self, *_: object) -> None:
            log.append("close")

        def find(self) -> str:
            return "found"

    async def look(search: Search) -> str:
        return search.find()

    graph = alone(Work, look, "done", name="look", node="look", resources={"search": Search})
    async with Runner() as runner:
        for _ in range(2):
            assert (await runner.start(graph).result()).state.done == "found"
    assert log == ["open", "close"]

    class Fake:
        def find(self) -> str:
            return "faked"

    async with Runner(resources={"search": Fake()}) as runner:
        assert (await runner.start(graph).result()).state.done == "faked"


async def test_the_events_of_a_run_that_could_not_begin_raise(runner: Runner) -> None:
    """The steps of the existing run with this id are not shown as this one's; the error is that of `result`."""
    await runner.start(counting(), Count(), run_id="r").result()
    second = runner.start(counting(), Count(), run_id="r")
    with pytest.raises(RunExists):
        await anext(second.events())
    with pytest.raises(RunExists):
        await second.result()
    again = runner.resume("r", counting())
    *steps, ended = [event async for event in again.events()]
    assert len(steps) == 7
    assert isinstance(ended, RunEnded)
    assert ended.result.status == "finished"
