"""Starting, failing, resuming, branching and stopping runs, over both stores."""

import asyncio
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
    UnknownRun,
    UnknownStep,
)
from graphengine.reducers import append
from graphengine.runner import RunEnded
from tests.kit.runs import alone, failing


class Count(BaseModel):
    n: int = 0
    seen: Annotated[list[int], append] = []


async def more(n: int) -> int:
    """Count."""
    return n + 1


async def note(n: int) -> int:
    """Note the number."""
    return n


def counting() -> Graph[Count]:
    """Return a loop that counts up to 3."""
    graph = Graph("counting", Count)
    graph.add_node("more", more, writes="n")
    graph.add_node("note", note, writes="seen")
    graph.add_path(START, "more", "note")
    graph.add_edge("note", END, when=value("n") >= 3, label="enough")
    graph.add_edge("note", "more")
    return graph


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


async def test_only_the_kept_fields_are_carried_over(runner: Runner) -> None:
    """Fields outside `keep` start from their defaults."""
    graph = counting()
    graph.carry_over = ("seen",)
    graph.limits = Limits()
    await runner.start(graph, Count(), run_id="first").result()
    result = await runner.start(graph, after="first").result()
    assert result.state == Count(n=3, seen=[1, 2, 3, 1, 2, 3])


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


class Work(BaseModel):
    done: str = ""
    errors: Annotated[list[Failure], append] = []


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
    broken = await failing(graph.run())
    assert broken.error.attempt == attempts


async def test_a_node_that_changes_its_input_fails() -> None:
    """The mutation is named, not retried, and the value is the recorded one."""

    async def spoil(seen: list[int]) -> int:
        seen.append(1)
        return 5

    graph = alone(Count, spoil, "n", retry=Retry(attempts=3, initial_seconds=0), name="spoil", node="spoil")
    broken = await failing(graph.run(Count(seen=[7])), "changed seen in place")
    assert broken.state == Count(n=0, seen=[7])
    assert (broken.error.kind, broken.error.attempt) == ("mutated_input", 1)


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
