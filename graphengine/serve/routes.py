"""The table of all endpoints: their paths, the credentials that they accept, and the rights that they need.

The guards accept a request by its credentials in this table. The routers check the caller's right and the parameters.
The OpenAPI document is made from the same table. The routes of doors are not listed here: they need a token, and the
methods that they call check the rights.

| credential | meaning | accepted by |
|---|---|---|
| `none` | no credential, because the answer contains nothing about runs | both servers |
| `token` | `Authorization: Bearer`, which no page of another site can send | the service; a shared page |
| `signature` | the signature of a webhook, which covers the body | the service |
| `cookie` | the cookie of the page; for a change, also its `Origin` and a header of its own | the page |

The endpoints of the service never accept a cookie, because a browser sends a cookie by itself. The page's server offers
endpoints of the service below `/api`, with the page's credentials. The table does not say whose runs a caller sees: all
endpoints read through `CallersStore` and change runs through `CallersRunner`, which find only the runs of the caller's
tenant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import fields

from graphengine.records.base_documents import CheckedGraph
from graphengine.records.in_common import InCommon
from graphengine.records.json_document import Compared, PublishedValue, RunNow, Runs, SpendingOfRun
from graphengine.records.sums import Sums
from graphengine.records.trends import Trends
from graphengine.serve.health import Health
from graphengine.serve.read_documents import (
    BranchForm,
    Bulked,
    Chart,
    Comparison,
    Graph,
    InResults,
    Line,
    Moments,
    Overview,
    Page,
    Picture,
    Previewed,
    Questions,
    Row,
    Run,
    Session,
    StartForm,
    State,
    StepDetails,
    Tables,
    Tally,
    Today,
    WhyNot,
)
from graphengine.serve.requests import (
    Answer,
    AtStep,
    BranchRequest,
    BulkRequest,
    EdgeParameters,
    EventParameters,
    Filters,
    FindParameters,
    ListParameters,
    MaybeOfRun,
    MomentsParameters,
    NoParameters,
    OfGraph,
    OfRun,
    OfRuns,
    OfStep,
    OfTwo,
    PictureParameters,
    PreviewRequest,
    RowsParameters,
    RunParameters,
    ScoresParameters,
    SentMessage,
    SortedParameters,
    StartParameters,
    StopRequest,
    StoryParameters,
    StreamParameters,
    SumParameters,
    TagRequest,
    TallyParameters,
    TodayParameters,
    TrendParameters,
    ValueParameters,
)

if TYPE_CHECKING:
    from graphengine.serve.callers import Right

Credential: TypeAlias = Literal["none", "token", "signature", "cookie"]
SIGNED_IN: Final = "/signed_in"
"""The path of the page to which an OpenID provider leads the browser back."""
_ANYBODY: Final[frozenset[Credential]] = frozenset(("none",))
_TOKEN: Final[frozenset[Credential]] = frozenset(("token",))
_SIGNED: Final[frozenset[Credential]] = frozenset(("token", "signature"))
_PAGE: Final[frozenset[Credential]] = frozenset(("cookie", "token"))
PREFIX: Final = "/api"
"""The beginning of the paths of the page's endpoints."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An HTTP endpoint of a server, as an entry in the table of all endpoints.

    Attributes:
        path: The path of the request.
        name: The name of the method that answers: of `Service`, of the page's server, of `Views` or of `CallersRunner`.
            Also the operation's id in the OpenAPI description, unless `openapi.py` has a better one.
        summary: What the request does, in one sentence.
        right: The right that the caller needs; None if the answer contains nothing about runs.
        credentials: The kinds of credentials that are accepted. One of them suffices.
        answers: The meaning of each status of the answer.
        document: The type of the answer's document; None if the answer is not JSON.
        media: The content type of the answer.
        query: The struct that describes the parameters.
        body: The struct that describes the body; None if the request only reads.
        headers: The names and meanings of the headers that the request can have.
    """

    path: str
    name: str
    summary: str
    right: Right | None = "read"
    credentials: frozenset[Credential] = _TOKEN
    answers: Mapping[str, str] = field(default_factory=lambda: {"200": "what was found"})
    document: Any = RunNow
    media: str = "application/json"
    query: type[Struct] = NoParameters
    body: type[Struct] | None = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def method(self) -> Literal["GET", "POST"]:
        return "GET" if self.body is None else "POST"

    @property
    def route(self) -> str:
        """The path for Starlette's router, where the id of a run may contain slashes."""
        return self.path.replace("{run_id}", "{run_id:path}")

    @property
    def is_of_page(self) -> bool:
        """Whether only the inspector's page sends this request, and no client of the HTTP service."""
        return "cookie" in self.credentials

    @property
    def asks(self) -> type[Struct]:
        """The struct that describes what is requested: the body, or the parameters if the request only reads."""
        return self.query if self.body is None else self.body

    @property
    def is_body_required(self) -> bool:
        """Whether a body must be sent, because one of its fields has no default and is not part of the path."""
        body_fields = [] if self.body is None else fields(self.body)
        return any(each.required for each in body_fields if f"{{{each.name}}}" not in self.path)


