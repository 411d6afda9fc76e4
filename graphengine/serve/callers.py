"""The caller of a server, and what the caller may see and do. Only this module compares rights and tenants.

The guard of a server determines who sent a request, and calls `acting` for as long as the request is served. The caller
also applies to the streams and tasks that the request starts. If nobody called `acting`, the caller is `NOBODY`, who
has no right.

For a caller with a tenant, a run of another tenant is reported like a run that does not exist. `CallersStore` limits
the reads of a store in this way.
"""

from __future__ import annotations

import math
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast, get_args

from graphengine.errors import GraphEngineError, InputError, UnknownRun
from graphengine.kernel.extension import derive_id, tenants_id
from graphengine.kernel.store import unknown_run

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from typing_extensions import Unpack

    from graphengine.kernel.reader import GraphSpec, Step
    from graphengine.kernel.store import Code, Count, InboxMessage, Loaded, OwnerInfo, Page, RunInfo, Store

Right: TypeAlias = Literal["start", "answer", "read", "operate"]
RIGHTS: Final[tuple[Right, ...]] = get_args(Right)
"""The rights to start runs; to answer questions and send messages; to read runs; to stop, branch and tag runs."""
ALL: Final = "all"
"""The word for all rights."""
_NEWEST: Final = 1000
"""The number of the newest visible runs among which a run of a graph is searched, before the graph is shown."""


class NotAllowed(GraphEngineError):
    """The caller of a server is known, but does not have the right that this request needs."""

    code = "not_allowed"


@dataclass(frozen=True, slots=True)
class Caller:
    """The person or program that sent the current request to a server, with the tenant and the rights of the sender.

    Attributes:
        name: The name of the user; "" for a caller who sent the server's own token instead of a user's token.
        tenant: The only tenant whose runs the caller can see; None if the caller can see the runs of all tenants.
        rights: The rights of the caller.
        until: When the caller's token expires, in epoch seconds. Streams to the caller end then.
    """

    name: str
    tenant: str | None = None
    rights: frozenset[Right] = frozenset(RIGHTS)
    until: float = field(default=math.inf, compare=False)

    @property
    def sees_all(self) -> bool:
        """Whether the caller can see the runs of all tenants."""
        return self.tenant is None

    def sees(self, tenant: str | None) -> bool:
        """Return whether the caller can see the runs of a tenant."""
        return self.tenant in (None, tenant)

    def owns(self, tenant: str | None) -> bool:
        """Return whether a run belongs to the tenant of the caller, given the tenant of the run.

        A caller without a tenant can see the runs of all tenants, but owns only the runs that have no tenant.
        """
        return self.tenant == tenant

    def may(self, *rights: Right) -> bool:
        """Return whether the caller has at least one of these rights."""
        return not self.rights.isdisjoint(rights)

    def own_id(self, run_id: str) -> str:
        """Convert the id that a caller chose for a run to the id in the store, which also contains the caller's tenant.

        Two tenants can therefore choose the same id. See `tenants_id`.

        Raises:
            InputError: The text cannot be the id of a run.
        """
        return tenants_id(self.tenant, run_id)

    def derived_id(self, kind: str, *parts: str) -> str:
        """Derive the id of a run from names, such as a graph and an idempotency key, and from the caller's tenant.

        The same names always result in the same id, so a repeated request finds the run that the first request started.
        """
        return derive_id(kind, *parts, tenant=self.tenant)


class RequestId(str):
    """The id of a run that the server derived from a request's idempotency key.

    Only the user who sent the request can get this run by sending the request again. Ids that callers choose themselves
    can be used by everybody in the caller's tenant.
    """

    __slots__ = ()


NOBODY: Final = Caller("nobody", "", frozenset())
"""The caller of code that runs outside `acting`. This caller sees no run and has no right."""
_CALLER: Final[ContextVar[Caller]] = ContextVar("graphengine.caller", default=NOBODY)


def caller() -> Caller:
    """Return the caller of the current request."""
    return _CALLER.get()


def require(right: Right) -> Caller:
    """Return who sent the current request, after checking that this caller has a certain right, such as `read`.

    Raises:
        NotAllowed: The caller does not have the right.
    """
    found = _CALLER.get()
    if not found.may(right):
        rights = ", ".join(each for each in RIGHTS if each in found.rights) or "none"
        who = repr(found.name) if found.name else "this caller"
        repair = "ask the operator of the server to grant the right with `graphengine users add`"
        message = f"{who} has no right to {right} here, and has only these rights: {rights}"
        raise NotAllowed(message, where=f"right {right}", repair=repair)
    return found


