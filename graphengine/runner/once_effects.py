"""Effects that must not be repeated (`effect="once"`): does them, and finds out how they ended if a process died.

An effect is an action outside the run, such as a payment. The beginning of such an effect is recorded. If the beginning
is recorded and the result is not, nobody knows how the effect ended. Then the `Once` of the effect decides whether the
effect begins again, or which result it has: either a function of the user finds that out, or a person is asked.

A deployment can change the code of a node while its run waits. Before any of the new code runs, the unfinished effects
of the old code are settled, which means that their ends are found out. Before a new effect begins, a person is asked
whether the old code has already done it. A recorded effect is unclaimed as long as the new code has not asked for it.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from msgspec import UNSET
from pydantic_core import to_json

from graphengine.engine.events import Noted
from graphengine.engine.frame_tree import place_of
from graphengine.engine.phases import BEGUN, UNKNOWN, RecordedResult
from graphengine.engine.size_limits import bytes_of
from graphengine.engine.steps import Begun, WaitRecord, own_name, path_of
from graphengine.engine.work_keys import STARTS, WorkKey
from graphengine.errors import DefinitionError, EffectUnknown, NotDone, RunText
from graphengine.graph.effect import KEY_NAME, Once
from graphengine.runner.result import itself
from graphengine.state.recorded_text import to_show

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from msgspec import UnsetType

    from graphengine.graph.effect import OnUnknown
    from graphengine.runner.recorded_work import StepJournal
    from graphengine.runner.scope import AttemptFacts
    from graphengine.state.json_values import JsonValue

log = logging.getLogger("graphengine.runner")

T = TypeVar("T")

_MAY_STILL: Final = (
    "the process that began it was cut off, is not known to be dead, and may still do it (settle_seconds= of Once says "
    "how long)"
)
_RESULT: Final[Mapping[str, JsonValue]] = {"type": "object", "required": ["result"], "maxProperties": 1}
_DECISION: Final[Mapping[str, JsonValue]] = {"anyOf": [{"enum": ["rerun", "fail"]}, _RESULT]}
_LEFT: Final = f"{UNKNOWN}left|"
_OTHER_CODE: Final = "; its code has changed since"


@dataclass(frozen=True, slots=True)
class Effecting(Generic[T]):
    """A side effect that must not be repeated, such as a payment, and the functions that do and read it.

    Attributes:
        once: What the current code declares for the case that nobody knows how the effect ended. None if the current
            code allows the effect to be repeated.
        place: The key under which the result of the effect is recorded; "" if the node itself is the effect.
        key: The idempotency key of the effect.
        name: The name of the function that does the effect.
        arguments: The arguments of that function, by name.
        make: Runs the effect. It receives the idempotency key with which the effect begins.
        read: Converts the result that a person gives. Raises a ValidationError if that cannot be the result of the
            effect.
        reread: Converts the recorded result of the effect.
        given: The values that `reconcile` can receive in addition to the arguments, by name.
        cut_off: Returns why a result does not tell how the effect ended; None if the result tells it. If `cut_off` is
            given, the end is found out at once, also after an exception. Otherwise the exception is raised, and the
            next attempt finds out the end.
        may_wait: Whether the code may wait, because it no longer is an effect and does not run inside an effect.
        lost: What has become of the function since the effect began; "" if the function still exists. If it no longer
            exists, only a person can tell how the effect ended.
        is_async: Whether a cancellation ends the effect. False for a function in a thread, which a cancellation cannot
            end.
    """

    once: Once | None
    place: str
    key: str
    name: str
    arguments: Mapping[str, object]
    make: Callable[[str], Awaitable[T]]
    read: Callable[[JsonValue], T]
    reread: Callable[[Any], T]
    given: Mapping[str, object] = field(default_factory=dict)
    cut_off: Callable[[T], BaseException | None] | None = None
    may_wait: bool = False
    lost: str = ""
    is_async: bool = True


@dataclass(frozen=True, slots=True)
class Decisions:
    """Reads a person's answer to the question how an effect ended.

    The answer is `rerun` (it did not happen), `fail`, or the result that the effect had.
    """

    read_result: Callable[[JsonValue], object]

    def read(self, record: object) -> Any:  # noqa: ANN401 - of the type of the effect
        """Convert the recorded answer of a person who was asked how an effect ended.

        Returns:
            `rerun`, `fail`, or a tuple with the result of the effect.

        Raises:
            ValidationError: The record is not an answer to such a question.
        """
        return (self.read_result(record["result"]),) if isinstance(record, Mapping) else record


class OnceEffects:
    """Does the side effects of one attempt that must not be repeated, and finds out how earlier ones ended.

    An earlier effect is one that began in this visit of the node before the attempt, for example before a crash.

    Args:
        attempt: The attempt.
        journal: The recorded work of the attempt.

    Attributes:
        taken: For each effect of the current code that uses the result of an effect of earlier code: the key of the
            earlier record.
    """

    def __init__(self, attempt: AttemptFacts, journal: StepJournal) -> None:
        self._task, self._frame, self._services = attempt.task, attempt.frame, attempt.services
        self._journal = journal
        # By the key of the question about an effect: the part of a joint answer that is about this effect, and the
        # joint question.
        self._joint_answers: dict[str, tuple[JsonValue | UnsetType, str]] = {}
        # By the key of an effect that waits until others are claimed: the name of its function.
        self._about_to_begin: dict[str, str] = {}
        self.taken: dict[str, str] = {}

    @functools.cached_property
    def _earlier(self) -> tuple[Collection[tuple[str, ...]], Collection[str | None]]:
        """The idempotency keys and the function names of the effects that began before this attempt.

        The id of the run is removed from the keys, so that a branch also finds the effects that its parent run began.
        """
        begun = [memo for memo in self._frame.recorded_results.values() if memo.begun and memo.id]
        return {self._strip_run(memo.id) for memo in begun}, {memo.name for memo in begun}

    def concerns(self, key: str, name: str) -> bool:
        """Return whether an effect with this idempotency key or this function began before this attempt of the node."""
        if not self._frame.recorded_results:
            return False
        keys, names = self._earlier
        return self._strip_run(key) in keys or name in names

    @property
    def unsettled(self) -> Sequence[Effecting[Any]]:
        """The effects that an earlier version of the code began and whose end is not recorded.

        Effects that were declared with `reconcile=` when they began are left out: only code that makes the same call
        again can call the function that finds out how the effect ended.
        """
        begun = [(key, memo) for key, memo in self._frame.recorded_results.items() if key.startswith(BEGUN) and memo.id]
        left = [(key, memo) for key, memo in begun if memo.recoded and not memo.reconcile]
        return [_effect_of_record(key, memo) for key, memo in left if self._is_of_this_code(memo)]

    def _is_of_this_code(self, memo: RecordedResult) -> bool:
        """Return whether recorded work belongs to the code that runs now: to the node, or to its fallback.

        The work may have been recorded by an earlier version of that code. A node and its fallback count as different
        code, because the fallback replaces the node and does not do the node's effects again. So nobody is asked about
        the effects of the node before its fallback runs.
        """
        fallback = self._frame.fallback
        if fallback is None:
            return True
        # The start of a child has no step of its beginning. A fallback begins when its node has failed.
        return memo.begun > fallback.since if memo.begun else memo.at >= self._frame.arrived

    async def settle(self) -> None:
        """Find out how the unfinished effects of a node's old code ended, before its new code runs.

        Without this, an effect could happen twice:

        1. A call charges a card, and the process dies.
        2. A deployment changes the node, so that it makes the call with other arguments, or no longer makes it.
        3. The current code would not notice that the call had begun, and would charge the card again.

        Therefore a person is asked first: once for all unfinished effects, if each of them was declared to ask. The
        answer is kept for each effect, and code that asks for the effect later receives the answer.

        Raises:
            EffectUnknown: The answer is `fail`, or an effect was declared with `unknown="fail"`, or the node cannot
                wait here.
        """
        left = self.unsettled
        for key, memo in self._frame.recorded_results.items():
            if key.startswith(UNKNOWN) and "effects" in memo.seen:
                self._keep_answers(key, left)
        open_ = [effect for effect in left if not self._is_answered(self._key_of_question(effect))]
        if len(open_) > 1 and all(effect.once is not None and effect.once.unknown == "ask" for effect in open_):
            await self._settle_together(open_)
        for effect in left:
            await self._ask_how_it_ended(effect, _OTHER_CODE, None)

    async def _settle_together(self, left: Sequence[Effecting[Any]]) -> None:
        """Ask a person a single question about how several effects ended.

        The question numbers each effect by the step that recorded the beginning of the effect.
        """
        asked = {str(memo.begun): memo for effect in left if (memo := self._find_beginning(effect)) is not None}
        path = path_of(self._frame.id, self._frame.at)
        text = f"{len(asked)} effects in {path} began, and nobody knows how they ended{_OTHER_CODE}.\n"
        text += "\n".join(f"{number}: {_show_effect(BEGUN, memo)}" for number, memo in asked.items())
        text += '\nAnswer rerun if none of them happened, fail, or for each number rerun or {"result": …}.'
        each: JsonValue = {"anyOf": [{"const": "rerun"}, _RESULT]}
        numbers: dict[str, JsonValue] = {"type": "object", "required": [*asked], "additionalProperties": False}
        schema: dict[str, JsonValue] = {
            "anyOf": [{"enum": ["rerun", "fail"]}, {**numbers, "properties": dict.fromkeys(asked, each)}]
        }
        key = f"{UNKNOWN}{'+'.join(asked)}"
        wait = WaitRecord(kind="unknown", question=to_show(text), schema=schema, seen={"effects": [*asked]})
        await self._journal.wait_at(key, wait, None)
        self._keep_answers(key, left)

    def _keep_answers(self, question: str, left: Sequence[Effecting[Any]]) -> None:
        """Split a person's answer to a question about several effects into one answer for each effect.

        The answer for an effect is kept in memory under the key that a question about this effect alone would have. An
        effect that began after the question was asked gets no answer.
        """
        memo = self._frame.recorded_results[question]
        asked, answer = cast("Sequence[str]", memo.seen["effects"]), memo.value
        for effect in left:
            beginning = self._find_beginning(effect)
            if beginning is not None and str(beginning.begun) in asked:
                part = answer[str(beginning.begun)] if isinstance(answer, Mapping) else answer
                self._joint_answers[self._key_of_question(effect)] = part, question

    def _read_answer(self, question: str, default: JsonValue) -> JsonValue | UnsetType:
        """Return a person's answer to the question how an effect ended, or `default` if there is no answer."""
        memo = self._frame.recorded_results.get(question)
        return memo.value if memo is not None else self._joint_answers.get(question, (default, ""))[0]

    def _is_answered(self, question: str) -> bool:
        return question in self._joint_answers or question in self._frame.recorded_results

    async def once(self, effect: Effecting[T]) -> T:
        """Do an effect that must not be repeated. If it began before, find out how it ended instead.

        For an effect that has begun, the declaration at its beginning decides what happens if its end is unknown. The
        current declaration counts only for an effect that has not begun.

        A branch finds an effect that its parent run began with the same arguments, under the key of the parent. If that
        effect did not happen, the branch begins it under a key of its own.

        Raises:
            EffectUnknown: Nobody knows how the effect ended.
            Exception: The function of the effect raised it.
        """
        beginning, at = self._find_beginning(effect), self._strip_run(effect.key)
        found = self._frame.recorded_results.items() if any(at) else ()
        done = [(key, memo) for key, memo in found if memo.begun and self._strip_run(memo.id) == at]
        if done and beginning is None:  # The result was kept although the retry starts afresh.
            self._journal.claim([key for key, _ in done])
            return effect.reread(done[-1][1].value)
        is_same = beginning is not None and (
            beginning.id == effect.key
            or beginning.value == self._journal.show_arguments(effect.arguments)
            or (effect.place and self._is_answered(self._key_of_question(effect)))
        )
        if beginning is not None and is_same:
            return await self._find_out_result(replace(effect, once=_as_begun(beginning, effect.once)), None)
        if (taken := await self.take_over(effect.place, effect.name, effect.arguments, effect.once)) is not None:
            return await self._result_of(taken, effect)
        left = self._list_left_behind(effect) if beginning is None else ()
        if left or (beginning is None and effect.lost):
            key, decision = await self._ask_before(effect, left)
            if decision != "rerun":
                self._journal.answer = key, decision[0]
                return cast("T", decision[0])
        return await (self._journal.act_inside(effect) if effect.once is None else self._do_first_time(effect))

    async def take_over(self, place: str, name: str, arguments: Mapping[str, object], once: Once | None) -> str | None:
        """Find out whether an effect that is about to begin was already done by an earlier version of the node's code.

        Without this, an effect could happen twice:

        1. A call charges a card, and the node waits.
        2. A deployment moves the call, or changes its arguments.
        3. The node runs again, and the call looks like a new one.

        Therefore a person is asked before an effect begins, if there are recorded effects of the earlier code that the
        current code has not asked for (unclaimed effects). Code that makes several calls in parallel may ask for an
        effect a moment later, so the question waits until the rest of the node has finished or waits.

        The answer `same` also covers later effects of the functions that the question lists. The answer `another`
        covers the effect that is about to begin, and later effects of its function unless the question lists that
        function: an effect that was moved behind a new one must still not be repeated.

        Args:
            place: The key of the effect that is to begin.
            name: The name of the effect's function.
            arguments: The arguments of the effect, by name.
            once: What is declared for the case that the end of the effect is unknown; None if it may be repeated.

        Returns:
            The key of the recorded effect whose result is used; None if the effect is new and may begin.

        Raises:
            EffectUnknown: The answer is `fail`, or `unknown="fail"` forbids the question, or the node cannot wait here.
        """
        if not self.has_rest:
            return None
        kind = STARTS if WorkKey.read(place).name == STARTS else name
        await self._wait_for_claims(place, kind)
        while left := self.list_unclaimed():
            kinds = [self._kind_of(key) for key in left]
            alike = [key for key, other in zip(left, kinds, strict=True) if (other == STARTS) == (kind == STARTS)]
            like = next((key for key in alike if self._kind_of(key) == kind), alike[0] if alike else "")
            for question, answer in self._list_answers(left[0]):
                is_asked = answer.seen.get("place") == place
                if answer.value == "fail":
                    raise self._refuse_unclaimed(left, question)
                is_alike = answer.seen.get("kind") == name
                if answer.value == "another" and (is_asked or (is_alike and kind not in kinds)):
                    return None
                is_listed = self._kind_of(like) == kind if like else False
                if answer.value == "same" and like and (is_asked or (is_listed and (is_alike or kind != STARTS))):
                    self._journal.claim([like.removeprefix(BEGUN)])
                    self.taken[place] = like
                    return like
            shown = self._journal.show_arguments(arguments)
            now = f"{name} {to_json(shown).decode()}" if shown is not UNSET else name
            may_ask = (once or Once()).unknown != "fail"
            await self._ask_about_left(left, now, {"place": place, "kind": name}, may_ask=may_ask, same=bool(alike))
        return None

    async def _wait_for_claims(self, place: str, kind: str) -> None:
        """Before an effect begins, let the rest of the node run, which may still ask for effects of the earlier code.

        Several effects may wait here at once. An effect of a function that has unclaimed effects comes first, because
        the question is most probably about this function.
        """
        self._about_to_begin[place] = kind
        try:
            await self._journal.in_flight.let_others_move(self._journal.around)
            while left := {self._kind_of(key) for key in self.list_unclaimed()}:
                if kind in left or left.isdisjoint(self._about_to_begin.values()):
                    break
                await self._journal.in_flight.let_others_move(self._journal.around)
        finally:
            del self._about_to_begin[place]

    async def ask_about_rest(self, doing: str = "") -> None:
        """Ask a person about effects that the node's earlier code did and its current code did not ask for.

        Args:
            doing: What the node is about to do; "" if the node ends.

        Raises:
            EffectUnknown: The answer is `fail`, or an effect was declared with `unknown="fail"`, or the node cannot
                wait here.
        """
        while self.has_rest:
            left = self.list_unclaimed()
            for question, answer in self._list_answers(left[0]):
                if answer.value == "fail":
                    raise self._refuse_unclaimed(left, question)
                if answer.value == "another" and {*left} <= {*cast("list[str]", answer.seen["left"])}:
                    return
            may_ask = all(self._frame.recorded_results[key].unknown != "fail" for key in left)
            await self._ask_about_left(left, doing, {"place": "", "kind": ""}, may_ask=may_ask, same=False)

    @property
    def has_rest(self) -> bool:
        """Whether the node's earlier code did effects that its current code has not asked for so far."""
        return self._journal.is_recoded and bool(self.list_unclaimed())

    def _list_answers(self, effect: str) -> Sequence[tuple[str, RecordedResult]]:
        """Return the answers that people gave to questions about this effect, newest first, each with its key."""
        answers = [each for each in self._frame.recorded_results.items() if each[0].startswith(_LEFT)]
        return [(key, memo) for key, memo in reversed(answers) if effect in cast("list[str]", memo.seen["left"])]

    def _kind_of(self, key: str) -> str:
        """Return the name of the function of a recorded effect. All starts of child runs have the name `STARTS`."""
        name = WorkKey.read(key).name
        return name if name == STARTS else self._frame.recorded_results[key].name or own_name(name)

    def list_unclaimed(self) -> Sequence[str]:
        """Return the keys of effects that the node's old code did and that its new code has not asked for so far.

        The keys are in the order of the records. Two kinds of such effects are left out, because they are settled:

        - effects inside a recorded call or conversation, if the attempt has asked for that call or conversation
        - unfinished effects of which a person has said that they did not happen
        """
        left: list[str] = []
        for key, memo in self._frame.recorded_results.items():
            place = key.removeprefix(BEGUN)
            if not memo.recoded or self._journal.is_claimed(place) or not self._is_of_this_code(memo):
                continue
            if not ((memo.id and memo.begun) or WorkKey.read(key).name == STARTS):
                continue
            question = f"{UNKNOWN}{place}|{memo.begun}"
            answer = self._read_answer(question, None)
            if not (key.startswith(BEGUN) and answer == "rerun"):
                left.append(key)
        return left

    async def _ask_about_left(
        self, left: Sequence[str], now: str, about: Mapping[str, JsonValue], *, may_ask: bool, same: bool
    ) -> None:
        """Ask a person whether the node's earlier code has already done the effect that is about to begin.

        The method waits for the answer.

        Args:
            left: The keys of the earlier effects that the current code has not asked for.
            now: What the current code is about to do; "" if the node ends.
            about: The key of that effect, and the name of its function.
            may_ask: Whether the declarations of the effects allow the question.
            same: Whether the effect can have the result of one of the earlier effects.
        """
        results = self._frame.recorded_results
        key = f"{_LEFT}{sum(each.startswith(_LEFT) for each in results) + 1}"
        if not (may_ask and self._journal.may_wait):
            raise self._refuse_unclaimed(left, key)
        path = path_of(self._frame.id, self._frame.at)
        text = f"The code of {path} has changed. The earlier code did this, and the current code did not ask for it:\n"
        text += "\n".join(f"- {_show_effect(each, results[each])}" for each in left)
        text += f"\nThe current code is about to do this:\n- {now}\nAnswer " if now else "\nThe node ends now. Answer "
        text += "same if this is what the earlier code did, whose result is then used; " * same
        text += "another if it must be done in addition; " if now else "another if the node may end so; "
        text += "or fail."
        answers: dict[str, JsonValue] = {"enum": [*["same"] * same, "another", "fail"]}
        seen: dict[str, JsonValue] = {"left": [*left], **about}
        wait = WaitRecord(kind="unknown", question=to_show(text), schema=answers, seen=seen)
        await self._journal.wait_at(key, wait, None)

    def _refuse_unclaimed(self, left: Sequence[str], question: str) -> EffectUnknown:
        """Build the error for an effect that may not begin, because earlier code of the node may have done it."""
        path = path_of(self._frame.id, self._frame.at)
        names = ", ".join(WorkKey.read(key.removeprefix(BEGUN)).name or "the node" for key in left)
        unknown = EffectUnknown(
            f"the code of node {path!r} has changed, and no longer makes calls that it had made before: {names}",
            where=f"node {path}",
            repair="put the code back; or use unknown='ask', so that a person can answer same or another",
        )
        self._journal.refuse_at(unknown, question)
        return unknown

    async def _result_of(self, taken: str, effect: Effecting[T]) -> T:
        """Return the result of an effect that the node's old code did, because its new code now asks for this effect.

        If the end of the effect is not recorded, its end is found out first.
        """
        memo = self._frame.recorded_results[taken]
        if not taken.startswith(BEGUN):
            return effect.reread(memo.value)
        earlier = replace(effect, place=taken.removeprefix(BEGUN), key=memo.id or "")
        return await self._find_out_result(replace(earlier, once=_as_begun(memo, effect.once)), None)

    async def _do_first_time(self, effect: Effecting[T]) -> T:
        """Do a side effect that has not begun before.

        If it stays unknown how the effect ended, for example because the call was cut off, and that can be found out at
        once, find it out. Otherwise the next attempt does so.
        """
        try:
            result = await self._begin(effect)
        except NotDone:
            await self._note_begun(effect, not_done=True)
            raise
        except Exception as error:
            if effect.cut_off is None:
                raise
            why: BaseException = error
        else:
            interruption = effect.cut_off(result) if effect.cut_off is not None else None
            if interruption is None:
                return result
            why = interruption
        return await self._find_out_result(effect, why)

    def _find_beginning(self, effect: Effecting[Any]) -> RecordedResult | None:
        """Return the record that this effect has begun, if its end is not recorded; None if there is no such record.

        A branch also finds the effects that its parent run began, because idempotency keys are compared without the id
        of the run.
        """
        found, at = self._frame.recorded_results, self._strip_run(effect.key)
        if f"{BEGUN}{effect.place}" in found or not any(at):
            return found.get(f"{BEGUN}{effect.place}")
        each = (
            memo for key, memo in reversed(found.items()) if key.startswith(BEGUN) and self._strip_run(memo.id) == at
        )
        return next(each, None)

    def _strip_run(self, key: object) -> tuple[str, ...]:
        """Return the part of an idempotency key after the id of the run, which is equal in a run and its branches."""
        return str(key).partition(f"/{place_of(self._frame)}")[1:]

    async def _begin(self, effect: Effecting[T]) -> T:
        await self._note_begun(effect)
        # 1. This process is suspended here. 2. Its lease ends, and another process claims the run, and finds that the
        #    effect has begun. 3. A person says that the effect did not happen. 4. This process continues. It must not
        #    begin the effect then.
        if self._services.is_shared:
            await self._services.host.check_owned()
        return await self._journal.act_inside(effect)

    async def forget(self, place: str, key: str) -> None:
        """Record that an effect which had begun did not happen, so that its end is no longer unknown.

        This is recorded when a person has said so and the node now does something else than the effect.
        """
        await self._services.host.note(
            Noted(self._task, 0.0, self._services.now(), Begun(key=place, idempotency_key=key, not_done=True))
        )

    async def _note_begun(self, effect: Effecting[Any], *, not_done: bool = False) -> None:
        """Record that an effect begins, before the function of the effect is called.

        If the process dies during the call, this record shows that the effect may have happened. With `not_done`, the
        opposite is recorded: an effect that had begun has reported that it did nothing.
        """
        shown = UNSET if not_done else self._journal.show_arguments(effect.arguments)
        begun = Begun(key=effect.place, name=effect.name, arguments=shown, idempotency_key=effect.key)
        begun.not_done = not_done
        if effect.once is not None and not not_done:
            begun.unknown = effect.once.unknown
            begun.reconcile = effect.once.name if effect.once.reconcile is not None else ""
        size_bytes = None if shown is UNSET else bytes_of(shown)
        await self._services.host.note(Noted(self._task, 0.0, self._services.now(), begun, size_bytes))

    async def _find_out_result(self, effect: Effecting[T], why: BaseException | None) -> T:
        """Find out what became of an effect that has begun and whose end is not recorded, and return its result.

        The `reconcile=` function of the effect is called if there is one, and a person is asked otherwise. If a person
        has already answered that the effect must be done again, the function is called once more before that.
        """
        once, path = effect.once or Once(), path_of(self._frame.id, self._frame.at)
        details = f": {type(why).__name__}: {why}" if why is not None else ""
        if why is not None:
            log.warning("%s of node %s began and did not return%s", effect.name, path, RunText(details), exc_info=why)
        beginning = self._find_beginning(effect)
        if beginning is not None and beginning.reconcile and once.reconcile is None:
            details += f"; {beginning.reconcile}, which was to find that out, is gone"
        question = self._key_of_question(effect)
        answer = self._read_answer(question, "rerun")
        cut_until = self._services.host.cut_until(beginning.begun) if beginning is not None and why is None else 0.0
        is_settled = not cut_until or self._is_answered(question)
        if once.reconcile is not None and answer == "rerun":
            if not is_settled and once.settle_seconds is not None and self._journal.may_wait:
                await self._settle(effect, cut_until + once.settle_seconds)
                is_settled = True
            key = beginning.id if beginning is not None else effect.key
            recorded = beginning.value if beginning is not None and isinstance(beginning.value, dict) else {}
            arguments = once.arguments({**effect.given, **recorded, **effect.arguments, KEY_NAME: key})
            try:
                return cast("T", await self._journal.run(functools.partial(once.reconcile, **arguments)))
            except NotDone:
                if why is not None:
                    await self._note_begun(effect, not_done=True)
                    raise
                if is_settled:
                    return await self._begin_again(effect)
                details = f"{details}; {once.name} says that it did not happen, but {_MAY_STILL}"
            except EffectUnknown as error:
                details = f"{details}; {error.message}"
        key, decision = await self._ask_how_it_ended(effect, details, why)
        if decision == "rerun":
            return await self._begin_again(effect)
        self._journal.answer = key, decision[0]
        return cast("T", decision[0])

    async def _settle(self, effect: Effecting[Any], at: float) -> None:
        """Wait until another process that was cut off can no longer be doing this effect.

        The wait is recorded, so the attempt ends, and the node runs again afterwards.
        """
        key, left = f"{self._key_of_question(effect)}|settled", at - self._services.now()
        if left > 0 and key not in self._frame.recorded_results:
            text = f"until {effect.name}, which another process may still be doing, has happened or not"
            await self._journal.wait_at(
                key, WaitRecord(kind="sleep", question=to_show(text), due=self._services.wall() + left), None
            )

    async def _ask_how_it_ended(
        self, effect: Effecting[Any], details: str, why: BaseException | None
    ) -> tuple[str, Any]:
        """Ask a person how an effect ended. Returns the key of the answer, and the answer.

        Raises:
            EffectUnknown: The answer is `fail`, or there is no answer and nobody may be asked here.
        """
        path, beginning = path_of(self._frame.id, self._frame.at), self._find_beginning(effect)
        how, asked = "nobody knows how it ended", 'rerun if it did not happen, {"result": …} if it did, or fail'
        if beginning is not None and beginning.by is not None:
            how, asked = f"its result was refused: {beginning.by}", '{"result": …} with one that fits, rerun, or fail'
        text = f"{f'{effect.name} in ' * bool(effect.place)}{path} began, and {how}{details}"
        repair = "find out what happened, and resume; or give a function that does: effect=Once(reconcile=…)"
        unknown = EffectUnknown(text, where=f"node {path}", repair=repair)
        if effect.lost:
            text = f"{text}; {effect.lost}"
        key, once = self._key_of_question(effect), effect.once or Once()
        is_asked = self._is_answered(key) or (once.unknown != "fail" and self._journal.may_wait)
        if beginning is None or not is_asked:
            raise unknown from why
        arguments = "" if beginning.value is UNSET else f"\n{to_json(beginning.value).decode()}"
        wait = WaitRecord(kind="unknown", question=to_show(f"{text}.{arguments}\nAnswer {asked}."), schema=_DECISION)
        (kept, joint), answers = self._joint_answers.get(key, (None, "")), Decisions(effect.read)
        decision: Any = None
        if kept is not None:
            # If a validator of the user refuses the part, the question is about this effect alone, with the reason.
            with contextlib.suppress(Exception):
                decision = answers.read(kept)
        try:
            decision = decision or await self._journal.wait_at(key, wait, answers)
        # The answer is not a result of the effect, and the code cannot wait here for another answer.
        except DefinitionError:
            raise unknown from why
        if decision == "fail":
            self._journal.refuse_at(unknown, joint or key)
            raise unknown from why
        return key, decision

    def _key_of_question(self, effect: Effecting[Any]) -> str:
        """Return the key of the question how an effect ended; "" if the effect has not begun."""
        beginning = self._find_beginning(effect)
        return f"{UNKNOWN}{effect.place}|{beginning.begun}" if beginning is not None else ""

    def _list_left_behind(self, effect: Effecting[Any]) -> Sequence[RecordedResult]:
        """Return effects of an earlier conversation that this effect may repeat; see `StepJournal.find_left_behind`."""
        left = self._journal.find_left_behind(effect.place)
        return left if effect.once is not None else [memo for memo in left if memo.name == effect.name]

    async def _ask_before(self, effect: Effecting[T], left: Sequence[RecordedResult]) -> tuple[str, Any]:
        """Ask a person whether an earlier conversation of the agent has already done this effect.

        Returns:
            The key of the answer, and the answer.

        Raises:
            EffectUnknown: The answer is `fail`, or `unknown="fail"` forbids the question, or the node cannot wait here.
        """
        path, key = path_of(self._frame.id, self._frame.at), f"{UNKNOWN}{effect.place}|left"
        text = f"{effect.name} in {path} has not begun, but {len(left)} effects of an earlier conversation have, which "
        text += "this attempt did not ask for again"
        if not left:
            text = f"{effect.name} in {path} began, and nobody knows how it ended; {effect.lost}"
        repair = "give the agent its earlier input again; or find out what happened, and answer"
        unknown = EffectUnknown(text, where=f"node {path}", repair=repair)
        may_ask = (effect.once or Once()).unknown != "fail" and self._journal.may_wait
        if key not in self._frame.recorded_results and not may_ask:
            raise unknown
        shown = self._journal.show_arguments(effect.arguments)
        arguments = "" if shown is UNSET else f"\n{to_json(shown).decode()}"
        asked = 'rerun if it is to be done, {"result": …} if it was done, or fail'
        wait = WaitRecord(kind="unknown", question=to_show(f"{text}.{arguments}\nAnswer {asked}."), schema=_DECISION)
        decision = await self._journal.wait_at(key, wait, Decisions(effect.read))
        if decision == "fail":
            self._journal.refuse_at(unknown, key)
            raise unknown
        return key, decision

    async def _begin_again(self, effect: Effecting[T]) -> T:
        """Do an effect again that began before and did not happen, after asking a person about effects inside it.

        Code inside an effect cannot wait for a person, so the question comes before the effect begins:

        1. A call inside of an effect is cut off: both began.
        2. A person says that the outer one is to run again.
        3. If the question came only when the inner call is reached, the call would fail, and the person would be asked
           about the outer effect for ever.
        """
        above = BEGUN + (f"{effect.place}/" if effect.place else "")
        for key, beginning in [*self._frame.recorded_results.items()]:
            if key.startswith(above) and (place := key.removeprefix(BEGUN)):
                asked = replace(effect, once=Once(), place=place, key=str(beginning.id), name=str(beginning.name))
                await self._ask_how_it_ended(
                    replace(cast("Effecting[Any]", asked), read=lambda record: record), "", None
                )
        return await self._begin(effect)


