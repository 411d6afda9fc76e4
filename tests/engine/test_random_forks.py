"""Random graphs with forks: the order in which nodes end changes nothing, and the interpreter records the same run.

The same results, failures and crashes are played in several random orders; the state at every join and at the end and
the steps of each path are the same in all of them (rule 10). SCENES=100000 makes a run of hours, and FIRST=5000 begins
it where an earlier one ended.
"""

import os
from random import Random

import pytest

from graphengine.engine.stored import to_record
from tests.kit.fork_graphs import fork_spec, outcome
from tests.kit.graphs import state
from tests.kit.schedule import Schedule, details_of, rows_of, same_end, values_of
from tests.kit.spec import Case, Spec, build
from tests.kit.walker import Outcomes, Walker

SCENES = int(os.environ.get("SCENES", "2000")) // 50
FIRST = int(os.environ.get("FIRST", "0"))
ORDERS = 4
RESUMES = 3


def scene(seed: str, *, whole: bool) -> tuple[Spec, dict[str, object], Outcomes]:
    """Return a graph, an initial state, and the outcome of every attempt."""
    random = Random(seed)  # noqa: S311 - no secret
    spec = fork_spec(random, random.choice((1, 1, 2, 3)), whole=whole)
    return spec, state(random), lambda at, visit, attempt: outcome(seed, at, visit, attempt)


@pytest.mark.parametrize("whole", [False, True], ids=["fields", "whole"])
@pytest.mark.parametrize("part", range(4))
def test_the_order_of_ends_changes_nothing(part: int, whole: bool) -> None:  # noqa: FBT001 - a parameter
    """States at joins and at the end, and the steps of each path, agree with the interpreter in every order."""
    for number in range(FIRST, FIRST + SCENES):
        seed = f"{whole} {part} {number}"
        spec, begun, outcomes = scene(seed, whole=whole)
        graph = build(spec, [])
        walker = Walker(Case(spec, (), ({},), begun), outcomes)
        story = walker.walk(RESUMES)
        first = None
        for order in range(ORDERS):
            random = Random(f"{seed} {order}")  # noqa: S311
            drive = Schedule.begin(spec, graph, begun, outcomes, random, RESUMES, upsets=2 * (order % 2)).run_to_end()
            snapshot, log = drive.session.snapshot, drive.session.log
            assert rows_of(log) == walker.record.rows, seed
            assert values_of(snapshot.root) == story.state, seed
            assert drive.joins == walker.record.joins, seed
            assert (snapshot.status, snapshot.steps) == (story.status, walker.record.steps), seed
            if snapshot.status == "finished":
                assert snapshot.root.usage == snapshot.usage == story.usage, seed
            details = details_of(log), snapshot.failure and snapshot.failure.message, snapshot.root.marks
            first = first or details
            assert details == first, seed


@pytest.mark.parametrize("part", range(4))
def test_a_run_cut_off_anywhere_reaches_the_same_end(part: int) -> None:
    """Resumed after a crash at any step, or branched there, also inside arms, a run ends as it would have."""
    for number in range(FIRST, FIRST + SCENES // 4):
        seed = f"cut {part} {number}"
        spec, begun, outcomes = scene(seed, whole=number % 4 == 0)
        random = Random(f"{seed} order")  # noqa: S311
        whole = Schedule.begin(spec, build(spec, []), begun, outcomes, random, RESUMES, careful=True).run_to_end()
        parent = whole.session
        before = to_record(parent.snapshot)
        length = len(parent.log)
        for seq in sorted(random.sample(range(1, length + 1), min(length, 5))):
            for cut in (whole.resumed_at(seq), whole.branched_at(seq)):
                cut.run_to_end()
                same_end(cut, whole, f"{seed}, after step {seq}")
        assert to_record(parent.snapshot) == before
        parent.check_log()


def test_the_scenes_cover_every_feature() -> None:
    """Nested forks and runs that fail, fork again, and finish occur among the graphs."""
    seen = {"deep": 0, "finished": 0, "failed": 0, "joins": 0, "again": 0}
    for number in range(60):
        spec, begun, outcomes = scene(f"dull {number}", whole=False)
        random = Random(number)  # noqa: S311
        drive = Schedule.begin(spec, build(spec, []), begun, outcomes, random, RESUMES).run_to_end()
        seen[drive.session.snapshot.status] += 1
        seen["joins"] += bool(drive.joins)
        seen["deep"] += any(key.count("~") > 1 for key, _ in rows_of(drive.session.log))
        seen["again"] += any(len(states) > 1 for states in drive.joins.values())
    assert all(count >= 5 for count in seen.values()), seen
