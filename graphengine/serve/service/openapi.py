"""The OpenAPI 3.1 description of a service, made from its endpoints, the states of its graphs, and its documents."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema

from graphengine.records.base_documents import Failed, Trouble
from graphengine.records.event_json import live_lines
from graphengine.records.json_document import StatusReported, Stepped, WatchEnded
from graphengine.records.json_schema import schemas_of
from graphengine.schemas.walking import walk
from graphengine.serve.routes import ENDPOINTS, HEALTH, START

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.api.graph import Graph
    from graphengine.serve.routes import Endpoint

_DOORS: Final = (
    "Doors of other protocols, if they are open, are described by these: MCP lists its tools, A2A has its cards, and "
    "OpenAI's API, AG-UI and the AI SDK have descriptions of their own."
)
_INPUT: Final = "#/components/schemas/input.{model}"
_PLAIN: Final = "#/components/schemas/{name}"


_OPERATIONS: Final = {
    "trends": "read_trends",
    "sums": "read_sums",
    "in_common": "read_shared_features",
    "usage": "read_usage",
    "below": "list_runs_below",
    "today": "read_today",
    "questions": "list_questions",
    "bulk": "change_runs",
    "answer": "answer_question",
    "tag": "tag_run",
    "branch": "branch_run",
    "preview": "preview_branch",
    "state": "read_state",
    "step_details": "read_step",
    "compared": "compare_runs",
    "story": "read_story",
    "published": "read_value",
    "events": "follow_events",
    "health": "read_health",
}
"""The ids of operations whose names in the table are nouns. Otherwise generators would use the names of schemas."""
_FORMATS: Final = {"integer": "int64", "number": "double"}
"""The formats of numbers. Without a format, generators choose 32 bits, which are too few for times and limits."""


class AnyJson(GenerateJsonSchema):
    """Generates JSON Schemas, also for types that cannot be described by a JSON Schema.

    Such a type is described as any value, instead of raising an error.
    """

    def handle_invalid_for_json_schema(self, schema: object, error_info: str) -> JsonSchemaValue:
        del schema, error_info
        return {}


def description(graphs: Mapping[str, Graph[Any]], version: str, *, takes_webhooks: bool) -> dict[str, Any]:
    """Return the OpenAPI description of a service.

    Args:
        graphs: The graphs that the service serves, by name. Starting a run of each graph is a separate operation.
        version: The version of this package.
        takes_webhooks: Whether requests may have a signature instead of a token.
    """
    inputs, schemas = _build_input_schemas(graphs)
    events = (Stepped, StatusReported, WatchEnded, Trouble, *live_lines())
    references, found = schemas_of([*events, *_documents(ENDPOINTS), Failed], _PLAIN)
    for part in (part for each in found.values() for part in walk(each)):
        # The tuple also has a length, and generators of clients cannot read booleans here.
        if part.get("items") is False:
            part["items"] = {}
    schemas |= _bodies() | found | {"Event": {"anyOf": references[: len(events)]}}
    schemes: dict[str, Any] = {"token": {"type": "http", "scheme": "bearer"}}
    if takes_webhooks:
        schemes["webhook"] = {"type": "apiKey", "in": "header", "name": "webhook-signature"}
        schemes["github"] = {"type": "apiKey", "in": "header", "name": "X-Hub-Signature-256"}
    paths: dict[str, Any] = {}
    names: set[str] = set()
    for number, (name, schema) in enumerate(inputs.items()):
        start = _operation(START) | {"requestBody": {"content": {"application/json": {"schema": schema}}}}
        operation = f"start_{re.sub('[^A-Za-z0-9]+', '_', name)}"
        operation = operation if operation not in names else f"{operation}_{number}"
        names.add(operation)
        start |= {"operationId": operation, "summary": f"Start a run of {name}"}
        start |= {"security": [{scheme: []} for scheme in schemes]}
        paths[f"/graphs/{quote(name, safe='')}/runs"] = {"post": start}
    paths |= paths_of(ENDPOINTS)
    paths[HEALTH.path]["get"]["security"] = []
    for parameter in paths["/runs"]["get"]["parameters"]:
        if parameter["name"] == "graph":
            parameter["schema"] = {"type": "string", "enum": sorted(graphs)}
    _refine({"paths": paths, "schemas": schemas})
    return {
        "openapi": "3.1.1",
        "info": {"title": "graphengine serve", "version": version, "description": _DOORS},
        "security": [{"token": []}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": schemes},
    }


def _refine(described: object) -> None:
    """Change a JSON Schema so that generators of clients produce better code.

    Numbers get a format, and "any value or null" is replaced by "any value". The schema is changed in place.
    """
    parts = [described]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            kind, choices = part.get("type"), part.get("anyOf")
            if isinstance(kind, str) and kind in _FORMATS and "enum" not in part:
                part.setdefault("format", _FORMATS[kind])
            if isinstance(choices, list) and {} in choices:
                del part["anyOf"]
        parts += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()


def described(rows: Sequence[Endpoint]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the OpenAPI paths that describe some endpoints, and the schemas of their answers by name."""
    return paths_of(rows), schemas_of(_documents(rows), _PLAIN)[1]