def starting(tenant: str | None = None, user: str | None = None, *, goes_before: bool = False) -> dict[str, Any]:
    """Check that the caller may start a run, and return the arguments `tenant` and `user` to pass to `Runner.start`.

    Args:
        tenant: The tenant that the request names; None for the caller's own tenant.
        user: The user that the request names; None for the caller's own name.
        goes_before: Whether the run would overtake runs of other tenants, because of its queue or its priority. A
            caller with a tenant then also needs the right `operate`.

    Raises:
        NotAllowed: The caller may not start runs, not for this tenant, or not with this priority.
        InputError: The caller is a user and names another user.
    """
    who = require("start")
    if who.tenant is not None:
        if tenant not in (None, who.tenant):
            text, repair = f"{who.name!r} can start only runs of the tenant {who.tenant!r}", "leave out tenant"
            raise NotAllowed(text, where="parameter tenant", repair=repair)
        if goes_before:
            require("operate")
        tenant = who.tenant
    return {"tenant": tenant, "user": signed_by(user or "", "start a run", "parameter user") or None}


def signed_by(by: str, what: str = "answer", where: str = "by") -> str:
    """Return the name to record for an action of the caller.

    A user always acts under the user's own name. A caller with the server's own token may give any name.

    Raises:
        InputError: The caller is a user and gives the name of somebody else.
    """
    who = caller().name
    if who and by not in ("", who):
        text = f"{who} cannot {what} in the name of {by!r}"
        repair = (
            f"leave out {where.removeprefix('parameter ')}: the server records the name of the user who is signed in"
        )
        raise InputError(text, where=where, repair=repair)
    return who or by


@contextmanager
def acting(who: Caller) -> Iterator[None]:
    """Make a person or program the caller of the current request until the end of the `with` block.

    Args:
        who: The caller, whom functions in the block get from `caller()`.
    """
    before = _CALLER.set(who)
    try:
        yield
    finally:
        _CALLER.reset(before)


def no_run(run_id: str, graphs: Collection[str] | None = None) -> UnknownRun:
    """Return the error for a run id that does not exist, or whose run the caller may not see.

    The error is the same in both cases. Otherwise a caller could find out which run ids of other tenants exist.

    Args:
        run_id: The id of the run.
        graphs: The graphs that this server serves, which the error message names; None if it serves all graphs.
    """
    if graphs is None:
        return unknown_run(run_id)
    message = f"this service has no run {run_id!r}"
    return UnknownRun(message, where=f"run {run_id!r}", repair="use the id of one of the runs that GET /runs lists")


