"""One field of a state: how its updates are reduced, validated, recorded, and rebuilt from the record.

Each field is handled separately, either by a model of this field alone with the configuration of the state, or by the
validators and serialisers that the state defines for the field.
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Union,
    cast,
    get_args,
    get_origin,
)

from msgspec import MsgspecError, Raw
from pydantic import (
    BaseModel,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import PydanticSerializationError, from_json, to_json

from graphengine.errors import InvalidUpdate, NotRecordable, RecordUnreadable
from graphengine.reducers import Replace
from graphengine.state.encoded import LARGE, check_numbers, decoded, encode, items_of, keys_of, record_of
from graphengine.state.interrupts import reraise_interrupt
from graphengine.state.json_values import clipped, parsed, utf8_text
from graphengine.state.marks import carries_marks, has_marks, marked, read, read_json, without_set_fields
from graphengine.state.reread import Reread, Then
from graphengine.state.same import Changed, Ways, is_same, kept
from graphengine.state.secret import HIDDEN
from graphengine.state.update import Items, Put, Puts, RecordedUpdate, Unread

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from pydantic.fields import FieldInfo
    from pydantic_core import SchemaValidator

    from graphengine.state.encoded import Exact
    from graphengine.state.field_from_model import FieldModels
    from graphengine.state.immutable import ExactModels
    from graphengine.state.json_values import JsonValue, Op
    from graphengine.state.reread import Types
    from graphengine.state.secret import Cipher
    from graphengine.state.view import View


_MOST_BITS: Final = 10_000  # of an int; JSON readers refuse numbers of more than about 4,300 digits

_NOTHING_ELSE: Final = (("__pydantic_extra__", None), ("__pydantic_private__", None))

_SHOWN: Final = 120  # characters of a value in a message

LONG: Final = 1000
"""The size above which a value counts towards the size of an update: characters of a text, or bytes of JSON."""

_AROUND: Final = 64  # bytes of an operation besides its value and the name of its field

_MOST_BYTES: Final = 6  # bytes of JSON for a character such as \u001f

_CONTAINER_TYPES: Final = (list, dict)


@dataclass(slots=True)
class FieldType:
    """One field of a graph's state: its type, its reducer, and how its values are validated and recorded.

    Attributes:
        plain: `int`, `str`, `bool` or `float` if values of exactly this type need no validation; otherwise None.
        assigned: The same as `plain` if an update of this type replaces the old value; otherwise None.
        one: How the result of an item of a map is recorded. `item`: as one element of a list, which becomes the value
            of the field when all items have ended. `append`: as an element to append to the list in the field. "" for
            any other way.
        item: The type of a list's items if a value of exactly this type needs no validation; otherwise None.
        scalar: Whether all values of the field are plain values or None, which are recorded as they are.
        models: The pydantic models that validate and encode this field alone.
        given: The type of the updates that a user's reducer accepts, if it is annotated.
        own: Whether the state defines a validator for the field.
        dumped: Whether the state defines a serialiser for the field.
        constrained: Whether the field as a whole has rules beyond the rules of its items, such as a length or a
            validator.
        grows: For a dict of lists: whether items can be added to the list under one key without reading that list.
        immutable: Whether values of the field cannot be changed in place.
        secret: Whether values of the field are encrypted when they are recorded, and never shown.
        cipher: The cipher that encrypts values of a secret field, once the graph is compiled.
        exact: The object that encodes and checks values of the field, if they are lists or dicts of JSON values that
            need no other validation; otherwise None.
        exact_models: The type of the field, if it contains models and proves that their JSON reads back as an equal
            value; otherwise None.
    """

    name: str
    info: FieldInfo
    model: type[BaseModel]
    models: FieldModels
    plain: type | None
    assigned: type | None
    one: str
    item: type | None
    scalar: bool
    given: TypeAdapter[Any] | None
    own: bool
    dumped: bool
    reducer: Callable[[Any, Any], object] | None
    operation: str | None
    constrained: bool
    grows: bool
    immutable: bool
    secret: bool = False
    cipher: Cipher | None = None
    exact: Exact | None = None
    exact_models: ExactModels | None = None

    def validate(self, value: object, view: View) -> object:
        """Validate a value as the type of this field, and return the validated value.

        Raises:
            InvalidUpdate: The value does not fit.
        """
        first = value[0] if type(value) is list and value else value
        make = partial(self._validate_value, view)
        try:
            if type(first) is dict and carries_marks(value):  # a validator would drop the marks
                return read(make, value)
            try:
                return make(value)
            except ValidationError:
                if not carries_marks(value):
                    raise
                return read(make, value)  # a recorded time
        except ValidationError as error:
            raise self._unfit(error) from (None if self.secret else error)

    def _validate_value(self, view: View, value: object) -> object:
        if self.own:
            return self._assign_value(value, view)
        validator = self.models.single.__pydantic_validator__
        return validator.validate_python({self.name: value}, by_name=True, by_alias=True).__dict__[self.name]

    def _unfit(self, error: ValidationError) -> InvalidUpdate:
        return InvalidUpdate(explain(error, hide=self.secret), where=f"field {self.name}", repair=self._expectation())

    def mismatch(self, update: object, *, in_map: bool = False) -> InvalidUpdate | None:
        """Return an error if an update can never fit this field, so that a graph can be checked before it runs.

        Returns None if the update fits, or if only a run can decide this, for example because a validator reads other
        fields.

        Args:
            update: The update.
            in_map: Whether the update is written by an item of a map.
        """
        is_joined = self.reducer is not None and not isinstance(update, Replace)
        if self.own or self.dumped or (is_joined and self.operation not in ("append", "extend", "merge")):
            return None  # the code of the state decides
        value = update.value if isinstance(update, Replace) else update
        is_item = self.operation == "append" if is_joined else in_map and self.reducer is None
        model = self.models.loose if is_joined or is_item else self.models.single
        update_value = [value] if is_item else value
        try:
            model.__pydantic_validator__.validate_python({self.name: update_value}, by_name=True, by_alias=True)
        except ValidationError as error:
            return self._unfit(error)
        except Exception:  # noqa: BLE001 - a user's validator, which may need more than this value
            return None
        return None

    def take(self, value: object, view: View, *, later: bool = False) -> tuple[Any, object]:
        """Validate a value that a node returned for this field, and encode it for the log.

        The result is a pair: the JSON record, and the Python value as it is read back from the record. With `later`,
        the Python value of a large record may be an `Unread` value, which is decoded when it is first used. If the node
        passes on the very object that it read, or a list of such objects, the existing record is used again.

        Raises:
            InvalidUpdate: The value does not fit.
            NotRecordable: The value read back differs, or JSON cannot represent the value.
        """
        found = self._take_json(value, view, later=later)
        return found if found is not None else self.record(self.validate(value, view), view, later=later)

    def _take_json(self, value: object, view: View, *, later: bool) -> tuple[Any, object] | None:
        """Encode a list or dict of plain JSON values quickly, without pydantic.

        Returns None for any other value. `take` then encodes the value with pydantic.
        """
        if self.exact is None or type(value) not in _CONTAINER_TYPES:
            return None
        passed = view.passed_on(self.exact, value) if view.passes else None
        if passed is not None:
            view.update_bytes += _bytes_of_records(passed[0]) + _AROUND
            return passed
        found = self.exact.take(value, later=later)
        if found is None:
            return None
        body, typed = found
        if len(body) > LONG:
            view.update_bytes += len(body) + _AROUND
        return Raw(body), typed

    def begin(self, value: object, view: View) -> tuple[Any, object]:
        """Encode the value that this field has in the initial state of a run or a subgraph.

        `take` does the same for a value that a node returned. Here the value was already validated together with the
        whole state, or comes from an instance that was made without validation. A validator that the state defines for
        the field must return the value unchanged, because a run that continues with this state validates the value
        again.

        Raises:
            NotRecordable: The value read back differs, or JSON cannot represent the value.
            InvalidUpdate: A validator of the state does not accept its own result.
        """
        if self.plain is type(value) and is_plain(value):
            return value, value
        found = self._take_json(value, view, later=True) or self._read_back(value, view, later=True)
        if self.own and not is_same(self.validate(self.build(found[0], view), view), value):
            raise self._error_of_change(value, Changed(found[1], ""))
        return found

    def record(self, value: object, view: View, *, later: bool = False) -> tuple[Any, object]:
        """Encode a valid value for the log, and check that it is read back unchanged.

        Args:
            value: The value.
            view: The state of the frame.
            later: Whether a large value may be returned as an `Unread` value, if it is certain to be equal.

        Returns:
            The record, and the Python value as it is read back.

        Raises:
            NotRecordable: The value read back differs, or JSON cannot represent the value.
        """
        if self.scalar and is_plain(value):
            if type(value) is str and len(value) > LONG:
                view.update_bytes += most_bytes(value)
            return value, value
        return self._read_back(value, view, later=later)

    def _read_back(self, value: object, view: View, *, later: bool) -> tuple[Any, object]:
        try:
            whole = self._dump(value)
            body = self._inner(whole)
            if len(body) >= LARGE and self.exact_models is not None and self.exact_models.proves(value, whole):
                check_numbers(body)
                body = body if self.exact_models.all_set(value) else marked(value, body)
                record = Raw(body)  # a type has no more levels than its text
                back = Unread(record) if later else self.build(record, view)
            else:
                body, back = self._keep_marks(value, body, self._load(whole, view), view)
                record = record_of(body)
        except Changed as error:
            raise self._error_of_change(value, error) from None
        except (PydanticSerializationError, ValidationError, ValueError, RecursionError) as error:
            raise self._error_of_uncarried(value, error) from (None if self.secret else error)
        if len(body) > LONG:
            view.update_bytes += 2 * len(body) + _AROUND if self.secret else len(body) + _AROUND
        return (record if self.cipher is None else self.cipher.seal(self.name, bytes(body))), back

    def _keep_marks(self, value: object, body: bytes, back: object, view: View) -> tuple[bytes, object]:
        """Add details to a value's JSON that pydantic leaves out, such as the names of time zones.

        Returns:
            The JSON, and the value that is read back from it.
        """
        if self.exact_models is not None and back == value:  # of a type for which equal values are the same
            if self.exact_models.all_set(value):
                return body, back
            sets = self.exact_models.set_fields(value)
            for model, names in zip(self.exact_models.models([back]), sets, strict=True):
                object.__setattr__(model, "__pydantic_fields_set__", {*names})
            return marked(value, body), back
        return kept(
            body, value, back, Ways(lambda part: self._load(self._object(part), view), self._plain, self._again)
        )

    def _plain(self, value: object) -> bytes:
        return self._inner(self._dump(value))

    def _object(self, part: bytes) -> bytes:
        return b"{" + encode(self.name) + b":" + part + b"}"

    def _inner(self, whole: bytes) -> bytes:
        """Cut the JSON of this field's value out of the JSON of an object that contains only this field."""
        return whole[len(encode(self.name)) + 2 : -1]

    def _error_of_uncarried(self, value: object, error: Exception) -> NotRecordable:
        return NotRecordable(
            f"the field {self.name!r} cannot record {self._text_of(value)} as JSON: {why(error, hide=self.secret)}",
            where=f"field {self.name}",
            repair="return values that JSON can represent and that pass the validation again when they are read",
        )

    def _error_of_change(self, value: object, error: Changed) -> NotRecordable:
        written = self._text_of(value)
        read = self._text_of(error.back)
        text = f"{written} cannot be recorded, because it would be read back as {read}"
        if error.lost:
            text = f"{written} cannot be recorded, because the record would lose {error.lost}"
        elif read == written and not self.secret:
            text = f"{written} cannot be recorded, because it would be read back as another value with the same repr"
        return NotRecordable(
            text,
            where=f"field {self.name}",
            repair="use a type whose JSON is read back as the same value, without NaN, private attributes, and fields "
            "outside the declared type",
        )

    def _text_of(self, value: object) -> str:
        return HIDDEN if self.secret else short(value)

    def build(self, record: JsonValue, view: View) -> object:
        """Decode the record of this field to a Python value.

        Raises:
            RecordUnreadable: The record does not fit the field's current type.
        """
        if self.plain is type(record):
            return record
        try:
            body = encode(record) if self.cipher is None else self.cipher.unseal(self.name, record)
            if self.exact is not None and self.cipher is None:
                with suppress(MsgspecError):  # The value can have another type, if the type was changed since.
                    return self.exact.decode(body)
            return self._load(b"{" + encode(self.name) + b":" + body + b"}", view)
        except (ValidationError, ValueError) as error:
            raise self._unreadable(error) from (None if self.secret else error)

    def reread(self, record: JsonValue, view: View, recorded: Types, today: Types) -> Reread[object]:
        """Decode a record that was written when the state had other types, and list what is lost on the way.

        Args:
            record: The record.
            view: The state of the frame.
            recorded: The types under which the record was written, from the graph's description; empty if they are not
                known.
            today: The types of the current graph.

        Raises:
            RecordUnreadable: The record does not fit the field's current type, or would be read as another member of a
                union.
        """
        if self.plain is type(record):
            return Reread(record)
        try:
            body = encode(record) if self.cipher is None else self.cipher.unseal(self.name, record)
            return self.models.earlier.read(
                from_json(body),
                lambda json, validate: self._load(self._object(to_json(json)), view, validate),
                lambda value: from_json(self._mark_body(value, self.body(value))),
                self.name,
                Then(recorded, today),
            )
        except (ValidationError, ValueError) as error:
            raise self._unreadable(error) from (None if self.secret else error)

    def _unreadable(self, error: ValueError) -> RecordUnreadable:
        return RecordUnreadable(
            f"the recorded value of {self.name!r} does not fit its type: {why(error, hide=self.secret)}",
            where=f"field {self.name}",
            repair="if the type of the state has changed, put the earlier type back, or migrate the run with version= "
            "and migrate=; otherwise let the validators of the type accept the recorded value again",
        )

    def body(self, value: object) -> bytes:
        """Encode a value as JSON in order to compare it: the JSON differs once the value was changed in place."""
        return encode(value) if self.exact is not None else bytes(self._inner(self._dump(value)))

    def is_changed(self, value: object, record: JsonValue, view: View) -> bool:
        """Return whether code changed a value in place, after the value had been decoded from this record.

        In this way, nodes are found that change a value of the state which they have read, instead of returning an
        update.
        """
        try:
            body = self.body(value)
            recorded = encode(record)
            if self.cipher is None and (body == recorded or self._mark_body(value, body) == recorded):
                return False
            restored = self.build(record, view)  # equal JSON values can differ in their bytes
            return bool(
                from_json(self._mark_body(value, body)) != from_json(self._mark_body(restored, self.body(restored)))
            )
        except (PydanticSerializationError, MsgspecError, InvalidUpdate, ValueError, TypeError, RecursionError):
            return True

    def _mark_body(self, value: object, body: bytes) -> bytes:
        return body if self.exact is not None else marked(value, body)

    def reduce(self, view: View, update: object) -> tuple[Op, object]:
        """Convert a node's update of this field to the operation to record, using the field's reducer.

        The Python value that the operation adds or sets is returned too.

        Raises:
            InvalidUpdate: The update, or the field after it, is not valid.
            NotRecordable: The value read back differs, or JSON cannot represent the value.
        """
        if isinstance(update, (Put, Puts, Items, RecordedUpdate)):
            return self._several(view, update)
        replaced = isinstance(update, Replace)
        value = update.value if isinstance(update, Replace) else update
        if replaced or self.reducer is None:
            record, typed = self.take(value, view, later=True)
            return ("set", self.name, record), typed
        if self.operation in ("append", "extend", "merge") and not self.constrained:
            return self._part(view, value)
        return self._whole(view, value)

    def part(self, update: object, view: View) -> Op:
        """Encode the update that one item of a map makes to this field, as an operation to record.

        When all items have ended, the operations of all items are combined into one update of the field.

        Raises:
            InvalidUpdate: The update does not fit the type of the field.
            NotRecordable: The value read back differs, or JSON cannot represent the value.
        """
        if type(update) is self.item and self.one and is_plain(update):
            if type(update) is str and len(update) > LONG:
                view.update_bytes += most_bytes(update)
            return (self.one, self.name, update)
        if isinstance(update, Put):
            update = self._fit_update(view, update)
            ((key, item),) = self._alone({update.key: update.value}, view).items()
            return ("grow" if update.adds else "put", self.name, key, item)
        if isinstance(update, Replace) and self.reducer is not None:
            return ("set", self.name, self._alone(update.value, view))
        value = update.value if isinstance(update, Replace) else update
        if self.dumped or (self.reducer is not None and self.operation not in ("append", "extend", "merge")):
            self.reduce(view, value)  # An update that cannot be reduced fails here, and not at the join of all items.
            return ("raw", self.name, self._record_of_update(value, view))
        if self.one:
            return (self.one, self.name, self._alone([value], view)[0])
        return (str(self.operation), self.name, self._alone(value, view))

    def parts(self, ops: Sequence[Op], view: View) -> Sequence[object]:
        """Convert the operations that the items of a map recorded for this field to updates, in item order."""
        kinds = {op[0] for op in ops}
        kind = kinds.pop() if len(kinds) == 1 else ""
        values = [op[-1] for op in ops]
        if kind in ("item", "append"):
            decoded_values: Any = self._bare(values)
            return (
                decoded_values
                if kind == "append" and self.constrained
                else [decoded_values if kind == "item" else Items(decoded_values)]
            )
        if kind in ("put", "grow"):
            return self._of_keys(ops, adds=kind == "grow")
        if kind in ("extend", "merge") and not self.constrained:
            whole = [x for value in values for x in value] if kind == "extend" else {}
            for value in values if kind == "merge" else ():
                whole.update(value)  # type: ignore[attr-defined]
            return [self._bare(whole)]
        if self.reducer is None and "grow" not in kinds:  # the state defines a serialiser, or some items were replaced
            return [[self._raw(value) for value in values]]
        return [self._raw(op[-1]) if op[0] == "raw" else self.again(op, view) for op in ops]

    def written_by_item(self, op: Op, view: View) -> Any:  # noqa: ANN401 - a field's value
        """Return the Python value that one item of a map writes to this field, according to its recorded operation.

        If the item adds to the field, for example by appending to a list, this is only the part that it adds.
        """
        (update,) = self.parts([op], view)
        if isinstance(update, Puts):
            return update.keys
        if isinstance(update, Put):
            return {update.key: update.value}
        if isinstance(update, Replace):
            return update.value
        if isinstance(update, Items):
            return update.values[0]
        return cast("list[object]", update)[0] if self.reducer is None else update  # without a reducer they are a list

    def _of_keys(self, ops: Sequence[Op], *, adds: bool) -> Sequence[object]:
        """Combine what the items of a map write to single keys of a dict field into updates of the field.

        With `adds`, each map item adds a list of values under a key, and all lists for the same key are joined to one
        list.
        """
        if not adds:
            return [Puts(self._bare({op[2]: op[3] for op in ops}))]  # type: ignore[arg-type]
        added: dict[str, list[JsonValue]] = {}
        for op in ops:
            added.setdefault(op[2], []).extend(op[3])
        return [Put(key, self._of_key(key, items), adds=True) for key, items in added.items()]

    def _record_of_update(self, value: object, view: View) -> JsonValue:
        """Return an update as JSON values, as it is recorded before a custom reducer combines it with the field.

        The log then shows the update next to the result of the reducer.

        Raises:
            NotRecordable: The update is nested too deeply.
        """
        body = marked(value, to_json(value, fallback=repr, inf_nan_mode="strings", bytes_mode="base64"))
        view.update_bytes += len(body) + _AROUND
        try:
            return parsed(body)
        except ValueError as error:
            raise self._error_of_uncarried("it", error) from error

    def _alone(self, value: object, view: View) -> Any:  # noqa: ANN401 - records
        """Encode a part of this field's value, such as one item of a list, and return its record.

        Rules for the field as a whole, such as a maximum length, are not checked.
        """
        model = self.models.loose
        try:
            instance = model.__pydantic_validator__.validate_python({self.name: value}, by_name=True, by_alias=True)
            dump = partial(model.__pydantic_serializer__.to_json, by_alias=False, round_trip=True, warnings="error")
            load = partial(model.__pydantic_validator__.validate_json, by_name=True, by_alias=False)
            ways = Ways(
                lambda part: vars(read_json(load, self._object(part)))[self.name],
                lambda each: self._inner(dump(holding(model, {self.name: each}))),
                self._again,
            )
            body = self._inner(dump(instance))
            body, _ = kept(body, vars(instance)[self.name], ways.load(body), ways)
            record = parsed(body)
        except Changed as error:
            raise self._error_of_change(value, error) from None
        except ValidationError as error:
            raise self._unfit(error) from error
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise self._error_of_uncarried(value, error) from error
        if len(body) > LONG:
            view.update_bytes += len(body) + _AROUND
        return record

    def joined(self, op: Op, view: View, typed: object) -> object:
        """Convert what an arm of a fork has recorded for this field to an update that the join can apply.

        Args:
            op: The recorded operation of the arm.
            view: The state at the join.
            typed: The Python value that the operation sets or adds, if the arm still has it and no other object refers
                to it; otherwise None.
        """
        if self.exact is not None and not self.constrained:
            kind = op[0]
            if kind == "set" if self.reducer is None else kind in ("extend", "merge") and kind == self.operation:
                return RecordedUpdate(op, typed)
        return self.again(op, view)

    def again(self, op: Op, view: View) -> object:  # noqa: PLR0911 - one return for each kind of operation
        """Convert a recorded operation on this field back to the update that a node returned.

        For example, an `append` operation becomes the appended item, and a `put` operation becomes a `Put`.
        """
        kind, value = op[0], op[-1]
        if kind == "set":
            restored = self.build(value, view)
            return restored if self.reducer is None else Replace(restored)
        if kind == "append":
            return self._bare([value])[0]  # type: ignore[index]
        if kind in ("put", "grow"):
            return Put(op[2], self._of_key(op[2], value), adds=kind == "grow")
        if kind == "merge" and self.operation != "merge":
            return Puts(self._bare(value))  # type: ignore[arg-type]
        if kind == "extend" and self.operation == "append":
            return Items(self._bare(value))  # type: ignore[arg-type]
        if kind in ("extend", "merge"):
            return self._bare(value)
        return self._raw(op[2]) if kind == "reduce" else op[2]

    def _raw(self, raw: JsonValue) -> object:
        """Convert a recorded update for a custom reducer from JSON values to the type that the reducer expects.

        An update that does not fit is returned unchanged.
        """
        try:
            if self.given is not None:
                return read_json(self.given.validate_json, encode(raw))
            return self._bare([raw])[0] if self.operation == "append" else self._bare(raw)  # type: ignore[index]
        except ValidationError:
            with suppress(ValidationError, TypeError, LookupError):
                return self._bare([raw])[0]  # type: ignore[index]
            return without_set_fields(raw)

    def _bare(self, value: JsonValue) -> object:
        """Decode a recorded part of this field's value, such as a list of new items, and return it as Python values.

        Rules for the field as a whole, such as a maximum length, are not checked.
        """
        if self.exact is not None:
            with suppress(MsgspecError):  # as in `build`
                return self.exact.decode(encode(value))
        body = encode({self.name: value})
        validate = self.models.loose.__pydantic_validator__.validate_json
        return read_json(partial(validate, by_name=True, by_alias=False), body).__dict__[self.name]

    def _of_key(self, key: str, value: JsonValue) -> object:
        """Decode the value under one key of this dict field, without the rules for the whole field."""
        return next(iter(self._bare({key: value}).values()))  # type: ignore[attr-defined]

    def _part(self, view: View, value: object) -> tuple[Op, object]:
        if value is None and self.operation != "append":
            raise InvalidUpdate(
                f"the reducer {self.operation} of the field {self.name!r} got None in place of a value",
                where=f"field {self.name}",
                repair=self._expectation(),
            )
        if self.operation == "append" and type(value) is self.item and is_plain(value):
            if type(value) is str and len(value) > LONG:
                view.update_bytes += most_bytes(value)
            return ("append", self.name, value), value
        part = [value] if self.operation == "append" else value
        record, typed = self.take(part, view)
        if self.operation == "append":
            return ("append", self.name, items_of(record)[0]), typed[0]  # type: ignore[index]
        return (str(self.operation), self.name, record), typed

    def _whole(self, view: View, value: object) -> tuple[Op, object]:
        old = view.get(self.name) if self.operation else view.apart(self.name)
        if self.operation == "add" and self.plain is type(value) is type(old):
            total: Any = old + value  # type: ignore[operator]
            if is_plain(total):
                return ("add", self.name, value), total
        try:
            joined = self.reducer(old, value)  # type: ignore[misc]
        except BaseException as error:
            reraise_interrupt(error)
            reducer = getattr(self.reducer, "__name__", "reducer")
            raise InvalidUpdate(
                f"the reducer {reducer} of the field {self.name!r} raised {type(error).__name__}: {error}",
                where=f"field {self.name}",
                repair=f"return a value that {reducer}(old, new) can combine with the old value, or Replace(value)",
            ) from error
        record, typed = self.take(joined, view)
        summed = self.operation == "add" and type(value) in (int, float) and typed == joined
        if summed and type(typed) in (type(value), float) and is_plain(typed):
            return ("add", self.name, value), typed
        if self.operation == "append" and isinstance(typed, list) and _is_longer(typed, old):
            return ("append", self.name, items_of(record)[-1]), typed[-1]
        return ("reduce", self.name, self._record_of_update(value, view), record), typed

    def _several(self, view: View, update: Put | Puts | Items | RecordedUpdate) -> tuple[Op, object]:
        if isinstance(update, Put):
            return self._put(view, update)
        if isinstance(update, RecordedUpdate):
            view.update_bytes += len(encode(update.op[-1])) + _AROUND
            return update.op, self.build(update.op[-1], view) if update.typed is None else update.typed
        if not self.constrained:
            part = list(update.values) if isinstance(update, Items) else dict(update.keys)
            record, typed = self.take(part, view)
            return ("extend" if isinstance(update, Items) else "merge", self.name, record), typed
        old: Any = view.get(self.name)
        joined = [*(old or ()), *update.values] if isinstance(update, Items) else {**(old or {}), **update.keys}
        record, typed = self.take(joined, view)
        if isinstance(update, Puts):
            return ("set", self.name, record), typed
        return ("reduce", self.name, self._record_of_update(update.values, view), record), typed

    def _put(self, view: View, update: Put) -> tuple[Op, object]:
        update = self._fit_update(view, update)
        part = {update.key: update.value}
        if self.constrained:
            old = view.get(self.name) or {}
            record, typed = self.take({**old, **part}, view)  # type: ignore[dict-item]
            key = update.key
            if isinstance(typed, dict) and key in typed and is_same(typed, {**old, key: typed[key]}):  # type: ignore[dict-item]
                return ("put", self.name, key, keys_of(record)[key]), {key: typed[key]}
            return ("set", self.name, record), typed
        record, typed = self.take(part, view)
        ((key, item),) = keys_of(record).items()
        return ("grow" if update.adds else "put", self.name, key, item), typed

    def _fit_update(self, view: View, update: Put) -> Put:
        """Return an update of one key of a dict field in a form that can be validated by itself.

        If the update adds items to the list under the key, and a rule applies to the list as a whole (such as a maximum
        length), the result contains the whole list instead of only the new items.
        """
        if not update.adds or self.grows:
            return update
        held: Any = view.get(self.name) or {}
        before = next((items for key, items in held.items() if str(key) == update.key), ())
        return Put(update.key, [*before, *update.value])  # type: ignore[misc]

    def _dump(self, value: object) -> bytes:
        if self.dumped:
            whole = holding(self.model, {self.name: value})
            only = {self.name}
            return self.model.__pydantic_serializer__.to_json(whole, include=only, by_alias=False, round_trip=True)
        model = self.models.single
        alone = holding(model, {self.name: value})
        return model.__pydantic_serializer__.to_json(alone, by_alias=False, round_trip=True, warnings="error")

    def _again(self, value: object, plain: bool) -> object:  # noqa: FBT001 - as `Ways.again`
        """Validate a value once more."""
        model = self.models.loose
        whole: Any = {self.name: value}
        if plain:
            alone = holding(model, whole)
            whole = model.__pydantic_serializer__.to_python(alone, by_alias=False, round_trip=True)
        instance = model.__pydantic_validator__.validate_python(whole, by_name=True, by_alias=False)
        return vars(instance)[self.name]

    def _assign_value(self, value: object, view: View) -> object:
        """Run the validators that the state defines for this field on a value, and return the validated value.

        The validators may read other fields of the state, so these are set first.
        """
        model = self.models.checked
        draft = holding(model, view.other_fields(self.name))
        model.__pydantic_validator__.validate_assignment(draft, self.name, value, by_name=True, by_alias=True)
        return vars(draft)[self.name]

    def _load(self, body: bytes, view: View, validate: Callable[[bytes], Any] | None = None) -> object:
        """Decode the JSON of this field's value. `validate` replaces pydantic's validator of the field, if it is given.

        Validators that the state defines for the field run only on updates, not on records. Otherwise a validator that
        was tightened later would make old runs unreadable. There is one exception: the validators run if the value
        cannot be decoded without them, for instance because a serializer has written another type that only the
        validators can read.
        """
        try:
            if validate is None:
                load = self.models.single.__pydantic_validator__.validate_json
                validate = partial(load, by_name=True, by_alias=False)
            instance = decoded(partial(read_json, validate) if has_marks(body) else validate, body)
        except ValidationError:
            for validator in self.models.unchecked:
                with suppress(PydanticSerializationError, ValueError):
                    return read_json(partial(self._read_unchecked, validator), body)
            if not self.own:
                raise
            return self._assign_value(from_json(body)[self.name], view)
        return instance.__dict__[self.name]

    def _read_unchecked(self, validator: SchemaValidator, body: bytes) -> object:
        """Decode a record, skipping checks that may have become stricter since then, such as the user's validators.

        The value is then encoded again and compared with the record, so that nothing is lost unnoticed.

        Raises:
            ValueError: The record does not fit the type, or the decoded value has another JSON than the record.
        """
        restored = vars(validator.validate_json(body, by_name=True, by_alias=False))[self.name]
        if from_json(marked(restored, self._plain(restored))) != from_json(body)[self.name]:
            raise ValueError(self.name)
        return restored

    def _expectation(self) -> str:
        declared = f"{self.name} is declared as {type_name(self.info.annotation)}"
        if self.operation == "append":
            return f"{declared}; append adds one item: return one item, use extend, or return Replace([…])"
        return declared