def _effect_of_record(key: str, memo: RecordedResult) -> Effecting[Any]:
    """Rebuild the description of a side effect from its record, without the code that did it.

    A person can then be asked how the effect ended, although the current code may not contain the effect any more.
    """

    async def make(_: str) -> object:
        raise AssertionError(key)  # the effect is only settled, and not made

    once = Once(unknown=memo.unknown)
    return Effecting(once, key.removeprefix(BEGUN), memo.id or "", memo.name or "", {}, make, itself, itself)


def _show_effect(key: str, memo: RecordedResult) -> str:
    """Describe a recorded effect to a person: its name, with its arguments if it has only begun, or with its result."""
    name = memo.name or own_name(WorkKey.read(key).name)
    if memo.value is UNSET:
        return name
    return f"{name}{' ' if key.startswith(BEGUN) else ' → '}{to_json(memo.value).decode()}"


def _as_begun(beginning: RecordedResult, now: Once | None) -> Once:
    """Return what was declared for an effect that has begun, for the case that nobody knows how the effect ended.

    The declaration with which the effect began decides, not the current one. Only the function `reconcile=` comes from
    the current declaration. If the effect was declared with `reconcile=` when it began, but no longer is, a person is
    asked, because the earlier declaration relied on the function.
    """
    reconcile = now.reconcile if now is not None else None
    unknown: OnUnknown = "ask" if beginning.reconcile and reconcile is None else beginning.unknown
    return Once(reconcile, unknown, now.settle_seconds if now is not None else None)
