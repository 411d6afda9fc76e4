"""The session of a run: the one place that orders decide, fold, append and ready."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Annotated, Any

import pytest
from pydantic import BaseModel
from typing_extensions import override

from graphengine import END, START, Graph, Sizes
from graphengine.engine.events import BranchedOff, NodeFailed, NodeFinished, RunStarted, StopAsked
from graphengine.engine.failures import failure_record
from graphengine.engine.fold import fold
from graphengine.engine.session import Session
from graphengine.engine.snapshot import AttemptId, Snapshot
from graphengine.engine.step_json import encode_step
from graphengine.engine.steps import Branched, Started, Step
from graphengine.engine.stored import decode_snapshot, encode_snapshot, to_record
from graphengine.errors import InvalidUpdate
from graphengine.reducers import append, merge
from graphengine.state.encoded import opened
from tests.kit.runs import alone
from tests.kit.session import Session as Driven
from tests.kit.session import first_facts


class State(BaseModel):
    """A word, and a field for each of two arms."""

    word: str = "x"
    left: str = ""
    right: str = ""


class Log:
    """Records what is appended, with the snapshot's seq at that time."""

    def __init__(self) -> None:
        self.session: Session
        self.batches: list[tuple[int, list[str]]] = []
        self.durable: Awaitable[None] | None = None

    def append(self, steps: Sequence[Step]) -> Awaitable[None] | None:
        """Record a batch."""
        self.batches.append((self.session.snapshot.seq, [step.kind for step in steps]))
        return self.durable


def echo(text: str) -> str:
    """Return the text; never called, since the tests give the results of nodes."""
    return text


def forked(need: int | None = None) -> Graph[Any]:
    """Return a fork of two arms that join."""
    graph = Graph("forked", State)
    graph.add_node("left", echo, inputs={"text": "word"}, writes="left")
    graph.add_node("right", echo, inputs={"text": "word"}, writes="right")
    graph.add_node("join", echo, inputs={"text": "left"}, writes="word")
    graph.add_fork(START, ["left", "right"], join="join", need=need)
    for arm in ("left", "right"):
        graph.add_edge(arm, "join")
    graph.add_edge("join", END)
    return graph


def begun(graph: Graph[Any], log: Log, **options: Any) -> Session:
    """Return a session of a run that has just begun."""
    plan = graph.compile()
    session = log.session = Session(plan, Snapshot(), **options)
    state = plan.state.initial({}, "the test")
    session.commit([RunStarted(0.0, first_facts(plan, "r", {}), state.values, state.typed, state.given)], log.append)
    return session


def finished(arm: str, result: object, now: float = 1.0) -> NodeFinished:
    """Return the end of an arm's node."""
    return NodeFinished(AttemptId(f"~{arm}", arm, 1, 1), 0.0, now, result)


def test_steps_are_folded_and_then_appended_together() -> None:
    """All events of a commit are one batch, appended once, after all of them are folded."""
    log = Log()
    session = begun(forked(), log)
    done = session.commit([finished("left", "l"), finished("right", "r")], log.append)
    assert log.batches == [(1, ["started"]), (3, ["node", "node"])]
    assert [step.seq for step in done.steps] == [2, 3]
    assert done.durable is None


def test_the_stores_awaitable_is_returned() -> None:
    """A commit returns the store's awaitable unchanged; the engine waits for nothing."""
    log = Log()
    session = begun(forked(), log)

    async def written() -> None:
        """Never awaited here."""

    log.durable = pending = written()
    assert session.commit([finished("left", "l")], log.append).durable is pending
    pending.close()


def test_stale_events_are_dropped() -> None:
    """An arm that ends after its join no longer needs it makes no step, and nothing is appended for it alone."""
    log = Log()
    session = begun(forked(need=1), log)
    session.commit([finished("left", "l")], log.append)
    joined = session.take_tasks()
    assert [task.mode for task in joined] == ["join"]
    stale = NodeFailed(AttemptId("~gone", "right", 1, 1), 0.0, 1.0, failure_record(ValueError("late"), "right", 1))
    done = session.commit([stale], log.append)
    assert (done.steps, done.durable) == ([], None)
    assert len(log.batches) == 2


def test_tasks_are_taken_once() -> None:
    """`take_tasks` returns what a commit made ready once; `tasks` returns all that is ready at any time."""
    session = begun(forked(), Log())
    assert {task.node for task in session.take_tasks()} == {"left", "right"}
    assert session.take_tasks() == []
    assert {task.node for task in session.tasks()} == {"left", "right"}
    session.commit([finished("left", "l")], lambda _: None)
    assert session.changed
    assert {task.node for task in session.take_tasks(anew=True)} == {"right"}
    assert list(session.changed) == []


