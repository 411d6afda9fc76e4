"""Whether a value that was read back from its record is the same as the value that was recorded.

Equal is not the same: `True == 1`, two times of the same instant are equal in any time zones, and two models are equal
even if their set fields differ. Anything that a record cannot represent is found here, so that it is refused and never
lost.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast
from zoneinfo import ZoneInfo

from pydantic import BaseModel
from pydantic_core import TzInfo

from graphengine.state.marks import keeps_set_fields, marked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

T = TypeVar("T")

_ATOMS: Final = frozenset((str, int, bool, float, bytes, NoneType, datetime.date, datetime.timedelta))
_OF_JSON: Final = (str, int, bool, float)
_LISTS: Final = (list, tuple, deque)
_FIXED: Final = (datetime.timezone, TzInfo)


class Comparison:
    """Compares a value with the value that is read back from its JSON, and notes how the two differ.

    Attributes:
        unset: Whether other fields of a model count as set explicitly after reading. A mark, which is an addition to
            the JSON, can keep them.
        times: Whether a detail of a time or of a complex number differs, such as the time zone, `fold` or the sign of a
            zero. A mark can keep these details.
        sets: Whether the value contains sets, which have no order in JSON.
        converted: Whether a number or text has another type after reading. That is right if the new type is the
            declared type, and wrong if the declared type is `Any`.
        shaped: Whether a list or dict has another type after reading, which is right in the same cases.
        held: Whether the value contains models or dataclasses, whose contents may not have been validated.
        foreign: Whether a value has a type that cannot tell whether it is the same.
        lost: A description of what JSON cannot represent; "" if a look at the two values shows the difference.
    """

    __slots__ = ("converted", "foreign", "held", "lost", "sets", "shaped", "times", "unset")

    def __init__(self) -> None:
        self.unset = self.times = self.sets = self.converted = self.shaped = self.held = self.foreign = False
        self.lost = ""

    def same(self, back: object, value: object) -> bool:  # noqa: PLR0911 - one return for each kind of value
        """Return whether a value that was read back is the same as the original value.

        Differences that may be acceptable, such as a lost time zone, do not make the result False: they are noted in
        the attributes.
        """
        kind = type(back)
        if type(value) is not kind:
            return self._compare_converted(back, value)
        if kind in _ATOMS:
            return back == value
        if isinstance(back, BaseModel):
            return self._models(back, cast("BaseModel", value))
        if isinstance(back, _LISTS):
            return self._lists(back, cast("list[object]", value))
        if isinstance(back, Mapping):
            return self._mappings(back, cast("Mapping[object, object]", value))
        if isinstance(back, AbstractSet):
            return self._sets(back, cast("AbstractSet[object]", value))
        return back is value or self._others(back, value)

    def _loses(self, what: str) -> bool:
        self.lost = self.lost or what
        return False

    def _compare_converted(self, back: object, value: object) -> bool:
        kind = type(back)
        if not isinstance(value, kind) and not (kind is float and isinstance(value, int)):
            return False
        if isinstance(back, BaseModel):
            of = cast("BaseModel", value)
            if of.__pydantic_generic_metadata__["origin"] is kind:  # Box[int] where Box is declared
                return self._models(back, of)
            kinds = f"{type(value).__name__}, a subclass of {kind.__name__}"
            return self._loses(f"{kinds}: declare a union of its subclasses with a discriminator")
        self.converted = self.converted or kind in _OF_JSON  # Any other type is read back only where it is declared.
        if isinstance(back, (list, dict)):
            self.shaped = True
            original: Any = value
            return self._mappings(back, original) if isinstance(back, dict) else self._items(back, original)
        if isinstance(back, (datetime.datetime, datetime.time)):
            return self._times(back, cast("datetime.datetime", value))
        return (back == value) is True

    def _lists(self, back: Sequence[object], value: Sequence[object]) -> bool:
        if isinstance(back, deque) and back.maxlen != cast("deque[object]", value).maxlen:
            return self._loses(
                "the maxlen of a deque; AfterValidator(lambda d: deque(d, maxlen=…)) in its type sets it"
            )
        kinds = list(map(type, back))
        if _ATOMS.issuperset(kinds) and list(map(type, value)) == kinds:
            return back == value
        return self._items(back, value)

    def _items(self, back: Iterable[object], value: Iterable[object]) -> bool:
        held, originals = list(back), list(value)
        return len(held) == len(originals) and all(map(self.same, held, originals))

    def _mappings(self, back: Mapping[Any, object], value: Mapping[Any, object]) -> bool:
        if (
            isinstance(back, defaultdict)
            and back.default_factory is not cast("defaultdict[Any, Any]", value).default_factory
        ):
            return self._loses("the default_factory of a defaultdict")
        if not self._items(back, value):  # pydantic puts the keys of a TypedDict in the order of its declaration
            is_ordered = (
                isinstance(back, OrderedDict) or len(back) != len(value) or any(key not in back for key in value)
            )
            return not is_ordered and all(self.same(back[key], part) for key, part in value.items())
        return self._items(back.values(), value.values())

    def _sets(self, back: AbstractSet[object], value: AbstractSet[object]) -> bool:
        self.sets = self.sets or len(back) > 1
        held = {each: each for each in back}
        return len(back) == len(value) and all(each in held and self.same(held[each], each) for each in value)

    def _models(self, back: BaseModel, value: BaseModel) -> bool:
        set_names = value.__pydantic_fields_set__
        if back.__pydantic_fields_set__ != set_names and keeps_set_fields(type(back)):
            self.unset = True
        self.held = True
        fields = type(back).__pydantic_fields__
        if not self._attributes(vars(back), vars(value), fields):
            if any(each.exclude for each in fields.values()):
                return self._loses(f"fields of {type(back).__name__} that are excluded from its JSON")
            return False
        if not self.same(back.__pydantic_extra__, value.__pydantic_extra__):
            return self._loses(f"what {type(back).__name__} has beyond its fields")
        private, own = back.__pydantic_private__ or {}, value.__pydantic_private__ or {}
        for name in (private.keys() | own.keys()).difference(getattr(back, "__unrecorded__", ())):
            if not self.same(private.get(name, _ABSENT), own.get(name, _ABSENT)):
                return self._loses(f"the private attribute {name!r} of {type(back).__name__}")
        return True

    def _attributes(self, back: Mapping[str, object], value: Mapping[str, object], names: Collection[str]) -> bool:
        kinds = list(map(type, back.values()))
        if (
            len(names) == len(back) == len(value)
            and _ATOMS.issuperset(kinds)
            and list(map(type, value.values())) == kinds
        ):
            return back == value
        return all(self.same(back.get(name, _ABSENT), value.get(name, _ABSENT)) for name in names)

    def _times(self, back: datetime.datetime | datetime.time, value: datetime.datetime | datetime.time) -> bool:
        self.times = self.times or back.fold != value.fold
        zone, original_zone = back.tzinfo, value.tzinfo
        if isinstance(zone, _FIXED) and isinstance(original_zone, _FIXED):
            return back == value and back.utcoffset() == value.utcoffset()
        if isinstance(original_zone, ZoneInfo) and original_zone.key is not None:
            self.times = self.times or not (isinstance(zone, ZoneInfo) and zone.key == original_zone.key)
        elif not (zone is None and original_zone is None):
            return self._loses(f"a tzinfo of type {type(original_zone).__name__}, unlike one of zoneinfo.ZoneInfo")
        return back.replace(tzinfo=None, fold=0) == value.replace(tzinfo=None, fold=0)

    def _others(self, back: object, value: object) -> bool:
        if isinstance(back, (datetime.datetime, datetime.time)):
            return self._times(back, cast("datetime.datetime", value))
        if dataclasses.is_dataclass(back):
            self.held = True
            names = [each.name for each in dataclasses.fields(back)]
            return self._items(*([getattr(each, name, _ABSENT) for name in names] for each in (back, value)))
        if isinstance(value, Iterator):
            return self._loses(f"a {type(value).__name__}, which can be read once: return a list")
        if isinstance(back, (decimal.Decimal, complex)):
            is_like = str(back) == str(value)
            self.times = self.times or (isinstance(back, complex) and not is_like)
            return is_like or (isinstance(back, complex) and back == value)
        if type(value).__eq__ is not object.__eq__:
            try:
                answer = back == value
            except Exception:  # noqa: BLE001 - code of a type of others
                answer = None
            if isinstance(answer, bool):
                return answer
        self.foreign = True
        return True


_ABSENT: Final = ("absent",)


class Changed(ValueError):
    """Raised if a value would be read back from the log as a different value.

    Attributes:
        back: The value that would be read back.
        lost: A description of what the record cannot represent; "" if a look at the two values shows the difference.
    """

    def __init__(self, back: Any, lost: str) -> None:  # noqa: ANN401 - any value
        super().__init__(f"the record cannot carry {lost}" if lost else "it would be read back as another value")
        self.back, self.lost = back, lost


def is_same(one: object, other: object) -> bool:
    """Return whether two values are the same in everything that the log keeps of them."""
    found = Comparison()
    is_like = found.same(one, other) and not (found.unset or found.times)
    return is_like and not (found.converted or found.shaped or found.foreign)


class Ways(NamedTuple):
    """The functions that read, write and validate values of one type, for the function `kept`.

    Attributes:
        load: Reads JSON that may contain marks, which are additions for details that plain JSON lacks.
        dump: Writes JSON without such marks.
        again: Validates a value once more. If its second argument is True, it validates the contents of the value, so
            that the contents of instances are validated too.
    """

    load: Callable[[bytes], Any]
    dump: Callable[[Any], bytes]
    again: Callable[[Any, bool], Any]


def kept(body: bytes, value: T, back: T, ways: Ways) -> tuple[bytes, T]:
    """Check that a value is read back from its JSON unchanged, and add marks to the JSON where this is necessary.

    A mark keeps a detail that plain JSON loses, such as the name of a time zone. Some models have a serializer of their
    own that leaves no place for the mark of which fields were set. All fields of such a model count as set when the
    JSON is read.

    Args:
        body: The JSON of the value.
        value: The value.
        back: The value that is read back from `body`.
        ways: The functions that write and read values of the type.

    Returns:
        The JSON, with marks if they are necessary, and the value that is read back from it.

    Raises:
        Changed: The value would be read back as a different value.
    """
    found = Comparison()
    same = found.same(back, value) and _is_declared(found, value, back, ways)
    if same and (found.unset or found.times):
        with_marks = marked(value, body)
        fresh, strict = ways.load(with_marks), Comparison()
        if strict.same(fresh, value) and not (strict.unset or strict.times):
            body, back = with_marks, fresh
        else:
            same = not found.times
    elif same and (found.sets or found.foreign):
        body = marked(value, body)
    if same and found.foreign:
        same = marked(back, ways.dump(back)) == marked(value, ways.dump(value))
    if not same:
        raise Changed(back, found.lost)
    return body, back


def _is_declared(found: Comparison, value: T, back: T, ways: Ways) -> bool:
    """Return whether a value changes by being recorded only in ways that its declared type itself demands.

    For example, a `float` field of a model may hold the int 1, which is read back as 1.0. To find out, the value is
    validated once more and compared with the value read back.
    """
    plain = [False] * found.shaped + [True] * (found.held if found.shaped else found.converted)
    for each in plain:
        strict = Comparison()
        if strict.same(back, ways.again(value, each)) and not (strict.converted or strict.shaped):
            return True
    return not plain
