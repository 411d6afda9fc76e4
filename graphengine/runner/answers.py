"""Answers and messages from outside, looked at before they are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic_core import PydanticSerializationError, from_json, to_json

from graphengine.errors import InputError
from graphengine.runner.answer_schema import choices, in_words, whats_wrong
from graphengine.state.json_values import check_depth
from graphengine.state.path import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection

    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import WaitRecord
    from graphengine.state.json_values import JsonValue


class TooLargeInput(InputError):
    """What is given takes more bytes than are allowed."""

    code = "too_large"


_INSTEAD: Final = {
    "running": "wait until it does; `graphengine watch` follows it",
    "failed": "`graphengine resume` goes on with it",
    "stopped": "`graphengine resume` goes on with it",
}
"""What to do with a run that asks nothing, by its status."""


class Asked(NamedTuple):
    """A wait that an answer is for."""

    name: str
    facts: WaitRecord


def check_answer(snapshot: Snapshot, wait: str | None, answered: Collection[str] = ()) -> Asked:
    """The wait that an answer is for. Of several with one name the first is answered first.

    Args:
        snapshot: The run.
        wait: Its name; None where the run asks one thing only.
        answered: The ids of waits that have an answer which the run did not take yet.

    Raises:
        InputError: There is none such, or several and none is named.
    """
    where = f"run {snapshot.run_id}"
    every = [Asked(*wait) for frame in snapshot.frames.values() for wait in frame.waits.items()]
    asks = [asked for asked in every if asked.facts.kind in ("ask", "pause", "crash")]
    open_ones = [asked for asked in asks if asked.facts.id not in answered]
    names = list(dict.fromkeys(asked.name for asked in open_ones))
    if not open_ones:
        told = f"run {snapshot.run_id} is {snapshot.status} and asks nothing"
        others = ", ".join(asked.facts.question for asked in every if asked not in asks)
        repair = (
            f"it waits for {others}" if others else _INSTEAD.get(snapshot.status, "it may have been answered already")
        )
        if asks:
            told, repair = f"run {snapshot.run_id} was answered already", "resume it, or start `graphengine worker`"
        raise InputError(told, where=where, repair=repair)
    if wait is None:
        if len(names) > 1:
            told = f"run {snapshot.run_id} asks several things"
            raise InputError(told, where=where, repair=f"name one of: {', '.join(names)}, by wait=… or --wait")
        wait = names[0]
    if wait not in names:
        told = f"run {snapshot.run_id} asks nothing as {wait!r}"
        if any(asked.name == wait for asked in asks):
            told = f"{wait!r} of run {snapshot.run_id} was answered already"
        raise InputError(told, where=where, repair=did_you_mean(wait, names))
    return next(asked for asked in open_ones if asked.name == wait)


def check_against(asked: Asked, record: JsonValue) -> None:
    """See whether an answer fits the schema that was stored with its question.

    Raises:
        InputError: It does not.
    """
    schema = asked.facts.schema
    if schema is None:
        return
    wrong = whats_wrong(schema, record)
    if wrong:
        wanted = f"answer {in_words(schema)}"
        near = did_you_mean(record, choices(schema)) if isinstance(record, str) else ""
        is_word = str(record).lower() in ("yes", "no", "true", "false")  # only a program gives these as texts
        if is_word and "yes or no" in wanted:
            wanted += ", in Python True or False"
        raise InputError(
            f"this is no answer to {_first_line(str(asked.facts.question))!r}: {'; '.join(wrong)}",
            where=f"wait {asked.name}",
            repair=f"{near} {wanted}" if near.startswith("did you mean") else wanted,
        )


def _first_line(question: str) -> str:
    """A question as an error names it: all of it where it is one line."""
    first, _, more = question.strip().partition("\n")
    return f"{first} \u2026" if more else first


def as_record(value: object, what: str, most_bytes: int | None = None) -> JsonValue:
    """A value as JSON.

    Args:
        value: The value.
        what: What it is, for errors.
        most_bytes: The most that it may take.

    Raises:
        InputError: JSON cannot carry it, or it is too large.
    """
    try:
        body = to_json(value, inf_nan_mode="constants")
        if most_bytes is not None and len(body) > most_bytes:
            told = f"{what} takes {len(body):,} bytes, {most_bytes:,} are allowed"
            repair = "send the name of where it lies, or raise Sizes(message_bytes=…)"
            raise TooLargeInput(told, repair=repair)
        check_depth(body)
        return from_json(body, allow_inf_nan=False)
    except (PydanticSerializationError, ValueError) as error:
        raise InputError(
            f"JSON cannot carry {what}: {error}", repair="give plain values or a pydantic model"
        ) from error
