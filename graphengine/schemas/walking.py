"""The parts of a JSON Schema: its references, the schemas inside it, and the types that it allows.

Schemas come from pydantic, users, other servers and databases, so a part can be any value. A part that cannot be read
allows any value. References are followed only inside the schema, and never to a file or an address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from graphengine.state.json_values import JsonObject, JsonValue

Schema: TypeAlias = "JsonObject"

BRANCHES: Final = ("anyOf", "oneOf", "allOf")
SERIES: Final = (*BRANCHES, "prefixItems")
"""Keywords whose values are lists of schemas."""
NAMED: Final = ("dependentSchemas", "patternProperties", "properties")
"""Keywords whose values are schemas by name. The keyword of the definitions is not included."""
SINGLE: Final = frozenset(
    {"additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames", "then"}
    | {"unevaluatedItems", "unevaluatedProperties"}
)
"""Keywords whose values are schemas."""
_DEFINITIONS: Final = "$defs"
_TYPES: Final = (
    (type(None), "null"),
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (Mapping, "object"),
    (Sequence, "array"),
)


def part_at(root: object, reference: str) -> JsonValue:
    """Return the part of a schema to which a reference such as `#/$defs/Point` points; None if it is not in the schema.

    Example:
        >>> part_at({"$defs": {"a/b": {"type": "null"}}}, "#/$defs/a~1b")
        {'type': 'null'}
    """
    address, _, pointer = reference.partition("#")
    steps = [each.replace("~1", "/").replace("~0", "~") for each in unquote(pointer).split("/")]
    if address or steps.pop(0):
        return None
    found = root
    for step in steps:
        if isinstance(found, Mapping):
            found = found.get(step)
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found


def resolve_reference(schema: object, root: object) -> Schema:
    """Return a schema with the `$ref` at its top replaced by the target of the reference.

    If the target is a reference again, it is replaced too. Keywords beside a reference take precedence over those of
    its target.

    Args:
        schema: The schema. A value that is not a schema allows any value, and so does a reference to nothing or to
            itself.
        root: The schema that contains it, in which references are looked up.
    """
    found: Schema = schema if isinstance(schema, Mapping) else {}
    passed = set[str]()
    while isinstance(reference := found.get("$ref"), str):
        found = _follow_reference(found, {} if reference in passed else root)
        passed.add(reference)
    return found


def variants(schema: object, root: object, within: AbstractSet[str] = frozenset()) -> list[Schema]:
    """Return the alternatives of a schema as schemas without references and unions. A value must fit one of them.

    Args:
        schema: The schema.
        root: The schema that contains it, in which references are looked up.
        within: The references that led to this schema. They are not followed again, so that recursion ends.
    """
    if isinstance(schema, Mapping) and isinstance(reference := schema.get("$ref"), str):
        return [] if reference in within else variants(_follow_reference(schema, root), root, {*within, reference})
    if not isinstance(schema, Mapping):
        return [{}]
    several = next((each for word in BRANCHES if isinstance(each := schema.get(word), list) and each), None)
    if several is None:
        return [schema]
    return [found for each in several for found in variants(each, root, within)]


def _follow_reference(schema: Schema, root: object) -> Schema:
    """Replace the reference at the top of a schema with its target. Keywords beside the reference take precedence."""
    target = part_at(root, schema["$ref"])
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {**target, **beside} if isinstance(target, Mapping) else beside


def kinds(schema: Schema) -> AbstractSet[str]:
    """Return the JSON types that a schema allows; empty if it allows any. A reference is not followed.

    Example:
        >>> sorted(kinds({"enum": ["a", None]}))
        ['null', 'string']
    """
    declared = schema.get("type")
    if declared is not None:
        return {declared} if isinstance(declared, str) else {*map(str, declared)}
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return {next((word for kind, word in _TYPES if isinstance(value, kind)), "object") for value in values}
    return {"object"} if "properties" in schema else set()


def walk(schema: Schema) -> Iterator[dict[str, Any]]:
    """Yield a schema and all schemas inside it, such as those of properties and items. Outer schemas come first.

    References are not followed.
    """
    waiting: list[object] = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting += [*_schemas_inside(part)][::-1]


def _schemas_inside(schema: Schema) -> Iterator[object]:
    """Yield the values inside a schema that its keywords define as schemas, such as those of `properties` and `items`.

    Only one level is examined. A value may turn out not to be a schema, if the schema is invalid.
    """
    for word, value in schema.items():
        # older drafts of JSON Schema list them under `items`
        if isinstance(value, list) and (word in SERIES or word == "items"):
            yield from value
        elif isinstance(value, dict) and (word in NAMED or word in {_DEFINITIONS, "definitions"}):
            yield from value.values()
        elif word in SINGLE:
            yield value


def references(schema: Schema, root: Schema) -> dict[str, set[str]]:
    """Return the references that occur in a schema or in the targets of its references.

    The result maps each reference to the references inside its target. This shows whether definitions contain
    themselves.
    """
    found: dict[str, set[str]] = {}
    waiting = _references_in(schema)
    while waiting:
        reference = waiting.pop()
        target = part_at(root, reference)
        found[reference] = _references_in(target) if isinstance(target, dict) else set()
        waiting |= found[reference] - found.keys()
    return found


def _references_in(schema: Schema) -> set[str]:
    return {each for part in walk(schema) if isinstance(each := part.get("$ref"), str)}


def is_recursive(schema: Schema) -> bool:
    """Return whether a schema is recursive: whether following its references leads back to one of them."""
    try:
        TopologicalSorter(references(schema, schema)).prepare()
    except CycleError:
        return True
    return False


def with_definitions(schema: Schema, root: Schema) -> dict[str, Any]:
    """Add the definitions to which the parts of a schema refer, so that the schema can be used on its own.

    Example:
        >>> root = {"$ref": "#/$defs/A", "$defs": {"A": {"type": "null"}, "B": {"type": "string"}}}
        >>> with_definitions({"type": "array", "items": {"$ref": "#/$defs/A"}}, root)
        {'type': 'array', 'items': {'$ref': '#/$defs/A'}, '$defs': {'A': {'type': 'null'}}}
    """
    without = {word: value for word, value in schema.items() if word != _DEFINITIONS}
    paths = [unquote(reference).split("/", 3)[1:] for reference in references(without, root)]
    used = {path[1].replace("~1", "/").replace("~0", "~") for path in paths if path[:1] == [_DEFINITIONS] and path[1:]}
    kept = {name: each for name, each in root.get(_DEFINITIONS, {}).items() if name in used}
    return {**without, _DEFINITIONS: kept} if kept else without
