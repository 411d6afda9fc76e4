"""Checks of answers that come from outside a run: which question an answer is for, and whether the answer fits."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic_core import from_json

from graphengine.engine.failures import why_refused
from graphengine.engine.frame_tree import wait_id as make_wait_id
from graphengine.engine.lookup import plan_of
from graphengine.engine.steps import ANSWERABLE
from graphengine.errors import (
    AmbiguousWait,
    AnsweredAlready,
    AsksNothing,
    InputError,
    NoChoice,
    QuestionChanged,
    QuestionWithdrawn,
    RunCancelled,
)
from graphengine.graph.question import AskBody
from graphengine.history.ended_questions import ended_question, name_in, own_id
from graphengine.history.load import Wait, find_posted
from graphengine.schemas.words import choices, in_words, whats_wrong
from graphengine.state.marks import bare, without_set_fields
from graphengine.state.path import did_you_mean
from graphengine.state.recorded_text import show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.engine.steps import AnswerRecord, WaitRecord
    from graphengine.graph.question import ReadsAnswer
    from graphengine.history.ended_questions import EndedQuestion
    from graphengine.runner.cached_snapshots import CachedSnapshots
    from graphengine.state.json_values import JsonValue
    from graphengine.stores.base import RunStore


_INSTEAD: Final = {
    "running": "wait until the run asks; `graphengine watch` follows the run",
    "failed": "resume the run: `graphengine resume`",
    "stopped": "resume the run: `graphengine resume`",
}
"""What to do with a run that has no question, by the status of the run."""


_LISTED: Final = 10
_MOST_TYPES: Final = 4096


class Asked(NamedTuple):
    """A question of a run, or another wait that an answer from outside can end.

    Attributes:
        name: The name of the wait.
        facts: What the run has recorded about the wait, such as the text of the question.
        frame: The position of the run in its graph that waits for the answer now. None if no node waits for it at the
            moment, for example because the node is running again.
    """

    name: str
    facts: WaitRecord
    frame: Frame | None = None

    def changed(self, run_id: str, waits: Sequence[Wait]) -> QuestionChanged:
        """Build the error for an answer to a question that the run no longer asks, because its graph was changed.

        The answer is not recorded. The error lists the questions that the run asks now.
        """
        answerable = [wait for wait in waits if wait.answerable]
        now = [wait for wait in answerable if wait.name == self.name] or answerable
        words = [f"{wait.question!r}" + (f": {in_words(wait.schema)}" if wait.schema else "") for wait in now]
        return QuestionChanged(
            f"the graph has changed since {str(self.facts.question)!r} was asked, so this answer is not recorded; "
            f"run {run_id} asks now: {'; '.join(words) or 'nothing'}",
            where=f"wait {self.name}",
            repair="answer the question that the run asks now" if now else "look at the run: `graphengine show`",
        )


async def find_asked_wait(store: RunStore, kept: CachedSnapshots, run_id: str, wait: str | Wait | None) -> Asked:
    """Find the question of a run for which an answer is meant. See `question_of` for the rules and the errors.

    The inbox of the run is read only if the name or id does not identify an open question. This saves time, because
    thousands of unprocessed answers may be in the inbox.
    """
    named = wait.id if isinstance(wait, Wait) else wait
    if named is not None:
        there = await kept.read(run_id)
        named = own_id(there, named)
        found = _open_now(there, named)
        if found is not None and there.status != "cancelled":
            return found
    posted = find_posted(await store.inbox([run_id]), run_id)
    return await question_of(store, await kept.read(run_id), named, posted)


def question_id(text: str) -> str:
    """Check that a text is the id of a question and not only its name, and return the text.

    The HTTP service and the protocol adapters require the id, because later questions can have the same name.

    Raises:
        InputError: The text is not the id of a question.
    """
    if not name_in(text):
        repair = "give the `id` of the question that was shown, such as approve@7; the waits of the run contain the id"
        raise InputError(f"{text!r} is not the id of a question", where="the answer", repair=repair)
    return text


def _open_now(snapshot: Snapshot, wait: str) -> Asked | None:
    """Return the open question that has this id or name; None if the id or name does not identify one for certain.

    A name counts only if the run has asked a single question of this name so far. If there were several, the caller
    might mean an earlier one.
    """
    if name_in(wait):
        found = snapshot.open_waits.asked(wait)
        if found is None or found[1].kind not in ANSWERABLE:
            return None
        return Asked(*found, snapshot.open_waits.holder(found[0], wait))
    named = [each for each in snapshot.open_waits.named(wait) if each.kind in ANSWERABLE]
    if len(named) != 1 or snapshot.asked[wait].times != 1:
        return None
    return Asked(wait, named[0], snapshot.open_waits.holder(wait, named[0].id))


async def question_of(
    store: RunStore, snapshot: Snapshot, wait: str | None, posted: Mapping[str, AnswerRecord]
) -> Asked:
    """Find the question for which an answer is meant. It must be open now.

    Args:
        store: The store of the run.
        snapshot: The run.
        wait: The id of the question, or its name if the run has asked it once; None if the run has only one question.
        posted: The answers that the run has not processed yet, by the ids of their questions. If the question has such
            an answer, the store refuses another one.

    Raises:
        AsksNothing: The run has no open question.
        RunCancelled: The run was cancelled.
        AmbiguousWait: The run has asked several questions with this name.
        AnsweredAlready: The question has been answered.
        QuestionWithdrawn: The run no longer asks the question.
        InputError: The run has no such question, or has several and none is named.
        RunReplaced: An earlier run with this id asked the question.
    """
    where = f"run {snapshot.run_id}"
    if snapshot.status == "cancelled":
        raise RunCancelled(snapshot.run_id, snapshot.ending.why if snapshot.ending is not None else "")
    wait = None if wait is None else own_id(snapshot, wait)
    if wait is not None and (found := _open_now(snapshot, wait)) is not None:
        return found
    every = [Asked(*each, frame) for frame in snapshot.frames.values() for each in frame.waits.items()]
    asks = [asked for asked in every if asked.facts.kind in ANSWERABLE]
    open_ones = [asked for asked in asks if asked.facts.id not in posted] or asks
    if wait is not None:
        if name_in(wait) and (again := await _find_reopened_question(store, snapshot, wait)) is not None:
            return again
        raise await _not_open(store, snapshot, wait, open_ones)
    if not open_ones:
        text = f"run {snapshot.run_id} is {snapshot.status} and has no open question"
        others = ", ".join(show(asked.facts.question) for asked in every)
        repair = (
            f"the run waits for {others}"
            if others
            else _INSTEAD.get(snapshot.status, "look at the run; the question may have been answered already")
        )
        raise AsksNothing(text, where=where, repair=repair)
    if len(open_ones) > 1:
        text = f"run {snapshot.run_id} asks several questions, and the answer does not name one"
        names = list(dict.fromkeys(_name_question(snapshot, asked) for asked in open_ones))
        raise InputError(text, where=where, repair=f"name one of: {', '.join(names)}, by wait=… or --wait")
    return open_ones[0]


def _name_question(snapshot: Snapshot, asked: Asked) -> str:
    """Return the name of an open question, or its id if the run has asked several questions with this name."""
    return asked.name if snapshot.asked[asked.name].times == 1 else asked.facts.id


async def _find_reopened_question(store: RunStore, snapshot: Snapshot, wait_id: str) -> Asked | None:
    """Return the question with this id if its node runs again, and is about to ask it again; otherwise None.

    While the node runs, the question is not open. An answer to it is accepted nevertheless, and kept until the node
    asks the question.
    """
    for frame in snapshot.frames.values():
        is_under_way = not frame.waits and frame.failing is None
        for name, (_, again) in frame.asked.items() if is_under_way else ():
            if again.id == wait_id and (ended := await ended_question(store, snapshot.run_id, wait_id)) is not None:
                return None if ended.facts is None else Asked(name, ended.facts)
    return None


async def _not_open(store: RunStore, snapshot: Snapshot, wait: str, open_ones: Sequence[Asked]) -> InputError:
    """Build the error for an answer that cannot be accepted.

    The cause is either that the question is not open, or that the answer names its question by a name which several
    questions of the run have.
    """
    run_id, where, asked_before = snapshot.run_id, f"run {snapshot.run_id}", snapshot.asked.get(wait)
    now = "; ".join(f"{each.facts.id} ({_first_line(show(each.facts.question))})" for each in open_ones[:_LISTED])
    if asked_before is not None and (asked_before.times > 1 or name_in(wait)):
        same = "; ".join(
            f"{each.facts.id} ({_first_line(show(each.facts.question))})"
            for each in open_ones[:_LISTED]
            if each.name == wait
        )
        return AmbiguousWait(
            f"run {run_id} has asked {wait!r} {asked_before.times} times, so the name does not say which question is "
            f"meant; open questions of this name: {same or 'none'}",
            where=where,
            repair="give the id of the question, or a Wait of a result or of runner.waits(run_id), as wait=…; on the "
            "command line, give the id with --wait",
        )
    wait_id = wait if asked_before is None else make_wait_id(wait, asked_before.last, snapshot.nonce)
    ended = await ended_question(store, run_id, wait_id) if name_in(wait_id) else None
    if ended is None:
        if not open_ones and not name_in(wait):
            text = f"run {run_id} is {snapshot.status} and has no open question"
            return AsksNothing(text, where=where, repair="look at the run: `graphengine show`")
        names = list(dict.fromkeys(_name_question(snapshot, asked) for asked in open_ones))
        repair = did_you_mean(wait, names) if names else f"look at the run, which is {snapshot.status}"
        asked = wait.removesuffix(f".{snapshot.nonce}")  # as a person would type it
        return InputError(f"run {run_id} has no question named {asked!r}", where=where, repair=repair)
    repair = f"the run asks now: {now}" if now else f"look at the run, which is {snapshot.status}"
    return _question_ended_error(run_id, wait_id, ended, repair)


def _question_ended_error(run_id: str, wait_id: str, ended: EndedQuestion, repair: str) -> InputError:
    where, answer = f"run {run_id}", ended.answer
    text = f"question {wait_id} of run {run_id}"
    if ended.facts is not None:
        text += f", {_first_line(show(ended.facts.question))!r},"
    if ended.end == "answered" and answer is not None:
        return AnsweredAlready(f"{text} was answered already{_describe_author(answer)}", where=where, repair=repair)
    if ended.end in ("time", "removed"):
        why = "is no longer open, because its time is over" if ended.end == "time" else "is no longer open"
        return AnsweredAlready(f"{text} {why}; this answer was not used", where=where, repair=repair)
    why = "the graph has changed" if ended.end == "changed" else "the run continued without an answer"
    return QuestionWithdrawn(f"{text} was withdrawn: {why}", where=where, repair=repair)


def _describe_author(answer: AnswerRecord) -> str:
    at = f" at {datetime.fromtimestamp(answer.at, UTC).isoformat(timespec='seconds')}" if answer.at else ""
    return f"{f' by {answer.by}' if answer.by else ''}{at}"


def refuse_second_answer(run_id: str, asked: Asked, first: AnswerRecord | None) -> AnsweredAlready:
    """Build the error for a second answer to a question of a run.

    If the first answer is recorded in the inbox, but the run has not processed it yet, the error names its author.
    """
    text = f"the question {asked.name!r} of run {run_id} was answered already"
    repair = "look at the run, which has already used the first answer"
    if first is not None:
        text += _describe_author(first)
        repair = "resume the run, or start `graphengine worker`, so that the first answer is used"
    return AnsweredAlready(text, where=f"run {run_id}", repair=repair)


_WORDS: Final = {"yes": True, "no": False, "true": True, "false": False}


def parse_answer(text: str, schema: Mapping[str, JsonValue] | None) -> JsonValue:
    """Convert a text that a person typed, such as `5` or `yes`, to the value that the person probably means.

    The value is the first of these that fits the schema of the question:

    1. The text parsed as JSON, if it is valid JSON.
    2. The text itself.
    3. For a bool: `yes` as true and `no` as false, in any case.

    Without a schema (for a message), valid JSON is parsed, and any other text is returned as it is.
    """
    candidates: list[JsonValue] = []
    with suppress(ValueError, TypeError):  # a TypeError for lone surrogates
        candidates.append(from_json(text, allow_inf_nan=False))
    candidates.append(text)
    if text.strip().lower() in _WORDS:
        candidates.append(_WORDS[text.strip().lower()])
    fits = (value for value in candidates if schema is None or not whats_wrong(schema, value))
    return next(fits, candidates[0])


def fit_answer(value: object, schema: Mapping[str, JsonValue] | None) -> object:
    """Return an answer in a form that fits the schema of its question, if that is possible.

    An answer that fits is returned unchanged. A text that does not fit is parsed, as `parse_answer` does. If the parsed
    value does not fit either, the text is returned.
    """
    if not isinstance(value, str) or schema is None or not whats_wrong(schema, value):
        return value
    meant = parse_answer(value, schema)
    return value if whats_wrong(schema, meant) else meant


def check_against(asked: Asked, record: JsonValue, reads: ReadsAnswer | None) -> None:
    """Check an answer against the JSON Schema that is recorded with its question, and against its Python type.

    Args:
        asked: The question.
        record: The answer.
        reads: The type with which the run will read the answer; None if it is not known.

    Raises:
        InputError: The answer does not fit.
    """
    schema = asked.facts.schema
    if schema is None:
        return
    wrong = whats_wrong(schema, without_set_fields(record)) and whats_wrong(schema, bare(record))
    if not wrong and reads is not None:
        try:
            reads.read(record)
        except BaseException as error:  # noqa: BLE001 - a validator of the user's
            wrong = [why_refused(error).removeprefix("value: ")]
    if wrong:
        is_message = asked.facts.kind == "receive"
        wanted = f"{'send' if is_message else 'answer'} {in_words(schema)}"
        near = did_you_mean(record, choices(schema)) if isinstance(record, str) else ""
        what = _first_line(show(asked.facts.question))
        text = f"this is not {what}" if is_message else f"this does not answer {what!r}"
        raise InputError(
            f"{text}: {'; '.join(wrong)}",
            where=f"wait {asked.name}",
            repair=f"{near} {wanted}" if near.startswith("did you mean") else wanted,
        )


class KnownTypes:
    """Remembers the Python types of the answers to questions that nodes in this process have asked.

    With the type, an answer can be checked before it is recorded. A question is recorded only with its JSON Schema,
    which has no validators, and no formats of some types. If the type is not known, for example in another process
    without the graph, the run may still refuse an answer that fits the schema, and asks again.
    """

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str, str], ReadsAnswer] = {}

    def keep(self, run_id: str, frame: str, key: str, reads: ReadsAnswer) -> None:
        """Remember the Python type of the answer to a question of a node, to check the answer when it arrives.

        Only the newest 4,096 types are remembered.
        """
        self._asked.pop((run_id, frame, key), None)
        self._asked[run_id, frame, key] = reads
        if len(self._asked) > _MOST_TYPES:
            del self._asked[next(iter(self._asked))]

    def of(self, run_id: str, asked: Asked, plan: Plan[Any] | None) -> ReadsAnswer | None:
        """Return the Python type of the answer to a question of a run; None if it is not known in this process.

        Args:
            run_id: The id of the run.
            asked: The question.
            plan: The compiled graph; None if it is not known.
        """
        frame, facts = asked.frame, asked.facts
        if frame is None:
            return None
        if facts.key:
            return self._asked.get((run_id, frame.id, facts.key))
        try:
            node = None if plan is None else plan_of(plan, frame).nodes.get(frame.at)
        except (KeyError, NoChoice):  # the graph was changed
            return None
        bodies = [call.body for call in (node.calls if node is not None else ())]
        asks = [body.ask.answers for body in bodies if isinstance(body, AskBody)]
        return next((each for each in asks if each.schema == facts.schema), None)


def _first_line(question: str) -> str:
    first, _, more = question.strip().partition("\n")
    return f"{first} \u2026" if more else first
