"""What runs in a node: its context, and what recorded work of libraries is made of."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from graphengine.state.interrupts import reraise_interrupt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from graphengine.engine.steps import ModelCaller
    from graphengine.state.amounts import Usage
    from graphengine.state.json_values import JsonValue

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class StepResult:
    """A finished piece of work: its record, and facts about it.

    Attributes:
        record: The value that is stored, and returned when the piece is replayed.
        size_bytes: The record's size as JSON.
        usage: The usage of a model's call.
        by: The `agent` that called, and the `model` that answered.
    """

    record: JsonValue
    size_bytes: int
    usage: Usage | None = None
    by: ModelCaller | None = None


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T_co]):
    """The outcome of a call as data: its result, or the exception that it raised."""

    value: T_co | None = None
    error: BaseException | None = None

    def result(self) -> T_co:
        """Return the result, or raise the exception."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None only where that is the result


async def as_outcome(call: Callable[[], Awaitable[T]]) -> Outcome[T]:
    """Make a call in its own asyncio task, and return the exception that it raises as data.

    Otherwise SystemExit and KeyboardInterrupt would end the event loop: asyncio raises them out of it at once. The call
    is made here, as a task that is cancelled before it begins would leave a coroutine that is never awaited.
    """
    try:
        return Outcome(await call())
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - the caller raises it again
        reraise_interrupt(error)
        return Outcome(error=error)


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a person.

    Attributes:
        text: Its text.
        schema: The JSON Schema of the answer.
        read: Returns the answer of a record, or raises a `ValidationError`.
        timeout_seconds: How long to wait for the answer; None to wait for ever.
        default: The record of the answer after that time.
    """

    text: str
    schema: Mapping[str, JsonValue]
    read: Callable[[object], object]
    timeout_seconds: float | None
    default: JsonValue


class AsksPerson(Protocol):
    """Makes a question."""

    def __call__(self, *, was_asked: bool) -> Awaitable[Question | None]:
        """Return the question; None if none is to be asked, which cannot be if it was asked already."""
        ...


CURRENT: Final[ContextVar[Any]] = ContextVar("graphengine_scope", default=None)
"""The Context of the running node, None outside a run."""
