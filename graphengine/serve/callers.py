"""Who calls a server, and what they may see and do. Rights and tenants are compared here, and nowhere else.

The guard of a server says who sent a request (`acting`), for as long as it is served, with the streams and tasks that
it begins. A call without a caller is refused, so a door that does not say who calls opens nothing.

A run of another tenant is answered exactly like one that does not exist: `CallersStore` reads a store so.
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
"""To start runs; to answer questions and send messages; to read runs; to stop, resume, branch and tag them."""
ALL: Final = "all"
"""The word for all rights."""
_NEWEST: Final = 1000
"""In how many of the newest runs of a tenant a graph is looked for."""


class NotAllowed(GraphEngineError):
    """The caller is known, and has no right to do this."""

    code = "not_allowed"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Attributes:
        name: The name of the user; "" for one who has the token of the server.
        tenant: The tenant whose runs are all that there is for the caller; None for the runs of all.
        rights: What the caller may do.
        until: When their token is over, epoch seconds; a stream ends then.
    """

    name: str
    tenant: str | None = None
    rights: frozenset[Right] = frozenset(RIGHTS)
    until: float = field(default=math.inf, compare=False)

    @property
    def sees_all(self) -> bool:
        """Whether the runs of all tenants exist for the caller."""
        return self.tenant is None

    def sees(self, tenant: str | None) -> bool:
        """Return whether the runs of a tenant exist for the caller."""
        return self.tenant in (None, tenant)

    def owns(self, tenant: str | None) -> bool:
        """Return whether the names of a tenant, or of those who have none, are the caller's own."""
        return self.tenant == tenant

    def may(self, *rights: Right) -> bool:
        """Return whether the caller has one of these rights."""
        return not self.rights.isdisjoint(rights)

    def own_id(self, run_id: str) -> str:
        """Return the id of the run that the caller calls so; see `tenants_id`. Raises: InputError."""
        return tenants_id(self.tenant, run_id)

    def derived_id(self, kind: str, *parts: str) -> str:
        """Return the id of the caller's run for something that has these names."""
        return derive_id(kind, *parts, tenant=self.tenant)


class RequestId(str):
    """The id of a run that a request begins: only its own user sends it again. Other ids are names of a tenant."""

    __slots__ = ()


NOBODY: Final = Caller("nobody", "", frozenset())
"""The caller if none was given: it sees no run and has no right."""
_CALLER: Final[ContextVar[Caller]] = ContextVar("graphengine.caller", default=NOBODY)


def caller() -> Caller:
    """Return who calls."""
    return _CALLER.get()


def require(right: Right) -> Caller:
    """Return who calls. Raises: NotAllowed: They have not this right."""
    found = _CALLER.get()
    if not found.may(right):
        who, what = found.name or "this caller", f"no right to {right} here: they have {_format_rights(found.rights)}"
        repair = "ask who runs the server, for whom `graphengine users add` sets the rights of a user"
        raise NotAllowed(f"{who} has {what}", where=f"right {right}", repair=repair)
    return found


def starting(tenant: str | None = None, user: str | None = None, *, goes_before: bool = False) -> dict[str, Any]:
    """Return for which tenant, and in whose name, the caller starts a run: options of `Runner.start`.

    Args:
        tenant: The tenant that was asked for.
        user: The name that was asked for.
        goes_before: Whether the run would go before those of others.

    Raises:
        NotAllowed: They may not start it, or not so.
        InputError: It would be in another user's name.
    """
    who = require("start")
    if who.tenant is not None:
        if tenant not in (None, who.tenant):
            text, repair = f"{who.name} starts runs of tenant {who.tenant} only", "leave tenant out"
            raise NotAllowed(text, where="parameter tenant", repair=repair)
        if goes_before:
            require("operate")
        tenant = who.tenant
    return {"tenant": tenant, "user": signed_by(user or "", "start a run", "parameter user") or None}


def signed_by(by: str, what: str = "answer", where: str = "by") -> str:
    """Return in whose name the caller acts: a user in their own, one who has the token of the server in any.

    Raises:
        InputError: A user acts in another's name.
    """
    who = caller().name
    if who and by not in ("", who):
        text, repair = f"{who} cannot {what} in the name of {by}", "leave it out: the name of the user is recorded"
        raise InputError(text, where=where, repair=repair)
    return who or by


@contextmanager
def acting(who: Caller) -> Iterator[None]:
    """Let a caller be the one who calls during a block."""
    before = _CALLER.set(who)
    try:
        yield
    finally:
        _CALLER.reset(before)


def _format_rights(rights: frozenset[Right]) -> str:
    return ", ".join(each for each in RIGHTS if each in rights) or "none"


def no_run(run_id: str, graphs: Collection[str] | None = None) -> UnknownRun:
    """Return the error for a run that does not exist for the caller, among those of some graphs, or of all."""
    if graphs is None:
        return unknown_run(run_id)
    message = f"this service has no run {run_id!r}"
    return UnknownRun(message, where=f"run {run_id!r}", repair="GET /runs lists its runs")


