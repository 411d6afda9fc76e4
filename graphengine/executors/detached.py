"""The `ctx` of a node that runs in another process: the facts of its attempt, without the run."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, NoReturn

from graphengine.errors import DefinitionError

_OF_NODES: Final = ("step", "ask", "receive", "sleep", "sleep_until", "send", "runs", "emit", "usage")
"""What only a Context has. Anything else that is asked of it is asked by an agent."""

_REPAIR_AGENT: Final = "do it in a node without on=, before or after this one, and pass the value through the state"
_REPAIR: Final = f"run it on a ProcessExecutor or a RayExecutor; or {_REPAIR_AGENT}"


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of an attempt, as they are sent.

    Attributes:
        on: The name of the executor.
        time: `ctx.now()`.
        context: The name of the parameter that takes the context; None if there is none.
    """

    run_id: str
    node: str
    path: str
    visit: int
    attempt: int
    idempotency_key: str
    time: float
    on: str
    context: str | None = None


class DetachedContext:
    """The Context of a node that runs in another process, where its executor has no channel to the Runner.

    It has `run_id`, `node`, `path`, `visit`, `attempt`, `idempotency_key`, `random` and `now()`, with the values that
    they have in the Runner's process. Everything else needs the run, and raises an error.
    """

    __slots__ = ("_facts", "_random")

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._random: random.Random | None = None

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._facts.run_id

    @property
    def node(self) -> str:
        """The node's name."""
        return self._facts.node

    @property
    def path(self) -> str:
        """The node's path in the run."""
        return self._facts.path

    @property
    def visit(self) -> int:
        """Which visit of the node this is, from 1."""
        return self._facts.visit

    @property
    def attempt(self) -> int:
        """Which attempt of the visit this is, from 1."""
        return self._facts.attempt

    @property
    def idempotency_key(self) -> str:
        """A key that stays the same over retries and resumes of this visit."""
        return self._facts.idempotency_key

    @property
    def random(self) -> random.Random:
        """A random generator seeded for this visit."""
        if self._random is None:
            self._random = random.Random(self._facts.idempotency_key)  # noqa: S311 - repeatable, as in a Context
        return self._random

    def now(self) -> float:
        """Return the time in the log at which this attempt could begin."""
        return self._facts.time

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse what needs the run."""
        if name.startswith("_"):
            raise AttributeError(name)
        facts = self._facts
        what = f"ctx.{name} needs the run" if name in _OF_NODES else f"an agent needs the run ({name})"
        raise DefinitionError(
            f"{what}, and {facts.node} runs on {facts.on!r}, in another process",
            where=f"node {facts.path}",
            repair=_REPAIR if name in _OF_NODES else _REPAIR_AGENT,
        )
