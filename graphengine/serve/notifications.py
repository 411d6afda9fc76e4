"""Notifications: a question of a run, its end, its failure or its losses goes out as a signed webhook, at least once.

1. The step after which a run waits for a person, or is over, posts a line of news to the inbox of one run of the
   store, `OUTBOX`, in one transaction (`Extension.told`). A process that dies loses none.
2. `Notifications.delivering` reads that inbox, and starts a run for each webhook that wants the news. Its id is derived
   from the news and the webhook, so that news which is read twice starts nothing more. Then the news is removed.
3. That run posts to the webhook, and tries again by the `Retry` of its node; it is in lists like any other. It reminds,
   if the question is still open, after a sleep.

A webhook's address and secret are in no log: a run has its name. What else goes out, as push notifications of A2A do,
finds its news and makes its posts in a class of its own, and the rest is here.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import os
import time
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple
from urllib.parse import urlencode
from weakref import WeakSet

import msgspec
from pydantic import BaseModel
from pydantic_core import to_json

from graphengine.addresses import is_http, request
from graphengine.agents.tool_threads import CallThread, threads_of
from graphengine.api.graph import Graph
from graphengine.errors import (
    AnsweredAlready,
    DefinitionError,
    InputError,
    NotDelivered,
    RunExists,
    RunIsDriven,
    RunReplaced,
    StoreError,
    Transient,
    UnknownRun,
    UnknownStep,
)
from graphengine.kernel.extension import (
    END,
    START,
    Context,
    Extension,
    OwnId,
    Retry,
    derive_id,
    did_you_mean,
    is_seconds,
    value,
)
from graphengine.kernel.extension import Runner as CoreRunner
from graphengine.kernel.inside import UNREADABLE, question_of, wait_of
from graphengine.kernel.reader import OVER, Started, load_snapshot, losses_of
from graphengine.kernel.store import Append, Post
from graphengine.records.now import load_now
from graphengine.runner import opening
from graphengine.serve.signatures import key_of, signed
from graphengine.wings import ProjectBroken
from graphengine.wings import Settings as ProjectSettings
from graphengine.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping

    from graphengine.kernel.extension import OpenRun
    from graphengine.kernel.reader import RunStatus, Snapshot
    from graphengine.kernel.store import RunInfo, Store

OUTBOX: Final = "notifications"
"""The run whose inbox has the news that was not handed on yet, and the queue of the runs that deliver. It goes on."""
KINDS: Final = ("asked", "finished", "failed", "stopped", "cancelled", "losses")
"""What news is about: a question to a person, or an end; `losses` is a run that finished and lost something."""
_LOG: Final = logging.getLogger("graphengine")
_TEXT_CHARACTERS: Final = 4000
_LOOK_SECONDS: Final = 1.0
_AT_ONCE: Final = 16
_LONGEST_PAUSE: Final = 60.0
_REMINDERS: Final = 10
_RETRY: Final = Retry(attempts=17, initial_seconds=1.0, multiplier=2.5, max_seconds=3600.0, on=(Transient, OSError))
"""Some eight hours."""
_TRY_LATER: Final = (408, 425, 429)
"""Statuses below 500 that pass, so that the webhook is tried again."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where news goes.

    Args:
        name: Its name, by which runs that deliver to it are found.
        url: Its address, http or https. Redirects are not followed.
        secret: What requests are signed with, as Standard Webhooks do; `whsec_` and base64, or any text.
        kinds: Which news: see `KINDS`.
        graphs: Only that of runs of these graphs; None for all.
        tag: Only that of runs with this tag.
        tenant: Only that of runs of this tenant.
        link: The address of an inspector, as of `graphengine inspect --shared`, where people answer and look at runs.
        state: Whether the run's state is sent too, as it is recorded, so that secret fields are encrypted.
        remind_seconds: After how long a question that is still open is sent again, up to ten times; None for never.
        timeout_seconds: How long one request may take, to the last byte of the answer's head.

    Raises:
        DefinitionError: An argument is invalid.
    """

    name: str
    url: str = field(repr=False)
    secret: str = field(repr=False)
    kinds: Collection[str] = ("asked", "failed")
    graphs: Collection[str] | None = None
    tag: str | None = None
    tenant: str | None = None
    link: str = ""
    state: bool = False
    remind_seconds: float | None = None
    timeout_seconds: float = 10.0

    def __post_init__(self) -> None:
        where = f"webhook {self.name}"
        if not is_http(self.url):
            raise DefinitionError(
                "its url is not an address of http or https", where=where, repair="give https://HOST/PATH"
            )
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or isinstance(self.kinds, str):
            raise DefinitionError(
                f"kinds={self.kinds!r} is not valid", where=where, repair=f"give some of {', '.join(KINDS)}"
            )
        for name in ("remind_seconds", "timeout_seconds"):
            given = getattr(self, name)
            if given is not None and not is_seconds(given):
                raise DefinitionError(f"{name}={given!r} is not valid", where=where, repair="give seconds above 0")
        try:
            key = key_of(self.secret)
        except ValueError:
            key = b""
        if not key:
            raise DefinitionError("its secret cannot be used", where=where, repair="whsec_ and base64, or any text")

    def wants(self, info: RunInfo) -> bool:
        """Return whether it wants news of a run."""
        is_of = self.graphs is None or info.graph in self.graphs
        is_of = is_of and (self.tag is None or self.tag in info.tags)
        return is_of and (self.tenant is None or self.tenant == info.tenant)


class News(BaseModel):
    """A notification: what its run knows of it."""

    webhook: str = ""
    kind: str = ""
    run_id: str = ""
    nonce: str = ""
    seq: int = 0
    wait_id: str = ""
    to: str = ""
    by: str = ""
    reminders: int = 0
    is_open: int = 0


class Posting(NamedTuple):
    """A request to send.

    Attributes:
        post: Sends it, and returns the status of the answer.
        shares: For whom it is, such as a webhook, a tenant or a host: none of them has all places at once.
    """

    post: Callable[[], int]
    shares: Collection[str]


class _Told(msgspec.Struct):
    """News as it is in the outbox; `wait_id` if it is of this question alone."""

    run_id: str
    seq: int
    wait_id: str = ""
    to: str = ""
    by: str = ""
    nonce: str = ""


class _WebhookMessage(msgspec.Struct):
    payload: _Told


async def rest(ctx: Context) -> None:
    """Do nothing: what a run is for is in its inbox, or in its state."""
    await ctx.sleep(math.inf)


_OUTBOX_GRAPH: Final = Graph("outbox", News)
_OUTBOX_GRAPH.add_node("rest", rest)
_OUTBOX_GRAPH.add_path(START, "rest", END)
_OWN: Final = ("outbox", "notification", "a2a push", "a2a notification")
"""The graphs of runs that deliver, or that say where to."""


class _Deliverer(Worker):
    """A worker beside another one: a store has one role, which says what that one takes, and which runs it removes."""

    async def _introduce(self) -> None:
        await self._runner.store.open()


class Notifications(Extension):
    """Sends news of the runs that a Runner drives to webhooks: `Runner(extensions=[notifications])`.

    Every process that drives runs needs it; one or more of them deliver.

    Args:
        webhooks: Where news goes.
        retry: How often, and how long, a webhook is tried that does not answer; by default for some eight hours.

    Attributes:
        name: The name of the graph whose runs deliver.

    Example:
        >>> approver = Webhook("approver", "https://example.org/asked", "whsec_c2VjcmV0", link="https://runs.example.org")
        >>> async def main() -> None:
        ...     notifications = Notifications(approver)
        ...     async with Runner("runs.db", extensions=[notifications]) as runner:
        ...         async with notifications.delivering(runner):
        ...             await runner.start(count).result()
        >>> asyncio.run(main())
    """

    name: ClassVar = "notification"

    def __init__(self, *webhooks: Webhook, retry: Retry = _RETRY) -> None:
        self._retry = retry
        self._webhooks: Mapping[str, Webhook] = {webhook.name: webhook for webhook in webhooks}
        if len(self._webhooks) < len(webhooks):
            raise DefinitionError("two webhooks have one name", where="Notifications(", repair="name each differently")
        self._kinds = {kind for webhook in webhooks for kind in webhook.kinds}
        self._known: WeakSet[Store] = WeakSet()  # stores that have an outbox
        self._has_news = asyncio.Event()
        self._posting: dict[str, Collection[str]] = {}  # for whom answers are awaited, by run
        self._store: Store

    async def opened(self, run: OpenRun) -> None:
        """Make sure that there is an outbox before a run can post to it."""
        await self.open_outbox(run.store)

    def told(self, snapshot: Snapshot, status: RunStatus) -> Post | None:
        """Return the news of a run that gets a status."""
        if snapshot.graph in _OWN or not self._is_news(snapshot, status):
            return None
        self._has_news.set()
        news = {"run_id": snapshot.run_id, "seq": snapshot.seq, "nonce": snapshot.nonce}
        key = f"news {snapshot.run_id} {snapshot.seq} {snapshot.nonce}"
        return Post(OUTBOX, "message", {"topic": "news", "payload": news}, key)

    def _is_news(self, snapshot: Snapshot, status: RunStatus) -> bool:
        if status == "waiting":
            return "asked" in self._kinds and any(_questions(snapshot))
        return status in self._kinds or (status == "finished" and "losses" in self._kinds)

    @asynccontextmanager
    async def delivering(self, runner: CoreRunner) -> AsyncGenerator[None]:
        """Deliver news inside this block: also that of other processes, and what an earlier one left."""
        await runner.store.open()
        self._store, self._has_news = runner.store, asyncio.Event()  # of this event loop
        await self.open_outbox(runner.store)
        worker = _Deliverer(runner, self.graph(), queues=[OUTBOX], concurrency=_AT_ONCE, poll_seconds=_LOOK_SECONDS)
        tasks = [asyncio.create_task(each) for each in (worker.run(), self._hand_on(runner, worker))]
        try:
            yield
        finally:
            worker.stop()
            tasks[1].cancel()
            # 1. A run was taken before the worker was stopped, and still reads what it sends. 2. Runs with a request in
            # progress are released: the next process sends it again. 3. The first one begins its request: once more.
            while not tasks[0].done():
                for run_id in list(self._posting):
                    await runner.release(run_id, now=True)
                await asyncio.wait(tasks[:1], timeout=_LOOK_SECONDS / 20)
            await asyncio.gather(*tasks, return_exceptions=True)

    async def open_outbox(self, store: Store) -> None:
        """Begin the run whose inbox has the news. It rests before news comes: what drove it would take that up."""
        if store not in self._known:
            with suppress(RunExists):
                await CoreRunner(store).start(_OUTBOX_GRAPH, run_id=OUTBOX, wait_out=False).result()
            self._known.add(store)

    # --- from the outbox to runs that deliver -------------------------------------------------------------------------

    async def _hand_on(self, runner: CoreRunner, worker: Worker) -> None:
        """Hand on news, until it is cancelled; what the store cannot do now is tried again."""
        while True:
            with suppress(StoreError):
                if await self.hand_on(runner):
                    worker.look_now()
            self._has_news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._has_news.wait()
                    await asyncio.sleep(_LOOK_SECONDS / 20)  # it is being recorded

    async def hand_on(self, runner: CoreRunner) -> int:
        """Start the runs that deliver the news in the outbox, once; return how much news there was."""
        store = runner.store
        inbox = await store.inbox([OUTBOX])
        for message in inbox:
            try:
                await self._start(runner, msgspec.convert(message.payload, _WebhookMessage).payload)
            except (UnknownRun, RunReplaced, UnknownStep, *UNREADABLE) as error:  # removed, or not to be read here
                _LOG.warning("news is not sent: %s", error)
            except msgspec.ValidationError as error:  # another message to this run, such as a stop
                _LOG.warning("a message to run %s is no news: %s", OUTBOX, error)
        if inbox:
            with suppress(RunIsDriven):  # another process hands on the same, which starts nothing twice
                fence = await store.claim(OUTBOX)
                try:
                    status = (await store.info(OUTBOX)).status  # it may be stopped: news is handed on nevertheless
                    written = store.append(Append(OUTBOX, fence, (), status, [message.id for message in inbox]))
                    if written is not None:
                        await written
                finally:
                    await opening.release(store, OUTBOX, fence)
        return len(inbox)

    async def _start(self, runner: CoreRunner, found: _Told) -> None:
        info = await runner.store.info(found.run_id)
        info.check_nonce(found.nonce, "the news")
        snapshot = await load_snapshot(runner.store, info.id, found.seq)
        for webhook in self._webhooks.values():
            for kind, wait_id in _kinds_of(snapshot) if webhook.wants(info) else ():
                if kind not in webhook.kinds or found.wait_id not in ("", wait_id):
                    continue
                news = News(webhook=webhook.name, kind=kind, run_id=info.id, seq=snapshot.seq, to=found.to, by=found.by)
                news.wait_id, news.nonce = wait_id, info.nonce
                await self.deliver(runner, news, info.tenant)

    async def deliver(self, runner: CoreRunner, news: News, tenant: str | None) -> None:
        """Start the run that delivers news, unless it was started."""
        what = [news.webhook, news.run_id, news.kind, news.wait_id or f"{news.seq} {news.nonce}".strip(), news.to]
        run_id = OwnId(derive_id("notice", hashlib.sha256(to_json(what)).hexdigest()[:20]))
        tags = [f"about:{news.run_id}"[:100], f"to:{news.webhook}"[:100]]
        with suppress(RunExists):
            await runner.start(self.graph(), news, run_id=run_id, queue=OUTBOX, tags=tags, tenant=tenant).result()

    # --- a run that delivers ------------------------------------------------------------------------------------------

    def graph(self) -> Graph[News]:
        """Return the graph of a notification, which sends it, and reminds."""
        graph = Graph(self.name, News)
        graph.add_node("send", self._send, writes="reminders", retry=self._retry)
        graph.add_node("remind", self._remind, writes="is_open")
        graph.add_edge(START, "send")
        graph.add_edge("send", "remind", when=value("reminders") > 0)
        graph.add_edge("send", END)
        graph.add_edge("remind", "send", when=value("is_open") > 0)
        graph.add_edge("remind", END)
        return graph

    def _webhook(self, name: str) -> Webhook:
        if name not in self._webhooks:
            repair = "configure it again, and resume this run; or remove the run"
            raise NotDelivered(f"no webhook {name!r} is configured here", where=f"webhook {name}", repair=repair)
        return self._webhooks[name]

    async def _send(self, ctx: Context, state: News) -> int:
        """Send a notification; return how many reminders may follow."""
        posting, where = await self.post_of(state, ctx.idempotency_key), f"webhook {state.webhook}"
        if posting is None:
            return 0
        pause = _LOOK_SECONDS
        while any(map(self._has_no_place, posting.shares)):
            await ctx.sleep(pause)  # which gives up this run's own place in the worker
            pause = min(2 * pause, _LONGEST_PAUSE)
        self._posting[ctx.run_id] = posting.shares
        try:  # in a daemon thread, for which nothing waits when this process ends
            thread = CallThread(threads_of(where))
            status = await asyncio.get_running_loop().run_in_executor(thread, posting.post)
        finally:
            del self._posting[ctx.run_id]
        if status >= 500 or status in _TRY_LATER:  # noqa: PLR2004 - of HTTP
            raise Transient(f"it answered {status}", where=where, repair="see what it reports")
        if not 200 <= status < 300:  # noqa: PLR2004 - of HTTP
            repair = "look at its address, which is not redirected, and its secret; then resume this run"
            raise NotDelivered(f"it answered {status}", where=where, repair=repair)
        is_reminded = state.kind == "asked" and self._webhook(state.webhook).remind_seconds is not None
        return _REMINDERS - ctx.visit if is_reminded else 0

    def _has_no_place(self, share: str) -> bool:
        """Return whether as many requests are in progress for one share as are left for the others: it is slow."""
        return sum(share in each for each in self._posting.values()) >= _AT_ONCE - len(self._posting)

    async def post_of(self, news: News, number: str) -> Posting | None:
        """Return what posts news under an id; None if there is no news any more."""
        webhook = self._webhook(news.webhook)
        body = to_json(await self._body(webhook, news))
        headers = signed(key_of(webhook.secret), number, time.time(), body)
        posting = partial(post, webhook.url, headers, body, seconds=webhook.timeout_seconds, is_own=True)
        return Posting(posting, [news.webhook])

    async def _remind(self, ctx: Context, state: News) -> int:
        """Wait, and return whether the question is still open."""
        await ctx.sleep(self._webhook(state.webhook).remind_seconds or math.inf)
        with suppress(UnknownRun):
            snapshot = await load_now(self._store, state.run_id)
            return int(state.wait_id in [wait_id for _, wait_id in _kinds_of(snapshot)])
        return 0

    async def _body(self, webhook: Webhook, news: News) -> Mapping[str, Any]:
        """Return what is sent."""
        info = await self._store.info(news.run_id)
        info.check_nonce(news.nonce, "the news")
        there = await load_snapshot(self._store, news.run_id, news.seq)
        page = f"{'questions' if news.kind == 'asked' else 'run'}?{urlencode({'id': info.id})}"
        data: dict[str, Any] = {"run_id": info.id, "graph": info.graph, "tags": info.tags, "tenant": info.tenant}
        first = await self._store.steps(news.run_id, 0, 1)
        if first and isinstance(first[0].data, Started) and first[0].data.title:
            data["title"] = info.title  # one that the graph words: the first line of an input is of its state
        for frame, name, wait in _questions(there) if news.kind == "asked" else ():
            if wait.id == news.wait_id:
                data |= {"wait": wait.id, "question": wait.question[:_TEXT_CHARACTERS], "name": name, "node": frame.at}
                data |= {"schema": wait.schema, "due": wait.due}
                page = f"questions?{urlencode({'id': info.id, 'wait': wait.id})}"
        if there.failure is not None:
            data["error"] = f"{there.failure.path}: {there.failure.kind}: {there.failure.message}"[:_TEXT_CHARACTERS]
        if news.kind != "asked":
            data["losses"] = losses_of(there.usage, there.losses)
        if webhook.state:
            data["state"] = there.root.values
        data |= {name: text for name, text in (("to", news.to), ("by", news.by)) if text}
        if webhook.link:
            data["link"] = f"{webhook.link.rstrip('/')}/{page}"
        at = datetime.fromtimestamp(there.now, UTC).isoformat()
        return {"type": f"run.{news.kind}", "timestamp": at, "data": data}


def extension(settings: ProjectSettings) -> Notifications:
    """Return what notifies of the runs of a project: `[[tool.graphengine.notify]]`.

    Raises:
        ProjectBroken: The settings are not a list of tables, one has a key that is not read, or lacks its secret.
        DefinitionError: A webhook is invalid.
    """
    found, place = settings.table, settings.place
    known = [*(each.name for each in fields(Webhook) if each.name != "secret"), "secret_env"]
    if not (isinstance(found, list) and all(isinstance(each, dict) for each in found)):
        repair = 'write [[tool.graphengine.notify]] and below it name = …, url = … and secret_env = "VARIABLE"'
        raise ProjectBroken(f"notify is {found!r}, not a list of tables", where=place, repair=repair)
    webhooks: list[Webhook] = []
    for each in found:
        for name in each.keys() - set(known):
            message = f"[[tool.graphengine.notify]] has {name} = …, which is not read"
            raise ProjectBroken(message, where=place, repair=did_you_mean(name, known))
        variable = each.get("secret_env", "")
        if not variable or not os.environ.get(variable):
            message = f"the webhook {each.get('name', '?')!r} has no secret: secret_env = {variable!r}"
            raise ProjectBroken(message, where=place, repair="name a variable of the environment that has the secret")
        given = {name: value for name, value in each.items() if name != "secret_env"}
        webhooks.append(Webhook(**{"name": "", "url": "", **given, "secret": os.environ[variable]}))
    return Notifications(*webhooks)


async def delegate(runner: CoreRunner, run_id: str, wait: str, *, to: str, by: str = "") -> None:
    """Hand an open question on to somebody else: the webhooks that want questions get it again, with that name.

    Args:
        runner: A Runner over the store of the run.
        run_id: The run.
        wait: The question: its id, or its name if the run has asked no other of that name.
        to: Who is to answer.
        by: Who hands it on.

    Raises:
        UnknownRun; InputError: The run has no such open question, or nothing is notified in this store.
    """
    await runner.store.open()
    snapshot = await load_now(runner.store, run_id)
    if not to:
        raise InputError("nobody is named", where=f"run {run_id}", repair="give to=NAME")
    wait_id = (await question_of(runner.store, snapshot, wait, snapshot.posted)).facts.id
    if wait_id in snapshot.posted:
        raise AnsweredAlready(f"question {wait_id} of run {run_id} was answered already", where=f"run {run_id}")
    news = {"run_id": run_id, "seq": snapshot.seq, "wait_id": wait_id, "to": to, "by": by, "nonce": snapshot.nonce}
    try:
        await runner.store.post(OUTBOX, "message", {"topic": "news", "payload": news}, f"to {run_id} {wait_id} {to}")
    except UnknownRun as error:
        repair = "configure webhooks: see docs/use/notifications.md"
        raise InputError("nothing is notified of runs in this store", where="delegate", repair=repair) from error


def _questions(snapshot: Snapshot) -> Iterator[tuple[Any, str, Any]]:
    """Yield the open questions to people: the frame, the name and the wait."""
    for frame in snapshot.frames.values():
        for name, wait in frame.waits.items():
            if wait_of(name, wait).answerable and wait.id not in snapshot.posted:
                yield frame, name, wait


def _kinds_of(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield what news there is of a run: the kind, and the id of the question."""
    if snapshot.status in OVER:
        yield snapshot.status, ""
    if snapshot.status == "finished" and losses_of(snapshot.usage, snapshot.losses):
        yield "losses", ""
    if snapshot.status not in OVER:
        yield from (("asked", wait.id) for _, _, wait in _questions(snapshot))


def post(url: str, headers: Mapping[str, str], body: bytes, *, seconds: float, is_own: bool) -> int:
    """Post JSON, and return the status of the answer. Raises: AddressRefused, Transient, OSError."""
    sent = {**headers, "content-type": "application/json"}
    try:
        with closing(request("POST", url, sent, body, seconds=seconds, is_own=is_own)) as answer:
            return answer.status
    except HTTPException as error:
        raise Transient(f"the answer is not HTTP: {error}") from error


__all__ = ["KINDS", "OUTBOX", "News", "Notifications", "Webhook", "delegate", "post", "rest"]
