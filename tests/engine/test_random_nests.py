"""Random graphs with forks, maps and subgraphs: the interpreter agrees in any order of ends and after any crash.

At every step of every run, what `ready` returns for the frames that a step touched is compared with what it returns
for all; now and then a run continues in a snapshot that was written and read. SCENES=100000 makes a run of hours, and
FIRST=5000 begins it where an earlier one ended.
"""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from graphengine.engine.stored import to_record
from tests.kit.facts import said
from tests.kit.fork_graphs import outcome
from tests.kit.nest_graphs import Taste, begun, nest_spec
from tests.kit.schedule import Schedule, details_of, rows_of, same_end, values_of
from tests.kit.spec import Case, Outcome, Spec, build
from tests.kit.walker import Outcomes, Walker, around, frame_id

SCENES = int(os.environ.get("SCENES", "2000")) // 60
FIRST = int(os.environ.get("FIRST", "0"))
ORDERS = 3
RESUMES = 3


def taste(random: Random, *, repairable: bool = False) -> Taste:
    """Return the features of a graph: sometimes only subgraphs, which can have limits."""
    if random.random() < 0.15:
        return Taste(0, 2, repairable, usage=not repairable, maps=0.0)
    return Taste(random.choice((0, 0, 1, 2)), random.choice((0, 1, 2, 2)), repairable, usage=not repairable)


def scene(seed: str) -> tuple[Spec, dict[str, Any], Outcomes]:
    """Return a graph, an initial state, and the outcome of every attempt."""
    random = Random(seed)  # noqa: S311 - no secret
    spec = nest_spec(random, taste(random))
    return spec, begun(random), lambda at, visit, attempt: outcome(seed, at, visit, attempt)


@pytest.mark.parametrize("part", range(4))
def test_the_order_of_ends_changes_nothing(part: int) -> None:
    """States, what each attempt sees and the steps of each path agree with the interpreter in every order."""
    for number in range(FIRST, FIRST + SCENES):
        seed = f"nest {part} {number}"
        spec, given, outcomes = scene(seed)
        graph = build(spec, [])
        walker = Walker(Case(spec, (), ({},), given), outcomes)
        walker.walk(RESUMES)
        first = None
        for order in range(ORDERS):
            random = Random(f"{seed} {order}")  # noqa: S311
            drive = Schedule.begin(spec, graph, given, outcomes, random, RESUMES, upsets=2 * (order % 2)).run_to_end()
            agree(drive, walker, seed)
            snapshot, log = drive.session.snapshot, drive.session.log
            details = details_of(log), snapshot.failure and snapshot.failure.message, snapshot.root.marks
            first = first or details
            assert details == first, seed


