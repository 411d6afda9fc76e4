"""The events that front ends show of a run, in all protocols, and the `Fold` that computes them.

The fold reads the recorded steps and the live events of the run. A front end may reconnect, so it reports the texts
that it already shows (`Have`), and the fold yields only the rest:

1. A page shows "The ti" of a turn when its connection breaks. The turn continues, or its process dies.
2. The page reconnects and reports "The ti". The fold gets the turn's text again from its start, live or recorded, and
   compares the two texts.
3. If the text is "The tide is high.", the page gets "de is high.". If the model was asked again and its answer is
   different, the page gets a `Dropped` event, so that it removes its text, and then the new text from the start.

Secrets are removed from texts. A secret can arrive in several pieces, so a word is held back until the character after
it has arrived.
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
"""The printable ASCII characters, of which words such as secret keys consist."""
_MOST_HELD: Final = 10_000
_NOT_MADE: Final = "This call was not made."
_VISITED: Final = ("node", "item", "attempt", "failed")
"""The kinds of steps that end an attempt of a node."""


# --- What is shown ---------------------------------------------------------------------------------------------------


class Said(NamedTuple):
    """An event for front ends: a message of a person that the run has received.

    Attributes:
        id: The id of the message.
        text: The text of the message.
    """

    id: str
    text: str


class Text(NamedTuple):
    """A piece of a text that an agent writes.

    Attributes:
        id: The id of the text, which is the same on every connection and in every process.
        piece: The piece.
        is_thinking: Whether the text is a model's thinking, which is not recorded.
    """

    id: str
    piece: str
    is_thinking: bool = False


class Dropped(NamedTuple):
    """An event that tells a front end to remove a text that it shows, because the text is no longer valid.

    If a text follows under the same id, it replaces the removed text.

    Attributes:
        id: The id of the text.
    """

    id: str


class Called(NamedTuple):
    """An event that tells front ends that an agent calls a tool.

    The call may still need the approval of a person.

    Attributes:
        id: The id of the call.
        tool: The name of the tool.
        arguments: The arguments, as the JSON text that the model wrote.
        text: The id of the text that the model wrote together with the call.
    """

    id: str
    tool: str
    arguments: str
    text: str


class Returned(NamedTuple):
    """An event for front ends: the result of a tool call.

    Attributes:
        id: The id of the call.
        text: The result, or the error message.
        is_error: Whether the call failed.
    """

    id: str
    text: str
    is_error: bool


class Visited(NamedTuple):
    """An event that tells front ends that the run has begun or ended a visit to a node.

    Attributes:
        name: The path of the node and the number of the visit, such as `write#1`.
        is_over: Whether the visit has ended.
    """

    name: str
    is_over: bool


class State(NamedTuple):
    """An event that sends the current state of the run to front ends, without the clear text of secrets.

    Attributes:
        values: The values of the fields.
    """

    values: Mapping[str, Any]


class Shown(NamedTuple):
    """An event for front ends that has no type of its own in this module, such as an event that a node emitted.

    Attributes:
        name: The name of the event.
        data: The event, in the form of a line of `graphengine watch --json`.
    """

    name: str
    data: Mapping[str, Any]


class Question(NamedTuple):
    """An open question of a run to a person, or a tool call that the client must execute.

    Attributes:
        id: The id under which the question is answered.
        wait: The question: its text, the schema of the answer, and when it expires.
        call: The id of the tool call that must be approved or executed; "" if the question is about something else.
    """

    id: str
    wait: Wait
    call: str


class Unanswered(NamedTuple):
    """An event that tells front ends that a person's message gets no reply, because the turn of the chat has failed.

    Attributes:
        turn: The record of the turn, without secrets.
    """

    turn: ChatTurn

    @property
    def id(self) -> str:
        """The id under which front ends list the failure among the messages of the chat."""
        return f"{self.turn.key}:turn"

    @property
    def trouble(self) -> tuple[str, str]:
        """The error message of the failed turn, with the repair, and the error code."""
        turn = self.turn
        return hide_secrets(f"{turn.why}; {turn.repair}" if turn.repair else turn.why), turn.code

    @property
    def content(self) -> dict[str, Any]:
        """The outcome of the turn, the error code and the error message, as front ends receive them."""
        message, code = self.trouble
        return {"outcome": str(self.turn.outcome), "code": code, "message": message}


class Asked(NamedTuple):
    """The last event of a stream for front ends, if the run now waits for a person or for the next message of a chat.

    Attributes:
        questions: The open questions; empty if the run waits for a message.
        trouble: The error message with the repair, and the error code, if the newest turn of a chat failed; otherwise
            None.
    """

    questions: Sequence[Question]
    trouble: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """An event that tells front ends that the run has ended. It is the last event of a stream.

    Attributes:
        result: The result of the run.
    """

    result: Result[Any]

    @property
    def output(self) -> Any:  # noqa: ANN401 - any JSON
        """The run's output as JSON values, with secrets hidden."""
        return hide_secrets(to_jsonable_python(self.result.output, by_alias=False, fallback=str))

    @property
    def trouble(self) -> tuple[str, str] | None:
        """If the run has failed: the error message with the repair, and the error code. Otherwise None."""
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
    """What a front end already shows of a run. Only the rest is then sent to it.

    Attributes:
        texts: The texts by their ids, including the messages of persons.
        calls: The ids of the tool calls.
        results: The ids of the tool calls whose results are shown.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    calls: frozenset[str] = frozenset()
    results: frozenset[str] = frozenset()


NOTHING: Final = Have()


# --- From what a run does to what is shown ----------------------------------------------------------------------------


class _GrowingText:
    """Compares a text that an agent is writing with the part that a front end already shows, to send only the rest.

    A client that reconnects, for example, already shows the beginning of the text.
    """

    def __init__(self, had: str) -> None:
        self.attempt = 0
        self.has_gap = False
        self._had = had
        self._pieces: list[str] = []
        self._held = ""

    @property
    def shown(self) -> str:
        """The text that the front end shows at present."""
        return self._had or "".join(self._pieces)

    def restart(self, attempt: int) -> None:
        """Begin the text again, because the model is asked again and will write the text from its start."""
        self.attempt, self._had, self._pieces, self._held = attempt, self.shown, [], ""

    def add(self, piece: str, *, is_end: bool = False) -> tuple[bool, str]:
        """Add a new piece of the agent's text, and return what the front end must do to show the text.

        The end of a piece can be held back until the next piece, because a secret may begin there.

        Returns:
            Whether the front end must remove the text that it shows, and the text to send now.
        """
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
        """Compare the whole recorded text with the text that the front end shows. The result is that of `add`."""
        shown = self.shown
        return (False, text[len(shown) :]) if text.startswith(shown) else (True, text)


class Fold:
    """Converts the steps and the live events of a run to the events that front ends such as chat pages show.

    Each protocol for front ends then encodes these events in its own form.

    Args:
        info: The run's entry in the store.
        have: What the front end already shows.
        snapshot: The run before the first event that will be passed to `of`.
        state: A function that returns the state that front ends see.
        is_chat: Whether the run receives the messages of a chat.
        field: The field of the state that contains the text of a person's message; None if no message is shown.

    Attributes:
        snapshot: The run after the last step that was passed to `of`.
        stated: The step up to which no `State` events are yielded, because a later state was already shown.
        visits: The visits to nodes that have begun and not yet ended.
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
        self._texts: dict[str, _GrowingText] = {}
        self._calls_of: dict[str, Sequence[CalledTool]] = {}
        self._is_answered = True
        self._called, self._returned = set(have.calls), set(have.results)
        self.visits: dict[str, None] = {}
        for frame in snapshot.frames.values():  # records that nodes in flight have already written
            for key, memo in frame.recorded_results.items():
                for _ in self._show_recorded(_visit_of(frame), key, memo.value):
                    pass

    def of(self, event: Event) -> Iterator[FrontEvent]:
        """Convert an event of the run to the events that front ends such as chat pages show."""
        match event:
            case TextDelta() | ThinkingDelta():
                yield from self._show_piece(event)
            case AnswerReset():
                text = f"{self._call_of(event)}:{event.turn}"
                yield from self._drop_text(text)
                yield from self._drop_text(f"{text}:thinking")
            case ToolCalled():
                call = CalledTool(event.id, event.tool, event.arguments)
                yield from self._calls(self._call_of(event), event.turn, [call])
            case ToolReturned():
                yield from self._result(self._call_of(event), event.id, event.text, is_error=event.is_error)
            case NodeBegan():
                yield from self._begin_visit(f"{event.path}#{event.visit}")
            case StepRecorded():
                yield from self._step(event.step)
            case LiveEvent() | Emitted():
                yield Shown(event.event, hide_secrets(plain(event_document(event, self._info))))
            case _:
                pass

    def asked(self) -> Asked:
        """Return the open questions of the run after the last step."""
        turn = turn_in(self.snapshot.root.values) if self._is_chat else None
        trouble = Unanswered(turn).trouble if turn is not None and turn.has_failed else None
        return Asked([self._question(each) for each in open_in(self.snapshot, ())], trouble)

    def _question(self, asked: Open) -> Question:
        """Describe an open question of the run for a front end.

        The description contains the id of the tool call that the question is about. The log only contains a digest of
        this call in the key of the question, so the call is found by comparing the digests of the open calls.
        """
        frame, record, wait = asked
        work = WorkKey.read(record.key)
        around = work.around
        if wait.kind == "tool":
            return Question(
                record.id, replace(wait, question=hide_secrets(wait.question)), self._find_client_call(frame, around)
            )
        agent = WorkKey.read(around).of
        call, about = f"{_visit_of(frame)}:{around}", ""
        for text, calls in self._calls_of.items():
            for each in calls if text.rpartition(":")[0] == call else ():
                identity = f"May {agent} call {each.name}({each.arguments})?"
                is_open = f"{call}/{each.id}" not in self._returned
                # The digest in the question's key, as `RecordedWork.approved` computes it.
                if is_open and not about and work.input == digest_of_call("ask", ([identity, None],), {}):
                    about = f"{call}/{each.id}"
        return Question(record.id, replace(wait, question=hide_secrets(wait.question)), about)

    def _find_client_call(self, frame: Frame, around: str) -> str:
        """Return the id of a tool call that the client must execute, given the key of the call's record."""
        work = WorkKey.read(around)
        turn, index = work.place
        calls = self._calls_of.get(f"{_visit_of(frame)}:{work.around}:{turn}", ())
        return f"{_visit_of(frame)}:{work.around}/{calls[index].id}" if index < len(calls) else ""

    def _call_of(self, event: OfTurn) -> str:
        """Return an id for the work of an agent during one visit to a node, given a live event of this work.

        The ids of the texts in this visit begin with this id.
        """
        visits = map(_visit_of, self.snapshot.frames.values())
        here = next((each for each in visits if each.rpartition("#")[0] == event.path), event.path)
        return f"{here}:{event.call}"

    def _show_piece(self, event: TextDelta | ThinkingDelta) -> Iterator[FrontEvent]:
        is_thinking = isinstance(event, ThinkingDelta)
        call = self._call_of(event)
        key = f"{call}:{event.turn}" + (":thinking" if is_thinking else "")
        text = self._text(key)
        if text.attempt not in (0, event.attempt):
            text.restart(event.attempt)
        text.attempt = event.attempt
        if not is_thinking:
            yield from self._before(call, event.turn)
        text.has_gap = text.has_gap or bool(event.skipped)  # after a gap, the text is shown when it is recorded
        if not text.has_gap:
            yield from _piece_events(key, text.add(event.text), is_thinking=is_thinking)

    def _before(self, call: str, turn: int) -> Iterator[FrontEvent]:
        """Yield the events that a front end must get before the text which an agent writes in a turn.

        First, the agent's thinking of this turn ends. Then calls of the turn before get a result, if they have none
        yet: a call that a person refused, or that exceeded the limit of calls, has no recorded result. Its result then
        says that the call was not made.
        """
        thinking = self._texts.get(f"{call}:{turn}:thinking")
        if thinking is not None and not thinking.has_gap:
            yield from _piece_events(f"{call}:{turn}:thinking", thinking.add("", is_end=True), is_thinking=True)
        for each in self._calls_of.get(f"{call}:{turn - 1}", ()):
            yield from self._result(call, each.id, _NOT_MADE, is_error=True)

    def _drop_text(self, key: str) -> Iterator[FrontEvent]:
        text = self._texts.pop(key, None)
        shown = text.shown if text is not None else self._have.texts.get(key, "")
        if shown:
            yield Dropped(key)
        self._texts[key] = _GrowingText("")

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
        # No other text replaces the turn's text.
        is_over = self._is_chat and isinstance(facts, Failed) and bool(facts.to)
        for key in getattr(facts, "refused", ()) if not is_over else ():
            turn = WorkKey.read(key)
            if turn.kind == "turn":
                yield from self._drop_text(f"{here}:{turn.around}:{turn.place[0]}")
        if step.node:
            yield from self._begin_visit(here)
            if step.kind in _VISITED:
                del self.visits[here]
                yield Visited(here, is_over=True)
        yield from self._show_begun_visits()
        if step.update and step.seq > self.stated:
            yield State(self._state(self.snapshot))

    def _show_answer(self, here: str, step: Step) -> Iterator[FrontEvent]:
        """Yield the reply of a chat that no model has written, such as a reply by rules, or the failure of the turn."""
        turn = turn_of(step) if self._is_chat else None
        if turn is not None and turn.has_failed and Unanswered(turn).id not in self._have.texts:
            yield Unanswered(turn)
        answers = [op[2] for op in step.update if op[0] == "set" and op[1] == ANSWER] if not step.frame else []
        if self._is_chat and not self._is_answered and answers and answers[-1] is not None:
            self._is_answered = True
            text = hide_secrets(as_text(opened(answers[-1])))
            yield from _piece_events(f"{here}:answer", self._text(f"{here}:answer").whole(text), is_thinking=False)

    def _show_begun_visits(self) -> Iterator[FrontEvent]:
        """Yield the visits to nodes that begin with this step. Clients may have missed the live events about them."""
        for frame in self.snapshot.frames.values() if self.snapshot.status == "running" else ():
            if frame.at and isinstance(frame.phase, Ready):
                yield from self._begin_visit(_visit_of(frame))

    def _find_first_text(self, step: Step) -> Said | None:
        """Return the text with which a run that is not a chat began, as a message to show at the top.

        None if the front end already shows messages, or if the step is not the first.
        """
        is_first = step.kind == "started" and not self._have.texts
        text = self.snapshot.root.values.get(self._field) if is_first and self._field is not None else None
        return Said(f"{self._info.id}:question", hide_secrets(text)) if isinstance(text, str) and text else None

    def _show_recorded(self, here: str, place: str, record: object) -> Iterator[FrontEvent]:
        """Yield the events that show a recorded model response or tool result.

        Parts that the live events have already shown are left out.

        Args:
            here: The visit of the node in which the result was recorded.
            place: The key of the record.
            record: The record.
        """
        work = WorkKey.read(place)
        call, (turn, index) = f"{here}:{work.around}", work.place
        answer = read_record(record, TurnRecord) if work.kind == "turn" else None
        result = read_record(record, CallRecord) if work.kind == "tool" else None
        if answer is not None:
            key, text = f"{call}:{turn}", hide_secrets(answer.text)
            if answer.feedback is not None:  # the answer of the previous turn was refused and sent back to the model
                yield from self._drop_text(f"{call}:{turn - 1}")
            yield from self._before(call, turn)
            yield from _piece_events(key, self._text(key).whole(text), is_thinking=False)
            self._texts[key] = _GrowingText(text)
            self._is_answered = True
            self._calls_of[key] = answer.calls
            yield from self._calls(call, turn, answer.calls)
        elif result is not None:
            calls = self._calls_of.get(f"{call}:{turn}", ())
            if index < len(calls):
                yield from self._result(call, calls[index].id, result.text, is_error=result.error)

    def _text(self, key: str) -> _GrowingText:
        """Return the object that collects the pieces of one text of an agent, such as the reply that is being written.

        A text that is new here begins with the part that the front end already shows.

        Args:
            key: The id of the text.
        """
        return self._texts.setdefault(key, _GrowingText(self._have.texts.get(key, "")))

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

    def _begin_visit(self, here: str) -> Iterator[FrontEvent]:
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


def said_in(step: Step, field: str | None) -> Said | None:
    """Return the message of a person that a step of a chat records; None if the step records something else.

    Args:
        step: The step.
        field: The field of the message that contains its text.
    """
    facts = step.data
    if isinstance(facts, Message) and facts.topic == TURN and isinstance(facts.payload, dict):
        inputs = facts.payload.get("given")
        text = inputs.get(field) if isinstance(inputs, dict) and field is not None else None
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
