"""How pages of scenarios show steps and what is ready after them: as the difference from the step before.

A page leaves out what follows from its other lines, by these rules, so that a run which breaks one of them shows it:

- The time of a step is that of the step before.
- The targets of a step are ready, in its frame, in the arms of its fork or in the graph that it enters. After a failed
  attempt the next one is ready, and after an answer the node that waited for it. The task of the step has ended, and
  all others are as before.
- A run ends at END with `finished`, or fails with the error of its last step. So does a graph inside a node.
- A failure that passes on to the frame around it is the same error.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from msgspec import to_builtins
from pydantic_core import to_jsonable_python

from graphengine.engine.graph_spec import EdgeSpec
from graphengine.engine.lookup import plan_of
from graphengine.engine.phases import Collecting
from graphengine.engine.reasons import reasons_of, ways_of, why_of
from graphengine.engine.snapshot import ROOT, Frame, Snapshot, Task
from graphengine.engine.steps import OVER, Joined, Outcome, Step, outcome_of, path_of
from graphengine.engine.stored import to_record
from graphengine.graph.options import END, FAIL
from graphengine.state.encoded import opened
from tests.kit.facts import said

if TYPE_CHECKING:
    from tests.kit.session import Session

_WORK: Final = ("node", "attempt", "failed", "item", "recorded", "waiting", "left")
_STAY: Final = ("begun", "recorded", "refused", "message", "resumed", "branched")
"""The kinds of steps that leave the tasks of their frame as they are."""
_OTHERWISE: Final = "otherwise"
_PLAIN: Final[Mapping[str, str]] = {"reason": "end", "label": "", "condition": "", "why": ""}
"""The ending of a graph whose last edge leads to END without a condition."""


class Shown:
    """What a page has shown of a session, for the next event to show what differs."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.at = 0.0
        self.error: list[str] = []
        self.matched: Mapping[str, object] = {}
        self.ending: Mapping[str, str] = {}
        self.tasks: Sequence[Task] = ()
        self.turns = ""
        self.waits: Sequence[str] = ()

    def event(self, steps: Sequence[Step]) -> list[str]:
        """Return the steps of an event, and how they changed what is ready and what the run waits for."""
        lines = [line for step in steps for line in self.step(step)]
        return [*lines, *self.ready(steps), *self.waiting(steps)]

    def step(self, step: Step) -> list[str]:
        """Return a step as text, without a traceback's lines, the fingerprint, and the defaults that a run begins with.

        What its conditions found is in the words in which readers get it.
        """
        data, begun = dict(said(step)), _begun(self.session, step)
        outcome, ways = outcome_of(step), ways_of(self.session.plan.graph_spec, step)
        why = why_of(outcome, ways)
        place = f" {step.node} {step.visit}.{step.attempt}" if step.visit else f" {step.node}" if step.node else ""
        place += f" in {step.frame}" if step.frame else ""
        to = data.pop("to", ())
        target = f" → {', '.join(to)}" if to else ""
        lines = [f"{step.seq} {step.kind}{place}{target}{self.times(step)}"]
        lines += [
            f"  {_op(op)}"
            for op in step.update
            if op[0] != "set" or op[1] not in begun or opened(op[2]) != begun[op[1]]
        ]
        lines += [f"  because {clause}" for clause in _clauses(outcome, ways) if why != _OTHERWISE]
        for name in _UNSEEN:
            data.pop(name, None)
        error = data.pop("error", None)
        lines += self.failure(error, _matched_by(error) if step.frame and data.get("status") == "failed" else {})
        marks = data.pop("marks", {})
        ending = data.get("ending")
        if ending and ending["why"] in (why, _OTHERWISE, ending["reason"]):
            data["ending"] = {**ending, "why": ""}  # the same text as the reason above
        self.without_what_follows(_expected(step, to, error, data), data)
        self.ending = ending or self.ending
        late = {"entered": ("limits",), "failed": ("usage",) if target else ()}.get(step.kind, ())
        in_order = sorted(data, key=lambda name: (name in late, _ORDER.index(name)))
        lines += [line for name in in_order for line in _fact_lines(name, data[name])]
        return lines + [f"  mark {_mark(key, mark)}" for key, mark in marks.items()]

    def times(self, step: Step) -> str:
        """Return when a step happened and its work began, unless both were at the time of the step before."""
        times = [] if step.at == self.at else [f"at {step.at:g}"]
        times += [f"began {step.began:g}"] if step.began != step.at and step.kind in _WORK else []
        self.at = step.at
        return f"  [{', '.join(times)}]" if times else ""

    def failure(self, error: Mapping[str, Any] | None, matched: Mapping[str, object]) -> list[str]:
        """Return the error of a step, and what the frame around matches and retries it by."""
        if not error:
            return []
        lines, same = _failure(error), _failure(error) == self.error
        found = ["  the same error"] if same else lines
        if not same or (matched and matched != self.matched):
            found = [*found, *(f"  {name}: {_json(what)}" for name, what in matched.items())]
        self.error, self.matched = lines, matched or (self.matched if same else {})
        return found

    def without_what_follows(self, expected: Mapping[str, Any], data: dict[str, Any]) -> None:
        """Remove the facts of a step that were expected after its first lines; one that is missing becomes `none`."""
        if "inside" in data:
            expected = {**expected, "inside": self.ending}
        for name, what in expected.items():
            if name not in data:
                data[name] = "none"
            elif data[name] == what:
                del data[name]

    def ready(self, steps: Sequence[Step]) -> list[str]:
        """Return which tasks have become ready, or no longer are, unless that follows from the steps."""
        snapshot, now = self.session.snapshot, self.session.tasks()
        before = () if snapshot.status in OVER else self.tasks
        follow = [task for step in steps for task in _following(step, snapshot)]
        moved = {step.frame for step in steps if step.kind not in _STAY}
        busy = {task.frame for task in now}
        came = [task for task in now if task not in follow and (task not in before or task.frame in moved)]
        went = [task for task in before if task.frame not in moved | busy]
        went += [] if snapshot.status in OVER else [task for task in follow if task.frame not in busy]
        self.tasks = now
        turns = ", ".join(_turns(snapshot))
        changed, self.turns = turns != self.turns, turns
        return [
            *([f"ready: {'; '.join(map(_task, came))}"] if came else []),
            *([f"not ready: {'; '.join(map(_task, went))}"] if went else []),
            *([f"need a slot: {turns or 'none'}"] if changed else []),
        ]

    def waiting(self, steps: Sequence[Step]) -> list[str]:
        """Return the open waits if they have changed, unless the last of them is over."""
        snapshot = self.session.snapshot
        waits = [f"{name}, {wait.kind}" for f in snapshot.frames.values() for name, wait in f.waits.items()]
        found = (snapshot.status, *waits)
        before, self.waits = self.waits, found
        if waits:
            return [f"{snapshot.status}, waits: {'; '.join(waits)}"] if found != before else []
        over = sum("wait" in said(step) for step in steps)
        return [f"{snapshot.status}, no waits"] if len(before) > 1 + over and snapshot.status not in OVER else []

    def snapshot(self) -> list[str]:
        """Return the snapshot in readable form: everything in its record except empty values.

        The ending and the error are left out if they are those of the last steps.
        """
        snapshot = self.session.snapshot
        lines = [f"{snapshot.run_id} of {snapshot.graph}: {snapshot.status} at {snapshot.now:g}, seq {snapshot.seq}"]
        ending: Mapping[str, Any] = asdict(snapshot.ending) if snapshot.ending else {}
        if ending != (self.ending if snapshot.status in OVER else {}):
            lines += [line.removeprefix("  ") for line in _stop(ending)] if ending else ["no stop"]
        error = _failure(to_builtins(snapshot.failure))
        if error != (self.error if snapshot.status == "failed" else []):
            lines += [line.removeprefix("  ") for line in error] or ["no error"]
        lines.append(f"steps {snapshot.steps}, driven {snapshot.elapsed_seconds:g} s")
        for name in ("usage", "inherited", "limits", "pause", "mailbox", "waiting"):
            if getattr(snapshot, name):
                lines.append(f"{name} {_json(getattr(snapshot, name))}")
        return lines + [line for frame in snapshot.frames.values() for line in _frame(snapshot, frame)]


