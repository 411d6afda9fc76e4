"""Find the run that a client means when it continues a conversation or repeats a request. All doors use these rules.

1. An id that the service gave out (of a response, a task or a run) means this run, for everyone who may see the run:
   see `CallersRunner`.
2. A name that a client chose (a thread, a chat, a conversation, or the id of a run) belongs to the client's tenant.
   Clients without a tenant share one more such space of names. Nobody finds a run of another tenant by its name, not
   even a caller who may see the runs of all tenants.
3. A request that is sent again is recognized by its caller, the caller's tenant, its body and its key together.

A request without an id, a name and a key begins a new conversation, with one exception. Official clients of OpenAI
repeat a failed request without a key, and only mark the request as a retry. A retry finds the first run if the caller
is a user, exactly one run fits, its reply is recent, and nobody has continued this run. The caller must be a user
because of this case:

1. Ada and Ann both use the token of the server, or a page that contains the token. Ada sends "Hello" and gets her
   reply.
2. Ann sends "Hello". Her connection breaks before the service has the request, and her client sends the request again.
3. By its caller and body, the request equals Ada's request. If Ann got Ada's run, she would read what Ada writes. So a
   new conversation begins. Paying twice for a first turn is better than showing it to another person.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.errors import UnknownRun
from graphengine.kernel.extension import OwnId, derive_id
from graphengine.serve.callers import caller, require
from graphengine.serve.service.following import rest_of
from graphengine.serve.service.turns import digest, turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.kernel.store import Page, RunInfo
    from graphengine.serve.service.app import Service

CONVERSATION: Final = "ge:conversation:"
"""The prefix of the tag that contains the name of a run's conversation."""
REQUEST: Final = "ge:request:"
"""The prefix of the tag by which a request without a key is recognized when it is sent again."""
_RESPONSES: Final = "ge:responses:"
"""The prefix of the tag that contains the digest of a run's id, by which the ids of its responses name the run."""
UNNAMED: Final = "unnamed-"
"""The prefix of the names of conversations that their clients did not name."""
KEYED: Final = "keyed-"
"""The prefix of the names of conversations that are identified by the key of their first request."""
RETRY_SECONDS: Final = 120.0
"""How many seconds after its reply a request without a key can be repeated.

Clients wait for 8 seconds before they repeat a request, or up to 60 seconds if the server asked for it. While the run
is working, a repeated request is always accepted, because clients choose how long they wait.
"""
_LONGEST_SECONDS: Final = 86400.0
"""Runs that began earlier than this are not searched, because no client waits longer for a reply."""
_MOST_RUNS: Final = 20
_MOST_OTHERS: Final = 1000
"""How many runs of the caller are searched for the thread to which a question belongs."""
_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Conversation:
    """Identifies a conversation of a client with a graph.

    A conversation consists of one or more runs. All these runs have a tag with the name of the conversation.

    Attributes:
        graph: The name of the graph.
        name: The name of the conversation.
        tenant: The tenant of the client; None for a client without a tenant. Two tenants can use the same name.
    """

    graph: str
    name: str
    tenant: str | None

    @property
    def tag(self) -> str:
        """The tag by which the runs of the conversation are found."""
        return OwnId(CONVERSATION + self.name)

    def run_id(self, *after: str) -> str:
        """Return the id of the conversation's first run, or of the run that comes after the run with the id `after`."""
        return derive_id("thread", self.graph, self.name, *map(digest, after), tenant=self.tenant)

    @classmethod
    def of(cls, info: RunInfo) -> Conversation:
        """Return the conversation to which a run belongs, according to the tags of the run.

        Raises:
            UnknownRun: The run does not belong to a conversation.
        """
        for tag in info.tags:
            if tag.startswith(CONVERSATION):
                return cls(info.graph, tag.removeprefix(CONVERSATION), info.tenant)
        repair = "leave out previous_response_id to begin a conversation"
        raise UnknownRun(f"run {info.id} is not a conversation", where="previous_response_id", repair=repair)


@dataclass(frozen=True, slots=True)
class Repeated:
    """Identifies a conversation by its first request, for a client that may be repeating this request.

    The client has marked the request as a retry, but has sent no idempotency key and no name of a conversation. If the
    first copy of the request arrived, the conversation already exists, and is found by the content of the request.

    Attributes:
        graph: The name of the graph.
        request: The digest of the request's content; see `request_digest`.
    """

    graph: str
    request: str


