"""Which fields of the state are the result of a run. The page, the story and the terminal all ask this module.

A graph can declare its result with `result=`. The first step of a run records the path that is declared there. If the
graph declares no result, readers show the fields that were written last, under the title "Written last". They do not
guess which field matters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from graphengine.records.base_documents import Part
from graphengine.records.step_queries import ops_of

if TYPE_CHECKING:
    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import Snapshot, Step

_GIVEN: Final = ("started", "branched", "resumed", "removed")
"""Steps whose updates no node wrote."""
_PART: Final = re.compile(r"\.?([^.\[\]]+)|\[([^\[\]{}]+)\]")
"""One part of a path, as `graphengine.state.path` reads it. That module would import pydantic, so it is not used."""
_INDEX: Final = re.compile(r"-?\d+")


class ResultFields(Part):
    """Which fields of a run's state are shown to people as the result of the run.

    Attributes:
        declared: The path that the graph names with `result=`; "" if the graph names none, or if the state has no such
            field.
        written: The fields that were written last. These are the fields that the last visit in the run's own graph
            wrote. Visits that wrote nothing are skipped.
    """

    declared: str
    written: Sequence[str]


def result_fields(snapshot: Snapshot, steps: Sequence[Step]) -> ResultFields:
    """Find out which fields of a run's state are shown to people as the result of the run.

    Args:
        snapshot: The snapshot of the run.
        steps: The steps of the run up to this snapshot, or the last of them.
    """
    declared = snapshot.origin.result if snapshot.origin is not None else ""
    values: dict[str, JsonValue] = snapshot.root.values if snapshot.frames else {}
    if not find_value(values, declared)[0]:  # another version of the graph has renamed the field
        declared = ""
    own = (step for step in reversed(steps) if not step.frame and step.kind not in _GIVEN)
    last = next((ops for step in own if (ops := ops_of(step))), ())
    return ResultFields(declared, [name for name in dict.fromkeys(op[1] for op in last) if name in values])


def find_value(value: JsonValue, path: str) -> tuple[bool, JsonValue]:
    """Look up a path in a recorded state. Returns whether the state has the path, and the value or None.

    >>> find_value({"draft": {"text": "Dear Ada"}, "notes": ["first", "last"]}, "notes[-1]")
    (True, 'last')
    """
    for name, key in _PART.findall(path):
        part = name or key.strip().strip("\"'")
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and _INDEX.fullmatch(part) and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return False, None
    return True, value


__all__ = ["ResultFields", "find_value", "result_fields"]
