"""The limits of a run on costs and tokens, shared by all model calls that are in flight.

**When a call may begin.** The usage of a call counts when its answer is recorded. Until then an estimate is reserved,
so that parallel calls cannot all rely on the same remaining amount. A call may begin beside other calls only if the
recorded usage, all reservations and the call's own estimate fit into the limit. If no other call is in flight, a call
may begin when the recorded usage is below the limit. As long as no call exceeds its estimate, a limit is therefore
exceeded by at most one call. The recorded usage consists of the usage of recorded steps and the usage of failed calls
of the current attempts. If it reaches the limit, the attempt that wants to make a call ends.

**How a call is estimated.** The estimate is the most expensive call so far of the same agent and model in this run and
process, or else of the same model. If the question is longer than the question of that call, the estimate grows in
proportion. The first call is estimated from the length of the question, the largest allowed number of tokens of the
answer, and the price of the model. If the price is unknown, the call has to be alone.

**What happens after a crash.** Reservations are not recorded. If a process dies during a call, another process makes
the call again and reserves again. A call in a provider's batch continues while its node sleeps and keeps its
reservation. A new process does not know the estimate of that call, so it reserves everything that is left of the limit.

Every run has an `AgentsOfRun` follower. To keep the import of this module cheap, modules that only model calls need are
imported when the first call is made.
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
"""Awaited with the usage of a call before the call's answer is recorded."""
LimitedName: TypeAlias = Literal["cost_usd", "tokens"]
_NAMES: Final[tuple[LimitedName, ...]] = ("cost_usd", "tokens")
_ANSWER_TOKENS: Final = 4096
"""The assumed number of tokens of an answer without `max_tokens`; few answers are longer."""
_ROUNDING: Final = 1e-9
"""The amount by which a limit may be exceeded, because sums of dollars are not exact."""

_IS_INSIDE: Final[ContextVar[bool]] = ContextVar("graphengine_reserved", default=False)
"""Whether this code runs inside a call with a reservation, such as an agent in the code of a model.

Such an inner call needs no reservation of its own.
"""


@dataclass(frozen=True, slots=True)
class _DearestCall:
    amounts: Mapping[LimitedName, float]
    characters: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known about a model call before it is made, so that its cost and tokens can be estimated.

    Attributes:
        kinds: The kinds of earlier calls to compare the call with, the most similar kind first. A kind is a pair of an
            agent and a model.
        characters: The length of the question.
        guess: The estimated cost and tokens if no earlier call of these kinds is known. Infinity means that the call is
            expected to need the whole rest of a limit.
    """

    kinds: Sequence[tuple[str, str]]
    characters: int
    guess: Mapping[LimitedName, float]


class Estimates:
    """Estimates the cost and tokens of a model call: as much as the most expensive earlier call of its kind needed."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], _DearestCall] = {}

    async def of(self, model: Model, request: Request) -> Estimate:
        from graphengine.models.base import characters  # noqa: PLC0415 - see above

        kinds = ((request.agent, model.name), ("", model.name))
        is_known = any(kind in self._known for kind in kinds)
        most = request.settings.max_tokens or _ANSWER_TOKENS
        return Estimate(kinds, characters(request), {} if is_known else await estimate_use(model, request, most))

    def amounts(self, call: Estimate) -> Mapping[LimitedName, float]:
        """Return the estimated cost and tokens of a model call, by the names of the limits.

        Infinity means that the call is expected to need everything that is left of a limit.
        """
        known = next((self._known[kind] for kind in call.kinds if kind in self._known), None)
        if known is None:
            return call.guess
        longer = max(1.0, call.characters / max(known.characters, 1))
        return {name: amount * longer for name, amount in known.amounts.items()}

    def learn(self, call: Estimate, usage: Usage) -> None:
        """Remember the usage of a finished model call, if no earlier call of the same kind used more.

        The remembered usage is the estimate for later calls of this kind.
        """
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
    """A model call for which a run reserves cost and tokens, so that calls in parallel do not exceed the run's limits.

    The call first waits until its estimated usage fits into the limits, and is then made with this usage reserved.

    Attributes:
        frame: The state of the node that makes the call.
        place: The key under which the node records the call.
        estimate: What is known about the call.
        amounts: The estimated cost and tokens, as computed when the call was last checked.
        awake: Exists while the call waits. It is completed when the call has to check again whether there is room.
    """

    frame: Frame
    place: str
    estimate: Estimate
    amounts: Mapping[LimitedName, float]
    awake: asyncio.Future[None] | None = None


