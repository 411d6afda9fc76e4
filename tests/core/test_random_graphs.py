"""Random graphs with random results and failures: the engine and the interpreter tell the same story.

HYPOTHESIS_EXAMPLES=20000 makes it a long night's run.
"""

import itertools
import os
from collections.abc import Iterator, Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphengine.core.snapshot import to_record
from tests.support import graphs
from tests.support.drive import Drive, trace
from tests.support.interpreter import Interpreter
from tests.support.spec import Outcome, Spec, build

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "400"))
thorough = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


def endless(script: Sequence[Outcome]) -> Iterator[Outcome]:
    """A script, and success for ever after."""
    return itertools.chain(script, (Outcome(seed=i) for i in itertools.count(len(script) + 1)))


@thorough
@given(graphs.specs(), graphs.scripts(), graphs.limits())
def test_the_engine_agrees_with_the_interpreter(spec: Spec, script: list[Outcome], limits: list[dict[str, float]]) -> None:
    """Both take the same path, call the same conditions as often, and end in the same state for the same reason."""
    calls: list[str] = []
    drive = Drive.begin(spec, build(spec, calls), script, limits)
    drive.to_the_end()
    story = Interpreter(spec, endless(script), limits[0]).run(limits[1:])
    snapshot = drive.session.snapshot
    assert trace(drive.session.log) == story.trace
    values = {**snapshot.root.values, "errors": [{**e, "message": ""} for e in snapshot.root.values["errors"]]}
    assert values == {**story.state, "errors": [{**e, "message": ""} for e in story.state["errors"]]}
    assert snapshot.status == story.status
    assert (snapshot.stop or {}).get("reason", "") == story.reason
    assert snapshot.steps == len(story.visits) - 1
    counted = {node.name: sum(v.node == node.name for v in story.visits) for node in spec.nodes}
    assert snapshot.root.counts == {name: count for name, count in counted.items() if count}
    assert snapshot.usage == story.usage
    assert snapshot.elapsed_seconds == story.elapsed
    assert calls == story.calls, "conditions were called otherwise"
    drive.session.check_log()


@thorough
@given(graphs.specs(), graphs.scripts(crashes=False), graphs.limits(), st.data())
def test_a_run_cut_off_anywhere_comes_to_the_same_end(
    spec: Spec, script: list[Outcome], limits: list[dict[str, float]], data: st.DataObject
) -> None:
    """Resumed after a crash behind any step, or branched there, a run ends as it would have; the parent stays as it was."""
    whole = Drive.begin(spec, build(spec, []), script, limits)
    whole.to_the_end()
    session = whole.session
    seq = data.draw(st.integers(1, len(session.log)), "seq")
    before = to_record(session.snapshot)
    resumed = whole.fork(session.at(seq))
    if resumed.session.snapshot.status == "running":
        resumed.session.resume()
        resumed.to_the_end()
        _same_end(resumed, whole)
        branched = whole.fork(session.branch(seq)) if False else None
    assert to_record(session.snapshot) == before
    session.check_log()


def _same_end(cut: Drive, whole: Drive) -> None:
    here, there = cut.session.snapshot, whole.session.snapshot
    assert here.root.values == there.root.values
    assert (here.status, here.stop, here.failure) == (there.status, there.stop, there.failure)
    assert (here.root.counts, here.root.marks, here.steps) == (there.root.counts, there.root.marks, there.steps)
    assert (here.usage, here.elapsed_seconds) == (there.usage, there.elapsed_seconds)
