"""The OpenAPI 3.1 description of a service, made from the states of its graphs and the models of our documents."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema

from graphengine.history import run_schemas as documents
from graphengine.history.selection import STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.api.graph import Graph

_EVENTS: Final = (documents.Stepped, documents.StatusReported, documents.WatchEnded, *documents.LIVE)
_TEXT: Final = {"type": "string"}
_SEQ: Final = {"type": "integer", "minimum": 0}
_INPUT: Final = "#/components/schemas/input.{model}"
_PLAIN: Final = "#/components/schemas/{model}"
_KEY: Final = (
    "A key that is the same when the request is sent again: one run is started. Also `webhook-id` and "
    "`X-GitHub-Delivery`. Of a signed request: the `webhook-id`, or GitHub's signature."
)
_VALUE: Final = {"description": "the answer; it has to fit the `schema` of the wait"}
_ANSWER: Final = {
    "type": "object",
    "properties": {
        "value": _VALUE,
        "question": {"type": "string", "description": "the `name` of the wait; needed if the run asks several"},
    },
    "required": ["value"],
    "additionalProperties": False,
}
_MESSAGE: Final = {
    "type": "object",
    "properties": {"topic": _TEXT, "payload": {"description": "any JSON value"}},
    "required": ["topic", "payload"],
    "additionalProperties": False,
}
_STOP: Final = {
    "type": "object",
    "properties": {
        "why": {"type": ["string", "null"], "description": "the reason to record"},
        "now": {"type": ["boolean", "null"], "description": "whether to cancel the nodes in flight"},
    },
    "additionalProperties": False,
}
_HEALTH: Final = {
    "type": "object",
    "properties": {
        "status": {"enum": ["working", "stopping", "failing"]},
        "error": {"type": ["string", "null"], "description": "the code of the error"},
    },
    "required": ["status", "error"],
}


class _AnyJson(GenerateJsonSchema):
    """Describes a type that has no JSON Schema as any value."""

    def handle_invalid_for_json_schema(self, schema: object, error_info: str) -> JsonSchemaValue:
        """Return the schema of any value."""
        del schema, error_info
        return {}


def description(graphs: Mapping[str, Graph[Any]], version: str, *, takes_webhooks: bool) -> dict[str, Any]:
    """Return the description of a service of these graphs."""
    inputs, schemas = _inputs(graphs)
    models = (documents.RunNow, documents.Runs, documents.Failed, *_EVENTS)
    refs, found = models_json_schema([(model, "serialization") for model in models], ref_template=_PLAIN)
    schemas |= found.get("$defs", {})
    schemas["Event"] = {"anyOf": [refs[model, "serialization"] for model in _EVENTS]}
    schemas |= {"Answer": _ANSWER, "Message": _MESSAGE, "StopRequest": _STOP, "Health": _HEALTH}
    paths: dict[str, Any] = {}
    for number, (name, schema) in enumerate(inputs.items()):
        operation = f"start_{re.sub('[^A-Za-z0-9]+', '_', name)}"
        taken = [path["post"]["operationId"] for path in paths.values()]
        unique = operation if operation not in taken else f"{operation}_{number}"
        paths[f"/graphs/{quote(name, safe='')}/runs"] = {"post": _start(name, unique, schema, takes_webhooks)}
    schemes: dict[str, Any] = {"token": {"type": "http", "scheme": "bearer"}}
    if takes_webhooks:
        schemes["webhook"] = {"type": "apiKey", "in": "header", "name": "webhook-signature"}
        schemes["github"] = {"type": "apiKey", "in": "header", "name": "X-Hub-Signature-256"}
    return {
        "openapi": "3.1.1",
        "info": {"title": "graphengine serve", "version": version},
        "security": [{"token": []}],
        "paths": {**paths, **_paths(sorted(graphs))},
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
        schema_generator=_AnyJson,
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


def _start(name: str, operation: str, schema: object, takes_webhooks: bool) -> dict[str, Any]:  # noqa: FBT001 - a helper
    parameters = [
        {"name": "Idempotency-Key", "in": "header", "schema": _TEXT, "description": _KEY},
        _parameter("run_id", _TEXT, "the id of the run; generated if there is no key either"),
        _parameter("field", _TEXT, "the field of the input that gets the whole body, such as a webhook's"),
        _parameter("queue", _TEXT, "the queue from which a worker takes the run"),
        _parameter("priority", {"type": "integer"}, "the higher, the sooner it is taken"),
        _parameter("key", _TEXT, "the tenant of the run, or any other name; the keys of a queue take turns"),
        _parameter("tag", {"type": "array", "items": _TEXT}, "a tag of the run; can be repeated"),
    ]
    security: dict[str, Any] = {"security": [{"token": []}, {"webhook": []}, {"github": []}]} if takes_webhooks else {}
    return {
        "operationId": operation,
        "summary": f"Start a run of {name}",
        "parameters": parameters,
        "requestBody": {"content": {"application/json": {"schema": schema}}},
        "responses": _responses({"201": "started", "200": "the same request has started it before"}),
        **security,
    }


def _paths(graphs: Sequence[str]) -> dict[str, Any]:
    run = [{"name": "run_id", "in": "path", "required": True, "schema": _TEXT}]
    wait = [
        _parameter("wait", {**_SEQ, "maximum": 60}, "wait so many seconds until it is over or waits"),
        _parameter("after", _SEQ, "and until it has a step after this `seq`, such as that of an answer"),
    ]
    select = [
        _parameter("graph", {"enum": list(graphs)}, "only runs of this graph"),
        _parameter("status", {"enum": list(STATUSES)}, "only runs with this status"),
        _parameter("tag", _TEXT, "only runs with this tag"),
        _parameter("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "the most runs"),
        _parameter("before", _TEXT, "the next page: only runs that began before this run, the last of a page"),
    ]
    after = _parameter("after", _SEQ, "leave out the steps up to this one")
    last = {"name": "Last-Event-ID", "in": "header", "schema": _TEXT, "description": "continue after this event"}
    key = {"name": "Idempotency-Key", "in": "header", "schema": _TEXT, "description": "a key to send it only once"}
    stream = {
        "description": "server-sent events; the data of each is an `Event` of the components",
        "content": {"text/event-stream": {"schema": _TEXT}},
    }
    over = {"description": "the run is over, and the reader has its last event"}
    done = {"202": "recorded; the run as it is now"}
    return {
        "/runs": {"get": _operation("list_runs", "List the newest runs", select, {"200": "the runs"}, document="Runs")},
        "/runs/{run_id}": {
            "parameters": run,
            "get": _operation("get_run", "Return a run", wait, {"200": "the run"}),
        },
        "/runs/{run_id}/answer": {
            "parameters": run,
            "post": _operation("answer", "Answer a question of a run", [], done, body="Answer"),
        },
        "/runs/{run_id}/messages": {
            "parameters": run,
            "post": _operation("send", "Send a message to a run", [key], done, body="Message"),
        },
        "/runs/{run_id}/stop": {
            "parameters": run,
            "post": _operation(
                "stop", "Stop a run at its next safe point", [], done, body="StopRequest", required=False
            ),
        },
        "/runs/{run_id}/events": {
            "parameters": run,
            "get": {
                "operationId": "events",
                "summary": "Follow a run until it is over",
                "parameters": [after, last],
                "responses": {"200": stream, "204": over, "default": _content("why it was refused", "Failed")},
            },
        },
        "/health": {
            "get": {
                "operationId": "health",
                "summary": "Whether the service works",
                "security": [],
                "responses": {"200": _content("it works", "Health"), "503": _content("it does not", "Health")},
            }
        },
    }


def _operation(  # noqa: PLR0913 - the parts of an operation
    name: str,
    summary: str,
    parameters: Sequence[Mapping[str, Any]],
    responses: Mapping[str, str],
    *,
    body: str = "",
    required: bool = True,
    document: str = "RunNow",
) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _PLAIN.format(model=body)}}}
    given = {"requestBody": {"required": required, "content": content}} if body else {}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": list(parameters),
        **given,
        "responses": _responses(responses, document),
    }


def _responses(found: Mapping[str, str], document: str = "RunNow") -> dict[str, Any]:
    refused = _content("why it was refused", "Failed")
    return {**{status: _content(text, document) for status, text in found.items()}, "default": refused}


def _content(text: str, document: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _PLAIN.format(model=document)}}}
    return {"description": text, "content": content}


def _parameter(name: str, schema: Mapping[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": dict(schema), "description": text}


__all__ = ["description"]
