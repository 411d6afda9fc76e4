"""Check and decode the parameters and the bodies of HTTP requests.

Each struct describes the parameters or the body of one kind of request. The OpenAPI description of the service is made
from these structs. A field that an endpoint's path contains, such as `run_id`, is read from the path. The paths of the
page contain no fields, so the page sends every field as a parameter or in the body.
"""

from __future__ import annotations

import math
import re
import sys
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar, get_args

from msgspec import Meta, Struct, ValidationError, convert
from msgspec.structs import fields
from pydantic_core import from_json

from graphengine.errors import GraphEngineError, InputError
from graphengine.kernel.extension import clipped, did_you_mean, hints_of, is_tag
from graphengine.kernel.store import LARGEST_PRIORITY, Sort, Status
from graphengine.records.bulk import Action
from graphengine.records.search import wanted_of
from graphengine.records.selection import Wanted
from graphengine.render.looks import Theme
from graphengine.render.parts import Detail
from graphengine.serve.messages import RequestInvalid
from graphengine.serve.signatures import SIGNED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    S = TypeVar("S", bound=Struct)

_PLACE: Final = re.compile(r"(.*) - at `\$\.(\w+).*`")
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")
_SHOWN: Final = 100
"""The maximum number of characters of a value that an error message shows."""
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class ServiceFailed(GraphEngineError):
    """The HTTP service failed for a reason other than the request."""

    code = "service_failed"


class RunStopped(GraphEngineError):
    """A run was stopped while a client waited for its result."""

    code = "run_stopped"


# --- Parameters ------------------------------------------------------------------------------------------------------

Text = Annotated[str, Meta(min_length=1, max_length=500)]
Seq = Annotated[int, Meta(ge=0, lt=1 << 32)]
Cursor = Annotated[str, Meta(pattern=r"^[0-9]{1,9}(\.[a-z0-9]{1,20})?$")]
"""A place in the log of a run: a cursor from an answer of the service, or the number of a step.

A cursor also identifies the run, so that a later run with the same id refuses the cursor."""
Texts = Annotated[list[Text], Meta(max_length=50)]


class NoParameters(Struct):
    """A request without parameters."""


class StartParameters(Struct):
    """The parameters of a request that starts a run.

    Attributes:
        run_id: The id of the run. By default, the id is derived from the idempotency key, or generated if there is no
            key.
        field: The input field whose value is the whole body of the request, such as the body of a webhook. By default,
            the body is an object with the input's fields.
        queue: The queue into which the run is put. Workers take runs from it.
        priority: The priority of the run in its queue. Workers take runs with a higher priority first.
        tenant: The tenant of the run. Workers take the runs of a queue's tenants in turn.
        user: The name of the person who starts the run. A user of the server can only give their own name.
        tag: A tag of the run. The parameter can be repeated.
    """

    run_id: Text | None = None
    field: Text | None = None
    queue: Text | None = None
    priority: Annotated[int, Meta(ge=-LARGEST_PRIORITY, le=LARGEST_PRIORITY)] = 0
    tenant: Text | None = None
    user: Text | None = None
    tag: list[str] = []


class Filters(Struct, kw_only=True):
    """Filters that select runs. A run is selected if it passes every filter that is given.

    Attributes:
        text: A search as people type it: words, and filters such as `status:failed since:1d`.
        graph: Select only runs of this graph.
        status: Select only runs with this status.
        tag: Select only runs with this tag.
        view: With `losses`, select only runs that finished but lost something, such as a failed item of a map.
        begun_after: Select only runs that began at this time or later, in epoch seconds.
        begun_before: Select only runs that began before this time, in epoch seconds.
        cost_above: Select only runs whose models cost more than this number of US dollars, as far as the cost is known.
    """

    text: Text | None = None
    graph: Text | None = None
    status: Status | None = None
    tag: Text | None = None
    view: Literal["losses"] | None = None
    begun_after: float | None = None
    begun_before: float | None = None
    cost_above: float | None = None


class ListParameters(Filters, kw_only=True):
    """The parameters of a request for a list of runs.

    Attributes:
        limit: The maximum number of runs.
        before: The run after which this page of the list begins: the `next` of the page before.
        waits: Whether the list shows what each run waits for. This is read from the logs of the runs.
    """

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    before: Text | None = None
    waits: bool = True


class TallyParameters(Filters, kw_only=True):
    """The parameters of a request that asks how many runs a search finds.

    Attributes:
        change: Any word. The server may reuse a count for requests with the same word. A page that has changed a run
            therefore sends another word, to get a new count.
    """

    change: str = ""


