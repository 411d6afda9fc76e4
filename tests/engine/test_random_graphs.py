"""Random graphs with random results and failures: the engine and the interpreter record the same run.

Thousands of cases come from seeds, the small graphs first; hypothesis searches more, checks them step by step and
shrinks them. SCENES=100000 makes a run of hours, and FIRST=5000 begins the seeds where an earlier one ended.
"""

import itertools
import os
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphengine.engine.stored import to_record
from graphengine.state.encoded import opened
from tests.kit.drive import Drive, trace
from tests.kit.graphs import case, cases, limits, script, state
from tests.kit.interpreter import Interpreter
from tests.kit.spec import Case, build

SCENES = int(os.environ.get("SCENES", "2000"))
FIRST = int(os.environ.get("FIRST", "0"))
SCRIPTS = 6  # scripts for each compiled graph
searched = settings(max_examples=max(10, SCENES // 40), suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("size", range(1, 9))
def test_the_engine_agrees_with_the_interpreter(size: int) -> None:
    """Over thousands of cases both take the same path and end in the same state for the same reason."""
    for seed in range(FIRST, FIRST + SCENES // SCRIPTS // 8):
        random = Random(f"{size} {seed}")  # noqa: S311 - no secret
        first, calls = case(random, size), list[str]()
        graph = build(first.spec, calls)
        for n in range(SCRIPTS):
            scene = replace(first, script=script(random), limits=limits(random), state=state(random))
            drive = Drive.begin(scene, graph, careful=False)
            drive.run_to_end()
            agree(drive, scene, calls, f"size {size}, seed {seed}, script {n}")
            calls.clear()


@searched
@given(cases())
def test_engine_and_interpreter_agree_on_generated_cases(scene: Case) -> None:
    """They also agree over cases that hypothesis searches, with every step of the engine checked."""
    calls: list[str] = []
    drive = Drive.begin(scene, build(scene.spec, calls))
    drive.run_to_end()
    agree(drive, scene, calls, "")


@searched
@given(cases(crashes=False), st.data())
def test_a_run_cut_off_anywhere_reaches_the_same_end(scene: Case, data: st.DataObject) -> None:
    """Resumed after a crash at any step, or branched there, a run ends as it would have; the parent is unchanged."""
    whole = Drive.begin(scene, build(scene.spec, []))
    whole.run_to_end()
    parent = whole.session
    before = to_record(parent.snapshot)
    seq = data.draw(st.integers(1, len(parent.log)), "seq")
    for cut in (resumed_at(whole, seq), branched_at(whole, seq)):
        cut.run_to_end()
        same_end(cut, whole)
    assert to_record(parent.snapshot) == before
    parent.check_log()


def resumed_at(whole: Drive, seq: int) -> Drive:
    """Return the same run, cut off after a step and resumed."""
    cut = whole.fork(whole.session.at(seq), seq)
    if cut.session.snapshot.status == "running":
        cut.session.resume()
    return cut


def branched_at(whole: Drive, seq: int) -> Drive:
    """Return a branch after that step, or before its end if it ended there for good."""
    at = whole.session.at(seq)
    if at.snapshot.status == "finished":
        return branched_at(whole, seq - 1) if seq > 1 else whole
    cut = whole.fork(at, seq)
    if at.snapshot.status != "running" and cut.resumed == len(cut.resumes):
        return cut  # it ended there, and no resumes are left
    again = at.snapshot.status != "running"
    limits = cut.resumes[cut.resumed] if again else None
    cut.session = whole.session.branch(seq, limits=limits, now=cut.session.now)
    cut.resumed += limits is not None
    return cut


def agree(drive: Drive, scene: Case, calls: Sequence[str], where: str) -> None:
    """Assert that the interpreter records the same run."""
    story, snapshot = Interpreter(scene).run(), drive.session.snapshot
    values = opened(dict(snapshot.root.values))
    values["errors"] = [{name: e[name] for name in ("path", "kind", "attempt")} for e in values["errors"]]
    counted = {node.name: sum(v.node == node.name for v in story.visits) for node in scene.spec.nodes}
    pairs: dict[str, tuple[object, object]] = {
        "path": (trace(drive.session.log), story.trace),
        "state": (values, story.state),
        "stop": (
            (snapshot.status, snapshot.ending.reason if snapshot.ending is not None else ""),
            (story.status, story.reason),
        ),
        "steps": (snapshot.steps, story.steps),
        "counts": (snapshot.root.counts, {name: count for name, count in counted.items() if count}),
        "spent": ((snapshot.usage, snapshot.elapsed_seconds), (story.usage, story.elapsed)),
        "calls of conditions": (calls, story.calls),
    }
    assert snapshot.status != "running", where
    assert snapshot.ending is not None, where
    assert snapshot.ending.why, where
    differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    assert not differing, report(scene, differing, where)


def report(scene: Case, differing: dict[str, tuple[object, object]], where: str) -> str:
    """Return what a reader needs to see why two runs differ."""
    lines = [where, *map(str, scene.spec.nodes), *map(str, scene.spec.edges), *map(str, scene.script)]
    lines += [f"errors {scene.spec.errors}, whole {scene.spec.whole}, limits {scene.limits}, state {scene.state}"]
    for name, (engine, interpreter) in differing.items():
        if isinstance(engine, list) and isinstance(interpreter, list):
            for one, other in itertools.zip_longest(engine, interpreter):
                lines.append(f"{name}: {one}" if one == other else f"{name}: engine {one}, interpreter {other}")
        else:
            lines += [f"{name}, engine: {engine}", f"{name}, interpreter: {interpreter}"]
    return "\n".join(lines)


def same_end(cut: Drive, whole: Drive) -> None:
    """Assert that two runs came to the same end."""
    here, there = cut.session.snapshot, whole.session.snapshot
    assert opened(here.root.values) == opened(there.root.values)
    assert (here.status, here.ending, here.failure) == (there.status, there.ending, there.failure)
    assert (here.root.counts, here.root.marks, here.steps) == (there.root.counts, there.root.marks, there.steps)
    assert (here.usage, here.elapsed_seconds) == (there.usage, there.elapsed_seconds)
