"""Records the work of a node (`ctx.call`, `ctx.ask` and others), so that a node that runs again does not repeat it.

Each result is kept in the log under a key. The key consists of the name of the work, such as the function, a digest of
its input, and a number that distinguishes equal pieces of work. When the node runs again in the same attempt, for
example after a wait or a crash, recorded work is not repeated. The order in which parallel calls finish does not
matter, because no key depends on time. If a call is made inside another call, its key begins with the key of the other
call.

A visit is one time that a run comes to a node. Effects that must not be repeated are in
`graphengine.runner.once_effects`. A node that is itself such an effect counts as a piece of its own work, with the key
"". A wait without an answer ends the attempt, or suspends it for a moment: see `graphengine.runner.scope.InFlight`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from msgspec import UNSET
from pydantic_core import ValidationError, to_json

from graphengine.compile.code import code_of
from graphengine.engine.events import Noted
from graphengine.engine.failures import why_refused
from graphengine.engine.phases import ASKED, BEGUN, KEYED, UNKNOWN, RecordedResult
from graphengine.engine.published import PUBLISH
from graphengine.engine.size_limits import bytes_of
from graphengine.engine.steps import ANSWERABLE, Begun, Recorded, Refused, WaitRecord, own_name, path_of
from graphengine.engine.work_keys import AGENT, OF_NODE, WorkKey, numbered, stem_of
from graphengine.errors import (
    DefinitionError,
    NotAwaited,
    NotRecordable,
    RunText,
    TooLarge,
    WaitTimeout,
)
from graphengine.graph.effect import KEY_NAME, WAIT_ELSEWHERE, check_effect, known_result, once_of
from graphengine.graph.runnable import is_async
from graphengine.graph.transaction import TRANSACTION, handle_of
from graphengine.runner.call_records import (
    DoesNotFit,
    Shapes,
    arguments_of,
    bind_arguments,
    digest_of_call,
    held_call,
    identity_of,
    recordable,
    returned,
    shortened,
    takes_key,
    unwrap_partials,
)
from graphengine.runner.once_effects import Effecting, OnceEffects
from graphengine.runner.scope import InFlight, StepResult
from graphengine.runner.threads import TimeLimit, in_thread
from graphengine.runner.transactions import Transacted, transacted
from graphengine.state.field import explain
from graphengine.state.json_values import check_stored_text, utf8_text
from graphengine.state.recorded_text import to_show

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence

    from msgspec import UnsetType

    from graphengine.engine.steps import OutputKind, Outputs
    from graphengine.graph.effect import Effect
    from graphengine.graph.question import Answers, ReadsAnswer
    from graphengine.graph.runnable import Body
    from graphengine.graph.transaction import Handle
    from graphengine.runner.call_records import Returned
    from graphengine.runner.scope import AttemptFacts
    from graphengine.state.json_values import JsonValue

log = logging.getLogger("graphengine.runner")
_BY_NUMBER: Final = digest_of_call("sleep", (None,), {})
"""The input of `ctx.sleep` in keys.