def paths_of(rows: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the description of some endpoints for the part `paths` of an OpenAPI document."""
    paths: dict[str, Any] = {}
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row)
    return paths


def _documents(rows: Sequence[Endpoint]) -> Sequence[Any]:
    return [*dict.fromkeys(each.document for each in rows if each.document is not None)]


def _build_input_schemas(graphs: Mapping[str, Graph[Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the JSON Schema of each graph's input, for the OpenAPI description.

    Returns:
        The schemas by the graph's name, and the named schemas to which these refer.
    """
    states = {name: graph.compile().state for name, graph in graphs.items()}
    models = list(dict.fromkeys(state.model for state in states.values()))
    refs, found = models_json_schema(
        [(model, "validation") for model in models],
        by_alias=False,
        ref_template=_INPUT,
        schema_generator=AnyJson,
    )
    schemas = {f"input.{name}": schema for name, schema in found.get("$defs", {}).items()}
    for schema in schemas.values():
        if schema.get("description", "").startswith(f"{schema.get('title')}("):  # a dataclass without a docstring
            del schema["description"]
    inputs: dict[str, Any] = {}
    for name, state in states.items():
        ref = refs[state.model, "validation"]
        own = schemas.get(ref.get("$ref", "").rpartition("/")[2], {})
        for field in state.secrets & own.get("properties", {}).keys():
            own["properties"][field]["writeOnly"] = True
        inputs[name] = {"allOf": [ref], "unevaluatedProperties": False}
    return inputs, schemas


def _bodies() -> dict[str, Any]:
    """Return the JSON Schemas of all request bodies.

    Fields that are part of the request's path are left out.
    """
    bodies = {each.body: each.path for each in ENDPOINTS if each.body is not None}
    _, found = schemas_of([*bodies], _PLAIN, is_read=True)
    for body, path in bodies.items():
        schema = found[body.__name__]
        schema["properties"] = {name: each for name, each in schema["properties"].items() if f"{{{name}}}" not in path}
        schema["required"] = [name for name in schema.get("required", ()) if name in schema["properties"]]
        schema["additionalProperties"] = False
    return {body.__name__: found[body.__name__] for body in bodies}


_EVENTS: Final = "text/event-stream"
_DATA: Final = {"contentMediaType": "application/json", "contentSchema": {"$ref": _PLAIN.format(name="Event")}}
_EVENT: Final = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": {"type": "string", **_DATA}},
    "required": ["data"],
}
"""An event of a stream. Before OpenAPI 3.2, the schema of a stream is the schema of each of its events."""


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    (_,), schemas = schemas_of([endpoint.query], is_read=True)
    text = {"type": "string"}
    named = text | {"minLength": 1, "maxLength": 100}
    parameters: list[dict[str, Any]] = []
    for name, schema in schemas[endpoint.query.__name__]["properties"].items():
        about, is_in_path = schema.pop("description"), f"{{{name}}}" in endpoint.path
        parameter = {
            "name": name,
            "in": "path" if is_in_path else "query",
            "description": about,
            "schema": _schema_without_null(schema),
        }
        is_required = name in schemas[endpoint.query.__name__].get("required", ())
        parameters.append(parameter | ({"required": True} if is_in_path or is_required else {}))
    parameters += [
        {"name": name, "in": "header", "schema": named, "description": about} for name, about in endpoint.headers
    ]
    if "{run_id}" in endpoint.path and all(each["name"] != "run_id" for each in parameters):
        parameters.append({"name": "run_id", "in": "path", "required": True, "schema": text})
    answers: dict[str, Any] = {
        status: _describe_response(about, endpoint.document) for status, about in endpoint.answers.items()
    }
    if endpoint.document is None:
        answers["200"]["content"] = {endpoint.media: {"schema": _EVENT if endpoint.media == _EVENTS else text}}
    if endpoint is not HEALTH:
        answers["default"] = _describe_response("why it was refused", Failed)
    operation = _OPERATIONS.get(endpoint.name, endpoint.name)
    found: dict[str, Any] = {"operationId": operation, "summary": endpoint.summary}
    found |= {"parameters": parameters, "responses": answers}
    if endpoint.body is not None and endpoint.name != START.name:
        found["requestBody"] = {"required": endpoint.is_body_required, **_build_body_schema(endpoint.body)}
    return found


def _schema_without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Remove null from the schema of an optional parameter, because a parameter in an address cannot be null."""
    choices = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return choices[0] if len(choices) == 1 else schema


def _describe_response(text: str, document: Any) -> dict[str, Any]:  # noqa: ANN401 - a type
    return {"description": text, **(_build_body_schema(document) if document is not None else {})}


def _build_body_schema(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a type
    schema = {"$ref": _PLAIN.format(name=kind.__name__)} if isinstance(kind, type) else schemas_of([kind], _PLAIN)[0][0]
    return {"content": {"application/json": {"schema": schema}}}


__all__ = ["AnyJson", "described", "description"]
