"""The `ctx` of a node that runs in another process: the facts of its attempt, without the run."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NoReturn

from graphengine.errors import DefinitionError
from graphengine.kernel.inside import mark_repeating

_OF_NODES: Final = ("call", "ask", "receive", "sleep", "sleep_until", "send", "runs", "emit", "usage")
"""Attributes that only a complete Context has. Any other missing attribute is requested by an agent."""


@dataclass(frozen=True)
class DetachedContext:
    """The `ctx` of a node that runs in another process. It knows the attempt, but cannot reach the run.

    A `DetachedContext` raises an error for those attributes of a `Context` that need the run, such as `ctx.ask`.

    Attributes:
        run_id: The run's id.
        node: The node's name.
        path: The node's path in the run.
        visit: The number of the visit of the node, from 1.
        attempt: The number of the attempt of the visit, from 1.
        idempotency_key: A key that stays the same over retries and resumes of this visit.
        time: The time in the log at which this attempt could begin.
        on: The name of the executor.
    """

    run_id: str
    node: str
    path: str
    visit: int
    attempt: int
    idempotency_key: str
    time: float
    on: str

    @cached_property
    def random(self) -> random.Random:
        """A random generator seeded for this visit."""
        return random.Random(self.idempotency_key)  # noqa: S311 - repeatable, as in a Context

    def now(self) -> float:
        """Return the time at which this attempt could begin, epoch seconds. A repeated attempt gets the same time."""
        return self.time

    def __getattr__(self, name: str) -> NoReturn:
        """Raise an error when a node in another process uses an attribute that needs the run, such as `ctx.ask`.

        The error suggests to move this part into another node, or to run the node without an executor.
        """
        if name.startswith("_"):
            raise AttributeError(name)
        what = f"ctx.{name}" if name in _OF_NODES else f"an agent ({name})"
        error = DefinitionError(
            f"{what} needs the run, and {self.node!r} runs on the executor {self.on!r}, in another process",
            where=f"node {self.path}",
            repair="move this part into a node before or after this node, and pass the value through the state; or run "
            "this node without on=",
        )
        mark_repeating(error)  # A retry would fail in the same way, so the attempt is not repeated.
        raise error


__all__ = ["DetachedContext"]
