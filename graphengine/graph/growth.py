"""Quantities that grow in each round of a loop, by which conditions force loops to end.

A condition such as `iterations("draft") >= 3` must hold at some time if each round of a loop adds one to the count. A
condition names the quantities that it relies on (`Condition.growth_until`), and `checks.loops` finds out whether they
grow in each round of a given loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from graphengine.schemas.walking import kinds, variants

if TYPE_CHECKING:
    from graphengine.schemas.walking import Schema
    from graphengine.state.path import Path
    from graphengine.state.schema import StateType


@dataclass(frozen=True, slots=True)
class GrowingQuantity:
    """Something that grows in each round of a loop, so that a condition on it eventually lets the run leave the loop.

    The check for endless loops compares what an edge needs to grow with what a loop makes grow.

    Attributes:
        counted: The node whose visits are counted; "" if the quantity is not a count.
        appends: The list field that becomes longer; "" if the quantity is not a length.
        samples: The fields whose values a plateau condition follows; empty for other conditions.
        since: The node whose visits reset the quantity; "" if there is none.
    """

    counted: str = ""
    appends: str = ""
    samples: frozenset[str] = frozenset()
    since: str = ""


def may_improve_for_ever(
    path: Path | None, state: StateType[Any], mode: Literal["max", "min"], min_delta: float
) -> bool:
    """Return whether a score can keep improving for ever, so that a plateau condition on it may never hold.

    A plateau condition holds when a score stops improving. It may never hold if the score may be missing, or if the
    type of the score does not limit it: an `int` without a maximum can grow for ever.

    Args:
        path: The path of the score; None for the result of a function, whose values are not known.
        state: The state type in which the path is looked up.
        mode: Whether a greater score or a smaller score is better.
        min_delta: The least difference that counts as an improvement.
    """
    if path is None:
        return True
    try:
        root = state.model.model_json_schema(by_alias=False)
    except Exception:  # noqa: BLE001 - a type of the user may have no schema
        return True
    found = variants(root.get("properties", {}).get(path.root), root)
    for kind, key in path.parts:
        if any("null" in kinds(each) for each in found):
            return True
        found = [below for each in found for below in variants(_schema_of_part(each, kind, key), root)]
    return not found or not all(_has_end(each, mode, min_delta) for each in found)


def _schema_of_part(schema: Schema, kind: str, key: str | int) -> object:
    """Return the JSON Schema of a part of a value; None if it is not known."""
    if kind == "name":
        return schema.get("properties", {}).get(key, schema.get("additionalProperties"))
    return schema.get("items", schema.get("additionalProperties"))


def _has_end(schema: Schema, mode: Literal["max", "min"], min_delta: float) -> bool:
    """Return whether the values of a JSON Schema can improve only a limited number of times, and are never missing.

    This is true, for example, for an integer with a maximum when greater values are better.
    """
    if "enum" in schema or "const" in schema:
        return None not in schema.get("enum", [schema.get("const")])
    names = ("maximum", "exclusiveMaximum") if mode == "max" else ("minimum", "exclusiveMinimum")
    is_bounded, allowed = any(name in schema for name in names), kinds(schema)
    steps = allowed == {"integer"} or (allowed == {"number"} and min_delta > 0)
    return allowed == {"boolean"} or (steps and is_bounded)


__all__ = ["GrowingQuantity", "may_improve_for_ever"]
