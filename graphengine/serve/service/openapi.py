"""The OpenAPI 3.1 description of a service, made from its endpoints, the states of its graphs, and our documents."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema

from graphengine.records.event_json import live_lines
from graphengine.records.json_document import RunNow, Runs, StatusReported, Stepped, WatchEnded
from graphengine.records.json_schema import schemas_of
from graphengine.records.selection import STATUSES
from graphengine.records.step_document import Failed, Trouble
from graphengine.serve.health import Health
from graphengine.serve.service.requests import (
    Answer,
    EventParameters,
    ListParameters,
    NoParameters,
    RunParameters,
    SentMessage,
    StartParameters,
    StopRequest,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Struct

    from graphengine.api.graph import Graph

_DOORS: Final = (
    "Doors of other protocols, if they are open, are described by these: MCP lists its tools, A2A has its cards, and "
    "OpenAI's API, AG-UI and the AI SDK have descriptions of their own."
)
_INPUT: Final = "#/components/schemas/input.{model}"
_PLAIN: Final = "#/components/schemas/{name}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What can be requested of a service.

    Attributes:
        path: Its path.
        name: The method of the `Service` that answers, and the id of the operation.
        summary: What it does.
        answers: What its answers mean, by status.
        document: The document of its answers; None for a stream of events.
        query: Its parameters.
        body: Its body; None if it has none.
        headers: The headers that it reads, with their meaning.
    """

    path: str
    name: str
    summary: str
    answers: Mapping[str, str]
    document: type[Struct] | None = RunNow
    query: type[Struct] = NoParameters
    body: type[Struct] | None = None
    headers: tuple[tuple[str, str], ...] = ()


_KEY: Final = (
    "A key that is the same when the request is sent again: one run is started. Also `webhook-id` and "
    "`X-GitHub-Delivery`. Of a signed request: the `webhook-id`, or GitHub's signature."
)
_DONE: Final = {"202": "recorded; the run as it is now"}
START: Final = Endpoint(
    "/graphs/{graph}/runs",
    "start",
    "Start a run",
    {"201": "started", "200": "the same request has started it before"},
    query=StartParameters,
    headers=(("Idempotency-Key", _KEY),),
)
"""It is described once for each graph, with its input as the body."""
HEALTH: Final = Endpoint(
    "/health", "health", "Whether the service works", {"200": "it works", "503": "it does not"}, Health
)
ENDPOINTS: Final = (
    Endpoint("/runs", "list_runs", "List the newest runs", {"200": "the runs"}, Runs, ListParameters),
    Endpoint("/runs/{run_id}/answer", "answer", "Answer a question of a run", _DONE, body=Answer),
    Endpoint(
        "/runs/{run_id}/messages",
        "send",
        "Send a message to a run",
        _DONE,
        body=SentMessage,
        headers=(("Idempotency-Key", "a key to send it only once"),),
    ),
    Endpoint("/runs/{run_id}/stop", "stop_run", "Stop a run at its next safe point", _DONE, body=StopRequest),
    Endpoint(
        "/runs/{run_id}/events",
        "events",
        "Follow a run until it is over",
        {
            "200": "server-sent events; the data of each is an `Event` of the components",
            "204": "the run is over, and the reader has its last event",
        },
        None,
        EventParameters,
        headers=(("Last-Event-ID", "continue after this event"),),
    ),
    Endpoint("/runs/{run_id}", "get_run", "Return a run", {"200": "the run"}, query=RunParameters),
    HEALTH,
)


class AnyJson(GenerateJsonSchema):
    """Describes a type that has no JSON Schema as any value."""

    def handle_invalid_for_json_schema(self, schema: object, error_info: str) -> JsonSchemaValue:
        """Return the schema of any value."""
        del schema, error_info
        return {}


def description(graphs: Mapping[str, Graph[Any]], version: str, *, takes_webhooks: bool) -> dict[str, Any]:
    """Return the description of a service of these graphs."""
    inputs, schemas = _inputs(graphs)
    events = (Stepped, StatusReported, WatchEnded, Trouble, *live_lines())
    references, found = schemas_of([*events, RunNow, Runs, Failed, Health], _PLAIN)
    _, read = schemas_of([Answer, SentMessage, StopRequest], _PLAIN, is_read=True)
    schemas |= read | found | {"Event": {"anyOf": references[: len(events)]}}
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
    for endpoint in ENDPOINTS:
        paths[endpoint.path] = {"get" if endpoint.body is None else "post": _operation(endpoint)}
    paths[HEALTH.path]["get"]["security"] = []
    choices = {"graph": sorted(graphs), "status": list(STATUSES)}
    for parameter in paths["/runs"]["get"]["parameters"]:
        if parameter["name"] in choices:
            parameter["schema"] = {"type": "string", "enum": choices[parameter["name"]]}
    return {
        "openapi": "3.1.1",
        "info": {"title": "graphengine serve", "version": version, "description": _DOORS},
        "security": [{"token": []}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": schemes},
    }


def _inputs(graphs: Mapping[str, Graph[Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of each graph's input, and the schemas that they refer to."""
    states = {name: graph.compile().state for name, graph in graphs.items()}
    models = list(dict.fromkeys(state.model for state in states.values()))
    refs, found = models_json_schema(
        [(model, "validation") for model in models],
        by_alias=False,
        ref_template=_INPUT,
        schema_generator=AnyJson,
    )
    schemas = {f"input.{name}": schema for name, schema in found.get("$defs", {}).items()}
    inputs: dict[str, Any] = {}
    for name, state in states.items():
        ref = refs[state.model, "validation"]
        own = schemas.get(ref.get("$ref", "").rpartition("/")[2], {})
        for field in state.secrets & own.get("properties", {}).keys():
            own["properties"][field]["writeOnly"] = True
        inputs[name] = {"allOf": [ref], "unevaluatedProperties": False}
    return inputs, schemas


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    """Return the description of an endpoint."""
    (_,), schemas = schemas_of([endpoint.query], is_read=True)
    parameters = [
        {"name": name, "in": "query", "description": schema.pop("description"), "schema": _given(schema)}
        for name, schema in schemas[endpoint.query.__name__]["properties"].items()
    ]
    text = {"type": "string"}
    named = text | {"minLength": 1, "maxLength": 100}
    parameters += [
        {"name": name, "in": "header", "schema": named, "description": about} for name, about in endpoint.headers
    ]
    if "{run_id}" in endpoint.path:
        parameters.append({"name": "run_id", "in": "path", "required": True, "schema": text})
    answers: dict[str, Any] = {status: _content(about, endpoint.document) for status, about in endpoint.answers.items()}
    if endpoint.document is None:
        answers["200"]["content"] = {"text/event-stream": {"schema": text}}
    if endpoint is not HEALTH:
        answers["default"] = _content("why it was refused", Failed)
    found: dict[str, Any] = {"operationId": endpoint.name, "summary": endpoint.summary}
    found |= {"parameters": parameters, "responses": answers}
    if endpoint.body is not None:
        found["requestBody"] = {"required": endpoint.body is not StopRequest, **_body(endpoint.body)}
    return found


def _given(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter that can be left out; it is a text, which cannot be null."""
    given = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return given[0] if len(given) == 1 else schema


def _content(text: str, document: type[Struct] | None) -> dict[str, Any]:
    return {"description": text, **(_body(document) if document is not None else {})}


def _body(kind: type[Struct]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": {"$ref": _PLAIN.format(name=kind.__name__)}}}}


__all__ = ["ENDPOINTS", "HEALTH", "START", "AnyJson", "Endpoint", "description"]