def holding(model: type[BaseModel], values: dict[str, Any]) -> BaseModel:
    """Create an instance of a pydantic model with exactly these values.

    Defaults are not filled in, and no validator or other code of the model runs.
    """
    instance = model.__new__(model)
    for name, held in (("__dict__", values), ("__pydantic_fields_set__", set(values)), *_NOTHING_ELSE):
        object.__setattr__(instance, name, held)
    return instance


def _bytes_of_records(record: Raw | Sequence[Raw]) -> int:
    return memoryview(record).nbytes if isinstance(record, Raw) else sum(memoryview(item).nbytes + 1 for item in record)


def _is_longer(new: list[object], old: object) -> bool:
    before = old if isinstance(old, list) else []
    return len(new) == len(before) + 1 and is_same(new[:-1], before)


def is_plain(value: object) -> bool:
    """Return whether a value is a scalar that JSON represents exactly.

    These are bools, None, valid texts, finite floats, and ints that are not too long for readers of JSON.
    """
    kind = type(value)
    if kind is str:
        return value.isascii() or utf8_text(value) is value  # type: ignore[attr-defined,arg-type]
    if kind is float:
        return math.isfinite(value)  # type: ignore[arg-type]
    if kind is int:
        return value.bit_length() <= _MOST_BITS  # type: ignore[attr-defined,no-any-return]
    return kind is bool or value is None


