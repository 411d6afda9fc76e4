"""A corrected run is found from the wrong one: the run names its branches, how they ended, and what differs."""

from typing import Annotated

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, Secret
from graphengine.engine.steps import Branched
from graphengine.errors import UnknownRun
from graphengine.kernel.reader import load_snapshot
from graphengine.records.branches import branch_words, load_branch_tree, load_branches
from graphengine.records.story import read_run, story_of_run
from graphengine.reducers import add

pytest.importorskip("cryptography")

MARK = "hunter2"
KEY = "a key of these tests, which is long enough to be one"


class Order(BaseModel):
    number: str = "4711"
    amount: int = 0
    card: Annotated[str, Secret] = MARK
    note: str = ""


def orders() -> Graph[Order]:
    """Return a graph that reads an amount wrongly."""
    graph = Graph("order", Order, secret_key=KEY)
    graph.add_node("read", lambda: 100, writes="amount")
    graph.add_node("note", lambda amount: f"pay {amount}", writes="note")
    graph.add_path(START, "read", "note")
    graph.add_edge("note", END, label="noted")
    return graph


async def correct(runner: Runner) -> None:
    """Record a wrong run, and branch it with the right amount."""
    await runner.start(orders(), run_id="wrong", tags=["order 4711"]).result()
    branch = runner.branch("wrong", orders(), at="read:1", update={"amount": 10}, run_id="right")
    await branch.result()


async def test_a_run_names_its_branches_with_their_results(runner: Runner) -> None:
    """With the place where it branched off, why it ended, and the fields that differ."""
    await correct(runner)
    (found,) = await load_branches(runner.store, await load_snapshot(runner.store, "wrong", None))
    assert (found.run_id, found.seq, found.status, found.reason) == ("right", 2, "finished", "noted")
    assert branch_words(found) == (
        'branched off after step 2: finished (noted); amount: 100 → 10; note: "pay 100" → "pay 10"'
    )
    assert await load_branches(runner.store, await load_snapshot(runner.store, "right", None)) == []


async def test_a_branch_shows_no_secret_and_leaves_with_its_run(runner: Runner) -> None:
    """That a secret field differs is said, without its values; a branch that is removed is not listed."""
    await correct(runner)
    await runner.branch("wrong", orders(), at="read:1", update={"card": "another word"}, run_id="card").result()
    newest, _ = await load_branches(runner.store, await load_snapshot(runner.store, "wrong", None))
    assert branch_words(newest) == "branched off after step 2: finished (noted); card: secret → secret"
    assert not [each for each in (MARK, "another word") if each in repr(newest)]
    await runner.store.remove([await runner.store.info("card")])
    (found,) = await load_branches(runner.store, await load_snapshot(runner.store, "wrong", None))
    assert found.run_id == "right"


@pytest.mark.parametrize(
    ("title", "update", "called"),
    [
        ("Order {number} of {amount}", {"number": "12"}, "Order 12 of 100"),
        ("Order {number} of {amount}", {"note": "other"}, "Order 4711 of 0"),
        ("", {"number": "12\nand more"}, "12"),
        ("", {"note": "other"}, "4711"),
        ("", {"card": "secret"}, "4711"),
    ],
)
async def test_a_branch_is_called_after_what_it_changed(
    runner: Runner, title: str, update: dict[str, object], called: str
) -> None:
    """By the title of its graph, else by the first text of its input; another change leaves the title of the parent."""
    graph = orders()
    graph.title = title
    await runner.start(graph, run_id="wrong").result()
    await runner.branch("wrong", graph, at="read:1", update=update, run_id="right").result()
    await runner.branch("right", graph, at=3, run_id="again").result()
    for run_id in ("right", "again"):
        assert (await runner.store.info(run_id)).title == called
        assert (await load_snapshot(runner.store, run_id, None)).title == called


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("", '""'),
        ('"', r'"\""'),
        ('""', r'"\"\""'),
        ("a\nb", '"a b"'),
        ("\\", r'"\\"'),
        ("x" * 100, f'"{"x" * 59}…"'),
    ],
)
async def test_texts_are_shown_in_quotes(runner: Runner, number: str, shown: str) -> None:
    """An empty text and a text with quotes cannot be confused."""
    await runner.start(orders(), run_id="wrong").result()
    await runner.branch("wrong", orders(), at="read:1", update={"number": number}, run_id="right").result()
    (found,) = await load_branches(runner.store, await load_snapshot(runner.store, "wrong", None))
    assert branch_words(found) == f'branched off after step 2: finished (noted); number: "4711" → {shown}'


async def test_a_program_finds_the_branches_of_a_run(runner: Runner) -> None:
    """The newest first, and without the branches of branches; a run that is not recorded is refused."""
    await correct(runner)
    await runner.branch("wrong", orders(), at="read:1", run_id="newer").result()
    await runner.branch("right", orders(), at="read:1", run_id="lower").result()
    assert [info.id for info in await runner.get("wrong").branches()] == ["newer", "right"]
    assert [info.id for info in await runner.get("right").branches()] == ["lower"]
    assert await runner.get("lower").branches() == []
    with pytest.raises(UnknownRun):
        await runner.get("wrng").branches()


async def test_the_tree_of_branches_is_the_same_from_each_of_its_runs(runner: Runner) -> None:
    """From the run with which it began; each run stands before its branches."""
    await correct(runner)
    for parent, run_id in (("right", "lower"), ("lower", "lowest"), ("wrong", "beside")):
        await runner.branch(parent, orders(), at="read:1", run_id=run_id).result()
    for run_id in ("wrong", "lower", "beside"):
        tree = [info.id for info in await load_branch_tree(runner.store, run_id)]
        assert tree == ["wrong", "right", "lower", "lowest", "beside"]


class Counted(BaseModel):
    topic: str = "Lamps"
    draft: str = ""
    number: int = 0
    total: Annotated[int, add] = 2


@pytest.mark.parametrize(
    ("title", "update", "called"),
    [
        ("", {"topic": "Bees"}, "Bees"),
        ("", {"topic": "\ud83d Bees"}, "� Bees"),
        ("", {"draft": "of the parent's node"}, "Lamps"),  # the parent is called after another field
        ("", {"number": 5}, "Lamps"),
        ("{topic}: {number}", {"number": "05"}, "Lamps: 5"),  # as the state has it
        ("{total} in all", {"total": 1}, "3 in all"),  # as the reducer adds it
        ("{total} in all", {"topic": "Bees"}, "2 in all"),
        ("", {"topic": " \nBees\nand wasps"}, "Bees"),
    ],
)
async def test_the_title_of_a_branch_is_that_of_its_state(
    runner: Runner, title: str, update: dict[str, object], called: str
) -> None:
    """What the update comes to, after validation and reducers; the story's question is the same."""
    graph = Graph("counted", Counted, title=title)
    graph.add_node("write", lambda topic: f"on {topic}", writes="draft")
    graph.add_path(START, "write", END)
    await runner.start(graph, run_id="a").result()
    await runner.branch("a", graph, at=1, update=update, run_id="b").result()
    assert (await runner.runs())[0].title == called
    branched = (await runner.history("b"))[1].data
    assert isinstance(branched, Branched)
    assert branched.title in ("", called), "a long text is not recorded twice"
    told = await story_of_run(runner.store, await read_run(runner.store, "b"), lambda *_: None)
    if "total" in update:
        assert told.question is not None
        assert told.question.rest["total"] == 3