def _expected(
    step: Step, to: Sequence[str], error: Mapping[str, Any] | None, data: Mapping[str, Any]
) -> Mapping[str, object]:
    """Return the facts that a step should have after its first lines."""
    found: dict[str, object] = {"run_id": "run"} if data.get("run_id") == "run" else {}
    if "answer" in data:
        found |= {"wait": path_of(step.frame, step.node), "by": "answer"}
    in_arm = step.frame.rpartition("/")[2].startswith("~")
    if step.kind == "stopped":
        return found | {"status": "stopped"}
    if END in to and not in_arm:
        return found | ({"ending": _PLAIN} if step.frame else {"status": "finished", "ending": _PLAIN})
    if FAIL in to:
        return found | {"status": "failed"}
    if error and not to and step.kind not in ("attempt", "item"):
        return found | {"status": "failed", "ending": {**_PLAIN, "reason": "failed", "why": error["message"]}}
    return found


def _following(step: Step, snapshot: Snapshot) -> Iterator[Task]:
    """Yield the tasks that should be ready after a step."""
    facts = said(step)
    if step.kind == "attempt":
        due = facts.get("due_at", 0.0)
        yield Task(step.frame, step.node, step.visit, step.attempt + 1, facts.get("then", "run"), due)
    if step.kind == "answered":
        yield Task(step.frame, step.node, step.visit, step.attempt, "run", 0.0)
    for target in facts.get("to", ()):
        place = f"{path_of(step.frame, step.node)}/" if step.kind == "entered" else step.frame
        frame = snapshot.frames.get(f"{place}~{target}" if "fork" in facts else place)
        if frame is not None and target not in (END, FAIL, frame.until):
            yield Task(frame.id, target, frame.visit, 1, "run", 0.0)


