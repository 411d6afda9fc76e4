"""What is shown of a run to a front end, whatever its protocol: a few events, and the fold that makes them.

The fold takes what the run recorded, and what it shows live. So that nothing is shown twice, a reader says what it has
(`Have`):

1. A page has "The ti" of a turn, and its connection breaks. The turn goes on, or its process dies.
2. It comes back with "The ti". The turn's text comes again from its start, live or recorded, and is compared.
3. "The tide is high." begins with what it has: it gets "de is high.". If the turn was asked again and the answer is
   another one, it is told that what it has does not count (`Dropped`), and gets the text from the start.

Secrets are struck from texts. One can arrive in several pieces, so a word is shown once what follows it has come.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from pydantic_core import to_jsonable_python

from graphengine.agents.call_inputs import ANSWER
from graphengine.agents.chats import TURN, turn_in, turn_of
from graphengine.agents.live_events import AnswerReset, OfTurn, TextDelta, ThinkingDelta, ToolCalled, ToolReturned
from graphengine.agents.prompts import as_text
from graphengine.kernel.extension import Emitted, LiveEvent, NodeBegan, StepRecorded
from graphengine.kernel.inside import WorkKey, digest_of_call, opened
from graphengine.kernel.reader import Failed, Message, Ready, Recorded, Snapshot, path_of
from graphengine.models.hiding import hide_secrets
from graphengine.records.base_documents import plain
from graphengine.records.event_json import event_document
from graphengine.records.visits import Visits
from graphengine.records.work_records import CalledTool, CallRecord, TurnRecord, read_record
from graphengine.serve.service.following import open_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from graphengine.agents.chats import ChatTurn
    from graphengine.kernel.extension import Event, Result
    from graphengine.kernel.reader import Frame, Step, Wait
    from graphengine.kernel.store import RunInfo
    from graphengine.serve.service.following import Open

_PRINTED: Final = "".join(map(chr, range(ord("!"), ord("~") + 1)))
"""The characters of words, such as keys, in ASCII."""
_MOST_HELD: Final = 10_000
_NOT_MADE: Final = "This call was not made."
_VISITED: Final = ("node", "item", "attempt", "failed")
"""The kinds of steps that end an attempt of a node."""


# --- What is shown ---------------------------------------------------------------------------------------------------


class Said(NamedTuple):
    """A person's message that the run has received.

    Attributes:
        id: Its id.
        text: Its text.
    """

    id: str
    text: str


class Text(NamedTuple):
    """A piece of a text.

    Attributes:
        id: The text; the same on every connection and in every process.
        piece: The piece.
        is_thinking: Whether it is a model's thinking, which is not recorded.
    """

    id: str
    piece: str
    is_thinking: bool = False


class Dropped(NamedTuple):
    """A text that does not count any more: what follows it under the same id is another one.

    Attributes:
        id: The text.
    """

    id: str


class Called(NamedTuple):
    """A tool is to be called, or is called.

    Attributes:
        id: The call.
        tool: The tool's name.
        arguments: The arguments, a JSON text as the model wrote it.
        text: The text of the turn that calls it.
    """

    id: str
    tool: str
    arguments: str
    text: str


class Returned(NamedTuple):
    """A tool's result.

    Attributes:
        id: The call.
        text: The result, or the error.
        is_error: Whether it is an error.
    """

    id: str
    text: str
    is_error: bool


class Visited(NamedTuple):
    """A visit of a node began or ended.

    Attributes:
        name: The node's path and the visit, as `write#1`.
        is_over: Whether it ended.
    """

    name: str
    is_over: bool


class State(NamedTuple):
    """The state of the run, without the clear texts of secrets.

    Attributes:
        values: The values by field.
    """

    values: Mapping[str, Any]


class Shown(NamedTuple):
    """Any other live event, such as what a node emitted.

    Attributes:
        name: Its name.
        data: The event, as a line of `graphengine watch --json`.
    """

    name: str
    data: Mapping[str, Any]


class Question(NamedTuple):
    """An open question.

    Attributes:
        id: By which it is answered.
        wait: What is asked.
        call: The tool's call that is to be approved, or that another program executes; "" if it is another question.
    """

    id: str
    wait: Wait
    call: str


class Unanswered(NamedTuple):
    """A turn of a chat failed for good.

    Attributes:
        turn: What is recorded of it, without secrets.
    """

    turn: ChatTurn

    @property
    def id(self) -> str:
        """The id of what is shown of it."""
        return f"{self.turn.key}:turn"

    @property
    def trouble(self) -> tuple[str, str]:
        """Why it failed, with the repair, and the code."""
        turn = self.turn
        return hide_secrets(f"{turn.why}; {turn.repair}" if turn.repair else turn.why), turn.code

    @property
    def content(self) -> dict[str, Any]:
        """The outcome, as front ends get it."""
        message, code = self.trouble
        return {"outcome": str(self.turn.outcome), "code": code, "message": message}


class Asked(NamedTuple):
    """The run waits for a person, or for the next message of a chat: the end of what is shown now.

    Attributes:
        questions: The open questions; none if it waits for a message.
        trouble: Why the newest turn of a chat failed, with the repair, and the code; None if it did not fail.
    """

    questions: Sequence[Question]
    trouble: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is over.

    Attributes:
        result: Its result.
    """

    result: Result[Any]

    @property
    def output(self) -> Any:  # noqa: ANN401 - any JSON
        """The output, as JSON values."""
        return hide_secrets(to_jsonable_python(self.result.output, by_alias=False, fallback=str))

    @property
    def trouble(self) -> tuple[str, str] | None:
        """Why it failed, with the repair, and the code; None if it did not fail."""
        if self.result.status != "failed":
            return None
        error, repair = self.result.error, self.result.repair
        message, code = (error.message, error.kind) if error is not None else ("the run failed", "failed")
        return hide_secrets(f"{message}; {repair}" if repair else message), code


