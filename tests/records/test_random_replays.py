"""Random runs are replayed by the graph that recorded them without a difference; a change in the log is found.

The runs are those that the simulator draws for the pure engine: loops, forks, maps, graphs inside, crashes, stops,
branches, resumes. SCENES=100000 makes a run of hours, and SEED=7 draws others.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from graphengine import Graph
from graphengine.engine.step_json import decode_step
from graphengine.engine.steps import Step
from graphengine.records.replay.replay import replay
from tests.kit.facts import resaid, said
from tests.kit.scenario import Scenario, pages, played
from tests.kit.session import Session
from tests.sim.logs import runs

SCENES = max(18, int(os.environ.get("SCENES", "2000")) // 20)
SEED = os.environ.get("SEED", "replay")


def log_of(session: Session) -> Sequence[Step]:
    """Return a run's steps as they read back from JSON."""
    return [decode_step(seq, row) for seq, row in enumerate(session.rows, start=1)]


def test_the_graph_that_recorded_a_run_replays_it() -> None:
    """No step differs, not even in the text of its reasons."""
    for run in runs(SEED, SCENES):
        replayed = replay(run.graph, run.log)
        assert replayed.same, f"{run.program}: {replayed}"
        assert not replayed.reasons, f"{run.program}: {replayed.reasons[0]}"
        assert replayed.steps == len(run.log)


def test_another_label_in_the_log_is_found_at_its_step() -> None:
    """A label that the graph does not give is reported at its step, and nowhere before."""
    found = 0
    for number, run in enumerate(runs(SEED, SCENES // 2)):
        log = list(run.log)
        led = [step for step in log if "to" in said(step) and step.kind != "joined"]
        if not led:
            continue
        changed = Random(number).choice(led)  # noqa: S311
        log[changed.seq - 1] = resaid(changed, edge="another")
        first = replay(run.graph, log).first
        if first is None:
            assert unsure(run.graph, log), f"{run.program}: step {changed.seq}"
            continue
        assert (first.seq, first.what) == (changed.seq, "edge"), f"{run.program}: {first}"
        found += 1
    assert found >= SCENES // 3


def unsure(graph: Graph[Any], log: Sequence[Step]) -> bool:
    """Return whether a step of the log could not be decided again."""
    return bool(replay(graph, log).unchecked)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_every_page_is_replayed(page: Path) -> None:
    """All scenarios replay without a difference; pages whose graph changes on the way differ only before the change."""
    scenario = Scenario.read(page)
    begun, session = played(scenario, page.name)
    graph_changes = " graph=" in scenario.events
    replayed = replay(begun if not graph_changes else session.graph, log_of(session))
    if not graph_changes:
        assert replayed.same, str(replayed)
        assert not replayed.reasons
    else:
        resumed = max(step.seq for step in log_of(session) if step.kind in ("resumed", "branched"))
        assert all(one.seq < resumed for one in replayed.differences), str(replayed)
