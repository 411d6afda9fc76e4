"""Placeholders for types that are made of others: pydantic says whether they fit. See `values/placeholders.txt` too."""

import datetime
import decimal
import fractions
import ipaddress
import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    VERSION,
    Base64Bytes,
    Field,
    HttpUrl,
    Json,
    JsonValue,
)
from pydantic_core import to_json
from typing_extensions import TypedDict

from graphengine.agents.reading import Output
from graphengine.schemas.examples import Values

Code = Annotated[str, Field(pattern=r"^[A-Z]\d$")]
NUMBERS: Final[list[Any]] = [int, float, decimal.Decimal]
TEXTS: Final[list[Any]] = [str, bytes, uuid.UUID, HttpUrl, Base64Bytes, ipaddress.IPv4Address, ipaddress.IPv6Network]
OTHERS: Final[list[Any]] = [bool, type(None), Literal["a", 2], datetime.date, datetime.timedelta, Json, JsonValue, Any]
if not VERSION.startswith(("2.12", "2.13")):  # they raise a TypeError for a number
    NUMBERS.append(fractions.Fraction)


# Types are values here.
FIELD: Any = Field
OF: Final[dict[str, Any]] = {"": Annotated, "list": list, "set": set, "dict": dict, "tuple": tuple, "Json": Json}
MADE: Any = TypedDict


def of(name: str, *arguments: Any) -> Any:
    """Return a type of others."""
    return OF[name][arguments[0] if len(arguments) == 1 else arguments]


def field(**bounds: st.SearchStrategy[int]) -> st.SearchStrategy[Any]:
    """Return constraints with these bounds."""
    return st.fixed_dictionaries(bounds).map(lambda found: FIELD(**found))


BOUND: Final = st.integers(-50, 50)
STEP: Final = st.integers(1, 9)
OPEN: Final = field(gt=BOUND) | field(lt=BOUND) | field(gt=BOUND, multiple_of=STEP) | field(le=BOUND, multiple_of=STEP)
CLOSED: Final = st.builds(lambda low, more: FIELD(ge=low, le=low + more), BOUND, st.integers(0, 9)) | st.builds(
    lambda low, more: FIELD(gt=low, lt=low + more), BOUND, st.integers(2, 9)
)
LENGTHS: Final = st.builds(lambda low, more: FIELD(min_length=low, max_length=low + more), st.integers(0, 40), STEP)
FEWEST: Final = field(min_length=st.integers(0, 4))
KEYS: Final = st.sampled_from([int, str, datetime.date, uuid.UUID, ipaddress.IPv4Address, Code])


def limited(kinds: Sequence[Any], limits: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return these types with constraints."""
    return st.builds(lambda kind, limit: of("", kind, limit), st.sampled_from(kinds), limits)


PLAIN: Final = (
    st.sampled_from([*NUMBERS, *TEXTS, *OTHERS]) | limited(NUMBERS[:3], OPEN | CLOSED) | limited([str], LENGTHS)
)


def wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return types made of these."""
    members = KEYS | limited([int, float], OPEN)
    return (
        st.builds(lambda kind, least: of("", of("list", kind), least), inner, FEWEST)
        | st.builds(lambda kind, least: of("", of("set", kind), least), members, FEWEST)
        | st.builds(lambda key, kind, least: of("", of("dict", key, kind), least), KEYS, inner, FEWEST)
        | st.builds(lambda left, right: of("tuple", left, right), inner, inner)
        | st.builds(lambda kind: of("Json", kind), inner)
        | st.builds(lambda kind: MADE("Made", {"field": kind}), inner)
    )


@settings(max_examples=150, deadline=None)
@given(st.recursive(PLAIN, wider, max_leaves=5))
def test_any_type_made_of_others_has_a_placeholder(output: Any) -> None:
    """Pydantic accepts what was made from the schema alone."""
    reader: Output[Any] = Output(output)
    if reader.schema is not None:
        reader.read(to_json(Values(reader.schema, "a text").smallest()).decode())
