"""The read model of runs: visits compared with the pages of `tests/scenarios` and with recorded runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings

from graphengine.engine.fold import fold
from graphengine.engine.frame_tree import add_usage
from graphengine.engine.phases import Collecting, Inside
from graphengine.engine.step_json import decode_step, encode_step
from graphengine.engine.steps import Shift, usage_of
from graphengine.engine.stored import to_record
from graphengine.errors import StoreCorrupt
from graphengine.history.load import load_visits
from graphengine.history.visits import Visits
from graphengine.records.export import import_run, read_file
from graphengine.records.states import States
from graphengine.stores.memory import MemoryStore
from tests.kit.drive import Drive
from tests.kit.facts import altered, made_step
from tests.kit.fork_graphs import outcome
from tests.kit.graphs import cases
from tests.kit.nest_graphs import Taste, begun, nest_spec
from tests.kit.record import BEGAN, FOLDER
from tests.kit.scenario import Scenario, played
from tests.kit.schedule import Schedule
from tests.kit.spec import Case, build
from tests.render.timed import HOURS, paper_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.steps import Step
    from graphengine.history.visit_tree import Visit

PAGES = sorted((Path(__file__).parents[1] / "scenarios").glob("*.txt"))
FILES = sorted(FOLDER.glob("format_1/*.json"))


def page(name: str) -> Visits:
    """Return the visits of the run of a scenario page."""
    path = PAGES[0].with_name(f"{name}.txt")
    return Visits.of(played(Scenario.read(path), path.name)[1].log)


def recorded(name: str) -> Visits:
    """Return the visits of a recorded run."""
    return Visits.of(read_file(FOLDER / "format_1" / f"{name}.json").steps)


def brief(visits: Sequence[Visit]) -> list[tuple[str, int, str]]:
    """Return each visit's path, number and status."""
    return [(visit.path, visit.number, visit.status) for visit in visits]


def to(visit: Visit) -> list[str]:
    """Return the targets of a visit."""
    return list(visit.edge.to) if visit.edge is not None else []


# --- Visits of single runs ------------------------------------------------------------------------------------------


def test_a_loop_has_a_visit_for_each_round() -> None:
    """Each has the edge that it took and the explanations of the conditions."""
    run = recorded("loop")
    assert brief(run.visits) == [(name, n, "done") for n in (1, 2, 3) for name in ("write", "review")]
    assert [to(visit) for visit in run.visits] == [["review"], ["write"], ["review"], ["write"], ["review"], ["END"]]
    last = run.visits[-1].edge
    assert last is not None
    assert (last.source, last.is_failure) == ("review", False)
    assert last.why
    start = run.tracks[0].edge
    assert start is not None
    assert (start.source, list(start.to)) == ("START", ["write"])


def test_retries_have_their_failures_and_pauses() -> None:
    """The page gives the times of the failed attempts and when the next ones were due."""
    run = page("retry_backoff")
    (visit,) = run.visits
    assert [(tried.number, tried.ended, tried.is_retried) for tried in visit.attempts] == [
        (1, 0, True), (2, 2, True), (3, 11, True), (4, 20, True), (5, 30, False)
    ]  # fmt: skip
    assert [tried.due for tried in visit.attempts] == [2, 11, 20, 30, None]
    assert [tried.failure and tried.failure.message[:1] for tried in visit.attempts] == ["1", "2", "3", "4", None]
    assert (visit.status, visit.ended, to(visit), visit.failure) == ("done", 30, ["END"], None)


def test_each_arm_of_a_fork_has_its_own_track() -> None:
    """Tracks are in declared order, though the arms end in another one; the join is on the track that forked."""
    run = page("fork")
    plan, facts, counter, merge = run.visits
    assert [visit.path for visit in run.visits] == ["plan", "facts", "counter", "merge"]
    assert plan.edge is not None
    assert [(arm.frame, arm.kind, brief(arm.visits)) for arm in plan.edge.arms] == [
        ("~facts", "arm", [("facts", 1, "done")]),
        ("~counter", "arm", [("counter", 1, "done")]),
    ]
    assert (facts.ended, counter.ended, merge.began, merge.ended) == (3, 2, 3, 4)
    assert facts.track.around is plan
    assert merge.track is plan.track is run.tracks[0]
    (joined,) = [entry for entry in run.entries if entry.step.kind == "joined"]
    assert joined.visit is None
    assert joined.edge is not None
    assert (joined.edge.source, list(joined.edge.to)) == ("", ["merge"])


