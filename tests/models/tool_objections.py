"""What the providers refuse in the tools of a request, each of it with a status 400 for the whole call.

Sources: Anthropic's "Tool use" and the patterns in its API's errors; OpenAI's "Function calling" and its API's errors,
which name the place as `In context=('properties', 'x')`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from jsonschema import Draft202012Validator, FormatChecker

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_PROPERTY: Final = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_FORMATS: Final = FormatChecker(["regex"])


def found(path: str, tools: Sequence[Mapping[str, Any]]) -> str:
    """Return what the API at this path objects to in the tools of a request, "" for nothing."""
    if path.endswith("/messages"):
        return next(_of_messages(tools), "")
    return next(_of_openai([tool.get("function", tool) for tool in tools]), "")


def _of_messages(tools: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from _of_names([tool["name"] for tool in tools])
    for number, tool in enumerate(tools):
        if "input_schema" not in tool:  # a tool of the provider
            continue
        schema, where = tool["input_schema"], f"tools.{number}.custom.input_schema"
        if schema.get("type") != "object":
            yield f"{where}.type: Field required"
        if {"oneOf", "allOf", "anyOf"} & schema.keys():
            yield f"{where}: input_schema does not support oneOf, allOf, or anyOf at the top level"
        if any(not _PROPERTY.fullmatch(name) for name in schema.get("properties") or {}):
            yield f"{where}.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{{1,64}}$'"
        yield from (f"{where}: JSON schema is invalid: {problem}" for problem in _invalid(schema))


def _of_openai(tools: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    functions = [tool for tool in tools if "parameters" in tool]
    yield from _of_names([function["name"] for function in functions])
    for function in functions:
        schema, where = function["parameters"], f"Invalid schema for function {function['name']!r}"
        if schema.get("type") != "object":
            yield f"{where}: schema must be a JSON Schema of 'type: \"object\"', got {schema.get('type')!r}"
        if {"oneOf", "anyOf", "allOf", "enum", "not"} & schema.keys():
            yield f"{where}: schema must not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level"
        if "properties" not in schema:
            yield f"{where}: In context=(), object schema missing properties"
        yield from (f"{where}: {problem}" for problem in _invalid(schema))
        yield from (f"{where}: In context={path}, {problem}" for path, problem in _of_parts(schema, ()))


def _of_names(names: Sequence[str]) -> Iterator[str]:
    yield from (f"tools: the name {name!r} does not match the pattern" for name in names if not _NAME.fullmatch(name))
    if len(set(names)) < len(names):
        yield "tools: Tool names must be unique"


def _invalid(schema: Mapping[str, Any]) -> Iterator[str]:
    checker = Draft202012Validator(Draft202012Validator.META_SCHEMA, format_checker=_FORMATS)
    yield from (f"{list(each.absolute_path)}: {each.message}" for each in checker.iter_errors(schema))


def _of_parts(schema: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(schema, list):
        schema = dict(enumerate(schema))
    if not isinstance(schema, dict):
        return
    kinds = schema.get("type")
    if (kinds == "array" or (isinstance(kinds, list) and "array" in kinds)) and "items" not in schema:
        yield path, "array schema missing items"
    reference = schema.get("$ref")
    if isinstance(reference, str) and not reference.startswith("#/$defs/"):
        yield path, "reference can only point to definitions defined at the top level of the schema"
    for key, value in schema.items():
        if key not in {"enum", "const", "default", "examples"}:
            yield from _of_parts(value, (*path, str(key)))
