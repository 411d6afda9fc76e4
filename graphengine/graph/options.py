"""Options of nodes and runs: the ends of a graph, retries, sizes, limits, retention, migrations."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeGuard, TypeVar, cast

from graphengine.errors import DefinitionError, Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import NonNegativeInt, PositiveInt

    from graphengine.state.amounts import LimitsRecord
    from graphengine.state.json_values import JsonValue

T = TypeVar("T")

START: Final = "START"
"""The source of the first edge of a graph."""
END: Final = "END"
"""The target of an edge that finishes the graph."""
FAIL: Final = "FAIL"
"""The target of an edge that fails the graph, with the edge's label as the reason."""


LONGEST_SECONDS: Final = 1e15
"""The longest duration, and the last date in epoch seconds: about 30 million years. Far beyond, floats skip seconds."""


def is_seconds(given: object, *, zero: bool = False) -> TypeGuard[float]:
    """Return whether a value is a finite number above 0, as a number of seconds must be.

    Args:
        given: The value to check.
        zero: Whether 0 is valid too.
    """
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return False
    return 0 <= given <= LONGEST_SECONDS and (zero or given > 0)


def none_for_ever(given: T) -> T | None:
    """Return a limit, or None for an infinite limit."""
    return None if given == math.inf else given


LONGEST_TAG: Final = 100  # characters


def is_tag(given: object) -> bool:
    """Return whether a text can be a tag of a run: it is printed on one line and is not blank."""
    return isinstance(given, str) and len(given) <= LONGEST_TAG and bool(given.strip()) and given.isprintable()


MISTAKES: Final = (
    AssertionError,
    AttributeError,
    ImportError,
    NameError,
    NotImplementedError,
    SyntaxError,
    TypeError,
)
"""Exceptions of mistakes in the code, which are the same at the next attempt."""


