"""The MCP door: each graph is a tool of an MCP server, over HTTP (`serve --mcp`) or stdio (`graphengine mcp`).

A call of a tool starts a run. Nothing else is stored about the call. Revision 2026-07-28 of the protocol is stateless:
if a request cannot be answered yet, the answer is "input required". Such an answer contains questions to a person (or
no questions, if the run is still working), and the `request_state`, which the client sends with its next request. In
this module, `request_state` is the encrypted id of the run with its nonce, and the questions are the waits of the run,
by their ids. Therefore a client or this process can disappear at any time:

1. The client sends answers. The answers are recorded, and this process dies before it replies.
2. The client sends the same request again, possibly to another process. The waits have ended, so the answers are not
   recorded twice.

A client of an older revision keeps one request open instead. Over this request, the client gets questions and reports
of progress.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import mcp_types as types
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic_core import to_json, to_jsonable_python
from starlette.datastructures import Headers
from starlette.routing import Route

from graphengine.agents.chats import is_chat
from graphengine.agents.prompts import has_media, marked
from graphengine.errors import GraphEngineError, InputError
from graphengine.kernel.extension import StepRecorded, compiled, did_you_mean
from graphengine.kernel.inside import bare, unknown_fields
from graphengine.kernel.reader import Snapshot
from graphengine.records.base_documents import error_document, plain
from graphengine.records.now import load_now
from graphengine.schemas.walking import resolve_reference, with_definitions
from graphengine.schemas.words import in_words
from graphengine.serve.callers import acting, caller
from graphengine.serve.guard import CALLER
from graphengine.serve.messages import shown_error
from graphengine.serve.requests import ServiceFailed
from graphengine.serve.router import FAILED
from graphengine.serve.service.app import cancelled
from graphengine.serve.service.following import answer as answered
from graphengine.serve.service.following import failure_of, follow_run, waits
from graphengine.serve.service.openapi import AnyJson
from graphengine.serve.service.text_places import find_written_fields, text_field

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from mcp.server.context import ServerRequestContext
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from graphengine.api.graph import Graph
    from graphengine.kernel.extension import Plan, Result
    from graphengine.kernel.reader import Step, Wait
    from graphengine.media import Media
    from graphengine.serve.service.app import Service
    from graphengine.serve.service.doors import Opening

PATH: Final = "/mcp"
"""The path of the door over HTTP."""
RUN_ID: Final = "graphengine/run_id"
"""The key of the run's id in `_meta`.

In a call, the key makes sure that the call starts only one run. Every result contains the key.
"""
ERROR: Final = "graphengine/error"
"""The key in `_meta` of an error's document.

The document is not in the structured content, which must fit the tool's own schema.
"""

_LOG: Final = logging.getLogger("graphengine")
_NAME: Final = "graphengine"
_FIRST_SECONDS: Final = 5.0
"""How long the first request of a call is kept open. With its answer, the client gets the run's `request_state`."""
_HOLD_SECONDS: Final = 45.0
"""How long later requests are kept open.

Clients repeat a request 10 times by default, and some clients give up on a request after a minute.
"""
_IDLE_SECONDS: Final = 1800.0
"""How long a session of an older revision is kept after its last request."""
_MOST_SESSIONS: Final = 1_000
"""How many sessions of older revisions one user can have.

Each session needs about 35 KB. When a user has more sessions, the session that was idle for the longest time ends, and
its client begins a new one.
"""
_SEAL_SECONDS: Final = 10 * 365 * 86400.0
"""How long a `request_state` is valid, because a run may wait for years.

A `request_state` does not give any permission: each request also needs the token.
"""
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.-]")
_ANSWER: Final = "answer"
_ABOUT: Final = ("title", "description", "default")
_KEYWORDS: Final = (
    *("type", *_ABOUT, "enum", "enumNames", "minLength", "maxLength", "minimum", "maximum"),
    *("items", "minItems", "maxItems"),
)
"""The keywords that a field of a form may contain, besides `format`."""
_FORMATS: Final = ("date", "date-time", "email", "uri")


