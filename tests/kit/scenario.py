"""Golden scenarios: pages of text that state what a run does, compared with what it really does.

A scenario is a title (lines with `#`), the graph as Python under `== graph`, and events under `== run`, each a line
that begins with `>`, followed by its outcome: the step, and what is ready next. The end of the run is under
`== snapshot`. `play` returns the page as it should read; a test compares the two. `tests/scenarios/README.md` explains
how to write events.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import pydantic
from msgspec import to_builtins
from pydantic_core import to_jsonable_python

import graphengine
from graphengine import Graph, reducers
from graphengine.engine.events import NodeFinished, Noted
from graphengine.engine.frame_tree import place_of
from graphengine.engine.graph_spec import EdgeSpec
from graphengine.engine.lookup import StaleEvent, plan_of
from graphengine.engine.phases import Collecting
from graphengine.engine.reasons import reasons_of, ways_of, why_of
from graphengine.engine.snapshot import ROOT, AttemptId, Frame, Snapshot
from graphengine.engine.steps import Joined, Outcome, Recorded, Step, outcome_of, path_of
from graphengine.engine.stored import to_record
from graphengine.errors import GraphEngineError
from graphengine.state.encoded import opened
from graphengine.state.json_values import JsonValue
from tests.kit import page_code
from tests.kit.facts import said
from tests.kit.session import Session

_PARTS = ("== graph", "== run", "== snapshot")
_OPTIONS = re.compile(
    r"\s+with\s+(?=(?:usage|chance|limits|graph|update|pause|frame|identity|dies_after|shared_process|asked"
    r"|retry_failed|final)=)"
)
_WORK = ("node", "attempt", "failed", "item", "recorded", "waiting", "left")
_KEY = re.compile(r'"([^"]*)" (.*)')
_LATE = re.compile(r"(.*?) (returns|records) (.*)")
_AT = re.compile(r"at ([\d.]+): ")
_OTHERWISE = "otherwise"


@dataclass(frozen=True)
class Scenario:
    """The parts of a page."""

    title: str
    graph: str
    events: str

    @classmethod
    def read(cls, path: Path) -> Scenario:
        """Read a page into its parts."""
        text = path.read_text(encoding="utf-8")
        title, rest = text.split(f"{_PARTS[0]}\n", 1)
        graph, rest = rest.split(f"{_PARTS[1]}\n", 1)
        return cls(title, graph, rest.split(f"{_PARTS[2]}\n", 1)[0])

    def play(self, name: str) -> str:
        """Return the page as it should read."""
        player = _Player(namespace(self.graph, name))
        lines: list[str] = []
        for line in self.events.splitlines():
            if line.startswith("> "):
                if lines:
                    lines.append("")
                lines += [line, *(f"  {outcome}" for outcome in player.play(line[2:]))]
            elif line.startswith("#"):
                lines += ["", line] if lines else [line]
        player.session.check_log()
        page = [self.title + _PARTS[0], self.graph.strip("\n"), "", _PARTS[1], *lines, "", _PARTS[2]]
        return "\n".join([*page, *_snapshot(player.session), ""])


def pages() -> Sequence[Path]:
    """Return all pages: those of the core, and those of the wings that are there, in the folders of their tests."""
    tests = Path(__file__).resolve().parents[1]
    return sorted([*tests.glob("scenarios/*.txt"), *tests.glob("*/scenarios/*.txt")], key=lambda page: page.name)


def played(scenario: Scenario, name: str) -> tuple[Graph[Any], Session]:
    """Return the graph that a page begins with, and the run of its events."""
    player = _Player(namespace(scenario.graph, name))
    begun = player.session.graph
    for line in scenario.events.splitlines():
        if line.startswith("> "):
            player.play(line[2:])
    return begun, player.session


class _Player:
    """Plays events one after another."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self.session = Session(names["graph"])

    def play(self, line: str) -> list[str]:
        """Play an event and return its outcome, as lines."""
        timed = _AT.match(line)
        if timed is not None:
            self.session.now = float(timed.group(1))
            line = line[timed.end() :]
        command, *tail = _OPTIONS.split(line, maxsplit=1)
        options: dict[str, Any] = self._value(f"dict({tail[0]})") if tail else {}
        session, known = self.session, len(self.session.log)
        try:
            self._event(command, options)
        except (StaleEvent, GraphEngineError) as error:
            why = str(error).splitlines()[0] if isinstance(error, GraphEngineError) else "it is of an earlier attempt"
            return [f"refused, {type(error).__name__}: {why}", *_ready(self.session)]
        steps = self.session.log[known if self.session is session else -1 :]
        return [*(entry for step in steps for entry in _step(step, self.session)), *_ready(self.session)]

    def _event(self, command: str, options: dict[str, Any]) -> Step | None:
        verb, _, rest = command.partition(" ")
        name, _, what = rest.partition(" ")
        plain: dict[str, Callable[[], Step | None]] = {
            "start": lambda: self.session.start(self._value(rest or "{}"), **options),
            "stop": lambda: self.session.stop(**options),
            "limit": self.session.limit,
            "crash": self.session.crash,
            "resume": lambda: self.session.resume(**options),
            "branch": lambda: self._branch(int(rest.removeprefix("at ")), options),
            "answer": lambda: self.session.answer(name, self._value(what), **options),
            "message": lambda: self.session.message(name, self._value(what)),
            "late": lambda: self._late(rest, options),
        }
        return plain[verb]() if verb in plain else self._node(verb, rest, options)

    def _node(self, node: str, rest: str, options: dict[str, Any]) -> Step | None:
        session, (verb, _, what) = self.session, rest.partition(" ")
        if verb == "returns":
            return session.finish(self._value(what), of=node, **options)
        if verb == "raises":
            return session.fail(_raised(self._value(what)), of=node, **options)
        if verb == "records":
            key, value = _KEY.fullmatch(what).groups()  # type: ignore[union-attr]
            return session.work(key, self._value(value), of=node)
        if verb == "waits":
            return session.wait(self._waits(node, what), of=node)
        plain: dict[str, Callable[..., Step | None]] = {
            "runs": session.act,
            "enters": session.enter,
            "begins": session.begin,
            "collects": session.collect,
            "ends": session.exit,
            "joins": session.join,
            "leaves": session.leave,
            "wakes": session.wake,
            "receives": session.deliver,
            "reaches its limit": session.meet_limit,
            "is given up": session.give_up,
        }
        return plain[rest](node, **options)

    def _waits(self, node: str, text: str) -> dict[str, dict[str, JsonValue]]:
        """Return the waits of a node that stands in for others, as the Context would record them."""
        task = self.session.task(node)
        frame = self.session.snapshot.frames[task.frame]
        words = {"ask": _ask, "receive": _receive, "sleep": _sleep}
        waits: list[dict[str, JsonValue]] = eval(f"[{text}]", {**self.names, **words})  # noqa: S307 - our own pages
        path = path_of(task.frame, task.node)
        return {
            (path if number == 1 else f"{path}#{number}"): {**wait, "id": f"{place_of(frame)}#{wait['key']}"}
            for number, wait in enumerate(waits, start=1)
        }

    def _late(self, rest: str, options: dict[str, Any]) -> Step:
        """Send the result of a given visit and attempt: `late NODE VISIT.ATTEMPT [in FRAME] returns VALUE`."""
        place, verb, what = _LATE.fullmatch(rest).groups()  # type: ignore[union-attr]
        node, which, *frame = place.replace(" in ", " ").split(" ")
        visit, attempt = map(int, which.split("."))
        now, at = self.session.now, AttemptId(frame[0] if frame else ROOT, node, visit, attempt)
        if verb == "records":
            key, value = _KEY.fullmatch(what).groups()  # type: ignore[union-attr]
            return self.session.send(Noted(at, now, now, Recorded(key=key, name=key, value=self._value(value)), 0))
        return self.session.send(NodeFinished(at, now, now, self._value(what), **options))

    def _branch(self, seq: int, options: dict[str, Any]) -> Step:
        before = to_record(self.session.snapshot)
        child = self.session.branch(seq, **options)
        assert to_record(self.session.snapshot) == before
        self.session.check_log()
        self.session = child
        return child.log[-1]

    def _value(self, text: str) -> Any:
        return eval(text, self.names)  # noqa: S307 - our own pages


