"""Random runs are decided anew by the graph that recorded them: nothing differs. What was changed in the log is found.

The runs are those of the other random tests: loops, forks, maps, graphs inside, crashes, stops, branches, resumes.
SCENES=100000 makes it a night's run, and FIRST=5000 begins it where an earlier one ended.
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
from graphengine.engine.steps import Step, decode_step
from graphengine.history.replay.replay import replay
from tests.kit.drive import Drive
from tests.kit.facts import resaid, said
from tests.kit.graphs import case, limits, script, state
from tests.kit.scenario import Scenario, played
from tests.kit.schedule import Schedule
from tests.kit.session import Session
from tests.kit.spec import build

SCENES = int(os.environ.get("SCENES", "3000")) // 60
FIRST = int(os.environ.get("FIRST", "0"))
PAGES = Path(__file__).parents[1] / "scenarios"
UPSETS = 2


def sibling(name: str) -> ModuleType:
    """Another file of this folder, for the graphs that it makes."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FORKS, NESTS = sibling("test_random_forks"), sibling("test_random_nests")


def log_of(session: Session) -> Sequence[Step]:
    """A run's steps as they read back from JSON."""
    return [decode_step(seq, row) for seq, row in enumerate(session.rows, start=1)]


def loop(seed: int) -> Session:
    """A run without forks."""
    random = Random(f"replay {seed}")  # noqa: S311 - no secret
    first = case(random, seed % 8 + 1)
    scene = replace(first, script=script(random), limits=limits(random), state=state(random))
    drive = Drive.begin(scene, build(first.spec, []), careful=False)
    drive.to_the_end()
    return drive.session


def fork(seed: int) -> Session:
    """A run with forks, some of it in a branch."""
    spec, begun, outcomes = FORKS.scene(f"replay {seed}", whole=bool(seed % 2))
    random = Random(seed)  # noqa: S311
    return Schedule.begin(spec, build(spec, []), begun, outcomes, random, 3, upsets=UPSETS).to_the_end().session


def nest(seed: int) -> Session:
    """A run with forks, maps and graphs inside."""
    spec, begun, outcomes = NESTS.scene(f"replay {seed}")
    random = Random(seed)  # noqa: S311
    return Schedule.begin(spec, build(spec, []), begun, outcomes, random, 3, upsets=UPSETS).to_the_end().session


KINDS = pytest.mark.parametrize("kind", [loop, fork, nest], ids=["loops", "forks", "nests"])


@KINDS
def test_the_graph_that_recorded_a_run_decides_it_as_it_was(kind: Any) -> None:
    """No step differs, not even in the words of its reasons."""
    for seed in range(FIRST, FIRST + SCENES):
        session = kind(seed)
        told = replay(session.graph, log_of(session))
        assert told.same, f"{seed}: {told}"
        assert not told.reasons, f"{seed}: {told.reasons[0]}"
        assert told.steps == len(session.rows)


@KINDS
def test_another_label_in_the_log_is_found_at_its_step(kind: Any) -> None:
    """A label that the graph does not give is told at the step that has it, and nowhere before."""
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
    assert found > SCENES // 3


def unsure(graph: Graph[Any], log: Sequence[Step]) -> bool:
    """Whether a step of the log could not be decided anew."""
    return bool(replay(graph, log).unchecked)


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.txt")), ids=lambda page: page.stem)
def test_every_page_is_decided_as_it_was(page: Path) -> None:
    """The scenarios, all of them: pages whose graph is mended on the way differ there alone."""
    scenario = Scenario.read(page)
    begun, session = played(scenario, page.name)
    mended = " graph=" in scenario.events
    told = replay(begun if not mended else session.graph, log_of(session))
    by_hand = page.stem in ("wait_limits", "work_over")  # their node stands for one that takes ctx
    if by_hand:
        assert {one.what for one in told.differences} == {"work"}
    elif not mended:
        assert told.same, str(told)
        assert not told.reasons
    else:
        resumed = max(step.seq for step in log_of(session) if step.kind in ("resumed", "branched"))
        assert all(one.seq < resumed for one in told.differences), str(told)
