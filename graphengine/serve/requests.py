"""What a request gives: its parameters and its body, checked, and the errors of requests.

The structs are what requests are checked against, and what the OpenAPI description has. A field that the path of an
endpoint names, such as `run_id`, is a part of the path. The page names it in its parameters and bodies.
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
"""The most characters of a value that a refusal shows."""
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class ServiceFailed(GraphEngineError):
    """The HTTP service failed for a reason other than the request."""

    code = "service_failed"


class RunStopped(GraphEngineError):
    """A run that a client waits for was stopped."""

    code = "run_stopped"


# --- Parameters ------------------------------------------------------------------------------------------------------

Text = Annotated[str, Meta(min_length=1, max_length=500)]
Seq = Annotated[int, Meta(ge=0, lt=1 << 32)]
Cursor = Annotated[str, Meta(pattern=r"^[0-9]{1,9}(\.[a-z0-9]{1,20})?$")]
"""A place in the log of a run: a cursor that the service gave out, or the seq of a step of the run that is there."""
Texts = Annotated[list[Text], Meta(max_length=50)]


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


class Filters(Struct, kw_only=True):
    """Which runs are meant.

    Attributes:
        text: A search as it is typed: words, and filters such as `status:failed since:1d`.
        graph: Only runs of this graph.
        status: Only runs with this status.
        tag: Only runs with this tag.
        view: `losses`: only runs that finished and lost something on the way.
        begun_after: Only runs that began then or later, epoch seconds.
        begun_before: Only runs that began before then.
        cost_above: Only runs whose models cost more, US dollars, as far as that is known.
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
        limit: The most runs.
        before: The next page: only runs that began before this run, as `next` of a page names it.
        waits: Whether each has what it waits for, which is read from its log.
    """

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    before: Text | None = None
    waits: bool = True


class TallyParameters(Filters, kw_only=True):
    """What is counted.

    Attributes:
        change: Another word after each change of the runs: the same one can be answered with an older count.
    """

    change: str = ""


class SortedParameters(ListParameters, kw_only=True):
    """The parameters of a list of runs in another order.

    Attributes:
        sort: By what it is ordered.
        up: Whether the least come first.
    """

    sort: Sort | None = None
    up: bool = False


class SumParameters(Filters, kw_only=True):
    """Of which runs there are sums.

    Attributes:
        midnight: When any day began where the reader is, epoch seconds; by default days are those of UTC.
    """

    midnight: Annotated[float, Meta(ge=0, lt=1e11)] = 0.0


class TrendParameters(Struct):
    """The parameters of a request for trends.

    Attributes:
        text: Only the runs that this search finds.
        by: By what the runs are grouped.
        every: How long an interval is, in seconds.
    """

    text: Text | None = None
    by: Literal["graph", "tag"] = "graph"
    every: Annotated[float, Meta(ge=1)] = 86_400.0


class TodayParameters(Struct):
    """The parameters of a request for today.

    Attributes:
        by: By what the runs are grouped.
        midnight: When today began, epoch seconds; by default at midnight UTC.
    """

    by: Literal["graph", "version", "tenant", "agent"] = "graph"
    midnight: float | None = None


class OfRun(Struct, kw_only=True):
    """What is asked of one run.

    Attributes:
        run_id: The run.
    """

    run_id: Text


class AtStep(OfRun, kw_only=True):
    """What is asked of a run at one of its steps.

    Attributes:
        at: After which step; by default after its last one.
    """

    at: Seq | None = None


class RowsParameters(OfRun, kw_only=True):
    """Which rows of a run's trace are asked for.

    Attributes:
        before: The step before which the rows end; 0 for the newest rows.
    """

    before: Annotated[int, Meta(ge=0, lt=1 << 32)] = 0


class MomentsParameters(OfRun, kw_only=True):
    """After which steps a run is looked at.

    Attributes:
        first: The first of them.
        limit: The most of them.
        field: Which field of its state is followed.
    """

    first: Annotated[int, Meta(ge=1, lt=1 << 32)] = 1
    limit: Annotated[int, Meta(ge=1, le=500)] = 64
    field: Text | None = None


class EdgeParameters(AtStep, kw_only=True):
    """Which edges of a run are asked about.

    Attributes:
        edge: The numbers of the edges in the picture.
    """

    edge: Annotated[list[Seq], Meta(max_length=20)] = []


class OfStep(OfRun, kw_only=True):
    """What is asked of a step.

    Attributes:
        seq: The number of the step.
    """

    seq: Seq


class OfTwo(OfRun, kw_only=True):
    """What is asked of two runs.

    Attributes:
        other: The other run.
    """

    other: Text


class StoryParameters(OfRun, kw_only=True):
    """The parameters of a story.

    Attributes:
        other: Another run, beside which it is told.
    """

    other: Text | None = None


class MaybeOfRun(Struct):
    """What is asked of one run, or of all.

    Attributes:
        run_id: The run.
    """

    run_id: Text | None = None


class StreamParameters(MaybeOfRun):
    """Which stream the page follows: of one run, or of the list.

    Attributes:
        run_id: The run.
        after: Leave out the steps up to this cursor, or this `seq`.
    """

    after: Cursor = "0"


class OfRuns(Struct):
    """What is asked of some runs.

    Attributes:
        run_id: The runs.
    """

    run_id: list[Text] = []


class FindParameters(OfRun, kw_only=True):
    """What is searched for in the steps of a run.

    Attributes:
        text: The text.
    """

    text: Text


class ScoresParameters(OfRun, kw_only=True):
    """Which numbers of a state are drawn.

    Attributes:
        path: Where they are; by default those that conditions compare.
        column: The width of the chart, in pixels.
    """

    path: Text | None = None
    column: float | None = None


class PictureParameters(Struct):
    """How a graph is drawn.

    Attributes:
        fingerprint: Which.
        detail: How much of it.
        theme: In which colours.
        whole: Whether no graph in it is folded.
        open: The nodes in graphs that are not folded.
        fold: Whether graphs in it are folded also if it has few nodes.
    """

    fingerprint: Text
    detail: Detail = "brief"
    theme: Theme = "light"
    whole: bool = False
    open: list[Text] = []
    fold: bool = False


class OfGraph(Struct):
    """What is asked of a graph.

    Attributes:
        graph: Its name.
    """

    graph: Text


class RunParameters(Struct):
    """The parameters of a request for a run.

    Attributes:
        wait: Wait up to this number of seconds until the run is over or waits.
        after: Wait also until the run has a step after this `cursor`, or after this `seq`, which an answer returns.
    """

    wait: Annotated[int, Meta(ge=0, le=60)] = 0
    after: Cursor = "0"


class ValueParameters(Struct):
    """The parameters of a request for a value that a run publishes.

    Attributes:
        name: Its name.
        wait: Wait so many seconds for it.
        after: For one that is newer: the `cursor` of the value that was seen last, or its `seq`.
        item: An item of a map, such as `research[3]`, whose newest value is wanted; the newest of all by default.
    """

    name: str
    wait: Annotated[int, Meta(ge=0, le=60)] = 0
    after: Cursor = "0"
    item: str | None = None


class EventParameters(Struct):
    """The parameters of a request for the events of a run.

    Attributes:
        after: Leave out the steps up to this cursor, or this `seq`.
    """

    after: Cursor = "0"


# --- Bodies ----------------------------------------------------------------------------------------------------------


class Answer(OfRun, kw_only=True):
    """An answer to a question of a run.

    Attributes:
        run_id: The run.
        id: The `id` of the wait that was shown to the person, as `waits` of the run has it.
        value: The answer; it has to fit the `schema` of the wait.
        by: Who answers, as the client says; it is recorded, and not checked.
        reason: Why, in the words of who answers; it is recorded.
    """

    id: Text
    value: Any
    by: str | None = None
    reason: str | None = None


class SentMessage(OfRun, kw_only=True):
    """A message to a run.

    Attributes:
        run_id: The run.
        topic: The topic that the run receives.
        payload: Any JSON value.
    """

    topic: Text
    payload: Any


class StopRequest(OfRun, kw_only=True):
    """How to stop a run.

    Attributes:
        run_id: The run.
        why: The reason to record.
        now: Whether to cancel the nodes in flight.
        final: Whether it ends as cancelled, for good.
    """

    why: str | None = None
    now: bool | None = None
    final: bool | None = None


class TagRequest(OfRun, kw_only=True):
    """Which tags a run gets, and which it loses.

    Attributes:
        run_id: The run.
        add: The tags that it gets.
        remove: The tags that it loses.
    """

    add: Texts = []
    remove: Texts = []


class BulkRequest(Struct, kw_only=True):
    """What is done to many runs: those with some ids, or all that are found.

    Attributes:
        action: What is done to each run that it is for.
        ids: The runs.
        where: All runs that these find, with the parameters of a list of runs; `{}` finds all.
        tag: The tag, to tag and untag.
        why: The reason to record, of a stop or a cancellation.
        dry_run: Whether nothing is changed, and only shown to which runs it would be done.
    """

    action: Action
    ids: Annotated[list[Text], Meta(max_length=1000)] | None = None
    where: dict[str, Any] | None = None
    tag: Text | None = None
    why: Text | None = None
    dry_run: bool = False


class PreviewRequest(OfRun, kw_only=True):
    """A branch that is shown before it begins.

    Attributes:
        run_id: The run that it branches off.
        at: The last step that both share.
        update: Fields to write first.
        path: The state to write to, if several are open at that step; "" for that of the run.
    """

    at: Annotated[int, Meta(ge=1, lt=1 << 32)]
    update: dict[str, Any] = {}
    path: str = ""


class BranchRequest(PreviewRequest, kw_only=True):
    """A branch of a run.

    Attributes:
        run_id: The run that it branches off.
        at: The last step that both share.
        update: Fields to write first.
        path: The state to write to, if several are open at that step; "" for that of the run.
        child: The id of the branch; generated if it is left out.
        tags: Tags of the branch.
        instructions: Standing instructions that replace those in the graph, by agent.
    """

    child: Text | None = None
    tags: Texts = []
    instructions: dict[str, str] = {}


def wanted_by(asked: Filters, limit: int = sys.maxsize, before: str | None = None) -> Wanted:
    """Return which runs are asked for: `text` is a search as it was typed, and each filter can be a parameter too."""
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
    """Return the parameters of a request's address, with those of its path that the kind has.

    Args:
        request: The request.
        kind: What it can have.
        ignores_others: Whether it can have others: a page adds some to read again.

    Raises:
        InputError: One is unknown, given more than once, or invalid.
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
            repair = "give it once, with a value"
            raise InputError(f"{name} is given more than once", where=f"parameter {name}", repair=repair)
    return parse_struct({**given, **path}, kind, "parameter")