_KEY: Final = (
    "A key that is the same when the request is sent again: one run is started. Also `webhook-id` and "
    "`X-GitHub-Delivery`. Of a signed request: the `webhook-id`, or GitHub's signature."
)
_ONCE: Final = (("Idempotency-Key", "a key that is the same when the request is sent again: it is done once"),)
_DONE: Final = {"202": "recorded; the run as it is now"}
START: Final = Endpoint(
    "/graphs/{graph}/runs",
    "start",
    "Start a run",
    "start",
    _SIGNED,
    {"201": "started", "200": "the same request has started it before"},
    query=StartParameters,
    body=Struct,
    headers=(("Idempotency-Key", _KEY),),
)
"""The OpenAPI document describes this endpoint once for each graph, with the graph's input as the body."""
HEALTH: Final = Endpoint(
    "/health",
    "health",
    "Whether the service works",
    None,
    _ANYBODY,
    {"200": "it works", "503": "it does not"},
    Health,
)
DESCRIPTION: Final = Endpoint("/openapi.json", "openapi", "This description", None, document=None)
ENDPOINTS: Final = (
    Endpoint("/runs", "list_runs", "List the newest runs", document=Page, query=ListParameters),
    Endpoint("/trends", "trends", "How runs went over time", document=Trends, query=TrendParameters),
    Endpoint(
        "/sums",
        "sums",
        "Sums of a week of the runs that are found, by day and node",
        document=Sums,
        query=SumParameters,
    ),
    Endpoint("/in_common", "in_common", "What failed runs have in common", document=InCommon, query=Filters),
    Endpoint("/today", "today", "Today beside yesterday", document=Today, query=TodayParameters),
    Endpoint(
        "/questions",
        "questions",
        "Open questions, and the answers of the last days",
        document=Questions,
        query=MaybeOfRun,
    ),
    Endpoint("/bulk", "bulk", "Do something to many runs", "operate", document=Bulked, body=BulkRequest),
    Endpoint("/runs/{run_id}/answer", "answer", "Answer a question of a run", "answer", answers=_DONE, body=Answer),
    Endpoint(
        "/runs/{run_id}/messages",
        "send",
        "Send a message to a run",
        "answer",
        answers=_DONE,
        body=SentMessage,
        headers=(("Idempotency-Key", "a key to send it only once"),),
    ),
    Endpoint(
        "/runs/{run_id}/stop",
        "stop_run",
        "Stop a run at its next safe point",
        "operate",
        answers=_DONE,
        body=StopRequest,
    ),
    Endpoint(
        "/runs/{run_id}/resume",
        "resume",
        "Resume a run that was stopped, failed or was interrupted",
        "operate",
        answers=_DONE,
        body=OfRun,
        headers=_ONCE,
    ),
    Endpoint("/runs/{run_id}/tags", "tag", "Add and remove tags of a run", "operate", answers=_DONE, body=TagRequest),
    Endpoint(
        "/runs/{run_id}/branches",
        "branch",
        "Branch a run at a step, with updated fields",
        "operate",
        answers={"201": "the branch"},
        body=BranchRequest,
        headers=_ONCE,
    ),
    Endpoint(
        "/runs/{run_id}/branches/preview",
        "preview",
        "Return what a branch would change; nothing is recorded",
        "operate",
        document=Previewed,
        body=PreviewRequest,
    ),
    Endpoint("/runs/{run_id}/state", "state", "Return the state of a run after a step", document=State, query=AtStep),
    Endpoint(
        "/runs/{run_id}/steps/{seq}",
        "step_details",
        "Return everything about a step",
        document=StepDetails,
        query=OfStep,
    ),
    Endpoint("/runs/{run_id}/usage", "usage", "Return what a run spent on models", document=SpendingOfRun, query=OfRun),
    Endpoint("/runs/{run_id}/below", "below", "List the runs below a run", document=Runs, query=OfRun),
    Endpoint("/runs/{run_id}/compare", "compared", "Return where two runs part", document=Compared, query=OfTwo),
    Endpoint(
        "/runs/{run_id}/story",
        "story",
        "Return the story of a run, or of two, as a page",
        document=None,
        media="text/html",
        query=StoryParameters,
    ),
    Endpoint(
        "/runs/{run_id}/values/{name}",
        "published",
        "Return the newest value of a name that a run has published",
        answers={"200": "the value", "204": "the run goes on, and has not published it, or nothing newer"},
        document=PublishedValue,
        query=ValueParameters,
    ),
    Endpoint(
        "/runs/{run_id}/events",
        "events",
        "Follow a run until it is over",
        answers={
            "200": "server-sent events; the data of each is an `Event` of the components",
            "204": "the run is over, and the reader has its last event",
        },
        document=None,
        media="text/event-stream",
        query=EventParameters,
        headers=(("Last-Event-ID", "continue after this event"),),
    ),
    Endpoint("/runs/{run_id}", "get_run", "Return a run", answers={"200": "the run"}, query=RunParameters),
    HEALTH,
)
"""The routes of the service, in the order in which they are tried."""
API: Final = (DESCRIPTION, START, *ENDPOINTS)

