"""The analysis of a field of a model: which rules it has, and which shortcuts these rules allow."""

from __future__ import annotations

import inspect
import warnings
from copy import copy
from functools import cached_property, partial
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainValidator,
    TypeAdapter,
    WrapValidator,
    create_model,
)
from pydantic.fields import FieldInfo

from graphengine.reducers import OPERATIONS, maximum
from graphengine.state.encoded import codec_of
from graphengine.state.field import FieldType
from graphengine.state.hints import hints_of, signature_of, unaliased
from graphengine.state.immutable import EXACT_CONFIG, exact_models, is_immutable
from graphengine.state.path import members
from graphengine.state.reread import EarlierReader
from graphengine.state.secret import Secret, is_secret, revealed
from graphengine.state.unchecked import has_made_fields, unchecked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic_core import SchemaValidator

_PLAIN: Final = (int, str, bool, float)

_VALIDATORS: Final[dict[str, Callable[..., object]]] = {
    "before": BeforeValidator,
    "after": AfterValidator,
    "wrap": WrapValidator,
    "plain": PlainValidator,
}

_CONTAINERS: Final = {"append": (list,), "extend": (list,), "merge": (dict,), "add": (int, float)}


def reducers_of(info: FieldInfo) -> list[Callable[[Any, Any], object]]:
    """Return the functions in a field's annotation, which serve as its reducers."""
    return [item for item in _without_aliases(info).metadata if inspect.isroutine(item)]


def _without_aliases(info: FieldInfo) -> FieldInfo:
    """Return pydantic's description of a field, with type aliases replaced by the types for which they stand.

    If the whole field is an alias, the metadata of the alias is included.
    """
    annotation = unaliased(info.annotation)
    if annotation is info.annotation:
        return info
    copied = copy(info)
    copied.annotation = annotation
    if get_origin(annotation) is Annotated:
        inner = FieldInfo.from_annotation(annotation)
        copied.annotation, copied.metadata = inner.annotation, [*inner.metadata, *info.metadata]
    return copied


def _find_update_type(reducer: Callable[[Any, Any], object]) -> TypeAdapter[Any] | None:
    """Return a validator for the updates of a custom reducer: for the annotated type of its second argument.

    Returns None for a built-in reducer, and if the argument has no usable annotation.
    """
    if reducer.__module__ == maximum.__module__:
        return None  # a built-in reducer, whose updates have the field's type
    try:
        names = list(signature_of(reducer).parameters)
        kind = hints_of(reducer, include_extras=False)[names[1]]
        return None if kind in (Any, object) else TypeAdapter(kind)
    except Exception:  # noqa: BLE001 - any annotation may raise anything, or be missing
        return None


class _Declared:
    """Examines how a state field is declared, to find out which steps of validating and recording can be skipped.

    Args:
        model: The pydantic model of the state.
        name: The name of the field.
        info: The field, in pydantic's form.
    """

    def __init__(self, model: type[BaseModel], name: str, info: FieldInfo) -> None:
        info = _without_aliases(info)
        self.is_secret = is_secret(info.annotation, info.metadata)
        self.info = _without_mark(info) if self.is_secret else info
        self.annotation: Any = self.info.annotation
        self.reducer = next(iter(reducers_of(self.info)), None)
        self.has_rules = any(not inspect.isroutine(item) for item in self.info.metadata)
        decorators = model.__pydantic_decorators__
        self.validators = [each for each in decorators.field_validators.values() if _is_for(name, each.info.fields)]
        self.is_dumped = any(_is_for(name, each.info.fields) for each in decorators.field_serializers.values())
        self._config = model.model_config

    @property
    def is_ruled(self) -> bool:
        """Whether validators, serializers or constraints, besides the type, decide which values the field accepts."""
        return bool(self.validators) or self.is_dumped or self.has_rules

    @property
    def is_plain(self) -> bool:
        """Whether the type alone decides which values the field accepts and how they are recorded."""
        return not (self.is_ruled or self.is_secret)

    @property
    def is_by_type(self) -> bool:
        """Whether the settings of the model leave values of plain types unchanged."""
        return self.is_plain and EXACT_CONFIG.issuperset(self._config)

    @property
    def is_untransformed(self) -> bool:
        """Whether the settings of the model leave texts unchanged, so that only values of other types are converted."""
        return self.is_plain and "strict" not in self._config and not any(k.startswith("str_") for k in self._config)

    @property
    def is_scalar(self) -> bool:
        """Whether all values of the field are numbers, texts, booleans or None."""
        return self.is_plain and all(each in (*_PLAIN, type(None), None) for each in members(self.annotation))

    @property
    def checked_type(self) -> Any:  # noqa: ANN401 - an annotation
        """The type of the field, annotated with the validators that the model defines for the field."""
        annotation = self.annotation
        for validator in self.validators:
            annotation = Annotated[annotation, _VALIDATORS[validator.info.mode](validator.func)]
        return annotation

    @property
    def operation(self) -> str | None:
        """The kind of operation that a step records for an update of the field, such as `append`.

        The reducer of the field decides the kind. The result is None if the field has no built-in reducer. It is also
        None if the field allows several list types, because a recorded item alone does not show to which of them it
        belongs.
        """
        found = OPERATIONS.get(self.reducer) if self.reducer else None
        kinds = [getattr(each, "__origin__", each) for each in members(self.annotation)] if found else []
        return found if found and sum(kind in _CONTAINERS[found] for kind in kinds) == 1 else None

    @property
    def one(self) -> str:
        """How the result of one item of a map is recorded in this field: `item`, `append`, or "" for any other way.

        The attribute `one` of `FieldType` explains these ways.
        """
        if self.is_dumped or self.is_secret:
            return ""
        if self.reducer is None:
            return "item"
        return "append" if self.operation == "append" else ""


