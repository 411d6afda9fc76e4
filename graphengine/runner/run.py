"""The handle on a run, with which a program follows the run, whichever process drives it.

If the run is active in this process, its events come directly from the loop that drives it. For any other run, the row
of the run is read when it may have changed. If the number of the last step in the row has changed, the new steps are
read as well: see `history.changes`.
"""

from __future__ import annotations

import logging
import secrets
import weakref
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar, overload

import msgspec

from graphengine.engine.claim import Claim, Stop, Wanted
from graphengine.engine.fold import fold
from graphengine.engine.steps import FINAL, OVER, AnswerRecord
from graphengine.errors import (
    UNREADABLE,
    DefinitionError,
    GraphEngineError,
    InputError,
    RunnerClosed,
    UnknownRun,
    WatcherTooSlow,
)
from graphengine.graph.definition import Out_co, S
from graphengine.graph.elsewhere import RESULT_OF_RUN, missing
from graphengine.history.changes import poke, polled
from graphengine.history.ended_questions import nonce_in
from graphengine.history.load import find_posted, load_snapshot, waits_of
from graphengine.history.map_progress import progress_in
from graphengine.history.reasons import StepReasons
from graphengine.runner import opening
from graphengine.runner.answers import Asked, check_against, find_asked_wait, fit_answer, refuse_second_answer
from graphengine.runner.arguments import as_limits, check_tags, pauses_of
from graphengine.runner.attempt import Attempt
from graphengine.runner.ids import check_id, check_unreserved, chosen_id, new_id
from graphengine.runner.other_forms import read_result
from graphengine.runner.published import Reader
from graphengine.runner.recorded_inputs import as_input
from graphengine.runner.result import RunFailed, html_of, result_of
from graphengine.runner.run_events import NodeBegan, RunEnded, StatusChanged, StepRecorded
from graphengine.runner.run_requests import Reply
from graphengine.runner.scope import CURRENT
from graphengine.runner.starters import child_of
from graphengine.state.given import as_record
from graphengine.state.json_values import check_stored_name, check_stored_text, utf8_text
from graphengine.state.recorded_text import to_show
from graphengine.stores.base import DEFAULT_QUEUE, status_of
from graphengine.stores.refusals import check_not_cancelled

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

    from typing_extensions import TypeForm

    from graphengine.engine.plan import Plan
    from graphengine.engine.steps import Step
    from graphengine.graph.options import Limits
    from graphengine.history.load import At, Wait
    from graphengine.history.map_progress import MapProgress
    from graphengine.history.published import Published
    from graphengine.runner.driving import Driving
    from graphengine.runner.life import Life, Lives, Opening
    from graphengine.runner.result import Result
    from graphengine.runner.run_events import Event, Watcher
    from graphengine.state.json_values import JsonValue
    from graphengine.stores.base import RunInfo, Status


T = TypeVar("T")

log = logging.getLogger("graphengine.runner")
_KEPT: Final = (
    "a message on %r is kept, and run %s does not wait for it now: it waits for one on %s\n"
    "  repair: if no later node receives this topic, send it on one of these"
)


@dataclass(frozen=True, slots=True)
class Posted:
    """An answer to a question of a run, recorded for the process that drives the run or will resume it.

    Attributes:
        run_id: The id of the run.
        wait: The name of the question.
        id: The id of the question.
        driver: The process that drives the run and will process the answer; None if no process drives the run.
    """

    run_id: str
    wait: str
    id: str
    driver: str | None

    def __repr__(self) -> str:
        return f"Posted({self.run_id!r}, {self.wait!r}: {self.then})"

    @property
    def then(self) -> str:
        """A sentence that says who will process the answer: a live process, or the next one that resumes the run."""
        no = f"no process drives the run: runner.resume({self.run_id!r}, graph) takes it up, or a worker if not stopped"
        return no if self.driver is None else "a live process drives the run, and takes it up"