class Text(pydantic.BaseModel):
    """The state of pages on a node's result."""

    text: str = ""


class Number(pydantic.BaseModel):
    """The state of pages on loops and conditions."""

    n: int = 0


class Log(pydantic.BaseModel):
    """The state of pages on the order of nodes."""

    log: Annotated[list[str], reducers.append] = []


def work() -> Any:
    """Stand in for a node's function that no page calls."""
    raise AssertionError


def namespace(graph: str, name: str, **more: Any) -> dict[str, Any]:
    """Return the names that the Python of a page defines, in addition to the public API and these."""
    names: dict[str, Any] = {"__name__": "scenario", "work": work, "Annotated": Annotated, "Literal": Literal}
    names |= {"asyncio": asyncio, "Any": Any, "Text": Text, "Number": Number, "Log": Log}
    names |= {public: getattr(graphengine, public) for public in dir(graphengine)}
    names |= {public: getattr(reducers, public) for public in ("append", "extend", "merge", "add", "maximum")}
    of_pydantic = ("AfterValidator", "BaseModel", "Field", "field_validator", "model_validator")
    names |= {public: getattr(pydantic, public) for public in of_pydantic}
    names |= more
    page_code.run(graph, name, names)
    return names


def _ask(question: str, **more: JsonValue) -> dict[str, JsonValue]:
    return {"kind": "ask", "question": question, "key": f"ask|{question}|1", **more}


