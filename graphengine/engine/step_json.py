"""The JSON of steps, which leaves out empty values; see `graphengine.engine.steps`."""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - msgspec reads the annotations of `_Row`
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec
from msgspec import Raw, Struct

from graphengine.engine.steps import AnyFacts, Continued, Count, Item, Mapped, Step, Time
from graphengine.state.json_values import Op  # noqa: TC001 - msgspec reads it too

if TYPE_CHECKING:
    from collections.abc import Mapping


_NO_TIME: Final = 0.0
_NO_FACTS: Final = Raw(b"{}")


class _Row(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The JSON form of a step, from which the number of the step is left out.

    A store keeps the number in a column of its own. Default values are left out of the JSON. msgspec recognizes a
    default `0.0` only by identity: a different object with the same value would be written.
    """

    kind: str
    at: Time
    frame: str = ""
    node: str = ""
    visit: Count = 0
    attempt: Count = 0
    began: Time = _NO_TIME
    update: Sequence[Op] = ()
    data: Raw = _NO_FACTS


_encode: Final = msgspec.json.Encoder().encode
_rows: Final = msgspec.json.Decoder(_Row)
FACTS: Final[Mapping[str, type[AnyFacts]]] = {facts.kind: facts for facts in get_args(AnyFacts)}
_facts: Final = {kind: msgspec.json.Decoder(facts) for kind, facts in FACTS.items()}
_EMPTY: Final = frozenset(kind for kind, facts in FACTS.items() if not facts.__struct_fields__)


def encode_step(step: Step) -> bytes:
    """Encode a step as JSON.

    The number of the step is not included, because a store keeps it in a column of its own.
    """
    kind = step.data.kind
    data: Any = _NO_FACTS if kind in _EMPTY else step.data
    began, update = step.began or _NO_TIME, step.update or ()
    return _encode(_Row(kind, step.at, step.frame, step.node, step.visit, step.attempt, began, update, data))


def as_stored(step: Step) -> Step:
    """Return a step in the form that a process would get by reading the step from the store.

    The returned step contains only JSON values, and no Python objects.
    """
    if step.update or isinstance(step.data, (Mapped, Continued)):
        return decode_step(step.seq, encode_step(step))
    if type(step) is Step:
        return step
    return Step(step.seq, step.at, step.data, step.frame, step.node, step.visit, step.attempt, step.began)


def decode_step(seq: int, body: bytes | str) -> Step:
    """Decode the JSON of the step with this number.

    Raises:
        ValueError: The JSON is not a step, or contains keys that only a newer version of graphengine knows.
    """
    try:
        row = _rows.decode(body)
        data: AnyFacts = _facts[row.kind].decode(row.data)
        _check_ops(data.writes if isinstance(data, Item) else row.update)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        message = f"step {seq} is not a valid step: {error}"
        raise ValueError(message) from error
    return Step(seq, row.at, data, row.frame, row.node, row.visit, row.attempt, row.began, row.update)


def _check_ops(ops: Sequence[Op]) -> None:
    """Check that each state operation consists of a kind, a field, and one or two values.

    The types that msgspec checks cannot express this.

    Raises:
        ValueError: An operation has another form.
    """
    for op in ops:
        least = 4 if op[:1] in (["put"], ["grow"]) else 3
        if len(op) < least or type(op[0]) is not str or type(op[1]) is not str:
            message = f"{op!r} is not an operation on a field"
            raise ValueError(message)
