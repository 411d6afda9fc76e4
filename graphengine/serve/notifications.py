"""Send webhooks about runs: about their questions, their ends, their failures or their losses, each at least once.

1. When a run waits for a person or ends, its step also posts a message (*news*) to the inbox of one special run of the
   store, the `OUTBOX`. Both are written in one transaction (`Extension.told`), so a process that dies cannot lose news.
2. `Notifications.delivering` reads this inbox, and starts a run for each webhook that wants the news. The id of this
   run is derived from the news and the webhook, so news that is read twice does not start a second run. Then the news
   is removed from the inbox.
3. This run posts to the webhook, and repeats a failed post as configured by the `Retry` of its node. Like any other
   run, it appears in lists. It sleeps, and sends a reminder if the question is still open.

The runs contain only the name of a webhook. Therefore the address and the secret of a webhook do not appear in any log.
For other kinds of notifications, such as the push notifications of A2A, a subclass finds the news and builds the
requests, and uses the rest of this module.
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
"""The id of the run whose inbox contains the news, and the queue of the runs that deliver news. This run never ends."""
KINDS: Final = ("asked", "finished", "failed", "stopped", "cancelled", "losses")
"""The kinds of news: a question, or an end of a run. `losses` means that a run finished but lost something."""
_LOG: Final = logging.getLogger("graphengine")
_TEXT_CHARACTERS: Final = 4000
_LOOK_SECONDS: Final = 1.0
_AT_ONCE: Final = 16
_LONGEST_PAUSE: Final = 60.0
_REMINDERS: Final = 10
_RETRY: Final = Retry(attempts=17, initial_seconds=1.0, multiplier=2.5, max_seconds=3600.0, on=(Transient, OSError))
"""Some eight hours of attempts in total."""
_TRY_LATER: Final = (408, 425, 429)
"""The statuses below 500 that are temporary, so that the webhook is tried again."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """An HTTP address to which news about runs is sent: questions, ends, failures and losses.

    Args:
        name: The name of the webhook. The runs that deliver notifications to the webhook find it by this name.
        url: The address, http or https. Redirects are not followed.
        secret: The secret with which requests are signed, as in Standard Webhooks: `whsec_` and base64, or any text.
        kinds: The kinds of news to send: see `KINDS`.
        graphs: Send only news of runs of these graphs; None for all graphs.
        tag: Send only news of runs with this tag.
        tenant: Send only news of runs of this tenant.
        link: The address of an inspector, such as of `graphengine inspect --shared`, where people answer and look at
            runs.
        state: Whether to send the state of the run too. The state is sent as it is recorded, so secret fields are
            encrypted.
        remind_seconds: The time after which an open question is sent again, up to ten times; None to send no reminders.
        timeout_seconds: The time limit for one request, until the head of the answer has arrived completely.

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
                "the url is not an http or https address",
                where=where,
                repair="give an address such as https://HOST/PATH",
            )
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or isinstance(self.kinds, str):
            raise DefinitionError(
                f"kinds={self.kinds!r} is not a list of known kinds",
                where=where,
                repair=f"give a list with some of {', '.join(map(repr, KINDS))}",
            )
        for name in ("remind_seconds", "timeout_seconds"):
            seconds = getattr(self, name)
            if seconds is not None and not is_seconds(seconds):
                message = f"{name}={seconds!r} is not a number of seconds above 0"
                raise DefinitionError(message, where=where, repair=f"give a number of seconds, as in {name}=10.0")
        try:
            key = key_of(self.secret)
        except ValueError:
            key = b""
        if not key:
            repair = "give a secret that is 'whsec_' and a key in base64, or any other text that is not empty"
            raise DefinitionError("the secret of the webhook cannot be used", where=where, repair=repair)

    def wants(self, info: RunInfo) -> bool:
        """Return whether a run passes the filters of the webhook: its graph, its tag and its tenant."""
        is_of = self.graphs is None or info.graph in self.graphs
        is_of = is_of and (self.tag is None or self.tag in info.tags)
        return is_of and (self.tenant is None or self.tenant == info.tenant)