def most_bytes(text: str) -> int:
    """Return how many bytes a text can take at most when it is written as JSON."""
    return _MOST_BYTES * len(text) + _AROUND


def explain(error: ValidationError, *, hide: bool = False, without: Collection[str] = ()) -> str:
    """Return a text that lists the errors which pydantic found, each with its place, message and value.

    With `hide`, the values are left out because they may be secret. The messages of the user's validators are then left
    out too, since they can quote the value.

    `without` names fields whose problems are already reported. Errors of these fields, and errors of the state as a
    whole, are left out.
    """
    lines = []
    for item in error.errors(include_url=False):
        if without and (not item["loc"] or item["loc"][0] in without):
            continue
        place = ".".join(str(part) for part in item["loc"]) or "value"
        if hide:
            own = item["type"] in ("value_error", "assertion_error")
            lines.append(f"{place}: {'a validator rejected it' if own else item['msg']}")
            continue
        # the name of the model, dataclass or other class that was expected
        name = item.get("ctx", {}).get("class_name", "")
        again = f": {another_of_its_name(name)}" if type(item["input"]).__name__ == name else ""
        lines.append(f"{place}: {item['msg']} (got {short(item['input'])}{again})")
    return "; ".join(lines)


def another_of_its_name(name: str) -> str:
    """Explain in an error message that an object's class is not the expected class, although it has the same name.

    This happens if the class was defined twice, for example by a notebook cell that was run again.
    """
    return f"of another class {name}: one that is defined again, by a cell run twice or a file under two names, differs"


