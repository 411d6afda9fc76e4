"""The one router: it makes routes of the rows of `routes`, for the service and for the page.

A route checks the right of its row and what is asked, and then reads by `Views`, or acts by `CallersRunner`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response
from starlette.routing import Match, Route
from typing_extensions import override

from graphengine.kernel import GraphEngineError
from graphengine.records.step_document import for_clients
from graphengine.serve.callers import caller, require
from graphengine.serve.messages import json_answer, refused
from graphengine.serve.requests import (
    NewRun,
    NoParameters,
    PageMessage,
    ServiceFailed,
    delivery_of,
    fields_of,
    in_path,
    json_body,
    parameters_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from contextlib import AbstractAsyncContextManager

    from starlette.requests import Request
    from starlette.types import Scope

    from graphengine.serve.callers_runner import CallersRunner
    from graphengine.serve.routes import Endpoint

_LOG: Final = logging.getLogger("graphengine")
FAILED: Final = "the service failed; its log has the cause"


@dataclass(frozen=True, slots=True)
class Router:
    """What answers the rows of a server.

    Attributes:
        own: Has the endpoints that are more than a read or an act, by the names of their rows.
        reads: Return what has the reads, by name; the first one that has one answers.
        acting: Provides what changes runs, for a run that the caller names or None.
        done: Returns the answer to an act, from the id of its run and the status.
    """

    own: object
    reads: Sequence[Callable[[], object]]
    acting: Callable[[str | None], AbstractAsyncContextManager[CallersRunner]]
    done: Callable[[str, int], Awaitable[Response]]

    def routes(self, rows: Iterable[Endpoint]) -> Sequence[Route]:
        """Return the routes of some rows."""
        found = [(row.path.replace("{run_id}", "{run_id:path}"), row) for row in rows]
        return [_Route(path, self._endpoint(row), methods=[row.method]) for path, row in found]

    def _endpoint(self, row: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        own: Callable[[Request], Awaitable[Response]] | None = getattr(self.own, row.name, None)
        answer = partial(self._reads, row) if row.body is None else partial(self._acts, row, row.is_body_required)

        async def endpoint(request: Request) -> Response:
            if row.right is not None:
                require(row.right)
            return await (answer if own is None else own)(request)

        return answering(endpoint, _refused_to_page if row.is_of_page else refused)

    async def _reads(self, row: Endpoint, request: Request) -> Response:
        """Answer a read: with a document, or a file."""
        has = next(found for each in self.reads if hasattr(found := each(), row.name))
        asked = parameters_of(request, row.query, row.names, ignores_others=row.is_of_page)
        found = await getattr(has, row.name)(asked)
        if isinstance(found, str):
            headers = {"Cache-Control": "no-store"}
            if row.is_of_page:
                headers["Content-Disposition"] = "attachment"
            return Response(found, media_type=row.media, headers=headers)
        return json_answer(found if row.is_of_page and caller().sees_all else for_clients(found))

    async def _acts(self, row: Endpoint, needs_body: bool, request: Request) -> Response:  # noqa: FBT001 - of the row
        """Do what is asked, once for its key; answer with a document, or how the run is."""
        parameters_of(request, NoParameters)
        body = await json_body(request, ... if needs_body else {})
        asked = fields_of(body, row.asks, row.names, in_path(request, row.asks))
        async with self.acting(None if isinstance(asked, NewRun) else getattr(asked, "run_id", None)) as acts:
            act: Callable[[Any, str | None], Awaitable[str]] | None = getattr(acts, f"{row.name}_asked", None)
            if act is None:
                return json_answer(for_clients(await getattr(acts, row.name)(asked)))
            key = asked.idempotency_key if isinstance(asked, PageMessage) else delivery_of(request)
            return await self.done(await act(asked, key), int(next(iter(row.answers))))


class _Route(Route):
    """A route that looks first how a path ends: there are many routes of a run, whose id can have slashes."""

    def __init__(self, path: str, endpoint: Callable[[Request], Awaitable[Response]], methods: Sequence[str]) -> None:
        super().__init__(path, endpoint, methods=methods)
        self._end = path.rpartition("}")[2]

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether a request is for it."""
        return super().matches(scope) if scope["path"].endswith(self._end) else (Match.NONE, {})


def _refused_to_page(error: GraphEngineError) -> Response:
    return refused(error, 500 if isinstance(error, ServiceFailed) else 422)


def answering(
    handler: Callable[[Request], Awaitable[Response]], shape: Callable[[GraphEngineError], Response] = refused
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that answers each error as one document, in the shape of its protocol."""

    async def endpoint(request: Request) -> Response:
        try:
            return await handler(request)
        except GraphEngineError as error:
            return shape(error)
        except Exception as error:  # noqa: BLE001 - a fault of one request must not end the others
            _LOG.exception("%s %s failed with %s", request.method, request.url.path, type(error).__name__)
            return shape(ServiceFailed(FAILED, where=request.url.path))

    return endpoint


__all__ = ["FAILED", "Router", "answering"]