class News(BaseModel):
    """The state of a run that delivers one notification to one webhook.

    The state contains what happened to which run, and the name of the webhook.
    """

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
    """An HTTP request that delivers a notification and is ready to be sent.

    Attributes:
        post: Sends the request, and returns the status of the answer.
        shares: The names of the parties that the request concerns, such as a webhook, a tenant or a host. Only a
            limited number of requests for one party is sent at a time, so that a slow party does not delay the others.
    """

    post: Callable[[], int]
    shares: Collection[str]


class _OutboxNews(msgspec.Struct):
    """A message in the outbox with news about a run, which was not yet turned into notifications for the webhooks.

    `wait_id` is the id of a question if the news is about a single question, such as that the question was delegated.
    """

    run_id: str
    seq: int
    wait_id: str = ""
    to: str = ""
    by: str = ""
    nonce: str = ""


class _WebhookMessage(msgspec.Struct):
    payload: _OutboxNews


async def rest(ctx: Context) -> None:
    """The only node of a graph whose runs never work, but store data. The node never ends.

    Such a run is a place for data in the database: it keeps messages in its inbox, or values in its state.
    """
    await ctx.sleep(math.inf)


_OUTBOX_GRAPH: Final = Graph("outbox", News)
_OUTBOX_GRAPH.add_node("rest", rest)
_OUTBOX_GRAPH.add_path(START, "rest", END)
_OWN: Final = ("outbox", "notification", "a2a push", "a2a notification")
"""The graphs of the runs that deliver news, or that store addresses."""


class _Deliverer(Worker):
    """A worker that only drives the runs which deliver notifications, next to the main worker of the same process.

    Unlike other workers, this worker does not record in the store which graphs and queues it serves. The store has only
    one such record for each process, and this worker would overwrite the record of the main worker.
    """

    async def _introduce(self) -> None:
        await self._runner.store.open()


