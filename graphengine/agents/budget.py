"""The limits of a run on costs and tokens, shared by the calls of models that are in flight.

What a call used counts when its answer is recorded. Until then it is reserved, so that calls in parallel cannot all see
the same rest of a limit: a call begins beside others only if what is used, all reservations and its own estimate
fit. Alone it begins if what is used is below the limit. So a limit is exceeded by at most one call as long as no call
in flight takes more than its estimate. What is used is what steps have recorded, and what failed calls of the attempts
in flight used. If that reaches the limit, the attempt that wants to make a call ends.

The estimate is the dearest call of the same agent and model in this run and process so far, else of the same model, in
proportion to the length of the question if it is longer. For a first call it is made of the length of the question, the
most tokens of the answer, and the model's price. If that is unknown, the call goes alone.

Reservations are not recorded: a call that was in flight in a process that died is made again, and reserved again. A
call in a provider's batch continues while its node sleeps, and keeps its reservation; in a new process it reserves all
that is left, as the estimate is not known any more.

Every run is followed by its `AgentsOfRun`, so what only calls of models need is imported when one is made.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from graphengine.kernel.extension import Follower, add_usage, is_cost_unknown
from graphengine.kernel.inside import WorkKey, allows_unknown_cost, budgets, of_limit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from graphengine.agents.runtime import RunRuntime
    from graphengine.kernel.extension import AttemptFacts, Clock
    from graphengine.kernel.reader import Frame, Snapshot, Usage
    from graphengine.models.base import Model, Request

Settle: TypeAlias = "Callable[[Usage], Awaitable[None]]"
"""Gets what a call used before its answer is recorded."""
LimitedName: TypeAlias = Literal["cost_usd", "tokens"]
_NAMES: Final[tuple[LimitedName, ...]] = ("cost_usd", "tokens")
_ANSWER_TOKENS: Final = 4096
"""How long an answer may be that has no `max_tokens`; few are longer."""
_ROUNDING: Final = 1e-9
"""How much more than a limit still fits, as sums of dollars are not exact."""

_IS_INSIDE: Final[ContextVar[bool]] = ContextVar("graphengine_reserved", default=False)
"""Whether this code runs inside a call with a reservation, as an agent in a model's code does; it needs no other."""


@dataclass(frozen=True, slots=True)
class _DearestCall:
    """The dearest call of one agent and model so far."""

    amounts: Mapping[LimitedName, float]
    characters: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of a call before it is made.

    Attributes:
        kinds: The kinds of earlier calls that it is like, each an agent and a model, the most similar first.
        characters: The length of the question.
        guess: What it may use as long as no such call is known, by name; infinity for all that is left.
    """

    kinds: Sequence[tuple[str, str]]
    characters: int
    guess: Mapping[LimitedName, float]


class Estimates:
    """What calls may use, by the dearest that were made so far."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], _DearestCall] = {}

    async def of(self, model: Model, request: Request) -> Estimate:
        """Return what is known of a call."""
        from graphengine.models.base import characters  # noqa: PLC0415 - see above

        kinds = ((request.agent, model.name), ("", model.name))
        is_known = any(kind in self._known for kind in kinds)
        most = request.settings.max_tokens or _ANSWER_TOKENS
        return Estimate(kinds, characters(request), {} if is_known else await estimate_use(model, request, most))

    def amounts(self, call: Estimate) -> Mapping[LimitedName, float]:
        """Return what a call may use, by name, as far as is known now; infinity for all that is left."""
        known = next((self._known[kind] for kind in call.kinds if kind in self._known), None)
        if known is None:
            return call.guess
        longer = max(1.0, call.characters / max(known.characters, 1))
        return {name: amount * longer for name, amount in known.amounts.items()}

    def learn(self, call: Estimate, usage: Usage) -> None:
        """Remember what a call used."""
        amounts = {name: of_limit(name, usage) for name in _NAMES}
        for kind in call.kinds:
            known = self._known.get(kind, _DearestCall({}, 0))
            if any(amounts[name] > known.amounts.get(name, -1.0) for name in _NAMES):
                most: dict[LimitedName, float] = {
                    name: max(amounts[name], known.amounts.get(name, 0.0)) for name in _NAMES
                }
                self._known[kind] = _DearestCall(most, max(call.characters, known.characters))


_ALL_THAT_IS_LEFT: Final = Estimate((), 0, dict.fromkeys(_NAMES, math.inf))


