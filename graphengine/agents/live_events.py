"""Live events: what an agent shows while it works, such as text, thinking, partial answers and tool calls.

Live events are not recorded. Inside a run, a model's answer is always streamed, so that a watcher who subscribes late
still receives the text so far of the calls in flight (`Live.so_far`). While nobody watches, pieces of text are
collected and passed on together (`Live.is_watched`).
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from pydantic_core import from_json

from graphengine.agents.json_text import unfenced
from graphengine.kernel.extension import LiveEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import TracebackType
    from typing import Self

    from graphengine.kernel.extension import Audience
    from graphengine.kernel.inside import Redactor
    from graphengine.models.base import ToolCall

MOST_KEPT: Final = 100_000
"""The largest number of characters of a text in flight that a late watcher receives: the end of the text."""

_PARTIAL_STEP: Final = 8
"""A partial answer is parsed again when its text has grown by an eighth, so that the total time stays linear."""
_LEAST_STEP: Final = 16


@dataclass(frozen=True, slots=True)
class OfTurn(LiveEvent):
    """The node, the agent and the turn to which a live event belongs.

    Attributes:
        path: The node's path.
        agent: The agent's name.
        call: The key of the agent's call in the run, such as `agent writer:3f2a`. Two calls of one agent in one node
            have different keys.
        turn: The turn of the model in that call, counted from 1.
        attempt: The attempt of the node, counted from 1.
    """

    path: str
    agent: str
    _: KW_ONLY
    call: str = ""
    turn: int = 0
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class _Grows(OfTurn):
    """A live event that is joined with earlier events of its kind while a watcher is not reading."""

    def growth(self) -> Growing:
        return Growing(self)


@dataclass(frozen=True, slots=True)
class TextDelta(_Grows):
    """A piece of a model's answer while it is streamed. Only the whole answer is recorded.

    Attributes:
        text: The piece. A watcher who subscribed late first receives the text so far as one piece.
        skipped: How many characters before this piece a late watcher did not receive, because the text was too long.
    """

    event: ClassVar[str] = "text"
    text: str
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class ThinkingDelta(_Grows):
    """A piece of a model's thinking, if the provider shows it.

    Attributes:
        text: The piece. A watcher who subscribed late first receives the text so far as one piece.
        skipped: How many characters before this piece a late watcher did not receive, because the text was too long.
    """

    event: ClassVar[str] = "thinking"
    text: str
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class PartialAnswer(_Grows):
    """The part of a structured answer that has been streamed: JSON that is not validated yet, with the fields so far.

    Attributes:
        value: The value so far.
    """

    event: ClassVar[str] = "partial"
    value: Any


@dataclass(frozen=True, slots=True)
class ToolCalled(OfTurn):
    """A tool is being called. A call whose result is already recorded is not shown again.

    Attributes:
        tool: The tool's name.
        id: The provider's id of the call, which `ToolReturned` repeats.
        arguments: The arguments as the model wrote them, a JSON text.
    """

    event: ClassVar[str] = "tool_called"
    tool: str
    id: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolReturned(OfTurn):
    """A tool's result, as the model receives it.

    Attributes:
        tool: The tool's name.
        id: The provider's id of the call.
        text: The result or the error.
        is_error: Whether the text is an error.
    """

    event: ClassVar[str] = "tool_returned"
    tool: str
    id: str
    text: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class AnswerReset(OfTurn):
    """Tells watchers to discard the answer that they saw so far, because the call failed or the answer did not fit.

    The model is asked for another answer.

    Attributes:
        why: The reason, on one line.
    """

    event: ClassVar[str] = "reset"
    ends_growth: ClassVar[bool] = True
    why: str


AGENT_EVENTS: Final = (TextDelta, ThinkingDelta, PartialAnswer, ToolCalled, ToolReturned, AnswerReset)
AgentEvent: TypeAlias = "TextDelta | ThinkingDelta | PartialAnswer | ToolCalled | ToolReturned | AnswerReset"


class Live:
    """Sends the live events of one call of an agent to the watchers of its run.

    While the object is used as a context manager, the call counts as in flight, and late watchers receive its text so
    far.

    Args:
        agent: The agent's name.
        path: The node's path.
        attempt: The node's attempt.
        audience: The watchers of the run.
        guard: Hides secrets; None if the run has no secrets.

    Attributes:
        call: The key of the call, set once it is known.
        turn: The number of the turn.
        structured: Whether the answer is JSON.
        key: The key under which the answer contains its value; "" if the answer is the value itself.
    """

    def __init__(self, agent: str, path: str, attempt: int, audience: Audience, guard: Redactor | None) -> None:
        self._agent = agent
        self._path = path
        self._attempt = attempt
        self._audience = audience
        self._show = audience.show
        self._guard = guard
        self._hide: Callable[[Any], Any] = (lambda value: value) if guard is None else guard.hide
        self._tools: dict[str, ToolCall] = {}
        self.call = ""
        self.turn = 0
        self.structured, self.key = False, ""
        self._when_watched: Callable[[], None] | None = None
        self._received_earlier = 0
        self._text, self._thinking = Kept(), Kept()
        self._clear()

    def is_watched(self) -> bool:
        return bool(self._audience.live)

    def when_watched(self, call: Callable[[], None] | None) -> None:
        """Set a function that is called when somebody begins to watch this call of the agent.

        The function sends the pieces of text that were collected while nobody was watching.
        """
        self._when_watched = call

    def __enter__(self) -> Self:
        self._audience.in_flight.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._audience.in_flight.remove(self)

    def begin(self, turn: int) -> None:
        self.turn = turn
        self._clear()

    def text(self, piece: str) -> None:
        self._text.add(piece)
        if self._audience.live:
            self._show_piece(TextDelta, self._text, piece)
            if self.structured and self._text.length >= self._next_partial:
                self._partial()

    def thinking(self, piece: str) -> None:
        self._thinking.add(piece)
        if self._audience.live:
            self._show_piece(ThinkingDelta, self._thinking, piece)

    def _show_piece(self, kind: type[TextDelta | ThinkingDelta], kept: Kept, piece: str) -> None:
        """Send a piece of text to the watchers, except an ending that may be the beginning of a secret.

        The ending is sent with the next piece, or at the end of the turn.
        """
        if self._guard is not None:
            piece, kept.held_back = self._guard.screened(kept.held_back + piece)
        if piece:
            self._show(kind(self._path, self._agent, piece, **self._place))

    def end(self) -> None:
        """Finish showing a turn whose answer has been recorded.

        Watchers receive the last partial answer, and text that was held back because it might have begun a secret.
        """
        if self._audience.live:
            for kind, kept in ((ThinkingDelta, self._thinking), (TextDelta, self._text)):
                if kept.held_back:
                    self._show(kind(self._path, self._agent, kept.held_back, **self._place))
        if self.structured and self._text.length and self._audience.live:
            self._partial()
        self._clear()

    def reset(self, why: str) -> None:
        """Tell watchers to discard the text of this turn that they saw so far. Nothing is sent if they saw none."""
        if not (self._text.length or self._thinking.length):
            return
        self._clear()
        self.retract(why)

    def retract(self, why: str) -> None:
        self._show(AnswerReset(self._path, self._agent, self._hide(" ".join(why.split())), **self._place))

    def called(self, call: ToolCall) -> None:
        self._tools[call.id] = call
        self._show(self._build_called_event(call))

    def returned(self, call: ToolCall, text: str, *, is_error: bool) -> None:
        self._tools.pop(call.id, None)
        found = ToolReturned(self._path, self._agent, call.name, call.id, self._hide(text), is_error, **self._place)
        self._show(found)

    def so_far(self) -> list[AgentEvent]:
        """Return the events that show the current turn so far to a watcher who has just subscribed.

        These are the text and the thinking until now, the partial answer, and the tools that are being called.
        """
        if self._when_watched is not None:
            self._when_watched()
        found: list[AgentEvent] = []
        for kind, kept in ((ThinkingDelta, self._thinking), (TextDelta, self._text)):
            if kept.length:
                end, skipped = kept.end()
                # The mark lets the guard recognise the end of a secret whose beginning was cut off.
                if self._guard is not None:
                    end, kept.held_back = self._guard.screened(f"{_MARK}{end}" if skipped else end)
                    end = end.removeprefix(_MARK) if skipped else end
                found.append(kind(self._path, self._agent, end, skipped, **self._place))
        if self.structured and self._text.length and (value := self._read()) is not _NONE:
            found.append(PartialAnswer(self._path, self._agent, value, **self._place))
        return [*found, *map(self._build_called_event, self._tools.values())]

    @property
    def _place(self) -> dict[str, Any]:
        return {"call": self.call, "turn": self.turn, "attempt": self._attempt}

    @property
    def received_characters(self) -> int:
        """The number of characters of answers and thinking that have arrived, including answers that were reset."""
        return self._received_earlier + self._text.length + self._thinking.length

    def _clear(self) -> None:
        self._received_earlier = self.received_characters
        self._text = Kept()
        self._thinking = Kept()
        self._next_partial = 1

    def _build_called_event(self, call: ToolCall) -> ToolCalled:
        return ToolCalled(self._path, self._agent, call.name, call.id, self._hide(call.arguments), **self._place)

    def _partial(self) -> None:
        length = self._text.length
        self._next_partial = length + max(_LEAST_STEP, length // _PARTIAL_STEP)
        value = self._read()
        if value is not _NONE:
            self._show(PartialAnswer(self._path, self._agent, value, **self._place))

    def _read(self) -> Any:  # noqa: ANN401 - JSON
        """Return the part of a structured answer that has been streamed so far, as JSON values.

        Returns `_NONE` if the text cannot be parsed yet, or if its beginning is no longer kept.
        """
        if self._text.skipped:
            return _NONE
        try:
            text = self._text.text()
            text = text if self._guard is None else self._guard.screened(text)[0]
            value = from_json(unfenced(text), allow_partial="trailing-strings")
        except ValueError:
            return _NONE
        if self.key and isinstance(value, dict):
            value = value.get(self.key, _NONE)
        return _NONE if value is _NONE else self._hide(value)


class Kept:
    """The text of a turn, to which pieces are added while the model writes.

    If the text becomes very long, only its end is kept, for watchers who subscribe late.
    """

    __slots__ = ("_pieces", "held_back", "length", "skipped")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.length = 0
        self.skipped = 0
        self.held_back = ""

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        self.length += len(piece)
        if self.length - self.skipped > 2 * MOST_KEPT:
            end, self.skipped = self.end()
            self._pieces = [end]

    def text(self) -> str:
        self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    def end(self) -> tuple[str, int]:
        """Return the last `MOST_KEPT` characters of the text, and the number of characters before them."""
        end = self.text()[-MOST_KEPT:]
        return end, self.length - len(end)


class Growing:
    """Joins live events that belong together while a watcher is not reading, so that a slow watcher gets fewer events.

    Pieces of one text are joined. Of several partial answers, only the newest is kept.
    """

    __slots__ = ("_event", "_kept")

    def __init__(self, event: _Grows) -> None:
        self._event, self._kept = event, Kept()
        self.add(event)

    @property
    def key(self) -> Hashable:
        """Identifies the events that are joined: those of one kind, of the same turn of the same call."""
        event = self._event
        return type(event), event.path, event.agent, event.call, event.turn, event.attempt

    def add(self, event: _Grows) -> None:
        if isinstance(event, (TextDelta, ThinkingDelta)):
            self._kept.add(event.text)
        else:
            self._event = event

    def whole(self) -> _Grows:
        event = self._event
        if not isinstance(event, (TextDelta, ThinkingDelta)):
            return event
        text, skipped = self._kept.end()
        return replace(event, text=text, skipped=event.skipped + skipped)


_NONE: Final[Any] = object()
_MARK: Final = "…"


__all__ = [
    "AGENT_EVENTS",
    "MOST_KEPT",
    "AgentEvent",
    "AnswerReset",
    "Kept",
    "Live",
    "OfTurn",
    "PartialAnswer",
    "TextDelta",
    "ThinkingDelta",
    "ToolCalled",
    "ToolReturned",
]
