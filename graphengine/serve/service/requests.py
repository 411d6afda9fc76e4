"""What a request gives: its parameters and its body, checked, and the errors of requests.

The structs are what requests are checked against, and what the OpenAPI description has.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from msgspec import Meta, Struct, ValidationError, convert
from msgspec.structs import fields
from pydantic_core import from_json

from graphengine.kernel import GraphEngineError, InputError
from graphengine.kernel.definitions import did_you_mean, is_tag
from graphengine.kernel.stores import LARGEST_PRIORITY
from graphengine.serve.guard import SIGNED
from graphengine.serve.messages import RequestInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    S = TypeVar("S", bound=Struct)

_PLACE: Final = re.compile(r"(.*) - at `\$\.(\w+)`")


class ServiceFailed(GraphEngineError):
    """The HTTP service failed for a reason other than the request."""

    code = "service_failed"


class RunStopped(GraphEngineError):
    """A run that a client waits for was stopped."""

    code = "run_stopped"


# --- Parameters ------------------------------------------------------------------------------------------------------

Text = Annotated[str, Meta(min_length=1)]
Seq = Annotated[int, Meta(ge=0, le=1 << 32)]


class NoParameters(Struct):
    """The parameters of a request that takes none."""


class StartParameters(Struct):
    """The parameters of a request that starts a run.

    Attributes:
        run_id: The id of the run; generated if there is no key either.
        field: The field of the input that gets the whole body, such as a webhook's.
        queue: The queue from which a worker takes the run.
        priority: The higher, the sooner it is taken.
        tenant: For whom the run is; the tenants of a queue take turns.
        user: Who starts the run; a user of the server is that themselves.
        tag: A tag of the run; can be repeated.
    """

    run_id: Text | None = None
    field: Text | None = None
    queue: Text | None = None
    priority: Annotated[int, Meta(ge=-LARGEST_PRIORITY, le=LARGEST_PRIORITY)] = 0
    tenant: Text | None = None
    user: Text | None = None
    tag: list[str] = []


class ListParameters(Struct):
    """The parameters of a request for a list of runs.

    Attributes:
        graph: Only runs of this graph.
        status: Only runs with this status.
        tag: Only runs with this tag.
        limit: The most runs.
        before: The next page: only runs that began before this run, the last of a page.
    """

    graph: Text | None = None
    status: Text | None = None
    tag: Text | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    before: Text | None = None


class RunParameters(Struct):
    """The parameters of a request for a run.

    Attributes:
        wait: Wait so many seconds until it is over or waits.
        after: And until it has a step after this `seq`, such as that of an answer.
    """

    wait: Annotated[int, Meta(ge=0, le=60)] = 0
    after: Seq = 0


class EventParameters(Struct):
    """The parameters of a request for the events of a run.

    Attributes:
        after: Leave out the steps up to this one.
    """

    after: Seq = 0


# --- Bodies ----------------------------------------------------------------------------------------------------------


class Answer(Struct, forbid_unknown_fields=True):
    """An answer to a question of a run.

    Attributes:
        id: The `id` of the wait that was shown to the person, as `waits` of the run has it.
        value: The answer; it has to fit the `schema` of the wait.
        by: Who answers, as the client says; it is recorded, and not checked.
    """

    id: str
    value: Any
    by: Text | None = None


class SentMessage(Struct, forbid_unknown_fields=True):
    """A message to a run.

    Attributes:
        topic: The topic that the run receives.
        payload: Any JSON value.
    """

    topic: Text
    payload: Any


class StopRequest(Struct, forbid_unknown_fields=True):
    """How to stop a run.

    Attributes:
        why: The reason to record.
        now: Whether to cancel the nodes in flight.
        final: Whether it ends as cancelled, for good.
    """

    why: str | None = None
    now: bool | None = None
    final: bool | None = None


def parameters_of(request: Request, kind: type[S]) -> S:
    """Return the parameters of a request's address.

    Raises:
        InputError: One is unknown, given more than once, or invalid.
    """
    given: dict[str, Any] = {}
    lists = _lists_of(kind) if request.query_params else frozenset[str]()
    for name in request.query_params:
        texts = request.query_params.getlist(name)
        given[name] = texts if name in lists else texts[0]
        if len(texts) > 1 and name not in lists:
            repair = "give it once, with a value"
            raise InputError(f"{name} is given more than once", where=f"parameter {name}", repair=repair)
    return _checked(given, kind, "parameter ", "parameter")


@lru_cache
def _lists_of(kind: type[Struct]) -> frozenset[str]:
    """Return the parameters that can be given more than once."""
    return frozenset(each.name for each in fields(kind) if each.default_factory is list)


def fields_of(body: object, kind: type[S]) -> S:
    """Return a body that is a JSON object with the fields of a struct.

    Raises:
        InputError: It is something else.
    """
    if not isinstance(body, dict):
        names = ", ".join(f'"{name}": …' for name in kind.__struct_fields__)
        raise InputError("the body is not a JSON object", where="body", repair=f"send {{{names}}}")
    return _checked(body, kind, "body, ", "field")


def _checked(given: Mapping[str, Any], kind: type[S], place: str, word: str) -> S:
    """Return values as a struct; those of an address are texts."""
    known = kind.__struct_fields__
    for name in given:
        if name not in known:
            near = did_you_mean(name, known) if known else "leave it out"
            raise InputError(f"unknown {word} {name!r}", where=f"{place}{name}", repair=near)
    try:
        return convert(given, kind, strict=word == "field")
    except ValidationError as error:
        found = _PLACE.fullmatch(str(error))
        text, where = str(error), "body"
        if found is not None:
            text, where = f"{found[2]} is {given[found[2]]!r}: {found[1]}", f"{place}{found[2]}"
        raise InputError(text, where=where, repair="GET /openapi.json describes it") from error


async def json_body(request: Request, default: object = ...) -> Any:  # noqa: ANN401 - JSON
    """Return the body as JSON values; the default if it is empty.

    Raises:
        RequestInvalid: It is not JSON, or has another content type.
    """
    body = await request.body()
    if not body and default is not ...:
        return default
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise RequestInvalid(
            f"the content type is {kind or 'missing'}",
            status=415,
            where="header Content-Type",
            repair="send JSON with Content-Type: application/json",
        )
    if (coding := request.headers.get("content-encoding", "identity").lower()) != "identity":
        where, repair = "header Content-Encoding", "send the JSON text as it is"
        raise RequestInvalid(f"the content encoding is {coding}", status=415, where=where, repair=repair)
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RequestInvalid(f"the body is not JSON: {error}", where="body", repair="send a JSON text") from error


def is_signed(request: Request) -> bool:
    """Return whether a request was let in because of its signature."""
    return bool(request.scope.get(SIGNED))


def delivery_of(request: Request) -> str | None:
    """Return the key that is the same when a request is sent again; None if it has none.

    It is `Idempotency-Key`, the `webhook-id` of Standard Webhooks, or the `X-GitHub-Delivery` of GitHub. An
    attacker who captured a signed request can change what its signature does not cover. So the key of a signed request
    is the `webhook-id` of Standard Webhooks, which it covers, or GitHub's signature of the body.

    Raises:
        InputError: It cannot be a part of the id of a run.
    """
    names: Sequence[str] = ("idempotency-key", "webhook-id", "x-github-delivery")
    if is_signed(request):
        names = ["webhook-id" if "webhook-signature" in request.headers else "x-hub-signature-256"]
    for name in names:
        key = request.headers.get(name)
        if key is not None:
            key = key.strip().removeprefix('"').removesuffix('"').removeprefix("sha256=")
            if not is_tag(key) or any(map(str.isspace, key)):
                repair = "use 1 to 100 printable characters without blanks, such as a UUID"
                raise InputError(f"{key!r} cannot be a key", where=f"header {name}", repair=repair)
            return key
    return None


__all__ = [
    "Answer",
    "EventParameters",
    "ListParameters",
    "NoParameters",
    "RunParameters",
    "RunStopped",
    "SentMessage",
    "ServiceFailed",
    "StartParameters",
    "StopRequest",
    "delivery_of",
    "fields_of",
    "is_signed",
    "json_body",
    "parameters_of",
]
