"""What providers object to in the JSON Schemas of answers and tools. Each function returns "" for nothing."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator, FormatChecker

Schema = Mapping[str, Any]
NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_KEY: Final = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_REGEX: Final = FormatChecker(["regex"])
_FORMATS: Final = {"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid"}
_NOT_STRICT: Final = {"oneOf", "allOf", "not", "default", "minLength", "maxLength", "prefixItems", "patternProperties"}
_NOT_STRICT_EITHER: Final = {"uniqueItems", "if", "contains", "minProperties", "discriminator"}
_NO_GRAMMAR: Final = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength"}
_NO_GRAMMAR_EITHER: Final = {"maxLength", "maxItems", "uniqueItems", "prefixItems"}


def parts(schema: Schema, path: str = "$") -> Iterator[tuple[str, Schema]]:
    """Yield a schema and all in it, each with its path."""
    yield path, schema
    for key in ("properties", "$defs"):
        for name, each in (schema.get(key) or {}).items():
            if isinstance(each, dict):
                yield from parts(each, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from parts(schema["items"], f"{path}[]")
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for number, each in enumerate(schema.get(key) or ()):
            if isinstance(each, dict):
                yield from parts(each, f"{path}.{key}{number}")


def not_compiled(schema: Schema) -> str:
    """Return what Anthropic objects to in the schema of an answer, of which it compiles a grammar."""
    optional = unions = 0
    if _is_recursive(schema):
        return "Circular reference detected in schema definitions"
    for path, part in parts(schema):
        properties = part.get("properties") or {}
        if (part.get("type") == "object" or properties) and part.get("additionalProperties") is not False:
            return f"For 'object' type, 'additionalProperties' must be explicitly set to false ({path})"
        if odd := part.keys() & (_NO_GRAMMAR | _NO_GRAMMAR_EITHER):
            return f"For '{part.get('type')}' type, property {sorted(odd)} is not supported ({path})"
        if part.get("minItems", 0) > 1:
            return f"'minItems' values other than 0 or 1 are not supported ({path})"
        optional += len(properties.keys() - set(part.get("required") or ()))
        unions += "anyOf" in part or isinstance(part.get("type"), list)
    if optional > 24:
        return f"Schemas contains too many optional parameters ({optional}), limit: 24"
    return f"Schemas contains too many parameters with union types ({unions}), limit: 16" if unions > 16 else ""


def not_strict(schema: Schema) -> str:
    """Return what OpenAI objects to in a strict schema."""
    if schema.get("type") != "object" or "anyOf" in schema:
        return "schema must be a JSON Schema of 'type: \"object\"', without anyOf"
    return next(filter(None, (_not_strict(path, part) for path, part in parts(schema))), "")


def _not_strict(path: str, part: Schema) -> str:
    names = set(part.get("properties") or ())
    if odd := part.keys() & (_NOT_STRICT | _NOT_STRICT_EITHER):
        return f"In context=({path}), {sorted(odd)} is not permitted"
    if "$ref" in part and len(part) > 1:
        return f"context=({path}), $ref cannot have keywords {sorted(part.keys() - {'$ref'})}"
    if "(?" in part.get("pattern", "") or part.get("format", "date") not in _FORMATS:
        return f"In context=({path}), neither look-around in patterns nor other formats than {sorted(_FORMATS)}"
    if part.get("type") == "object" or names:
        required = set(part.get("required") or ())
        if part.get("additionalProperties") is not False or required != names:
            return f"'additionalProperties' must be false and 'required' must name each property ({path}): {part}"
    if part.get("type") == "array" and "items" not in part:
        return f"In context=({path}), array schema missing items"
    return "" if part.keys() & {"type", "anyOf", "$ref", "enum", "const"} else f"no 'type' key ({path})"


def not_arguments(name: str, schema: Schema, *, api: str) -> str:
    """Return what an API objects to in a tool: its name, and the schema of its arguments.

    Args:
        name: The name.
        schema: The schema.
        api: `messages`, `responses` or `chat`.
    """
    if not NAME.fullmatch(name):
        return f"Invalid name of a tool: {name!r}"
    wrong = next((_of_messages if api == "messages" else _of_openai)(schema), "") or next(_invalid(schema), "")
    return f"Invalid schema for function '{name}': {wrong}" if wrong else ""


def _of_messages(schema: Schema) -> Iterator[str]:
    if schema.get("type") != "object":
        yield "type: Field required"
    if odd := schema.keys() & {"oneOf", "anyOf", "allOf"}:
        yield f"{sorted(odd)} at the top level"
    if keys := [key for key in schema.get("properties") or () if not _KEY.fullmatch(key)]:
        yield f"Property keys should match pattern {_KEY.pattern!r}: {keys}"


def _of_openai(schema: Schema) -> Iterator[str]:
    if schema.get("type") != "object":
        yield "it must be of type object"
    if "properties" not in schema:
        yield "object schema missing properties"
    if odd := schema.keys() & {"oneOf", "anyOf", "allOf", "enum", "not"}:
        yield f"{sorted(odd)} at the top level"
    for path, part in parts(schema):
        if "array" in (part.get("type") or ()) and "items" not in part:
            yield f"In context=({path}), array schema missing items"
        if not part.get("$ref", "#/$defs/").startswith("#/$defs/"):
            yield f"In context=({path}), reference to another place than the definitions at the top"


def _invalid(schema: Schema) -> Iterator[str]:
    checker = Draft202012Validator(Draft202012Validator.META_SCHEMA, format_checker=_REGEX)
    yield from (f"{list(error.absolute_path)}: {error.message}" for error in checker.iter_errors(schema))


def _is_recursive(schema: Schema) -> bool:
    uses = {
        f"#/$defs/{name}": {part["$ref"] for _, part in parts(kind) if "$ref" in part}
        for name, kind in (schema.get("$defs") or {}).items()
    }
    for _ in uses:
        uses = {name: used.union(*(uses.get(each, set()) for each in used)) for name, used in uses.items()}
    return any(name in used for name, used in uses.items())
