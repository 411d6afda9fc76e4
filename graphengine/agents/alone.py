"""The scope of an agent outside a run: nothing is recorded, streamed or limited."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

from graphengine.calls.time_limit import queued
from graphengine.errors import DefinitionError
from graphengine.graph.options import MODEL_RETRY
from graphengine.models.limiter import PLAIN_WAITS
from graphengine.models.names import model_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from graphengine.agents.live_events import Live
    from graphengine.agents.run_scope import Opens
    from graphengine.errors import ModelTransient
    from graphengine.models.base import Model, Request
    from graphengine.models.limiter import Waits
    from graphengine.runner.scope import AsksPerson, Piece
    from graphengine.state.amounts import Usage
    from graphengine.state.json_values import JsonValue

_MODELS: Final[dict[str, Model]] = {}


class Alone:
    """The scope of an agent that runs alone.

    Args:
        given: The values that its tools can read, by name.
    """

    def __init__(self, given: Mapping[str, object]) -> None:
        self._given = given
        self._loop = asyncio.get_running_loop()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop in which it runs."""
        return self._loop

    def model_for(self, agent: str, own: str | Model) -> Model:  # noqa: ARG002 - no run overrides it
        """Return the agent's own model. A model made from a name is kept, with its connections."""
        if not isinstance(own, str):
            return own
        if own not in _MODELS:
            _MODELS[own] = model_of(own)
        return _MODELS[own]

    @property
    def attempt(self) -> int:
        """The number of the attempt, always 1."""
        return 1

    async def blocking(self, function: Callable[[], object], threads: Executor | None = None) -> object:
        """Call a function in a thread."""
        with queued(function) as wanted:
            if threads is None:
                return await asyncio.to_thread(wanted)
            return await asyncio.wrap_future(threads.submit(copy_context().run, wanted))

    def paid(self, usage: Usage) -> None:
        """Do nothing: no run counts usage."""

    def given(self) -> Mapping[str, object]:
        """Return the values that its tools can read."""
        return self._given

    def place(self, name: str, what: Callable[[], str]) -> str:  # noqa: ARG002 - nothing is recorded
        """Return "": nothing is recorded, so no key is needed."""
        return ""

    def recorded(self, place: str) -> Sequence[JsonValue]:  # noqa: ARG002
        """Return nothing, as nothing is recorded."""
        return ()

    def group(self, place: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """Return a context that does nothing."""
        return nullcontext()

    def may_record(self, text: str) -> bool:  # noqa: ARG002
        """Return False, as nothing is recorded."""
        return False

    def call(self, key: str) -> AbstractContextManager[None]:  # noqa: ARG002 - no call is repeated
        """Return a context that does nothing."""
        return nullcontext()

    async def piece(self, name: str, what: str, make: Callable[[], Awaitable[Piece]]) -> Any:  # noqa: ANN401, ARG002 - a record of any form
        """Do a piece of work, and return its record."""
        return (await make()).record

    def refuse(self, error: BaseException, name: str, what: str) -> None:
        """Do nothing, as nothing is recorded."""

    def answered(self, name: str, what: str, value: object) -> None:
        """Do nothing, as nothing is recorded."""

    async def may_call(self, model: Model) -> None:
        """Return at once: no limit applies."""

    def may_sleep(self) -> bool:
        """Return False: no run is stored."""
        return False

    def has_slept(self, what: str) -> bool:  # noqa: ARG002
        """Return False, as nothing is recorded."""
        return False

    async def sleep_for(self, seconds: float, what: str) -> None:
        """Do nothing, as `may_sleep` is False."""

    async def approved(self, identity: str, record: tuple[str, str], ask: AsksPerson) -> None:  # noqa: ARG002
        """Raise an error if a person is to be asked, which is possible only in a run.

        Raises:
            DefinitionError: A person is to be asked.
        """
        question = await ask(was_asked=False)
        if question is not None:
            raise DefinitionError(
                f"a person has to be asked: {question.text}",
                where="an agent that runs alone",
                repair="run the agent in a graph, whose run can wait for the answer; in a test, omit approve=",
            )

    def live(self, agent: str) -> Live | None:  # noqa: ARG002
        """Return None: there are no watchers."""
        return None

    async def opened(self, source: Opens) -> Sequence[Any] | None:  # noqa: ARG002
        """Return None: sources of tools are opened for each call."""
        return None

    @property
    def waits(self) -> Waits:
        """The machine's clock."""
        return PLAIN_WAITS

    def pause_after(self, error: ModelTransient, tries: int) -> float | None:
        """Return the delay that a node without `retry=` has in a run."""
        if not error.retryable or tries >= MODEL_RETRY.attempts:
            return None
        return max(MODEL_RETRY.pause_seconds(tries), error.retry_after_seconds or 0.0)

    async def reserved(
        self,
        model: Model,  # noqa: ARG002 - no limit applies
        request: Request,  # noqa: ARG002
    ) -> AbstractContextManager[Callable[[Usage], None]]:
        """Return a context that does nothing."""
        return nullcontext(lambda _usage: None)