@dataclass(slots=True, eq=False)
class _Reservation:
    """A call that waits for room in the limits around it, or has it.

    Attributes:
        frame: The frame in which it is made.
        place: The call's key in the frame's recorded work.
        estimate: What is known of it.
        amounts: What it may use, by name, as estimated when it was last looked at.
        awake: Set when it has to check again whether there is room, while it waits.
    """

    frame: Frame
    place: str
    estimate: Estimate
    amounts: Mapping[LimitedName, float]
    awake: asyncio.Future[None] | None = None


class Reservations:
    """The reservations of one run.

    Args:
        snapshot: The run, whose limits and usage count.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._reserved: list[_Reservation] = []
        self._waiting: list[_Reservation] = []
        self._estimates = Estimates()
        self._asleep: dict[tuple[str, str], _Reservation] = {}
        for frame in snapshot.frames.values():
            for place in find_calls_in_batches(frame):
                self._reserved.append(_Reservation(frame, place, _ALL_THAT_IS_LEFT, _ALL_THAT_IS_LEFT.guess))
                self._asleep[frame.id, place] = self._reserved[-1]

    @contextmanager
    def asleep(self, frame: Frame, place: str) -> Iterator[None]:
        """Keep the reservation of a call if the attempt ends in the block, because its node sleeps."""
        for reserved in self._reserved:
            if reserved.place == place and reserved.frame.id == frame.id:
                self._asleep[frame.id, place] = reserved
        yield
        self._asleep.pop((frame.id, place), None)  # the sleep was over when the attempt began

    async def held(
        self, runtime: RunRuntime, model: Model, request: Request
    ) -> AbstractContextManager[Callable[[Usage], None]]:
        """Reserve what a call may use once there is room; hold it during a block, which reports what was used.

        If the run must stop first, or a limit is reached, never return. A call inside a `ctx.call`, which finishes
        first, begins once it is alone.
        """
        frame, at = runtime.frame, runtime.below
        if _IS_INSIDE.get() or next(self._find_limits(frame), None) is None:
            return nullcontext(_settle_nothing)
        estimate = await self._estimates.of(model, request)
        call = _Reservation(frame, at, estimate, estimate.guess)
        kept = self._asleep.pop((frame.id, at), None)
        if kept is not None:
            kept.estimate = estimate
            return self._hold_reservation(kept)
        self._waiting.append(call)
        try:
            if has_room := await self._has_room(call, runtime):
                self._reserved.append(call)
        finally:
            self._waiting.remove(call)
            self._wake()
        if not has_room:  # it waits no longer, so that others of its attempt, which ends once all halt, are woken
            await runtime.halt()
        return self._hold_reservation(call)

    @contextmanager
    def _hold_reservation(self, reserved: _Reservation) -> Iterator[Callable[[Usage], None]]:
        """Hold a reservation during a block; the block gets a function to call with what the call used."""
        before = _IS_INSIDE.set(True)
        try:
            yield partial(self._estimates.learn, reserved.estimate)
        finally:
            _IS_INSIDE.reset(before)
            self._release(reserved)

    def _release(self, reserved: _Reservation) -> None:
        """Release a reservation, and let the next call check again; one whose node sleeps is kept."""
        if self._asleep.get((reserved.frame.id, reserved.place)) is reserved:
            return
        self._reserved.remove(reserved)
        self._wake()

    def _find_limits(
        self, frame: Frame, spending: Sequence[AttemptFacts] = ()
    ) -> Iterator[tuple[Frame | None, LimitedName, float, float]]:
        """Yield the limits around a frame on what calls use, each with its subgraph and what is used of it."""
        for sub, limits, usage in budgets(self._snapshot, frame):
            for each in spending:
                if each.usage and _is_in(each.frame, sub):
                    usage = add_usage(usage, each.usage)  # noqa: PLW2901 - a sum
            is_unknown = is_cost_unknown(usage) and not allows_unknown_cost(limits)
            for name in _NAMES:
                limit = limits.get(name)
                if limit is not None:
                    used = math.inf if is_unknown and name == "cost_usd" else of_limit(name, usage)
                    yield sub, name, limit, used

    async def _has_room(self, call: _Reservation, runtime: RunRuntime) -> bool:
        """Wait until a call may begin; return False if the run must stop first, or a limit around it is reached."""
        while True:
            limits = [*self._find_limits(call.frame, runtime.around.host.spending())]
            if not runtime.work.is_inside and any(used >= limit for _, _, limit, used in limits):
                return False
            call.amounts = self._estimates.amounts(call.estimate)
            if self._waiting[0] is call and all(self._fits(call, *each) for each in limits):
                return True
            call.awake = asyncio.get_running_loop().create_future()
            if not await runtime.may_continue(call.awake):
                return False

    def _fits(self, call: _Reservation, sub: Frame | None, name: LimitedName, limit: float, used: float) -> bool:
        """Return whether a call fits into a limit beside those in flight, by its present estimate."""
        inside = [each.amounts[name] for each in self._reserved if _is_in(each.frame, sub)]
        return not inside or used + call.amounts[name] + sum(inside) <= limit + _ROUNDING

    def _wake(self) -> None:
        """Let the first call that waits check again."""
        awake = self._waiting[0].awake if self._waiting else None
        if awake is not None and not awake.done():
            awake.set_result(None)


def _settle_nothing(usage: Usage) -> None:
    """Do nothing, as no limit applies."""


async def estimate_use(model: Model, request: Request, answer_tokens: int) -> dict[LimitedName, float]:
    """Return about how much a call uses, with its question, if its answer has this many tokens.

    An unknown cost is infinite.
    """
    from graphengine.models.base import EstimatesCosts, estimate_tokens  # noqa: PLC0415 - see above

    asked = estimate_tokens(request)
    cost = await model.price_of(asked, answer_tokens) if isinstance(model, EstimatesCosts) else None
    return {"tokens": float(asked + answer_tokens), "cost_usd": math.inf if cost is None else cost}


def find_calls_in_batches(frame: Frame) -> Iterator[str]:
    """Yield the keys of a frame's calls that are in a batch and have no answer yet."""
    for key in frame.recorded_results:
        work = WorkKey.read(key)
        is_batch = work.name == "batch" and WorkKey.read(work.around).kind in ("turn", "summary")
        if is_batch and work.around not in frame.recorded_results:
            yield work.around