class SortedParameters(ListParameters, kw_only=True):
    """The parameters of a request for a list of runs in a chosen order.

    Attributes:
        sort: The property by which the runs are sorted; by default the time at which they began.
        up: Whether the runs with the smallest values come first.
    """

    sort: Sort | None = None
    up: bool = False


class SumParameters(Filters, kw_only=True):
    """The parameters of a request for totals over many runs, such as their costs by day.

    Attributes:
        midnight: The time at which some day begins in the reader's time zone, in epoch seconds. By default, days begin
            at midnight UTC.
    """

    midnight: Annotated[float, Meta(ge=0, lt=1e11)] = 0.0


class TrendParameters(Struct):
    """The parameters of a request for the number of runs and their costs over time.

    Attributes:
        text: Count only the runs that this search finds.
        by: The property by which the runs are grouped.
        every: The length of an interval in seconds.
    """

    text: Text | None = None
    by: Literal["graph", "tag"] = "graph"
    every: Annotated[float, Meta(ge=1)] = 86_400.0


class TodayParameters(Struct):
    """The parameters of a request that compares today's runs with yesterday's runs.

    Attributes:
        by: The property by which the runs are grouped.
        midnight: The time at which today began in the reader's time zone, in epoch seconds; by default midnight UTC.
    """

    by: Literal["graph", "version", "tenant", "agent"] = "graph"
    midnight: float | None = None


class OfRun(Struct, kw_only=True):
    """The parameters of a request about one run.

    Attributes:
        run_id: The id of the run.
    """

    run_id: Text


class AtStep(OfRun, kw_only=True):
    """The parameters of a request about a run as it was after one of its steps.

    Attributes:
        at: The number of the step; by default the last step.
    """

    at: Seq | None = None


class RowsParameters(OfRun, kw_only=True):
    """The parameters of a request for a part of a run's trace, which has a row for each step.

    Attributes:
        before: Return rows before this step; 0 for the newest rows.
    """

    before: Annotated[int, Meta(ge=0, lt=1 << 32)] = 0


class MomentsParameters(OfRun, kw_only=True):
    """The parameters of a request for a run as it was after each of several consecutive steps.

    Attributes:
        first: The first of the steps.
        limit: The maximum number of steps.
        field: The field of the state whose values are shown; by default none.
    """

    first: Annotated[int, Meta(ge=1, lt=1 << 32)] = 1
    limit: Annotated[int, Meta(ge=1, le=500)] = 64
    field: Text | None = None


class EdgeParameters(AtStep, kw_only=True):
    """The parameters of a request for the reasons why a run did not take some edges of its graph.

    Attributes:
        edge: The numbers of the edges in the picture of the graph.
    """

    edge: Annotated[list[Seq], Meta(max_length=20)] = []


class OfStep(OfRun, kw_only=True):
    """The parameters of a request about one step of a run.

    Attributes:
        seq: The number of the step.
    """

    seq: Seq


class OfTwo(OfRun, kw_only=True):
    """The parameters of a request that compares two runs.

    Attributes:
        other: The id of the second run.
    """

    other: Text


class StoryParameters(OfRun, kw_only=True):
    """The parameters of a request for the story of a run, or for the stories of two runs beside each other.

    Attributes:
        other: The id of the second run, if there is one.
    """

    other: Text | None = None


class MaybeOfRun(Struct):
    """The parameters of a request about one run or about all runs.

    Attributes:
        run_id: The id of the run; by default all runs.
    """

    run_id: Text | None = None


class StreamParameters(MaybeOfRun):
    """The parameters of the page's request for a stream of changes of one run, or of the list of runs.

    Attributes:
        run_id: The id of the run; by default the list of runs.
        after: The cursor, or the `seq`, of the last step that the page already has. The stream begins with the step
            after it.
    """

    after: Cursor = "0"


class OfRuns(Struct):
    """The parameters of a request about several runs.

    Attributes:
        run_id: The ids of the runs.
    """

    run_id: list[Text] = []


class FindParameters(OfRun, kw_only=True):
    """The parameters of a request for the steps of a run that contain a text.

    Attributes:
        text: The text to search for.
    """

    text: Text


class ScoresParameters(OfRun, kw_only=True):
    """The parameters of a request for a chart of the numbers in a run's state over time.

    Attributes:
        path: The path of the numbers in the state; by default, the numbers that conditions of edges compare.
        column: The width of the chart in pixels.
    """

    path: Text | None = None
    column: float | None = None


