"""Make JSON Schemas of the structs and dataclasses that are written or read as JSON.

The descriptions in the schemas are the docstrings of the classes. Which keys are required depends on the direction:

- A document that this package writes contains all keys of its struct, except keys that are UNSET and keys that a struct
  with `omit_defaults` leaves out. All other keys are required.
- A document that this package reads, such as the body of a request, may leave out every key that has a default.
"""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, Final, get_args

from msgspec import Struct
from msgspec.json import schema_components

from graphengine.kernel.extension import hints_of
from graphengine.records.base_documents import SCHEMA
from graphengine.schemas.walking import walk

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCHEMA_KEY: Final = {"enum": [SCHEMA], "description": "the version of the documents"}


def schemas_of(
    kinds: Sequence[Any], ref_template: str = "#/$defs/{name}", *, is_read: bool = False
) -> tuple[list[Any], dict[str, Any]]:
    """Return the JSON Schemas of some types.

    The result contains a reference for each of the types, and all schemas that they need, by name.

    Args:
        kinds: The types.
        ref_template: The form of a reference to a schema, such as `#/$defs/{name}`.
        is_read: Whether this package reads such documents. By default, it writes them.
    """
    hook: Any = {object: {"description": "any JSON value"}}.__getitem__
    references, schemas = schema_components(kinds, schema_hook=hook, ref_template=ref_template)
    classes: dict[str, type] = {}
    for kind in kinds:
        _collect(kind, classes)
    for name, schema in schemas.items():
        _describe(schema, classes[name], is_read=is_read)
        for part in walk(schema):
            # Generators of clients expect the key `items`. An empty schema means an array of any values.
            if part.get("type") == "array":
                part.setdefault("items", {})
    return list(references), schemas


def _collect(kind: Any, classes: dict[str, type]) -> None:  # noqa: ANN401 - any annotation
    """Find each struct and dataclass that a type annotation mentions, and add it to `classes` by its name."""
    is_class = isinstance(kind, type) and (issubclass(kind, Struct) or is_dataclass(kind))
    if is_class and kind.__name__ not in classes:
        classes[kind.__name__] = kind
        for hint in hints_of(kind, include_extras=False).values():
            _collect(hint, classes)
    for argument in get_args(kind):
        _collect(argument, classes)


def _describe(schema: dict[str, Any], kind: type, *, is_read: bool) -> None:
    """Complete the JSON Schema of a class: add descriptions from the class's docstring, and list the required keys."""
    from docstring_parser import parse  # noqa: PLC0415 - a core without the command line needs no schemas

    bases = (*kind.__mro__, *getattr(kind, "EVENT", object).__mro__)  # The line of an event also has the event's keys.
    described = [parse(base.__doc__ or "") for base in bases if base is not object]
    texts = {param.arg_name: param.description or "" for each in reversed(described) for param in each.params}
    schema["description"] = described[0].short_description or ""
    keys: dict[str, Any] = schema.get("properties", {})
    if keys.get("schema") == {"enum": [SCHEMA]}:
        keys["schema"] = dict(_SCHEMA_KEY)
    is_whole = not (is_read or (issubclass(kind, Struct) and kind.__struct_config__.omit_defaults))
    required = set(schema.get("required", ()))
    for name, key in keys.items():
        if name in texts:
            key["description"] = " ".join(texts[name].split())
        if is_whole and "default" in key:
            del key["default"]
            required.add(name)
    schema["required"] = [name for name in keys if name in required]


__all__ = ["schemas_of"]