def _is_in(frame: Frame, sub: Frame | None) -> bool:
    """Return whether a frame is inside a subgraph; all are inside the run, which is None."""
    if sub is None:
        return True
    around = frame.sub
    while around is not None and around is not sub:
        around = around.up.sub if around.up is not None else None
    return around is not None


class Opens(Protocol):
    """A resource that is opened before use, and closed after it."""

    async def open(self) -> Sequence[Any]:
        """Open it. Return its content."""
        ...

    async def close(self) -> None:
        """Close it."""
        ...


class Place(NamedTuple):
    """Where an agent is called.

    Attributes:
        path: The path of the node.
        agent: The agent's name.
        owner: The agent whose node it is, which can be another one; None for a function's.
    """

    path: str
    agent: str
    owner: str | None = None


class Routes(Protocol):
    """The models of a Runner: `graphengine.agents.model_routing.Models`."""

    def of(self, graph: str, place: Place, own: Model | str | None, begun: Mapping[str, str] | None = None) -> Model:
        """Return the model of an agent at a place in a run of this graph that was begun with these names."""
        ...

    def instructions(self, given: Mapping[str, str], graph: str, place: Place) -> str | None:
        """Return what is given for an agent at a place in a run of this graph; None for nothing."""
        ...

    async def tools_of(self, source: Opens, *, begins: bool = True) -> Sequence[Any]:
        """Return the tools of a source, which stays open as long as the Runner; `begins` says if a call begins."""
        ...


class SharedBudgets(Follower, ABC):
    """The budgets across runs, as one run meets them: `graphengine.budgets`."""

    @abstractmethod
    def held(self, runtime: RunRuntime, model: Model, request: Request) -> AbstractAsyncContextManager[Settle]:
        """Hold what a call may take of them during a block, which awaits the given function with what it used."""


@dataclass(eq=False)
class AgentsOfRun(Follower):
    """The agents of one run.

    Args:
        models: The models of the Runner.
        clock: The clock of the limiters of models; None for that of the machine.
        snapshot: The run.
    """

    models: Routes
    clock: Clock | None
    snapshot: Snapshot

    @cached_property
    def budgets(self) -> Reservations:
        """The reservations of calls."""
        return Reservations(self.snapshot)


__all__ = [
    "AgentsOfRun",
    "Estimate",
    "Estimates",
    "Opens",
    "Place",
    "Reservations",
    "Routes",
    "Settle",
    "SharedBudgets",
    "estimate_use",
    "find_calls_in_batches",
]