class CallersStore:
    """The reads of a store, of the runs that exist for the caller.

    What is not defined here cannot be read through it.

    Args:
        store: The store.
        graphs: The graphs whose runs there are; None for all.
    """

    def __init__(self, store: Store, graphs: Collection[str] | None = None) -> None:
        self._store = store
        self._graphs = graphs

    @classmethod
    def of(cls, store: Store, graphs: Collection[str] | None = None) -> Store:
        """Return the store as it is read by what takes a Store."""
        return cast("Store", cls(store, graphs))

    def _has(self, info: RunInfo) -> bool:
        """Return whether a run exists for the caller."""
        return caller().sees(info.tenant) and (self._graphs is None or info.graph in self._graphs)

    @property
    def _has_all(self) -> bool:
        return self._graphs is None and caller().sees_all

    async def info(self, run_id: str) -> RunInfo:
        """Return the facts about a run."""
        with suppress(UnknownRun):
            info = await self._store.info(run_id)
            if self._has(info):
                return info
        raise no_run(run_id, self._graphs)

    async def infos(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the facts about each of these runs."""
        return [info for info in await self._store.infos(run_ids) if self._has(info)]

    async def owners(self) -> Sequence[OwnerInfo]:
        """Return the processes that are alive, without their runs; none for a caller with a tenant."""
        found = await self._store.owners() if caller().sees_all else ()
        return [replace(each, runs=(), driven=0) for each in found]

    async def branches(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the direct branches of these runs."""
        return [info for info in await self._store.branches(run_ids) if self._has(info)]

    async def started(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        """Return the runs that nodes of these runs started."""
        return [info for info in await self._store.started(run_ids) if self._has(info)]

    async def load(self, run_id: str, upto: int | None = None) -> Loaded:
        """Return a snapshot and the steps after it."""
        with suppress(UnknownRun):
            found = await self._store.load(run_id, upto)
            if self._has(found.info):
                return found
        raise no_run(run_id, self._graphs)

    async def steps(self, run_id: str, after: int = 0, upto: int | None = None) -> Sequence[Step]:
        """Return a range of a log."""
        if not self._has_all:
            await self.info(run_id)
        return await self._store.steps(run_id, after, upto)

    async def inbox(self, run_ids: Sequence[str]) -> Sequence[InboxMessage]:
        """Return the undelivered messages of these runs."""
        if not self._has_all:
            run_ids = [info.id for info in await self.infos(run_ids)]
        return await self._store.inbox(run_ids)

    async def message_keys(self, run_id: str, newest: int | None = None) -> Mapping[str, int]:
        """Return the keys of a run's messages."""
        if not self._has_all:
            await self.info(run_id)
        return await self._store.message_keys(run_id, newest)

    async def runs(self, **page: Unpack[Page]) -> Sequence[RunInfo]:
        """Return a page of the list of runs, of several graphs in the order in which they began."""
        before = page.get("before")
        if before is not None:
            await self.info(before)
        found = [info for own in self._pages(page) for info in await self._store.runs(**own)]
        if self._graphs is None or len(self._graphs) == 1:
            return found
        return sorted(found, key=lambda info: (info.created_at, info.id), reverse=True)[: page.get("limit", 100)]

    async def counts(self, **page: Any) -> Sequence[Count]:  # noqa: ANN401 - the words of Store.counts
        """Return how many runs there are."""
        own = _restrict_to_tenant(cast("Page", page))
        found: Sequence[Count] = await self._store.counts(**own) if own is not None else []  # type: ignore[misc]
        return [each for each in found if self._graphs is None or each.graph in self._graphs]

    async def summaries(self, page: Page, *rest: Any) -> Any:  # noqa: ANN401 - as `records.trends` asks for them
        """Return the summaries of many runs."""
        from graphengine.records.trends import summaries  # noqa: PLC0415 - only what counts runs needs it

        return [each for own in self._pages(page) for each in await summaries(self._store, own, *rest)]

    async def unsearched(self, page: Page, names: Mapping[str, bool]) -> int | None:
        """Return how many runs lack a field by which others of their graph are found."""
        from graphengine.records.selection import count_lacking  # noqa: PLC0415 - only what lists runs needs it

        found = [await count_lacking(self._store, own, names) for own in self._pages(page)]
        return sum(filter(None, found)) if any(each is not None for each in found) else None

    def _pages(self, page: Page) -> Sequence[Page]:
        """Return what is asked of all runs as it is asked of those that exist for the caller."""
        own, graphs = _restrict_to_tenant(page), self._graphs
        if own is None or graphs is None:
            return [] if own is None else [own]
        wanted = own.get("graph")
        return [{**own, "graph": name} for name in graphs if wanted in {None, name}]

    async def graph_spec(self, fingerprint: str) -> GraphSpec | None:
        """Return the spec of a graph of which a run exists for the caller."""
        if not self._has_all:
            newest = await self.runs(limit=_NEWEST)
            if all(info.fingerprint != fingerprint for info in newest):
                return None
        return await self._store.graph_spec(fingerprint)

    async def code(self, code: str) -> Code | None:
        """Return what is recorded about the code of a graph of which a run exists for the caller."""
        if not self._has_all and all(info.code != code for info in await self.runs(limit=_NEWEST)):
            return None
        return await self._store.code(code)


def _restrict_to_tenant(page: Page) -> Page | None:
    """Return what is asked of all runs as it is asked of the caller's; None if there are none."""
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
