"""What an agent needs of the run it is called in. The runner sets it; an agent that finds none runs alone."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.models.base import Model, Response


class Scope(Protocol):
    """The run's side of an agent's call."""

    def model_for(self, agent: str) -> Model | None:
        """The model that the run wants this agent to use, None for the agent's own."""
        ...

    async def blocking(self, function: Callable[[], object]) -> object:
        """Call a function that blocks in a thread of the run's, and wait for it whatever happens."""
        ...

    def paid(self, response: Response) -> None:
        """Count what a call cost."""
        ...


CURRENT: Final[ContextVar[Scope | None]] = ContextVar("graphengine_scope", default=None)
