"""Steps as they are recorded, and steps made from records, for comparisons and made-up logs."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import convert, structs
from pydantic_core import from_json, to_json

from graphengine.engine.phases import Collecting as Mapping_
from graphengine.engine.phases import Ended, Fallback, Forked, GivenUp, Inside, Leaving, Phase, Ready, Waiting
from graphengine.engine.step_json import FACTS, decode_step, encode_step
from graphengine.engine.steps import Step

_NEEDED: Final[Mapping[str, dict[str, Any]]] = {
    "started": {"run_id": "r", "graph": "g", "fingerprint": "f", "limits": {}},
    "item": {"writes": []},
    "mapped": {"count": 0, "concurrency": 1},
    "entered": {"graph": "inner"},
    "recorded": {"key": "k", "name": "f", "value": None},
    "waiting": {"waits": {}},
    "answered": {"wait": "w", "by": "answer", "answer": {"value": None}},
    "refused": {"message": ""},
    "message": {"topic": "t", "payload": None},
    "resumed": {"limits": {}, "fingerprint": "f"},
    "branched": {"run_id": "r", "parent": "p", "limits": {}, "fingerprint": "f"},
    "stopped": {"status": "stopped", "ending": {"reason": "asked"}},
}
"""The facts that steps of a kind must have, for tests to which their values do not matter."""


def said(step: Step) -> dict[str, Any]:
    """Return the facts of a step as they are recorded."""
    facts: dict[str, Any] = from_json(encode_step(step)).get("data", {})
    return facts


def made_step(  # noqa: PLR0913 - the parts of a step
    seq: int,
    kind: str,
    at: float,
    frame: str = "",
    node: str = "",
    visit: int = 0,
    attempt: int = 0,
    began: float = 0.0,
    update: Sequence[Any] = (),
    data: Mapping[str, Any] | None = None,
) -> Step:
    """Return a step with these recorded facts."""
    facts = {**_NEEDED.get(kind, {}), **(data or {})}
    if isinstance(facts.get("error"), Mapping):
        facts["error"] = {"path": node, "kind": "error", "message": "", **facts["error"]}
    if isinstance(facts.get("ending"), Mapping):
        facts["ending"] = {"reason": "end", **facts["ending"]}
    made = convert(facts, FACTS[kind])  # not through JSON: hostile texts can hold what JSON cannot carry
    return Step(seq, at, made, frame, node, visit, attempt, began, list(update))


def altered(step: Step, **fields: Any) -> Step:
    """Return a step with other fields."""
    return structs.replace(step, **fields)


def resaid(step: Step, **facts: Any) -> Step:
    """Return a step with other facts."""
    row = from_json(encode_step(step))
    return decode_step(step.seq, to_json({**row, "data": {**row.get("data", {}), **facts}}))


PHASES: Final[Mapping[type[Phase], str]] = {
    Ready: "ready",
    Fallback: "fallback",
    Leaving: "leaving",
    Forked: "forked",
    Mapping_: "mapping",
    Inside: "inside",
    Waiting: "waiting",
    GivenUp: "failed",
    Ended: "ended",
}
