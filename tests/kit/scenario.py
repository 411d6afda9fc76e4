"""Golden scenarios: pages of text that state what a run does, compared with what it really does.

A scenario is a title (lines with `#`), the graph as Python under `== graph`, and events under `== run`, each a line
that begins with `>`, followed by its outcome: the step, and what is ready next (`scenario_text.py`). The end of the
run is under `== snapshot`. `play` returns the page as it should read; a test compares the two.
`tests/scenarios/README.md` explains how to write events.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

import graphengine
from graphengine import Graph, reducers
from graphengine.engine.events import NodeFinished, Noted
from graphengine.engine.frame_tree import place_of
from graphengine.engine.lookup import StaleEvent
from graphengine.engine.snapshot import ROOT, AttemptId
from graphengine.engine.steps import Recorded, Step, path_of
from graphengine.engine.stored import to_record
from graphengine.errors import GraphEngineError
from graphengine.state.json_values import JsonValue
from tests.kit import page_code
from tests.kit.scenario_text import Shown
from tests.kit.session import Session

_PARTS = ("== graph", "== run", "== snapshot")
_OPTIONS = re.compile(
    r"\s+with\s+(?=(?:usage|chance|limits|graph|update|pause|frame|identity|dies_after|shared_process|asked"
    r"|retry_failed|final)=)"
)
_KEY = re.compile(r'"([^"]*)" (.*)')
_LATE = re.compile(r"(.*?) (returns|records) (.*)")
_AT = re.compile(r"at ([\d.]+): ")


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
                if lines and not lines[-1].startswith("> "):  # an event without an outcome stands beside the next one
                    lines.append("")
                lines += [line, *(f"  {outcome}" for outcome in player.play(line[2:]))]
            elif line.startswith("#"):
                lines += ["", line] if lines else [line]
        player.session.check_log()
        page = [self.title + _PARTS[0], self.graph.strip("\n"), "", _PARTS[1], *lines, "", _PARTS[2]]
        return "\n".join([*page, *player.shown.snapshot(), ""])


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
        self.shown = Shown(self.session)

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
            return [f"refused, {type(error).__name__}: {why}", *self.shown.event(())]
        if self.session is session:
            return self.shown.event(session.log[known:])
        self.shown = Shown(self.session)
        return self.shown.event(self.session.log[-1:])

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