def test_changes_add_up_over_commits() -> None:
    """Tasks made ready by two commits are returned by one call after both."""
    session = begun(forked(), Log())
    session.take_tasks()
    session.commit([finished("left", "l")], lambda _: None)
    session.commit([finished("right", "r")], lambda _: None)
    assert [task.mode for task in session.take_tasks()] == ["join"]


def test_a_refused_event_changes_nothing() -> None:
    """A branch whose update does not fit raises before anything is folded or appended."""
    driven = Driven(forked())
    driven.start()
    child = driven.at(1)
    before, log = encode_snapshot(child.snapshot), Log()
    session = log.session = Session(child.plan, child.snapshot)
    facts = Branched(run_id="child", parent="run", limits={}, fingerprint=child.plan.fingerprint)
    event = BranchedOff(1.0, facts, [("word", 3)])
    with pytest.raises(InvalidUpdate):
        session.commit([event], log.append)
    assert (encode_snapshot(child.snapshot), log.batches) == (before, [])


def test_a_stored_snapshot_has_all_but_the_caches() -> None:
    """What a run is loaded from has each field of a snapshot, as the texts that a branch replaced; caches are built."""
    caches = {"runnable", "maybe_runnable", "open", "changed", "posted"}  # the last is read from the inbox
    given = Snapshot(run_id="one", graph="g", instructions={"writer": "Be brief."}, title="How tides work")
    stored = to_record(given)
    if_set = {"asked", "code", "cut_seq", "cut_until", "shared_process", "starter"}
    assert stored.keys() >= {*Snapshot.__struct_fields__} - caches - if_set
    back = decode_snapshot(encode_snapshot(given))
    assert (back.instructions, back.title) == (given.instructions, given.title)


def test_only_a_stop_is_decided_without_the_graph() -> None:
    """A process that does not have the graph can stop a run that waits, and do nothing else with it."""
    driven = Driven(forked())
    driven.start()
    session = Session(None, driven.snapshot)
    done = session.commit([StopAsked(1.0, "asked", "enough")], lambda _: None)
    assert (done.steps[0].kind, driven.snapshot.status) == ("stopped", "stopped")
    with pytest.raises(TypeError, match="NodeFinished"):
        session.commit([finished("left", "l")], lambda _: None)


def test_sizes_and_tasks_are_the_sessions_own() -> None:
    """Two sessions of one log, one with limits and one without, fold to the same snapshot, which contains neither."""
    records = []
    for sizes in (None, Sizes(state_bytes=100_000, update_bytes=50_000)):
        log = Log()
        session = begun(forked(), log, sizes=sizes, checks=sizes is None)
        done = session.commit([finished("left", "l" * 9_000), finished("right", "r")], log.append)
        records.append((encode_snapshot(session.snapshot), [encode_step(step) for step in done.steps]))
        assert (session.size_bytes > 9_000) == (sizes is not None)
    assert records[0] == records[1]


def test_a_fold_reports_what_its_step_changed() -> None:
    """The changed frames are those of the step, whatever was asked before."""
    driven = Driven(forked())
    driven.start()
    driven.finish("l", of="left")
    again = fold(driven.log)
    assert set(again.changed) == set(driven.snapshot.changed) == {"~left", ""}


class Unset(BaseModel):
    """Fields that begin as None and grow."""

    log: Annotated[list[str] | None, append] = None
    table: Annotated[dict[str, str] | None, merge] = None


@pytest.mark.parametrize(
    ("update", "held"), [({"log": "a"}, {"log": ["a"]}), ({"table": {"k": "v"}}, {"table": {"k": "v"}})]
)
def test_a_field_that_is_none_grows_after_a_stored_snapshot(update: dict[str, object], held: dict[str, object]) -> None:
    """A run read from its stored snapshot continues as it would have without."""
    graph = alone(Unset, grow, sorted(update), name="unset", node="grow")
    log = Log()
    session = begun(graph, log)
    for snapshot in (decode_snapshot(encode_snapshot(session.snapshot)), session.snapshot):
        again = log.session = Session(session.plan, snapshot)
        again.commit([NodeFinished(AttemptId("", "grow", 1, 1), 0.0, 1.0, update)], log.append)
        assert {name: opened(snapshot.root.values[name]) for name in held} == held


def grow() -> dict[str, object]:
    """Return the text; never called, since the tests give the results of nodes."""
    return {}


class Megabytes(str):
    """A text that is too long to be searched."""

    __slots__ = ()

    @override
    def isalnum(self) -> bool:
        raise AssertionError


def test_the_title_of_a_run_reads_only_the_beginning_of_a_text() -> None:
    """A run begins with a text without blanks; its title is the text's beginning, and the rest is not looked at."""
    started = Started(run_id="one", graph="g", fingerprint="f", limits={}, to=("a",))
    begun = fold([Step(1, 1.0, started, update=[["set", "word", Megabytes("0f" * 1000)]])])
    assert begun.title == "0f" * 100
