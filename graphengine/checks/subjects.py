"""The values that conditions distinguish. Of all values that the conditions treat alike, one represents the others.

For example, `score >= 7` and `score < 3` divide all values into four groups: below 3, from 3 to below 7, from 7 on, and
None. The facts that are known about a value are therefore a set of representatives, which is stored as the bits of a
number. A value is not known if a function reads it, or if its type is not handled below. A condition on such a value
may hold or not, wherever it is read.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, get_origin

from pydantic import BaseModel

from graphengine.errors import InvalidUpdate
from graphengine.kernel.extension import Switch, View
from graphengine.kernel.inside import (
    Comparison,
    Path,
    RecordsAlone,
    Value,
    closed_values,
    enum_value,
    type_at,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from graphengine.kernel.extension import FieldType, StateType

_ORDER: Final = (">=", "<=", ">", "<")
_MOST: Final = 1e300
"""Numbers beyond this one are not distinguished, because arithmetic with floats and larger ints fails."""
_OTHER_TEXT: Final = "another text"


def holds(test: Comparison | Switch, value: object) -> Hashable:
    """Return the outcome of a condition for a value: whether it holds or, for a switch, the target."""
    if isinstance(test, Switch):
        return test.cases.get(value, test.otherwise)
    return test.holds_for(value)


class Subject:
    """A value that conditions read, with examples of it for all cases that the conditions tell apart.

    The search for all paths uses the examples in place of the infinitely many possible values. Example: for the
    condition `score > 3`, one number up to 3 and one number above 3 are enough.

    Attributes:
        root: The field; "" for the label with which the graph at a node ended.
        path: The path in the state that is read.
        values: The example values.
        all: A number in which the bit of every example value is set. A set of examples is represented by such a number.
    """

    def __init__(self, root: str, path: str, values: Iterable[object], tests: Sequence[Comparison | Switch]) -> None:
        self.root, self.path = root, path
        alike = {tuple(holds(test, value) for test in tests): value for value in reversed([*values])}
        self.values = [*alike.values()]
        self.all = (1 << len(self.values)) - 1
        self._tests = tests

    def where(self, test: Callable[[object], object]) -> int:
        """Return the example values for which a condition holds, as bits of a number."""
        return sum(1 << i for i, value in enumerate(self.values) if test(value))

    def like(self, value: object) -> int:
        """Return the example values that no condition can tell from this value, as bits of a number."""
        return self.where(lambda other: all(holds(test, other) == holds(test, value) for test in self._tests))


def key_of(test: Comparison | Switch) -> str:
    """Return the path in the state that a condition or a switch reads, to use as a key.

    The result is "" if the values at this path cannot be followed in the search for all paths.
    """
    if isinstance(test, Switch):
        return test.reading.text if test.reading.path is not None else ""
    quantity = test.quantity
    if not isinstance(quantity, Value) or quantity.reading.path is None or test.operator == "contains":
        return ""
    number = type(test.other) in (int, float) and abs(test.other) < _MOST  # type: ignore[arg-type]
    return "" if test.operator in _ORDER and not number else str(quantity)


def subjects_of(tests: Iterable[Comparison | Switch], state: StateType[Any]) -> dict[str, Subject]:
    """Return the values that conditions and switches read, if the search for all paths can follow them, by path."""
    groups: dict[str, list[Comparison | Switch]] = {}
    for test in tests:
        if key_of(test):
            groups.setdefault(key_of(test), []).append(test)
    found: dict[str, Subject] = {}
    for key, group in groups.items():
        values = _values_to_try(group, state)
        if values is not None:
            found[key] = Subject(_path_of_test(group[0]).root, key, values, group)
    return found


def _values_to_try(tests: Sequence[Comparison | Switch], state: StateType[Any]) -> list[object] | None:
    """Return example values, so that each possible outcome of these conditions occurs for at least one of them.

    Returns None if the type of the value does not show which values are possible.
    """
    path = _path_of_test(tests[0])
    field = state.fields.get(path.root)
    if field is None or field.own or field.secret:
        return None
    every = type_at(field.info.annotation, path)[0]
    types = [kind for kind in every if kind not in (None, type(None))]
    defaults: list[object] = []
    if not field.info.is_required() and not path.parts:
        defaults.append(field.info.get_default(call_default_factory=True, validated_data={}))
    can_lack = len(types) < len(every) or bool(path.parts) or None in defaults
    constants = [each for test in tests for each in _constants_of_test(test)]
    if any(isinstance(test, Comparison) and getattr(test.quantity, "measure", "") for test in tests):
        lacks = can_lack or not all(map(_is_sized, types))
        return [*_numbers_around(constants, whole=True, least=0), *([None] if lacks else [])]
    ends = _numbers_at_ends(field) if not path.parts else None
    values = _of_types(types, tests, [*constants, *(ends or ())], state)
    if values is None or not types:
        return None
    if ends:
        values = [value for value in values if fits(field, value)]
    return [*([None] if can_lack else []), *defaults, *values]


def _numbers_at_ends(field: FieldType) -> list[object] | None:
    """Return the smallest and the largest number that a field allows.

    None if the field has no such limits, or if it has other constraints too.
    """
    found: list[object] = []
    for rule in field.info.metadata:
        name = type(rule).__name__
        if type(rule).__module__ != "annotated_types" or name not in ("Ge", "Gt", "Le", "Lt"):
            return None
        found.append(getattr(rule, name.lower()))
    return found or None


def _of_types(
    types: Sequence[object], tests: Sequence[Comparison | Switch], constants: Sequence[object], state: StateType[Any]
) -> list[object] | None:
    """Return example values of these types, other than None, for each possible outcome of the conditions.

    Returns None if the values of a type are not known.
    """
    only_none = all(isinstance(test, Comparison) and test.operator == "is none" for test in tests)
    values: list[object] = []
    for kind in types:
        closed = closed_values([kind])
        if closed is not None:
            raw = state.model.model_config.get("use_enum_values")
            values += [enum_value(each) for each in closed] if raw else closed
        elif kind is bool:
            values += [True, False]
        elif kind in (int, float):
            values += _numbers_around(constants, whole=kind is int)
        elif kind is str and not any(isinstance(t, Comparison) and t.operator in _ORDER for t in tests):
            values += ["", _OTHER_TEXT, *(each for each in map(enum_value, constants) if isinstance(each, str))]
        elif only_none and _is_sized(kind):
            values.append(kind)
        else:
            return None
    return values


def _is_sized(kind: object) -> bool:
    """Return whether all values of a type have a length (texts, models, containers) and none of them is None."""
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, (str, list, tuple, set, frozenset, dict, BaseModel))


def _path_of_test(test: Comparison | Switch) -> Path:
    """Return the path that a condition reads, including its name."""
    reading: Any = test.reading if isinstance(test, Switch) else test.quantity.reading  # type: ignore[attr-defined]
    found: Path = reading.path
    return found


def _constants_of_test(test: Comparison | Switch) -> Sequence[object]:
    if isinstance(test, Switch):
        return [*test.cases]
    return test.other if isinstance(test.other, tuple) else [test.other]


def _numbers_around(constants: Iterable[object], *, whole: bool, least: float = -math.inf) -> list[object]:
    """Return numbers below, at, between and above the constants of conditions, if the type of the field allows them."""
    cuts = sorted({0, *(each for each in constants if isinstance(each, (int, float)) and abs(each) < _MOST)})
    near = {number for cut in cuts for number in (math.floor(cut) - 1, math.floor(cut), math.ceil(cut) + 1, cut)}
    near |= {math.ceil(cut) for cut in cuts}
    if not whole:
        near |= {(a + b) / 2 for a, b in pairwise(cuts)}
        near |= {cut + sign * (2**-40 * max(1, abs(cut))) for cut in cuts for sign in (-1, 1)}
    found: list[object] = [n for n in sorted(near, key=abs) if n >= least and not (whole and n != int(n))]
    return [int(n) if whole else n for n in found] + ([] if whole else [math.nan])  # type: ignore[call-overload]


def fits(declared: FieldType, value: object) -> bool:
    try:
        declared.validate(value, View(_NO_STATE, RecordsAlone({})))
    except (InvalidUpdate, KeyError, AttributeError):
        return False
    return True


class _EmptyModel(BaseModel):
    """Stands in for the state when a value is validated alone."""


class _EmptyState:
    model: type[BaseModel] = _EmptyModel
    fields: Mapping[str, Any] = {}
    secrets: frozenset[str] = frozenset()


_NO_STATE: Final = _EmptyState()