def in_path(request: Request, kind: type[Struct]) -> Mapping[str, Any]:
    """Return the parameters of a request's path that a kind has."""
    return {name: text for name, text in request.path_params.items() if name in kind.__struct_fields__}


@lru_cache
def _is_asked(kind: type[Struct]) -> bool:
    """Return whether something must be given."""
    return any(each.required for each in fields(kind))


@lru_cache
def _numbers_of(kind: type[Struct]) -> Sequence[str]:
    """Return the fields that are numbers, which can be infinite."""
    return [name for name, hint in hints_of(kind, include_extras=False).items() if float in (hint, *get_args(hint))]


@lru_cache
def _lists_of(kind: type[Struct]) -> frozenset[str]:
    """Return the parameters that can be given more than once."""
    return frozenset(each.name for each in fields(kind) if each.default_factory is list)


def fields_of(body: object, kind: type[S], path: Mapping[str, Any] = _NOTHING) -> S:
    """Return a body that is a JSON object with the fields of a struct, besides those in the path.

    Raises:
        InputError: It is something else.
    """
    if not isinstance(body, dict):
        shown = ", ".join(f'"{name}": …' for name in kind.__struct_fields__ if name not in path)
        raise InputError("the body is not a JSON object", where="body", repair=f"send {{{shown}}}")
    for name in path:
        if name in body:
            raise InputError(f"unknown field {name!r}", where=f"body, {name}", repair="it is in the path: leave it out")
    return parse_struct({**body, **path}, kind, "field")


