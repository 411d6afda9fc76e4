"""The table of what can be requested of a server: each route, by which credentials, and with which right.

The guards let a request in by it, the routers check the right and the arguments by it, and the OpenAPI description is
made from it. A route of a door is not listed: it needs a token, and what it does checks the right.

| credential | what it is | who accepts it |
|---|---|---|
| `none` | nothing: there is no run in the answer | both |
| `token` | `Authorization: Bearer`, which no page of another site can send | the service; a shared page |
| `signature` | that of a webhook, which covers the body | the service |
| `cookie` | the page's, with our `Origin` and our own header for a write | the page |

A cookie never suffices for a route of the service: a browser sends it by itself. Whose runs there are is not a matter
of the route: each is read through `CallersStore` and changed through `CallersRunner`, for which there are only those of
the caller's tenant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import fields

from graphengine.records.json_document import Compared, RunNow
from graphengine.records.trends import Trends
from graphengine.serve.health import Health
from graphengine.serve.read_documents import Bulked, Page, Previewed, Questions, State, StepDetails, Today
from graphengine.serve.requests import (
    Answer,
    AtStep,
    BranchRequest,
    BulkRequest,
    EventParameters,
    Filters,
    FindParameters,
    ListParameters,
    MaybeOfRun,
    NewRun,
    NoParameters,
    OfGraph,
    OfRun,
    OfRuns,
    OfStep,
    OfTwo,
    PageAnswer,
    PageMessage,
    PictureParameters,
    PreviewRequest,
    RunParameters,
    ScoresParameters,
    SentMessage,
    SortedParameters,
    StartParameters,
    StopRequest,
    StoryParameters,
    StreamParameters,
    TagRequest,
    TallyParameters,
    TodayParameters,
    TrendParameters,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.serve.callers import Right

Credential: TypeAlias = Literal["none", "token", "signature", "cookie"]
SIGNED_IN: Final = "/signed_in"
"""Where an OpenID provider leads the browser back to."""
_ANYBODY: Final[frozenset[Credential]] = frozenset(("none",))
_TOKEN: Final[frozenset[Credential]] = frozenset(("token",))
_SIGNED: Final[frozenset[Credential]] = frozenset(("token", "signature"))
_PAGE: Final[frozenset[Credential]] = frozenset(("cookie", "token"))


def _found() -> Mapping[str, str]:
    return {"200": "what was found"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What can be requested.

    Attributes:
        path: Its path.
        name: What answers: a method of the `Service` or of the page, or of `Views` or `CallersRunner`. Also the id of
            the operation.
        summary: What it does.
        right: What the caller must have the right to; None if nothing of a run is in the answer.
        credentials: Each of these suffices.
        answers: What its answers mean, by status.
        document: The document of its answers; None if they are no JSON.
        media: The content type of its answers.
        query: Its parameters.
        body: Its body; None if it is a read.
        headers: The headers that it reads, with their meaning.
        names: What its client calls a field of these, if not by its name.
    """

    path: str
    name: str
    summary: str
    right: Right | None = "read"
    credentials: frozenset[Credential] = _TOKEN
    answers: Mapping[str, str] = field(default_factory=_found)
    document: type[Struct] | None = RunNow
    media: str = "application/json"
    query: type[Struct] = NoParameters
    body: type[Struct] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def method(self) -> Literal["GET", "POST"]:
        """Its method."""
        return "GET" if self.body is None else "POST"

    @property
    def is_of_page(self) -> bool:
        """Whether the page asks for it, not a client of the service."""
        return "cookie" in self.credentials

    @property
    def asks(self) -> type[Struct]:
        """What it is asked with: its body, or its parameters."""
        return self.query if self.body is None else self.body

    @property
    def is_body_required(self) -> bool:
        """Whether a body has to be sent: some of its fields, besides those of the path, have no default."""
        given = [] if self.body is None else fields(self.body)
        return any(each.required for each in given if f"{{{each.name}}}" not in self.path)


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
"""It is described once for each graph, with its input as the body."""
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
"""The files of the page, which have no data."""
_NAMES: Final = {"run_id": "id"}


def _page(name: str, query: type[Struct] = NoParameters, does: str = "", **more: Any) -> Endpoint:  # noqa: ANN401
    """Return a route of the page; its name is what `Views`, or what drives runs, calls it, if nothing else is given."""
    given: dict[str, Any] = {"names": _NAMES, "query": query, "credentials": _PAGE, "document": None} | more
    return Endpoint(f"/api/{name}", does or name, "", **given)


READS: Final = (
    _page("session"),
    _page("runs", SortedParameters),
    _page("overview", Filters),
    _page("tally", TallyParameters),
    _page("lines", OfRuns),
    _page("branches", OfRun),
    _page("run", AtStep),
    _page("rows", OfRun),
    _page("questions", MaybeOfRun),
    _page("usage", OfRun),
    _page("state", AtStep),
    _page("step", OfStep),
    _page("find", FindParameters),
    _page("scores", ScoresParameters),
    _page("picture", PictureParameters),
    _page("compare", OfTwo, names={"run_id": "a", "other": "b"}),
    _page("children", OfRun),
    _page("graph", OfGraph),
    _page("all_graphs"),
    _page("today", TodayParameters),
    _page("tables"),
)
"""What the page reads."""
DOWNLOADS: Final = (
    _page("export", OfRun, names=_NAMES),
    _page("story", StoryParameters, names=_NAMES | {"other": "b"}, media="text/html"),
)
STREAM: Final = _page("events", StreamParameters, media="text/event-stream")
WRITES: Final = (
    _page("answer", right="answer", body=PageAnswer, names={"run_id": "id", "id": "wait"}),
    _page("send", right="answer", body=PageMessage),
    _page("stop", does="stop_run", right="operate", body=StopRequest),
    _page("tag", right="operate", body=TagRequest),
    _page("bulk", right="operate", body=BulkRequest),
)
"""What the page changes, unless it is read-only."""
DRIVES: Final = (
    _page("start", right="start", body=NewRun),
    _page("resume", right="operate", body=OfRun),
    _page("branch", right="operate", body=BranchRequest, names=_NAMES | {"child": "new"}),
    _page("preview", right="operate", body=PreviewRequest),
    _page("form", OfGraph),
    _page("fields", AtStep),
    _page("problems", OfGraph),
)
"""What the page does besides with `--drive`."""
OF_PAGE: Final = (*FILES, *READS, *DOWNLOADS, STREAM, *WRITES, *DRIVES)
TABLE: Final = (*API, *OF_PAGE)
"""All routes but those of doors."""


__all__ = [
    "API",
    "DOWNLOADS",
    "DRIVES",
    "ENDPOINTS",
    "FILES",
    "HEALTH",
    "OF_PAGE",
    "READS",
    "START",
    "STREAM",
    "TABLE",
    "WRITES",
    "Credential",
    "Endpoint",
]
