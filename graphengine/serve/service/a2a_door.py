"""The A2A door: each graph is an agent of the A2A protocol 1.0 and 0.3, with a card of its own (`serve --a2a`).

A task is a run. Nothing else is stored: everything that a client reads about a task is computed from the run, so any
server on the database can answer. The id of a task consists of the id of the run, a blank, and the run's nonce, so that
a later run with the same id is not mistaken for the task. A client may leave out the nonce.

A message starts a run with an id that contains the message's id, answers the open question of its task, or is received
by a node of the run. The module `turns` describes how each message is delivered once. The SDK of the protocol
implements the bindings, the versions and the form of errors.

A request for push notifications is also a run. This run stores the address of the client, which this module calls a
*place*, and ends with its task. Notifications are sent through the outbox, like webhooks: any process that is alive
repeats a notification until it arrives, and a notification may arrive twice.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import aclosing, contextmanager, suppress
from functools import partial, wraps
from hashlib import blake2b
from http import HTTPStatus
from inspect import isasyncgenfunction
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote, urlsplit

from a2a import types as a2a
from a2a.helpers.proto_helpers import get_data_parts, new_data_part, new_text_part
from a2a.server.request_handlers.request_handler import RequestHandler, validate_request_params
from a2a.server.request_handlers.response_helpers import agent_card_to_dict, build_error_response
from a2a.server.routes import create_jsonrpc_routes
from a2a.utils import errors, proto_utils
from google.protobuf.json_format import MessageToDict, ParseDict
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.responses import Response
from starlette.routing import Route
from typing_extensions import override

from graphengine.addresses import AddressRefused, is_http, number_of
from graphengine.agents.a2a import ROUNDED, exact
from graphengine.api.graph import Graph
from graphengine.errors import GraphEngineError, GraphNotFound, InputError, RunExists, RunReplaced, UnknownRun
from graphengine.kernel.extension import END, START, OwnId, compiled, derive_id, is_tag
from graphengine.kernel.reader import OVER, Snapshot
from graphengine.media import label
from graphengine.records.base_documents import plain
from graphengine.serve.callers import Caller, RequestId, acting, caller, require
from graphengine.serve.messages import json_answer, shown_error
from graphengine.serve.notifications import News, Notifications, Posting, post, rest
from graphengine.serve.router import FAILED, answering
from graphengine.serve.service.conversations import request_digest
from graphengine.serve.service.following import failure_of, waits
from graphengine.serve.service.public import PublicRoute
from graphengine.serve.service.shown import Dropped, Text, Visited
from graphengine.serve.service.text_places import no_place, text_graphs
from graphengine.serve.service.turns import (
    Turn,
    Turns,
    as_text,
    asked,
    check_seen,
    digest,
    output,
    turn_of,
)
from graphengine.serve.signatures import signed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence

    from a2a.server.context import ServerCallContext
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from graphengine.kernel.extension import Runner as CoreRunner
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.media import Media
    from graphengine.serve.service.app import Service
    from graphengine.serve.service.doors import Opening
    from graphengine.serve.service.text_places import TextGraph

PATH: Final = "/a2a"
"""The agent of a graph is served at `/a2a/GRAPH`, and its card at `/a2a/GRAPH/.well-known/agent-card.json`."""
_CARD: Final = "/.well-known/agent-card.json"

_LOG: Final = logging.getLogger("graphengine")
_TOP: Final = re.compile(r"[/\[#]")
_CONTEXT: Final = "ge:context:"
_POST_SECONDS: Final = 30.0
_CARD_SECONDS: Final = 60
_JSON: Final = "application/json"
_VERSIONS: Final = ("1.0", "0.3")
_PAGE: Final = 50
_LARGEST_PAGE: Final = 100
_AT_ONCE: Final = 1000
_LISTED: Final = 10_000
"""The number of an agent's newest tasks that can be listed. Each list sorts them by their last change."""
_STATES: Final = {
    "finished": a2a.TaskState.TASK_STATE_COMPLETED,
    "failed": a2a.TaskState.TASK_STATE_FAILED,
    "stopped": a2a.TaskState.TASK_STATE_CANCELED,
    "cancelled": a2a.TaskState.TASK_STATE_CANCELED,
    "queued": a2a.TaskState.TASK_STATE_SUBMITTED,
}
_INPUT: Final = a2a.TaskState.TASK_STATE_INPUT_REQUIRED
_WORKING: Final = a2a.TaskState.TASK_STATE_WORKING


