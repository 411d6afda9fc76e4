"""How numbers are compared in conditions, plateaus and cases, and how a mark contains them.

A number is compared by its exact value, whatever its type. Two rules differ from Python:

- A float that is compared with a Decimal counts as the decimal number as which it is written, so that 0.1 equals
  Decimal("0.1").
- NaN equals no value and has no order. As a sample of a plateau, it is worse than every number.

A mark contains JSON, also in memory, so that a resumed run decides in the same way as a run that was never stopped.
Numbers that JSON lacks (NaN, infinities, Decimals) are contained as text.
"""

from __future__ import annotations

import decimal
import enum
import math
import numbers
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.state.selector import Tracker

T = TypeVar("T")
Number: TypeAlias = int | float | decimal.Decimal

_MOST_DIGITS: Final = 3000  # JSON readers refuse an int of more than about 4,300 digits
_BITS_PER_DIGIT: Final = 3.3


def as_number(sample: object) -> Number | None:
    """Convert a value that a plateau condition watches to a number; None if it is not a number. A bool is not a number.

    Raises:
        ValueError: The number has too many digits to be recorded.
    """
    if isinstance(sample, enum.Enum):
        sample = sample.value
    if type(sample) is float:
        return sample
    if isinstance(sample, bool) or not isinstance(sample, (numbers.Real, decimal.Decimal)):
        return None
    if isinstance(sample, decimal.Decimal):
        if not sample.is_finite():
            return math.nan if sample.is_nan() else float(sample)
        exact: Number = decimal.Decimal(sample)
        digits = max(len(sample.as_tuple().digits), abs(sample.adjusted()))
    elif isinstance(sample, numbers.Integral):
        exact, digits = int(sample), int(int(sample).bit_length() / _BITS_PER_DIGIT)
    else:
        return float(sample)
    if digits > _MOST_DIGITS:
        message = f"a number of more than {_MOST_DIGITS:,} digits is too long for a sample"
        raise ValueError(message)
    return exact


def to_mark(number: Number) -> int | float | str:
    """Convert a number to the form in which JSON records it.

    Numbers that JSON lacks, such as infinity, become texts.
    """
    if isinstance(number, decimal.Decimal):
        return str(number)
    return number if isinstance(number, int) or math.isfinite(number) else str(number)


def of_mark(mark: float | str) -> Number:
    """Convert a number that `to_mark` recorded back to a number."""
    if not isinstance(mark, str):
        return mark
    exact = decimal.Decimal(mark)
    return exact if exact.is_finite() else float(exact)


def better(sample: Number, best: Number, tracker: Tracker) -> bool:
    """Return whether a value is better than the best value so far by more than the condition's `min_delta`.

    NaN is worse than any number.
    """
    if is_nan(sample) or is_nan(best):
        return not is_nan(sample)
    more, less = (sample, best) if tracker.mode == "max" else (best, sample)
    if not more > less:
        return False
    if not tracker.min_delta:
        return True
    if isinstance(more, float) and isinstance(less, float):
        return more - less > tracker.min_delta
    if _is_infinite(more) or _is_infinite(less):
        return tracker.min_delta < math.inf
    return Fraction(more) - Fraction(less) > tracker.min_delta


def _is_infinite(number: Number) -> bool:
    return isinstance(number, float) and math.isinf(number)


def is_nan(value: object) -> bool:
    """Return whether a value is NaN, which is not equal to itself."""
    return value.is_nan() if isinstance(value, decimal.Decimal) else isinstance(value, float) and math.isnan(value)


def alike(value: Any, other: Any) -> tuple[Any, Any]:  # noqa: ANN401 - any two values
    """Prepare two values so that a condition can compare them, and return them.

    A member of an Enum becomes its value. If only one of two numbers is a Decimal, the other becomes a Decimal too.
    """
    if isinstance(value, enum.Enum) and not isinstance(other, enum.Enum):
        value = value.value
    if isinstance(value, decimal.Decimal) or isinstance(other, decimal.Decimal):
        if is_nan(value) or is_nan(other):
            return math.nan, math.nan  # a NaN of Decimal would raise an error
        value, other = _decimal(value), _decimal(other)
    return value, other


def _decimal(value: object) -> object:
    return decimal.Decimal(repr(float(value))) if isinstance(value, float) else value


def equal(value: object, other: object) -> bool:
    """Return whether a condition considers two values equal."""
    one, two = alike(value, other)
    return bool(one == two)


def case_of(cases: Mapping[object, T], value: object) -> T | None:
    """Return the target to which a switch leads for a value; None if the switch has no case for the value."""
    found = cases.get(value)
    if found is None and isinstance(value, (float, decimal.Decimal)):
        return next((target for case, target in cases.items() if equal(value, case)), None)
    return found