class PictureParameters(Struct):
    """The parameters of a request for the picture of a graph.

    Attributes:
        fingerprint: The fingerprint of the graph's version.
        detail: The level of detail.
        theme: The colours.
        whole: Whether all inner graphs are drawn unfolded.
        open: The nodes inside inner graphs that must be visible, so that the graphs around them are drawn unfolded.
        fold: Whether inner graphs are folded even if the graph has few nodes.
    """

    fingerprint: Text
    detail: Detail = "brief"
    theme: Theme = "light"
    whole: bool = False
    open: list[Text] = []
    fold: bool = False


class OfGraph(Struct):
    """The parameters of a request about one graph.

    Attributes:
        graph: The name of the graph.
    """

    graph: Text


class RunParameters(Struct):
    """The parameters of a request for the current document of a run.

    Attributes:
        wait: The number of seconds to wait until the run has ended or waits; 0 to answer at once.
        after: Wait also until the run has a step after this `cursor`, or after this `seq`, which an answer returns.
    """

    wait: Annotated[int, Meta(ge=0, le=60)] = 0
    after: Cursor = "0"


class ValueParameters(Struct):
    """The parameters of a request for a value that a run publishes.

    Attributes:
        name: The name under which the value is published.
        wait: The number of seconds to wait for a value; 0 to answer at once.
        after: Return only a newer value than the value with this `cursor` or this `seq`.
        item: The item of a map whose newest value is wanted, such as `research[3]`; by default the newest value of all
            items.
    """

    name: str
    wait: Annotated[int, Meta(ge=0, le=60)] = 0
    after: Cursor = "0"
    item: str | None = None


class EventParameters(Struct):
    """The parameters of a request for the events of a run.

    Attributes:
        after: The cursor, or the `seq`, of the last step that the client already has. Steps up to this step are left
            out.
    """

    after: Cursor = "0"


# --- Bodies ----------------------------------------------------------------------------------------------------------


class Answer(OfRun, kw_only=True):
    """An answer to a question of a run.

    Attributes:
        run_id: The id of the run.
        id: The `id` of the wait that was shown to the person, from `waits` of the run's document.
        value: The answer, which must fit the `schema` of the wait.
        by: The name of the person who answers. The name is recorded. It is not checked if the request has the server's
            own token.
        reason: The person's reason for the answer, which is recorded.
    """

    id: Text
    value: Any
    by: str | None = None
    reason: str | None = None


class SentMessage(OfRun, kw_only=True):
    """A message to a run.

    Attributes:
        run_id: The id of the run.
        topic: The topic under which the run receives the message.
        payload: The content of the message: any JSON value.
    """

    topic: Text
    payload: Any


class StopRequest(OfRun, kw_only=True):
    """A request to stop a run.

    Attributes:
        run_id: The id of the run.
        why: The reason, which is recorded.
        now: Whether to cancel the nodes in flight, instead of waiting for their end.
        final: Whether the run ends as cancelled, so that it cannot be resumed.
    """

    why: str | None = None
    now: bool | None = None
    final: bool | None = None


class TagRequest(OfRun, kw_only=True):
    """A request to add and remove tags of a run.

    Attributes:
        run_id: The id of the run.
        add: The tags to add.
        remove: The tags to remove.
    """

    add: Texts = []
    remove: Texts = []


class BulkRequest(Struct, kw_only=True):
    """A request to apply one action to many runs. The runs are selected either by `ids` or by `where`.

    Attributes:
        action: The action.
        ids: The ids of the runs.
        where: Select the runs that these parameters of a list of runs find; `{}` selects all runs.
        tag: The tag, for the actions that add or remove a tag.
        why: The reason for a stop or a cancellation, which is recorded.
        dry_run: Whether to change nothing, and only return which runs would be changed.
    """

    action: Action
    ids: Annotated[list[Text], Meta(max_length=1000)] | None = None
    where: dict[str, Any] | None = None
    tag: Text | None = None
    why: Text | None = None
    dry_run: bool = False


class PreviewRequest(OfRun, kw_only=True):
    """A request to show how a branch of a run would begin, without starting it.

    Attributes:
        run_id: The id of the run from which the branch starts.
        at: The last step that the run and the branch have in common.
        update: Fields of the state to change first, with their new values.
        path: The place of the state to change, if inner graphs or arms have a state of their own at that step; "" for
            the state of the run.
    """

    at: Annotated[int, Meta(ge=1, lt=1 << 32)]
    update: dict[str, Any] = {}
    path: str = ""