class CallersStore:
    """A view of a store that contains only the runs which the current caller can see.

    Only the methods of this class can be called, and none of them changes the store.

    Args:
        store: The store.
        graphs: Include only runs of these graphs; None includes all.
    """

    def __init__(self, store: Store, graphs: Collection[str] | None = None) -> None:
        self._store = store
        self._graphs = graphs

    @classmethod
    def of(cls, store: Store, graphs: Collection[str] | None = None) -> Store:
        """Return a `CallersStore` with the type `Store`, for functions that expect a store and only read from it."""
        return cast("Store", cls(store, graphs))

    def _has(self, info: RunInfo) -> bool:
        return caller().sees(info.tenant) and (self._graphs is None or info.graph in self._graphs)

    @property
    def _has_all(self) -> bool:
        return self._graphs is None and caller().sees_all

    async def info(self, run_id: str) -> RunInfo:
        """Return what the list of runs shows about a run (`RunInfo`), such as its graph, status and times."""
        with suppress(UnknownRun):
            info = await self._store.info(run_id)
            if self._has(info):
                return info
        raise no_run(run_id, self._graphs)

    async def infos(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the `RunInfo` of each of these runs that exists and that the caller can see."""
        return [info for info in await self._store.infos(run_ids) if self._has(info)]

    async def owners(self) -> Sequence[OwnerInfo]:
        """Return the live processes that drive runs, without saying which and how many runs each process drives.

        A caller with a tenant gets an empty list, because a process can drive runs of several tenants.
        """
        found = await self._store.owners() if caller().sees_all else ()
        return [replace(each, runs=(), driven=0) for each in found]

    async def branches(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        return [info for info in await self._store.branches(run_ids) if self._has(info)]

    async def started(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the child runs that nodes of these runs started."""
        return [info for info in await self._store.started(run_ids) if self._has(info)]

    async def load(self, run_id: str, upto: int | None = None) -> Loaded:
        """Load the state of a run in the form in which the store keeps it: a snapshot, and the steps after it."""
        with suppress(UnknownRun):
            found = await self._store.load(run_id, upto)
            if self._has(found.info):
                return found
        raise no_run(run_id, self._graphs)

    async def steps(self, run_id: str, after: int = 0, upto: int | None = None) -> Sequence[Step]:
        """Return the steps of a run's log after `after`, up to and including `upto`."""
        if not self._has_all:
            await self.info(run_id)
        return await self._store.steps(run_id, after, upto)

    async def inbox(self, run_ids: Sequence[str]) -> Sequence[InboxMessage]:
        """Return the messages to these runs that the runs have not received yet."""
        if not self._has_all:
            run_ids = [info.id for info in await self.infos(run_ids)]
        return await self._store.inbox(run_ids)

    async def message_keys(self, run_id: str, newest: int | None = None) -> Mapping[str, int]:
        """Return the idempotency keys of the messages that were sent to a run."""
        if not self._has_all:
            await self.info(run_id)
        return await self._store.message_keys(run_id, newest)

    async def runs(self, **page: Unpack[Page]) -> Sequence[RunInfo]:
        """Return a page of the list of runs, newest first. The runs of several graphs are merged into one list."""
        before = page.get("before")
        if before is not None:
            await self.info(before)
        found = [info for own in self._pages(page) for info in await self._store.runs(**own)]
        if self._graphs is None or len(self._graphs) == 1:
            return found
        return sorted(found, key=lambda info: (info.created_at, info.id), reverse=True)[: page.get("limit", 100)]

    async def counts(self, **page: Any) -> Sequence[Count]:  # noqa: ANN401 - the words of Store.counts
        """Return how many runs there are, by graph, status and the interval in which they began."""
        own = _restrict_to_tenant(cast("Page", page))
        found: Sequence[Count] = await self._store.counts(**own) if own is not None else []  # type: ignore[misc]
        return [each for each in found if self._graphs is None or each.graph in self._graphs]

    async def summaries(self, page: Page, *rest: Any) -> Any:  # noqa: ANN401 - as `records.trends` asks for them
        """Return the summaries of the runs that a query finds, grouped as `records.trends.summaries` does."""
        from graphengine.records.trends import summaries  # noqa: PLC0415 - only what counts runs needs it

        return [each for own in self._pages(page) for each in await summaries(self._store, own, *rest)]

    async def unsearched(self, page: Page, names: Mapping[str, bool]) -> int | None:
        """Return how many runs a search over state fields cannot judge, because their state lacks a searched field.

        Example: a search for `score>3` cannot judge a run whose state has no field `score`. Such a run only counts if
        other runs of the same graph have the field. The result is None if no run has the field.
        """
        from graphengine.records.selection import count_lacking  # noqa: PLC0415 - only what lists runs needs it

        found = [await count_lacking(self._store, own, names) for own in self._pages(page)]
        return sum(filter(None, found)) if any(each is not None for each in found) else None

    def _pages(self, page: Page) -> Sequence[Page]:
        """Return the queries that together find the runs which the current caller may see.

        If this server serves only some graphs, there is one query for each of these graphs. The list is empty if `page`
        selects a tenant or a graph that the caller cannot see.
        """
        own, graphs = _restrict_to_tenant(page), self._graphs
        if own is None or graphs is None:
            return [] if own is None else [own]
        wanted = own.get("graph")
        return [{**own, "graph": name} for name in graphs if wanted in {None, name}]

    async def graph_spec(self, fingerprint: str) -> GraphSpec | None:
        """Return the recorded description of a version of a graph.

        A caller who cannot see all runs gets it only if one of the newest runs that the caller can see has this
        version; otherwise the result is None.
        """
        if not self._has_all:
            newest = await self.runs(limit=_NEWEST)
            if all(info.fingerprint != fingerprint for info in newest):
                return None
        return await self._store.graph_spec(fingerprint)

    async def code(self, code: str) -> Code | None:
        """Return the recorded information about a graph's code, if the caller can see a run with this code."""
        if not self._has_all and all(info.code != code for info in await self.runs(limit=_NEWEST)):
            return None
        return await self._store.code(code)


def _restrict_to_tenant(page: Page) -> Page | None:
    """Limit a query for runs to the tenant of the caller, so that the caller only finds runs of this tenant.

    Returns:
        The query with the caller's tenant; unchanged if the caller can see all tenants. None if the query names another
        tenant, so that no run can match.
    """
    tenant = caller().tenant
    if tenant is None:
        return page
    return {**page, "tenant": tenant} if page.get("tenant") in {None, tenant} else None


__all__ = [
    "ALL",
    "NOBODY",
    "RIGHTS",
    "Caller",
    "CallersStore",
    "NotAllowed",
    "RequestId",
    "Right",
    "acting",
    "caller",
    "no_run",
    "require",
    "signed_by",
    "starting",
]