class QuestionOpen(GraphEngineError):
    """A run that was started as a tool call waits for an answer, which the client cannot or will not give."""

    code = "question_open"


async def routes(opening: Opening) -> Sequence[BaseRoute]:
    door = McpDoor(opening.service, opening.version, opening.secret)
    return [Route(PATH, await opening.stack.enter_async_context(door.over_http(opening.access.body_bytes)))]


class McpDoor:
    """Speaks the MCP protocol: an MCP server that offers each graph of the service as a tool.

    Args:
        service: The service that starts, follows and answers runs.
        version: The version of this package.
        secret: The secret that encrypts `request_state`. It must be the same in all processes that a client may reach.
    """

    def __init__(self, service: Service, version: str, secret: str) -> None:
        self._service = service
        self._tools = _build_tools(service.graphs)
        self.server: Server[Any] = Server(
            _NAME,
            version=version,
            on_list_tools=self._list,
            on_call_tool=self._call,
        )
        key = hashlib.sha256(b"graphengine mcp request_state\0" + secret.encode()).digest()
        security = RequestStateSecurity(keys=[key], ttl=_SEAL_SECONDS)
        self.server.middleware.append(RequestStateBoundary(security, default_audience=_NAME))

    @asynccontextmanager
    async def over_http(self, body_bytes: int) -> AsyncIterator[ASGIApp]:
        """Provide the ASGI application that serves MCP clients over HTTP, until the end of the block.

        The application does not check credentials: see `AccessMiddleware`.
        """
        manager = StreamableHTTPSessionManager(
            self.server, session_idle_timeout=_IDLE_SECONDS, max_request_body_size=body_bytes
        )
        async with manager.run():
            yield _OverHttp(manager, self._service)

    async def _list(self, ctx: ServerRequestContext[Any], params: object) -> types.ListToolsResult:
        del ctx, params
        return types.ListToolsResult(tools=[tool.described for tool in self._tools.values()])

    async def _call(
        self, ctx: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        tool = self._tools.get(params.name)
        if tool is None:
            near = did_you_mean(params.name, self._tools)
            raise MCPError(types.INVALID_PARAMS, f"there is no tool {params.name!r}; {near}")
        run_id = ""
        try:
            # A session may be used by several callers.
            with acting(caller() if ctx.request is None else ctx.request.scope[CALLER]):
                call = await self._start_call(ctx, params, tool)
                run_id = call.run_id
                return await self._outcome(call, params)
        except GraphEngineError as error:
            return _error_as_result(error, run_id)
        except MCPError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of one request must not end other requests
            _LOG.exception("the tool %s failed with %s", params.name, type(error).__name__)
            return _error_as_result(ServiceFailed(FAILED, where=f"tool {params.name}"), run_id)

    async def _start_call(
        self, ctx: ServerRequestContext[Any], params: types.CallToolRequestParams, tool: _Tool
    ) -> _ToolRequest:
        """Start a run for a tool call, or return the run of an earlier call that the request continues."""
        run, is_new = params.request_state or "", False
        if params.request_state is None:
            sent_id = (params.meta or {}).get(RUN_ID)
            chosen = None if sent_id is None else caller().own_id(str(sent_id))
            run, is_new = await self._service.begin(tool.graph, _read_call_arguments(tool, params), chosen)
        info = await self._service.info_of(run)
        return _ToolRequest(ctx, tool, info.id, info.identity, 0 if is_new else info.seq)

    async def _outcome(
        self, call: _ToolRequest, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        """Return the result of a tool call, or the questions that a person must answer before the call can go on.

        If the run is not finished soon, a client of a modern protocol revision gets an answer without a result and
        without questions, and asks again. An older client waits.
        """
        ctx, run_id = call.ctx, call.run_id
        is_modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        hold = _FIRST_SECONDS if params.request_state is None else _HOLD_SECONDS
        wrong = await self._answer(run_id, params.input_responses or {})
        meta = {RUN_ID: run_id}
        while True:
            found = await self._wait_for_call(call, hold)
            if found is None and is_modern:
                return types.InputRequiredResult(request_state=call.identity, _meta=meta)
            if found is None:
                if self._service.is_stopping:
                    repair = f"call the tool again, with {RUN_ID} in _meta"
                    message = "the service is being stopped, and did not finish this request"
                    raise ServiceFailed(message, where=f"run {run_id}", repair=repair)
                continue
            questions = waits(found, ())
            if not questions:
                result = await self._service.runner.result_under(call.tool.graph, found)
                return _build_call_result(call.tool, found, result, meta)
            if not _can_ask(ctx.session.client_capabilities):
                raise _build_open_question_error(
                    run_id, next(iter(questions.values())), "this client cannot ask a person"
                )
            forms = {key: _build_form(wait, wrong.get(key, "")) for key, wait in questions.items()}
            if is_modern:
                asked: types.InputRequests = {key: types.ElicitRequest(params=form) for key, form in forms.items()}
                return types.InputRequiredResult(input_requests=asked, request_state=call.identity, _meta=meta)
            answers: dict[str, Any] = {}
            for key, form in forms.items():
                answers[key] = await ctx.session.elicit_form(form.message, form.requested_schema, ctx.request_id)
            wrong = await self._answer(run_id, answers)

    async def _wait_for_call(self, call: _ToolRequest, seconds: float) -> Snapshot | None:
        """Wait until the run of a tool call has ended or asks a question, and return the run's snapshot.

        The result is None if the time is over before that, or if the service stops.
        """
        following = asyncio.create_task(self._follow_call(call))
        try:
            await self._service.in_time(following, seconds)
            return following.result() if following.done() else None
        finally:
            await cancelled(following)

    async def _follow_call(self, call: _ToolRequest) -> Snapshot | None:
        """Report the progress of a tool call to its client, until the run has ended or asks a question.

        Returns:
            The snapshot of the run; None if the events end before.
        """
        info = await self._service.info_of(call.identity)
        async with aclosing(follow_run(self._service, info, call.seen, topics=(), live=False)) as events:
            async for event in events:
                if isinstance(event, Snapshot):
                    return event
                if isinstance(event, StepRecorded):
                    await call.report(event.step)
        return None

    async def _answer(self, run_id: str, given: Mapping[str, Any]) -> Mapping[str, str]:
        """Record the answers of a client to the questions of a run.

        Returns:
            The error messages of the answers that do not fit, by the ids of their waits.

        Raises:
            QuestionOpen: A person declined to answer a question. The other answers are recorded.
        """
        asked = waits(await load_now(self._service.runner.store, run_id), ()) if given else {}
        accepted: dict[str, object] = {}
        declined: list[QuestionOpen] = []
        for key, wait in asked.items():
            answer = given.get(key)
            if isinstance(answer, types.ElicitResult) and answer.action == "accept":
                content = answer.content or {}
                accepted[key] = content if _list_form_fields(wait.schema or {}) else content.get(_ANSWER)
            elif answer is not None:
                how = "cancelled" if getattr(answer, "action", "") == "cancel" else "declined"
                declined.append(_build_open_question_error(run_id, wait, f"the question was {how}"))
        refused = await answered(self._service, run_id, accepted) if accepted else {}
        for error in declined:
            raise error
        return {key: f"{error.message}\n{error.repair}" for key, error in refused.items()}


class _OverHttp(StreamableHTTPASGIApp):
    """The MCP SDK's ASGI application, with limits on its streams and sessions.

    Clients of older revisions keep a stream open by a GET request, which ends here when the service stops. A session is
    only served to the user who began it. If a user has too many sessions, the session that was idle for the longest
    time is ended. Without this limit, one user could fill the SDK's 10,000 sessions, and other users would be refused.
    """

    def __init__(self, manager: StreamableHTTPSessionManager, service: Service) -> None:
        super().__init__(manager)
        self._service = service
        self._sessions: dict[str, dict[str, int]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        who = json.dumps([caller().name, caller().tenant])
        scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=who, scopes=[]))
        # The number of requests in flight by session id, the longest idle session first.
        sessions = self._sessions.setdefault(who, {})
        session = Headers(scope=scope).get(MCP_SESSION_ID_HEADER, "")
        if session in sessions:
            sessions[session] += 1

        has_ended = False

        async def sending(message: Message) -> None:
            nonlocal session, has_ended
            if message["type"] == "http.response.start":
                has_ended = scope["method"] == "DELETE" and message["status"] < HTTPStatus.MULTIPLE_CHOICES
                if not session:
                    session = Headers(raw=message["headers"]).get(MCP_SESSION_ID_HEADER, "")
                    sessions.update({session: 1} if session else {})
            await send(message)

        try:
            await self._serve_until_stop(scope, receive, sending)
        finally:
            if has_ended:
                sessions.pop(session, None)
            elif session in sessions:
                sessions[session] = sessions.pop(session) - 1
        idle = next((each for each, count in sessions.items() if not count), "")
        if idle and len(sessions) > _MOST_SESSIONS:
            del sessions[idle]
            ending = {**scope, "method": "DELETE", "headers": [(MCP_SESSION_ID_HEADER.encode(), idle.encode())]}
            await super().__call__(ending, receive, _unsent)

    async def _serve_until_stop(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            await super().__call__(scope, receive, send)
            return
        stream = asyncio.create_task(super().__call__(scope, receive, send))
        try:
            await self._service.in_time(stream, None)
        finally:
            await cancelled(stream)


async def _unsent(message: Message) -> None:
    """An ASGI `send` function that drops the answer, because this server itself has sent the request."""
    del message


@dataclass(slots=True)
class _ToolRequest:
    """A request of an MCP client that calls a tool, or that asks for the result of a call that is still running.

    Attributes:
        ctx: The SDK's context of the request.
        tool: The tool.
        run_id: The id of the run of the call.
        identity: The identity of the run, because another run can have the same id later.
        seen: The last step that was reported to the client, or that was recorded before the request.
    """

    ctx: ServerRequestContext[Any]
    tool: _Tool
    run_id: str
    identity: str
    seen: int

    async def report(self, step: Step) -> None:
        """Report a step of the run to the client, if the client asked for progress."""
        if step.node:
            await self.ctx.session.report_progress(step.seq, None, f"run {self.run_id}: {step.path}")
        self.seen = step.seq


# --- Tools -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Tool:
    """A graph that is offered as a tool.

    Attributes:
        graph: The graph.
        plan: The compiled graph.
        described: The description that clients see.
        field: The field of the state that is the result; None if the result is the whole state, or only a part of a
            field.
    """

    graph: Graph[Any]
    plan: Plan[Any]
    described: types.Tool
    field: str | None


def _build_tools(graphs: Mapping[str, Graph[Any]]) -> Mapping[str, _Tool]:
    """Describe each graph as an MCP tool, and return the tools by their names.

    Chats are left out. A chat waits for messages, and an MCP client cannot send messages to a running call.
    """
    tools: dict[str, _Tool] = {}
    for title, graph in graphs.items():
        if is_chat(compiled(graph)):
            continue
        base = _UNFIT.sub("_", title)[:120]
        names = (base, *(f"{base}_{number}" for number in range(2, len(graphs) + 1)))
        name = next(name for name in names if name not in tools)
        tools[name] = _describe_graph_tool(name, title, graph)
    return tools


def _describe_graph_tool(name: str, title: str, graph: Graph[Any]) -> _Tool:
    """Describe a graph as a tool.

    The arguments are the fields that no node writes, the fields without a default, and the field for a text
    (`text_field`). The result is one field, or the whole state without its secrets, in its recorded form. Recorded
    values fit the schema for inputs, so this schema also describes the output.
    """
    plan: Plan[Any] = compiled(graph)
    whole = plan.state.model.model_json_schema(by_alias=False, schema_generator=AnyJson)
    shape = resolve_reference(whole, whole)  # a schema that contains itself is a reference
    properties = shape.get("properties", {})
    for secret in plan.state.secrets & properties.keys():
        properties[secret]["writeOnly"] = True
    written = find_written_fields(plan) - {text_field(plan)}
    required = [field for field, kind in plan.state.fields.items() if kind.info.is_required()]
    inputs = [field for field in plan.state.fields if field in required or field not in written]
    arguments = {"properties": {field: properties[field] for field in inputs}, "required": required}
    path = plan.result.path if plan.result is not None else None
    field = path.root if path is not None and not path.parts and path.root not in plan.state.secrets else None
    if plan.result is None:
        shown = {each: schema for each, schema in properties.items() if each not in plan.state.secrets}
        output: dict[str, Any] = {"properties": shown}
    else:
        output = {"properties": {"result": properties[field] if field is not None else {}}, "required": ["result"]}
    about = shape.get("description", "")
    described = types.Tool(
        name=name,
        title=title,
        description=f"Run the graph {title}."
        + (f" {about}" if about and not about.startswith(f"{shape.get('title')}(") else ""),
        input_schema=with_definitions({"type": "object", **arguments, "additionalProperties": False}, whole),
        output_schema=with_definitions({"type": "object", **output}, whole),
    )
    return _Tool(graph, plan, described, field)


def _read_call_arguments(tool: _Tool, params: types.CallToolRequestParams) -> Mapping[str, Any]:
    """Return the arguments of a tool call. The names of the arguments must exist in the tool's description.

    Raises:
        InputError: The tool does not have an argument with a given name.
    """
    arguments, allowed = params.arguments or {}, tool.described.input_schema["properties"]
    unknown = [name for name in arguments if name not in allowed]
    if unknown:
        where, repair = f"tool {params.name}", f"send only: {', '.join(allowed)}"
        raise InputError(unknown_fields(unknown, allowed), where=where, repair=repair)
    return arguments


def _build_call_result(
    tool: _Tool, snapshot: Snapshot, result: Result[Any], meta: dict[str, Any]
) -> types.CallToolResult:
    """Return the result of a tool call whose run has ended, in the form of the MCP protocol.

    Raises:
        RunFailed: The run failed.
        RunStopped: The run was stopped.
        RunCancelled: The run was cancelled.
    """
    if (failure := failure_of(tool.graph, snapshot)) is not None:
        raise failure
    if tool.plan.result is None or not result.is_migrated:
        shown = {name: bare(value) for name, value in result.values.items() if name not in tool.plan.state.secrets}
        return _build_tool_content(to_json(shown).decode(), shown, meta)
    value = bare(result.values.get(tool.field)) if tool.field is not None else _dump_plain_json(result.output)
    media: list[Media] = []
    shown = _dump_plain_json(marked(result.output, media)) if has_media(result.output) else value
    found = _build_tool_content(shown if isinstance(shown, str) else to_json(shown).decode(), {"result": value}, meta)
    found.content += map(_convert_medium, media)
    return found


def _convert_medium(medium: Media) -> types.ContentBlock:
    """Convert a medium to content that MCP clients can show: an image, audio, an embedded file, or a link."""
    if medium.kind == "image" and medium.data:
        return types.ImageContent(data=medium.data, mime_type=medium.type)
    if medium.kind == "audio" and medium.data:
        return types.AudioContent(data=medium.data, mime_type=medium.type)
    name = medium.name or medium.type
    if medium.data:
        uri = f"graphengine:{quote(name)}"
        return types.EmbeddedResource(
            resource=types.BlobResourceContents(uri=uri, mime_type=medium.type, blob=medium.data)
        )
    return types.ResourceLink(name=name, uri=medium.url or f"file-id:{quote(medium.file_id)}", mime_type=medium.type)


def _dump_plain_json(value: object) -> Any:  # noqa: ANN401 - any JSON
    return to_jsonable_python(value, by_alias=False, fallback=str)


def _build_tool_content(text: str, structured: object, meta: dict[str, Any]) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=structured, _meta=meta)


def _error_as_result(error: GraphEngineError, run_id: str) -> types.CallToolResult:
    """Convert an error to the result of a tool call: a text for the model, and the error's document in `_meta`."""
    error = shown_error(error)
    meta = {ERROR: plain(error_document(error))} | ({RUN_ID: run_id} if run_id else {})
    return types.CallToolResult(content=[types.TextContent(text=f"{error.code}: {error}")], is_error=True, _meta=meta)


# --- Questions -------------------------------------------------------------------------------------------------------


def _can_ask(client: types.ClientCapabilities | None) -> bool:
    """Return whether a client can show forms to a person. Some clients can only open web addresses."""
    found = client.elicitation if client is not None else None
    return found is not None and (found.form is not None or found.url is None)


def _build_open_question_error(run_id: str, wait: Wait, why: str) -> QuestionOpen:
    repair = f"run `graphengine answer {run_id} VALUE`, or call the tool again with {RUN_ID} = {run_id!r} in _meta"
    message = f"{why}; the run still waits for an answer to: {wait.question}"
    return QuestionOpen(message, where=f"run {run_id}", repair=repair)


def _build_form(wait: Wait, wrong: str) -> types.ElicitRequestFormParams:
    """Build the form in which an MCP client asks a person a question.

    MCP forms can only contain flat objects and plain values. For any other answer, the form has one text field for
    JSON.

    Args:
        wait: The question.
        wrong: The error message about the person's previous answer; "" if there is none.
    """
    schema = wait.schema or {}
    required = schema.get("required", []) if (fields := _list_form_fields(schema)) else [_ANSWER]
    fields = fields or {
        _ANSWER: _build_form_field(schema, schema) or {"type": "string", "description": f"JSON: {in_words(schema)}"}
    }
    form = {"type": "object", "properties": fields, "required": required}
    message = f"{wrong}\n\n{wait.question}" if wrong else wait.question
    return types.ElicitRequestFormParams(message=message or wait.name, requested_schema=form)


def _list_form_fields(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the form fields for an answer that is an object; an empty dictionary if a form cannot show the object.

    A form cannot contain nested objects.
    """
    fields: dict[str, Any] = {}
    for name, each in schema.get("properties", {}).items():
        options = [option for option in each.get("anyOf", ()) if option != {"type": "null"}]
        is_left_out = len(options) == 1 and name not in schema.get("required", ())
        field = _build_form_field({**each, **options[0]} if is_left_out else each, schema)
        if field is None:
            return {}
        fields[name] = field
    return fields


def _have_titles(options: object) -> bool:
    """Return whether the options of a schema are texts with titles, so that a form can show them as choices."""
    listed = options if isinstance(options, list) else []
    return bool(listed) and all(isinstance(each.get("const"), str) and "title" in each for each in listed)


def _build_form_field(schema: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the field of an MCP form for a value with this schema: a text, a number, a checkbox or choices.

    The result is None if MCP forms have no field for the schema.
    """
    schema = resolve_reference(schema, root)
    kind, items = schema.get("type"), schema.get("items", {})
    if _have_titles(schema.get("oneOf")):  # choices with a title each
        return {"type": "string"} | {word: schema[word] for word in (*_ABOUT, "oneOf") if word in schema}
    is_choices = kind == "array" and (items.get("type") == "string" and "enum" in items)
    is_choices = is_choices or (kind == "array" and _have_titles(items.get("anyOf")))
    is_plain = kind in ("string", "boolean") or (kind in ("integer", "number") and "enum" not in schema) or is_choices
    if not is_plain or "const" in schema:
        return None
    field = {word: value for word, value in schema.items() if word in _KEYWORDS and value is not None}
    return field | ({"format": schema["format"]} if schema.get("format") in _FORMATS else {})


__all__ = ["ERROR", "PATH", "RUN_ID", "McpDoor", "QuestionOpen"]