def _receive(topic: str, **more: JsonValue) -> dict[str, JsonValue]:
    question = f"a message on {topic!r}"
    return {"kind": "receive", "question": question, "topic": topic, "key": f"receive|{topic}|1", **more}


def _sleep(due: float) -> dict[str, JsonValue]:
    return {"kind": "sleep", "question": f"until {due}", "due": due, "key": f"sleep|{due}|1"}


def _raised(error: BaseException) -> BaseException:
    """Return an exception with a traceback, as if it had been raised."""
    with suppress(type(error)):
        raise error
    return error


def _begun(session: Session, step: Step) -> Mapping[str, object]:
    """Return the defaults, as JSON, of the state that a step begins: that of the run, or of a graph that it enters."""
    if step.kind not in ("started", "entered"):
        return {}
    inside = f"{path_of(step.frame, step.node)}/" if step.kind == "entered" else ROOT
    frame = session.snapshot.frames.get(inside) or session.snapshot.frames.get(f"{step.frame}/")
    fields = plan_of(session.plan, frame).state.model.model_fields if frame else {}
    declared = {name: field for name, field in fields.items() if not field.is_required()}
    return {name: to_jsonable_python(field.get_default(call_default_factory=True)) for name, field in declared.items()}


def _step(step: Step, session: Session) -> list[str]:
    """Return a step as text, without a traceback's lines, the fingerprint, and the defaults that a run begins with.

    What its conditions found is in the words in which readers get it.
    """
    data, begun = dict(said(step)), _begun(session, step)
    outcome, ways = outcome_of(step), ways_of(session.plan.graph_spec, step)
    why = why_of(outcome, ways)
    place = f" {step.node} {step.visit}.{step.attempt}" if step.visit else f" {step.node}" if step.node else ""
    place += f" in {step.frame}" if step.frame else ""
    target = f" → {', '.join(data.pop('to'))}" if "to" in data else ""
    worked = f", began {step.began:g}" if step.began != step.at and step.kind in _WORK else ""
    lines = [f"{step.seq} {step.kind}{place}{target}  [at {step.at:g}{worked}]"]
    lines += [
        f"  {_op(op)}" for op in step.update if op[0] != "set" or op[1] not in begun or opened(op[2]) != begun[op[1]]
    ]
    lines += [f"  because {clause}" for clause in _clauses(outcome, ways) if why != _OTHERWISE]
    for name in ("fingerprint", "code", "graph", "version", "way", "case", "tests", "arms", "chosen", "arrived", "of"):
        data.pop(name, None)
    error = data.pop("error", None)
    lines += _failure(error)
    if step.frame and data.get("status") == "failed":
        data |= _matched_by(error)
    for name in ("cause", "chance", "given", "written"):  # what a replay reads, which the other lines show too
        data.pop(name, None)
    marks = data.pop("marks", {})
    if "ending" in data and data["ending"]["why"] == why:
        data["ending"] = {**data["ending"], "why": ""}  # the same text as the reason above
    if data.get("run_id") == "run":
        del data["run_id"]
    late = {"entered": ("limits",), "failed": ("usage",) if target else ()}.get(step.kind, ())
    in_order = sorted(data, key=lambda name: (name in late, _ORDER.index(name)))
    lines += [line for name in in_order for line in _fact_lines(name, data[name])]
    return lines + [f"  mark {_mark(key, mark)}" for key, mark in marks.items()]