class BranchRequest(PreviewRequest, kw_only=True):
    """A request to start a branch: a new run that continues another run from one of its steps.

    Attributes:
        run_id: The id of the run from which the branch starts.
        at: The last step that the run and the branch have in common.
        update: Fields of the state to change first, with their new values.
        path: The place of the state to change, if inner graphs or arms have a state of their own at that step; "" for
            the state of the run.
        child: The id of the branch; generated if it is left out.
        tags: Tags of the branch.
        instructions: The standing instructions of agents, by the name of the agent. They replace the instructions in
            the graph.
    """

    child: Text | None = None
    tags: Texts = []
    instructions: dict[str, str] = {}


def wanted_by(asked: Filters, limit: int = sys.maxsize, before: str | None = None) -> Wanted:
    """Combine the filters of a request to one selection of runs.

    A filter can be a parameter of its own, such as `status=failed`, or a part of the search text, such as
    `text=status:failed`.
    """
    wanted = Wanted(
        limit,
        asked.status,
        asked.graph,
        asked.tag,
        before=before,
        begun_after=asked.begun_after,
        begun_before=asked.begun_before,
        cost_above=asked.cost_above,
        has_losses=True if asked.view is not None else None,
    )
    return wanted_of(asked.text or "", wanted)


def parameters_of(request: Request, kind: type[S], *, ignores_others: bool = False) -> S:
    """Read the parameters of a request from the query of its address, and from its path, and check them.

    Args:
        request: The request.
        kind: The struct that describes the parameters.
        ignores_others: Whether unknown parameters are ignored. The page adds parameters of its own to some requests.

    Raises:
        InputError: A parameter is unknown, is given more than once, or has an invalid value.
    """
    path = in_path(request, kind) if request.path_params else _NOTHING
    if not request.query_params and not path and not _is_asked(kind):
        return kind()
    given: dict[str, Any] = {}
    lists = _lists_of(kind) if request.query_params else frozenset[str]()
    for name in request.query_params:
        texts = request.query_params.getlist(name)
        if ignores_others and name not in kind.__struct_fields__:
            continue
        given[name] = texts if name in lists else texts[0]
        if len(texts) > 1 and name not in lists:
            repair = f"give {name!r} once, with a value"
            raise InputError(f"{name!r} is given more than once", where=f"parameter {name}", repair=repair)
    return parse_struct({**given, **path}, kind, "parameter")


def in_path(request: Request, kind: type[Struct]) -> Mapping[str, Any]:
    """Return the parts of a request's path that are fields of the struct `kind`."""
    return {name: text for name, text in request.path_params.items() if name in kind.__struct_fields__}


@lru_cache
def _is_asked(kind: type[Struct]) -> bool:
    return any(each.required for each in fields(kind))


@lru_cache
def _numbers_of(kind: type[Struct]) -> Sequence[str]:
    return [name for name, hint in hints_of(kind, include_extras=False).items() if float in (hint, *get_args(hint))]


@lru_cache
def _lists_of(kind: type[Struct]) -> frozenset[str]:
    return frozenset(each.name for each in fields(kind) if each.default_factory is list)


def fields_of(body: object, kind: type[S], path: Mapping[str, Any] = _NOTHING) -> S:
    """Convert the JSON body of a request to a struct. Fields that the path contains must not be in the body.

    Raises:
        InputError: The body is not an object, or its fields do not fit the struct.
    """
    if not isinstance(body, dict):
        shown = ", ".join(f'"{name}": …' for name in kind.__struct_fields__ if name not in path)
        raise InputError("the body is not a JSON object", where="body", repair=f"send {{{shown}}}")
    for name in path:
        if name in body:
            message, repair = f"the body has the field {name!r}, which is given in the path", f"leave out {name!r}"
            raise InputError(message, where=f"body, {name}", repair=repair)
    return parse_struct({**body, **path}, kind, "field")


def parse_struct(given: Mapping[str, Any], kind: type[S], word: Literal["parameter", "field", "filter"]) -> S:
    """Convert the parameters of a request, or the fields of its body, to a struct, and check them.

    Parameters and filters arrive as texts and are converted to the types of the fields.

    Args:
        given: The values by their names.
        kind: The struct.
        word: The word for one of the values in error messages.

    Raises:
        InputError: A name is unknown, or a value is invalid.
    """
    known, place = kind.__struct_fields__, "body, " if word == "field" else f"{word} "
    for name in given:
        if name not in known:
            others = [each for each in known if each not in given]
            near = did_you_mean(name, others) if others else f"leave out {name!r}"
            raise InputError(f"the request has an unknown {word} {name!r}", where=f"{place}{name}", repair=near)
    try:
        decoded = convert(given, kind, strict=word == "field")
    except ValidationError as error:
        raise _build_misfit_error(str(error), given, kind, place) from error
    for name, text in given.items() if word != "field" else ():
        if isinstance(text, str) and getattr(decoded, name) is None:  # the text "null" of what is no text
            message = f"{name!r} is {text!r}, which is not a valid value"
            raise InputError(message, where=f"{place}{name}", repair=f"leave out {name!r}")
    for name in _numbers_of(kind):
        value = getattr(decoded, name)
        if value is not None and not math.isfinite(value):
            message = f"{name!r} is {given[name]}, which is not a finite number"
            raise InputError(message, where=f"{place}{name}", repair="give a finite number")
    return decoded