@dataclass(frozen=True, slots=True)
class RunOfResponses:
    """Identifies the run to which a response of OpenAI's API belongs, given only the id of the response.

    Attributes:
        run: The digest of the run's id, which is a part of the ids of the run's responses.
    """

    run: str

    @property
    def tag(self) -> str:
        """The tag by which the run is found."""
        return OwnId(_RESPONSES + self.run)


def request_digest(*parts: object) -> str:
    """Return a digest of a request, by which the same request is recognized when its client sends it again.

    The digest contains the caller. Two digests are therefore equal only if the same caller has sent the same request
    twice.
    """
    who = caller()
    return digest([who.name, who.tenant, *parts])


async def find(service: Service, wanted: str | Conversation | Repeated | RunOfResponses) -> RunInfo | None:
    """Return the newest run of a conversation, or the newest run that fits another description.

    The result is None if there is no such run. The caller then starts a new run.

    Args:
        service: The service.
        wanted: The id of a run that was derived from a name (`Caller.derived_id`), a conversation, a request that a
            client repeats, or the run of a response.

    Raises:
        NotAllowed: The caller does not have the right to read.
    """
    who = require("read")
    found: Sequence[RunInfo]
    match wanted:
        case str(run_id):
            try:
                info = await service.info_of(run_id)
            except UnknownRun:
                return None
            return info if who.owns(info.tenant) else None
        case RunOfResponses():
            found = await service.runner.store.runs(tag=wanted.tag, limit=1)  # only runs that the caller may see
        case Conversation(graph, _, tenant):
            found = await _load_newest_runs(service, {"graph": graph, "tag": wanted.tag, "tenant": tenant}, 1)
        case Repeated(graph, request):
            whose: Page = {"tenant": who.tenant, "user": who.name, "begun_after": time.time() - _LONGEST_SECONDS}
            tagged: Page = {**whose, "graph": graph, "tag": REQUEST + request}
            runs = await _load_newest_runs(service, tagged, _MOST_RUNS) if who.name else []
            found = [info for info in runs if await _may_lack_reply(service, info)]
    return found[0] if len(found) == 1 else None


async def is_nonce_of_another(service: Service, run_id: str, nonce: str) -> bool:
    """Return whether one of the newest runs that the caller can see, apart from the given run, has this nonce.

    The id of a question contains the nonce of the run that asked it. If such a run exists, the client sent the answer
    to the wrong thread. If no run has the nonce, the run that asked the question was removed.
    """
    runs = await service.runner.runs(limit=_MOST_OTHERS)
    return any(nonce == info.nonce for info in runs if info.id != run_id)


async def _load_newest_runs(service: Service, page: Page, most: int) -> Sequence[RunInfo]:
    """Return the newest runs that match the query `page` and belong to the query's tenant.

    A query with the tenant None stands for runs without a tenant. Stores cannot select such runs, so other runs are
    removed here.
    """
    found: list[RunInfo] = []
    page = {**page, "limit": most}
    while True:
        runs = await service.runner.store.runs(**page)
        found += [info for info in runs if info.tenant == page.get("tenant")]
        if len(found) >= most or len(runs) < page["limit"]:
            return found[:most]
        page = {**page, "limit": _PAGE, "before": runs[-1].id}


async def _may_lack_reply(service: Service, info: RunInfo) -> bool:
    """Return whether a client may have missed the reply to the first message of a conversation.

    This decides what a repeated first message means. If the reply may have been lost on its way, the client gets the
    same reply again. Otherwise the message begins a new conversation.

    The reply counts as received if the conversation has further turns or a newer run, or if the run rests (it has ended
    or waits) and was last changed long ago. Because the clocks of servers differ, a time far in the future counts as
    long ago, too.
    """
    is_late = abs(time.time() - info.updated_at) > RETRY_SECONDS
    if len(await turns(service.runner.store, info)) > 1 or (is_late and await rest_of(service, info.id) is not None):
        return False
    newest = await find(service, Conversation.of(info))
    return newest is not None and newest.id == info.id  # otherwise the client has continued the conversation


__all__ = [
    "CONVERSATION",
    "KEYED",
    "REQUEST",
    "UNNAMED",
    "Conversation",
    "Repeated",
    "RunOfResponses",
    "find",
    "is_nonce_of_another",
    "request_digest",
]
