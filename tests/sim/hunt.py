"""The hunt: one program after another from a seed, until one fails; then the smallest that fails in the same way."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, TypeAlias

from graphengine.errors import CompileError, DefinitionError
from tests.sim import program as p
from tests.sim.media import Engine

Medium: TypeAlias = Literal["engine", "runner", "sqlite", "kill"]
WITH_CALLS: Final = p.Taste(1, 1, calls=True)
"""What programs have that run in a Runner: their calls act, which the pure engine does not do."""
IN_FILES: Final = replace(WITH_CALLS, children=0)
"""What they have in a file, where one run is followed: no child runs; limits of costs and budgets are left out too."""


class Found(NamedTuple):
    """How a program ended: the status of its run, or why it is wrong, with the page of the smallest such program."""

    end: str
    page: str = ""


@dataclass
class Hunt:
    """A hunt from a seed; `played` programs were played, of which some were none, as they do not compile."""

    seed: object
    medium: Medium = "engine"
    shrinks: bool = True
    played: int = 0

    @property
    def seconds(self) -> float:
        """The CPU time that was used so far, also by the processes that are killed."""
        seconds = time.process_time()
        if self.medium == "kill":
            from tests.sim.killed import nursery  # noqa: PLC0415 - it starts a process

            seconds += nursery().seconds
        return seconds

    def draw(self) -> p.Program:
        """Return the next program, of what its medium can play."""
        if self.medium in ("engine", "runner"):
            return p.draw(self.seed, self.played, None if self.medium == "engine" else WITH_CALLS)
        return replace(p.draw(self.seed, self.played, IN_FILES), quarters=0, budget=0)

    def next(self) -> Found:
        """Play the next program."""
        program = self.draw()
        self.played += 1
        why = wrong(program, self.medium)
        if why is None:
            return Found("refused")
        if not why.startswith("!"):
            return Found(why)
        where = f"seed {self.seed}, program {self.played - 1}, {self.medium}: {why[1:]}"
        if self.shrinks:
            program = p.shrunk(program, lambda smaller: kind(wrong(smaller, self.medium)) == kind(why))
        return Found(why, p.page(program, where))


def kind(why: str | None) -> list[str]:
    """Return the words of a failure that stay the same while its program gets smaller."""
    return (why or "").split()[:4]


def wrong(program: p.Program, medium: Medium) -> str | None:
    """Play a program. Return the status in which its run ended, or "!" and why that is wrong; None if it is refused."""
    try:
        return play(program, medium)
    except (CompileError, DefinitionError):
        return None
    except Exception as error:  # noqa: BLE001 - any failure counts
        return f"!{type(error).__name__}: {error}"


def play(program: p.Program, medium: Medium) -> str:
    """Play a program, and return the status in which its run ended. Raises: Wrong, or whatever went wrong."""
    if medium == "kill":
        from tests.sim.killed import Killed  # noqa: PLC0415 - as below

        return Killed(program).play().status
    if medium != "engine":
        from tests.sim.runner import Running  # noqa: PLC0415 - the engine alone needs no asyncio

        return Running(program, on_disk=medium == "sqlite").play().status
    return Engine(program).play().status