class Run(Generic[S, Out_co]):
    """A handle on a run. It works whether this process, another process or no process drives the run at the moment.

    `Runner.start`, `resume`, `branch`, `get` and `recover` return a `Run`. A program that starts or resumes a run
    should find out whether the run failed: it awaits `result()`, or reads the events to the end. If the program drops
    the `Run` without doing so, the logger `graphengine.runner` logs the error of the run once, so that the error does
    not go unnoticed.

    Attributes:
        id: The id of the run.
    """

    def __init__(self, run_id: str, lives: Lives, life: Life[S] | None = None, plan: Plan[S] | None = None) -> None:
        self.id = run_id
        self._lives = lives
        self._life = life
        self._plan = plan if life is None else life.plan

    def __repr__(self) -> str:
        return f"Run({self.id!r})"

    if not TYPE_CHECKING:  # type checkers know the attributes

        def __getattr__(self, name: str) -> NoReturn:
            missing(self, name, "Run", "Runner", hints=RESULT_OF_RUN)

        def __await__(self) -> NoReturn:
            repair = "write result = await run.result(); await run.begun() waits for the first step only"
            text = "a Run was awaited as if it were the result of the run"
            raise DefinitionError(text, where=repr(self), repair=repair)

    def _repr_html_(self) -> str | None:
        """Return the HTML by which a notebook shows a run: its progress, or its result.

        This works for a run that is or was driven in this process. For other runs, the result is None, and the notebook
        shows the `repr`.
        """
        life = self._life
        if life is not None and life.driving is not None:
            snapshot = life.driving.snapshot
            return html_of(result_of(life.plan, snapshot), snapshot)
        return None if life is None or life.result is None else life.result._repr_html_()

    async def result(self) -> Result[S, Out_co]:
        """Wait until no process drives the run any more, and return the result of the run.

        Each call of `result` returns the result that the run has at that moment. For example, if the run asks a person
        a question, the first call returns a result with the status `waiting`. A call after the answer returns what has
        become of the run since.

        The status of the result is `finished`, `waiting`, `stopped` or `cancelled`. It is `running` if the run was
        released: by `Runner.release`, by a Runner that closed, or by the death of the process that drove the run. If
        workers drive the run and the run waits only for a time or for child runs, `result` keeps waiting as long as a
        worker is alive.

        Raises:
            RunFailed: The run failed. The error contains the result.
            RunnerClosed: The Runner was closed before the run was recorded.
            UnknownRun: No run with this id is recorded.
            GraphEngineError: The run could not be started, recorded or claimed.
        """
        life = self._life
        if life is not None and not (life.is_over and await self._was_continued(life)):
            # the same as `_wait_for_rest`, without a further call
            result = await life.outcome(retrieves=True)
        else:
            life = self._lives.of(self.id)  # The run can have been resumed here after `get`.
            result = await self._wait_for_rest(life)
        while (life is None or life.claim.of_worker) and await self._will_worker_continue(result):
            await self._wait_for_move(result.seq)
            life = self._lives.of(self.id)
            result = await self._wait_for_rest(life)
        if result.status == "failed":
            raise RunFailed(result)
        return result

    async def _was_continued(self, life: Life[Any]) -> bool:
        """Return whether a process has continued the run since this process last drove it.

        If so, the result in `life` is out of date. The answer is False if the result is final, if the Runner is closed,
        if the run was removed, or if a new run has the id of the run.

        Args:
            life: The run as this process drove it, with its last result.
        """
        result, shared = life.result, self._lives.shared
        if result is None or result.status in FINAL or shared.closed:
            return False
        try:
            info = await shared.store.info(self.id)
        except UnknownRun:
            return False
        is_same = not life.nonce or info.nonce == life.nonce
        return is_same and (info.seq > result.seq or info.driver is not None)

    async def _wait_for_rest(self, life: Life[Any] | None) -> Result[S, Out_co]:
        """Wait until no process drives the run, and return the result that the run has then.

        Args:
            life: The run as this process drives it. None if another process may drive the run, which is then followed
                in the store.
        """
        result: Result[S, Out_co] | None = None
        if life is not None:
            try:
                result = await life.outcome()
                life.is_retrieved = True
            except Exception as error:
                if life is self._life or not isinstance(error, GraphEngineError):
                    life.is_retrieved = True
                    raise  # Otherwise another process has the run, which is followed in the store then.
        if result is None:
            async with aclosing(self._events(None, None, wait_out=False)) as events:
                async for event in events:
                    if isinstance(event, RunEnded):
                        result = event.result
        if result is None:
            text = f"run {self.id} was removed while its result was awaited"
            raise UnknownRun(text, where=f"run {self.id}", repair="start the run again if you need its result")
        return result

    async def _will_worker_continue(self, result: Result[Any, Any]) -> bool:
        """Return whether a worker will continue the run, because the run waits only for times or for its child runs."""
        if result.status != "waiting" or not all(each.kind == "sleep" or child_of(each.topic) for each in result.waits):
            return False
        return any(each.role is not None for each in await self._lives.shared.store.owners())

    async def _wait_for_move(self, seq: int) -> None:
        """Wait until a waiting run moves on, in this process or another one.

        The wait is over when the run has a step after step `seq`, or when the status of the run is no longer `waiting`.
        """
        store = self._lives.shared.store
        async with aclosing(polled(store, await store.info(self.id), seq, wants_posted=False)) as polls:
            async for row, _, _ in polls:
                if row.seq > seq or row.status != "waiting":
                    return

    async def begun(self) -> None:
        """Wait until the first step that this handle's start, resume or branch records is durable in the store.

        For a `Run` that was returned by `Runner.get`, `begun` waits until the run is recorded.

        Raises:
            RunExists: A run with this id exists already.
            StoreError: The first step could not be recorded. Other errors that `result` would raise for the same reason
                are raised as well.
            RunnerClosed: The Runner was closed before the first step was durable.
            UnknownRun: No run with this id is recorded, for a handle that did not begin the run.
        """
        life = self._life
        if life is None:
            await self._wait_until_recorded()
            await self._lives.shared.store.info(self.id)
            return
        await life.until("begun")
        if not life.seq:
            life.is_retrieved = True
            life.ended_with()

    async def _wait_until_recorded(self) -> None:
        """Wait until a run that was just started here is recorded, so that the store can be asked about the run.

        If this handle started the run and the start failed, the error of the start is raised.
        """
        await self._lives.wait_until_recorded(self.id)
        if self._life is not None and self._life.is_over and not self._life.seq:
            try:
                await self._lives.shared.store.info(self.id)
            except UnknownRun:
                self._life.is_retrieved = True
                self._life.ended_with()
                raise

    async def status(self) -> Status:
        """Return the status of the run, as listed by `Runner.runs`. It does not matter which process drives the run.

        Raises:
            UnknownRun: No run with this id is recorded.
            GraphEngineError: The run could not be started or branched off. The error is the reason.
        """
        await self._wait_until_recorded()
        return status_of(await self._lives.shared.store.info(self.id))

    async def history(self, *, after: int | str = 0, limit: int | None = None) -> Sequence[Step]:
        """Return the recorded steps of the run in order. For a branch, steps shared with the parent run are included.

        Args:
            after: Return only the steps after this one, given by its number (`seq`) or by a cursor.
            limit: The maximum number of steps; None for all steps.

        Raises:
            UnknownRun: No run with this id is recorded.
            RunReplaced: The cursor belongs to an earlier run with this id.
        """
        await self._wait_until_recorded()
        store = self._lives.shared.store
        if not isinstance(after, int):
            after = (await store.info(self.id)).seq_in(after)
        return await store.steps(self.id, after, None if limit is None else after + limit)

    async def answer(
        self, value: object, *, wait: str | Wait | None = None, by: str = "", reason: str = "", through: str = ""
    ) -> Posted:
        """Record an answer to a question of the run. Unlike `Runner.answer`, this does not continue the run here.

        Raises:
            UnknownRun: No run with this id is recorded.
            AsksNothing: The run has no open question.
            AmbiguousWait: The run has asked several questions with that name.
            AnsweredAlready: The question has been answered.
            QuestionWithdrawn: The run no longer asks the question.
            InputError: The run has no such question, or the answer does not fit the question.
        """
        shared, run_id = self._lives.shared, self.id
        check_stored_name(by, "who answers", f"run {run_id}")
        check_stored_text(reason, "the reason of an answer", f"run {run_id}")
        await self._lives.wait_until_recorded(run_id)
        found = await find_asked_wait(shared.store, shared.kept, run_id, wait)
        record = as_record(fit_answer(value, found.facts.schema), "the answer", shared.sizes.message_bytes, marks=True)
        plan = self._plan
        if plan is None and not found.facts.key:  # The node itself is the question, and its code does not ask it.
            plan = shared.plan_by((await shared.store.info(run_id)).fingerprint)
        check_against(found, record, shared.types.of(run_id, found, plan))
        facts = AnswerRecord(
            record, by=by, through=through, reason=to_show(reason), at=shared.clock.now(), id=found.facts.id
        )
        await self._post(found, facts)
        await self._notify_run()
        life, driver = self._lives.of(run_id), (await shared.store.info(run_id)).driver
        if driver is None and life is not None and life.claim.may("be_wanted"):
            driver = "this Runner"
        return Posted(run_id, found.name, found.facts.id, driver)

    async def _post(self, found: Asked, answer: AnswerRecord) -> None:
        """Put an answer to a question into the run's inbox, so that the store accepts only one answer to the question.

        The message has a key that contains the id of the question, and the store accepts each key once. If the run has
        processed an earlier answer and still asks the same question, it has refused that answer. The next answer then
        gets another key.
        """
        shared, payload = self._lives.shared, {"wait": found.name, **msgspec.to_builtins(answer)}
        key = f"answer {answer.id}"
        nonce = nonce_in(answer.id)  # Another run can have the same id by now.
        while not await shared.store.post(self.id, "answer", payload, key=key, nonce=nonce):
            first = find_posted(await shared.store.inbox([self.id]), self.id).get(answer.id)
            if first is not None:
                if (first.value, first.by) != (answer.value, answer.by):  # The same answer may be sent again.
                    raise refuse_second_answer(self.id, found, first)
                return
            await find_asked_wait(shared.store, shared.kept, self.id, answer.id)
            key += "+"

    async def send(self, topic: str, payload: object, *, idempotency_key: str | None = None) -> None:
        """Send a message to the run. The message is kept until a node receives its topic.

        `send` also accepts a topic that no node receives. While the run waits only for messages on other topics, a
        warning in the log names those topics. `Run.unread` returns the messages that no node has received.

        Args:
            topic: The topic of the message.
            payload: A JSON value or a pydantic model.
            idempotency_key: A key for callers that may retry. A second message with the same key is not sent.

        Raises:
            UnknownRun: No run with this id is recorded.
            InputError: The run is over, the run waits for a message of another type, JSON cannot represent the payload,
                or the topic or the key contains a NUL character or a lone surrogate.
        """
        await self._send(topic, payload, idempotency_key)

    async def _send(
        self, topic: str, payload: object, idempotency_key: str | None, alone: str = "", info: RunInfo | None = None
    ) -> bool:
        """Send a message to the run. Returns False if a message with this idempotency key was sent before.

        Args:
            topic: The topic of the message.
            payload: A JSON value or a pydantic model.
            idempotency_key: A second message with the same key is not sent.
            alone: The beginning of idempotency keys of which only one may exist: the message is not sent if an earlier
                message has such a key. "" to send it in any case.
            info: The row of the run in the database, if the caller has just read it.
        """
        shared, where = self._lives.shared, f"run {self.id}"
        check_stored_name(topic, "a topic", where)
        check_unreserved(topic, "topic")
        check_stored_name(idempotency_key or "", "the key of a message", where)
        await self._wait_until_recorded()
        info = info or await shared.store.info(self.id)
        check_not_cancelled(info)
        if info.status == "finished":
            text = f"run {self.id} has ended, so it cannot receive a message"
            raise InputError(text, where=where, repair="send to a run that has not ended")
        life = self._lives.of(self.id)
        plan = life.plan if life is not None else self._plan or shared.plan_by(info.fingerprint)
        payload = as_input(plan, topic, payload, where)
        message = {"topic": topic, "payload": as_record(payload, "the message", shared.sizes.message_bytes, marks=True)}
        if info.status == "waiting":
            await self._check_message(info, topic, message["payload"])
        key = f"message {topic} {idempotency_key}" if idempotency_key else f"once {secrets.token_hex(8)}"
        is_new = await shared.store.post(
            self.id, "message", message, key=key, alone=f"message {topic} {alone}" if alone else ""
        )
        await self._notify_run()
        return is_new

    @overload
    async def request(
        self,
        topic: str,
        value: object,
        output: TypeForm[T],
        *,
        idempotency_key: str | None = None,
        timeout_seconds: float | None = None,
    ) -> T: ...

    @overload
    async def request(
        self,
        topic: str,
        value: object,
        *,
        idempotency_key: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Any: ...  # noqa: ANN401 - whatever was replied

    async def request(
        self,
        topic: str,
        value: object,
        output: object = Any,
        *,
        idempotency_key: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """Send a request to the run, and return the reply of the node that receives it.

        A node receives the request with `ctx.receive(topic, RunRequest[int])`, and replies with `ctx.reply(request,
        value)`. Requests are received in order, and each request gets its own reply.

        Any process can drive the run. If the run waits and no process drives it, `request` continues the run in this
        process. This needs a `Run` that has the graph of the run, and a run that was not started with a queue of its
        own.

        The request is recorded before `request` begins to wait. If the waiting is cancelled, the request remains, and
        the node still receives it.

        Args:
            topic: The topic of the request.
            value: A JSON value or a pydantic model.
            output: The type of the reply; any JSON value by default.
            idempotency_key: A key for callers that may retry. A second request with the same key and topic is not sent,
                and gets the reply to the first request. A reply that the graph's `keep_steps` has removed is not found
                again.
            timeout_seconds: How long to wait for the reply; None to wait until the run is over.

        Raises:
            RequestRefused: The node refused the request (`ctx.refuse`), or receives messages of another type.
            NotPublished: The run ended without a reply.
            NotPublishedYet: No reply arrived in time.
            UnknownRun: No run with this id is recorded.
            InputError: The request cannot be sent, as for `send`, or the reply has another type.
            DefinitionError: A node of this run makes the request, and would wait for itself.

        Example:
            >>> from graphengine import RunRequest
            >>> async def sell(ctx: Context) -> int:
            ...     request = await ctx.receive("price", RunRequest[int])
            ...     await ctx.reply(request, request.value * 2)
            ...     return request.value
            >>> shop = Graph("shop", Count)
            >>> shop.add_node("sell", sell, writes="n")
            >>> shop.add_path(START, "sell", END)
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         print(await runner.start(shop, run_id="monday").request("price", 21, int))
            >>> asyncio.run(main())
            42
        """
        if is_inside(self.id):
            text = "a node waits for a reply of its own run, which cannot reply while the node waits"
            repair = "call the function that would reply"
            raise DefinitionError(text, where=f"run {self.id}", repair=repair)
        reply = Reply(self.id, f"{topic} {idempotency_key or secrets.token_hex(16)}", output, timeout_seconds)
        record = as_record(value, "the request", self._lives.shared.sizes.message_bytes, marks=True)
        await self._wait_until_recorded()
        info = await self._lives.shared.store.info(self.id)
        is_new = await self._send(topic, {"value": record, "key": reply.key}, idempotency_key, info=info)
        after = info.seq if is_new else 0
        there, plan = await self._lives.shared.store.info(self.id), self._plan
        # A run that waits continues here, unless workers drive it or this handle does not know its graph.
        if there.status == "waiting" and there.queue == DEFAULT_QUEUE and plan is not None:
            drive_here(self._lives, plan, self.id, opening.resume)
        return await reply.find(self._lives.shared.store, info, after)

    async def _check_message(self, info: RunInfo, topic: str, record: JsonValue) -> None:
        """Refuse a message if the run waits for a message on this topic and the payload has another type.

        The message is not checked if an unread message on the topic comes before it, because that message will end the
        wait. It is not checked either if a newer version of graphengine wrote the run's snapshot, which this version
        cannot read.
        """
        shared, errors, topics = self._lives.shared, list[InputError](), set[str]()
        try:
            frames = (await shared.kept.read(self.id, info)).frames
        except UNREADABLE:
            return
        for frame in frames.values():
            for name, wait in frame.waits.items():
                if wait.kind == "receive" and not child_of(wait.topic or ""):
                    topics.add(wait.topic or "")
                if wait.topic != topic:
                    continue
                found = Asked(name, wait, frame)
                try:
                    check_against(found, record, shared.types.of(self.id, found, None))
                except InputError as error:
                    errors.append(error)
                else:
                    return
        if errors and not await self.unread(topic):
            raise errors[0]
        if topics and topic not in topics:  # A later node may receive the topic, or no node.
            listed = ", ".join(map(repr, sorted(topics)))
            log.warning(_KEPT, topic, self.id, listed, extra={"run": self.id})

    async def unread(self, topic: str) -> Sequence[JsonValue]:
        """Return the messages on a topic that no node of the run has received yet, the oldest first.

        Nodes receive messages in order, so an empty result of `unread` means that all messages on the topic have been
        received. A message can be listed twice for a short time, while it moves from the inbox into the log of the run.

        Raises:
            UnknownRun: No run with this id is recorded.
        """
        store = self._lives.shared.store
        await self._wait_until_recorded()
        # The inbox is read before the snapshot, so that no message is missed.
        sent = [each.payload for each in await store.inbox([self.id]) if each.kind == "message"]
        kept = (await load_snapshot(store, self.id, None)).mailbox.get(topic, ())
        return [*kept, *(each["payload"] for each in sent if each["topic"] == topic)]

    @overload
    async def published(
        self,
        name: str,
        output: TypeForm[T],
        *,
        after: int | str = 0,
        item: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Published[T]: ...

    @overload
    async def published(
        self, name: str, *, after: int | str = 0, item: str | None = None, timeout_seconds: float | None = None
    ) -> Published[Any]: ...

    async def published(
        self,
        name: str,
        output: object = Any,
        *,
        after: int | str = 0,
        item: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Published[Any]:
        """Return the newest value that the nodes of the run published under a name. If there is none yet, wait for one.

        `published` reads the value from the store and runs no code of the graph. Therefore it does not matter which
        process drives the run, or whether the run is over.

        Args:
            name: The name that was passed to `ctx.publish`.
            output: The type of the value; any JSON value by default.
            after: Wait for a value that is newer than this one. Either the `cursor` of the value that was seen last, or
                its `seq`, which is not checked against an earlier run with the same id.
            item: An item of a map, such as `research[3]`, whose newest value is wanted; "" for values that were
                published outside of maps. By default the newest value of all is returned.
            timeout_seconds: How long to wait; 0 to return an existing value only, None to wait until the run is over.

        Raises:
            NotPublished: The run ended without such a value, or without a newer one.
            NotPublishedYet: The value was not published in time.
            InputError: The value has another type.
            UnknownRun: No run with this id is recorded, or the run was removed meanwhile.
            RunReplaced: The cursor belongs to an earlier run with this id.
        """
        await self._wait_until_recorded()
        reader = Reader[Any](self._lives.shared.store, self.id, name, output, item)
        return await reader.newest(after, timeout_seconds)

    @overload
    def publications(
        self, name: str, output: TypeForm[T], *, after: int | str | None = None, item: str | None = None
    ) -> AsyncGenerator[Published[T], None]: ...

    @overload
    def publications(
        self, name: str, *, after: int | str | None = None, item: str | None = None
    ) -> AsyncGenerator[Published[Any], None]: ...

    def publications(
        self, name: str, output: object = Any, *, after: int | str | None = None, item: str | None = None
    ) -> AsyncGenerator[Published[Any], None]:
        """Iterate over the values that nodes publish under a name, from the newest value on, until the run is over.

        Args:
            name: The name that was passed to `ctx.publish`.
            output: The type of the values; any JSON value by default.
            after: Begin with the first value after this cursor or step number (`seq`) instead of the newest value. This
                is for a client that reconnects.
            item: An item of a map, as for `published`.

        Raises:
            RunFailed: The run failed. Raised at the end of the iteration.
            RunReplaced: The cursor belongs to an earlier run with this id. Raised when iterated.
            InputError: A value has another type. Raised when iterated.
            UnknownRun: No run with this id is recorded, or the run was removed meanwhile. Raised when iterated.
        """
        return self._publications(Reader[Any](self._lives.shared.store, self.id, name, output, item), after)

    async def _publications(self, reader: Reader[Any], after: int | str | None) -> AsyncGenerator[Published[Any], None]:
        await self._wait_until_recorded()
        async with aclosing(reader.each(after)) as found:
            async for each in found:
                yield each
        if (await self._lives.shared.store.info(self.id)).status == "failed":
            await self.result()

    async def progress(self) -> Sequence[MapProgress]:
        """Return how many items each map of the run has done, for the maps at which the run is now.

        Raises:
            UnknownRun: No run with this id is recorded.
        """
        await self._wait_until_recorded()
        return progress_in(await load_snapshot(self._lives.shared.store, self.id, None))

    async def _notify_run(self) -> None:
        """Let the run read a message that was just posted to its inbox, instead of at its next poll.

        A run that is driven here reads its inbox now, and a run that sleeps here wakes. Watchers in this process look
        again too.
        """
        shared = self._lives.shared
        life = shared.driven.get(self.id)
        if life is not None:
            life.deliver(await shared.store.inbox([self.id]))
        shared.wake(self.id)
        poke(shared.store, self.id)

    async def stop(self, why: str = "asked", *, now: bool = False, final: bool = False) -> None:
        """Stop the run and all runs that its nodes started, each at its next safe point.

        If another process drives one of these runs, the call returns without waiting for its end.

        Args:
            why: The reason to record, for people. The secrets of the run are hidden in it. If the run has secrets and
                its graph is not known here, the reason is withheld.
            now: Whether to cancel the nodes in flight, which run again after a resume. A function in a thread still
                runs to its end first.
            final: Whether the run ends as `cancelled`, so that no resume, answer or message can continue it. This also
                applies to a run that failed or was stopped before. Branches of the run can still be started.

        Raises:
            UnknownRun: No run with this id is recorded.
        """
        shared = self._lives.shared
        check_id(self.id)
        await self._wait_until_recorded()
        life = shared.driven.get(self.id)
        await opening.stop_tree(shared, self.id, Stop(utf8_text(why) or "asked", now=now, final=final))
        if life is not None and not is_inside(self.id):
            await life.until("over")

    def branch(  # noqa: PLR0913 - a place and what differs
        self,
        at: At,
        *,
        update: Mapping[str, object] | None = None,
        path: str | None = None,
        run_id: str | None = None,
        limits: Limits | None = None,
        pause_before: Sequence[str] | None = None,
        tags: Iterable[str] = (),
        instructions: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> Run[S, Out_co]:
        """Start a child run that continues after a step of this run; see `Runner.branch`. This run is not changed.

        Raises:
            DefinitionError: The handle does not know the graph of the run. `get(run_id, graph)` returns a handle that
                does.
        """
        lives, plan = self._lives, self._plan
        if plan is None:
            repair = f"give the graph to get: runner.get({self.id!r}, graph).branch(…)"
            text = "this handle does not know the graph of the run, which branch() needs"
            raise DefinitionError(text, where=f"run {self.id}", repair=repair)
        texts = {name: utf8_text(text) for name, text in (instructions or {}).items()}
        lives.checked(plan)
        for each in lives.shared.extensions if texts else ():
            each.instructed(plan, texts)
        if run_id == self.id:
            text = f"a branch of run {self.id!r} cannot have the same id"
            raise InputError(text, where=f"run {self.id}", repair="choose another run_id, or omit it")
        branch_off = partial(
            opening.branch_off,
            parent=self.id,
            at=at,
            update=update or {},
            path=path,
            limits=None if limits is None else as_limits(limits),
            pause=None if pause_before is None else pauses_of(plan, pause_before),
            tags=check_tags(tags, "tags=") if tags != () else (),
            instructions=texts,
            user=user,
        )
        # Only the lives that exist now, and not runs that are started later: otherwise two branches of each other would
        # wait for each other for ever.
        earlier = [life for life in lives.shared.lives if life.id == self.id and not life.claim.held_back]

        async def when_recorded(life: Life[S]) -> Driving | Result[S, Any]:
            for each in earlier:
                await each.until("begun")
            return await branch_off(life)

        child = new_id(lives.shared.clock.now()) if run_id is None else chosen_id(run_id)
        return handle_on(lives.begin(plan, child, when_recorded), lives)

    async def branches(self) -> Sequence[RunInfo]:
        """Return the runs that were branched directly from this run, the newest first.

        Use it to find the corrected run if you have the id of the wrong one. A branch of a branch is in the `branches`
        of its own parent.

        Raises:
            UnknownRun: No run with this id is recorded.
        """
        store = self._lives.shared.store
        await self._wait_until_recorded()
        await store.info(self.id)
        return sorted(await store.branches([self.id]), key=lambda info: (info.created_at, info.id), reverse=True)

    def events(self, after: int | str = 0, *, wait_out: bool = False, live: bool = True) -> AsyncGenerator[Event, None]:
        """Iterate over the events of the run: recorded steps, live events while nodes run, status changes and the end.

        The last event that `events` yields is `RunEnded`. It contains the result that `result()` would return, or the
        result of the failed run.

        If this process drives the run, `events` watches the run from the moment of the call, even if the iterator is
        used later. To get all live events, call `events` before anything else is awaited, or at most one turn of the
        event loop later.

        A later caller misses the live events before the call. Instead, it gets the text that agents have shown so far
        in the model response that is in progress. This text arrives in one piece for each call of an agent, and
        contains at most the last 100,000 characters. The text of earlier model responses is in the recorded steps.

        If another process drives the run, there are no live events. Instead, `StatusChanged` follows whenever the
        status, the driver or the waits of the run have changed.

        A program that reads the events too slowly loses no recorded step. The pieces of text that it has not read yet
        are joined to one piece, of which the last 100,000 characters are kept.

        Args:
            after: Skip the steps up to this step number (`seq`), or up to this cursor (`RunInfo.cursor`), for a client
                that reconnects. A cursor is refused if another run has the id meanwhile.
            wait_out: Whether to continue, until the run is over, while it waits or no process drives it.
            live: Whether live events are wanted. If nobody wants them, model responses are not streamed.

        Raises:
            WatcherTooSlow: More than 10,000 live events that cannot be joined wait for this watcher. Raised when
                iterated.
            UnknownRun: No run with this id is recorded. Raised when iterated.
            RunReplaced: The cursor belongs to an earlier run with this id. Raised when iterated.
            GraphEngineError: The run could not be begun, claimed (`RunIsDriven`) or recorded. Raised when iterated;
                with `wait_out`, the recorded run is followed instead.
        """
        life = self._life or self._lives.of(self.id)
        if life is None:
            return self._events(after, None, wait_out=wait_out, live=live)
        queue = life.audience.joined(live=live)
        events = self._events(after, (life, queue), wait_out=wait_out, live=live)
        weakref.finalize(events, life.audience.left, queue).atexit = False  # also if the iterator is never used
        return events

    async def _events(
        self, after: int | str | None, living: tuple[Life[Any], Watcher] | None, *, wait_out: bool, live: bool = True
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of the run, from this process while it drives the run, and otherwise from the store.

        Args:
            after: The step number or cursor after which to begin; None for only what happens from now on.
            living: The run as this process drives it, with the queue of the watcher; None to begin with the store.
            wait_out: Whether to continue until the run is over, as for `events`.
            live: Whether live events are wanted, as for `events`.
        """
        if not isinstance(after, int):
            await self._wait_until_recorded()
            info = await self._lives.shared.store.info(self.id)
            after = info.seq if after is None else info.seq_in(after)
        if living is not None and living[0].is_over and await self._was_continued(living[0]):
            living = None
        while True:
            if living is None:
                await self._wait_until_recorded()
            source = (
                self._poll(after, wait_out=wait_out)
                if living is None
                else _follow_life(*living, after, wait_out=wait_out)
            )
            async with aclosing(source) as events:
                async for event in events:
                    if isinstance(event, StepRecorded):
                        after = event.seq
                    yield event
                    if isinstance(event, RunEnded):
                        return
            if living is not None and not wait_out:
                return
            life = self._lives.of(self.id) if living is None else None
            living = None if life is None else (life, life.audience.joined(live=live))

    async def _poll(self, after: int, *, wait_out: bool) -> AsyncGenerator[Event, None]:
        """Yield the steps and status changes that another process records, by polling the store.

        The iteration ends when the run is over, or when this process begins to drive the run and its live events can be
        followed instead.
        """
        store = self._lives.shared.store
        info = await store.info(self.id)
        snapshot = await load_snapshot(store, self.id, info.seq)  # at this step, and not at a later one
        reported: tuple[object, ...] = ()
        refused = 0  # the seq of the last refused answer, because the question keeps its id after a refusal
        reasons = StepReasons(store, self.id)
        async with aclosing(polled(store, info, after)) as polls:
            async for row, steps, snapshot.posted in polls:
                for step in steps:
                    if step.seq > snapshot.seq:
                        fold((step,), snapshot)
                    refused = step.seq if step.kind == "refused" else refused
                    yield StepRecorded(step.seq, step, await reasons.why(step))
                is_idle = row.status != "running" or (row.driver is None and not row.queued)
                if row.status in OVER or (is_idle and not wait_out):
                    plan = self._plan or self._lives.shared.plan_by(row.fingerprint)
                    yield RunEnded(await read_result(self._lives.shared, plan, snapshot))
                    return
                waits = tuple(waits_of(snapshot))
                status = status_of(row)
                ids = [wait.id for frame in snapshot.frames.values() for wait in frame.waits.values()]
                # The posted answers are part of the news: a chat can have been answered, and wait again, since then.
                news = (status, row.driver, ids, [*snapshot.posted], refused)
                if news != reported:
                    reported = news
                    yield StatusChanged(status, row.driver, waits)
                if self._lives.of(self.id) is not None:
                    return


_FILL: Final = Run.__init__
"""`Run.__init__` without the check of its arguments that programs get."""


def handle_on(life: Life[S], lives: Lives) -> Run[S, Any]:
    """Return the handle of a run that this process drives. All callers share one handle object, while it is in use."""
    run: Run[S, Any] | None = None if life.handle is None else life.handle()
    if run is None:
        run = Run.__new__(Run)
        _FILL(run, life.id, lives, life)
        life.handle = weakref.ref(run)
    return run


async def send_alone(run: Run[Any], topic: str, payload: object, key: str, alone: str) -> bool:
    """Send a message to a run, unless a message was sent before that belongs to the same place of a conversation.

    Protocol adapters use this so that each place of a conversation gets a single message. An earlier message belongs to
    the same place if its idempotency key begins with `alone`. Errors are raised as by `Run.send`.

    Returns:
        Whether the message was sent now. False if it, or a message for the same place, was sent before.
    """
    return await run._send(topic, payload, key, alone)  # noqa: SLF001 - an own part of it


def drive_here(lives: Lives, plan: Plan[S], run_id: str, resume: Opening[S]) -> Life[S]:
    """Begin to drive a run in this process, unless this process drives it already.

    If another process drives the run, this process waits, and continues the run if the other process leaves it. Returns
    the `Life` of the run, through which this process follows it.
    """
    here = lives.of(run_id)
    if here is None or not here.claim.may("be_wanted"):
        return lives.begin(lives.checked(plan), run_id, resume, Claim(follows=True))
    here.claim.step(Wanted())
    return here


def life_of(run: Run[S, Any]) -> Life[S]:
    """Return the object that drives a run in this process.

    The handle must have begun the run by a start, a resume or a branch. The command line, workers and the inspector use
    this function.

    Raises:
        UnknownRun: The handle was not made by a start, resume or branch in this process.
    """
    life = run._life  # noqa: SLF001 - of this module
    if life is None:
        raise UnknownRun(f"run {run.id} is not driven by this Runner", where=f"run {run.id}")
    return life


def is_inside(run_id: str) -> bool:
    """Return whether the calling code belongs to a node of this run. Such a node must not wait for the run's end."""
    here = CURRENT.get()
    return isinstance(here, Attempt) and here.services.run_id == run_id


async def _follow_life(life: Life[Any], queue: Watcher, last: int, *, wait_out: bool) -> AsyncGenerator[Event, None]:
    """Yield the events of a run that this process drives: the steps after step `last`, live events, and the end.

    With `wait_out`, the last event is left out if the run only waits, because the caller follows the run further.
    """
    try:
        await life.until("begun")
        reasons = StepReasons(life.shared.store, life.id)
        for step in () if queue.begins_after(last) else await _load_steps(life, last, life.last_seq):
            last = step.seq
            yield StepRecorded(step.seq, step, await reasons.why(step))
        async with aclosing(_live_events(life, queue, last, reasons)) as events:
            async for event in events:
                last = event.seq if isinstance(event, StepRecorded) else last
                yield event
        queue.check(life.id)
        if life.task.cancelled() and life.seq:  # The event loop ends, so there is no result.
            return
        if not wait_out:
            life.is_retrieved = True  # The result also counts as retrieved if an error is raised here.
        ended = RunEnded(life.ended_with())
        with suppress(RunnerClosed):  # If the Runner is closed, a later watcher gets the steps.
            # These steps were recorded by another process while the run was asleep here.
            for step in await _load_steps(life, last, ended.result.seq):
                yield StepRecorded(step.seq, step, await reasons.why(step))
        if not wait_out or ended.result.status in OVER:
            life.is_retrieved = True
            yield ended
    except GraphEngineError as error:
        if not wait_out or isinstance(error, WatcherTooSlow):
            raise
    finally:
        life.audience.left(queue)


async def _live_events(life: Life[Any], queue: Watcher, last: int, reasons: StepReasons) -> AsyncGenerator[Event, None]:
    """Yield the events in a watcher's queue until the run is no longer driven here.

    A slow watcher's queue leaves out recorded steps. These are read from the store, so that the watcher gets every step
    after `last` in order.
    """
    while not (life.task.done() and queue.empty()):
        event = await queue.get()
        if event is None:
            break
        if isinstance(event, StepRecorded):
            if event.seq <= last:
                continue
            for step in await _load_steps(life, last, event.seq - 1):
                yield StepRecorded(step.seq, step, await reasons.why(step))
            last = event.seq
        elif isinstance(event, NodeBegan) and event.after < last:
            continue  # The end of this attempt was among the recorded steps.
        yield event
    for step in await _load_steps(life, last, life.last_seq) if queue.is_behind else ():
        yield StepRecorded(step.seq, step, await reasons.why(step))


async def _load_steps(life: Life[Any], after: int, upto: int) -> Sequence[Step]:
    return await life.shared.store.steps(life.id, after, upto) if upto > after else ()