def _exception_meant(given: object) -> str:
    """Suggest the exception type that the user probably meant by a wrong value of `on=`.

    Such a value is, for example, the name of the type or an instance of it.
    """
    if isinstance(given, BaseException):
        return f"the type of the exception: on={type(given).__name__}"
    if isinstance(given, str) and given.isidentifier():
        return f"the type, not its name: on={given}"
    return "exception types: on=(OSError,)"


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a node is tried again, and how long to wait between attempts.

    Args:
        attempts: The maximum number of attempts, including the first.
        initial_seconds: The wait before the second attempt.
        multiplier: The factor by which each further wait grows.
        max_seconds: The longest wait; `math.inf` for no maximum.
        jitter: The share of a wait that is added or removed at random, 0 to 1. The longest wait varies too, below
            `max_seconds`.
        on: The exceptions after which to try again. A mistake in the code (AssertionError, AttributeError, ImportError,
            NameError, NotImplementedError, SyntaxError, TypeError) would occur again at the next attempt, so it is
            retried only if one of these is listed, and not for Exception. If an agent's rule-based answer raised the
            error, the node is not tried again, since the rules would raise it again.
        afresh: Whether an attempt after a failure, by this retry or a resume, also repeats what the node has already
            recorded: every `ctx.call`, model response and tool call. By default, an attempt makes only the calls that
            have no recorded result, and those whose results caused the failure.

    Example:
        >>> Retry(attempts=5, initial_seconds=1, on=(OSError,)).attempts
        5
        >>> Retry(attempts=0)
        Traceback (most recent call last):
            ...
        graphengine.errors.DefinitionError: Retry(attempts=0): attempts must be at least 1
          repair: write Retry(attempts=3)
    """

    attempts: int = 3
    initial_seconds: float = 0.5
    multiplier: float = 2.0
    max_seconds: float = 30.0
    jitter: float = 0.1
    on: tuple[type[BaseException], ...] = (Exception,)
    afresh: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.on, type):
            object.__setattr__(self, "on", (self.on,))
        on: object = self.on
        exceptions: tuple[object, ...] = (on,) if isinstance(on, (str, BaseException)) else self.on
        kinds = [kind for kind in exceptions if not (isinstance(kind, type) and issubclass(kind, BaseException))]
        if kinds:
            message = f"Retry(on={kinds[0]!r}) must name types of exceptions"
            raise DefinitionError(message, repair=f"give {_exception_meant(kinds[0])}")
        if not isinstance(self.attempts, int):
            message = f"Retry(attempts={self.attempts!r}) is not a whole number"
            raise DefinitionError(message, repair="give a whole number of 1 or more, as in attempts=3")
        if self.max_seconds == math.inf:
            object.__setattr__(self, "max_seconds", LONGEST_SECONDS)
        seconds = "a finite number of seconds of at least 0"
        for name, is_sound, allowed in (
            ("attempts", self.attempts >= 1, "at least 1"),
            ("initial_seconds", is_seconds(self.initial_seconds, zero=True), seconds),
            ("multiplier", 1 <= self.multiplier < math.inf, "a finite number of at least 1"),
            ("max_seconds", is_seconds(self.max_seconds, zero=True), seconds),
            ("jitter", 0 <= self.jitter <= 1, "a number from 0 to 1"),
        ):
            if not is_sound:
                text = f"Retry({name}={getattr(self, name)!r}): {name} must be {allowed}"
                raise DefinitionError(
                    text, repair=f"write Retry({name}={type(self).__dataclass_fields__[name].default!r})"
                )

    def pause_seconds(self, failures: int, chance: float = 0.5) -> float:
        """Return how many seconds to wait before a failed node is tried again.

        Args:
            failures: The number of failures so far, 1 or more.
            chance: A random number from 0 to 1, for the jitter. 0.5 leaves the wait unchanged.
        """
        return pause_of(self, failures, chance + 1)


def pause_of(retry: Retry, failures: int, recorded_chance: float) -> float:
    """Return how many seconds to wait before a failed node is tried again.

    `recorded_chance` is the random number that the step of the failure recorded. A number from 1 to 2 stands for a
    chance from 0 to 1. A number below 1 was recorded by an earlier version, which cut a wait at `max_seconds` after the
    jitter was added. A replay of such a step must wait as long as the original run did.
    """
    try:
        wait = retry.initial_seconds * retry.multiplier ** (failures - 1)
    except OverflowError:
        wait = retry.max_seconds
    chance = recorded_chance
    if recorded_chance >= 1:
        wait, chance = min(wait, retry.max_seconds / (1 + retry.jitter)), recorded_chance - 1
    return min(wait * (1 + retry.jitter * (2 * chance - 1)), retry.max_seconds)


DEFAULT_RETRY: Final = Retry(attempts=4, initial_seconds=1.0, max_seconds=60.0, on=(Transient,))
"""The default of agent and function nodes: transient errors, as of a model's provider, are retried, others are not."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The maximum sizes of records, in bytes of JSON. None means no limit.

    The default values of `Sizes` are far above what a well-made graph writes, and far below what causes trouble:

    - A step is written as a whole, and is read again on every resume. Reading takes about 0.2 s for 32 MiB.
    - A state is kept in memory in two forms, which together take about ten times the size of its JSON. For 256 MiB of
      JSON, this is a few GB.
    - A message or an answer comes from outside, perhaps over a network, and waits in the inbox of the run. A text of 1
      MiB is a long document.

    `Sizes` does not change the maximum depth: values that are nested deeper than 128 levels are refused at any size.
    Small updates of the state are measured only once in 1,024 steps, so a run may exceed `state_bytes` by about 1 MiB.

    Args:
        update_bytes: The most that one step can write to the state. A node that returns more fails with `too_large`.
        state_bytes: The most that a run can hold in total: its state, the states of graphs inside it, unfinished items
            and arms, results of calls, and stored messages. A node that would exceed this size fails with `too_large`,
            and a run cannot start with more.
        message_bytes: The size of a message or an answer. A larger one is rejected when it is sent.
        work_bytes: The size of the result of `ctx.call`. The call raises `too_large` for a larger result.
    """

    update_bytes: PositiveInt | None = 32 << 20
    state_bytes: PositiveInt | None = 256 << 20
    message_bytes: PositiveInt | None = 1 << 20
    work_bytes: PositiveInt | None = 16 << 20


_AMOUNTS: Final = ("visits", "tokens", "cost_usd", "seconds")
DEPTH: Final = 1000
"""How many runs may be above a child run by default; Python limits calls to as many."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits at which a run stops, so that it can be resumed with higher limits. None and `math.inf` mean no limit.

    Args:
        visits: The number of completed node visits. Repeated attempts of a visit do not count.
        tokens: The input and output tokens of all model calls.
        cost_usd: The cost of all model calls, in US dollars, which is checked before each call. Calls in parallel
            exceed the limit by one call at most, unless they cost more than estimated. A failed call of unknown cost
            stops the run too.
        seconds: The time for which the run is driven. Time that the run spends waiting does not count.
        unknown_cost: Whether to allow models of unknown price although `cost_usd` is limited. Their calls then count as
            free. By default, they are rejected.
        depth: How many runs may be above a run that a node starts with `ctx.start`; a start beyond that fails. The
            limit holds for all runs below, whatever their own limits.

    Example:
        With the graph of `Graph`'s example:

        >>> count.run_sync(limits=Limits(visits=2)).ending.why
        'visits 2 >= 2'
    """

    visits: int | None = 1000
    tokens: int | None = None
    cost_usd: float | None = None
    seconds: float | None = None
    unknown_cost: bool = False
    depth: int | None = DEPTH

    def given(self) -> LimitsRecord:
        """Return the limits that are set, by name. Limits without a value are left out."""
        amounts = {name: getattr(self, name) for name in _AMOUNTS}
        limits = cast("LimitsRecord", {name: limit for name, limit in amounts.items() if limit is not None})
        if self.unknown_cost:
            limits["unknown_cost"] = 1
        if self.depth != DEPTH:
            limits["depth"] = self.depth
        return limits

    def __post_init__(self) -> None:
        for name in (*_AMOUNTS, "depth"):
            limit = none_for_ever(getattr(self, name))
            object.__setattr__(self, name, limit)
            is_whole = name in ("visits", "tokens", "depth")
            if limit is not None and not (type(limit) in (int, float) and limit >= 0):  # NaN too
                text = f"Limits({name}={limit!r}): {name} must be a number of at least 0, or None for no limit"
                raise DefinitionError(text, repair=f"write Limits({name}=10)")
            if is_whole and limit is not None and limit % 1:
                text = f"Limits({name}={limit!r}): {name} must be a whole number"
                raise DefinitionError(text, repair=f"write Limits({name}=10)")


_DAY_SECONDS: Final = 86400.0


@dataclass(frozen=True, slots=True)
class Retention:
    """How long workers keep runs that have ended. Runs that are running or waiting are always kept.

    Args:
        keep_days: For how many days after its last step a finished or cancelled run is kept; None or `math.inf` to keep
            it forever.
        keep_failed_days: The same for failed and stopped runs, which can still be resumed.
        keep_last: Keep this many of the newest runs of each graph, however old they are.
        keep_tags: Keep runs with one of these tags.
        keep_steps: For a run that is running or waiting: keep the content of at least this many of the last steps.
            Earlier steps are replaced by a snapshot. None to keep all steps.

    Example:
        >>> Retention(keep_days=0, keep_last=1000).keep_failed_days
        90
    """

    keep_days: float | None = 30
    keep_failed_days: float | None = 90
    keep_last: NonNegativeInt = 0
    keep_tags: Sequence[str] = ("keep",)
    keep_steps: PositiveInt | None = None

    def __post_init__(self) -> None:
        for name in ("keep_days", "keep_failed_days"):
            days = none_for_ever(getattr(self, name))
            object.__setattr__(self, name, days)
            if days is not None and not (is_seconds(days, zero=True) and is_seconds(days * _DAY_SECONDS, zero=True)):
                text = f"Retention({name}={days!r}): {name} must be a number of days of at least 0, or None for ever"
                raise DefinitionError(text, repair=f"write Retention({name}=30)")
        if not (isinstance(self.keep_tags, (list, tuple)) and all(map(is_tag, self.keep_tags))):
            raise DefinitionError(
                f"Retention(keep_tags={self.keep_tags!r}) is not a list of tags",
                repair='give texts: keep_tags=["keep"]',
            )


@dataclass(frozen=True, slots=True)
class Migration:
    """How a run that was recorded under one version of a graph becomes a run of the next version.

    `migrate={1: f}` with a plain function is short for `Migration(state=f)`.

    Args:
        state: A function that takes a copy of the recorded fields of the graph's state as JSON values, and returns the
            fields of the next version. It is called when a run is resumed or branched, and its result is recorded:
            later reads of the run do not call it again. Secret fields are passed in clear text, and encrypted when
            recorded.
        renamed: Nodes that have another name now: the new name by the old name. Visit counts, the memory of conditions,
            pauses and the position of the run follow.
        moved: For a run that is at a node which no longer exists: the node of the new version at which it continues, by
            the node of the old version. The unfinished visit is dropped, with everything that it had started.

    Example:
        >>> Migration(renamed={"rate": "review"}).renamed
        {'rate': 'review'}
    """

    state: Callable[[dict[str, Any]], Mapping[str, JsonValue]] | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
