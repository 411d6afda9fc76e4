"""Read a value that was recorded once, without checks that depend on the clock, the files or a database.

A path that exists, a date in the future, or a name that a validator looks up were right when they were recorded, and
need not be right when the record is read. So checks that follow the creation of a value are skipped. If a skipped
function would turn the value into a different one, the caller notices that, because the JSON of the value differs from
the record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic_core import SchemaValidator

if TYPE_CHECKING:
    from pydantic import BaseModel

_CLOCK: Final = ("now_op", "now_utc_offset")


def unchecked(model: type[BaseModel], *, own: bool) -> SchemaValidator:
    """Create a validator for a model that skips checks which depend on files or on the clock.

    Old records must stay readable even if such a check fails today. With `own`, the checks of the user's own code are
    skipped too.
    """
    schema = _without_checks(model.__pydantic_core_schema__, own)
    try:
        return SchemaValidator(schema, _use_prebuilt=False)
    except TypeError:  # Before pydantic 2.13, models inside the model keep their own validators, with their checks.
        return SchemaValidator(schema)


def _without_checks(schema: Any, own: bool) -> Any:  # noqa: ANN401, FBT001 - a part of a core schema of pydantic
    if isinstance(schema, dict):
        if schema.get("type") == "function-after" and _is_check(schema["function"]["function"], own):
            return _without_checks(schema["schema"], own)
        return {key: _without_checks(part, own) for key, part in schema.items() if key not in _CLOCK}
    if isinstance(schema, list):
        return [_without_checks(part, own) for part in schema]
    return tuple(_without_checks(part, own) for part in schema) if type(schema) is tuple else schema


def _is_check(function: Any, own: bool) -> bool:  # noqa: ANN401, FBT001 - any function
    if getattr(function, "__qualname__", "").startswith("PathType."):
        return True
    return own and not getattr(function, "__module__", "").startswith("pydantic.")


def has_made_fields(schema: object) -> bool:
    """Return whether pydantic's schema contains a dataclass with a field that is no parameter (`init=False`)."""
    if isinstance(schema, dict):
        is_made = schema.get("type") == "dataclass-field" and schema.get("init") is False
        return is_made or any(map(has_made_fields, schema.values()))
    return isinstance(schema, (list, tuple)) and any(map(has_made_fields, schema))