def test_items_that_fail_continue_on_their_track_after_a_resume() -> None:
    """The first and the third fail and are retried, the second is done once; the third is then cut off and fails."""
    run = page("map_failed_item")
    visit = run.visits[0]
    assert (visit.path, visit.status, to(visit)) == ("research", "done", ["END"])
    (inside,) = visit.insides
    assert (inside.kind, inside.count, inside.seq, inside.end) == ("map", 3, 2, 14)
    items = [inside.tracks[index].visits for index in range(3)]
    assert [brief(each) for each in items] == [[(f"research[{index}]", 1, "done")] for index in range(3)]
    tried = [[(t.number, t.seq, t.failure and t.failure.message) for t in each[0].attempts] for each in items]
    assert tried == [
        [(1, 3, "a"), (2, 8, None)],
        [(1, 4, None)],
        [(1, 5, "c"), (2, 10, "again"), (3, 13, None)],
    ]
    assert [(turn.kind, turn.seq, turn.status) for turn in run.turns] == [
        ("started", 1, "running"), ("resumed", 7, "failed"), ("resumed", 9, "running"), ("resumed", 12, "failed")
    ]  # fmt: skip


def test_a_graph_inside_has_visits_at_its_path() -> None:
    """They are inside the visit of its node; their numbers begin again with each such visit."""
    run = page("sub")
    article, plan, write = run.visits
    assert [visit.path for visit in run.visits] == ["article", "article/plan", "article/write"]
    (inside,) = article.insides
    assert (inside.kind, inside.tracks[0].visits) == ("graph", [plan, write])
    assert plan.track.place == (("article", ""),)
    assert article.track.place == ()
    assert plan.track.edge is not None
    assert list(plan.track.edge.to) == ["plan"]
    assert (article.ended, to(article), to(write)) == (0, ["END"], ["END"])


def test_waits_have_their_beginning_and_their_end() -> None:
    """A default, two timeouts with a retry between them, and two questions of one node are covered."""
    one, two, three = page("ask_timeout").visits
    assert [(w.kind, w.question, w.since, w.until, w.by) for w in one.waits] == [("ask", "Publish?", 0, 61, "default")]
    assert [(w.question, w.since, w.until) for w in two.waits] == [("Name?", 61, 91), ("Name?", 91, 130)]
    assert (two.status, two.completed, to(two)) == ("failed", True, ["three"])
    assert two.edge is not None
    assert (two.edge.label, two.edge.is_failure) == ("nobody", True)
    assert two.failure is not None
    assert two.failure.kind == "wait_timeout"
    assert [(w.question, w.since, w.until, w.by) for w in three.waits] == [
        ("Width?", 130, 135, "time"), ("Size?", 135, 150, "default")
    ]  # fmt: skip
    answered = recorded("answered").visits[1]
    assert [(wait.question, wait.by) for wait in answered.waits] == [("Publish Ants?", "answer")]
    asked = recorded("waiting").visits[-1]
    assert [(wait.question, wait.until) for wait in asked.waiting] == [("Publish Ants?", None)]
    assert (asked.status, asked.ended) == ("open", None)


def test_a_crash_is_a_turn_of_the_run() -> None:
    """A node that is not repeated without confirmation then waits for it."""
    run = page("crash")
    assert [(turn.kind, turn.at, turn.since, turn.crashed) for turn in run.turns] == [
        ("started", 0, 0, False), ("resumed", 100, 1, True)
    ]  # fmt: skip
    assert [wait.kind for wait in recorded("crash_asked").visits[0].waits] == ["unknown"]


def test_a_stop_is_a_turn_of_the_run() -> None:
    """The turn has the run's status before it."""
    run = page("usage_and_elapsed")
    assert [(turn.kind, turn.seq, turn.at, turn.status) for turn in run.turns] == [
        ("started", 1, 0, "running"), ("stopped", 4, 10, "running"), ("resumed", 5, 100, "stopped")
    ]  # fmt: skip


def test_a_branch_shares_its_first_visits() -> None:
    """The run has another id after the branch, and its own second round."""
    run = page("branch_with_update")
    assert [(turn.kind, turn.seq, turn.at) for turn in run.turns] == [("started", 1, 0), ("branched", 4, 50)]
    assert run.turns[0].run_id != run.turns[1].run_id == run.snapshot.run_id
    assert brief(run.visits) == [("write", 1, "done"), ("judge", 1, "done"), ("write", 2, "done"), ("judge", 2, "done")]
    assert run.visits[2].ended == 51


def test_renamed_nodes_have_their_current_names() -> None:
    """This is also true of visits, edges and places recorded under the old names, and of the graph inside."""
    run = page("migrate_inside")
    assert [visit.path for visit in run.visits] == ["piece", "piece/judge", "piece/judge", "piece/judge", "merge"]
    assert run.visits[1].track.place == (("piece", ""),)
    assert run.visits[1].track.frame == "~piece/piece/"
    assert to(run.visits[1]) == ["judge"]
    start = run.tracks[0].edge
    assert start is not None
    assert list(start.to) == ["piece", "merge"]