FrontEvent: TypeAlias = (
    "Said | Text | Dropped | Called | Returned | Visited | State | Shown | Unanswered | Asked | Ended"
)


@dataclass(frozen=True, slots=True)
class Have:
    """What a front end has already.

    Attributes:
        texts: Texts by their ids, also of persons.
        calls: The ids of calls.
        results: The ids of calls whose results it has.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    calls: frozenset[str] = frozenset()
    results: frozenset[str] = frozenset()


NOTHING: Final = Have()


# --- From what a run does to what is shown ----------------------------------------------------------------------------


class _Growing:
    """A text that grows, compared with what the front end has of it."""

    def __init__(self, had: str) -> None:
        self.attempt = 0
        self.has_gap = False
        self._had = had
        self._pieces: list[str] = []
        self._held = ""

    @property
    def shown(self) -> str:
        """What the front end has."""
        return self._had or "".join(self._pieces)

    def restart(self, attempt: int) -> None:
        """Begin again from the start: another attempt shows the text."""
        self.attempt, self._had, self._pieces, self._held = attempt, self.shown, [], ""

    def add(self, piece: str, *, is_end: bool = False) -> tuple[bool, str]:
        """Add a piece; return whether what was shown does not count, and what is to be shown."""
        pending = self._held + piece
        safe = pending if is_end or len(pending) > _MOST_HELD else pending.rstrip(_PRINTED)
        self._held = pending[len(safe) :]
        new = hide_secrets(safe)
        self._pieces.append(new)
        if not self._had:
            return False, new
        text = "".join(self._pieces)
        if self._had.startswith(text):
            return False, ""
        had, self._had = self._had, ""
        return (False, text[len(had) :]) if text.startswith(had) else (True, text)

    def whole(self, text: str) -> tuple[bool, str]:
        """Return the same for the whole text."""
        shown = self.shown
        return (False, text[len(shown) :]) if text.startswith(shown) else (True, text)


class Fold:
    """Folds the events of a run into what is shown of them.

    Args:
        info: The run.
        have: What the front end has.
        snapshot: The run before the first step.
        state: Returns the state as it is shown.
        is_chat: Whether the run receives the messages of a chat.
        field: The field of a message's text, which is shown as said; None if no text is.

    Attributes:
        snapshot: The run after the last step that it was given.
        stated: The seq up to which no state is shown: the last one was.
        visits: The visits that have begun and not ended.
    """

    def __init__(  # noqa: PLR0913 - the run, and how it is shown
        self,
        info: RunInfo,
        have: Have,
        snapshot: Snapshot,
        state: Callable[[Snapshot], Mapping[str, Any]],
        *,
        is_chat: bool,
        field: str | None,
    ) -> None:
        self.snapshot = snapshot
        self._field = field
        self._log = Visits(snapshot, keeps=False)
        self.stated = 0
        self._state = state
        self._is_chat = is_chat
        self._info = info
        self._have = have
        self._texts: dict[str, _Growing] = {}
        self._calls_of: dict[str, Sequence[CalledTool]] = {}
        self._is_answered = True
        self._called, self._returned = set(have.calls), set(have.results)
        self.visits: dict[str, None] = {}
        for frame in snapshot.frames.values():  # what nodes in flight recorded before
            for key, memo in frame.recorded_results.items():
                for _ in self._show_recorded(_visit_of(frame), key, memo.value):
                    pass

    def of(self, event: Event) -> Iterator[FrontEvent]:
        """Yield what is shown of an event."""
        match event:
            case TextDelta() | ThinkingDelta():
                yield from self._piece(event)
            case AnswerReset():
                text = f"{self._call_of(event)}:{event.turn}"
                yield from self._drop(text)
                yield from self._drop(f"{text}:thinking")
            case ToolCalled():
                made = CalledTool(event.id, event.tool, event.arguments)
                yield from self._calls(self._call_of(event), event.turn, [made])
            case ToolReturned():
                yield from self._result(self._call_of(event), event.id, event.text, is_error=event.is_error)
            case NodeBegan():
                yield from self._began(f"{event.path}#{event.visit}")
            case StepRecorded():
                yield from self._step(event.step)
            case LiveEvent() | Emitted():
                yield Shown(event.event, hide_secrets(plain(event_document(event, self._info))))
            case _:
                pass

    def asked(self) -> Asked:
        """Return the open questions of the run as it is now."""
        turn = turn_in(self.snapshot.root.values) if self._is_chat else None
        trouble = Unanswered(turn).trouble if turn is not None and turn.has_failed else None
        return Asked([self._question(each) for each in open_in(self.snapshot, ())], trouble)

    def _question(self, asked: Open) -> Question:
        """Return a question, with the call that it is about: the one whose approval is recorded under the same key."""
        frame, record, wait = asked
        work = WorkKey.read(record.key)
        around = work.around
        if wait.kind == "tool":
            return Question(
                record.id, replace(wait, question=hide_secrets(wait.question)), self._external(frame, around)
            )
        agent = WorkKey.read(around).of
        call, about = f"{_visit_of(frame)}:{around}", ""
        for text, calls in self._calls_of.items():
            for each in calls if text.rpartition(":")[0] == call else ():
                identity = f"May {agent} call {each.name}({each.arguments})?"
                is_open = f"{call}/{each.id}" not in self._returned
                if is_open and not about and work.input == _digest_question(identity):
                    about = f"{call}/{each.id}"
        return Question(record.id, replace(wait, question=hide_secrets(wait.question)), about)

    def _external(self, frame: Frame, around: str) -> str:
        """Return the call of a tool that another program executes, by the key of the call's own record."""
        work = WorkKey.read(around)
        turn, index = work.place
        calls = self._calls_of.get(f"{_visit_of(frame)}:{work.around}:{turn}", ())
        return f"{_visit_of(frame)}:{work.around}/{calls[index].id}" if index < len(calls) else ""

    def _call_of(self, event: OfTurn) -> str:
        """Return the call of an agent to which a live event belongs, which differs in each visit of a node."""
        visits = map(_visit_of, self.snapshot.frames.values())
        here = next((each for each in visits if each.rpartition("#")[0] == event.path), event.path)
        return f"{here}:{event.call}"

    def _piece(self, event: TextDelta | ThinkingDelta) -> Iterator[FrontEvent]:
        is_thinking = isinstance(event, ThinkingDelta)
        call = self._call_of(event)
        key = f"{call}:{event.turn}" + (":thinking" if is_thinking else "")
        text = self._text(key)
        if text.attempt not in (0, event.attempt):
            text.restart(event.attempt)
        text.attempt = event.attempt
        if not is_thinking:
            yield from self._before(call, event.turn)
        text.has_gap = text.has_gap or bool(event.skipped)  # then it is shown once it is recorded
        if not text.has_gap:
            yield from _piece_events(key, text.add(event.text), is_thinking=is_thinking)

    def _before(self, call: str, turn: int) -> Iterator[FrontEvent]:
        """Yield what is over when the text of a turn begins: its thinking, and calls of the turn before.

        A call that a person refused, or that was one too many, has no record.
        """
        thinking = self._texts.get(f"{call}:{turn}:thinking")
        if thinking is not None and not thinking.has_gap:
            yield from _piece_events(f"{call}:{turn}:thinking", thinking.add("", is_end=True), is_thinking=True)
        for each in self._calls_of.get(f"{call}:{turn - 1}", ()):
            yield from self._result(call, each.id, _NOT_MADE, is_error=True)

    def _drop(self, key: str) -> Iterator[FrontEvent]:
        text = self._texts.pop(key, None)
        shown = text.shown if text is not None else self._have.texts.get(key, "")
        if shown:
            yield Dropped(key)
        self._texts[key] = _Growing("")

    def _step(self, step: Step) -> Iterator[FrontEvent]:
        if step.seq > self.snapshot.seq:
            self._log.feed(step)
        said = said_in(step, self._field) if self._is_chat else self._find_first_text(step)
        if said is not None:
            self._is_answered = False
            if said.id not in self._have.texts:
                yield said
        facts, here = step.data, f"{step.path}#{step.visit}"
        if isinstance(facts, Recorded):
            yield from self._show_recorded(here, facts.key, facts.value)
        yield from self._show_answer(here, step)
        is_over = self._is_chat and isinstance(facts, Failed) and bool(facts.to)  # nothing takes the place of its text
        for key in getattr(facts, "refused", ()) if not is_over else ():
            turn = WorkKey.read(key)
            if turn.kind == "turn":
                yield from self._drop(f"{here}:{turn.around}:{turn.place[0]}")
        if step.node:
            yield from self._began(here)
            if step.kind in _VISITED:
                del self.visits[here]
                yield Visited(here, is_over=True)
        yield from self._show_begun_visits()
        if step.update and step.seq > self.stated:
            yield State(self._state(self.snapshot))

    def _show_answer(self, here: str, step: Step) -> Iterator[FrontEvent]:
        """Yield the answer of a chat if no turn of a model has it, such as one that rules made; or that it failed."""
        turn = turn_of(step) if self._is_chat else None
        if turn is not None and turn.has_failed and Unanswered(turn).id not in self._have.texts:
            yield Unanswered(turn)
        answers = [op[2] for op in step.update if op[0] == "set" and op[1] == ANSWER] if not step.frame else []
        if self._is_chat and not self._is_answered and answers and answers[-1] is not None:
            self._is_answered = True
            text = hide_secrets(as_text(opened(answers[-1])))
            yield from _piece_events(f"{here}:answer", self._text(f"{here}:answer").whole(text), is_thinking=False)

    def _show_begun_visits(self) -> Iterator[FrontEvent]:
        """Yield the visits that begin with a step: a watcher that joins late misses their live events."""
        for frame in self.snapshot.frames.values() if self.snapshot.status == "running" else ():
            if frame.at and isinstance(frame.phase, Ready):
                yield from self._began(_visit_of(frame))

    def _find_first_text(self, step: Step) -> Said | None:
        """Return the text with which a run that is not a chat began, for a front end that has no messages."""
        is_first = step.kind == "started" and not self._have.texts
        text = self.snapshot.root.values.get(self._field) if is_first and self._field is not None else None
        return Said(f"{self._info.id}:question", hide_secrets(text)) if isinstance(text, str) and text else None

    def _show_recorded(self, here: str, place: str, record: object) -> Iterator[FrontEvent]:
        """Yield what a recorded turn of a model has, as far as it was not shown, or the recorded result of a tool."""
        work = WorkKey.read(place)
        call, (turn, index) = f"{here}:{work.around}", work.place
        answer = read_record(record, TurnRecord) if work.kind == "turn" else None
        result = read_record(record, CallRecord) if work.kind == "tool" else None
        if answer is not None:
            key, text = f"{call}:{turn}", hide_secrets(answer.text)
            if answer.feedback is not None:  # the answer of the turn before was sent back
                yield from self._drop(f"{call}:{turn - 1}")
            yield from self._before(call, turn)
            yield from _piece_events(key, self._text(key).whole(text), is_thinking=False)
            self._texts[key] = _Growing(text)
            self._is_answered = True
            self._calls_of[key] = answer.calls
            yield from self._calls(call, turn, answer.calls)
        elif result is not None:
            calls = self._calls_of.get(f"{call}:{turn}", ())
            if index < len(calls):
                yield from self._result(call, calls[index].id, result.text, is_error=result.error)

    def _text(self, key: str) -> _Growing:
        """Return a text that grows, or begins to."""
        return self._texts.setdefault(key, _Growing(self._have.texts.get(key, "")))

    def _calls(self, call: str, turn: int, calls: Sequence[CalledTool]) -> Iterator[FrontEvent]:
        for each in calls:
            key = f"{call}/{each.id}"
            if key not in self._called:
                self._called.add(key)
                yield Called(key, each.name, hide_secrets(each.arguments), f"{call}:{turn}")

    def _result(self, call: str, key: str, text: str, *, is_error: bool) -> Iterator[FrontEvent]:
        if f"{call}/{key}" not in self._returned:
            self._returned.add(f"{call}/{key}")
            yield Returned(f"{call}/{key}", hide_secrets(text), is_error)

    def _began(self, here: str) -> Iterator[FrontEvent]:
        if here not in self.visits:
            self.visits[here] = None
            yield Visited(here, is_over=False)


