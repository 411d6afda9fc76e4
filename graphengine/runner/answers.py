"""Answers and messages from outside, looked at before they are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import PydanticSerializationError, from_json, to_json

from graphengine.errors import InputError
from graphengine.paths import did_you_mean

if TYPE_CHECKING:
    from graphengine.core.snapshot import Frame, Snapshot
    from graphengine.records import JsonValue


def check_answer(snapshot: Snapshot, wait: str | None) -> tuple[str, str]:
    """The name and the id of the wait that an answer is for.

    Raises:
        InputError: There is none such, or several and none is named.
    """
    where = f"run {snapshot.run_id}"
    every: dict[str, JsonValue] = {}
    for frame in snapshot.frames.values():
        for name, facts in frame.waits.items():
            every.setdefault(name, facts)  # of several with one name the first is answered first
    asked = {name: facts for name, facts in every.items() if facts["kind"] in ("ask", "pause", "crash")}
    if not asked:
        told = f"run {snapshot.run_id} is {snapshot.status} and asks nothing"
        others = ", ".join(facts["question"] for facts in every.values())
        repair = f"it waits for {others}" if others else "look at it: it may have been answered already"
        raise InputError(told, where=where, repair=repair)
    if wait is None:
        if len(asked) > 1:
            names = ", ".join(asked)
            raise InputError(f"run {snapshot.run_id} asks several things", where=where, repair=f"name one of: {names}")
        wait = next(iter(asked))
    if wait not in asked:
        raise InputError(
            f"run {snapshot.run_id} asks nothing as {wait!r}", where=where, repair=did_you_mean(wait, asked)
        )
    return wait, asked[wait]["id"]


def check_against(frame: Frame | None, wait: str, record: JsonValue) -> None:
    """See whether an answer fits the schema that was stored with its question.

    Raises:
        InputError: It does not.
    """
    schema = frame.waits[wait].get("schema") if frame is not None else None
    if schema is None or frame is None:
        return
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - heavy, and needed for answers alone

    errors = sorted(Draft202012Validator(schema).iter_errors(record), key=lambda error: list(error.path))
    if errors:
        told = "; ".join(f"{'.'.join(map(str, e.path)) or 'answer'}: {e.message}" for e in errors)
        raise InputError(
            f"this is no answer to {frame.waits[wait]['question']!r}: {told}",
            where=f"wait {wait}",
            repair=f"give what this JSON Schema describes: {to_json(schema).decode()}",
        )


def as_record(value: object, what: str) -> JsonValue:
    """A value as JSON.

    Raises:
        InputError: JSON cannot carry it.
    """
    try:
        return from_json(to_json(value, inf_nan_mode="constants"))
    except (PydanticSerializationError, ValueError) as error:
        raise InputError(
            f"JSON cannot carry {what}: {error}", repair="give plain values or a pydantic model"
        ) from error
