"""Questions of a run that was removed: no answer to one of them reaches a later run with its id, over each store."""

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, StepRecorded, ask
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
    with pytest.raises(RunReplaced, match=rf"run post did not ask the question {link}"):
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
    with pytest.raises(RunReplaced, match=f"the cursor {seen.cursor} is of an earlier run post"):
        [event async for event in runner.watch("post", graph, after=seen.cursor)]
    with pytest.raises(InputError, match="'x' is not a cursor"):
        [event async for event in runner.watch("post", graph, after="x")]
    own = f"1.{(await runner.info('post')).nonce}"
    for after in (1, "1", own):
        events = [event async for event in runner.watch("post", graph, after=after)]
        assert [event.seq for event in events if isinstance(event, StepRecorded)] == [2, 3, 4]
