"""Make HTTP routes from the table of endpoints in `serve.routes`, for the service and for the page.

A route checks the caller's right and the parameters of the request. After that it reads through `Views`, or changes a
run through `CallersRunner`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from starlette.convertors import PathConvertor, register_url_convertor
from starlette.responses import Response
from starlette.routing import Match, Route, compile_path
from typing_extensions import override

from graphengine.errors import GraphEngineError, InputError
from graphengine.kernel.extension import is_tag
from graphengine.records.step_document import for_clients
from graphengine.serve.callers import Caller, RequestId, caller, require
from graphengine.serve.large_values import read_part, shorten_document
from graphengine.serve.messages import json_answer, refused
from graphengine.serve.requests import (
    NoParameters,
    ServiceFailed,
    StartParameters,
    delivery_of,
    fields_of,
    in_path,
    is_signed,
    json_body,
    parameters_of,
)
from graphengine.serve.routes import START

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from contextlib import AbstractAsyncContextManager

    from starlette.requests import Request
    from starlette.types import Scope

    from graphengine.serve.callers_runner import CallersRunner
    from graphengine.serve.routes import Endpoint

_LOG: Final = logging.getLogger("graphengine")
FAILED: Final = "the service failed; the log of the service contains the cause"


@dataclass(frozen=True, slots=True)
class Router:
    """Makes the HTTP routes of a server from the table of endpoints in `serve.routes`.

    Each endpoint in the table has the name of the method that answers its requests.

    Attributes:
        own: The server's object. Its methods answer the endpoints that need more than one read or one change.
        reads: Functions that return the objects with the read methods. The first object that has the method is used.
        acting: Provides the Runner for a request that changes runs. It gets the id of the run, or None if the request
            names no run.
    """

    own: object
    reads: Sequence[Callable[[], object]]
    acting: Callable[[str | None], AbstractAsyncContextManager[CallersRunner]]

    def routes(self, rows: Iterable[Endpoint]) -> Sequence[Route]:
        """Return the HTTP routes that answer some endpoints of the table `serve.routes`."""
        return [_Route(row.route, self._endpoint(row), methods=[row.method]) for row in rows]

    def _endpoint(self, row: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        own: Callable[[Request], Awaitable[Response]] | None = getattr(self.own, row.name, None)
        answer: Callable[[Request], Awaitable[Response]] = partial(self._acts, row, row.is_body_required)
        if row.body is None:
            answer = partial(self._reads, row)
        elif row.name == START.name:
            answer = partial(self._starts, row)

        async def endpoint(request: Request) -> Response:
            if row.right is not None:
                require(row.right)
            return await (answer if own is None else own)(request)

        return answering(endpoint, _refuse_page if row.is_of_page else refused)

    async def _reads(self, row: Endpoint, request: Request) -> Response:
        has = next(found for each in self.reads if hasattr(found := each(), row.name))
        asked = parameters_of(request, row.query, ignores_others=row.is_of_page)
        found = await getattr(has, row.name)(asked)
        if isinstance(found, str):
            headers = {"Cache-Control": "no-store"}
            if row.is_of_page:
                headers["Content-Disposition"] = "attachment"
            return Response(found, media_type=row.media, headers=headers)
        return _answer_with(row, request, found if row.is_of_page and caller().sees_all else for_clients(found))

    async def _acts(self, row: Endpoint, needs_body: bool, request: Request) -> Response:  # noqa: FBT001 - of the row
        """Answer a request that changes a run, by calling the method of `CallersRunner` with the name of the endpoint.

        If the name of the method ends with `_asked`, a repeated request with the same idempotency key makes the change
        only once. Such a method returns the id of the run, and the answer is the current document of this run. Any
        other method returns the answer itself.
        """
        parameters_of(request, NoParameters, ignores_others=row.is_of_page)
        body = await json_body(request, ... if needs_body else {})
        asked = fields_of(body, row.asks, in_path(request, row.asks))
        async with self.acting(getattr(asked, "run_id", None)) as acts:
            act: Callable[[Any, str | None], Awaitable[str]] | None = getattr(acts, f"{row.name}_asked", None)
            if act is None:
                return _answer_with(row, request, for_clients(await getattr(acts, row.name)(asked)))
            run_id = await act(asked, delivery_of(request))
            return _answer_with(row, request, for_clients(await acts.now(run_id)), int(next(iter(row.answers))))

    async def _starts(self, row: Endpoint, request: Request) -> Response:
        """Answer a request that starts a run. A repeated request with the same key returns the run that already exists.

        The key is part of the run's id, and the run is recorded in the same transaction as its id. Therefore the store
        detects repeated requests, even between processes and after a crash.
        """
        name, who = request.path_params["graph"], caller()
        async with self.acting(None) as acts:
            graph = acts.graph_of(name)
            query = parameters_of(request, StartParameters)
            key, run_id = delivery_of(request), query.run_id
            _check_id(request, query)
            state = await _read_request_input(request, query.field)
            if run_id is not None:
                key = _key_in(run_id, who, name)  # an id from an earlier answer was sent again
                run_id = who.own_id(run_id) if key is None else None
            run_id = run_id or (RequestId(who.derived_id("key", name, key)) if key is not None else None)
            place: dict[str, Any] = {
                "priority": query.priority,
                "tenant": query.tenant,
                "user": query.user,
                "tags": query.tag,
            }
            run_id, is_new = await acts.begin(graph, state, run_id, queue=query.queue, **place)
            return _answer_with(row, request, for_clients(await acts.now(run_id)), 201 if is_new else 200)


def _answer_with(row: Endpoint, request: Request, document: object, status: int = 200) -> Response:
    """Return the HTTP answer that contains a document.

    The inspector page gets the document without its large values. It then requests a large value with the parameters
    `part` and `digest`, and gets only this value.
    """
    asked = request.query_params
    if row.is_of_page:
        is_part = "part" in asked and "digest" in asked
        document = read_part(document, asked["part"], asked["digest"]) if is_part else shorten_document(document)
    return json_answer(document, status)


def _key_in(run_id: str, who: Caller, graph: str) -> str | None:
    """Return the idempotency key that a run id contains; None if the id was not derived from a key.

    A client may send back the id that it got from an earlier answer. The key in the id then shows that the request
    repeats the earlier request.
    """
    key = unquote(run_id.removeprefix(who.derived_id("key", graph, "")))
    return key if is_tag(key) and who.derived_id("key", graph, key) == run_id else None


def _check_id(request: Request, query: StartParameters) -> None:
    """Check that a request to start a run is allowed to choose the id of the run.

    Raises:
        InputError: The request also has an `Idempotency-Key`, or is signed instead of sent with a token.
    """
    if query.run_id is not None and "idempotency-key" in request.headers:
        repair = "leave out one of the two: run_id alone is enough to start the run only once"
        raise InputError("the request has both run_id and Idempotency-Key", where="parameter run_id", repair=repair)
    if query.run_id is not None and is_signed(request):
        repair = "leave out run_id, because all signed requests for this address would start the same run; or send the "
        repair += "token"
        raise InputError("a signed request cannot choose the run's id", where="parameter run_id", repair=repair)


async def _read_request_input(request: Request, field: str | None) -> dict[str, Any]:
    """Read the input of a new run from the body of a request.

    With `field`, the whole body becomes the value of this input field, such as for the body of a webhook. Otherwise the
    body is an object with the input's fields.
    """
    body = await json_body(request, {})
    if field is None and not isinstance(body, dict):
        repair = "send an object with the fields of the input, or name the field for the whole body with ?field=NAME"
        raise InputError("the body is not a JSON object", where="body", repair=repair)
    found: dict[str, Any] = body if field is None else {field: body}
    return found


class _RunIdConvertor(PathConvertor):
    """The part of a path pattern that matches a run's id when more parts follow, such as in `/runs/ID/values/NAME`.

    The id may contain one slash, after the name of its tenant.
    """

    regex = "[^/]+(?:/[^/]+)??"


class _OfValue(PathConvertor):
    """Matches the name of a published value in a path. The name can be any text."""

    regex = "(?s:.*)"


register_url_convertor("of_run", _RunIdConvertor())
register_url_convertor("of_value", _OfValue())


class _Route(Route):
    """A route that first compares the end of a request's path, so that requests for other routes are ruled out fast.

    There are many routes for a run. Comparing the whole pattern of a route is slow, because the id of a run can contain
    slashes.
    """

    def __init__(self, path: str, endpoint: Callable[[Request], Awaitable[Response]], methods: Sequence[str]) -> None:
        super().__init__(path, endpoint, methods=methods)
        self._end = path.rpartition("}")[2]
        named = path.replace("{run_id:path}/values/{name}", "{run_id:of_run}/values/{name:of_value}")
        if named != path:
            self.path_regex, self.path_format, self.param_convertors = compile_path(named)

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether this route answers a request, without trying the pattern if the end of the path differs."""
        return super().matches(scope) if scope["path"].endswith(self._end) else (Match.NONE, {})


def _refuse_page(error: GraphEngineError) -> Response:
    return refused(error, 500 if isinstance(error, ServiceFailed) else 422)


def answering(
    handler: Callable[[Request], Awaitable[Response]], shape: Callable[[GraphEngineError], Response] = refused
) -> Callable[[Request], Awaitable[Response]]:
    """Wrap a request handler so that every error in it becomes an answer to the client.

    Args:
        handler: The request handler.
        shape: Converts an error to an answer in the form of the handler's protocol.
    """

    async def endpoint(request: Request) -> Response:
        try:
            return await handler(request)
        except GraphEngineError as error:
            return shape(error)
        except Exception as error:  # noqa: BLE001 - a fault of one request must not end other requests
            _LOG.exception("%s %s failed with %s", request.method, request.url.path, type(error).__name__)
            return shape(ServiceFailed(FAILED, where=request.url.path))

    return endpoint


__all__ = ["FAILED", "Router", "answering"]
