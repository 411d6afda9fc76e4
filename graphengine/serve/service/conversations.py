"""How every door finds the run that a client means, and nothing else does.

1. An id that the service gave out (a response, a task, a run) means this run, to all who see it: see `CallersRunner`.
2. A name that clients choose (a thread, a chat, a conversation, a run's own id) is the tenant's, and to have no tenant
   is to be one more tenant: nobody finds, by a name, what another tenant calls so, not even who sees the runs of all.
3. A request that is sent again is known by its caller, their tenant, its body and its key together.

What has none of these begins anew. Official clients of OpenAI repeat a request without a key, and say only that they do
so; then the caller has to be a user, and the run one that nobody has answered since, of which there is no second:

1. Ada and Ann use the token of the server, or a page that has it. Ada says "Hello", and has her reply.
2. Ann says "Hello". Her connection breaks before the service has the request, and her client sends it again.
3. By caller and body it is Ada's. Taken for hers, it would show Ann what Ada says. So it begins a conversation: a first
   turn that is paid twice is better than one that another person reads.
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
"""What the tag of a run begins with that has the name of its conversation."""
REQUEST: Final = "ge:request:"
"""What the tag of a run begins with by which a request without a key is known if it is sent again."""
UNNAMED: Final = "unnamed-"
"""What the names of conversations begin with to which their clients gave none."""
KEYED: Final = "keyed-"
"""What the names of conversations begin with that are known by the key of their first request."""
RETRY_SECONDS: Final = 120.0
"""How long after its reply a request without a key can come again. Clients wait for 8 seconds, or 60 if told so. While
the run is at work it can always: its client waited as long as it wanted."""
_LONGEST_SECONDS: Final = 86400.0
"""No client waits longer for a reply: runs that began before are not looked at."""
_MOST_RUNS: Final = 20
_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation whose runs follow one another, each with a tag that names it.

    Attributes:
        graph: The graph.
        name: Its name.
        tenant: Whose name it is; None if they have no tenant.
    """

    graph: str
    name: str
    tenant: str | None

    @property
    def tag(self) -> str:
        """The tag of its runs."""
        return OwnId(CONVERSATION + self.name)

    def run_id(self, *after: str) -> str:
        """Return the id of its first run, or of the run after one with this id."""
        return derive_id("thread", self.graph, self.name, *map(digest, after), tenant=self.tenant)

    @classmethod
    def of(cls, info: RunInfo) -> Conversation:
        """Return the conversation of a run. Raises: UnknownRun."""
        for tag in info.tags:
            if tag.startswith(CONVERSATION):
                return cls(info.graph, tag.removeprefix(CONVERSATION), info.tenant)
        raise UnknownRun(f"run {info.id} is not a conversation", where="previous_response_id", repair="begin one")


@dataclass(frozen=True, slots=True)
class Repeated:
    """The first request of a conversation, which its client says to repeat, without a key.

    Attributes:
        graph: The graph.
        request: What the request is known by; see `request_digest`.
    """

    graph: str
    request: str


def request_digest(*parts: object) -> str:
    """Return what a request of the caller is known by: the same only if the same caller sends the same again."""
    who = caller()
    return digest([who.name, who.tenant, *parts])


async def find(service: Service, wanted: str | Conversation | Repeated) -> RunInfo | None:
    """Return the newest run that the caller means; None if there is none, so that one begins.

    Args:
        service: The service.
        wanted: The id that a name has (`Caller.derived_id`), a conversation, or a request that is repeated.

    Raises:
        NotAllowed: The caller may not read.
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
        case Conversation(graph, _, tenant):
            found = await _load_newest_runs(service, {"graph": graph, "tag": wanted.tag, "tenant": tenant}, 1)
        case Repeated(graph, request):
            whose: Page = {"tenant": who.tenant, "user": who.name, "begun_after": time.time() - _LONGEST_SECONDS}
            tagged: Page = {**whose, "graph": graph, "tag": REQUEST + request}
            runs = await _load_newest_runs(service, tagged, _MOST_RUNS) if who.name else []
            found = [info for info in runs if await _may_lack_reply(service, info)]
    return found[0] if len(found) == 1 else None


async def _load_newest_runs(service: Service, page: Page, most: int) -> Sequence[RunInfo]:
    """Return the newest runs of a list and its tenant. Runs without a tenant are found here: no store selects them."""
    found: list[RunInfo] = []
    page = {**page, "limit": most}
    while True:
        runs = await service.runner.store.runs(**page)
        found += [info for info in runs if info.tenant == page.get("tenant")]
        if len(found) >= most or len(runs) < page["limit"]:
            return found[:most]
        page = {**page, "limit": _PAGE, "before": runs[-1].id}


async def _may_lack_reply(service: Service, info: RunInfo) -> bool:
    """Return whether the client that began a run may not have its reply.

    Clocks of servers differ: a run that seems to have rested long before or after now is taken for one that was read.
    """
    is_late = abs(time.time() - info.updated_at) > RETRY_SECONDS
    if len(await turns(service.runner.store, info)) > 1 or (is_late and await rest_of(service, info.id) is not None):
        return False
    newest = await find(service, Conversation.of(info))
    return newest is not None and newest.id == info.id  # else its client went on


__all__ = ["CONVERSATION", "KEYED", "REQUEST", "UNNAMED", "Conversation", "Repeated", "find", "request_digest"]