@pytest.mark.parametrize("part", range(4))
def test_items_that_wait_take_turns(part: int) -> None:
    """In long maps whose items mostly wait, each woken item gets a slot in its turn, also after crashes and branches.

    `tests.kit.turns` counts the slots of each map after each step.
    """
    most = waited = 0
    for number in range(FIRST, FIRST + SCENES // 3 + 100):
        if number >= FIRST + SCENES // 3 and most > 4 and waited > 1:
            break  # about one graph in five has so many items open
        seed = f"turns {part} {number}"
        random = Random(seed)  # noqa: S311 - no secret
        spec = nest_spec(random, Taste(random.choice((0, 1)), random.choice((0, 1)), maps=0.9))
        long = [replace(node, each=(("item", "many"),)) if node.each else node for node in spec.nodes]
        spec, given = replace(spec, nodes=tuple(long)), {**begun(random), "many": list(range(9))}

        def outcomes(at: str, visit: int, attempt: int, seed: str = seed) -> Outcome:
            made = outcome(seed, at, visit, attempt)
            return replace(made, waits=made.waits or (("sleep",), ("ask",)))

        walker = Walker(Case(spec, (), ({},), given), outcomes)
        walker.walk(RESUMES)
        drive = Schedule.begin(
            spec, build(spec, []), given, outcomes, random, RESUMES, upsets=3, careful=number % 4 == 0
        )
        agree(drive.run_to_end(), walker, seed)
        most, waited = max(most, drive.turns.most_open), max(waited, drive.turns.waited)
    assert most > 4
    assert waited > 1


@pytest.mark.parametrize("part", range(4))
def test_a_run_cut_off_anywhere_reaches_the_same_end(part: int) -> None:
    """Resumed after a crash at any step, or branched there, at any depth, a run ends as it would have."""
    for number in range(FIRST, FIRST + SCENES // 5):
        seed = f"cut {part} {number}"
        spec, given, outcomes = scene(seed)
        random = Random(f"{seed} order")  # noqa: S311
        graph = build(spec, [])
        whole = Schedule.begin(spec, graph, given, outcomes, random, RESUMES, careful=True).run_to_end()
        parent = whole.session
        before = to_record(parent.snapshot)
        length = len(parent.log)
        for seq in sorted(random.sample(range(1, length + 1), min(length, 6))):
            for cut in (whole.resumed_at(seq), whole.branched_at(seq)):
                cut.run_to_end()
                same_end(cut, whole, f"{seed}, after step {seq}")
        assert to_record(parent.snapshot) == before
        parent.check_log()


@pytest.mark.parametrize("part", range(4))
def test_a_repaired_run_ends_like_one_that_never_failed(part: int) -> None:
    """If no failure is survived, resumes with better nodes lead to the fresh run's state, and nothing runs twice."""
    failed = 0
    for number in range(FIRST, FIRST + SCENES):
        seed = f"mend {part} {number}"  # the seeds are older than the word "repair"
        random = Random(seed)  # noqa: S311
        spec, given = nest_spec(random, taste(random, repairable=True)), begun(random)
        fresh = Walker(Case(spec, (), ({},), given), repaired(seed, {"stage": 3}))
        if fresh.walk(0).status != "finished":
            continue
        stages = {"stage": 0}
        drive = Schedule.begin(spec, build(spec, []), given, repaired(seed, stages), random, 0).run_to_end()
        while drive.session.snapshot.status == "failed":
            failed += not stages["stage"]
            stages["stage"] += 1
            drive.resumes += 1
            drive.run_to_end()
        assert values_of(drive.session.snapshot.root) == fresh.story.state, seed
        assert drive.session.snapshot.root.counts == counts(fresh), seed
        assert not repeated(drive), seed
    assert failed >= (SCENES - 24) // 8  # a small sample can contain no failure


def test_the_scenes_cover_every_feature() -> None:
    """Every feature to be tested occurs among the graphs."""
    seen: Counter[str] = Counter()
    for number in range(60):
        spec, given, outcomes = scene(f"dull {number}")
        random = Random(number)  # noqa: S311
        drive = Schedule.begin(spec, build(spec, []), given, outcomes, random, RESUMES).run_to_end()
        snapshot, log = drive.session.snapshot, drive.session.log
        seen[snapshot.status] += 1
        rows = [(step.kind, step.frame, said(step)) for step in log]
        seen.update(
            {
                "empty map": any(kind == "mapped" and not data["count"] for kind, _, data in rows),
                "map over None": any(
                    kind == "failed" and data["error"]["kind"] == "missing_input" and "each" in data["error"]["where"]
                    for kind, _, data in rows
                ),
                "items side by side": any(
                    kind == "mapped" and data["count"] > 2 and data["concurrency"] > 1 for kind, _, data in rows
                ),
                "failed item": any(kind == "failed" and frame.endswith("]") for kind, frame, _ in rows),
                "item that falls back": any(kind == "item" and "fallback" in data for kind, _, data in rows),
                "map in an arm": any(kind == "item" and "~" in frame for kind, frame, _ in rows),
                "graph in an arm": any(kind == "entered" and "~" in frame for kind, frame, _ in rows),
                "arm in a graph": any("/~" in frame for _, frame, _ in rows),
                "map in a graph": any(kind == "item" and "/" in frame for kind, frame, _ in rows),
                "map of graphs": any(kind == "entered" and frame.endswith("]") for kind, frame, _ in rows),
                "two graphs deep": any(frame.count("/") > 1 for _, frame, _ in rows),
                "failed graph": any(kind == "failed" and frame.endswith("/") for kind, frame, _ in rows),
                "graph begun again": any(
                    step.kind == "attempt" and frame_id(step.frame, "sub", f"{step.node}/") in drive.entries
                    for step in log
                ),
                "left by its label": any(data.get("edge") == "ended" for _, _, data in rows),
            }
        )
        seen["item that needs a slot"] += drive.turns.waited > 0
        seen["more open than running"] += drive.turns.most_open > drive.turns.most_running
        seen["limit of a graph"] += any(kind == "failed" and data["error"]["kind"] == "limit" for kind, _, data in rows)
    assert all(seen.values()), seen
    assert seen["finished"] >= 20


def agree(drive: Schedule, walker: Walker, seed: str) -> None:
    """Assert that the interpreter records the same run."""
    snapshot, story, record = drive.session.snapshot, walker.story, walker.record
    rows = rows_of(drive.session.log)
    pairs: dict[str, tuple[Mapping[Any, Any], Mapping[Any, Any]]] = {
        "rows": (rows, record.rows),
        "states": (drive.states, record.states),
        "ends": (drive.joins, record.joins),
        "seen": (drive.seen, record.seen),
        "state": (values_of(snapshot.root), story.state),
    }
    for name, (engine, interpreter) in pairs.items():
        differing = {
            key: (engine.get(key), interpreter.get(key))
            for key in {*engine, *interpreter}
            if engine.get(key) != interpreter.get(key)
        }
        assert not differing, f"{seed}: {name}: {differing}"
    assert (snapshot.status, snapshot.steps) == (story.status, record.steps), seed
    if snapshot.status == "finished":
        assert snapshot.root.usage == snapshot.usage == story.usage, seed
        assert snapshot.ending is not None
        assert snapshot.ending.label == story.label, seed


def repaired(seed: str, stages: Mapping[str, int]) -> Outcomes:
    """Return outcomes that depend only on the visit; a failure repeats until it was repaired once or twice."""

    def of(at: str, visit: int, attempt: int) -> Outcome:
        random = Random(f"{seed} {at.split(' ', 1)[1]} {visit}")  # noqa: S311
        kind = random.choice(("ok", "ok", "ok", "ok", "boom", "bad"))
        return Outcome("ok" if stages["stage"] >= random.choice((1, 2)) else kind, random.randint(0, 12))

    return of


def counts(walker: Walker) -> dict[str, int]:
    """Return the number of visits of each node, by the interpreter."""
    return dict(Counter(visit.node for visit in walker.story.visits if visit.node not in ("", "START")))


def repeated(drive: Schedule) -> list[tuple[object, ...]]:
    """Return the visits, items and subgraphs of a run that were repeated."""
    entries: Counter[str] = Counter()
    done: Counter[tuple[object, ...]] = Counter()
    for step in drive.session.log:
        entry = entries[around(step.frame, entries)]
        if step.kind == "entered":
            done[(step.kind, entry, step.frame, step.node, step.visit, step.attempt)] += 1
            entries[frame_id(step.frame, "sub", f"{step.node}/")] += 1
        elif step.kind in ("node", "item", "mapped"):
            done[(step.kind, entry, step.frame, step.node, step.visit)] += 1
    return [key for key, count in done.items() if count > 1]