class Notifications(Extension):
    """Send webhooks when runs ask a question or end: `Runner(extensions=[notifications])`.

    Pass the extension `Notifications` to the Runner of every process that drives runs, because it records that a run
    asks a question or has ended. At least one process must also send the recorded notifications to the webhooks: see
    `delivering`.

    Args:
        webhooks: The webhooks that receive news.
        retry: How often and how long a failed request is repeated; by default for about eight hours.

    Attributes:
        name: The name of the graph whose runs deliver the news.

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
            message, repair = "two webhooks have the same name", "give each webhook a name of its own"
            raise DefinitionError(message, where="Notifications(", repair=repair)
        self._kinds = {kind for webhook in webhooks for kind in webhook.kinds}
        self._known: WeakSet[Store] = WeakSet()  # the stores that have an outbox
        self._has_news = asyncio.Event()
        self._posting: dict[str, Collection[str]] = {}  # the shares of the requests in progress, by run
        self._store: Store

    async def opened(self, run: OpenRun) -> None:
        """Make sure that the outbox exists before the run's first news is posted to it."""
        await self.open_outbox(run.store)

    def told(self, snapshot: Snapshot, status: RunStatus) -> Post | None:
        """Return the news about a change of a run's status, to store in the outbox; None if no webhook wants the news.

        The outbox is where news waits until it is delivered. The runner writes the news in the same transaction as the
        step that changes the status, so the news cannot be lost.
        """
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
        """Deliver notifications to webhooks until the end of the block.

        `delivering` also delivers notifications that other processes have recorded, and notifications that an earlier
        process has not delivered.
        """
        await runner.store.open()
        self._store, self._has_news = runner.store, asyncio.Event()  # the event belongs to the current event loop
        await self.open_outbox(runner.store)
        worker = _Deliverer(runner, self.graph(), queues=[OUTBOX], concurrency=_AT_ONCE, poll_seconds=_LOOK_SECONDS)
        tasks = [asyncio.create_task(each) for each in (worker.run(), self._hand_on(runner, worker))]
        try:
            yield
        finally:
            worker.stop()
            tasks[1].cancel()
            # Runs are released repeatedly, because a run may begin its request late:
            # 1. A run was taken before the worker was stopped, and still reads the data that it will send.
            # 2. Runs with a request in progress are released, so that the next process sends the request again.
            # 3. The first run begins its request now, and must be released as well.
            while not tasks[0].done():
                for run_id in list(self._posting):
                    await runner.release(run_id, now=True)
                await asyncio.wait(tasks[:1], timeout=_LOOK_SECONDS / 20)
            await asyncio.gather(*tasks, return_exceptions=True)

    async def open_outbox(self, store: Store) -> None:
        """Start the run `OUTBOX`, whose inbox collects the news for webhooks, unless this run exists already.

        This method returns only when the run sleeps. While a process drives a run, messages to it are delivered at once
        instead of staying in its inbox.
        """
        if store not in self._known:
            with suppress(RunExists):
                await CoreRunner(store).start(_OUTBOX_GRAPH, run_id=OUTBOX, wait_out=False).result()
            self._known.add(store)

    # --- from the outbox to runs that deliver -------------------------------------------------------------------------

    async def _hand_on(self, runner: CoreRunner, worker: Worker) -> None:
        """Wait for news about runs in the outbox, and start runs that deliver the news, until the task is cancelled.

        If the store fails, this is tried again later.
        """
        while True:
            with suppress(StoreError):
                if await self.hand_on(runner):
                    worker.look_now()
            self._has_news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._has_news.wait()
                    await asyncio.sleep(_LOOK_SECONDS / 20)  # the news is just being recorded

    async def hand_on(self, runner: CoreRunner) -> int:
        """Empty the outbox of news about runs, and start a delivery of all news to each webhook that wants this news.

        Each delivery is a run of its own, which sends one request to its webhook.

        Returns:
            The number of messages that were in the outbox.
        """
        store = runner.store
        inbox = await store.inbox([OUTBOX])
        for message in inbox:
            try:
                await self._start(runner, msgspec.convert(message.payload, _WebhookMessage).payload)
            # The run was removed, or cannot be read in this process.
            except (UnknownRun, RunReplaced, UnknownStep, *UNREADABLE) as error:
                _LOG.warning("news is not sent: %s", error)
            except msgspec.ValidationError as error:  # another kind of message to this run, such as a request to stop
                _LOG.warning("a message to run %s is no news: %s", OUTBOX, error)
        if inbox:
            with suppress(RunIsDriven):  # another process hands on the same news; no run is started twice
                fence = await store.claim(OUTBOX)
                try:
                    status = (await store.info(OUTBOX)).status  # news is handed on even if the run was stopped
                    written = store.append(Append(OUTBOX, fence, (), status, [message.id for message in inbox]))
                    if written is not None:
                        await written
                finally:
                    await opening.release(store, OUTBOX, fence)
        return len(inbox)

    async def _start(self, runner: CoreRunner, found: _OutboxNews) -> None:
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
        """Start a run that delivers one notification to one webhook, unless this run exists already.

        The id of the run is derived from the notification, so that each notification is delivered by one run only.
        """
        what = [news.webhook, news.run_id, news.kind, news.wait_id or f"{news.seq} {news.nonce}".strip(), news.to]
        run_id = OwnId(derive_id("notice", hashlib.sha256(to_json(what)).hexdigest()[:20]))
        tags = [f"about:{news.run_id}"[:100], f"to:{news.webhook}"[:100]]
        with suppress(RunExists):
            await runner.start(self.graph(), news, run_id=run_id, queue=OUTBOX, tags=tags, tenant=tenant).result()

    # --- a run that delivers ------------------------------------------------------------------------------------------

    def graph(self) -> Graph[News]:
        """Return the graph whose runs each deliver one notification to one webhook.

        A run of this graph sends the notification to its webhook. If the notification is about a question, the run then
        waits, and sends reminders while the question is open.
        """
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
            repair = "configure the webhook again and resume this run, or remove the run"
            raise NotDelivered(f"this process has no webhook {name!r}", where=f"webhook {name}", repair=repair)
        return self._webhooks[name]

    async def _send(self, ctx: Context, state: News) -> int:
        """Send the notification for which this run was started to the webhook.

        Returns:
            The number of reminders that may follow; 0 if the webhook wants none.
        """
        posting, where = await self.post_of(state, ctx.idempotency_key), f"webhook {state.webhook}"
        if posting is None:
            return 0
        pause = _LOOK_SECONDS
        # The more requests are in progress, the fewer one party may have: a slow party leaves room for others.
        while any(
            sum(share in each for each in self._posting.values()) >= _AT_ONCE - len(self._posting)
            for share in posting.shares
        ):
            await ctx.sleep(pause)  # the run gives up its place in the worker while it sleeps
            pause = min(2 * pause, _LONGEST_PAUSE)
        self._posting[ctx.run_id] = posting.shares
        try:  # in a daemon thread, so that the end of this process does not wait for the request
            thread = CallThread(threads_of(where))
            status = await asyncio.get_running_loop().run_in_executor(thread, posting.post)
        finally:
            del self._posting[ctx.run_id]
        if status >= 500 or status in _TRY_LATER:  # noqa: PLR2004 - of HTTP
            message, repair = f"the webhook's server answered with status {status}", "look into the log of that server"
            raise Transient(message, where=where, repair=repair)
        if not 200 <= status < 300:  # noqa: PLR2004 - of HTTP
            repair = "correct the webhook's address, as redirects are not followed, or its secret; then resume this run"
            raise NotDelivered(f"the webhook's server answered with status {status}", where=where, repair=repair)
        is_reminded = state.kind == "asked" and self._webhook(state.webhook).remind_seconds is not None
        return _REMINDERS - ctx.visit if is_reminded else 0

    async def post_of(self, news: News, number: str) -> Posting | None:
        """Return the HTTP request that delivers a notification, ready to be sent.

        A subclass can return None if the notification is out of date, for example because its question was answered.

        Args:
            news: The notification to deliver.
            number: The id of the message, which is the same if the request is sent again.
        """
        webhook = self._webhook(news.webhook)
        body = to_json(await self._body(webhook, news))
        headers = signed(key_of(webhook.secret), number, time.time(), body)
        posting = partial(post, webhook.url, headers, body, seconds=webhook.timeout_seconds, is_own=True)
        return Posting(posting, [news.webhook])

    async def _remind(self, ctx: Context, state: News) -> int:
        """Wait until it is time to remind people of an open question.

        Returns:
            1 if the question is still open, so that the reminder must be sent; otherwise 0.
        """
        await ctx.sleep(self._webhook(state.webhook).remind_seconds or math.inf)
        with suppress(UnknownRun):
            snapshot = await load_now(self._store, state.run_id)
            return int(state.wait_id in [wait_id for _, wait_id in _kinds_of(snapshot)])
        return 0

    async def _body(self, webhook: Webhook, news: News) -> Mapping[str, Any]:
        info = await self._store.info(news.run_id)
        info.check_nonce(news.nonce, "the news")
        there = await load_snapshot(self._store, news.run_id, news.seq)
        page = f"{'questions' if news.kind == 'asked' else 'run'}?{urlencode({'id': info.id})}"
        data: dict[str, Any] = {"run_id": info.id, "graph": info.graph, "tags": info.tags, "tenant": info.tenant}
        first = await self._store.steps(news.run_id, 0, 1)
        if first and isinstance(first[0].data, Started) and first[0].data.title:
            # Only a title that the graph words: the first line of an input would be part of the state.
            data["title"] = info.title
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
    """Create the extension that sends the notifications of a project from its settings `[[tool.graphengine.notify]]`.

    Raises:
        ProjectBroken: The settings are not a list of tables, or one table has an unknown key or lacks its secret.
        DefinitionError: A webhook is invalid.
    """
    found, place = settings.table, settings.place
    keys = [*(each.name for each in fields(Webhook) if each.name != "secret"), "secret_env"]
    if not (isinstance(found, list) and all(isinstance(each, dict) for each in found)):
        repair = 'write [[tool.graphengine.notify]] and below it name = …, url = … and secret_env = "VARIABLE"'
        raise ProjectBroken(f"the setting notify is {found!r}, and not a list of tables", where=place, repair=repair)
    webhooks: list[Webhook] = []
    for each in found:
        for name in each.keys() - set(keys):
            message = f"[[tool.graphengine.notify]] contains {name} = …, and has no setting {name!r}"
            raise ProjectBroken(message, where=place, repair=did_you_mean(name, keys))
        variable = each.get("secret_env", "")
        if not variable or not os.environ.get(variable):
            message = f"the webhook {each.get('name', '?')!r} has no secret: secret_env = {variable!r}"
            raise ProjectBroken(message, where=place, repair="name an environment variable that contains the secret")
        options = {name: value for name, value in each.items() if name != "secret_env"}
        webhooks.append(Webhook(**{"name": "", "url": "", **options, "secret": os.environ[variable]}))
    return Notifications(*webhooks)