Keys distinguish sleeps of `ctx.sleep` by their number, and other sleeps by their text.
"""
_REFUSED: Final = "a message on %r to run %s is refused, and not kept, since node %s receives another type: %s"

T = TypeVar("T")


class _Position(NamedTuple):
    """Where the running code of a node is: inside which recorded call or conversation, if any.

    Attributes:
        work: The recorded work of the attempt to which the code belongs.
        key: The key of the surrounding call or conversation, with which the keys of work recorded here begin.
        is_call: Whether the code runs inside a `ctx.call`.
        around: The keys of all recorded calls and conversations that contain the code.
        seals: Whether nothing can be recorded here, because the code runs inside a transaction, which can be undone and
            repeated.
    """

    work: StepJournal | None = None
    key: str = ""
    is_call: bool = False
    around: tuple[str, ...] = ()
    seals: bool = False


_OUTCOME: Final = "node ended"
_NOTHING: Final = contextlib.nullcontext()
_NOWHERE: Final = _Position()
_POSITION: Final[ContextVar[_Position]] = ContextVar("graphengine_step", default=_NOWHERE)


class StepJournal:
    """Records the calls, answers and other work of one attempt of a node, and returns them when the node runs again.

    Args:
        attempt: The attempt.

    Attributes:
        in_flight: The calls of the attempt that are in progress, and its waits.
        answer: The last recorded answer of a person: the key of its record, and its value as the node gets it.
        has_run: Whether the node had recorded work before this attempt.
        lost: Descriptions of calls and other work that failed or was cut off, by the key of the work. They are recorded
            if the attempt fails.
        effects: The effects of the attempt that must not be repeated.
        shapes: The fields that the types had when work was recorded, by the id of the code that recorded the work. None
            for code that is not known.
    """

    def __init__(self, attempt: AttemptFacts) -> None:
        self._attempt = attempt
        self._task, self._frame = attempt.task, attempt.frame
        self.has_run = bool(attempt.frame.recorded_results)
        self._services, self._guard = attempt.services, attempt.services.guard
        self.in_flight = InFlight(attempt)
        self.answer: tuple[str, object] | None = None
        self.lost: dict[str, JsonValue] = {}
        self._counts: dict[str, int] = {}
        self._functions: dict[str, object] = {}
        self._asked_for: set[str] = set()
        self._groups: dict[str, str] = {}  # the groups that were asked for, each with the key around it and a slash
        self._abandoned: set[str] = set()  # the groups that are intentionally not asked for again
        self._reused: list[str] = []
        self._refused: list[tuple[BaseException, str]] = []
        self._tracked: list[tuple[str, Coroutine[Any, Any, Any]]] = []
        self._outputs: dict[str, Outputs] = {}
        self._time = attempt.frame.arrived
        self._names: set[str | None] | None = None  # the names of the recorded waits
        self._number = 1  # the number of the next wait, or a smaller one
        self._acts = False  # whether the node itself is an effect, and is being done
        # by the id of the code that recorded the work; None if the code is not known
        self.shapes: dict[str, Shapes | None] = {}
        # by the key of work of earlier code: the input of the same work in the current code
        self._same_as: dict[str, str] = {}
        self.effects = OnceEffects(attempt, self)
        if attempt.services.run.plan.code is None:
            # The recorded work of the node is recorded with the id of the code, so the code is computed now.
            code_of(attempt.services.run.plan)

    @property
    def unused(self) -> Sequence[str]:
        """The keys of results that earlier attempts recorded and that this attempt has not asked for.

        The step that ends the node lists them. A result that was recorded inside another call is not listed if that
        call's result was used. Published values are left out, because no code asks for them again.
        """
        below = tuple(f"{key}/" for key in self._reused)
        apart = (ASKED, BEGUN, KEYED, UNKNOWN, *below)
        left = [k for k in self._frame.recorded_results if k not in self._asked_for and not k.startswith(apart)]
        return [k for k in left if not k.rpartition("/")[2].startswith(PUBLISH)]

    def is_used(self, key: str) -> bool:
        """Return whether this attempt has asked for the recorded call or conversation with this key."""
        return key in self._asked_for

    def group_of(self, name: str, what: str) -> str:
        """Begin a group of recorded work, such as a conversation of an agent, and return the key of the group.

        The work in the group is recorded under keys that begin with this key. If a node begins several equal groups,
        they are numbered.
        """
        key = self.key_of(name, what)
        self.use(key)
        return key

    def use(self, key: str) -> None:
        """Note that the node has asked for this group of recorded work, such as a conversation of an agent."""
        self._asked_for.add(key)
        self._groups[key] = f"{self.below}/" if self.below else ""

    def leave(self, key: str) -> None:
        """Note that a group of work is not asked for again on purpose, so that nobody is asked about its effects."""
        self._abandoned.add(key)

    def claim(self, keys: Iterable[str]) -> None:
        """Note that this attempt has used the recorded work with these keys."""
        self._asked_for.update(keys)

    def is_claimed(self, key: str) -> bool:
        """Return whether the current code has asked for a recorded result, so that the record is still in use.

        It also counts if the code has asked for the call or conversation that contains the result, or has left that
        conversation on purpose.
        """
        around = (*self._groups, *self._abandoned, *self._reused)
        return key in self._asked_for or key.startswith(tuple(f"{each}/" for each in around))

    def find_left_behind(self, place: str) -> Sequence[RecordedResult]:
        """Return the effects of an earlier conversation that the current code has replaced by another conversation.

        Without these effects being found, an effect could happen twice:

        1. An agent acts, and the run waits.
        2. The code changes, and begins another conversation.
        3. The model in the new conversation does not know what was done in the first conversation, and would do the
           same again.

        Args:
            place: The key of an effect that is about to begin inside a conversation. Only conversations beside this one
                are searched. If the effect is in no conversation, nothing is returned.
        """
        if not self._frame.recorded_results:
            return ()
        around = max((key for key in self._groups if place.startswith(f"{key}/")), key=len, default=None)
        if around is None:
            return ()
        beside, used = f"{self._groups[around]}{AGENT}", tuple(f"{key}/" for key in (*self._groups, *self._abandoned))
        effects = {key.removeprefix(BEGUN): memo for key, memo in self._frame.recorded_results.items() if memo.begun}
        return [memo for key, memo in effects.items() if key.startswith(beside) and not key.startswith(used)]

    def refused(self, error: BaseException) -> Sequence[str]:
        """Return the keys of recorded results that caused this failure, such as an answer that a validator refuses.

        The caller drops these records, so that the next attempt can succeed.
        """
        return [key for cause, key in self._refused if _came_from(error, cause)]

    def refuse(self, error: BaseException, name: str, what: str) -> None:
        """Remember that this exception was raised because the last record with this name and input cannot be used."""
        self.refuse_at(error, self._last_key(name, what))

    def refuse_at(self, error: BaseException, key: str) -> None:
        """Remember that this exception was raised because the record with this key cannot be used."""
        self._refused.append((error, key))

    def answered(self, name: str, what: str, value: object) -> None:
        """Remember the last answer of a person that the node received, with the key of its record.

        If the node returns exactly this value, its step records that the value came from the person.
        """
        self.answer = self._last_key(name, what), value

    def _last_key(self, name: str, what: str) -> str:
        """Return the key under which the latest call or wait with this name and input was recorded in this attempt.

        If the attempt made no such call or wait, nothing is recorded under the returned key.
        """
        stem = self._stem(name, what)
        return numbered(stem, self._counts.get(stem, 0))

    def track(self, what: str, coroutine: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """Remember a coroutine that a method of `ctx` returned to the node, and return the coroutine.

        If the node never awaits the coroutine, its work is not done. `check_awaited` finds this, and the node then
        fails.
        """
        self._tracked.append((what, coroutine))
        return coroutine

    def check_awaited(self) -> None:
        """Check that the node has awaited every coroutine that it got from its `ctx`.

        Raises:
            NotAwaited: The node did not await a coroutine, so its work was not done.
        """
        created = inspect.CORO_CREATED
        forgotten = [
            (what, coroutine) for what, coroutine in self._tracked if inspect.getcoroutinestate(coroutine) == created
        ]
        for _, coroutine in forgotten:
            coroutine.close()
        if forgotten:
            names = ", ".join(what if "." in what else f"ctx.{what}" for what, _ in forgotten)
            raise NotAwaited(
                f"{names} was not awaited, so its work was not done",
                where=self._attempt.where,
                repair="write await in front of the call, in an async node",
            )

    @property
    def time(self) -> float:
        """The time that `ctx.now` returns: when the attempt could begin, or when its last recorded work was done."""
        return self._time

    def _advance_time(self, memo: RecordedResult) -> None:
        self._time = max(self._time, memo.at)

    async def call(
        self,
        function: Callable[..., object],
        args: Sequence[object],
        kwargs: Mapping[str, object],
        key: str | None,
        effect: Effect | None,
    ) -> object:
        """Return the recorded result of a call. If there is none, make the call and record its result.

        Raises:
            NotRecordable: JSON cannot represent the result, or, without a key, an argument.
            EffectUnknown: An effect that must not be repeated had begun, and nobody knows how it ended.
            Exception: The function raised it.
        """
        name, identity = identity_of(function)
        own = own_name(name)
        kind, where = returned(function, own), f"ctx.call({own})"
        check_effect(effect, where)
        handle = handle_of(function, where) if effect == TRANSACTION else None
        place = self._place_of_call(name, identity, function, args, kwargs, key)
        self._attempt.check_not_over(where)
        if place in self._frame.recorded_results:
            return self._read_back(kind, own, place)
        substitute_result = known_result(self._services.effects, stem_of("", name, WorkKey.read(place).input))
        own_key = self.idempotency_key(place)
        then = "once" if self.effects.concerns(own_key, "") else effect
        replacement = None if substitute_result is not UNSET else self._attempt.acting(then, own, where)
        once, called = (None, replacement) if replacement is not None else (once_of(effect), function)
        is_new = replacement is None and handle is not None  # a transaction, of which only the end is recorded
        concerns = replacement is None and self.effects.concerns(own_key, own)
        is_effect = once is not None or concerns or (is_new and self.effects.has_rest)
        results: list[object] = []

        async def act(used_key: str) -> object:
            if handle is not None and replacement is None:
                bound = functools.partial(function, *args, **kwargs)
                return await self._call_in_transaction(place, name, kind, handle, bound)
            has_key = effect is not None or KEYED + place in self._frame.recorded_results
            more = {KEY_NAME: used_key} if has_key and takes_key(called, kwargs) else {}
            work = functools.partial(called, *args, **kwargs, **more)
            if is_effect:
                return await self.run(work)
            if more and replacement is None and effect == "idempotent" and key is None:
                await self.keep_key(place, own, arguments_of(function, args, kwargs)[0])
            with await self.acting(effect, called):
                return await self.run(work)

        async def make() -> StepResult:
            if substitute_result is not UNSET:
                results.append(kind.read(substitute_result))
                return StepResult(substitute_result, len(to_json(substitute_result)))
            if not is_effect:
                result = await act(own_key)
            else:
                named, given = arguments_of(function, args, kwargs)
                reread = functools.partial(self._reread, kind, own)
                result = await self.effects.once(
                    Effecting(
                        once, place, own_key, own, named, act, kind.read, reread, given, is_async=is_async(called)
                    )
                )
            record, back, size_bytes = kind.record(result, own)
            results.append(back)
            return StepResult(record, size_bytes)

        await self._do_and_record(place, name, make, where, is_call=not is_effect or self.is_inside)
        return results[0]

    def _place_of_call(  # noqa: PLR0913 - a call, and the names of its function
        self,
        name: str,
        identity: object,
        function: Callable[..., object],
        args: Sequence[object],
        kwargs: Mapping[str, object],
        key: str | None,
    ) -> str:
        """Return the key under which the result of a call is recorded.

        The key consists of the function, a digest of the arguments, and a number that distinguishes equal calls. If the
        caller gave `key=`, that text takes the place of the digest.

        Raises:
            NotRecordable: JSON cannot represent an argument, and the call was not given `key=`. Or the key contains a
                secret.
        """
        where = f"ctx.call({own_name(name)})"
        if key is not None:
            what = check_stored_text(key, "the key of a call", where)
        else:
            what = digest_of_call(name, *bind_arguments(function, args, kwargs))
            self._check_same_function(name, what, identity)
        place = self.key_of(name, what)
        if self.shapes and self._frame.recorded_results.keys().isdisjoint((place, BEGUN + place, KEYED + place)):
            place = self.as_recorded(place, functools.partial(_digest_under, name, function, args, kwargs))
        if self._guard is not None:
            self._guard.refuse(place, f"the key of {own_name(name)}", where)
        return place

    def committed(self) -> str:
        """Return the key of the transaction with which this node was committed in this visit, if there is one.

        The result is "" if there is none. Transactions that a parent run committed do not count, because a branch may
        begin with other values and must then make the transaction again.
        """
        own, found = f"{self._services.run_id}/", self._frame.recorded_results
        return next((k for k, r in found.items() if str(r.id).startswith(own) and _is_node(k)), "")

    def reread(self, place: str, function: Callable[..., object]) -> object:
        """Return a recorded result, converted to the type that the function returns in the current code."""
        self.use(place)
        name = WorkKey.read(place).name
        return self._read_back(returned(function, name), own_name(name), place)

    async def end_with_rest(self, body: Body, result: object) -> object:
        """Before a node ends, ask a person about effects of the node's old code that the new code does not contain.

        1. A node pays, and waits.
        2. A deployment removes the payment from the node.
        3. The node runs again, and ends. The payment must not be forgotten silently, and the node must not run once
           more because of a question.

        Therefore the result of the node is recorded first, together with the effects that are left, and then a person
        is asked.

        Args:
            body: The body of the node. If the body is not a function, but for example an agent, the node runs again
                after the answer, with its recorded work.
            result: The result that the node returned.

        Returns:
            The result.

        Raises:
            EffectUnknown: The answer is `fail`, or nobody may be asked; see `OnceEffects.ask_about_rest`.
        """
        if not self.effects.has_rest:
            return result
        if body.kind == "function" and self._read_outcome_record() is None:
            own = own_name(identity_of(body.call)[0])
            with contextlib.suppress(NotRecordable):
                record, _, size_bytes = returned(body.call, own).record(result, own)
                left = [*self.effects.list_unclaimed()]

                async def make() -> StepResult:
                    return StepResult({"result": record, "left": left}, size_bytes)

                await self.step_result(_OUTCOME, "", make, self._attempt.where)
        await self.effects.ask_about_rest()
        return result

    def read_outcome(self, function: Callable[..., object]) -> tuple[object] | None:
        """Return the result that the node returned before a person was asked about effects that its new code lacks.

        `end_with_rest` has recorded the result, so that the node need not run once more when the person has answered.
        The person is asked only about the effects that were left when the result was recorded.

        Returns:
            `(result,)`, or None if no such result is recorded.
        """
        if (outcome := self._read_outcome_record()) is None:
            return None
        left = {*outcome["left"]}
        self.claim(key.removeprefix(BEGUN) for key in self._frame.recorded_results if key not in left)
        own = own_name(identity_of(function)[0])
        return (self._reread(returned(function, own), own, outcome["result"]),)

    def _read_outcome_record(self) -> Any:  # noqa: ANN401 - its JSON
        memo = self._frame.recorded_results.get(numbered(stem_of("", _OUTCOME, ""), 1))
        return None if memo is None else memo.value

    def _read_back(self, kind: Returned, name: str, place: str) -> object:
        """Return the recorded result of a call. Its messages and live data become part of this attempt's step."""
        record = self._repeat_known(place)
        is_recoded = bool(self._frame.recorded_results[place].recoded)
        return self._reread(kind, name, record) if is_recoded else kind.read(record)

    def _reread(self, kind: Returned, name: str, record: JsonValue) -> object:
        """Convert the recorded result of a call to the current return type of its function, which may have changed.

        A warning in the log names each recorded value that is lost or changed by the conversion.
        """
        found = kind.reread(record, name)
        for note in found.notes:
            log.warning("run %s: %s", self._services.run_id, RunText(note.text()))
        return found.value

    async def _call_in_transaction(
        self, place: str, name: str, kind: Returned, handle: Handle, call: functools.partial[object]
    ) -> object:
        own, began, key = own_name(name), self._services.now(), self.idempotency_key(place)
        given = dict(call.keywords, **{KEY_NAME: key} if takes_key(call.func, call.keywords) else {})
        where = f"ctx.call({own})"
        work, arguments = held_call(call.func, call.args, given, handle.name)
        await self._services.host.keep_code()

        def noted(result: object) -> Sequence[Noted]:
            record, _, size_bytes = kind.record(result, own)
            shown = self.show_arguments(arguments)
            more = 0 if shown is UNSET else bytes_of(shown)
            done = self._record_piece(place, name, StepResult(record, size_bytes + more), began, where)
            begun = Begun(key=place, name=own, arguments=shown, idempotency_key=key)
            return Noted(self._task, 0.0, done.now, begun), done

        around = _POSITION.get()
        _POSITION.set(self._here._replace(work=self, seals=True))
        try:
            with self.in_flight.acts(is_async=True):  # A cancellation undoes the transaction.
                return await transacted(self._services.host, Transacted(work, handle.kind, noted, where))
        finally:
            _POSITION.set(around)

    async def acting(self, effect: Effect | None, function: object) -> contextlib.AbstractContextManager[None]:
        """Return a context manager in which to make a call with this declared effect.

        If the call acts outside the run, first check that this process still owns the run. The context manager then
        counts the call as an effect in progress.

        Raises:
            LeaseLost: Another process has taken the run.
        """
        if effect in (None, "read"):
            return _NOTHING
        if self._services.is_shared and self._services.may_be_lost:
            await self._services.host.check_owned()
        return self.in_flight.acts(is_async=is_async(function))

    async def run(self, function: Callable[[], object]) -> object:
        """Call a function and return its result. A sync function runs in a thread."""
        result = function() if is_async(function) else await in_thread(self._services.threads, function)
        return await result if inspect.isawaitable(result) else result

    async def keep_key(self, place: str, name: str, arguments: Mapping[str, object]) -> None:
        """Record the idempotency key of an effect before the effect begins, unless the key is already recorded.

        The record is needed in the following case:

        1. The process dies during the call.
        2. A deployment adds a field to the type of an argument, so that the digest of the call changes.
        3. The next attempt makes the call again, and the receiver must see the first key.

        Therefore the idempotency key is recorded together with the call. The next attempt finds the record by the
        arguments in the form that their types had when the call was recorded (`as_recorded`).
        """
        if KEYED + place not in self._frame.recorded_results:
            shown, key = self.show_arguments(arguments), self.idempotency_key(place)
            begun = Begun(key=place, name=name, arguments=shown, idempotency_key=key, idempotent=True)
            size_bytes = None if shown is UNSET else bytes_of(shown)
            await self._services.host.note(Noted(self._task, 0.0, self._services.now(), begun, size_bytes))

    @functools.cached_property
    def is_recoded(self) -> bool:
        """Whether some of the recorded work of this visit was recorded by an earlier version of the code.

        Such work was marked when the run was resumed under the changed code.
        """
        return any(memo.recoded for memo in self._frame.recorded_results.values())

    def as_recorded(self, place: str, digest_under: Callable[[Shapes | None], str]) -> str:
        """Return the key under which an earlier version of the code recorded the same call.

        The key is needed in the following case:

        1. A node makes a call with an order as its argument, and then waits.
        2. A deployment adds a field with a default to the class of the order, or renames the class.
        3. The node runs again and makes the same call, but the digest of the arguments has changed.

        Therefore the digest is computed once more, in the form that the types had when the call was recorded. Recorded
        work with the same name and this digest is the same call.

        Args:
            place: The key under the current code. It is returned if the earlier code recorded no such work.
            digest_under: Returns the digest of the work in the form that the types had when the work was recorded.
                Raises DoesNotFit if the work cannot have existed in that form.
        """
        today, results = WorkKey.read(place), self._frame.recorded_results
        for code, shapes in self.shapes.items():
            try:
                digest = digest_under(shapes)
            except (DoesNotFit, NotRecordable):  # the second if a call with key= has an argument that has no JSON
                continue
            found = str(today._replace(input=digest))
            keys = (found, BEGUN + found, KEYED + found, WorkKey.of_turn(found, 1))
            memo = next((results[key] for key in keys if key in results), None)
            taken_by = self._same_as.setdefault(str(today._replace(input=digest, number=1)), today.input)
            if memo is not None and memo.recoded == code and taken_by == today.input and found not in self._asked_for:
                self._asked_for.add(found)  # A later call whose arguments have exactly this digest is a different call.
                stem = WorkKey.read(found).stem
                self._counts[stem] = max(self._counts.get(stem, 0), today.number)
                return found
        return place

    async def prepare(self) -> None:
        """Prepare the recorded work of a node whose code has changed, before the node runs.

        Loads the form that the types had when the work was recorded, so that the new code can find the records. Also
        finds out how the unfinished effects of the old code ended.
        """
        plan = self._services.run.plan
        for memo in self._frame.recorded_results.values():
            if memo.recoded and memo.recoded not in self.shapes and plan.code is not None:
                then = await self._services.host.read_code(memo.recoded)
                self.shapes[memo.recoded] = None if then is None else Shapes(then, plan.code.body)
        if self._services.effects == "act" and self.effects.unsettled:
            await self.effects.settle()

    def show_arguments(self, arguments: Mapping[str, object]) -> JsonValue | UnsetType:
        """Return the arguments of an effect in their recorded form: as JSON, shortened and without secrets."""
        shown = recordable(arguments)
        return shortened(shown if self._guard is None else self._guard.hide(shown))

    async def act_inside(self, effect: Effecting[T]) -> T:
        """Do an effect outside the run. While its function runs, the code inside may not wait.

        A node that waits runs again afterwards, and would repeat the effect. Calls that are recorded inside the effect
        have the same keys as in code that does not declare `effect=`.
        """
        around, acts = _POSITION.get(), self._acts
        if effect.may_wait:
            return await effect.make(effect.key)
        if effect.place:
            _POSITION.set(around._replace(work=self, is_call=True))
        else:
            self._acts = True
        try:
            with self.in_flight.acts(is_async=effect.is_async):
                return await effect.make(effect.key)
        finally:
            _POSITION.set(around)
            self._acts = acts

    def idempotency_key(self, place: str) -> str:
        """Return the key that is sent to services outside, so that they can recognise a repetition of this work."""
        own = self._attempt.visit_key
        return f"{own}/{place}" if place else own

    async def step_result(
        self,
        name: str,
        what: str,
        make: Callable[[], Awaitable[StepResult]],
        where: str = "",
        what_under: Callable[[Shapes | None], str] | None = None,
    ) -> JsonValue:
        """Return the record of some work, such as a model response.

        If there is no record, do the work with `make` and record it.

        Args:
            name: The kind of work, such as the name of a tool.
            what: A text that distinguishes the work from other work with the same name.
            make: Does the work, and returns its record.
            where: The name of the work in errors. By default, the work is named as work of an agent.
            what_under: Returns `what` as an earlier version of the code would have computed it; see `as_recorded`.

        Raises:
            TooLarge: The record takes too many bytes.
            Exception: `make` raised it.
        """
        where = where or f"the {name} of an agent"
        self._attempt.check_not_over(where)
        place = self.key_of(name, what)
        if self.shapes and what_under is not None and place not in self._frame.recorded_results:
            place = self.as_recorded(place, what_under)
        if place in self._frame.recorded_results:
            return self._repeat_known(place)
        return await self._do_and_record(place, name, make, where, is_call=self.is_inside)

    async def publish(self, name: str, record: JsonValue) -> None:
        """Record a value that the node publishes (`ctx.publish`).

        If the node runs again and publishes the same value, nothing further is recorded.
        """
        what, size = f"{PUBLISH}{name}", bytes_of(record)

        async def make() -> StepResult:
            return StepResult(record, size)

        await self.step_result(what, digest_of_call(what, (record,), {}), make, f"ctx.publish({name!r})")

    @contextlib.contextmanager
    def group(self, place: str) -> Iterator[None]:
        """Record all work that the code inside the `with` block does under keys that begin with `place`.

        `place` is, for example, the key of a conversation of an agent.
        """
        around = _POSITION.get()
        _POSITION.set(self._here._replace(work=self, key=place))
        try:
            yield
        finally:
            _POSITION.set(around)

    @property
    def around(self) -> Sequence[str]:
        """The keys of the recorded calls and conversations that contain the calling code."""
        return self._here.around

    @property
    def _here(self) -> _Position:
        """The position of the calling code among the recorded calls of this attempt."""
        here = _POSITION.get()
        return here if here.work is self else _NOWHERE

    @property
    def below(self) -> str:
        """The key of the surrounding call or conversation, with which new keys begin; "" directly in the node."""
        return self._here.key

    @property
    def is_inside(self) -> bool:
        return self._here.is_call

    def check_open(self, what: str) -> None:
        """Check that work can be recorded at this point of the code.

        Raises:
            DefinitionError: The calling code runs inside a transaction, which can be undone.
        """
        if self._here.seals:
            text = f'{what} was asked for inside effect="transaction", where nothing can be recorded'
            repair = "move this to the node, before or after the call with the transaction"
            raise DefinitionError(text, where=self._attempt.where, repair=repair)

    @property
    def may_wait(self) -> bool:
        """Whether the calling code may wait (ask, sleep or receive). False inside a `ctx.call` or an effect."""
        return not (self._acts or self.is_inside)

    def check_may_wait(self, what: str) -> None:
        """Check that the calling code may wait. It may not inside a `ctx.call` or an effect.

        Code that waits runs again after the wait, so an effect around it would act twice.

        Raises:
            DefinitionError: The calling code runs inside a `ctx.call` or an effect.
        """
        if self.may_wait:
            return
        text = f"{what} was called inside a ctx.call or an effect, but a wait ends the attempt and would cancel it"
        repair = "wait in the node itself, before the call, and pass the answer to the call"
        if not self.is_inside:
            text = (
                f'{what} was called in a node with effect="once", but a wait starts the node again from its beginning'
            )
            repair = WAIT_ELSEWHERE
        raise DefinitionError(text, where=self._attempt.where, repair=repair)

    async def halt(self) -> None:
        """End the attempt here without a result, for example because the Runner closes. This call never returns.

        The node runs again, with its recorded work, when the run is resumed.
        """
        self._attempt.check_not_over("an agent")
        self.in_flight.halts = True
        await self.in_flight.park(self._here.around)

    def _repeat_known(self, place: str) -> JsonValue:
        """Return the recorded value of a call, in place of making the call again.

        The messages and live data that the call produced then become part of this attempt's step.
        """
        self._reused.append(place)
        memo = self._frame.recorded_results[place]
        self._advance_time(memo)
        for what, records in cast("Mapping[OutputKind, Sequence[JsonValue]]", memo.outputs).items():
            for record in records:
                self._attempt.add_output(what, record)
        return memo.value

    def note_output(self, what: OutputKind, record: JsonValue) -> None:
        """Add a sent message, or live data, to the record of each `ctx.call` inside which the calling code runs.

        When the node runs again, these calls are not repeated. So their records must contain what the calls have sent
        and shown.
        """
        self.check_open(f"what is {what}")
        for place in self._here.around:
            self._outputs.setdefault(place, {}).setdefault(what, []).append(record)

    async def _do_and_record(
        self, place: str, name: str, make: Callable[[], Awaitable[StepResult]], where: str, *, is_call: bool
    ) -> JsonValue:
        around = _POSITION.get()
        _POSITION.set(_Position(self, place, is_call, (*self._here.around, place)))
        self.in_flight.began(place, name)
        try:
            began = self._services.now()
            piece = await make()
            # After a transaction, which ended with the record, the work is recorded already.
            if place not in self._frame.recorded_results:
                await self._services.host.note(self._record_piece(place, name, piece, began, where))
            self._advance_time(self._frame.recorded_results.get(place, RecordedResult()))
            return piece.record
        finally:
            _POSITION.set(around)
            self._outputs.pop(place, None)
            self.in_flight.ended(place)

    def _record_piece(self, place: str, name: str, piece: StepResult, began: float, where: str) -> Noted:
        """Return the event that records the result of finished work, after its size and its secrets have been checked.

        Raises:
            TooLarge: The record takes too many bytes.
            NotRecordable: The record or its key contains a secret.
        """
        try:
            self._check_size(name, piece.size_bytes, where)
            if self._guard is not None:
                self._guard.refuse([piece.record, place], f"{_describe_work(name)}, or its key,", where)
        except (TooLarge, NotRecordable):
            if piece.usage:
                self._attempt.count(piece.usage)
            raise
        done = Recorded(key=place, name=name, value=piece.record, usage=piece.usage or {})
        done.by = piece.by if self._guard is None else self._guard.hide(piece.by)
        done.outputs, done.took = self._outputs.get(place, {}), self.effects.taken.pop(place, "")
        return Noted(self._task, began, self._services.now(), done, piece.size_bytes)

    def _check_size(self, name: str, size_bytes: int, where: str) -> None:
        """Check that a record is not larger than `Sizes(work_bytes=…)`.

        Raises:
            TooLarge: The record takes too many bytes.
        """
        most = self._services.sizes.work_bytes
        if most is not None and size_bytes > most:
            text = f"{_describe_work(name)} has {size_bytes:,} bytes, but at most {most:,} are allowed"
            repair = "return a smaller value, such as the name of a file, or raise Sizes(work_bytes=…)"
            raise TooLarge(text, where=where, repair=repair)

    def _check_same_function(self, name: str, what: str, identity: object) -> None:
        """Refuse equal calls of two different functions with the same name, because their records could be confused.

        Raises:
            NotRecordable: Another function with this name was called with these arguments.
        """
        earlier = self._functions.setdefault(f"{name}|{what}", identity)
        if earlier != identity:
            raise NotRecordable(
                f"two different functions named {own_name(name)} were called with the same arguments",
                where=f"ctx.call({own_name(name)})",
                repair="give each call a key='…' of its own, or pass the difference as an argument",
            )

    async def wait(self, wait: WaitRecord, what: object, answers: Answers | None, name: str | None = None) -> Any:  # noqa: ANN401 - of the type of the answer
        """Wait for an answer, a message or a time, and return what ended the wait.

        If the end of the wait is not recorded yet, this method ends the attempt. The node runs again later, and this
        call then returns the recorded value.

        Args:
            wait: The description of the wait. Its id and key are filled in here.
            what: A value that distinguishes the wait from other waits of its kind, such as the text of a question.
            answers: The type of the answer; None if the answer has no type.
            name: The name of the wait. If not given, a name is chosen.

        Raises:
            WaitTimeout: The wait timed out, and has no default.
            DefinitionError: The caller is inside a recorded call, which would never finish, or inside an effect, which
                would act twice.
        """
        self._attempt.check_not_over(f"ctx.{wait.kind}")
        return await self.wait_for(wait, digest_of_call(wait.kind, (what,), {}), answers, name)

    def wait_for(self, wait: WaitRecord, digest: str, answers: Answers | None, name: str | None = None) -> Any:  # noqa: ANN401 - as `wait`
        """Wait as `wait` does, for a caller that has already computed the digest of what it waits for.

        The digest distinguishes this wait from other waits of the same kind in the node, such as two questions.
        """
        return self.wait_at(self.key_of(wait.kind, digest), wait, answers, name)

    async def wait_at(self, place: str, wait: WaitRecord, answers: ReadsAnswer | None, name: str | None = None) -> Any:  # noqa: ANN401 - of the type of the answer
        """Wait as `wait` does, for a caller that knows the key (`place`) under which the answer is recorded."""
        self._attempt.check_not_over(f"ctx.{wait.kind}")
        path = path_of(self._frame.id, self._frame.at)
        found = self._frame.recorded_results.get(place)
        if found is not None and found.timeout:
            text = f"{wait.question!r} was not answered in time"
            error = WaitTimeout(text, where=f"node {path}", repair="give default=…, or a longer timeout_seconds=…")
            self.refuse_at(error, place)
            raise error
        if found is not None:
            self._advance_time(found)
            try:
                return answers.read(found.value) if answers is not None else None
            except BaseException as error:  # noqa: BLE001 - a validator of the user's
                why = why_refused(error)
                if wait.kind == "receive":
                    # The values of the message are left out, because they may quote a prompt.
                    hidden = explain(error, hide=True) if isinstance(error, ValidationError) else type(error).__name__
                    run_id = self._services.run_id
                    log.warning(_REFUSED, wait.topic, run_id, path, hidden, extra={"run": run_id})
                refused = Refused(key=place, wait=wait.topic or "", message=to_show(why))
                await self._services.host.note(Noted(self._task, 0.0, self._services.now(), refused))
        self.check_may_wait(f"ctx.{wait.kind}")
        await self._ask_and_wait(place, wait, answers, name, path)
        # The suspended attempt continues here, because the wait is over.
        return await self.wait_at(place, wait, answers, name)

    async def _ask_and_wait(
        self, place: str, wait: WaitRecord, answers: ReadsAnswer | None, name: str | None, path: str
    ) -> None:
        """Let the run wait for an answer, a message or a time, which ends the attempt.

        Returns only if the attempt was suspended in memory and the wait is over.
        """
        earlier = self._find_earlier_wait(place, wait)
        name = name or earlier.name or self._free_name(path)
        wait.question = to_show(utf8_text(str(wait.question)))  # converted, because the node may have given any object
        if self._guard is not None:
            shown = [name, wait.question, wait.topic, wait.schema, wait.default]
            self._guard.refuse(shown, f"ctx.{wait.kind}", f"node {path}")
        if isinstance(earlier.value, (int, float)):
            wait.due = earlier.value
        wait.key = place
        if answers is not None and self._services.types is not None:
            self._services.types.keep(self._services.run_id, self._frame.id, place, answers)
        wait.asked_at = earlier.at
        # `engine.fold` recognises a question that was asked before, and keeps its id.
        wait.id = "" if wait.kind in ANSWERABLE else earlier.id or ""
        self.in_flight.waits[name] = wait
        try:
            await self.in_flight.park(self._here.around, place)
            if (limit := TimeLimit.here()) is not None:
                limit.restart()
        except (asyncio.CancelledError, GeneratorExit):
            # The node cancelled only this wait, for example as the loser of a race.
            if self._attempt.state == "running":
                self.in_flight.waits.pop(name, None)
                self._number = 1
            raise

    def _find_earlier_wait(self, place: str, wait: WaitRecord) -> RecordedResult:
        """Return what an earlier attempt recorded when it began this wait, such as the time at which a sleep ends.

        For a new wait, the returned data is empty. A deployment can make it hard to tell which wait is meant:

        1. A node sleeps for an hour.
        2. A deployment inserts a sleep of a minute before that sleep.
        3. The node runs again, and its first sleep is now the minute, which must not last for the rest of the hour.

        Therefore a sleep that earlier code began is continued only by a sleep of the same length.
        """
        results = self._frame.recorded_results
        earlier = results.get(f"{ASKED}{place}")
        if earlier is None and wait.kind == "sleep" and self.is_recoded:
            memos = [memo for memo in results.values() if not (memo.begun or memo.keyed)]
            taken = {memo.name for memo in memos if not (memo.sleep and memo.recoded)} | self.in_flight.waits.keys()
            like, is_named = f"{ASKED}{WorkKey.read(place).stem}|", WorkKey.read(place).input != _BY_NUMBER
            left = (memo for key, memo in results.items() if memo.recoded and key.startswith(like))
            fits = (memo for memo in left if memo.sleep and (is_named or memo.sleep == wait.question))
            earlier = next((memo for memo in fits if memo.name not in taken), None)
        return earlier or RecordedResult()

    def note_names(self, names: Collection[str]) -> None:
        """Remember the names of waits that are recorded now, so that no later wait gets the same name."""
        if self._names is not None:
            self._names.update(names)

    def is_over(self, kind: str, what: object) -> bool:
        """Return whether the node's next wait of this kind would return at once.

        That is the case if the answer for the wait is already recorded, or if the time for which it waits has passed.

        Args:
            kind: The kind of the wait, such as `sleep`.
            what: The text or value that distinguishes the wait from others of its kind.
        """
        return bool(self._frame.recorded_results) and self.known(kind, digest_of_call(kind, (what,), {})) is not None

    def has_begun(self, name: str, what: str) -> bool:
        """Return whether the first work with this name and input was begun earlier in this visit, finished or not."""
        key, results = numbered(self._stem(name, what), 1), self._frame.recorded_results
        return bool(results) and (key in results or BEGUN + key in results or key in self._around)

    def inside(self, name: str, what: str, below: str) -> RecordedResult | None:
        """Return a record that was made inside a call or conversation of the node, such as a model response.

        None if there is no such record. If the node has several calls or conversations with this name and input, the
        first of them is meant.

        Args:
            name: The name of the call or conversation.
            what: Its input.
            below: The rest of the record's key, after the key of the call or conversation, such as that of a model
                response.
        """
        results = self._frame.recorded_results
        return results.get(f"{numbered(self._stem(name, what), 1)}/{below}") if results else None

    def taken(self, memo: RecordedResult) -> None:
        """Set the time of `ctx.now` to that of a recorded answer, for code that uses the answer without waiting."""
        self._advance_time(memo)

    @functools.cached_property
    def _around(self) -> Collection[str]:
        """The keys of calls and conversations that an earlier attempt of the node began."""
        found: set[str] = set()
        for key in self._frame.recorded_results:
            work = WorkKey.read(key.removeprefix(BEGUN))
            # A question that was asked does not mean that the work around it has begun.
            if key.startswith((ASKED, KEYED, UNKNOWN)) or work.name == "ask":
                continue
            above = work.around
            while above and above not in found:
                found.add(above)
                above = WorkKey.read(above).around
        return found

    def known(self, name: str, what: str) -> RecordedResult | None:
        """Return the record that the next call or wait with this name and input will find; None if there is none."""
        stem = self._stem(name, what)
        return self._frame.recorded_results.get(numbered(stem, self._counts.get(stem, 0) + 1))

    def was_asked(self, what: str) -> bool:
        """Return whether the next question with this text was asked before in this visit, answered or not."""
        stem = self._stem("ask", what)
        return self._frame.was_asked(numbered(stem, self._counts.get(stem, 0) + 1))

    def _free_name(self, path: str) -> str:
        """Return a name for a new wait of the node that no other wait of this visit has.

        It is the path of the node, then `path#2` and so on.
        """
        if self._names is None:
            memos = self._frame.recorded_results.values()
            self._names = {memo.name for memo in memos if not (memo.begun or memo.keyed)}
        name = path if self._number == 1 else f"{path}#{self._number}"
        while name in self._names or name in self.in_flight.waits:
            self._number += 1
            name = f"{path}#{self._number}"
        return name

    def _stem(self, name: str, what: str) -> str:
        here = self._here
        return stem_of(here.key if here.work is self else "", name, what)

    def key_of(self, name: str, what: str) -> str:
        """Return the key under which the next call, wait or other work with this name and input is recorded.

        Equal calls in one visit get different numbers, which are the last part of the key.

        Raises:
            DefinitionError: The calling code runs inside a transaction, where nothing can be recorded.
        """
        self.check_open(own_name(name))
        stem = self._stem(name, what)
        number = self._counts[stem] = self._counts.get(stem, 0) + 1
        key = numbered(stem, number)
        self._asked_for.add(key)
        return key