async def routes(opening: Opening) -> Sequence[BaseRoute]:
    """Return the routes of the door, and start to send push notifications until the service stops."""
    door = A2aDoor(opening.service, opening.version, opening.a2a_root)
    await opening.stack.enter_async_context(door.pushes.delivering(opening.service.unguarded))
    return door.routes()


class A2aDoor:
    """Speaks the A2A protocol: offers each graph of the service as an agent.

    Args:
        service: The service that starts, follows and answers runs.
        version: The version of this package.
        root: The graph whose agent represents the host; None if there is only one graph.

    Attributes:
        pushes: The push notifications that clients have requested.

    Raises:
        GraphNotFound: The service does not serve the graph `root`.
    """

    def __init__(self, service: Service, version: str, root: str | None = None) -> None:
        self._service = service
        self.pushes = _PushNotifications(service)
        texts = text_graphs(service.graphs)
        self._agents = {name: _Agent(service, name, texts.get(name), self.pushes, version) for name in service.graphs}
        self.pushes.agents = self._agents
        if root is not None:
            service.graph_of(root)
        self._root = root or (next(iter(service.graphs)) if len(service.graphs) == 1 else None)

    def routes(self) -> Sequence[BaseRoute]:
        """Return the HTTP routes of all agents, and of the cards that describe the agents."""
        found: list[BaseRoute] = [PublicRoute(f"{PATH}/{{graph}}{_CARD}", answering(self.card))]
        if self._root is not None:
            found.append(PublicRoute(_CARD, answering(self.card)))
        for name, agent in self._agents.items():
            (route,) = create_jsonrpc_routes(agent, f"{PATH}/{name}", enable_v0_3_compat=True)
            paths = route.path, f"{route.path}/"  # the protocol's own test kit sends requests with the slash
            found += [Route(path, _check_request(route.endpoint), methods=["POST"]) for path in paths]
        return found

    async def card(self, request: Request) -> Response:
        name = str(request.path_params.get("graph", self._root))
        if name not in self._service.graphs:  # no token is needed here, so the error must not name other graphs
            raise GraphNotFound(
                f"this service has no graph {name!r}", where=f"graph {name!r}", repair="ask the operator of the service"
            )
        return _answer_cacheable(agent_card_to_dict(self._agents[name].card(request.headers)), request.headers)


def _answer_cacheable(card: object, headers: Mapping[str, str]) -> Response:
    """Return the HTTP answer with an agent's card, which clients may keep for a minute.

    If the request says that the client already has this version of the card, the answer is 304 without a body.
    """
    body = to_json(card)
    mark = f'"{blake2b(body, digest_size=16).hexdigest()}"'
    cached = {"Cache-Control": f"public, max-age={_CARD_SECONDS}", "ETag": mark, "Vary": "X-Forwarded-Proto"}
    if mark in headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=cached)
    return Response(body, media_type="application/json", headers=cached)


