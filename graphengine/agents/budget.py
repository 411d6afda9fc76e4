"""The limits of a run on costs and tokens, shared by the calls of models that are in flight.

What a call used counts when its answer is recorded. Until then it is reserved, so that calls in parallel cannot all see
the same rest of a limit: a call begins only if the recorded usage, all reservations and its own estimate fit. If
nothing is in flight the next call begins in any case, unless the limit is reached. So a limit is exceeded by at most
one call as long as no call in flight takes more than its estimate.

The estimate is the dearest call of the same agent and model in this run and process so far, else of the same model, in
proportion to the length of the question if it is longer. For a first call it is made of the length of the question, the
most tokens of the answer, and the model's price. If that is unknown, the call goes alone.

Reservations are not recorded: a call that was in flight in a process that died is made again, and reserved again. A
call in a provider's batch continues while its node sleeps, and keeps its reservation; in a new process it reserves all
that is left, as the estimate is not known any more.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from graphengine.agents.batching import BATCH_KEY
from graphengine.engine.frame_tree import add_usage
from graphengine.engine.ready import budgets, of_limit
from graphengine.models.base import EstimatesCosts, characters, estimated_tokens

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.models.base import Model, Request
    from graphengine.state.amounts import Usage

_Name: TypeAlias = Literal["cost_usd", "tokens"]
_NAMES: Final[tuple[_Name, ...]] = ("cost_usd", "tokens")
_ANSWER_TOKENS: Final = 4096
"""How long an answer may be that has no `max_tokens`; few are longer."""
_ROUNDING: Final = 1e-9
"""How much more than a limit still fits, as sums of dollars are not exact."""

_IS_INSIDE: Final[ContextVar[bool]] = ContextVar("graphengine_reserved", default=False)
"""Whether this code runs inside a call with a reservation, as an agent in a model's code does; it needs no other."""


@dataclass(frozen=True, slots=True)
class _Known:
    """The dearest call of one agent and model so far."""

    amounts: Mapping[_Name, float]
    characters: int


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A call that is about to be made.

    Attributes:
        agent: The agent.
        model: The model's name.
        characters: The length of the question.
        guess: What it may use, by name, for a first call; a name is missing if that is unknown.
    """

    agent: str
    model: str
    characters: int
    guess: Mapping[_Name, float] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """The kinds of earlier calls from which its use is estimated, the most similar first."""
        return (self.agent, self.model), ("", self.model)


@dataclass(slots=True, eq=False)
class _Reserved:
    """What one call may use.

    Attributes:
        frame: The frame in which it is made.
        amounts: Its estimate by name; infinity for all that is left.
        place: The call's key in the frame's recorded work.
    """

    frame: Frame
    amounts: Mapping[_Name, float]
    place: str = ""


class _Place:
    """The place of a call in the line."""

    awake: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Let it check whether there is room now."""
        if self.awake is not None and not self.awake.done():
            self.awake.set_result(None)