class Reservations:
    """Reserves the estimated usage of all model calls of one run, so that parallel calls do not exceed its limits.

    Args:
        snapshot: The run, with its limits and its usage.
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
        """Keep the reservation of a model call in a provider's batch if its node goes to sleep inside the block.

        While the node sleeps, the estimated usage of the call stays reserved, so that other calls cannot use the same
        part of a limit. If the sleep is already over, the block simply ends, and nothing is kept.
        """
        for reserved in self._reserved:
            if reserved.place == place and reserved.frame.id == frame.id:
                self._asleep[frame.id, place] = reserved
        yield
        self._asleep.pop((frame.id, place), None)  # the sleep was over when the attempt began

    async def held(
        self, runtime: RunRuntime, model: Model, request: Request
    ) -> AbstractContextManager[Callable[[Usage], None]]:
        """Wait until the estimated usage of a model call fits into the run's limits, and reserve it during the call.

        If the run must stop first, or a limit is reached, the attempt ends and this method never returns.

        A call inside a `ctx.call` is different, because a `ctx.call` always finishes before the run stops. Such a call
        waits for room, too, but only until no other call is in flight. Then the call is made even if it exceeds a
        limit.

        Returns:
            A context that holds the reservation. It yields a function that must be called with the actual usage.
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
        # The call is no longer in the list of waiting calls, so other calls of its attempt are woken. The attempt ends
        # once all of them halt.
        if not has_room:
            await runtime.halt()
        return self._hold_reservation(call)

    @contextmanager
    def _hold_reservation(self, reserved: _Reservation) -> Iterator[Callable[[Usage], None]]:
        before = _IS_INSIDE.set(True)
        try:
            yield partial(self._estimates.learn, reserved.estimate)
        finally:
            _IS_INSIDE.reset(before)
            self._release(reserved)

    def _release(self, reserved: _Reservation) -> None:
        """End the reservation of a model call that has finished, and wake the calls that wait for room in the limits.

        If the node of the call sleeps, its reservation is kept until the node continues.
        """
        if self._asleep.get((reserved.frame.id, reserved.place)) is reserved:
            return
        self._reserved.remove(reserved)
        self._wake()

    def _find_limits(
        self, frame: Frame, spending: Sequence[AttemptFacts] = ()
    ) -> Iterator[tuple[Frame | None, LimitedName, float, float]]:
        """Yield the limits that apply to a node: those of the run and of each subgraph around the node.

        Each limit comes with its subgraph (None for the run), its name, its amount, and the amount that is already
        used. `spending` contains the running attempts, whose failed calls count as well.
        """
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
        """Wait until the estimated usage of a model call fits into the limits, and return True.

        Returns False if the run has to stop first, or if one of its limits is reached.
        """
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
        """Return whether a model call may begin without exceeding a limit, judged by its estimated usage.

        The usage that is reserved for the calls in flight is counted as well. If no other call is in flight, the call
        may always begin, so that a run with a small limit does not wait for ever.
        """
        inside = [each.amounts[name] for each in self._reserved if _is_in(each.frame, sub)]
        return not inside or used + call.amounts[name] + sum(inside) <= limit + _ROUNDING

    def _wake(self) -> None:
        awake = self._waiting[0].awake if self._waiting else None
        if awake is not None and not awake.done():
            awake.set_result(None)


def _settle_nothing(usage: Usage) -> None:
    """Ignore the actual usage of a call, because no limit applies to the call."""