def test_recorded_work_belongs_to_its_visit() -> None:
    """It does so whichever attempt recorded it."""
    (visit,) = recorded("failed_resumed").visits
    assert len(visit.work) == 3
    assert [tried.number for tried in visit.attempts] == [1, 2, 3]
    assert (visit.began, visit.attempts[0].due) == (BEGAN, BEGAN + 10)


# --- Driven time ----------------------------------------------------------------------------------------------------


def test_time_in_a_stop_is_not_counted() -> None:
    """A graph that was entered at 10, stopped at 12, resumed at 100 and ended at 103 took five seconds."""
    stop = {"status": "stopped", "ending": {"reason": "asked"}}
    ends = {"status": "finished", "ending": {"reason": "end"}}
    steps = [
        made_step(1, "started", 9.0, data={"to": ["review"]}),
        made_step(2, "entered", 10.0, "", "review", 1, 1, data={"to": ["write"]}),
        made_step(3, "stopped", 12.0, data=stop),
        made_step(4, "resumed", 100.0),
        made_step(5, "node", 102.0, "review/", "write", 1, 1, 101.0, data={"to": ["END"], **ends}),
        made_step(6, "node", 103.0, "", "review", 1, 1, data={"to": ["END"], **ends}),
    ]
    run = Visits.of(steps)
    assert [entry.took for entry in run.entries] == [None, None, None, None, 1.0, 5.0]
    assert run.entries[-1].began == 10.0


async def test_time_that_a_whole_run_waits_is_not_counted() -> None:
    """Two hours of waiting belong to the question; the sum of the driven times is the snapshot's."""
    _, steps = await paper_run()
    run = Visits.of(steps)
    approve = run.visits[-1]
    (wait,) = approve.waits
    assert wait.until is not None
    assert wait.until - wait.since == 2 * HOURS
    assert approve.entries[-1].took is None
    assert approve.entries[-1].waited == 2 * HOURS
    assert run.time.between(steps[0].at, steps[-1].at) == pytest.approx(run.snapshot.elapsed_seconds) == 16.45


def test_a_beginning_before_the_first_step_has_no_time() -> None:
    """A reader that begins in the middle knows the open visits, but not how long they took."""
    steps = [altered(step, at=step.at + 1000, began=1000.0 if step.began else 0.0) for step in shifted("sub")]
    middle = Visits(fold(steps[:3]), keeps=False)
    assert [visit.path for track in middle.live.values() if (visit := track.visit) is not None] == [
        "article",
        "article/write",
    ]
    entries = [middle.feed(altered(step, at=step.at + 5)) for step in steps[3:]]
    assert [entry.took for entry in entries] == [None, None]
    assert [entry.visit and entry.visit.path for entry in entries] == ["article/write", "article"]
    assert (middle.entries, middle.visits, middle.tracks) == ([], [], [])


def shifted(name: str) -> list[Step]:
    """Return the steps of a page."""
    return [entry.step for entry in page(name).entries]


# --- States ---------------------------------------------------------------------------------------------------------


def test_the_states_before_and_after_a_step_equal_those_of_the_fold() -> None:
    """This is true at every step, in any order, and for selected fields; returned states do not change later."""
    steps = shifted("reducers")
    run, states = Visits.of(steps), States(steps)
    order = list(run.entries)
    Random(1).shuffle(order)  # noqa: S311 - no secret
    for entry in order:
        seq = entry.step.seq
        assert states.after(entry) == fold(steps[:seq]).root.values
        if seq > 1:
            name = next(iter(fold(steps[:seq]).root.values))
            assert states.before(entry, name) == {name: fold(steps[: seq - 1]).root.values[name]}


def test_an_arm_and_an_item_see_the_state_around_them() -> None:
    """An arm sees its own writes, an item its own value."""
    steps = shifted("fork")
    run, states = Visits.of(steps), States(steps)
    counter = run.visits[2].entries[-1]
    assert states.before(counter, "doubts") != states.after(counter, "doubts") == {"doubts": "costs"}
    assert states.after(counter, "facts") == {"facts": ""}
    steps = shifted("map_failed_item")
    item = Visits.of(steps).visits[1].entries[0]
    states = States(steps[1:], fold(steps[:1]))  # it can begin with any snapshot
    assert states.before(item) == {"source": "a", "sources": ["a", "b", "c"], "findings": []}


# --- Any run --------------------------------------------------------------------------------------------------------


