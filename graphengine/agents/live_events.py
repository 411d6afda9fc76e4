"""What an agent shows while it works: text, thinking, partial answers, tool calls and their results, and resets.

Live events are not recorded. A model's answer is always streamed in a run, so that a watcher that subscribes late gets
what was shown of the calls in flight (`Live.so_far`). While nobody watches, its pieces are passed on together
(`Live.is_watched`).
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
"""The most characters of a text in flight that a late watcher gets; of a longer one, its end."""

_PARTIAL_STEP: Final = 8
"""A partial answer is read again when its text has grown by one part in so many, so that reading stays linear."""
_LEAST_STEP: Final = 16


@dataclass(frozen=True, slots=True)
class OfTurn(LiveEvent):
    """The node, the agent, and the turn of its call to which a live event belongs.

    Attributes:
        path: The node's path.
        agent: The agent's name.
        call: The agent's call in its run, as `agent writer:3f2a`; two calls of one agent in one node differ in it.
        turn: The turn of the model in that call, from 1.
        attempt: The attempt of the node, from 1.
    """

    path: str
    agent: str
    _: KW_ONLY
    call: str = ""
    turn: int = 0
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class _Grows(OfTurn):
    """A live event that is joined to those before it while a watcher does not read."""

    def growth(self) -> Growing:
        """Return what it grows in."""
        return Growing(self)


@dataclass(frozen=True, slots=True)
class TextDelta(_Grows):
    """A piece of a model's answer, as it is streamed. Only the whole answer is recorded.

    Attributes:
        text: The piece; for a watcher that subscribed late, the first one is the text so far.
        skipped: How many characters before this piece such a watcher did not get, because there were too many.
    """

    event: ClassVar[str] = "text"
    text: str
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class ThinkingDelta(_Grows):
    """A piece of a model's thinking, if the provider shows it.

    Attributes:
        text: The piece; for a watcher that subscribed late, the first one is the text so far.
        skipped: How many characters before this piece such a watcher did not get, because there were too many.
    """

    event: ClassVar[str] = "thinking"
    text: str
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class PartialAnswer(_Grows):
    """A structured answer as far as it was streamed: JSON, not validated, with the fields that have arrived.

    Attributes:
        value: The value so far.
    """

    event: ClassVar[str] = "partial"
    value: Any


@dataclass(frozen=True, slots=True)
class ToolCalled(OfTurn):
    """A tool is called. A call whose result is recorded already is not shown again.

    Attributes:
        tool: The tool's name.
        id: The provider's id of the call; `ToolReturned` has the same.
        arguments: The arguments, a JSON text as the model wrote it.
    """

    event: ClassVar[str] = "tool_called"
    tool: str
    id: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolReturned(OfTurn):
    """A tool's result, as the model gets it.

    Attributes:
        tool: The tool's name.
        id: The provider's id of the call.
        text: The result, or the error.
        is_error: Whether it is an error.
    """

    event: ClassVar[str] = "tool_returned"
    tool: str
    id: str
    text: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class AnswerReset(OfTurn):
    """What was shown of an answer does not count: the call failed, or the answer did not fit, and it is made again.

    Attributes:
        why: The reason, in a line.
    """

    event: ClassVar[str] = "reset"
    ends_growth: ClassVar[bool] = True
    why: str


AGENT_EVENTS: Final = (TextDelta, ThinkingDelta, PartialAnswer, ToolCalled, ToolReturned, AnswerReset)
AgentEvent: TypeAlias = "TextDelta | ThinkingDelta | PartialAnswer | ToolCalled | ToolReturned | AnswerReset"


class Live:
    """The live events of one call of an agent. As a context manager it is listed among those in flight.

    Args:
        agent: The agent's name.
        path: The node's path.
        attempt: The node's attempt.
        audience: The watchers of the run.
        guard: Hides secrets; None if the run has none.

    Attributes:
        call: The call's key, set when it is known.
        turn: The number of the turn.
        structured: Whether the answer is JSON.
        key: The key under which its value is, "" for none.
    """

    def __init__(self, agent: str, path: str, attempt: int, audience: Audience, guard: Redactor | None) -> None:
        self._agent = agent
        self._path = path
        self._attempt = attempt
        self._audience = audience
        self._show = audience.show
        self._guard = guard
        self._hide: Callable[[Any], Any] = _return_unchanged if guard is None else guard.hide
        self._tools: dict[str, ToolCall] = {}
        self.call = ""
        self.turn = 0
        self.structured, self.key = False, ""
        self._when_watched: Callable[[], None] | None = None
        self._received_earlier = 0
        self._text, self._thinking = Kept(), Kept()
        self._clear()

    def is_watched(self) -> bool:
        """Return whether somebody watches the run now."""
        return bool(self._audience.live)

    def when_watched(self, call: Callable[[], None] | None) -> None:
        """Call this when somebody begins to watch: it passes on what has arrived."""
        self._when_watched = call

    def __enter__(self) -> Self:
        self._audience.in_flight.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._audience.in_flight.remove(self)

    def begin(self, turn: int) -> None:
        """Begin a turn of the model."""
        self.turn = turn
        self._clear()

    def text(self, piece: str) -> None:
        """Show a piece of the answer."""
        self._text.add(piece)
        if self._audience.live:
            self._show_piece(TextDelta, self._text, piece)
            if self.structured and self._text.length >= self._next_partial:
                self._partial()

    def thinking(self, piece: str) -> None:
        """Show a piece of the thinking."""
        self._thinking.add(piece)
        if self._audience.live:
            self._show_piece(ThinkingDelta, self._thinking, piece)

    def _show_piece(self, kind: type[TextDelta | ThinkingDelta], kept: Kept, piece: str) -> None:
        """Show a piece without an end that may begin a secret: that is shown with the next piece, or at the end."""
        if self._guard is not None:
            piece, kept.held_back = self._guard.screened(kept.held_back + piece)
        if piece:
            self._show(kind(self._path, self._agent, piece, **self._place))

    def end(self) -> None:
        """End the turn: the answer is recorded. Its last partial answer is shown, and what was held back."""
        if self._audience.live:
            for kind, kept in ((ThinkingDelta, self._thinking), (TextDelta, self._text)):
                if kept.held_back:
                    self._show(kind(self._path, self._agent, kept.held_back, **self._place))
        if self.structured and self._text.length and self._audience.live:
            self._partial()
        self._clear()

    def reset(self, why: str) -> None:
        """Show that the text so far of this turn does not count; do nothing if none was shown."""
        if not (self._text.length or self._thinking.length):
            return
        self._clear()
        self.retract(why)

    def retract(self, why: str) -> None:
        """Show that the turn's answer does not count."""
        self._show(AnswerReset(self._path, self._agent, self._hide(" ".join(why.split())), **self._place))

    def called(self, call: ToolCall) -> None:
        """Show that a tool is called."""
        self._tools[call.id] = call
        self._show(self._build_called_event(call))

    def returned(self, call: ToolCall, text: str, *, is_error: bool) -> None:
        """Show a tool's result."""
        self._tools.pop(call.id, None)
        found = ToolReturned(self._path, self._agent, call.name, call.id, self._hide(text), is_error, **self._place)
        self._show(found)

    def so_far(self) -> list[AgentEvent]:
        """Return what a watcher has missed of this turn. What nobody has read yet is passed on next."""
        if self._when_watched is not None:
            self._when_watched()
        found: list[AgentEvent] = []
        for kind, kept in ((ThinkingDelta, self._thinking), (TextDelta, self._text)):
            if kept.length:
                end, skipped = kept.end()
                if self._guard is not None:  # the mark finds the end of a secret that was cut off
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
        """How many characters of answers and thinking have arrived in all, those that were reset included."""
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
        """Return the value so far; `_NONE` if there is none that can be read."""
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
    """A growing text whose end is kept."""

    __slots__ = ("_pieces", "held_back", "length", "skipped")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.length = 0
        self.skipped = 0
        self.held_back = ""

    def add(self, piece: str) -> None:
        """Add a piece."""
        self._pieces.append(piece)
        self.length += len(piece)
        if self.length - self.skipped > 2 * MOST_KEPT:
            end, self.skipped = self.end()
            self._pieces = [end]

    def text(self) -> str:
        """Return what is kept of it."""
        self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    def end(self) -> tuple[str, int]:
        """Return its end, of bounded length, and how many characters come before it."""
        end = self.text()[-MOST_KEPT:]
        return end, self.length - len(end)


class Growing:
    """The pieces of a text, or the newest partial answer, while a watcher does not read."""

    __slots__ = ("_event", "_kept")

    def __init__(self, event: _Grows) -> None:
        self._event, self._kept = event, Kept()
        self.add(event)

    @property
    def key(self) -> Hashable:
        """Pieces of one turn of one call are joined."""
        event = self._event
        return type(event), event.path, event.agent, event.call, event.turn, event.attempt

    def add(self, event: _Grows) -> None:
        """Add a piece, or replace the partial answer."""
        if isinstance(event, (TextDelta, ThinkingDelta)):
            self._kept.add(event.text)
        else:
            self._event = event

    def whole(self) -> _Grows:
        """Return it as one event."""
        event = self._event
        if not isinstance(event, (TextDelta, ThinkingDelta)):
            return event
        text, skipped = self._kept.end()
        return replace(event, text=text, skipped=event.skipped + skipped)


_NONE: Final[Any] = object()
_MARK: Final = "…"


def _return_unchanged(value: Any) -> Any:  # noqa: ANN401 - any value
    return value


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