async def delegate(runner: CoreRunner, run_id: str, wait: str, *, to: str, by: str = "") -> None:
    """Delegate an open question to another person.

    `delegate` sends the question once more to the webhooks that receive questions, with the name of the other person.

    Args:
        runner: A Runner over the store of the run.
        run_id: The id of the run.
        wait: The question: its id, or its name if the run has asked no other question of this name.
        to: The person who should answer.
        by: The person who delegates the question.

    Raises:
        UnknownRun: There is no run with this id.
        InputError: The run has no such open question, `to` is empty, or this store has no outbox for notifications.
        AnsweredAlready: The question was answered.
    """
    await runner.store.open()
    snapshot = await load_now(runner.store, run_id)
    if not to:
        message = "the question cannot be delegated, because no person is named"
        raise InputError(message, where=f"run {run_id}", repair="give the person's name: to=NAME")
    wait_id = (await question_of(runner.store, snapshot, wait, snapshot.posted)).facts.id
    if wait_id in snapshot.posted:
        raise AnsweredAlready(f"the question {wait_id} of run {run_id} is already answered", where=f"run {run_id}")
    news = {"run_id": run_id, "seq": snapshot.seq, "wait_id": wait_id, "to": to, "by": by, "nonce": snapshot.nonce}
    try:
        await runner.store.post(OUTBOX, "message", {"topic": "news", "payload": news}, f"to {run_id} {wait_id} {to}")
    except UnknownRun as error:
        repair = "configure webhooks: see docs/use/notifications.md"
        raise InputError("no webhook is notified of runs in this store", where="delegate", repair=repair) from error


