"""The log of runs: when one is driven here and how that ends, and each attempt that fails.

The logger is `graphengine.runs`. It has a handler that does nothing, so without a configuration nothing is shown; other
loggers of the library report only what a programmer should change. Each record has the fields `run`, `graph`, `node`,
`attempt`, `code`, `status`, `seq` and `trace_id`, as far as they apply. What an error says is not in it: it may quote a
prompt, and the run has it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from graphengine.engine.steps import Attempt, Failed

if TYPE_CHECKING:
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import FailureRecord, Step
    from graphengine.runner.followers import Following

log = logging.getLogger("graphengine.runs")
log.addHandler(logging.NullHandler())


def log_begin(snapshot: Snapshot, following: Following) -> None:
    """Log that a run is driven here from now on."""
    if log.isEnabledFor(logging.INFO):
        facts = _facts(snapshot, following)
        log.info("run %s of graph %s is driven here", facts["run"], facts["graph"], extra=facts)


def log_end(snapshot: Snapshot, following: Following) -> None:
    """Log that a run is driven here no longer."""
    level = logging.WARNING if snapshot.status == "failed" else logging.INFO
    if log.isEnabledFor(level):
        facts = {**_facts(snapshot, following), "status": snapshot.status}
        verb = "released" if snapshot.status == "running" else snapshot.status
        log.log(level, "run %s is %s after step %d", facts["run"], verb, snapshot.seq, extra=facts)


def log_failure(snapshot: Snapshot, following: Following, step: Step, failure: FailureRecord) -> None:
    """Log an attempt that failed."""
    if not (step.node and isinstance(step.data, (Attempt, Failed)) and log.isEnabledFor(logging.WARNING)):
        return
    facts = {
        **_facts(snapshot, following),
        "node": step.path,
        "attempt": step.attempt,
        "code": failure.kind,
        "seq": step.seq,
    }
    then = "it is repeated" if isinstance(step.data, Attempt) else "it is not repeated"
    text = "node %s of run %s failed in attempt %d: %s; %s"
    log.warning(text, step.path, facts["run"], step.attempt, failure.kind, then, extra=facts)


def _facts(snapshot: Snapshot, following: Following) -> dict[str, object]:
    return {"run": snapshot.run_id, "graph": snapshot.graph, "seq": snapshot.seq, "trace_id": "", **following.labels}