def _is_for(name: str, fields: Sequence[str]) -> bool:
    return name in fields or "*" in fields


def field_type(model: type[BaseModel], name: str, info: FieldInfo) -> FieldType:
    """Examine one field of a state's model, and return the `FieldType` that validates and records its values."""
    declared = _Declared(model, name, info)
    annotation, reducer, operation = declared.annotation, declared.reducer, declared.operation
    own, info = bool(declared.validators), declared.info
    models = FieldModels(model, name, info, declared.checked_type, has_rules=own or declared.has_rules)
    plain = annotation if annotation in _PLAIN and declared.is_untransformed else None
    exact = codec_of(annotation) if declared.is_by_type else None
    if not declared.is_scalar and exact is None:
        models.make()  # A type for which pydantic has no model is then reported when the graph is compiled.
    return FieldType(
        name=name,
        info=info,
        model=model,
        models=models,
        plain=plain,
        assigned=plain if reducer is None else None,
        one=declared.one,
        item=_find_plain_item_type(annotation) if declared.is_untransformed else None,
        scalar=declared.is_scalar,
        given=_find_update_type(reducer) if reducer is not None and operation is None else None,
        own=own,
        dumped=declared.is_dumped,
        reducer=reducer,
        operation=operation,
        constrained=declared.is_ruled,
        grows=declared.is_plain and _has_lists(annotation),
        immutable=is_immutable(annotation),
        secret=declared.is_secret,
        exact=exact,
        exact_models=exact_models(annotation) if declared.is_by_type and exact is None else None,
    )


def _without_mark(info: FieldInfo) -> FieldInfo:
    """Return a copy of a secret field's description in which the field is not secret.

    The models made from it write the value in clear text, so that the JSON can then be encrypted.
    """
    copied = copy(info)
    copied.annotation = revealed(info.annotation)
    copied.metadata = [item for item in info.metadata if item is not Secret and not isinstance(item, Secret)]
    return copied


def _has_lists(annotation: object) -> bool:
    """Return whether a field is a dict whose values are plain lists, so that single items can be appended to a list.

    The field does not count if a list has rules as a whole, such as a maximum length.
    """
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    dicts = [kind for kind in kinds if kind is not type(None)]
    return len(dicts) == 1 and get_origin(dicts[0]) is dict and get_origin(get_args(dicts[0])[1]) is list


def _find_plain_item_type(annotation: object) -> type | None:
    if get_origin(annotation) is not list or get_args(annotation)[0] not in _PLAIN:
        return None
    found: type = get_args(annotation)[0]
    return found


class FieldModels:
    """Builds pydantic models that contain a single field of a state, for validating and encoding the field alone.

    Each model is made when it is first needed. Making a model takes 0.3 ms, which is most of the time of compiling a
    graph, and a field of plain values often needs none.

    Args:
        model: The model of the state.
        name: The name of the field.
        info: The field.
        checked_type: The type of the field, annotated with the state's validators for the field.
        has_rules: Whether the field as a whole has validators or rules beyond the rules of its type.
    """

    def __init__(
        self,
        model: type[BaseModel],
        name: str,
        info: FieldInfo,
        checked_type: Any,  # noqa: ANN401 - an annotation is any object
        *,
        has_rules: bool,
    ) -> None:
        self._model = model
        self._name = name
        self._info = info
        self._checked_type = checked_type
        self._has_rules = has_rules

    @cached_property
    def single(self) -> type[BaseModel]:
        """A model of the field without the validators that the state defines for it."""
        return self._make_model(self._info.annotation, self._info)

    @cached_property
    def checked(self) -> type[BaseModel]:
        """A model of the field with the validators that the state defines for it."""
        if self._checked_type is self._info.annotation:
            return self.single
        return self._make_model(self._checked_type, self._info)

    @cached_property
    def loose(self) -> type[BaseModel]:
        """A model of the field for parts of its value, without rules for the whole value such as a minimum length."""
        if not self._has_rules:
            return self.single
        return self._make_model(self._info.annotation, FieldInfo(annotation=self._checked_type))

    @cached_property
    def unchecked(self) -> Sequence[SchemaValidator]:
        """Two validators that decode old records of this field, and skip checks whose result can change with time.

        A check that depends on the clock or on files can pass when a value is recorded and fail later, which would make
        an old record unreadable. Both validators skip such checks. The second one also skips the checks of the user's
        own code.
        """
        return unchecked(self.single, own=False), unchecked(self.single, own=True)

    @cached_property
    def earlier(self) -> EarlierReader:
        """Decodes records that were written when the field had another type."""
        return EarlierReader(self.single.__pydantic_core_schema__)

    def make(self) -> None:
        """Create all models of the field now, so that an invalid declaration is reported when the graph is compiled.

        Raises:
            PydanticUserError: pydantic cannot create a model.
        """
        _ = self.single, self.checked, self.loose

    def _make_model(self, annotation: object, info: FieldInfo) -> type[BaseModel]:
        model, name = self._model, self._name
        config = ConfigDict(**{**model.model_config, "extra": "forbid", "frozen": False})
        with warnings.catch_warnings():
            # A field may have the name of an attribute of BaseModel. The user's model has already warned about that.
            warnings.simplefilter("ignore")
            make = partial(create_model, f"{model.__name__}.{name}", **{name: (annotation, info)})
            made: type[BaseModel] = make(__config__=config)
            # Such fields are in the JSON of the class, and are not arguments of the class.
            if has_made_fields(made.__pydantic_core_schema__):
                made = make(__config__=ConfigDict(**{**config, "extra": "ignore"}))
            return made