def parse_struct(given: Mapping[str, Any], kind: type[S], word: Literal["parameter", "field", "filter"]) -> S:
    """Return values as a struct; those of an address, and filters, can be texts.

    Raises:
        InputError: One is unknown or invalid.
    """
    known, place = kind.__struct_fields__, "body, " if word == "field" else f"{word} "
    for name in given:
        if name not in known:
            others = [each for each in known if each not in given]
            near = did_you_mean(name, others) if others else "leave it out"
            raise InputError(f"unknown {word} {name!r}", where=f"{place}{name}", repair=near)
    try:
        made = convert(given, kind, strict=word == "field")
    except ValidationError as error:
        raise _build_misfit_error(str(error), given, kind, place) from error
    for name, text in given.items() if word != "field" else ():
        if isinstance(text, str) and getattr(made, name) is None:  # the text "null" of what is no text
            raise InputError(f"{name} is {text!r}", where=f"{place}{name}", repair="leave it out")
    for name in _numbers_of(kind):
        value = getattr(made, name)
        if value is not None and not math.isfinite(value):
            raise InputError(f"{name} is {given[name]}", where=f"{place}{name}", repair="give a number")
    return made


def _build_misfit_error(text: str, given: Mapping[str, Any], kind: type[Struct], place: str) -> InputError:
    """Return the error for values that do not fit."""
    missing, found = _MISSING.fullmatch(text), _PLACE.fullmatch(text)
    repair = "GET /openapi.json describes it"
    if missing is not None:
        return InputError(f"{missing[1]} is missing", where=f"{place}{missing[1]}", repair=f"give {missing[1]}")
    if found is None or found[2] not in given:
        return InputError(text, where=place.rstrip(", "), repair=repair)
    name, choices = found[2], _list_field_choices(kind, found[2])
    why = f"{name} is {clipped(repr(given[name]), _SHOWN)}"
    if choices:
        return InputError(why, where=f"{place}{name}", repair=did_you_mean(str(given[name]), choices))
    return InputError(f"{why}: {found[1]}", where=f"{place}{name}", repair=repair)


def _list_field_choices(kind: type[Struct], name: str) -> Sequence[str]:
    """Return the words that a field can be; none if it is no such field."""
    hint = hints_of(kind, include_extras=False)[name]
    return [word for each in (hint, *get_args(hint)) for word in get_args(each) if isinstance(word, str)]


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