def _digest_under(
    name: str,
    function: Callable[..., object],
    args: Sequence[object],
    kwargs: Mapping[str, object],
    shapes: Shapes | None,
) -> str:
    """Return the digest of a call's function and arguments, as the code that recorded the work would have computed it.

    Args:
        name: The name of the function.
        function: The function.
        args: The positional arguments of the call.
        kwargs: The keyword arguments of the call.
        shapes: The form of the types under that code. None if that code is not known, because the record is older than
            version 1.0 of graphengine. Then the digest is computed as in these versions.
    """
    if shapes is None:
        function, args, kwargs = unwrap_partials(function, args, kwargs)
        return digest_of_call(name, args, kwargs)
    return digest_of_call(name, *bind_arguments(function, args, kwargs, shapes), shapes)


def _is_node(key: str) -> bool:
    """Return whether a key belongs to a whole node that was recorded like a call, and not to a call inside the node."""
    work = WorkKey.read(key)
    is_done = work.number > 0 and not key.startswith(BEGUN)
    return is_done and not work.around and work.input.startswith(OF_NODE)


def _describe_work(name: str) -> str:
    return repr(name.removeprefix(PUBLISH)) if name.startswith(PUBLISH) else f"the result of {own_name(name)}"


def journal_of(attempt: AttemptFacts) -> StepJournal:
    """Return the `StepJournal` of an attempt, which contains its recorded work.

    The journal is created when it is first used, because many nodes record nothing.
    """
    if attempt.journal is None:
        attempt.journal = StepJournal(attempt)
    return cast("StepJournal", attempt.journal)


def _came_from(error: BaseException, cause: BaseException) -> bool:
    """Return whether one exception caused another, directly or through other exceptions."""
    left: list[BaseException | None] = [error]
    visited: set[int] = set()
    while left:
        here = left.pop()
        if here is None or id(here) in visited:
            continue
        visited.add(id(here))
        if here is cause:
            return True
        left += [here.__cause__, None if here.__suppress_context__ else here.__context__]
        left += here.exceptions if isinstance(here, BaseExceptionGroup) else ()
    return False
