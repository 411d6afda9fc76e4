"""An agent outside a run: nothing is recorded, nobody watches, no limit holds."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from graphengine.calls.time_limit import queued
from graphengine.errors import DefinitionError
from graphengine.models.names import model_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from graphengine.agents.run_scope import Opens, Piece
    from graphengine.models.base import Model
    from graphengine.state.json_values import JsonValue

_MODELS: Final[dict[str, Model]] = {}
_SHARED: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, object]]] = WeakKeyDictionary()


class Alone:
    """The scope of an agent that runs alone.

    Args:
        given: What its tools may ask for by name.
    """

    def __init__(self, given: Mapping[str, object]) -> None:
        self._given = given
        self._loop = asyncio.get_running_loop()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop it runs in."""
        return self._loop

    def model_for(self, agent: str, own: str | Model) -> Model:  # noqa: ARG002 - nobody else has a say
        """The agent's own model; one that is named is kept, and its connections with it."""
        if not isinstance(own, str):
            return own
        if own not in _MODELS:
            _MODELS[own] = model_of(own)
        return _MODELS[own]

    @property
    def attempt(self) -> int:
        """The only one."""
        return 1

    async def blocking(self, function: Callable[[], object]) -> object:
        """Call a function in a thread."""
        with queued(function) as wanted:
            return await asyncio.to_thread(wanted)

    def paid(self, usage: Mapping[str, float | None]) -> None:
        """Nobody counts."""

    def given(self) -> Mapping[str, object]:
        """What it was given for its tools."""
        return self._given

    def place(self, name: str, what: str) -> str:  # noqa: ARG002 - nothing is recorded
        """Nothing is told apart."""
        return ""

    def recorded(self, place: str) -> Sequence[JsonValue]:  # noqa: ARG002
        """Nothing is."""
        return ()

    def group(self, place: str) -> AbstractContextManager[None]:  # noqa: ARG002
        """Nothing is told apart."""
        return nullcontext()

    def may_record(self, text: str) -> bool:  # noqa: ARG002
        """Nothing is recorded."""
        return False

    def call(self, key: str) -> AbstractContextManager[None]:  # noqa: ARG002 - nothing is made again
        """Nothing is told apart."""
        return nullcontext()

    async def piece(self, name: str, what: str, make: Callable[[], Awaitable[Piece]]) -> JsonValue:  # noqa: ARG002
        """Do a piece of work."""
        return (await make()).record

    def keeping(self) -> AbstractContextManager[None]:
        """Nothing is kept."""
        return nullcontext()

    async def may_call(self, model: Model) -> None:
        """It may."""

    async def allowed(self, question: str) -> bool:
        """There is nobody to ask.

        Raises:
            DefinitionError: Always.
        """
        raise DefinitionError(
            f"a person is to be asked: {question}",
            where="an agent that runs alone",
            repair="run the agent in a graph, whose run can wait for the answer; in a test, leave approve= out",
        )

    def listener(self, agent: str) -> Callable[[str], None] | None:  # noqa: ARG002
        """Nobody watches."""
        return None

    async def opened(self, source: Opens) -> Sequence[Any] | None:  # noqa: ARG002
        """Sources of tools are opened for each call."""
        return None

    def shared(self, key: str, make: Callable[[], object]) -> object:
        """What all agents that run alone in one event loop share."""
        known = _SHARED.setdefault(self._loop, {})
        if key not in known:
            known[key] = make()
        return known[key]
