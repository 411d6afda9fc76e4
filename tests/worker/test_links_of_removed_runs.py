"""What a run gave out before it was removed, such as questions and cursors: no later run with its id takes it.

Over each store.
"""

from collections.abc import Awaitable, Callable

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner, StepRecorded, ask
from graphengine.errors import InputError, RunReplaced

pytestmark = pytest.mark.usefixtures("drawn_nonces")


class Draft(BaseModel):
    text: str = ""
    ok: bool = False


def drafts() -> Graph[Draft]:
    """Return a graph that asks whether to publish a text."""
    graph = Graph("drafts", Draft)
    graph.add_node("check", lambda text: text, writes="text")
    graph.add_node("approve", ask("Publish {text}?", bool), writes="ok")
    graph.add_path(START, "check", "approve", END)
    return graph


async def test_the_link_to_a_removed_runs_question_answers_no_other(runner: Runner) -> None:
    """It is refused by name; what a person types has no nonce, and means the question that is open now."""
    graph = drafts()
    link = (await runner.start(graph, Draft(text="A"), run_id="post").result()).waits[0].id
    typed, _, nonce = link.partition(".")
    assert (typed, len(nonce)) == ("approve@3", 7)
    await runner.stop("post", final=True)
    await runner.admin.prune(statuses=["cancelled"], older_than=0)
    (wait,) = (await runner.start(graph, Draft(text="B"), run_id="post").result()).waits
    with pytest.raises(RunReplaced, match=rf"run 'post' did not ask the question '{link}'"):
        await runner.answer("post", "yes", graph, wait=link)
    assert wait.id != link
    assert (await (await runner.answer("post", "yes", graph, wait=typed)).result()).state.ok


async def test_a_branch_asks_under_its_own_nonce(runner: Runner) -> None:
    """What its parent asked before is asked by the branch too: under another id, which alone answers it."""
    graph = drafts()
    (of_parent,) = (await runner.start(graph, Draft(text="A"), run_id="post").result()).waits
    (own,) = (await runner.branch("post", graph, 3, run_id="branch").result()).waits
    assert own.id != of_parent.id
    assert (own.name, own.id.partition(".")[0]) == (of_parent.name, of_parent.id.partition(".")[0])
    with pytest.raises(RunReplaced):
        await runner.answer("branch", "yes", graph, wait=of_parent)
    assert (await (await runner.answer("branch", "yes", graph, wait=own)).result()).state.ok
    assert (await runner.waits("post"))[0].id == of_parent.id


async def test_a_cursor_of_a_removed_run_skips_no_step_of_another(runner: Runner) -> None:
    """A watcher that goes on after it gets an error; a plain number counts for the run that is there."""
    graph = drafts()
    await runner.start(graph, Draft(text="A"), run_id="post").result()
    await runner.stop("post", final=True)
    seen = await runner.info("post")
    await runner.admin.prune(statuses=["cancelled"], older_than=0)
    await runner.start(graph, Draft(text="B"), run_id="post").result()
    await runner.stop("post", final=True)
    with pytest.raises(RunReplaced, match=f"the cursor '{seen.cursor}' belongs to an earlier run 'post'"):
        [event async for event in runner.watch("post", graph, after=seen.cursor)]
    with pytest.raises(InputError, match="'x' is not a cursor"):
        [event async for event in runner.watch("post", graph, after="x")]
    own = f"1.{(await runner.info('post')).nonce}"
    for after in (1, "1", own):
        events = [event async for event in runner.watch("post", graph, after=after)]
        assert [event.seq for event in events if isinstance(event, StepRecorded)] == [2, 3, 4]


class Counted(BaseModel):
    n: int = 0
    ok: bool = False


async def count(ctx: Context, n: int) -> int:
    """Publish a number."""
    await ctx.publish("n", n)
    return n + 1


def counting() -> Graph[Counted]:
    """Return a graph that publishes a number, and asks."""
    graph = Graph("counting", Counted)
    graph.add_node("count", count, writes="n")
    graph.add_node("approve", ask("Go on?", bool), writes="ok")
    graph.add_path(START, "count", "approve", END)
    return graph


async def read_history(runner: Runner, after: int | str) -> list[int]:
    """Return the seqs of the steps after a place."""
    return [step.seq for step in await runner.history("run", after=after)]


async def read_published(runner: Runner, after: int | str) -> list[int]:
    """Return the seq of the newest value after a place."""
    return [(await runner.get("run").published("n", after=after, timeout_seconds=0)).seq]


async def read_publications(runner: Runner, after: int | str) -> list[int]:
    """Return the seqs of the values after a place."""
    return [each.seq async for each in runner.get("run").publications("n", after=after)]


@pytest.mark.parametrize(
    ("read", "seqs"), [(read_history, [2, 3, 4, 5]), (read_published, [2]), (read_publications, [2])]
)
async def test_a_cursor_of_a_removed_run_reads_nothing_of_another(
    runner: Runner, read: Callable[[Runner, int | str], Awaitable[list[int]]], seqs: list[int]
) -> None:
    """Steps and values have cursors that the later run refuses, and a number counts for the run that is there."""
    graph, places = counting(), list[tuple[str, str]]()
    for _ in range(2):
        await runner.start(graph, run_id="run").result()
        value = await runner.get("run").published("n")
        info = await runner.info("run")
        assert value.cursor == info.cursor_at(value.seq)
        places.append((info.cursor_at(1), value.cursor))
        if len(places) == 1:
            await runner.stop("run", final=True)
            assert await runner.store.remove([await runner.info("run")]) == {}
    await runner.stop("run", final=True)
    (earlier, seen), (own, _) = places
    for cursor in (earlier, seen):
        with pytest.raises(RunReplaced, match=f"the cursor '{cursor}' belongs to an earlier run 'run'"):
            await read(runner, cursor)
    assert await read(runner, own) == await read(runner, 1) == await read(runner, "1") == seqs