def _check_request(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Wrap an endpoint of the A2A SDK, to refuse two kinds of wrong requests before the SDK misunderstands them.

    The SDK reports a body of another content type as a parse error. In a request for a list of tasks, the SDK ignores
    an unknown status, so that it would list all tasks.
    """

    async def checked(request: Request) -> Response:
        kind = request.headers.get("content-type", _JSON).partition(";")[0].strip().lower()
        if kind != _JSON and not kind.endswith("+json"):
            refusal = errors.ContentTypeNotSupportedError(f"the request is {kind}: send {_JSON}")
            return json_answer(build_error_response(None, refusal))
        with suppress(ValueError):
            try:
                body = await request.json()
                json.dumps(body)  # the SDK does this as well
            except RecursionError:
                _LOG.warning("%s %s is refused: the body is nested too deep", request.method, request.url.path)
                return json_answer(
                    build_error_response(None, errors.InvalidRequestError("the body is nested too deep"))
                )
            params = body.get("params") if isinstance(body, dict) and body.get("method") == "ListTasks" else None
            status = params.get("status") if isinstance(params, dict) else None
            if isinstance(status, str) and status not in a2a.TaskState.keys():  # noqa: SIM118 - no dict
                error = errors.InvalidParamsError(f"{status!r} is not a status of a task")
                return json_answer(build_error_response(body.get("id"), error))
        return await endpoint(request)

    return checked


@contextmanager
def _as_errors() -> Iterator[None]:
    """Convert errors of graphengine in the block to errors that the A2A protocol knows, for its clients."""
    try:
        yield
    except (UnknownRun, RunReplaced) as error:
        raise errors.TaskNotFoundError(str(error)) from error
    except (InputError, RunExists) as error:
        raise errors.InvalidParamsError(str(error)) from error
    except GraphEngineError as error:
        raise errors.InternalError(f"{error.code}: {shown_error(error)}") from error
    except (errors.A2AError, asyncio.CancelledError, GeneratorExit):
        raise
    except Exception as error:
        _LOG.exception("the A2A door failed with %s", type(error).__name__)
        raise errors.InternalError(FAILED) from error


def _method(method: Callable[[Any, Any], Any]) -> Any:  # noqa: ANN401 - a method of the SDK's class
    """Turn a method into the handler of an A2A operation.

    The SDK checks the request, and errors of the method become errors of the A2A protocol.
    """

    async def answer(agent: _Agent, params: Any, context: ServerCallContext) -> Any:  # noqa: ANN401 - any request
        del context
        with _as_errors():
            return await method(agent, params)

    async def stream(agent: _Agent, params: Any, context: ServerCallContext) -> AsyncGenerator[Any, None]:  # noqa: ANN401
        del context
        with _as_errors():
            async with aclosing(method(agent, params)) as events:
                async for event in events:
                    yield event

    return wraps(method)(validate_request_params(stream if isasyncgenfunction(method) else answer))


class _Agent(RequestHandler):
    """An A2A agent that runs one graph. Each task of the agent is a run of the graph.

    Args:
        service: The service that starts, follows and answers runs.
        name: The name of the graph.
        text: The field of the graph that receives texts; None if a text cannot start a run of the graph.
        pushes: The push notifications.
        version: The version of this package.
    """

    def __init__(
        self, service: Service, name: str, text: TextGraph | None, pushes: _PushNotifications, version: str
    ) -> None:
        self._service = service
        self._name = name
        self._text = text
        self._graph = service.graphs[name]
        self._turns = Turns(service)
        self._pushes = pushes
        self._version = version

    def card(self, headers: Mapping[str, str], *, is_extended: bool = False) -> a2a.AgentCard:
        """Return the card that describes the agent.

        Args:
            headers: The headers of the request. The card contains the address under which the client reached the
                server.
            is_extended: Whether to include the description of the graph, which only clients with a token may read.
        """
        name, about = self._name, f"Run the graph {self._name}."
        if is_extended:
            about += f" {compiled(self._graph).state.model.model_json_schema().get('description', '')}".rstrip()
        modes = ["text/plain", "application/json"]
        read = modes if self._text is not None else modes[1:]
        url = f"{headers.get('x-forwarded-proto', 'http')}://{headers['host']}{PATH}/{quote(name)}"
        card = a2a.AgentCard(
            name=name,
            description=about,
            version=self._version,
            supported_interfaces=[
                a2a.AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version=each) for each in _VERSIONS
            ],
            capabilities=a2a.AgentCapabilities(streaming=True, push_notifications=True, extended_agent_card=True),
            default_input_modes=read,
            default_output_modes=modes,
            skills=[a2a.AgentSkill(id=name, name=name, description=about, tags=["graphengine"])],
        )
        card.security_schemes["bearer"].http_auth_security_scheme.scheme = "bearer"
        card.security_requirements.add().schemes["bearer"].list.extend([])
        return card

    @_method
    async def on_message_send(self, params: a2a.SendMessageRequest) -> a2a.Task:
        """Deliver a message, wait until the run has replied unless the client wants no wait, and return the task."""
        turn = await self._deliver_message(params)
        is_awaited = not params.configuration.return_immediately
        return await self.task(turn.identity, await self._turns.rested(turn) if is_awaited else None)

    @_method
    async def on_message_send_stream(self, params: a2a.SendMessageRequest) -> AsyncGenerator[Any, None]:
        """Deliver a message, and stream its task and then the events of the task, until the run has replied."""
        async with aclosing(self._follow_task(await self._deliver_message(params))) as events:
            async for event in events:
                yield event

    @_method
    async def on_subscribe_to_task(self, params: a2a.SubscribeToTaskRequest) -> AsyncGenerator[Any, None]:
        """Stream the current state of a task, and then its new events, until the task's run has ended or waits."""
        info = await self._info(params.id)
        if info.status in OVER:
            raise errors.UnsupportedOperationError(f"task {info.id} is over: read the task with GetTask")
        async with aclosing(self._follow_task(Turn(-1, info.id, nonce=info.nonce))) as events:
            async for event in events:
                yield event

    @_method
    async def on_get_task(self, params: a2a.GetTaskRequest) -> a2a.Task:
        _check_history(params)
        return await self.task((await self._info(params.id)).identity)

    @_method
    async def on_list_tasks(self, params: a2a.ListTasksRequest) -> a2a.ListTasksResponse:
        """Return a page of the list of the agent's tasks, in the order of their last changes, newest first."""
        size = params.page_size if params.HasField("page_size") else _PAGE
        if not 1 <= size <= _LARGEST_PAGE:
            raise errors.InvalidParamsError(f"pageSize is {size}: give a number from 1 to {_LARGEST_PAGE}")
        _check_history(params)
        last = _read_token(params.page_token)
        found = sorted([(_last_change_ms(info), info.id) for info in await self._list_task_runs(params)], reverse=True)
        left = found if last is None else [each for each in found if each < last]
        tasks = [await self.task(task_id) for _, task_id in left[:size]]
        for task in tasks if not params.include_artifacts else ():
            task.ClearField("artifacts")
        following = _format_page_token(*left[size - 1]) if len(left) > size else ""
        return a2a.ListTasksResponse(tasks=tasks, page_size=size, total_size=len(found), next_page_token=following)

    async def _list_task_runs(self, params: a2a.ListTasksRequest) -> Sequence[RunInfo]:
        """Return the runs of the tasks that a client's request for a list of tasks selects.

        Only the newest `_LISTED` tasks are searched.
        """
        tag = _CONTEXT + params.context_id if params.context_id else None
        since = params.status_timestamp_after.ToMilliseconds() if params.HasField("status_timestamp_after") else 0
        found: list[RunInfo] = []
        before: str | None = None
        while len(found) < _LISTED:
            page = await self._service.runner.runs(graph=self._name, tag=tag, before=before, limit=_AT_ONCE)
            found += page
            if len(page) < _AT_ONCE:
                break
            before = page[-1].id
        found = [info for info in found if _last_change_ms(info) >= since]
        if not params.status:
            return found
        return [info for info in found if params.status == await self._state_of(info)]

    async def _state_of(self, info: RunInfo) -> a2a.TaskState:
        """Return the state of a task in the A2A protocol, from the status of the task's run.

        A waiting run counts as working while its inbox contains an answer or a message that it will read.
        """
        if info.status == "waiting":
            return _WORKING if await self._turns.rest(Turn(-1, info.id)) is None else _INPUT
        return _STATES.get(info.status, _WORKING)

    @_method
    async def on_cancel_task(self, params: a2a.CancelTaskRequest) -> a2a.Task:
        """End a task by a cancellation: stop its run for good, because a cancelled A2A task cannot be continued."""
        info = await self._info(params.id)
        if info.status in OVER:
            raise errors.TaskNotCancelableError(f"task {info.id} is over, and cannot be cancelled: it is {info.status}")
        await self._service.runner.stop(info.id, "the task was cancelled", now=True, final=True)
        rest: Snapshot | None = None
        while rest is None or rest.status not in OVER:  # a waiting run rests already before it is stopped
            rest = await self._turns.rested(Turn(-1, info.id, nonce=info.nonce))
        return await self.task(info.identity, rest)

    @_method
    async def on_create_task_push_notification_config(
        self, params: a2a.TaskPushNotificationConfig
    ) -> a2a.TaskPushNotificationConfig:
        """Send push notifications about a task to an address of the client from now on."""
        return await self._pushes.begin(await self._info(params.task_id), params)

    @_method
    async def on_get_task_push_notification_config(
        self, params: a2a.GetTaskPushNotificationConfigRequest
    ) -> a2a.TaskPushNotificationConfig:
        """Return one address to which notifications about a task are sent."""
        return await self._pushes.read(await self._info(params.task_id), params.id)

    @_method
    async def on_list_task_push_notification_configs(
        self, params: a2a.ListTaskPushNotificationConfigsRequest
    ) -> a2a.ListTaskPushNotificationConfigsResponse:
        """Return the addresses at which a client wants to be notified about a task."""
        found = await self._pushes.of_task(await self._info(params.task_id))
        return a2a.ListTaskPushNotificationConfigsResponse(configs=found)

    @_method
    async def on_delete_task_push_notification_config(
        self, params: a2a.DeleteTaskPushNotificationConfigRequest
    ) -> None:
        """Stop sending notifications about a task to an address."""
        await self._pushes.end(await self._info(params.task_id), params.id)

    @override
    async def on_get_extended_agent_card(
        self, params: a2a.GetExtendedAgentCardRequest, context: ServerCallContext
    ) -> a2a.AgentCard:
        """Return the agent's card for clients with a token, which also describes the graph."""
        del params
        return self.card(context.state["headers"], is_extended=True)

    async def _info(self, task_id: str) -> RunInfo:
        """Return the entry, in the store, of the run behind a task of this agent.

        Raises:
            UnknownRun: The task does not exist, or belongs to another agent.
        """
        info = await self._service.info_of(task_id)
        if info.graph != self._name:
            text = f"task {task_id} belongs to the agent {info.graph!r}"
            raise UnknownRun(text, where=f"task {task_id}", repair="send the request to this agent")
        return info

    async def _deliver_message(self, params: a2a.SendMessageRequest) -> Turn:
        """Give the message of a client to a new or an existing task, and return the turn of the message.

        A message that the task has already received is not delivered again.
        """
        _check_history(params.configuration)
        message = params.message
        data, texts = get_data_parts(message.parts), [part.text for part in message.parts if part.HasField("text")]
        if len(data) + len(texts) != len(message.parts) or len(data) > 1 or not message.parts:
            raise errors.ContentTypeNotSupportedError("send text parts and at most one data part: files are not read")
        _check_numbers(data)
        if params.configuration.HasField("task_push_notification_config"):
            require("answer")  # checked before anything is started
        key, text = request_digest(message.message_id, texts, data), "\n".join(texts)
        if message.task_id:
            info, value = await self._info(message.task_id), data[0] if data else text
            if turn_of(await self._turns.of(info), key) is not None:
                turn = await self._next(info, message, key, value, info)
            else:
                async with self._turns.order(info.id):
                    turn = await self._next(await self._info(info.identity), message, key, value, info)
        else:
            turn = await self._start_task(message, key, data[0] if data else {}, text if texts else None)
        if params.configuration.HasField("task_push_notification_config"):
            await self._pushes.begin(
                await self._info(turn.identity), params.configuration.task_push_notification_config
            )
        return turn

    async def _next(self, info: RunInfo, message: a2a.Message, key: str, value: object, seen: RunInfo) -> Turn:
        """Give a client's message to an existing task, and return the turn of the conversation that begins with it.

        Args:
            info: The current entry of the task's run in the store.
            message: The message.
            key: The key of the turn, by which a message that is sent again is recognized.
            value: The value to deliver: the data part or the text of the message.
            seen: The entry of the run in the store when the message arrived. It shows what the client could have seen.
        """
        if message.context_id not in ("", _read_context(info)):
            raise errors.InvalidParamsError(f"task {info.id} belongs to the context {_read_context(info)}: send its id")
        turn, rest = await self._turns.find(info, key)
        if rest is None:
            await self._turns.deliver(turn, value, key)
        elif rest.status in OVER and not turn.is_late:
            text = f"task {info.id} is over ({rest.status}): send the message without a taskId"
            raise errors.UnsupportedOperationError(text)
        else:
            check_seen(turn, rest, value, seen)
            turn = await self._turns.say(turn, value, key)
        return turn

    async def _start_task(self, message: a2a.Message, key: str, data: object, text: str | None) -> Turn:
        """Start the run of a new task with a message that does not name a task, and return this message's turn."""
        if not isinstance(data, dict):
            text = "the data part of a first message must be an object with the fields of the input"
            raise errors.InvalidParamsError(text)
        run_id = RequestId(caller().derived_id("thread", self._name, message.message_id))
        state = dict(data)
        tags = [OwnId(_CONTEXT + (message.context_id or digest(run_id)))]
        if not is_tag(tags[0]):
            raise errors.InvalidParamsError("contextId is not a printable text of at most 92 characters")
        said = text
        if text is not None and self._text is None:
            raise no_place(self._name, compiled(self._graph))
        field = self._text.field if self._text is not None else None
        if text is not None and field is not None:
            if field in state:
                text = f"the data part and the text of the message both set the field {field!r}: send only one of them"
                raise errors.InvalidParamsError(text)
            state[field], said = text, None
        return await self._turns.begin(self._graph, state, Turn(0, run_id), key, said, tags=tags)

    async def _follow_task(self, turn: Turn) -> AsyncGenerator[Any, None]:
        """Yield the state of a task at the time of a message, then the task's events until the run ends or waits."""
        task = await self.task(turn.identity)
        place: dict[str, Any] = {"task_id": task.id, "context_id": task.context_id}
        if task.status.state != _STATES["queued"] and (turn.after >= 0 or task.status.state in _STATES.values()):
            # Show the task as it was when the message arrived. The run may have ended since, and the events that follow
            # would contradict an ended task.
            task.status.CopyFrom(a2a.TaskStatus(state=_WORKING, timestamp=task.status.timestamp))
            task.ClearField("artifacts")
        yield task
        speakers, is_more = self._text.speakers if self._text is not None else frozenset[str](), False
        async with aclosing(self._service.until_stopped(self._turns.shown(turn))) as events:
            async for event in events:
                if isinstance(event, Text) and not event.is_thinking and _TOP.split(event.id)[0] in speakers:
                    piece = a2a.Artifact(artifact_id="result", parts=[new_text_part(event.piece)])
                    yield a2a.TaskArtifactUpdateEvent(**place, artifact=piece, append=is_more)
                    is_more = True
                elif isinstance(event, Dropped):
                    is_more = False  # the next piece replaces the text shown so far
                elif isinstance(event, Visited) and event.is_over:
                    found = a2a.TaskStatusUpdateEvent(**place, status=a2a.TaskStatus(state=_WORKING))
                    found.metadata.update({"node": event.name})
                    yield found
                elif isinstance(event, Snapshot):
                    task = await self.task(turn.identity, event)
                    for artifact in task.artifacts:
                        yield a2a.TaskArtifactUpdateEvent(**place, artifact=artifact, last_chunk=True)
                    yield a2a.TaskStatusUpdateEvent(**place, status=task.status)

    async def task(self, task_id: str, end: Snapshot | None = None) -> a2a.Task:
        """Return the description of a task: as it is now, or as it was when a turn ended.

        Args:
            task_id: The id of the task.
            end: The snapshot of the task's run at the end of the turn; None for the current state.
        """
        info = await self._service.info_of(task_id)
        rest = end or await self._turns.rest(Turn(-1, info.id))
        state = _WORKING if rest is None else _STATES.get(rest.status, _INPUT)
        if info.status == "queued":
            state = _STATES["queued"]
        task = a2a.Task(id=info.identity, context_id=_read_context(info), status=a2a.TaskStatus(state=state))
        task.status.timestamp.FromMilliseconds(_last_change_ms(info))
        if rest is None:
            return task
        failure = failure_of(self._graph, rest)
        nothing: tuple[None, list[Media]] = (None, [])
        result = await self._service.runner.result_under(self._graph, rest)
        shown, media = nothing if failure is not None else output(self._graph, result)
        if rest.status == "finished":
            files = [_build_file_part(each) for each in media if not each.file_id]
            part = new_text_part(shown) if isinstance(shown, str) else new_data_part(exact(shown))
            is_file = len(files) == 1 and shown == label(1, media[0])  # the marker for the file adds no information
            task.artifacts.add(artifact_id="result", name="result", parts=files if is_file else [part, *files])
            return task
        found = waits(rest)
        questions = [asked(wait) for wait in found.values() if wait.answerable]
        said = task.status.message
        said.role, said.task_id, said.context_id = a2a.Role.ROLE_AGENT, task.id, task.context_id
        said.message_id = digest([task.id, *found])
        text = "\n".join(questions) or as_text(shown)
        said.parts.append(new_text_part(text if failure is None else str(failure)))
        for wait in found.values() if questions else ():
            question = {"question": wait.question, "schema": plain(dict(wait.schema or {}))}
            said.parts.append(new_data_part(exact(question)))
        return task


def _build_file_part(medium: Media) -> a2a.Part:
    """Return a message part with the content of a medium, or with its address if the medium has one."""
    if medium.url:
        return a2a.Part(url=medium.url, filename=medium.name, media_type=medium.type)
    return a2a.Part(raw=medium.content, filename=medium.name, media_type=medium.type)


def _check_history(params: a2a.GetTaskRequest | a2a.ListTasksRequest | a2a.SendMessageConfiguration) -> None:
    """Check the length of the task history that a client asks for: it must not be negative.

    The length is otherwise not used, because tasks have no history.

    Raises:
        InvalidParamsError: The length is negative.
    """
    if params.history_length < 0:
        raise errors.InvalidParamsError(f"historyLength is {params.history_length}: give 0 or more")


def _last_change_ms(info: RunInfo) -> int:
    """Return the time of a task's last change in milliseconds, as the task's timestamp contains it."""
    return int(info.updated_at * 1000)


def _format_page_token(changed: int, task_id: str) -> str:
    """Return the token of the page of tasks that comes after this task."""
    return urlsafe_b64encode(f"{changed} {task_id}".encode()).decode()


def _read_token(token: str) -> tuple[int, str] | None:
    """Decode the token that an A2A client sends to get the next page of a list of tasks.

    Returns:
        The time of the last change and the id of the last task on the page before; None for the first page.

    Raises:
        InvalidParamsError: The token is invalid.
    """
    if not token:
        return None
    try:
        changed, _, task_id = urlsafe_b64decode(token.encode()).decode().partition(" ")
        return int(changed), task_id
    except ValueError as error:
        raise errors.InvalidParamsError("pageToken is not the nextPageToken of an earlier answer") from error


def _check_numbers(value: object) -> None:
    """Check the numbers in the data part of a message: none may be so large that JSON may have rounded it on its way.

    Raises:
        InvalidParamsError: A number is so large that it may have been rounded.
    """
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_numbers(part)
    if isinstance(value, (int, float)) and abs(value) >= ROUNDED:
        text = (
            f"the number of about {value:.0f} is too large, because data parts round numbers from 2**53 on: send the "
            "number as a text with all its digits"
        )
        raise errors.InvalidParamsError(text)


class _Push(BaseModel):
    """The state of a run that only stores an address to which notifications about a task of a client are sent.

    `task` is the identity of the task's run, and `name` is the id that the client gave to the address.
    """

    task: str
    name: str
    place: dict[str, Any]
    is_of_user: bool = False


_PLACES: Final = Graph("a2a push", _Push)
_PLACES.add_node("rest", rest)
_PLACES.add_path(START, "rest", END)


_MOST_PLACES: Final = 20
"""The maximum number of places for the notifications of one task."""


class _PushNotifications(Notifications):
    """Sends the push notifications that A2A clients have requested, when a task ends or waits.

    Each address of a client is stored in a run of its own, which this module calls a *place*. The run sleeps until the
    task has ended.

    Args:
        service: The service that starts, follows and answers the runs.

    Attributes:
        agents: The agents by graph, which build the content of the notifications.
    """

    name: ClassVar = "a2a notification"

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service
        self._runner = service.unguarded
        self.agents: dict[str, _Agent] = {}
        self._tasks: dict[str, str] = {}  # the ids of the tasks, by the identities of the runs of their places
        self._told: dict[str, int] = {}  # the last step that was sent to each place, by the same identities

    async def begin(self, task: RunInfo, given: a2a.TaskPushNotificationConfig) -> a2a.TaskPushNotificationConfig:
        """Store an address of a client, to which notifications about a task are sent from now on.

        Raises:
            InputError: The address is invalid or not allowed, or the task has too many addresses.
            NotAllowed: The caller does not have the right to answer.
            RunExists: The task already has another address with this id.
        """
        require("answer")
        task_id = task.identity
        if not is_http(given.url):
            message = f"{given.url!r} is not an address of the web"
            raise InputError(message, where="url", repair="give an http or https address")
        state = {"task": task_id, "place": MessageToDict(given), "is_of_user": bool(caller().name)}
        state["name"] = given.id or digest(state)
        others = [each.id for each in await self.of_task(task)]
        if len(others) >= _MOST_PLACES and state["name"] not in others:
            repair = "delete one of the task's configurations"
            message = f"task {task_id} already has {len(others)} configurations of push notifications"
            raise InputError(message, where="id", repair=repair)
        if state["is_of_user"]:
            try:
                await asyncio.to_thread(number_of, given.url)
            except (AddressRefused, OSError) as error:
                repair = "give a public address; only the token of the server itself allows other addresses"
                raise InputError(getattr(error, "message", str(error)), where="url", repair=repair) from error
        run_id = _push_id(task_id, state["name"])
        try:
            run = self._runner.start(_PLACES, state, run_id=OwnId(run_id), tenant=task.tenant, wait_out=False)
            await run.result()
        except RunExists:
            if not state.items() <= (await self._runner.state_at(run_id, 1)).items():
                raise
        return await self.read(task, state["name"])

    async def read(self, task: RunInfo, name: str) -> a2a.TaskPushNotificationConfig:
        """Return an address for notifications about a task, by its id.

        Raises:
            UnknownRun: The task has no such address, or its notifications have ended.
        """
        return await self._read(await self._runner.info(_push_id(task.identity, name)))

    async def _read(self, push: RunInfo) -> a2a.TaskPushNotificationConfig:
        state = await self._runner.state_at(push.id)
        if push.status in OVER:
            text, repair = f"the configuration {push.id} of push notifications has ended", "create a new configuration"
            raise UnknownRun(text, where=f"task {state['task']}", repair=repair)
        found: a2a.TaskPushNotificationConfig = ParseDict(
            {**state["place"], "id": state["name"], "taskId": state["task"]}, a2a.TaskPushNotificationConfig()
        )
        return found

    async def of_task(self, task: RunInfo) -> Sequence[a2a.TaskPushNotificationConfig]:
        """Return the addresses that are stored for notifications about a task and still in use."""
        prefix = _push_id(task.identity, "")
        every = await self._runner.store.runs(graph=_PLACES.name, text=prefix, limit=100)
        own = [info for info in every if info.id.startswith(prefix) and info.status not in OVER]
        return [await self._read(info) for info in own]

    async def end(self, task: RunInfo, name: str) -> None:
        """Stop sending notifications about a task to the address with this id.

        Raises:
            NotAllowed: The caller does not have the right to answer.
        """
        require("answer")
        await self._runner.stop(_push_id(task.identity, name), "it was deleted", final=True)

    @override
    async def open_outbox(self, store: Store) -> None:
        """Do nothing, because push notifications need no outbox: `hand_on` reads the runs that store the addresses."""

    @override
    async def hand_on(self, runner: CoreRunner) -> int:
        found = 0
        for status in ("waiting", "interrupted"):
            before = None
            while page := await self._runner.runs(graph=_PLACES.name, status=status, before=before, limit=1000):
                before = page[-1].id
                for place in page:
                    with suppress(GraphEngineError):  # the run has just ended
                        found += await self._hand_to(place)
        return found

    async def _hand_to(self, place: RunInfo) -> bool:
        """Start a run that notifies one client of the state of a task.

        This happens when the task has ended or waits, unless the client has already been notified of this state.

        Returns:
            Whether such a run was started.
        """
        if place.identity not in self._tasks:
            self._tasks[place.identity] = (await self._runner.state_at(place.id))["task"]
        task_id, _, nonce = self._tasks[place.identity].partition(" ")
        task = next(iter(await self._runner.store.infos([task_id])), None)
        if task is not None and nonce not in ("", task.nonce):
            task = None  # the task was removed, and another run has its id
        is_new = task is not None and task.status in (*OVER, "waiting") and self._told.get(place.identity) != task.seq
        if task is not None and is_new:
            news = News(webhook=place.id, run_id=task.id, seq=task.seq, nonce=task.nonce)
            await self.deliver(self._runner, news, task.tenant)
            self._told[place.identity] = task.seq
        if task is None or task.status in OVER:
            await self._runner.stop(place.id, "its task is over" if task is not None else "its task was removed")
        return is_new

    @override
    async def post_of(self, news: News, number: str) -> Posting | None:
        places, tasks = [await self._runner.store.infos([each]) for each in (news.webhook, news.run_id)]
        if not places or places[0].status == "cancelled" or not tasks or tasks[0].seq != news.seq:
            return None  # the place was deleted, or a newer notification replaces this one
        if news.nonce not in ("", tasks[0].nonce):
            return None  # the task was removed, and another run has its id
        state = await self._runner.state_at(news.webhook)
        config = ParseDict(state["place"], a2a.TaskPushNotificationConfig())
        with acting(Caller("")):  # the client that requested the notifications was allowed to read the task
            found = await self.agents[tasks[0].graph].task(tasks[0].identity)
        if found.status.state == _WORKING:
            return None
        auth, token = config.authentication, config.token
        body = to_json(MessageToDict(proto_utils.to_stream_response(found)))
        headers = {"Authorization": f"{auth.scheme} {auth.credentials}"} if auth.scheme else {}
        if token:
            headers |= {"X-A2A-Notification-Token": token, **signed(token.encode(), number, time.time(), body)}
        posting = partial(post, config.url, headers, body, seconds=_POST_SECONDS, is_own=not state["is_of_user"])
        shares = [f"host {urlsplit(config.url).hostname}", *([f"tenant {tasks[0].tenant}"] if tasks[0].tenant else [])]
        return Posting(posting, shares)


def _push_id(task_id: str, name: str) -> str:
    """Return the id of the run that stores a client's address for notifications about a task.

    With the name "", the result is the common beginning of the ids of all such runs of the task.
    """
    return derive_id("push", digest(task_id), name)


def _read_context(info: RunInfo) -> str:
    found = (tag.removeprefix(_CONTEXT) for tag in info.tags if tag.startswith(_CONTEXT))
    return next(found, digest(info.id))


__all__ = ["PATH", "A2aDoor", "routes"]
