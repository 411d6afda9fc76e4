"""Validation of answers from outside."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic_core import from_json

from graphengine.errors import AnsweredAlready, AsksNothing, InputError, QuestionChanged, RunCancelled
from graphengine.history.load import ANSWERABLE, posted_in
from graphengine.runner.answer_schema import choices, in_words, whats_wrong
from graphengine.state.marks import bare, without_set_fields
from graphengine.state.path import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import AnswerRecord, WaitRecord
    from graphengine.history.load import Wait
    from graphengine.runner.cached_snapshots import CachedSnapshots
    from graphengine.state.json_values import JsonValue
    from graphengine.stores.base import RunStore


_INSTEAD: Final = {
    "running": "wait until it asks; `graphengine watch` follows it",
    "failed": "resume it: `graphengine resume`",
    "stopped": "resume it: `graphengine resume`",
}
"""What to do with a run that has no question, by its status."""


class Asked(NamedTuple):
    """A wait to be answered."""

    name: str
    facts: WaitRecord


async def asked(store: RunStore, kept: CachedSnapshots, run_id: str, wait: str | None) -> Asked:
    """Return the wait of a run that an answer is for; see `check_answer`.

    Thousands of answers may be waiting to be taken. So they are only read if the name alone does not decide.
    """
    if wait is not None and (there := await kept.read(run_id)).status != "cancelled":
        named = there.open_waits.named(wait)
        if len(named) == 1 and named[0].kind in ANSWERABLE:
            return Asked(wait, named[0])
    posted = posted_in(await store.inbox([run_id]), run_id)
    return check_answer(await kept.read(run_id), wait, posted)


def check_answer(snapshot: Snapshot, wait: str | None, posted: Mapping[str, AnswerRecord]) -> Asked:
    """Return the wait that an answer is for. If several have the same name, the first is answered first.

    Args:
        snapshot: The run.
        wait: The name of the wait, or its id; None if the run has only one question.
        posted: The answers that the run has not taken up yet, by the ids of their waits. If the question has one, the
            store refuses another.

    Raises:
        AsksNothing, RunCancelled; InputError: The run has no such question, or has several and no name is given.
    """
    where = f"run {snapshot.run_id}"
    if snapshot.status == "cancelled":
        raise RunCancelled(snapshot.run_id, snapshot.ending.why if snapshot.ending is not None else "")
    every = [Asked(*each) for frame in snapshot.frames.values() for each in frame.waits.items()]
    asks = [asked for asked in every if asked.facts.kind in ANSWERABLE]
    open_ones = [asked for asked in asks if asked.facts.id not in posted] or asks
    names = list(dict.fromkeys(asked.name for asked in open_ones))
    if not open_ones:
        text = f"run {snapshot.run_id} is {snapshot.status} and asks nothing"
        others = ", ".join(asked.facts.question for asked in every if asked not in asks)
        repair = (
            f"it waits for {others}" if others else _INSTEAD.get(snapshot.status, "it may have been answered already")
        )
        raise AsksNothing(text, where=where, repair=repair)
    if wait is None:
        if len(open_ones) > 1:
            text = f"run {snapshot.run_id} asks several questions"
            raise InputError(text, where=where, repair=f"name one of: {', '.join(names)}, by wait=… or --wait")
        wait = names[0]
    named = [asked for asked in asks if wait in (asked.name, asked.facts.id)]
    if not named:
        text = f"run {snapshot.run_id} has no question named {wait!r}"
        raise InputError(text, where=where, repair=did_you_mean(wait, names))
    return next((asked for asked in named if asked in open_ones), named[0])


def answered_already(run_id: str, asked: Asked, given: AnswerRecord | None) -> AnsweredAlready:
    """Return the error for a second answer, with the first one as long as the run has not taken it up."""
    text, repair = f"{asked.name!r} of run {run_id} was answered already", "see the run: it has taken that answer up"
    if given is not None:
        at = datetime.fromtimestamp(given.at, UTC).isoformat(timespec="seconds")
        text += f"{f' by {given.by}' if given.by else ''} at {at}"
        repair = "resume it, or start `graphengine worker`"
    return AnsweredAlready(text, where=f"run {run_id}", repair=repair)


_WORDS: Final = {"yes": True, "no": False, "true": True, "false": False}


def parsed(text: str, schema: Mapping[str, JsonValue] | None) -> JsonValue:
    """Return the value that a person means by a text, such as `5` or `yes`: the first of these that fits the schema.

    1. The text parsed as JSON, if it is valid.
    2. The text itself.
    3. For a bool: `yes` as true and `no` as false, in any case.

    Without a schema (a message), valid JSON is parsed; anything else is text.
    """
    candidates: list[JsonValue] = []
    with suppress(ValueError, TypeError):  # the latter for lone surrogates
        candidates.append(from_json(text, allow_inf_nan=False))
    candidates.append(text)
    if text.strip().lower() in _WORDS:
        candidates.append(_WORDS[text.strip().lower()])
    fits = (value for value in candidates if schema is None or not whats_wrong(schema, value))
    return next(fits, candidates[0])


def fitting(value: object, schema: Mapping[str, JsonValue] | None) -> object:
    """Return an answer; an invalid text is parsed, and replaced by the parsed value if that is valid."""
    if not isinstance(value, str) or schema is None or not whats_wrong(schema, value):
        return value
    meant = parsed(value, schema)
    return value if whats_wrong(schema, meant) else meant


def check_against(asked: Asked, record: JsonValue) -> None:
    """Check an answer against the schema that is recorded with its question.

    Raises:
        InputError: The answer does not fit.
    """
    schema = asked.facts.schema
    if schema is None:
        return
    wrong = whats_wrong(schema, without_set_fields(record)) and whats_wrong(schema, bare(record))
    if wrong:
        wanted = f"answer {in_words(schema)}"
        near = did_you_mean(record, choices(schema)) if isinstance(record, str) else ""
        raise InputError(
            f"this does not answer {_first_line(str(asked.facts.question))!r}: {'; '.join(wrong)}",
            where=f"wait {asked.name}",
            repair=f"{near} {wanted}" if near.startswith("did you mean") else wanted,
        )


def changed(run_id: str, was: Asked, waits: Sequence[Wait]) -> QuestionChanged:
    """Return the error for an answer to a question that was changed, once the run asks today's."""
    now = [wait for wait in waits if wait.answerable and wait.name == was.name] or [w for w in waits if w.answerable]
    words = [f"{wait.question!r}" + (f": {in_words(wait.schema)}" if wait.schema else "") for wait in now]
    return QuestionChanged(
        f"the graph has changed since {str(was.facts.question)!r} was asked, so this answer is not recorded; "
        f"run {run_id} asks now: {'; '.join(words) or 'nothing'}",
        where=f"wait {was.name}",
        repair="answer what it asks now" if now else "see the run",
    )


def _first_line(question: str) -> str:
    """Return the first line of a question, for an error."""
    first, _, more = question.strip().partition("\n")
    return f"{first} \u2026" if more else first
