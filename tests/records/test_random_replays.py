"""Random runs are replayed by the graph that recorded them without a difference; a change in the log is found.

The runs are those of the other random tests: loops, forks, maps, subgraphs, crashes, stops, branches, resumes.
SCENES=100000 makes a run of hours, and FIRST=5000 begins it where an earlier one ended.
"""

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest

from graphengine import Graph
from graphengine.engine.step_json import decode_step
from graphengine.engine.steps import Step
from graphengine.records.replay.replay import replay
from tests.kit.drive import Drive
from tests.kit.facts import resaid, said
from tests.kit.graphs import case, limits, script, state
from tests.kit.scenario import Scenario, pages, played
from tests.kit.schedule import Schedule
from tests.kit.session import Session
from tests.kit.spec import build

SCENES = max(6, int(os.environ.get("SCENES", "2000")) // 60)
FIRST = int(os.environ.get("FIRST", "0"))
ENGINE = Path(__file__).parents[1] / "engine"
UPSETS = 2


def sibling(name: str) -> ModuleType:
    """Import a file of the tests of the engine, for the graphs that it makes."""
    spec = importlib.util.spec_from_file_location(name, ENGINE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FORKS, NESTS = sibling("test_random_forks"), sibling("test_random_nests")


def log_of(session: Session) -> Sequence[Step]:
    """Return a run's steps as they read back from JSON."""
    return [decode_step(seq, row) for seq, row in enumerate(session.rows, start=1)]


def loop(seed: int) -> Session:
    """Return a run without forks."""
    random = Random(f"replay {seed}")  # noqa: S311 - no secret
    first = case(random, seed % 8 + 1)
    scene = replace(first, script=script(random), limits=limits(random), state=state(random))
    drive = Drive.begin(scene, build(first.spec, []), careful=False)
    drive.run_to_end()
    return drive.session


def fork(seed: int) -> Session:
    """Return a run with forks, some of it in a branch."""
    spec, begun, outcomes = FORKS.scene(f"replay {seed}", whole=bool(seed % 2))
    random = Random(seed)  # noqa: S311
    return Schedule.begin(spec, build(spec, []), begun, outcomes, random, 3, upsets=UPSETS).run_to_end().session


def nest(seed: int) -> Session:
    """Return a run with forks, maps and subgraphs."""
    spec, begun, outcomes = NESTS.scene(f"replay {seed}")
    random = Random(seed)  # noqa: S311
    return Schedule.begin(spec, build(spec, []), begun, outcomes, random, 3, upsets=UPSETS).run_to_end().session


KINDS = pytest.mark.parametrize("kind", [loop, fork, nest], ids=["loops", "forks", "nests"])


@KINDS
def test_the_graph_that_recorded_a_run_replays_it(kind: Any) -> None:
    """No step differs, not even in the text of its reasons."""
    for seed in range(FIRST, FIRST + SCENES):
        session = kind(seed)
        replayed = replay(session.graph, log_of(session))
        assert replayed.same, f"{seed}: {replayed}"
        assert not replayed.reasons, f"{seed}: {replayed.reasons[0]}"
        assert replayed.steps == len(session.rows)


@KINDS
def test_another_label_in_the_log_is_found_at_its_step(kind: Any) -> None:
    """A label that the graph does not give is reported at its step, and nowhere before."""
    found = 0
    for seed in range(FIRST, FIRST + SCENES // 2):
        session = kind(seed)
        log = list(log_of(session))
        led = [step for step in log if "to" in said(step) and step.kind != "joined"]
        if not led:
            continue
        changed = Random(seed).choice(led)  # noqa: S311
        log[changed.seq - 1] = resaid(changed, edge="another")
        first = replay(session.graph, log).first
        if first is None:
            assert unsure(session.graph, log), f"{seed}: step {changed.seq}"
            continue
        assert (first.seq, first.what) == (changed.seq, "edge"), f"{seed}: {first}"
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
