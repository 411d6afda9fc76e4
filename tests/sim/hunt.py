"""The hunt: one program after another from a seed, until one fails; then the smallest that fails in the same way."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from graphengine.errors import CompileError, DefinitionError
from tests.sim import program as p
from tests.sim.media import Engine

Medium: TypeAlias = Literal["engine", "runner", "sqlite", "kill"]
PAGES: Final = sorted((Path(__file__).parent / "pages").glob("*.txt"))
"""The smallest programs that once failed."""
SHARES: Final[Mapping[Medium, float]] = {"engine": 0.2, "runner": 0.5, "sqlite": 0.3}
"""The shares of the time that media have in a hunt in all of them; processes that are killed take too much of it."""
COMMANDED: Final[Mapping[Medium, float]] = {"runner": 0.5, "sqlite": 0.75}
"""The shares of their programs that command stores: in memory they take no time, in a file a third of a run's."""

AGAIN: Final = 0.2
"""The share of their other programs in which a run is removed, and another one with its id is started."""
WIDE: Final = 0.25
"""The share of the rest that have peers, messages between runs, or workers."""
MORE: Final = 0.1
"""The share of what is left then that has each of what `Draw.more` adds."""


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
        commanded = COMMANDED.get(self.medium, 0.0)
        again, wide, more = (AGAIN, WIDE, MORE) if self.medium in COMMANDED else (0.0, 0.0, 0.0)
        return p.draw(
            self.seed,
            self.played,
            in_runner=self.medium != "engine",
            commanded=commanded,
            again=again,
            wide=wide,
            more=more,
            transacts=self.medium == "runner",
        )

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


class HuntAll:
    """A hunt from a seed in several media, of which that one is next that had least of its share of the time."""

    def __init__(self, seed: object, *, shrinks: bool = True) -> None:
        self.hunts: dict[Medium, Hunt] = {medium: Hunt(seed, medium, shrinks) for medium in SHARES}
        self.spent: dict[Medium, float] = dict.fromkeys(SHARES, 0.0)

    @property
    def played(self) -> int:
        """How many programs were played."""
        return sum(hunt.played for hunt in self.hunts.values())

    @property
    def seconds(self) -> float:
        """The CPU time that was used so far."""
        return time.process_time()

    def next(self) -> Found:
        """Play the next program."""
        medium = min(SHARES, key=lambda each: self.spent[each] / SHARES[each])
        began = time.process_time()
        found = self.hunts[medium].next()
        self.spent[medium] += time.process_time() - began
        return found


def kept() -> Iterator[tuple[str, p.Program, Medium]]:
    """Yield the name of each kept page, its program, and the medium that the name ends with: else the engine."""
    for path in PAGES:
        medium: Medium = next((each for each in get_args(Medium) if path.stem.endswith(f"_{each}")), "engine")
        yield path.stem, p.read(path.read_text(encoding="utf-8")), medium


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
    if program.commands:
        from tests.sim.stores import Commanded  # noqa: PLC0415 - as below

        return Commanded(program.commands, program.order, on_disk=medium == "sqlite").play()
    if medium == "kill":
        from tests.sim.killed import Killed  # noqa: PLC0415 - as below

        return Killed(program).play().status
    if medium != "engine":
        from tests.sim.runner import Running  # noqa: PLC0415 - the engine alone needs no asyncio

        return Running(program, on_disk=medium == "sqlite").play().status
    return Engine(program).play().status
