"""The read model of runs: visits compared with the pages of `tests/scenarios` and with recorded runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from graphengine import START
from graphengine.engine.fold import fold
from graphengine.engine.frame_tree import add_usage
from graphengine.engine.phases import Collecting, Inside
from graphengine.engine.step_json import decode_step, encode_step
from graphengine.engine.steps import Shift, usage_of
from graphengine.engine.stored import to_record
from graphengine.records.visits import Visits
from tests.kit.scenario import Scenario, pages, played
from tests.sim.logs import runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.graph_spec import GraphSpec
    from graphengine.engine.steps import Step
    from graphengine.records.visit_tree import TakenEdge, Visit
    from tests.kit.session import Session


def log_of(path: Path) -> Sequence[Step]:
    """Return the steps of the run of a scenario page."""
    return run_of(path).log


def run_of(path: Path) -> Session:
    """Return the run of a scenario page."""
    return played(Scenario.read(path), path.name)[1]


def brief(visits: Sequence[Visit]) -> list[tuple[str, int, str]]:
    """Return each visit's path, number and status."""
    return [(visit.path, visit.number, visit.status) for visit in visits]


# --- States ---------------------------------------------------------------------------------------------------------


# --- Any run --------------------------------------------------------------------------------------------------------


def agree(log: Sequence[Step], specs: Mapping[str, GraphSpec]) -> None:
    """Compare the visits of a run with its snapshot, and with a reader that keeps no finished visits.

    Each edge that was taken is found in the spec under which it was recorded.
    """
    steps = [decode_step(step.seq, encode_step(step)) for step in log]
    run, whole = Visits.of(steps, specs=specs), fold(steps)
    for entry in run.entries:
        if entry.edge is not None and entry.step.kind != "joined":
            found = declared(entry.edge)
            source = START if entry.step.kind in ("started", "entered") else entry.step.node
            assert {(edge.source, edge.failure) for edge in found} == {(source, entry.edge.is_failure)}
            assert {*entry.edge.outcome.to} <= {target for edge in found for target in (edge.target, edge.join)}
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


class Declared(NamedTuple):
    """What a spec says of an edge: where it leads, or where one of its arms or cases does."""

    source: str
    target: str
    join: str
    failure: bool


def declared(edge: TakenEdge) -> Sequence[Declared]:
    """Return what the spec under which an edge was recorded says of it."""
    way = edge.ways[edge.outcome.way]
    cases = way.get("cases", {})
    arms = [arm["to"] for arm in way.get("arms", ())]
    if edge.outcome.case >= 0:
        arms = [[*cases.values()][edge.outcome.case]]
    elif "on" in way:
        arms = [str(way.get("otherwise"))]
    join, is_failure = way.get("join", ""), way.get("failure", False)
    return [Declared(way["from"], target, join, is_failure) for target in arms or [way.get("to", "")]]


def unfinished(run: Visits) -> dict[str, list[tuple[str, int, str]]]:
    """Return the visits that have not ended, by frame."""
    return {key: brief([v for v in track.visits[-1:] if not v.completed]) for key, track in run.live.items()}


def test_visits_agree_with_the_snapshot() -> None:
    """In runs with loops, forks, maps, graphs inside, retries, crashes, stops and branches, after any step."""
    for run in runs("visits", 70):
        plan = run.graph.compile()
        for end in sorted({*range(1, len(run.log), max(1, len(run.log) // 12)), len(run.log)}):
            agree(run.log[:end], {plan.fingerprint: plan.graph_spec})


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.stem)
def test_visits_agree_on_every_page(path: Path) -> None:
    """Visits agree on every page of the scenarios."""
    run = run_of(path)
    if run.log:
        agree(run.log, run.specs)