class Budgets:
    """The reservations of one run.

    Args:
        snapshot: The run, whose limits and usage count.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._reserved: list[_Reserved] = []
        self._waiting: list[_Place] = []
        self._known: dict[tuple[str, str], _Known] = {}
        self._unrecorded: dict[str, tuple[Frame, Usage]] = {}
        self._asleep: dict[tuple[str, str], _Reserved] = {}
        for frame in snapshot.frames.values():
            for place in _in_batches(frame):
                self._reserved.append(_Reserved(frame, dict.fromkeys(_NAMES, math.inf), place))
                self._asleep[frame.id, place] = self._reserved[-1]

    @contextmanager
    def asleep(self, frame: Frame, place: str) -> Iterator[None]:
        """Keep the reservation of a call if the attempt ends in the block, because its node sleeps."""
        for reserved in self._reserved:
            if reserved.place == place and reserved.frame.id == frame.id:
                self._asleep[frame.id, place] = reserved
        yield
        self._asleep.pop((frame.id, place), None)  # the sleep was over when the attempt began

    def limits(self, frame: Frame) -> bool:
        """Return whether a call in a frame needs a reservation: a limit applies, and it has none already."""
        return not _IS_INSIDE.get() and next(self._limited(frame), None) is not None

    def knows(self, call: ModelCall) -> bool:
        """Return whether a call like this one was made before."""
        return any(kind in self._known for kind in call.kinds)

    async def held(
        self,
        frame: Frame,
        model: Model,
        request: Request,
        wait: Callable[[asyncio.Future[None]], Awaitable[None]],
        at: str,
    ) -> AbstractContextManager[Callable[[Usage], None]]:
        """Reserve what a call may use once there is room; hold it during a block, which reports what was used.

        Args:
            frame: The frame in which it is made.
            model: The model.
            request: The request.
            wait: Waits for a future, unless the run has to stop before.
            at: The call's key in the frame's recorded work.
        """
        if not self.limits(frame):
            return nullcontext(_nothing)
        call = ModelCall(request.agent, model.name, characters(request))
        if not self.knows(call):
            call = replace(call, guess=await guessed(model, request))
        return (await self.reserve(frame, call, wait, at)).held()

    async def reserve(
        self, frame: Frame, call: ModelCall, wait: Callable[[asyncio.Future[None]], Awaitable[None]], at: str = ""
    ) -> Reservation:
        """Reserve what a call may use, once there is room for it.

        Args:
            frame: The frame in which it is made.
            call: The call.
            wait: Waits for a future, unless the run has to stop before.
            at: The call's key in the frame's recorded work.
        """
        kept = self._asleep.pop((frame.id, at), None)
        if kept is not None:
            return Reservation(self, kept, call)
        place = _Place()
        self._waiting.append(place)
        try:
            while True:
                reserved = _Reserved(frame, self._estimate(call), at)
                if self._waiting[0] is place and self._has_room(reserved):
                    self._reserved.append(reserved)
                    return Reservation(self, reserved, call)
                place.awake = asyncio.get_running_loop().create_future()
                await wait(place.awake)
        finally:
            self._waiting.remove(place)
            self._wake()

    def unrecorded(self, frame: Frame, usage: Usage) -> None:
        """Count what a failed call used, which is recorded when its attempt ends."""
        _, before = self._unrecorded.get(frame.id, (frame, {}))
        self._unrecorded[frame.id] = frame, add_usage(before, usage)

    def recorded(self, frame: Frame) -> None:
        """Note that an attempt has ended, with what its failed calls used."""
        if self._unrecorded.pop(frame.id, None):
            self._wake()

    def learn(self, call: ModelCall, usage: Usage) -> None:
        """Remember what a call used, for the estimates of later ones."""
        amounts = {name: of_limit(name, usage) for name in _NAMES}
        for kind in call.kinds:
            known = self._known.get(kind, _Known({}, 0))
            if any(amounts[name] > known.amounts.get(name, -1.0) for name in _NAMES):
                most: dict[_Name, float] = {name: max(amounts[name], known.amounts.get(name, 0.0)) for name in _NAMES}
                self._known[kind] = _Known(most, max(call.characters, known.characters))

    def release(self, reserved: _Reserved) -> None:
        """Release a reservation, and let the next call check again; one whose node sleeps is kept."""
        if self._asleep.get((reserved.frame.id, reserved.place)) is reserved:
            return
        self._reserved.remove(reserved)
        self._wake()

    def _limited(self, frame: Frame) -> Iterator[tuple[Frame | None, _Name, float, Usage]]:
        """Yield the limits around a frame on what calls use, each with its subgraph and what is used of it."""
        for sub, limits, usage in budgets(self._snapshot, frame):
            for name in _NAMES:
                limit = limits.get(name)
                if limit is not None:
                    yield sub, name, limit, usage

    def _has_room(self, reserved: _Reserved) -> bool:
        """Return whether a call fits into all limits around it."""
        return all(self._fits(reserved, *limited) for limited in self._limited(reserved.frame))

    def _fits(self, reserved: _Reserved, sub: Frame | None, name: _Name, limit: float, usage: Usage) -> bool:
        """Return whether a call fits into one limit, or has it for itself."""
        inside = [each.amounts for each in self._reserved if sub is None or _is_in(each.frame, sub)]
        if not inside:
            return True
        planned = sum(amounts[name] for amounts in (reserved.amounts, *inside))
        failed = [each for at, each in self._unrecorded.values() if sub is None or _is_in(at, sub)]
        used = of_limit(name, usage) + sum(of_limit(name, each) for each in failed)
        return used + planned <= limit + _ROUNDING

    def _estimate(self, call: ModelCall) -> Mapping[_Name, float]:
        """Return what a call will probably use at most."""
        known = next((self._known[kind] for kind in call.kinds if kind in self._known), None)
        if known is None:
            return {name: call.guess.get(name, math.inf) for name in _NAMES}
        longer = max(1.0, call.characters / max(known.characters, 1))
        return {name: amount * longer for name, amount in known.amounts.items()}

    def _wake(self) -> None:
        if self._waiting:
            self._waiting[0].wake()


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a call that is about to be made may use."""

    _budgets: Budgets
    _reserved: _Reserved
    _call: ModelCall

    @contextmanager
    def held(self) -> Iterator[Callable[[Usage], None]]:
        """Hold it during a block; the block gets a function to call with what the call used."""
        before = _IS_INSIDE.set(True)
        try:
            yield partial(self._budgets.learn, self._call)
        finally:
            _IS_INSIDE.reset(before)
            self._budgets.release(self._reserved)


def _nothing(usage: Usage) -> None:
    """Do nothing, as no limit applies."""


async def guessed(model: Model, request: Request) -> Mapping[_Name, float]:
    """Return what a first call may use: about the tokens of the question, and the most of an answer."""
    asked, answered = estimated_tokens(request), request.settings.max_tokens or _ANSWER_TOKENS
    found: dict[_Name, float] = {"tokens": float(asked + answered)}
    cost = await model.price_of(asked, answered) if isinstance(model, EstimatesCosts) else None
    return found if cost is None else {**found, "cost_usd": cost}


def _in_batches(frame: Frame) -> Iterator[str]:
    """Yield the keys of a frame's calls that are in a batch and have no answer yet."""
    for key in frame.memos:
        place, found, _ = key.rpartition(BATCH_KEY)
        if found and place not in frame.memos:
            yield place


def _is_in(frame: Frame, sub: Frame) -> bool:
    """Return whether a frame is inside a subgraph."""
    around = frame.sub
    while around is not None and around is not sub:
        around = around.up.sub if around.up is not None else None
    return around is not None


__all__ = ["Budgets", "ModelCall", "Reservation", "guessed"]
