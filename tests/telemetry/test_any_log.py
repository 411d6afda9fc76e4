"""The spans of every scenario page and recorded run, if few processes drive it, and if there is one for each step."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from graphengine.engine.fold import evolve, fold
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.steps import Step
from graphengine.records.export import read_file
from graphengine.runner.extensions import OpenRun
from graphengine.stores.base import RunInfo, Store
from graphengine.telemetry import Telemetry
from graphengine.telemetry.trace import RunTrace
from tests.kit.record import RECORDED
from tests.kit.scenario import Scenario, pages, played
from tests.telemetry.kit import Spans, id_around, id_of

TESTS = Path(__file__).parents[1]
LOGS = sorted([*pages(), *RECORDED.glob("*.json")])


class Log:
    """A store that has one log, and runs that are not parents."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.all = steps

    async def steps(self, run_id: str, after: int, upto: int | None = None) -> Sequence[Step]:
        """Return steps."""
        return self.all[after:upto]


def steps_of(path: Path) -> Sequence[Step]:
    """Return the steps of a page or a file, each at a time of its own, as in real runs."""
    is_file = path.suffix == ".json"
    found = read_file(path).steps if is_file else played(Scenario.read(path), path.name)[1].log
    return [replace(step, at=step.seq * 10.0, began=step.began and step.seq * 10.0 - 1) for step in found]


async def exported(steps: Sequence[Step], *, handover: bool) -> Spans:
    """Return what is exported of a log, by one process for each resume, or by one for each step."""
    spans, log, there, begun_at = Spans(), Log(steps), Snapshot(), 0.0
    store = cast("Store", log)
    telemetry = Telemetry(tracer_provider=spans.provider)
    trace: RunTrace | None = None
    for step, then in pairwise([*steps, None]):
        assert step is not None
        is_new = step.kind in ("started", "branched")
        begun_at = step.at if is_new else begun_at
        if trace is None or handover or is_new or step.kind == "resumed":
            facts = there.run_id, there.graph, there.fingerprint, there.status, there.seq, begun_at, there.now
            trace = await telemetry.opened(OpenRun(store, there, None if is_new else RunInfo(*facts)))
        evolve(there, step)
        log.all = steps[: step.seq]
        trace.recorded([step])
        if then is None or then.kind == "resumed":
            await trace.left()
    return spans


@pytest.mark.parametrize("path", LOGS, ids=[path.name for path in LOGS])
def test_spans_have_the_same_ids_in_every_process(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No id is exported twice, no span lacks the one around it, and a new process for each step changes nothing."""
    steps = steps_of(path)
    one, many = asyncio.run(exported(steps, handover=False)), asyncio.run(exported(steps, handover=True))
    assert not [each for each in caplog.records if each.name == "graphengine.telemetry"]

    def seen(spans: Spans) -> set[Any]:
        return {(span.name, id_of(span), id_around(span), span.status.status_code, span.end_time) for span in spans.all}

    ids = [id_of(span) for span in one.all]
    assert len(ids) == len(set(ids))
    branches = sum(step.kind == "branched" for step in steps)
    if not branches and fold(steps, Snapshot()).status in ("finished", "failed", "stopped"):
        assert {id_around(span) for span in one.all} - {None} <= set(ids)
    assert len({span.context.trace_id for span in one.all if span.context is not None}) <= 1 + branches
    assert seen(many) == seen(one)