def agree(log: Sequence[Step]) -> None:
    """Compare the visits of a run with its snapshot, and with a reader that keeps no finished visits."""
    steps = [decode_step(step.seq, encode_step(step)) for step in log]
    run, whole = Visits.of(steps), fold(steps)
    assert to_record(run.snapshot) == to_record(whole)
    done = [visit for visit in run.visits if visit.completed and visit.track.kind != "item"]
    assert len(done) == whole.steps
    assert run.time.between(steps[0].at, steps[-1].at) == pytest.approx(whole.elapsed_seconds)
    usage: Any = {}
    for entry in run.entries:
        usage = add_usage(usage, usage_of(entry.step))
    assert usage.keys() == whole.usage.keys()
    assert all(usage[name] == pytest.approx(amount) for name, amount in whole.usage.items() if amount is not None)
    assert [name for name, amount in usage.items() if amount is None] == [
        n for n, a in whole.usage.items() if a is None
    ]
    if whole.status == "finished" and not any(isinstance(step.data, Shift) and step.data.moved for step in steps):
        assert Counter(visit.node for visit in done if visit.track.graph is run.tracks[0]) == whole.root.counts
    assert run.live.keys() == whole.frames.keys()
    for key, frame in whole.frames.items():
        track = run.live[key]
        assert (track.frame, track.kind) == (key, frame.kind)
        waits = track.visit.waiting if track.visit is not None else ()
        assert [wait.name for wait in waits] == list(frame.waits)
        is_inside = isinstance(frame.phase, (Collecting, Inside))
        assert is_inside == (track.visit is not None and track.visit.nested is not None)
    if not any(isinstance(step.data, Shift) and step.data.renamed for step in steps):
        assert all(entry.visit.path == entry.step.path for entry in run.entries if entry.visit is not None)
    for visit in run.visits:
        assert (visit.status == "open") == (visit.ended is None)
        assert all(wait.seq <= wait.end for wait in visit.waits if wait.until is not None)
        assert all(inside.seq <= inside.end for inside in visit.insides if inside.until is not None)
        live = run.live.get(visit.track.frame) is visit.track and visit.track.visit is visit
        assert live or (visit.status != "open" and not visit.waiting and visit.nested is None)
    middle = len(steps) // 2
    rest = Visits(fold(steps[:middle]), keeps=False)
    for step in steps[middle:]:
        rest.feed(step)
    assert unfinished(rest) == unfinished(run)


def unfinished(run: Visits) -> dict[str, list[tuple[str, int, str]]]:
    """Return the visits that have not ended, by frame."""
    return {key: brief([v for v in track.visits[-1:] if not v.completed]) for key, track in run.live.items()}


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(cases())
def test_visits_agree_with_the_snapshot(scene: Case) -> None:
    """The runs are of generated graphs, with retries, fallbacks, failures, limits, crashes and resumes."""
    drive = Drive.begin(scene, build(scene.spec, []), careful=False)
    drive.run_to_end()
    agree(drive.session.log)


@pytest.mark.parametrize("seed", range(40))
def test_visits_agree_in_forks_maps_and_graphs(seed: int) -> None:
    """Nodes end in any order, with crashes, stops and branches in between; every step is checked."""
    random = Random(f"visits {seed}")  # noqa: S311 - no secret
    spec = nest_spec(random, Taste(seed % 3, seed % 2 + 1))
    drive = Schedule.begin(
        spec,
        build(spec, []),
        begun(random),
        lambda at, visit, attempt: outcome(f"visits {seed}", at, visit, attempt),
        random,
        3,
        upsets=seed % 4,
    ).run_to_end()
    log = drive.session.log
    for end in sorted({*range(1, len(log), max(1, len(log) // 12)), len(log)}):
        agree(log[:end])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_visits_agree_on_every_page(path: Path) -> None:
    """Visits agree on every page of the scenarios."""
    log = played(Scenario.read(path), path.name)[1].log
    if log:
        agree(log)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_visits_agree_on_every_recorded_run(file: Path) -> None:
    """Imported runs are included."""
    agree(read_file(file).steps)


async def test_visits_are_loaded_from_a_store() -> None:
    """They can be loaded up to a step; a log that does not fold is reported as damaged."""
    store = MemoryStore()
    await store.open()
    await import_run(store, read_file(FOLDER / "format_1" / "loop.json"))
    assert len((await load_visits(store, "loop", 3)).visits) == 3
    run = await load_visits(store, "loop")
    assert run.snapshot.status == "finished"

    class Damaged(MemoryStore):
        async def steps(self, run_id: str, after: int = 0, upto: int | None = None) -> Sequence[Step]:
            return [entry.step for entry in run.entries[1:]]

    with pytest.raises(StoreCorrupt, match="does not fold"):
        await load_visits(Damaged(), "loop")