def _visit_of(frame: Frame) -> str:
    return f"{path_of(frame.id, frame.at)}#{frame.visit}"


def _piece_events(key: str, found: tuple[bool, str], *, is_thinking: bool) -> Iterator[FrontEvent]:
    is_dropped, piece = found
    if is_dropped:
        yield Dropped(key)
    if piece:
        yield Text(key, piece, is_thinking)


def _digest_question(identity: str) -> str:
    """Return the digest under which a question about a call is recorded, as `RecordedWork.approved` makes it."""
    return digest_of_call("ask", ([identity, None],), {})


def said_in(step: Step, field: str | None) -> Said | None:
    """Return the message of a chat that a step records, with its text from this field; None if there is none."""
    facts = step.data
    if isinstance(facts, Message) and facts.topic == TURN and isinstance(facts.payload, dict):
        given = facts.payload.get("given")
        text = given.get(field) if isinstance(given, dict) and field is not None else None
        return Said(str(facts.payload.get("id", "")), hide_secrets(text) if isinstance(text, str) else "")
    return None


__all__ = [
    "NOTHING",
    "Asked",
    "Called",
    "Dropped",
    "Ended",
    "Fold",
    "FrontEvent",
    "Have",
    "Question",
    "Returned",
    "Said",
    "Shown",
    "State",
    "Text",
    "Unanswered",
    "Visited",
    "said_in",
]