def _build_misfit_error(text: str, given: Mapping[str, Any], kind: type[Struct], place: str) -> InputError:
    """Convert the error message of msgspec for a wrong value in a request to an error for the client.

    The new error names the wrong value and says how to repair it.
    """
    missing, found = _MISSING.fullmatch(text), _PLACE.fullmatch(text)
    repair = "GET /openapi.json describes the request"
    if missing is not None:
        return InputError(f"{missing[1]!r} is missing", where=f"{place}{missing[1]}", repair=f"add {missing[1]!r}")
    if found is None or found[2] not in given:
        return InputError(text, where=place.rstrip(", "), repair=repair)
    name = found[2]
    hint = hints_of(kind, include_extras=False)[name]
    choices = [word for each in (hint, *get_args(hint)) for word in get_args(each) if isinstance(word, str)]
    why = f"{name!r} is {clipped(repr(given[name]), _SHOWN)}"
    if choices:  # the field has a Literal type
        near = did_you_mean(str(given[name]), choices)
        return InputError(f"{why}, which is not one of its values", where=f"{place}{name}", repair=near)
    return InputError(f"{why}: {found[1]}", where=f"{place}{name}", repair=repair)


async def json_body(request: Request, default: object = ...) -> Any:  # noqa: ANN401 - JSON
    """Decode the JSON body of a request.

    Args:
        request: The request.
        default: The result for an empty body. Without a default, an empty body is refused.

    Raises:
        RequestInvalid: The body is not JSON, or has another content type or an encoding such as gzip.
    """
    body = await request.body()
    if not body and default is not ...:
        return default
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise RequestInvalid(
            f"the content type of the body is {kind or 'missing'}, and must be JSON",
            status=415,
            where="header Content-Type",
            repair="send JSON with Content-Type: application/json",
        )
    if (coding := request.headers.get("content-encoding", "identity").lower()) != "identity":
        where, repair = "header Content-Encoding", "send the JSON text without compression"
        message = f"the content encoding {coding!r} is not supported"
        raise RequestInvalid(message, status=415, where=where, repair=repair)
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RequestInvalid(f"the body is not JSON: {error}", where="body", repair="send a JSON text") from error


def is_signed(request: Request) -> bool:
    """Return whether the guard accepted a request because of a webhook's signature instead of a token."""
    return bool(request.scope.get(SIGNED))


def delivery_of(request: Request) -> str | None:
    """Return the key by which a repeated request is recognized; None if the request has no key.

    The key is one of the headers `Idempotency-Key`, `webhook-id` of Standard Webhooks, and `X-GitHub-Delivery` of
    GitHub.

    For a signed request, the key must be covered by the signature, because an attacker who captured the request can
    change everything else and send it again. The key is then the `webhook-id` of Standard Webhooks, or GitHub's
    signature itself.

    Raises:
        InputError: The key is too long, or contains blanks or characters that cannot be printed.
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
                raise InputError(f"{key!r} cannot be an idempotency key", where=f"header {name}", repair=repair)
            return key
    return None


__all__ = [
    "Answer",
    "AtStep",
    "BranchRequest",
    "BulkRequest",
    "EventParameters",
    "Filters",
    "FindParameters",
    "ListParameters",
    "MaybeOfRun",
    "NoParameters",
    "OfGraph",
    "OfRun",
    "OfRuns",
    "OfStep",
    "OfTwo",
    "PictureParameters",
    "PreviewRequest",
    "RunParameters",
    "RunStopped",
    "ScoresParameters",
    "SentMessage",
    "ServiceFailed",
    "SortedParameters",
    "StartParameters",
    "StopRequest",
    "StoryParameters",
    "StreamParameters",
    "SumParameters",
    "TagRequest",
    "TallyParameters",
    "TodayParameters",
    "TrendParameters",
    "delivery_of",
    "fields_of",
    "in_path",
    "is_signed",
    "json_body",
    "parameters_of",
    "parse_struct",
    "wanted_by",
]
