"""Measurements: rounds that alternate between the sides, medians with their range, and ratios.

The machine is never quiet, so the sides of a comparison take turns in one process (A B A B …). A side's figure is the
median of its rounds, shown with the smallest and the largest. A ratio is the median of the ratios of neighbouring
rounds, so that a slowdown of both sides does not change it.
"""

from __future__ import annotations

import gc
import statistics
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias

from graphengine.__main__ import COLLECT_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

MICRO = 1_000_000
MILLI = 1_000
KILO = 1_000

Side: TypeAlias = "Callable[[], Coroutine[None, None, float]]"
"""One side of a comparison: runs one round and returns its figure."""


AS_COMMAND = ", collecting garbage as often as `graphengine worker`"


def as_command(side: Side) -> Side:
    """Measure a side with the settings of garbage collection that the command line uses, which collects less often."""

    async def seldom() -> float:
        before = gc.get_threshold()
        gc.set_threshold(COLLECT_AFTER, 20, 20)
        try:
            return await side()
        finally:
            gc.set_threshold(*before)

    return seldom


@dataclass(frozen=True, slots=True)
class Settings:
    """How much a program measures.

    Attributes:
        quick: Whether to run only a few steps and rounds, to check that everything works. The figures then mean little.
        peers: Whether to measure other libraries too, if they are installed.
    """

    quick: bool = False
    peers: bool = True

    def count(self, full: int, quick: int) -> int:
        """Return `quick` in a quick run, otherwise `full`."""
        return quick if self.quick else full

    def has(self, *packages: str) -> bool:
        """Return whether other libraries are measured and these packages are installed."""
        return self.peers and all(find_spec(name) is not None for name in packages)


@dataclass(frozen=True, slots=True)
class Figure:
    """The figures of one side, one for each round."""

    side: str
    unit: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def against(self, other: Figure) -> float:
        """Return the ratio of this side to another side: the median of the ratios of the rounds."""
        return statistics.median(self.ratios(other))

    def ratios(self, other: Figure) -> list[float]:
        """Return the ratio of this side to another side in each round."""
        return [mine / theirs for mine, theirs in zip(self.rounds, other.rounds, strict=True)]

    @property
    def spread(self) -> str:
        """The smallest and the largest figure, such as `1.2 to 1.5`; "" if there was only one round."""
        if len(self.rounds) == 1:
            return ""
        return f"{amount(min(self.rounds))} to {amount(max(self.rounds))}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of a program.

    Attributes:
        title: The title of the results.
        figures: The measured figures.
        ratios: Ratios of figures that the program names, each with a description.
        compared: For a side of another library, the name of our side with which it is compared.
    """

    title: str
    figures: Mapping[str, Figure]
    ratios: Mapping[str, float] = field(default_factory=dict)
    compared: Mapping[str, str] = field(default_factory=dict)


async def alternate(sides: Mapping[str, Side], unit: str, rounds: int) -> dict[str, Figure]:
    """Measure several sides in turns, so that other work on the machine affects all of them.

    Args:
        sides: The sides by name. Unless only one round counts, each side first runs a round that does not count.
        unit: The unit of the figures.
        rounds: How many rounds count. A quick run has one, which only shows that the sides work.
    """
    found: dict[str, list[float]] = {name: [] for name in sides}
    warm_ups = int(rounds > 1)
    for one_round in range(warm_ups + rounds):
        for name, side in sides.items():
            figure = await side()
            if one_round >= warm_ups:
                found[name].append(figure)
    return {name: Figure(name, unit, tuple(figures)) for name, figures in found.items()}


def amount(value: float, unit: str = "") -> str:
    """Format a number with three significant digits, separators of thousands, and its unit."""
    decimals = 0 if value == int(value) or value >= 100 else 1 if value >= 10 else 2  # noqa: PLR2004 - digits
    return f"{value:,.{decimals}f} {unit}".rstrip()
