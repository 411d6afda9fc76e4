"""Recorded work and waits of one attempt of a node: what `ctx.step`, `ctx.ask`, `ctx.receive` and `ctx.sleep` do.

Each piece is kept in the log under a key: its name, a digest of what it was given, and its number among equal ones.
When the node runs again in the same attempt, what has a record is not done again. The order in which pieces run side by
side come to their ends does not matter, since no key depends on time. A call made inside another one has its key below
that one's.

A wait that has no answer yet ends the attempt: recorded calls in flight come to their ends first, then the asyncio task
that the node runs in is cancelled, as a timeout would cancel it, and the runner records what is waited for. A call of a
tool in which something waits cannot come to its end: it is cut off with the attempt, and made again when the node runs
again, with what was recorded inside it. What is in flight when an attempt is over for another reason is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import math
from collections import Counter
from contextvars import ContextVar
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from pydantic import ValidationError

from graphengine.agents.run_scope import Piece
from graphengine.engine.events import AnswerRefused, WorkDone
from graphengine.engine.phases import Memo
from graphengine.engine.steps import WaitRecord, path_of
from graphengine.errors import DefinitionError, NodeTimeout, NotAwaited, NotRecordable, TooLarge, WaitTimeout
from graphengine.graph.question import NO_ANSWER, Answers
from graphengine.graph.runnable import is_async
from graphengine.runner.call_records import digest_of_call, returned, told_apart
from graphengine.runner.threads import in_thread
from graphengine.state.field import explain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence

    from graphengine.engine.snapshot import Frame, Task
    from graphengine.runner.context import Surroundings
    from graphengine.state.json_values import JsonValue

T = TypeVar("T")

_TURNS: Final = 4
"""Turns of the event loop between a wait and the end of its attempt."""
_ASKED: Final = "asked "
"""Before the key of a wait: its name and its time, for the node that runs again before it is over."""


class _Inside(NamedTuple):
    """Where in the recorded work of an attempt something is done.

    Attributes:
        work: Whose work it is.
        key: Below which key what is recorded here has its own.
        is_call: Whether a `ctx.step` is under way around it.
        around: What is being done around it, by key.
    """

    work: Work | None = None
    key: str = ""
    is_call: bool = False
    around: tuple[str, ...] = ()


_NOWHERE: Final = _Inside()
_INSIDE: Final[ContextVar[_Inside]] = ContextVar("graphengine_step", default=_NOWHERE)


class Work:
    """The recorded work of one attempt.

    Args:
        task: The attempt.
        frame: Its frame, where the records are.
        around: What it has in common with the other attempts of the run.
        say: Says again what a recorded call said.

    Attributes:
        waits: What it waits for, by name.
        halts: Whether it is to end without waiting for anything, to be run again when the run goes on.
        ending: Whether the attempt is being ended for its waits, or since it halts.
        over: Whether it came to its end.
        called_off: What was in flight then, by name.
    """

    __slots__ = ("_busy", "_counts", "_cut_off", "_frame", "_functions", "_given", "_guard", "_handed", "_held",
                 "_idle", "_note", "_now", "_owner", "_parked", "_raised", "_said", "_say", "_sizes", "_task",
                 "_threads", "_time", "_used", "called_off", "ending", "halts", "over", "waits")  # fmt: skip

    def __init__(self, task: Task, frame: Frame, around: Surroundings, say: Callable[[str, JsonValue], None]) -> None:
        self._guard = around.guard
        self._task = task
        self._frame = frame
        self._note = around.host.note
        self._now = around.now
        self._threads = around.threads
        self._sizes = around.sizes
        self._owner = around.host.task_of(frame.id)
        self._counts: dict[str, int] = {}
        self._functions: dict[str, object] = {}
        self._used: set[str] = set()
        self._given: list[str] = []
        self._raised: list[BaseException] = []
        self._handed: list[tuple[str, Coroutine[Any, Any, Any]]] = []
        self._busy: dict[str, tuple[str, asyncio.Task[Any] | None]] = {}
        self._held: Counter[str] = Counter()
        self._said: dict[str, dict[str, list[JsonValue]]] = {}
        self._parked: set[asyncio.Future[None]] = set()
        self._idle: asyncio.Future[None] | None = None
        self._cut_off = False
        self._say = say
        self._time = frame.arrived
        self.waits: dict[str, WaitRecord] = {}
        self.halts = False
        self.ending = False
        self.over = False
        self.called_off: Sequence[str] = ()

    @property
    def unused(self) -> Sequence[str]:
        """What was recorded and not asked for, by name and number; what a recorded call did inside is that call's."""
        below = tuple(f"{key}/" for key in self._given)
        return [k for k in self._frame.memos if k not in self._used and not k.startswith((_ASKED, *below))]

    def raised(self, error: BaseException) -> bool:
        """Whether an exception came out of a recorded call, as it is or wrapped in others, or a timeout met one."""
        if self._cut_off and isinstance(error, NodeTimeout):
            return True
        left: list[BaseException | None] = [error]
        seen: set[int] = set()
        while left:
            here = left.pop()
            if here is None or id(here) in seen:
                continue
            seen.add(id(here))
            if any(here is known for known in self._raised):
                return True
            left += [here.__cause__, *(here.exceptions if isinstance(here, BaseExceptionGroup) else ())]
        return False

    def handed(self, what: str, coroutine: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """A coroutine for the node to await, under the name of what it asked for."""
        self._handed.append((what, coroutine))
        return coroutine

    def awaited(self) -> None:
        """See that the node awaited all that it began.

        Raises:
            NotAwaited: It did not, so what it meant to do was not done.
        """
        created = inspect.CORO_CREATED
        forgotten = [(what, made) for what, made in self._handed if inspect.getcoroutinestate(made) == created]
        for _, made in forgotten:
            made.close()
        if forgotten:
            names = ", ".join(f"ctx.{what}" for what, _ in forgotten)
            raise NotAwaited(
                f"what {names} was to do was not awaited, so nothing of it was done",
                where=f"node {path_of(self._frame.id, self._task.node)}",
                repair="write await in front of it, in an async node",
            )

    @property
    def time(self) -> float:
        """The time as the log has it: when the attempt could begin, or the last piece of recorded work was done."""
        return self._time

    def _pass(self, memo: Memo) -> None:
        self._time = max(self._time, memo.at)

    def still_going(self, what: str) -> None:
        """See that the attempt is not over.

        Raises:
            DefinitionError: It is.
        """
        if self.over:
            raise DefinitionError(
                f"{what} was called when its node had ended",
                where=f"node {path_of(self._frame.id, self._task.node)}",
                repair="await what the node begins before it returns",
            )

    async def call(
        self, function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object], key: str | None
    ) -> object:
        """The result of a call: the recorded one, or that of making it now.

        Raises:
            NotRecordable: The result, or, without a key, an argument is nothing that JSON can carry; whatever the
                function raises.
        """
        name, identity, given = told_apart(function, args, kwargs)
        what = key if key is not None else digest_of_call(name, *given)
        if key is None:
            self._one_function(name, what, identity)
        place = self._key(name, what)
        kind = returned(function, name)
        self.still_going(f"ctx.step({name})")
        if place in self._frame.memos:
            return kind.read(self._known(place))

        async def make() -> tuple[Piece, object]:
            made = functools.partial(function, *args, **kwargs)
            result = made() if is_async(function) else await in_thread(self._threads(), made)
            if inspect.isawaitable(result):
                result = await result
            record, back, size_bytes = kind.record(result, name)
            return Piece(record, size_bytes), back

        return await self._done(place, name, make, f"ctx.step({name})", is_call=True)

    async def piece(self, name: str, what: str, make: Callable[[], Awaitable[Piece]]) -> JsonValue:
        """The record of a piece of work that makes its own record: the one that is there, or that of doing it now.

        Args:
            name: What it is.
            what: What tells it from others of that name.
            make: Does it.

        Raises:
            TooLarge: The record takes too many bytes; whatever `make` raises.
        """
        self.still_going(f"the {name} of an agent")
        place = self._key(name, what)
        if place in self._frame.memos:
            return self._known(place)

        async def made() -> tuple[Piece, object]:
            done = await make()
            return done, done.record

        return await self._done(place, name, made, f"the {name} of an agent", is_call=self.is_inside)

    def place(self, name: str, what: str) -> str:
        """A key of its own for something in which several pieces of work are done, whatever goes on beside it."""
        return self._key(name, what)

    def recorded(self, place: str) -> Sequence[JsonValue]:
        """What was recorded directly below this key."""
        below = f"{place}/"
        memos = self._frame.memos
        return [memos[key].value for key in memos if key.startswith(below) and "/" not in key[len(below) :]]

    @contextlib.contextmanager
    def group(self, place: str) -> Iterator[None]:
        """What is recorded inside has its keys below this one."""
        around = _INSIDE.get()
        _INSIDE.set(self._here._replace(work=self, key=place))
        try:
            yield
        finally:
            _INSIDE.set(around)

    @property
    def _here(self) -> _Inside:
        """Where in this attempt's work we are."""
        here = _INSIDE.get()
        return here if here.work is self else _NOWHERE

    @property
    def is_inside(self) -> bool:
        """Whether a call that the node records with `ctx.step` is being made here."""
        return self._here.is_call

    async def halt(self) -> None:
        """End the attempt here; it is run again, with what it has recorded, when the run goes on. Never returns."""
        self.still_going("an agent")
        self.halts = True
        await self._park()

    async def _park(self) -> None:
        """Wait here for the end of the attempt, and let it end. Never returns."""
        if self.ending:  # and the node does not let that through
            await asyncio.sleep(0)
            raise asyncio.CancelledError
        around = self._here.around
        self._held.update(around)
        parked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parked.add(parked)
        self._end_soon()
        try:
            await parked  # the attempt ends here
        finally:
            self._parked.discard(parked)
            self._held.subtract(around)

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """What fails in here is no reason to forget what was recorded."""
        with self._watching():
            yield

    async def end(self) -> None:
        """Cancel what is in flight where the attempt is over, and return when that has ended. Called by the runner."""
        self.over = True
        for parked in tuple(self._parked):
            parked.cancel()
        self.called_off = sorted({name for name, _ in self._busy.values()})
        for task in {task for _, task in self._busy.values()}:
            if task is not None:
                task.cancel()
        while self._busy:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    @property
    def is_left(self) -> bool:
        """Whether anything is in flight, or waits for the end of the attempt."""
        return bool(self._busy or self._parked)

    def _known(self, place: str) -> JsonValue:
        """What was recorded; what it said is said again."""
        self._given.append(place)
        memo = self._frame.memos[place]
        self._pass(memo)
        for what, records in memo.said.items():
            for record in records:
                self._say(what, record)
        return memo.value

    def heard(self, what: str, record: JsonValue) -> None:
        """Note what is said, with the recorded calls that are under way here."""
        for place in self._here.around:
            self._said.setdefault(place, {}).setdefault(what, []).append(record)

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        """Note what comes out of a recorded call."""
        try:
            yield
        except BaseException as error:
            self._cut_off = self._cut_off or isinstance(error, asyncio.CancelledError)
            self._raised.append(error)  # a cancellation too: it may have come from inside
            raise

    async def _done(
        self, place: str, name: str, make: Callable[[], Awaitable[tuple[Piece, object]]], where: str, *, is_call: bool
    ) -> object:
        """Do a piece of work, and record it; gives what it came to."""
        around = _INSIDE.get()
        _INSIDE.set(_Inside(self, place, is_call, (*self._here.around, place)))
        self._busy[place] = (name, asyncio.current_task())
        try:
            began = self._now()
            with self._watching():
                piece, back = await make()
                self._fits(name, piece.size_bytes, where)
                if self._guard is not None:
                    self._guard.refuse([piece.record, place], f"what {name} gave, or its key,", where)
            done = WorkDone(*self._visit, began, self._now(), place, name, piece.record)
            said = self._said.get(place)
            await self._note(done._replace(size_bytes=piece.size_bytes, usage=piece.usage, by=piece.by, said=said))
            self._pass(self._frame.memos.get(place, Memo()))
            return back
        finally:
            _INSIDE.set(around)
            del self._busy[place]
            self._said.pop(place, None)
            self._end_soon()
            if not self._busy and self._idle is not None and not self._idle.done():
                self._idle.set_result(None)

    def _fits(self, name: str, size_bytes: int, where: str) -> None:
        """See that a result may be recorded.

        Raises:
            TooLarge: It takes too many bytes.
        """
        most = self._sizes.work_bytes
        if most is not None and size_bytes > most:
            text = f"what {name} gave takes {size_bytes:,} bytes, {most:,} are allowed"
            repair = "give back less, as the name of a file that holds it, or raise Sizes(work_bytes=…)"
            raise TooLarge(text, where=where, repair=repair)

    def _one_function(self, name: str, what: str, identity: object) -> None:
        """Refuse two functions whose calls look alike, since their records could be taken for each other's.

        Raises:
            NotRecordable: Another function was called by this name with this input.
        """
        known = self._functions.setdefault(f"{name}|{what}", identity)
        if known != identity:
            raise NotRecordable(
                f"two different functions are called {name} here, and were given the same",
                where=f"ctx.step({name})",
                repair="give each call key='…', or pass what differs as an argument",
            )

    async def wait(self, wait: WaitRecord, what: object, answers: Answers | None, name: str | None = None) -> Any:  # noqa: ANN401 - of the type that is waited for
        """The answer to a wait.

        Args:
            wait: What is waited for, without its id and key; a `due` counts from now.
            what: What tells it from others of its kind.
            answers: The type of the answer, None for none.
            name: What to answer by; found if not given.

        Raises:
            WaitTimeout: Its time came, and it has no default.
            DefinitionError: It stands inside a recorded call, which would never be over.
        """
        self.still_going(f"ctx.{wait.kind}")
        place = self._key(wait.kind, digest_of_call(wait.kind, (what,), {}))
        path = path_of(self._frame.id, self._frame.at)
        if self.is_inside:
            text = f"ctx.{wait.kind} was called inside a ctx.step, whose call would end with this attempt"
            repair = "wait in the node itself, and give the step what came of it"
            raise DefinitionError(text, where=f"node {path}", repair=repair)
        found = self._frame.memos.get(place)
        if found is not None and found.timeout:
            text = f"nobody answered {wait.question!r} in time"
            raise WaitTimeout(text, where=f"node {path}", repair="give it a default, or wait longer")
        if found is not None:
            self._pass(found)
            try:
                return answers.read(found.value) if answers is not None else None
            except ValidationError as error:
                await self._note(AnswerRefused(*self._visit, self._now(), place, explain(error)))
        earlier = self._frame.memos.get(f"{_ASKED}{place}", Memo())
        name = name or earlier.name or self._free_name(path)
        if isinstance(earlier.value, (int, float)) and earlier.value < math.inf:  # an earlier version took no end
            wait.due = earlier.value
        wait.key = place
        wait.id = earlier.id or ""  # of the question of before: an answer to that may be on its way
        self.waits[name] = wait
        try:
            await self._park()
        finally:
            if not (self.ending or self.over):  # who asked does not want to know any more: the loser of a race
                self.waits.pop(name, None)

    def _free_name(self, path: str) -> str:
        """A name for a wait: the node's path for the first one, then `path#2` and so on."""
        taken = {*self.waits, *(memo.name for memo in self._frame.memos.values())}
        return next(name for n in count(1) if (name := path if n == 1 else f"{path}#{n}") not in taken)

    @property
    def _visit(self) -> tuple[str, str, int, int]:
        task = self._task
        return task.frame, task.node, task.visit, task.attempt

    def _key(self, name: str, what: str) -> str:
        here = self._here
        stem = f"{here.key}/{name}|{what}" if here.work is self else f"{name}|{what}"
        number = self._counts[stem] = self._counts.get(stem, 0) + 1
        key = f"{stem}|{number}"
        self._used.add(key)
        return key

    def _end_soon(self) -> None:
        """End the attempt once nothing that will be recorded is in flight; what was begun beside it begins first."""
        if (self.waits or self.halts) and not self._is_busy():
            asyncio.get_running_loop().call_soon(self._end, _TURNS)

    def _end(self, turns: int) -> None:
        if turns:  # whoever waited for what has just come, in a race, may want nothing else any more
            asyncio.get_running_loop().call_soon(self._end, turns - 1)
        elif not (self.ending or self.over or self._owner is None or self._is_busy()) and (self.waits or self.halts):
            self.ending = True
            self._owner.cancel()

    def _is_busy(self) -> bool:
        """Whether anything is in flight that can come to its end before the attempt does."""
        return any(not self._held[place] for place in self._busy)


def outside_work() -> None:
    """Note in the context of a run that no recorded work is under way there; the work of its nodes leaves that note."""
    _INSIDE.set(_NOWHERE)


def answers_of(output: Any) -> Answers:  # noqa: ANN401 - a type
    """The type of an answer."""
    try:
        return _kept_answers(output)
    except TypeError:  # a type that cannot be hashed
        return Answers(output)


@functools.lru_cache(maxsize=512)
def _kept_answers(output: Any) -> Answers:  # noqa: ANN401 - a type
    return Answers(output)


__all__ = ["NO_ANSWER", "Work", "answers_of", "outside_work"]