_ORDER: Final = (
    *(
        "run_id",
        "parent",
        "title",
        "after",
        "limits",
        "crashed",
        "retries",
        "settled",
        "shared_process",
        "pause",
        "changes",
        "renamed",
        "pauses",
        "moved",
        "field_changes",
        "left",
        "asks",
        "recoded",
    ),
    *(
        "marks_of",
        "sub_limits",
        "idempotent",
        "not_done",
        "key",
        "name",
        "arguments",
        "idempotency_key",
        "unknown",
        "reconcile",
        "value",
        "took",
        "topic",
        "payload",
        "count",
        "concurrency",
        "max_open",
        "fields",
        "items",
    ),
    *(
        "waits",
        "withdrawn",
        "usage",
        "choice",
        "keep_results",
        "refused",
        "lost",
        "due_at",
        "then",
        "sent",
        "emitted",
        "unused",
        "unawaited",
        "wait",
        "id",
        "by",
    ),
    *(
        "answer",
        "message",
        "outputs",
        "inside",
        "fallback",
        "fork",
        "edge",
        "unknown",
        "status",
        "ending",
        "names",
        "non_retryable",
    ),
    *("samples", "cancelled", "writes"),
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


def _matched_by(failure: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the frame around a failed one matches and retries its failure by."""
    return {name: failure[name] for name in ("names", "non_retryable") if failure.get(name)}


def _mark(key: str, mark: object) -> str:
    return f"{key} = {'digest' if key.startswith('change:') else _json(mark)}"


def _ready(session: Session) -> list[str]:
    """Return what is ready, and the open waits."""
    tasks = [
        f"{t.node} {t.visit}.{t.attempt}{f' in {t.frame}' if t.frame else ''}, {t.mode}"
        + (f" {t.wait}" if t.wait and t.wait != path_of(t.frame, t.node) else "")
        + (f", due {t.due:g}" if t.due else "")
        for t in session.tasks()
    ]
    lines = [f"ready: {'; '.join(tasks)}"] if tasks else []
    maps = [(frame, frame.phase) for frame in session.snapshot.frames.values()]
    turns = [frame.item_id(index) for frame, map_ in maps if isinstance(map_, Collecting) for index in map_.woken]
    lines += [f"need a slot: {', '.join(turns)}"] if turns else []
    waits = [f"{name}, {wait.kind}" for f in session.snapshot.frames.values() for name, wait in f.waits.items()]
    return [*lines, f"{session.snapshot.status}, waits: {'; '.join(waits)}"] if waits else lines


def _snapshot(session: Session) -> list[str]:
    """Return a snapshot in readable form: everything in its record except empty values."""
    snapshot = session.snapshot
    lines = [f"{snapshot.run_id} of {snapshot.graph}: {snapshot.status} at {snapshot.now:g}, seq {snapshot.seq}"]
    lines += [
        line.strip() if i == 0 else line
        for i, line in enumerate(_stop(asdict(snapshot.ending)) if snapshot.ending else [])
    ]
    lines += [line.removeprefix("  ") for line in _failure(to_builtins(snapshot.failure))]
    lines.append(f"steps {snapshot.steps}, driven {snapshot.elapsed_seconds:g} s")
    for name in ("usage", "inherited", "limits", "pause", "mailbox", "waiting"):
        if getattr(snapshot, name):
            lines.append(f"{name} {_json(getattr(snapshot, name))}")
    return lines + [line for frame in snapshot.frames.values() for line in _frame(snapshot, frame)]


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
