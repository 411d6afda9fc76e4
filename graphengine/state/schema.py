"""The typed state: how updates are validated, recorded, and rebuilt from the record.

A state is a pydantic model, or is converted to a pydantic model (`graphengine.state.declared`). Each field is handled
separately, so that the cost of an update depends on what the update writes and not on the size of the state. A field is
handled by a model of this field alone, with the configuration of the state; or by the validators and serialisers that
the state defines for the field, if there are any. If the state has a validator of the whole model, the whole model is
validated once for each update.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import partial
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    NamedTuple,
    TypeVar,
    cast,
)

from msgspec import Raw, Struct
from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticSerializationError
from typing_extensions import is_typeddict

from graphengine.errors import InputError, InvalidUpdate, NotRecordable
from graphengine.state.declared import declared_of, given_in, is_state, optional_in
from graphengine.state.encoded import LARGE, body_of, decoded, encode, keys_of, record_of
from graphengine.state.field import (
    LONG,
    FieldType,
    another_of_its_name,
    explain,
    holding,
    is_plain,
    most_bytes,
    why,
)
from graphengine.state.field_from_model import field_type
from graphengine.state.given import utf8_value
from graphengine.state.immutable import has_own_code
from graphengine.state.interrupts import reraise_interrupt
from graphengine.state.json_values import check_depth
from graphengine.state.marks import carries_marks, read, read_json
from graphengine.state.path import LISTED, members, nearest, type_at, unknown_fields
from graphengine.state.same import Changed, Ways, is_same, kept
from graphengine.state.update import Unread
from graphengine.state.view import RecordsAlone, View

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphengine.state.json_values import JsonValue, Op
    from graphengine.state.selector import Reading

S = TypeVar("S")


_SMALL: Final = 1 << 62  # every JSON reader accepts ints below this


class Change(Struct, gc=False):
    """Changes to a state: the operations to record, and for each operation the Python value that it adds or sets.

    Attributes:
        ops: The operations to record.
        typed: The Python values, in the order of the operations.
        state_bytes: An upper bound of the size of the state after the operations, in bytes; 0 if it was not measured.
    """

    ops: Sequence[Op]
    typed: Sequence[object]
    state_bytes: int = 0


NO_CHANGE: Final = Change((), ())
NO_VALUES: Final[Mapping[str, object]] = MappingProxyType({})


class Initial(NamedTuple):
    """The initial state of a run or a subgraph.

    Attributes:
        values: The JSON records of the fields.
        typed: The Python values of the fields. Some large fields have no value here: if the type of a field proves that
            the value is read back unchanged, it is built from its record when it is first read.
        given: The names of the fields that were set explicitly.
        size_bytes: The size of the state, in bytes.
    """

    values: dict[str, JsonValue]
    typed: dict[str, object]
    given: Sequence[str]
    size_bytes: int = 0


@dataclass(slots=True)
class StateType(Generic[S]):
    """The type of a graph's state, with everything that is needed to validate and record each of its fields.

    Attributes:
        model: The pydantic model of the state.
        fields: The fields by name.
        whole: Whether the model has validators that validate the whole model and not a single field.
        secrets: The fields whose record is encrypted.
        by_fields: Whether each field of an instance can be recorded and read back without the others. This is false if
            the model has validators of the whole model, serializers of its own or other code that depends on several
            fields.
        plain: Whether an instance whose fields all have values of their plain types (such as `int`) can be recorded as
            it is.
    """

    model: type[BaseModel]
    fields: dict[str, FieldType] = dataclass_field(default_factory=dict)
    whole: bool = False
    secrets: frozenset[str] = frozenset()
    by_fields: bool = False
    plain: bool = False

    @property
    def declared(self) -> type[Any]:
        """The class with which the user declared the state: a pydantic model, a TypedDict or a dataclass."""
        return declared_of(self.model)

    def types_read(self, reading: Reading) -> Sequence[object]:
        """Return the types that a value read from the state can have, according to the declared field or function.

        The result is empty if the types are not known.
        """
        if reading.path is None:
            return members(reading.function.returns) if reading.function is not None else ()
        field = self.fields.get(reading.path.root)
        return () if field is None else type_at(field.info.annotation, reading.path)[0]

    @classmethod
    def of(cls, model: type[BaseModel]) -> StateType[Any]:
        """Examine the model of a graph's state, and return the `StateType` that validates and records such states.

        This method does not check the model. Problems are reported by `graphengine.compile.compiler`.
        """
        state_type = cls(model)
        decorators = model.__pydantic_decorators__
        state_type.whole = bool(decorators.model_validators or decorators.root_validators)
        for name, info in model.model_fields.items():
            state_type.fields[name] = field_type(model, name, info)
            if state_type.fields[name].secret:
                info.repr = False  # hides the value in the repr of the state too
        state_type.secrets = frozenset(name for name, field in state_type.fields.items() if field.secret)
        adds = (
            decorators.model_serializers or model.__private_attributes__ or model.model_config.get("extra") == "allow"
        )
        state_type.by_fields = not (state_type.whole or adds or has_own_code(model))
        state_type.plain = state_type.by_fields and all(field.plain for field in state_type.fields.values())
        return state_type

    def initial(self, given: S | Mapping[str, object], where: str) -> Initial:
        """Validate a state that the user passed, and return its fields as JSON records and as Python values.

        Raises:
            InputError: The state is not valid, contains unknown fields, or cannot be recorded.
        """
        try:
            return self._initial(given, where)
        except Exception:  # as `in_utf8`, whose two calls would cost a part of each start
            cleaned = utf8_value(given)
            if cleaned is given:
                raise
            return self._initial(cleaned, where)

    def _initial(self, given: S | Mapping[str, object], where: str) -> Initial:
        if type(given) is not dict and not isinstance(given, self.model) and is_state(self.model, given):
            given = given_in(given)
        instance = given if type(given) is not dict and isinstance(given, self.model) else self._validate(given, where)
        named = sorted(instance.__pydantic_fields_set__ & self.fields.keys())
        if self.secrets:  # serialising the state as a whole hides secrets
            try:
                return self._by_fields(instance, named, FieldType.record)
            except (NotRecordable, AttributeError) as error:
                problem = error.message if isinstance(error, NotRecordable) else f"{error.name} is missing"
                raise self._misfit(problem, where) from None
        if self.plain and type(instance) is self.model and self._is_plain(held := instance.__dict__):
            typed = {name: held[name] for name in self.fields}
            return Initial(typed.copy(), typed, named, len(encode(typed)))
        try:
            body = self.model.__pydantic_serializer__.to_json(
                instance, by_alias=False, round_trip=True, warnings="error"
            )
            if len(body) >= LARGE and self.by_fields and type(instance) is self.model:
                # Reading back and comparing a large state takes ten times as long as an update that writes it. For a
                # small state, a model of each of its fields would have to be made first.
                with suppress(Exception):  # the comparison of the state as a whole reports what is wrong
                    return self._by_fields(instance, named, FieldType.begin)
            validate = partial(self.model.__pydantic_validator__.validate_json, by_name=True, by_alias=False)
            back = decoded(validate, body)
            check_depth(body)
            body, read = kept(body, self._whole(instance), self._whole(back), Ways(self._load, self._dump, self._again))
            missing = optional_in(self.model) - instance.model_fields_set
            typed = {name: read[name] for name in self.fields if name not in missing}
            records = (
                typed.copy()
                if self._is_plain(typed)
                else {name: record_of(memoryview(raw)) for name, raw in keys_of(Raw(body)).items() if name in typed}
            )
        except Changed as error:
            given = vars(instance)
            differing = [name for name in self.fields if not is_same(error.back.get(name), given.get(name))]
            lost = f"; the record would lose {error.lost}" if error.lost else ""
            raise InputError(
                f"these fields would be read back from the record as other values: {', '.join(differing) or '?'}{lost}",
                where=where,
                repair="pass values that JSON can represent and that pass the validation again when they are read",
            ) from None
        except (PydanticSerializationError, ValidationError, ValueError, RecursionError) as error:
            raise self._misfit(why(error), where) from error
        if not is_same(instance.__pydantic_private__, back.__pydantic_private__):
            text = "the state has values in private attributes, which are not recorded"
            raise InputError(text, where=where, repair="make these attributes fields")
        return Initial(records, typed, named, len(body))

    def read_initial(self, initial: Initial) -> Mapping[str, object]:
        """Return the Python values of all fields of an initial state. Values that were not built yet are built."""
        if len(initial.typed) == len(initial.values):
            return initial.typed
        view = View(self, RecordsAlone(initial.values, initial.typed))
        return {name: view.get(name) for name in initial.values}

    def _whole(self, instance: BaseModel) -> dict[str, Any]:
        """Return the values of a model instance in the order of its fields, followed by extra values."""
        held = vars(instance)
        return {name: held[name] for name in self.fields if name in held} | (instance.__pydantic_extra__ or {})

    def _load(self, body: bytes) -> dict[str, Any]:
        validate = partial(self.model.__pydantic_validator__.validate_json, by_name=True, by_alias=False)
        return self._whole(read_json(validate, body))

    def _dump(self, values: dict[str, Any]) -> bytes:
        whole = holding(self.model, values)
        return self.model.__pydantic_serializer__.to_json(whole, by_alias=False, round_trip=True, warnings="error")

    def _again(self, values: dict[str, Any], plain: bool) -> dict[str, Any]:  # noqa: FBT001 - as `Ways.again`
        whole: Any = values
        if plain:
            alone = holding(self.model, values)
            whole = self.model.__pydantic_serializer__.to_python(alone, by_alias=False, round_trip=True)
        instance: BaseModel = self.model.__pydantic_validator__.validate_python(whole, by_name=True, by_alias=False)
        return self._whole(instance)

    def _is_plain(self, values: Mapping[str, object]) -> bool:
        """Return whether all fields have values of plain types such as `int`, which are recorded as they are."""
        for name, field in self.fields.items():
            value = values.get(name)
            kind = field.plain
            if type(value) is not kind:
                return False
            if not ((kind is int and -_SMALL < value < _SMALL) or is_plain(value)):  # type: ignore[operator]
                return False
        return True

    def _by_fields(self, instance: BaseModel, named: Sequence[str], record: Callable[..., Any]) -> Initial:
        """Encode an instance of the state field by field, and not the whole instance at once.

        Raises:
            NotRecordable, InvalidUpdate: A field cannot be recorded.
            AttributeError: The instance was made without one of its fields.
        """
        view = View(self, RecordsAlone({}, {name: getattr(instance, name, None) for name in self.fields}))
        values: dict[str, JsonValue] = {}
        typed: dict[str, object] = {}
        missing = optional_in(self.model) - instance.model_fields_set
        for name, field in self.fields.items():
            if name not in missing:
                values[name], value = record(field, getattr(instance, name), view)
                if type(value) is not Unread:
                    typed[name] = value
        return Initial(values, typed, named, len(encode(values)))

    def _validate(self, given: Any, where: str) -> BaseModel:  # noqa: ANN401 - of the user's
        if type(given) is not dict and (isinstance(given, (BaseModel, type)) or not hasattr(given, "keys")):
            raise self._of_another_class(given, where)
        unknown = [key for key in given if key not in self.fields]
        aliases = {field.info.alias for field in self.fields.values()} if unknown else ()
        if unknown := [key for key in unknown if key not in aliases]:
            raise self._of_unknown(given, unknown, where)
        try:
            make = partial(self.model.model_validate, by_name=True, by_alias=True)
            return read(make, given) if self._carries_marks(given) else make(given)
        except ValidationError as error:
            cause = None if self.secrets else error
            raise self._misfit(explain(error, hide=bool(self.secrets)), where, self._give(error)) from cause

    def _carries_marks(self, given: Any) -> bool:  # noqa: ANN401 - has keys
        """Return whether a mapping that a user passed as state may be JSON from a record, which can contain marks.

        Marks are additions to the JSON that keep details such as the name of a time zone. Fields declared as `str` are
        not searched, because marks have no meaning in them and their texts can be long.
        """
        fields = self.fields
        left = {key: given[key] for key in given if key not in fields or type(given[key]) is not fields[key].plain}
        return bool(left) and carries_marks(left)

    def _of_another_class(self, given: object, where: str) -> InputError:
        name = self.model.__name__
        if type(given).__name__ == name:
            return InputError(
                f"the state is {another_of_its_name(name)}",
                where=where,
                repair=f"make the graph after the last definition of {name}, or pass a mapping of its fields",
            )
        what = f"the class {given.__name__} itself" if isinstance(given, type) else f"of type {type(given).__name__}"
        text = f"the state is {what}, not {name} or a mapping"
        return InputError(text, where=where, repair=f"pass {name}(…) or a mapping of its fields")

    def _misfit(self, problem: str, where: str, repair: str = "") -> InputError:
        repair = repair or f"give values that the fields of {self.model.__name__} take"
        return InputError(f"the state does not fit {self.model.__name__}: {problem}", where=where, repair=repair)

    def _give(self, error: ValidationError) -> str:
        """Return how to repair an error about missing fields: pass them, or give them defaults.

        The result is "" if no field is missing.
        """
        found = [each["loc"] for each in error.errors() if each["type"] == "missing"]
        missing = [str(place[0]) for place in found if len(place) == 1]
        if not missing:
            return ""
        is_keyed = is_typeddict(self.declared)
        other = f"declare {missing[0]}: NotRequired[…]" if is_keyed else f"declare {missing[0]} with a default"
        return f"give {', '.join(missing[:LISTED])}, or {other} in {self.model.__name__}"

    def _of_unknown(self, given: Any, unknown: Sequence[object], where: str) -> InputError:  # noqa: ANN401 - has keys
        """Return one error that names unknown fields of a state and also the problems of its other fields."""
        found = [unknown_fields(unknown, self.fields)]
        problem, left_out = "", set(unknown)
        try:
            others = {key: given[key] for key in given if key not in left_out}
            self.model.model_validate(others, by_name=True, by_alias=True)
        except ValidationError as error:
            meant = [nearest(str(key), self.fields) for key in unknown[:LISTED]]
            problem = explain(error, hide=bool(self.secrets), without=meant)
        except Exception:  # noqa: BLE001 - a user's validator may need what is misspelt
            problem = ""
        if problem:
            found.append(f"the state does not fit {self.model.__name__}: {problem}")
        return InputError("; ".join(found), where=where, repair="use the fields of " + self.model.__name__)

    def apply(self, view: View, updates: Sequence[tuple[str, object]]) -> Change:
        """Validate and encode updates of the state, and make them visible in the view of the current step.

        Raises:
            InvalidUpdate, NotRecordable: An update is not valid. The state is unchanged.
        """
        if self.whole:
            return self._apply_whole(view, updates)
        ops: list[Op] = []
        typed: list[object] = []
        fields = self.fields
        for name, value in updates:
            field = fields[name]
            kind = field.assigned
            if kind is type(value) and ((kind is int and -_SMALL < value < _SMALL) or is_plain(value)):  # type: ignore[operator]
                if kind is str and len(value) > LONG:  # type: ignore[arg-type]
                    view.update_bytes += most_bytes(value)  # type: ignore[arg-type]
                ops.append(("set", name, value))
                typed.append(value)
                view.set_new(name, value)
            else:
                op, new = field.reduce(view, value)
                ops.append(op)
                typed.append(new)
                lay_over(view, op, new)
        return Change(tuple(ops), typed)

    def _apply_whole(self, view: View, updates: Sequence[tuple[str, object]]) -> Change:
        before = {name: view.get(name) for name in self.fields}
        reduced: dict[str, list[tuple[Op, object]]] = {}
        for name, value in updates:
            op, new = self.fields[name].reduce(view, value)
            reduced.setdefault(name, []).append((op, new))
            lay_over(view, op, new)
        values = {name: view.get(name) if name in reduced else view.fresh(name) for name in self.fields}
        after = {name: self.fields[name].body(view.get(name)) for name in reduced}
        try:
            instance = self.model.__pydantic_validator__.validate_python(values, by_name=True, by_alias=False)
        except ValidationError as error:
            cause, where = None if self.secrets else error, f"state {self.model.__name__}"
            raise InvalidUpdate(explain(error, hide=bool(self.secrets)), where=where) from cause
        ops: list[Op] = []
        typed: list[object] = []
        for name, field in self.fields.items():
            value = instance.__dict__[name]
            done = reduced.get(name, [])
            if done and field.body(value) == after[name]:
                ops += [op for op, _ in done]
                typed += [new for _, new in done]
            elif done or not is_same(value, before[name]):
                record, new = field.record(value, view)
                last = done[-1][0] if done else None
                if field.reducer is None or last is None or last[0] in ("set", "put", "grow"):
                    ops.append(("set", name, record))
                else:
                    ops.append(("reduce", name, last[2], record))
                typed.append(new)
                view.set_new(name, new)
        return Change(tuple(ops), tuple(typed))

    def rebuild(self, records: Mapping[str, JsonValue], typed: Mapping[str, object] = NO_VALUES) -> S:
        """Build a new state object from records. A record that no longer fits its field is used without validation.

        Args:
            records: The records, by field.
            typed: Python values that were built from the records before and that nothing else will use. They are
                compared with the records, in case they were changed in place.
        """
        # A typed value of a plain field has been checked, and cannot be changed.
        own = typed if len(typed) == len(self.fields) else records
        if self.plain and (own is typed or self._is_plain(own)):
            return cast("S", holding(self.model, {name: own[name] for name in self.fields}))
        values: dict[str, Any] = {}
        held = RecordsAlone(dict(records))
        view = View(self, held)
        bodies: dict[int, bytes] = {}
        for name, value in typed.items():
            field, record = self.fields[name], records.get(name)
            if field.exact is None:
                continue
            if _is_same(value, record, bodies) or not field.is_changed(value, record, view):
                held.typed[name] = value
        for name in self.fields:
            if name in records:
                try:
                    values[name] = view.get(name)
                except BaseException as error:
                    reraise_interrupt(error)
                    if isinstance(error, Exception) and not isinstance(error, InvalidUpdate):
                        raise
                    values[name] = records[name]
        return cast("S", self.model.model_construct(_fields_set=set(values), **values))


def _is_same(value: object, record: object, bodies: dict[int, bytes]) -> bool:
    """Return whether a list of lists or dicts is still the same as its record, and was not changed in place.

    `bodies` contains the JSON of items that were encoded before, by the `id` of the item. It saves time because an item
    can occur in several fields.
    """
    if type(value) is not list or type(record) is not list:
        return False
    value, record = cast("list[object]", value), cast("list[object]", record)
    if not record or len(value) != len(record):
        return False
    if type(record[0]) is not Raw or memoryview(record[0]).nbytes < LONG:
        return False  # encoding the whole list is faster
    for item, each in zip(value, record, strict=True):
        body = bodies.get(id(item)) or body_of(item)
        if body is None:
            return False
        bodies[id(item)] = body
        if body != (bytes(each) if type(each) is Raw else encode(each)):
            return False
    return True


def with_items(state: StateType[S], items: Mapping[str, object]) -> StateType[S]:
    """Return the type of a state with additional fields for the arguments that the items of a map receive.

    For example, `each={"paper": "papers"}` adds the field `paper`.
    """
    fields: dict[str, Any] = {name: (annotation, ...) for name, annotation in items.items()}
    config = ConfigDict(**{**state.model.model_config, "extra": "forbid", "frozen": False})
    model = create_model(f"{state.model.__name__}.each", __config__=config, **fields)
    added = {name: field_type(model, name, info) for name, info in model.model_fields.items()}
    return StateType(state.model, {**state.fields, **added}, state.whole, state.secrets)


def lay_over(view: View, op: Op, typed: object) -> None:
    """Make the result of one recorded operation visible in a view of the state, to code that reads the view later."""
    kind, name = op[0], op[1]
    if kind == "append":
        view.add_items(name, (typed,))
    elif kind == "extend":
        view.add_items(name, typed)  # type: ignore[arg-type]
    elif kind in ("merge", "put"):
        view.add_keys(name, typed)  # type: ignore[arg-type]
    elif kind == "grow":
        view.grow_keys(name, typed)  # type: ignore[arg-type]
    else:
        view.set_new(name, typed)