def type_name(annotation: object) -> str:
    """Return the text of a type annotation, the same in every process and on every Python version.

    The text contains no module names and no addresses, because it is part of a graph's fingerprint. A union is always
    written as `int | None`, as Python 3.14 prints it, even if it was declared as `Optional[int]`.
    """
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return re.sub(r" at 0x\w+|\b(?:\w+\.)+(?=\w)", "", _with_unions(annotation))


def _with_unions(annotation: object) -> str:
    """Return the text of an annotation with all unions written as in Python 3.14, such as `int | None`."""
    if annotation is NoneType:
        return "None"
    arguments = get_args(annotation)
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(map(_with_unions, arguments))
    if isinstance(annotation, type) and not arguments:
        return annotation.__qualname__
    text = str(annotation)
    for each in arguments:
        for one in each if isinstance(each, list) else [each]:  # the parameters of a Callable
            if get_args(one):
                text = text.replace(str(one), _with_unions(one))
    return text


def short(value: object) -> str:
    """Return the `repr` of a value for an error message, cut to 120 characters."""
    try:
        text = repr(value)
    except BaseException as error:  # noqa: BLE001 - a user's __repr__ raised, or an int has too many digits
        reraise_interrupt(error)
        text = f"a value of type {type(value).__name__} that cannot be shown"
    return clipped(text, _SHOWN)


def why(error: BaseException, *, hide: bool = False) -> str:
    if isinstance(error, ValidationError):
        return explain(error, hide=hide)
    if hide:
        return type(error).__name__
    return clipped(" ".join(str(error).split()), 4 * _SHOWN) or type(error).__name__