def _task(task: Task) -> str:
    place = f"{task.node} {task.visit}.{task.attempt}" + (f" in {task.frame}" if task.frame else "")
    wait = f" {task.wait}" if task.wait and task.wait != path_of(task.frame, task.node) else ""
    return f"{place}, {task.mode}{wait}" + (f", due {task.due:g}" if task.due else "")


def _turns(snapshot: Snapshot) -> Iterator[str]:
    """Yield the items that may go on once their map has a slot for them."""
    for frame in snapshot.frames.values():
        if isinstance(frame.phase, Collecting):
            yield from map(frame.item_id, frame.phase.woken)


def _matched_by(failure: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the frame around a failed one matches and retries its failure by; nothing for Python's own errors."""
    kind = getattr(builtins, failure["kind"], None)
    names = [each.__name__ for each in kind.__mro__[:-1]] if isinstance(kind, type) else []
    found = {"names": failure.get("names", [])} if failure.get("names", []) != names else {}
    return found | ({"non_retryable": True} if failure.get("non_retryable") else {})


def _begun(session: Session, step: Step) -> Mapping[str, object]:
    """Return the defaults, as JSON, of the state that a step begins: that of the run, or of a graph that it enters."""
    if step.kind not in ("started", "entered"):
        return {}
    inside = f"{path_of(step.frame, step.node)}/" if step.kind == "entered" else ROOT
    frame = session.snapshot.frames.get(inside) or session.snapshot.frames.get(f"{step.frame}/")
    fields = plan_of(session.plan, frame).state.model.model_fields if frame else {}
    declared = {name: field for name, field in fields.items() if not field.is_required()}
    return {name: to_jsonable_python(field.get_default(call_default_factory=True)) for name, field in declared.items()}


_UNSEEN: Final = (
    *("fingerprint", "code", "graph", "version", "way", "case", "tests", "arms", "chosen", "arrived", "of"),
    *("cause", "chance", "given", "written"),
)
"""What other lines of a step show too, and what only a replay reads."""


_ORDER: Final = (
    *("run_id", "parent", "title", "after", "limits", "crashed", "retries", "settled", "shared_process", "pause"),
    *("changes", "renamed", "pauses", "moved", "field_changes", "left", "asks", "recoded", "marks_of", "sub_limits"),
    *("idempotent", "not_done", "key", "name", "arguments", "idempotency_key", "unknown", "reconcile", "value"),
    *("took", "topic", "payload", "count", "concurrency", "max_open", "fields", "items", "waits", "withdrawn"),
    *("usage", "choice", "keep_results", "refused", "lost", "due_at", "then", "sent", "emitted", "unused"),
    *("unawaited", "wait", "id", "by", "answer", "message", "outputs", "inside", "fallback", "fork", "edge"),
    *("status", "ending", "names", "non_retryable", "samples", "cancelled", "writes"),
)
"""The order in which a page shows the facts of a step."""


def _op(op: Any) -> str:
    kind, name, *rest = op
    return f"{kind} {name}: {', '.join(_json(part) for part in rest)}"


def _clauses(outcome: Outcome, ways: Sequence[EdgeSpec]) -> list[str]:
    """Return why a step took its edge: a line for each condition."""
    if isinstance(outcome, Joined):
        return [why_of(outcome, ways)] if outcome.of else []
    if not outcome.to:
        return []
    return [f"{each.arm}: {each.words}" if each.arm else each.words for each in reasons_of(outcome, ways)]


def _fact_lines(name: str, what: object) -> list[str]:
    if what is None or what in ({}, ""):
        return []
    if name == "ending" and isinstance(what, Mapping):
        return _stop(what)
    return [f"  {name}: {what if isinstance(what, str) else _json(what)}"]


def _stop(stop: Mapping[str, str]) -> list[str]:
    lines = [f"  stop {stop['reason']}"]
    if stop["label"] or stop["condition"]:
        lines[0] += f", label {stop['label'] or 'none'}, condition {stop['condition'] or 'none'}"
    return [*lines, *(f"    {line}" for line in stop["why"].splitlines() if line != _OTHERWISE)]


def _failure(failure: Mapping[str, Any] | None) -> list[str]:
    if not failure:
        return []
    trace = " with traceback" if failure.get("traceback") else ""
    first, *more = failure["message"].splitlines() or [""]
    where = failure["path"] or "no node"
    headline = f"  error {failure['kind']} in {where}, attempt {failure['attempt']}{trace}: {first}"
    return [headline, *(f"    {line.strip()}" for line in more)]


def _mark(key: str, mark: object) -> str:
    return f"{key} = {'digest' if key.startswith('change:') else _json(mark)}"


_AFTER_FAILURES: Final = (
    *("since", "arrived", "choice", "ended", "begun", "waits", "memos", "limits", "steps", "entered", "spent"),
)


def _frame(snapshot: Snapshot, frame: Frame) -> list[str]:
    record = dict(to_record(snapshot)["frames"][frame.id])
    values, marks = record.pop("values"), record.pop("marks", {})
    for known in (record, record.get("map") or {}):
        known.pop("written", None)  # which fields nodes wrote, as the steps before say
    for memo in record.get("recorded_results", {}).values():
        memo.pop("given", None)
        if "recoded" in memo:  # the id differs in each release of Python: pages have no source files
            memo["recoded"] = True
    facts = ", ".join(f"{name} {_plain(record.pop(name, 1))}" for name in ("phase", "at", "visit", "attempt"))
    lines = [f"frame {frame.id} {facts}" if frame.id else f"frame {facts}"]
    if frame.id and "failure" in record:
        record |= _matched_by(record["failure"])
        record |= {name: record.pop(name) for name in _AFTER_FAILURES if name in record}
    for name in ("error", "cause", "failure"):
        lines += [line.replace("error", name, 1) for line in _failure(record.pop(name, None))]
    if not frame.id:
        del record["kind"]
    lines += [f"  {name} {_json(value)}" for name, value in record.items() if value and name != "samples"]
    lines += [f"  sample {_mark(*sample)}" for sample in record.get("samples", ())]
    lines += [f"  mark {_mark(key, mark)}" for key, mark in sorted(marks.items())]
    return [*lines, *(f"  {name} = {_json(value)}" for name, value in values.items())]


def _plain(value: object) -> str:
    return value if isinstance(value, str) and value else _json(value)


def _json(value: object) -> str:
    return json.dumps(_lean(opened(value)), ensure_ascii=False)


def _lean(value: object) -> object:
    """Return a record without the text of tracebacks, which contain files and lines."""
    if isinstance(value, Mapping):
        return {key: "…" if key == "traceback" else _lean(part) for key, part in value.items()}
    return [_lean(part) for part in value] if isinstance(value, (list, tuple)) else value