def _questions(snapshot: Snapshot) -> Iterator[tuple[Any, str, Any]]:
    """Yield the open questions of a run that a person can answer.

    Yields:
        The part of the run that asks (the run itself, an inner graph, an arm or an item), the name of the question, and
        its recorded wait.
    """
    for frame in snapshot.frames.values():
        for name, wait in frame.waits.items():
            if wait_of(name, wait).answerable and wait.id not in snapshot.posted:
                yield frame, name, wait


def _kinds_of(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Yield the kinds of news that a webhook can get about a run in its current state, such as `asked` or `finished`.

    Each kind comes with the id of the question that it is about, or with "" if it is not about a question.
    """
    if snapshot.status in OVER:
        yield snapshot.status, ""
    if snapshot.status == "finished" and losses_of(snapshot.usage, snapshot.losses):
        yield "losses", ""
    if snapshot.status not in OVER:
        yield from (("asked", wait.id) for _, _, wait in _questions(snapshot))


def post(url: str, headers: Mapping[str, str], body: bytes, *, seconds: float, is_own: bool) -> int:
    """Send a JSON body to an address by POST, and return the HTTP status of the answer.

    This function blocks its thread until the answer arrives.

    Raises:
        AddressRefused: The address is not allowed.
        Transient: The answer is not HTTP.
        OSError: The request failed.
    """
    sent = {**headers, "content-type": "application/json"}
    try:
        with closing(request("POST", url, sent, body, seconds=seconds, is_own=is_own)) as answer:
            return answer.status
    except HTTPException as error:
        raise Transient(f"the answer of the webhook's server is not HTTP: {error}") from error


__all__ = ["KINDS", "OUTBOX", "News", "Notifications", "Webhook", "delegate", "post", "rest"]