_PATHS: Final = ("/", "/run", "/compare", "/graph", "/graphs", "/questions", "/today", SIGNED_IN)
FILES: Final = (
    *(Endpoint(path, "page", "The page", None, _ANYBODY, document=None, media="text/html") for path in _PATHS),
    Endpoint("/static/{name:path}", "static", "A file of the page", None, _ANYBODY, document=None),
    Endpoint("/provider", "provider", "Who signs users in", None, _ANYBODY, document=None),
)
"""The files of the page. They contain no data of runs."""


def _build_page_route(name: str, query: type[Struct] = NoParameters, document: Any = None, **more: Any) -> Endpoint:  # noqa: ANN401
    """Return an endpoint that only the inspector page uses, not other clients.

    The method of `Views` or `Driver` that answers has the same name as the endpoint.
    """
    return Endpoint(f"{PREFIX}/{name}", name, "", query=query, credentials=_PAGE, document=document, **more)


def _of_service(*names: str, **more: Any) -> Sequence[Endpoint]:  # noqa: ANN401 - fields of a row
    """Return endpoints of the service with the path and the credentials that the page uses."""
    rows = {row.name: row for row in API}
    return [replace(rows[name], path=PREFIX + rows[name].path, credentials=_PAGE, **more) for name in names]


READS: Final = (
    *_of_service("list_runs", query=SortedParameters),
    *_of_service("sums", "in_common", "today", "questions", "state", "step_details", "usage", "below"),
    _build_page_route("session", document=Session),
    _build_page_route("overview", Filters, Overview),
    _build_page_route("tally", TallyParameters, Tally),
    _build_page_route("in_results", Filters, InResults),
    _build_page_route("lines", OfRuns, Mapping[str, Line]),
    _build_page_route("branches", OfRun, Runs),
    _build_page_route("run", AtStep, Run),
    _build_page_route("rows", RowsParameters, Sequence[Row]),
    _build_page_route("moments", MomentsParameters, Moments),
    _build_page_route("why_not", EdgeParameters, Sequence[WhyNot]),
    _build_page_route("find", FindParameters, Sequence[int]),
    _build_page_route("scores", ScoresParameters, Chart),
    _build_page_route("picture", PictureParameters, Picture),
    _build_page_route("compare", OfTwo, Comparison),
    _build_page_route("graph", OfGraph, Graph),
    _build_page_route("all_graphs", document=Mapping[str, Mapping[str, int]]),
    _build_page_route("tables", document=Tables),
)
"""The endpoints by which the page reads runs."""
DOWNLOADS: Final = (_build_page_route("export", OfRun), *_of_service("story"))
STREAM: Final = _build_page_route("events", StreamParameters, media="text/event-stream")
WRITES: Final = _of_service("answer", "send", "stop_run", "tag", "bulk")
"""The endpoints by which the page changes runs, unless the page is read-only."""
DRIVES: Final = (
    *_of_service("start", "resume", "branch", "preview"),
    _build_page_route("form", OfGraph, StartForm),
    _build_page_route("fields", AtStep, BranchForm),
    _build_page_route("problems", OfGraph, CheckedGraph),
)
"""The endpoints that the page has only if the inspector drives runs (`--drive`)."""
OF_PAGE: Final = (*FILES, *READS, *DOWNLOADS, STREAM, *WRITES, *DRIVES)
TABLE: Final = (*API, *OF_PAGE)
"""All endpoints, except those of the doors for other protocols."""


__all__ = [
    "API",
    "DOWNLOADS",
    "DRIVES",
    "ENDPOINTS",
    "FILES",
    "HEALTH",
    "OF_PAGE",
    "PREFIX",
    "READS",
    "START",
    "STREAM",
    "TABLE",
    "WRITES",
    "Credential",
    "Endpoint",
]
