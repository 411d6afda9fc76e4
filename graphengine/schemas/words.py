"""Descriptions of JSON Schemas in words, for people.

`in_words` describes a schema. `choices` returns the values that it lists. `whats_wrong` returns the reasons why a value
does not fit the schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from graphengine.schemas.formats import WORDS, checker
from graphengine.schemas.walking import resolve_reference
from graphengine.state.json_values import clipped

if TYPE_CHECKING:
    from graphengine.schemas.walking import Schema
    from graphengine.state.json_values import JsonValue

_SIMPLE: Final = {
    "boolean": "yes or no",
    "string": "a text",
    "null": "null",
    "integer": "a whole number",
    "number": "a number",
}


_PLAIN: Final = {"type", "title", "description"}
"""The keywords of a schema that any text fits."""
_DEPTH: Final = 3
_COLUMNS: Final = 80
_LISTED: Final = 20


def in_words(schema: Schema, root: Schema | None = None, depth: int = _DEPTH) -> str:
    """Describe in words which values fit a schema, such as `yes or no` or `a whole number from 1 to 10`.

    Args:
        schema: The JSON Schema. An invalid schema, which a database may contain, is described as JSON.
        root: The schema that contains it, with the definitions.
        depth: How many levels of lists and objects are described. Deeper values are called JSON.
    """
    try:
        return _describe_schema(schema, schema if root is None else root, depth)
    except (TypeError, AttributeError, KeyError, ValueError, RecursionError):
        return "JSON"


def choices(schema: Schema) -> list[str]:
    """Return the values from which a person can choose under a schema (`enum` or `const`), as a person writes them.

    The result is empty if the schema lists no values.
    """
    try:
        return _list_choices(schema, schema, _DEPTH)
    except (TypeError, AttributeError, KeyError, ValueError, RecursionError):
        return []


def whats_wrong(schema: Schema, value: Any) -> list[str]:  # noqa: ANN401 - jsonschema has a type of its own
    """Return why a value does not fit a schema, in sentences; empty if it fits.

    No value fits an invalid schema. Schemas come from a database, so references to files and addresses are not
    followed. The target of a reference must be in the schema itself.
    """
    try:
        if schema.get("type") == "string" and schema.keys() <= _PLAIN and isinstance(value, str):
            return []  # most answers are texts; for these, `graphengine show` of a waiting run imports no validator
        from jsonschema import Draft202012Validator  # noqa: PLC0415 - heavy, and needed for answers alone
        from referencing import Registry  # noqa: PLC0415 - as jsonschema

        formats = checker() if b'"format"' in to_json(schema, fallback=repr) else None  # the checker imports pydantic
        found = Draft202012Validator(schema, registry=Registry(), format_checker=formats).iter_errors(value)
        errors = sorted(found, key=lambda error: [str(p) for p in error.path])
        return list(dict.fromkeys(_reason(each, schema) for error in errors for each in _likely_errors(error)))
    except Exception as error:  # noqa: BLE001 - jsonschema raises errors of any kind for invalid schemas
        return [f"the schema that is recorded with the question is invalid: {type(error).__name__}: {error}"]


def _describe_schema(schema: Schema, root: Schema, depth: int) -> str:
    """Describe a valid schema."""
    schema = resolve_reference(schema, root)
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(values, Sequence):
        return _either([*map(_write_plainly, values[:_LISTED]), *(["…"] if len(values) > _LISTED else [])])
    branches = _branches_of(schema)
    if branches:
        alone = _list_choices(schema, root, _DEPTH)[:_LISTED]
        others = [branch for branch in branches if not _list_choices(branch, root, _DEPTH)] if depth >= 0 else []
        return _either([*alone, *(_describe_schema(branch, root, depth - 1) for branch in others)] or ["JSON"])
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items")
        return f"a list, each item {_describe_schema(items, root, depth - 1)}" if items and depth > 0 else "a list"
    if kind == "object":
        return _describe_object(schema, root, depth)
    if kind == "string" and (what := WORDS.get(str(schema.get("format")))) is not None:
        return what
    return _SIMPLE.get(str(kind), "JSON") + _describe_bounds(schema)


def _list_choices(schema: Schema, root: Schema, depth: int) -> list[str]:
    """Return the values from which a person can choose under a valid schema, including those of its alternatives."""
    schema = resolve_reference(schema, root)
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    branches = _branches_of(schema) if depth else ()
    return [
        *map(_write_plainly, values),
        *(word for branch in branches for word in _list_choices(branch, root, depth - 1)),
    ]


def _likely_errors(error: Any) -> Sequence[Any]:  # noqa: ANN401 - as `_reason`
    """Return the errors to show for a value that fits none of several alternatives.

    If only one alternative has all its errors inside the value, the value was probably meant for it, and its errors are
    returned. Otherwise the error about the alternatives is returned.
    """
    branches: dict[Any, list[Any]] = {}
    for each in error.context or ():
        branches.setdefault(each.relative_schema_path[0], []).append(each)
    meant = [found for found in branches.values() if all(each.relative_path for each in found)]
    return meant[0] if len(meant) == 1 else [error]


def _reason(error: Any, root: Schema) -> str:  # noqa: ANN401 - of a library without types
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.path).lstrip(".")
    text: str = error.message
    if error.validator in ("type", "enum", "const", "anyOf", "oneOf", "format"):
        text = f"{_write_plainly(error.instance, quoted=True)} is not {in_words(error.schema, root, 0)}"
    elif error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        text = f"{missing[0]} is missing" if len(missing) == 1 else text
    return f"{place}: {text}" if place else text


def _branches_of(schema: Schema) -> Sequence[Schema]:
    """Return the alternatives of a JSON Schema (`anyOf`, `oneOf`), of which one has to fit; empty if there are none."""
    return schema.get("anyOf") or schema.get("oneOf") or ()


def _describe_bounds(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    bounds = (
        (low, "of {} or more"),
        (high, "of {} or less"),
        (schema.get("exclusiveMinimum"), "above {}"),
        (schema.get("exclusiveMaximum"), "below {}"),
    )
    joined = " and ".join(text.format(bound) for bound, text in bounds if bound is not None)
    return f" {joined}" if joined else ""


def _describe_object(schema: Schema, root: Schema, depth: int) -> str:
    properties: Schema = schema.get("properties", {})
    needed = schema.get("required", ())
    names = [*needed, *(name for name in properties if name not in needed)]
    if not names or depth <= 0:
        return "a JSON object"
    described = []
    for name in names:
        of_it = properties.get(name)
        facts = [_describe_schema(of_it, root, depth - 1)] if isinstance(of_it, Mapping) else []
        facts += [] if name in needed else ["may be left out"]
        described.append(f"{name} ({'; '.join(facts)})" if facts else name)
    return f"a JSON object with {', '.join(described)}"


def _either(words: Sequence[str]) -> str:
    words = list(dict.fromkeys(words)) or ["nothing"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _write_plainly(value: JsonValue, *, quoted: bool = False) -> str:
    """Return a JSON value as a person writes it: texts without quotes, and `yes` and `no` for true and false.

    With `quoted`, texts have quotes, and true and false stay as they are.
    """
    if isinstance(value, bool) and not quoted:
        return "yes" if value else "no"
    text = repr(value) if isinstance(value, str) and quoted else None
    text = text or (value if isinstance(value, str) else to_json(value).decode())
    return clipped(text, _COLUMNS)
