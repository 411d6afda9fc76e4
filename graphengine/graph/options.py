"""What is said of nodes and runs beside what they do: the ends of a graph, retries, limits, migrations."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeGuard, TypeVar

from graphengine.errors import DefinitionError, ModelTransient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphengine.state.json_values import JsonValue

T = TypeVar("T")

START: Final = "START"
END: Final = "END"
FAIL: Final = "FAIL"


LONGEST_SECONDS: Final = 1e15
"""The longest time, and the last date in epoch seconds: some 30 million years. A float counts no seconds far beyond."""


def is_seconds(given: object, *, zero: bool = False) -> TypeGuard[float]:
    """Whether this is a length of time in seconds, or a date: a number above 0 that is not endless.

    Args:
        given: What was given.
        zero: Whether 0 is one too.
    """
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return False
    return 0 <= given <= LONGEST_SECONDS and (zero or given > 0)


def none_for_ever(given: T) -> T | None:
    """What was given as a limit; an infinite one is none."""
    return None if given == math.inf else given


LONGEST_TAG: Final = 100
"""The most characters of a tag."""


def is_tag(given: object) -> bool:
    """Whether this can be a tag of a run: a text that can be printed on a line, and is not blank."""
    return isinstance(given, str) and bool(given.strip()) and given.isprintable() and len(given) <= LONGEST_TAG


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a node is tried again, and how long to wait between attempts.

    Args:
        attempts: Attempts altogether, the first included.
        initial_seconds: The wait before the second attempt.
        multiplier: What each further wait is multiplied by.
        max_seconds: No wait is longer; `math.inf` for no such bound.
        jitter: The share of a wait that chance may add or take, 0 to 1.
        on: Only these exceptions are worth another attempt; not even these where an agent's rule-based stand-in raised
            them of what it computed, since it would do so again.

    Example:
        >>> Retry(attempts=5, initial_seconds=1, on=(OSError,)).attempts
        5
        >>> Retry(attempts=0)
        Traceback (most recent call last):
            ...
        graphengine.errors.DefinitionError: Retry(attempts=0, ...) cannot be followed
          repair: attempts >= 1, seconds >= 0 and finite, multiplier >= 1, jitter between 0 and 1
    """

    attempts: int = 3
    initial_seconds: float = 0.5
    multiplier: float = 2.0
    max_seconds: float = 30.0
    jitter: float = 0.1
    on: tuple[type[BaseException], ...] = (Exception,)

    def __post_init__(self) -> None:
        if isinstance(self.on, type):
            object.__setattr__(self, "on", (self.on,))
        given: tuple[object, ...] = self.on
        kinds = [kind for kind in given if not (isinstance(kind, type) and issubclass(kind, BaseException))]
        if kinds:
            raise DefinitionError(f"Retry(on={kinds[0]!r})", repair="give exception types: on=(OSError,)")
        if not isinstance(self.attempts, int):
            raise DefinitionError(f"Retry(attempts={self.attempts!r})", repair="give a whole number")
        if self.max_seconds == math.inf:
            object.__setattr__(self, "max_seconds", LONGEST_SECONDS)
        lengths = is_seconds(self.initial_seconds, zero=True) and is_seconds(self.max_seconds, zero=True)
        sane = self.attempts >= 1 and lengths and 1 <= self.multiplier < math.inf
        if not sane or not 0 <= self.jitter <= 1:
            raise DefinitionError(
                f"{self} cannot be followed",
                repair="attempts >= 1, seconds >= 0 and finite, multiplier >= 1, jitter between 0 and 1",
            )


MODEL_RETRY: Final = Retry(attempts=4, initial_seconds=1.0, max_seconds=60.0, on=(ModelTransient,))
"""That of a node that says nothing of retries: what passes at a model's provider is waited out, all else is not."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large what is recorded may be, in bytes of JSON. None is no limit.

    The defaults are far above what a well-made graph writes, and far below what hurts. A step is written, and read
    again on every resume, as a whole: 16 MiB take some 0.1 s each way. A state is held in memory as records and as
    typed values, about ten times its JSON: 256 MiB are a few GB. A message or an answer comes from outside, perhaps
    over a network, and waits in the inbox: 1 MiB is a long document.

    Args:
        update_bytes: What one step writes to the state. A node that returns more fails with `too_large`.
        state_bytes: All that a run holds: its state, those of graphs inside it, items and arms under way, recorded
            work, messages kept. The node that would make it larger fails with `too_large`; a run does not begin with
            more.
        message_bytes: A message, or an answer. It is refused where it is given.
        work_bytes: What a call of `ctx.step` gives. The call raises `too_large`.
    """

    update_bytes: int | None = 16 << 20
    state_bytes: int | None = 256 << 20
    message_bytes: int | None = 1 << 20
    work_bytes: int | None = 16 << 20

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            size = getattr(self, name)
            if size is not None and not (type(size) is int and size > 0):
                raise DefinitionError(f"Sizes({name}={size!r})", repair="give bytes, 1 or more, or None for no limit")


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a run stops cleanly, to be resumed with higher limits. None is no limit, and so is `math.inf`.

    Args:
        steps: Completed node visits. Attempts and the engine's own rows do not count.
        tokens: Tokens of all model calls, in and out.
        cost_usd: US dollars of all model calls.
        seconds: Driven time; waiting does not count.
        unknown_cost: Whether models may be called whose price is not known, though `cost_usd` is limited; they then
            count as nothing. Without it they are refused.

    Example:
        With the graph of `Graph`'s example:

        >>> count.run_sync(limits=Limits(steps=2)).stop.explanation
        'steps 2 >= 2'
    """

    steps: int | None = 1000
    tokens: int | None = None
    cost_usd: float | None = None
    seconds: float | None = None
    unknown_cost: bool = False

    def given(self) -> dict[str, float | None]:
        """Those that are set, by name."""
        named = {name: getattr(self, name) for name in ("steps", "tokens", "cost_usd", "seconds")}
        if self.unknown_cost:
            named["unknown_cost"] = 1
        return {name: limit for name, limit in named.items() if limit is not None}

    def __post_init__(self) -> None:
        for name in ("steps", "tokens", "cost_usd", "seconds"):
            limit = none_for_ever(getattr(self, name))
            object.__setattr__(self, name, limit)
            if limit is not None and not (type(limit) in (int, float) and limit >= 0):  # NaN too
                raise DefinitionError(f"Limits({name}={limit!r})", repair="a limit is 0 or more, or None for no limit")


@dataclass(frozen=True, slots=True)
class Migration:
    """How a run that was recorded under one version of a graph becomes one of the next version.

    A function alone, `migrate={1: f}`, is short for `Migration(state=f)`.

    Args:
        state: Takes the recorded fields of the graph's state as JSON values, its own copy of them, and returns those of
            the next version. It is called when a run is resumed or branched, and what it gave is recorded: nothing that
            reads the run later calls it again. Secret fields are in clear there, and encrypted when they are recorded.
        renamed: Nodes that have another name now, old name to new. Counts, what conditions remember, pauses and the
            place of the run go along.
        moved: Where a run goes on that stands at one of these nodes, node to node, in the names of the old version and
            the new one. The visit that was under way is dropped, with what had begun below it.

    Example:
        >>> Migration(renamed={"rate": "review"}).renamed
        {'rate': 'review'}
    """

    state: Callable[[dict[str, JsonValue]], Mapping[str, JsonValue]] | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