async def estimate_use(model: Model, request: Request, answer_tokens: int) -> dict[LimitedName, float]:
    """Estimate the cost and tokens of a model call, if its answer has `answer_tokens` tokens.

    A cost that cannot be estimated is infinity.
    """
    from graphengine.models.base import EstimatesCosts, estimate_tokens  # noqa: PLC0415 - see above

    asked = estimate_tokens(request)
    cost = await model.price_of(asked, answer_tokens) if isinstance(model, EstimatesCosts) else None
    return {"tokens": float(asked + answer_tokens), "cost_usd": math.inf if cost is None else cost}


def find_calls_in_batches(frame: Frame) -> Iterator[str]:
    """Yield the keys of a node's model calls that are in a provider's batch and have no recorded answer yet."""
    for key in frame.recorded_results:
        work = WorkKey.read(key)
        is_batch = work.name == "batch" and WorkKey.read(work.around).kind in ("turn", "summary")
        if is_batch and work.around not in frame.recorded_results:
            yield work.around


def _is_in(frame: Frame, sub: Frame | None) -> bool:
    """Return whether a node belongs to a subgraph, directly or in a subgraph of that subgraph.

    `frame` is the state of the node, and `sub` is the state of the subgraph. If `sub` is None, it stands for the whole
    run, to which every node belongs.
    """
    if sub is None:
        return True
    around = frame.sub
    while around is not None and around is not sub:
        around = around.up.sub if around.up is not None else None
    return around is not None


class Opens(Protocol):
    """An interface of objects that are opened before their use and closed afterwards, such as a source of tools."""

    async def open(self) -> Sequence[Any]: ...

    async def close(self) -> None: ...


class AgentPlace(NamedTuple):
    """Where in a graph an agent is called: the node, and the agents involved.

    Attributes:
        path: The path of the node.
        agent: The name of the agent that is called.
        owner: The name of the agent that was added to the graph as this node. It differs from `agent` if, for example,
            a tool of the node's agent calls another agent. None if the node is a function.
    """

    path: str
    agent: str
    owner: str | None = None


class Routes(Protocol):
    """An interface for choosing the model of each agent; implemented by `graphengine.agents.model_routing.Models`."""

    def of(
        self, graph: str, place: AgentPlace, own: Model | str | None, begun: Mapping[str, str] | None = None
    ) -> Model:
        """Return the model that an agent uses at this place of a graph: its own model, or a replacement.

        `own` is the agent's own model. `begun` contains the names of the replacing models that were recorded when the
        run was started, by the name of an agent or a path.
        """
        ...

    def instructions(self, given: Mapping[str, str], graph: str, place: AgentPlace) -> str | None:
        """Return the instructions that replace an agent's own instructions at this place of a graph, or None.

        `given` contains all replacing texts, by the name of an agent or a path. None means that the agent keeps its own
        instructions.
        """
        ...

    async def tools_of(self, source: Opens, *, begins: bool = True) -> Sequence[Any]:
        """Return the tools of a source, such as an MCP server, which stays open until the Runner is closed.

        `begins` is True in the first turn of a call of an agent: the source is then asked for its current tools. In a
        later turn of the same call it is False, and the source is asked again only if its tools are known to have
        changed.
        """
        ...


class SharedBudgets(Follower, ABC):
    """An interface of the budgets that several runs share, seen from one of these runs; see `graphengine.budgets`."""

    @abstractmethod
    def held(self, runtime: RunRuntime, model: Model, request: Request) -> AbstractAsyncContextManager[Settle]:
        """Reserve the estimated usage of a model call in the shared budgets for the duration of the block.

        The block must await the yielded function with the actual usage.
        """


@dataclass(eq=False)
class AgentsOfRun(Follower):
    """What all agents of one run share: the models, the clock of the rate limiters, and the reservations of the limits.

    Args:
        models: The models of the Runner.
        clock: The clock of the rate limiters; None for the clock of the machine.
        snapshot: The run.
    """

    models: Routes
    clock: Clock | None
    snapshot: Snapshot

    @cached_property
    def budgets(self) -> Reservations:
        return Reservations(self.snapshot)


__all__ = [
    "AgentPlace",
    "AgentsOfRun",
    "Estimate",
    "Estimates",
    "Opens",
    "Reservations",
    "Routes",
    "Settle",
    "SharedBudgets",
    "estimate_use",
    "find_calls_in_batches",
]
