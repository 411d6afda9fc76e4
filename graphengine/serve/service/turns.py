"""Deliver each message of a client once to its run, and find the reply of the run to the message.

A message of a client starts a run, is received by a waiting run, or answers the question of a run. The run has replied
as soon as it *rests*, which means that it has ended, or waits for a person or a message. A *turn* is a message and
everything that happened until the run rested again.

A turn is identified by two values: the *key* of the message, which is the same if the client sends the message again,
and the *place*, which is the number of the step after which the message arrived. The place is needed, because a
different question may be open when the message is sent again:

1. A client sends a message. The message is delivered, and this process dies before it replies.
2. The client sends the message again, possibly to another process. That process finds the turn by its key. The message
   is not delivered to this place a second time, and the client gets the reply of the same turn.

Key and place are stored in one of two ways:

- A message that a run receives is posted under a key of the run's inbox that contains both. One write delivers the
  message and stores the turn, which exists as long as the run.
- All other turns are stored as a tag of the run. The tag of the first message is written together with the run. The
  tags of an answer and of a message that came too late are written before the message is used. If a process dies
  between the two writes, the message is delivered in step 2.

Messages that reach one process at the same time get a turn each, in the order of their arrival; see `Turns.order`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from pydantic_core import to_json, to_jsonable_python

from graphengine.agents.approval import BY_MESSAGE
from graphengine.agents.chats import TURN, is_chat, refuse_before
from graphengine.agents.prompts import has_media, marked
from graphengine.errors import InputError, RunExists, UnknownRun
from graphengine.kernel.extension import OwnId, StepRecorded, compiled
from graphengine.kernel.inside import fit_answer
from graphengine.kernel.reader import OVER, Snapshot, Wait, load_snapshot
from graphengine.kernel.store import check_not_cancelled
from graphengine.media import Media
from graphengine.schemas.words import in_words, whats_wrong
from graphengine.serve.callers import RequestId
from graphengine.serve.service.following import Rest, answer, follow_run, look_at, open_in, rest_of, say, waits
from graphengine.serve.service.shown import NOTHING, Fold
from graphengine.serve.service.text_places import no_place, text_field

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from graphengine.api.graph import Graph
    from graphengine.kernel.extension import Event, Result
    from graphengine.kernel.reader import Step
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.serve.service.app import Service
    from graphengine.serve.service.shown import FrontEvent

_TAGS: Final = ("ge:turn:", "ge:late:")
_TURN: Final = re.compile(r"ge:(turn|late):(\d{1,10}):(.*)", re.DOTALL)
_KEPT: Final = 20
"""The number of turns stored as tags that can be sent again. The tags of earlier turns are removed."""
_READ: Final = 1000
"""The number of keys of an inbox that are read, newest first."""
_SENT: Final = " turn "
"""The separator before the place and the key of a turn in a key of the inbox. The key of a turn contains no blank."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation: a client's message, and what the run then did until it ended or waited again.

    Attributes:
        after: The place of the turn: the number of the step after which the message arrived; 0 if the message started
            the run.
        run_id: The id of the run.
        is_late: Whether the message came too late to be used, because the question had been answered elsewhere.
        nonce: The nonce of the run, because another run can have the same id later; "" if the nonce is unknown.
        place: The entry of the run in the store and its snapshot after the step `after`, if both were just read. They
            are not read again to show a new turn. The code that shows the turn applies the next steps to this snapshot.
    """

    after: int
    run_id: str
    is_late: bool = False
    nonce: str = field(default="", compare=False)
    place: tuple[RunInfo, Snapshot] | None = field(default=None, compare=False, repr=False)

    @property
    def identity(self) -> str:
        """The id of the run with its nonce, so that a later run with the same id is not mistaken for this run."""
        return f"{self.run_id} {self.nonce}".rstrip()


class _PlaceTaken(Exception):
    """Raised if another process has delivered another message at the same step of the run.

    The message then gets a later turn.
    """


class Results(dict[str, object]):
    """A message with the results of tools that the client executed, by the ids of the waits for these results."""


class Turns:
    """Delivers the messages of clients to runs, and finds the reply of the run to each message.

    A *turn* is a message and everything that the run did until it ended or waited again.

    Args:
        service: The service that starts, follows and answers runs.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._runner = service.runner
        self._orders = WeakValueDictionary[str, asyncio.Lock]()

    def order(self, conversation: str) -> asyncio.Lock:
        """Return the lock with which the messages of one conversation are delivered one after the other.

        A caller holds the lock while it determines the turn of a message and delivers the message. Without the lock,
        two messages could share a turn:

        1. Two messages find the run waiting, at the same step.
        2. Both are delivered there, so both belong to the same turn.
        3. The run answers one after the other, and both clients get the second answer.

        Args:
            conversation: A text that all messages of the conversation have in common.
        """
        return self._orders.setdefault(conversation, asyncio.Lock())

    async def begin(
        self,
        graph: Graph[Any],
        state: Mapping[str, Any],
        turn: Turn,
        key: str,
        message: object = None,
        **place: Any,  # noqa: ANN401 - options of `Runner.start`
    ) -> Turn:
        """Start a run with the message of a client, unless the run exists, and return its first turn.

        Args:
            graph: The graph.
            state: The initial state.
            turn: A turn with the id of the run. The id is a `RequestId` if only this message can have started the run.
            key: The key of the turn.
            message: The message, if the run receives it after its start; None if the message is part of the state.
            place: Options of `Runner.start`.

        Raises:
            RunExists: A run with this id exists that another message started.
            InputError: The run does not wait for a message, so no code would read this message.
        """
        tags = [*place.pop("tags", ()), *([_build_turn_tag(turn, key)] if message is None else [])]
        _, is_new = await self._service.begin(graph, state, turn.run_id, tags=tags, **place)
        info = await self._service.info_of(turn.run_id)
        turn = replace(turn, nonce=info.nonce)
        if message is None:
            return replace(turn, place=(info, Snapshot())) if is_new else turn
        recorded = await self.of(info) if isinstance(turn.run_id, RequestId) else ()
        if recorded and turn_of(recorded, key) is None:
            text, repair = f"run {info.id} began with another message", "send this message under an id of its own"
            raise RunExists(text, where=f"run {info.id}", repair=repair)
        found, rest = await self.find(info, key)
        if rest is None:
            await self.deliver(found, message, key)
            return found
        # The run asks a question first, or has ended.
        if not any(wait.kind == "receive" for wait in waits(rest).values()):
            raise no_place(info.graph, compiled(graph))
        return await self.say(found, message, key)

    async def find(self, info: RunInfo, key: str, *, is_known: bool = True) -> tuple[Turn, Snapshot | None]:
        """Return the turn of a message that the run has already received, or choose the turn of a new message.

        For a new message, this method first waits until the run has ended or waits.

        Args:
            info: The run's entry in the store.
            key: The key of the message.
            is_known: Whether an existing turn with this key is certainly of this message. If not, a new turn is
                determined in any case.

        Returns:
            The existing turn and None; or the new turn, and the snapshot of the run to which the message will be
            delivered.

        The turns are read again after the run was found waiting, because of this race:

        1. Two processes get the same message. The first process records the turn and delivers the message, and the run
           works and waits again.
        2. The second process read the turns before that, and now finds the run waiting. It therefore reads the turns
           again. A turn that is recorded from then on has the same place, where the store refuses a second message.
        """
        recorded = await self.of(info)
        while True:
            existing = turn_of(recorded, key)
            if existing is not None and is_known:
                return existing, None
            found, info, rest = await self._next(info, newest_turn(recorded, info))
            before, recorded = recorded, await self.of(info)
            if before == recorded:
                return replace(found, place=(info, rest)), rest

    async def of(self, info: RunInfo) -> Sequence[tuple[Turn, str]]:
        """Return the recorded turns of a run, with the keys of their messages."""
        return await turns(self._runner.store, info)

    async def _next(self, info: RunInfo, newest: Turn) -> tuple[Turn, RunInfo, Snapshot]:
        shown = self._service.rests.of(info.id)
        row, rest = await look_at(self._service, info.id)
        if rest is None:
            rest, row = await self.rested(Turn(-1, info.id)), await self._service.info_of(info.identity)
        if shown is not None and shown.run is rest and shown.after == newest.after:
            answers = shown.answers
        else:
            answers = sum(map(_is_answer, await self._runner.history(info, after=newest.after)))
        own = 0
        if answers and newest.after and not newest.is_late:
            before = await load_snapshot(self._runner.store, info.id, newest.after)
            own = int(any(wait.answerable for wait in waits(before).values()))
        return Turn(rest.seq, info.id, is_late=answers > own, nonce=row.nonce), row, rest

    async def say(self, turn: Turn, message: object, key: str) -> Turn:
        """Deliver a client's new message to a run, and return the turn in which the run will work on the message.

        Two processes can deliver to the run after the same step:

        1. Each process gets a message, and both find the run waiting after the same step.
        2. The first process delivers its message.
        3. The store refuses the second message, which then gets the next turn.

        Raises:
            InputError: The message does not fit what the run waits for. The turn is recorded all the same.
        """
        while True:
            try:
                await self.deliver(turn, message, key, is_new=True)
            except _PlaceTaken:
                turn, rest = await self.find(await self._service.info_of(turn.identity), key)
                if rest is None:  # another process has delivered this very message
                    return turn
            except InputError:
                await self._runner.note(turn.run_id, [], [_build_turn_tag(turn, key)])
                raise
            else:
                return turn

    async def _note(self, turn: Turn, key: str, *, is_new: bool) -> None:
        """Record a new turn of a conversation in a tag of its run. Only the newest turns of a run keep their tags."""
        if not is_new:
            return
        info = turn.place[0] if turn.place is not None else await self._service.info_of(turn.identity)
        tags = {tag: int(found[2]) for tag in info.tags if (found := _TURN.fullmatch(tag)) is not None}
        old = sorted(tags, key=lambda tag: tags[tag])[: max(len(tags) + 1 - _KEPT, 0)]
        await self._runner.note(info, [_build_turn_tag(turn, key)], old)

    async def deliver(  # noqa: C901 - what a message can be for a run
        self, turn: Turn, message: object, key: str, *, is_new: bool = False
    ) -> None:
        """Give a client's message to the run that shall work on it: as the answer to a question, or as a message.

        A message that the run has already received is not given again.

        Raises:
            InputError: The message does not fit what the run waits for.
        """
        if not turn.after or turn.is_late:
            await self._note(turn, key, is_new=is_new)
            return
        run_id = turn.run_id
        info, before = turn.place or (await self._service.info_of(turn.identity), None)
        check_not_cancelled(info)
        graph = self._service.graphs[info.graph]
        found = waits(before or await load_snapshot(self._runner.store, run_id, turn.after))
        if isinstance(message, Results):
            await self._note(turn, key, is_new=is_new)
            await self._answer_tool_calls(run_id, found, message)
            return
        in_chat = is_chat(compiled(graph))
        if in_chat and any(_is_refused_by(wait, message) for wait in found.values()):
            await self._note(turn, key, is_new=is_new)  # the refusal is an answer to the question
            await refuse_before(self._runner, run_id, key)
            found = {}
        if in_chat and not found:
            found = {"": Wait("", "receive", "", topic=TURN)}  # the run receives the message next
        for wait_id, wait in found.items():
            if _takes_text(wait):
                await self._note(turn, key, is_new=is_new)
                for error in (await answer(self._service, run_id, {wait_id: message})).values():
                    raise error
                return
        payloads = (
            (wait, _build_payload(wait, graph, message, key)) for wait in found.values() if wait.kind == "receive"
        )
        received = next(((wait, payload) for wait, payload in payloads if payload is not None), None)
        if received is not None:
            wait, payload = received
            if info.status not in OVER or (in_chat and info.status in ("failed", "stopped")):
                place = f"{_SENT.lstrip()}{turn.after} "
                is_new = await say(self._service, info, wait.topic or "", payload, f"{place}{key}", place)
                if not is_new and turn_of(await self.of(await self._service.info_of(turn.identity)), key) is None:
                    raise _PlaceTaken
            else:
                await self._note(turn, key, is_new=is_new)
            return
        asked = ", ".join(wait.question for wait in found.values())
        raise InputError(
            f"run {run_id} waits for {asked}, and a message cannot answer this",
            where="message",
            repair="send the answer by POST /runs/RUN/answer",
        )

    async def _answer_tool_calls(self, run_id: str, found: Mapping[str, Wait], results: Results) -> None:
        """Record the results of tools that the client has executed.

        The run waits for these results, because a model has called the tools.

        Raises:
            InputError: No call waits for one of these results, or a result does not fit.
        """
        awaited = {key: results[key] for key, wait in found.items() if wait.kind == "tool" and key in results}
        if not awaited:
            text = (
                f"run {run_id} does not wait for the result of a tool call with the id {', '.join(map(repr, results))}"
            )
            repair = "send each result under the id of its tool call"
            raise InputError(text, where="tool results", repair=repair)
        for error in (await answer(self._service, run_id, awaited)).values():
            raise error

    async def said(self, turn: Turn, field: str | None) -> str | None:
        """Return the text of the message that began a turn, in the form that the run has recorded.

        The result is None if the run has not used the message.

        Args:
            turn: The turn.
            field: The field of the state that contains the text of a message which started the run; None if there is no
                such field.
        """
        if turn.is_late:
            return None
        if not turn.after and field is not None:
            return as_text((await self._runner.state_at(turn.run_id, 1)).get(field))
        for step in await self._runner.history(await self._service.info_of(turn.identity), after=turn.after):
            if getattr(step.data, "by", "") in ("answer", "message"):
                record = getattr(step.data, "answer", None)
                value = record.value if record is not None else None
                inputs = value.get("given") if isinstance(value, dict) else None  # in a conversation with an agent
                return as_text(next(iter(inputs.values()), None) if isinstance(inputs, dict) else value)
        return None

    async def rest(self, turn: Turn) -> Snapshot | None:
        """Return the run as it was at the end of a turn; None if the run is still working on the turn.

        If a later turn exists, this turn ended at the step after which the later message arrived.
        """
        store = self._runner.store
        if turn.is_late:
            return await load_snapshot(store, turn.run_id, turn.after)
        end = await self._end(turn)
        return await (rest_of(self._service, turn.run_id) if end is None else load_snapshot(store, turn.run_id, end))

    async def _end(self, turn: Turn) -> int | None:
        """Return the number of the step at which a turn ended because a later message began the next turn.

        The result is None for the newest turn.
        """
        if turn.after < 0:
            return None
        recorded = await self.of(await self._service.info_of(turn.identity))
        places = [each.after for each in turns_with(turn, recorded)]
        return min((place for place in places if place > turn.after), default=None)

    async def shown(self, turn: Turn) -> AsyncGenerator[FrontEvent | Snapshot, None]:
        """Yield the events of a turn for front ends, and as the last value the snapshot of the run at the turn's end.

        The caller may use this snapshot only until it asks for the next value. After that, the snapshot is kept for the
        next turn.
        """
        run_id, after, store = turn.run_id, max(turn.after, 0), self._runner.store
        info = turn.place[0] if turn.place is not None else await self._service.info_of(turn.identity)
        before, end = None if turn.place is None else turn.place[1], None
        if turn.is_late or before is None or before.seq != after:
            end = turn.after if turn.is_late else await self._end(turn)
            before = await load_snapshot(store, run_id, after) if after else Snapshot()
        fold = Fold(info, NOTHING, before, lambda _: {}, is_chat=False, field=None)
        if end is not None:
            for step in await self._runner.history(info, after=after, limit=end - after):
                for each in fold.of(StepRecorded(step.seq, step)):
                    yield each
            yield await load_snapshot(store, run_id, end)
            return
        rest, answers = None, 0
        try:
            async with aclosing(follow_run(self._service, info, after, now=fold.snapshot)) as events:
                async for event in events:
                    earlier = await self._load_turn_end(turn, event)
                    if earlier is not None:
                        yield earlier
                        return
                    if isinstance(event, Snapshot):
                        rest = event
                        yield event
                        continue
                    answers += isinstance(event, StepRecorded) and _is_answer(event.step)
                    for each in fold.of(event):
                        yield each
        finally:
            if rest is not None:
                self._service.rests.keep(run_id, Rest(rest, after, answers))

    async def _load_turn_end(self, turn: Turn, event: Event | Snapshot) -> Snapshot | None:
        """Return the run as it was at the end of a turn, if the turn has ended without this process noticing it.

        This is the case if an event already belongs to a later turn. Otherwise the result is None.

        Another process can be faster than this one:

        1. The run waits.
        2. Another process delivers the next message, before this process has noticed that the run waits.
        """
        at = event.seq if isinstance(event, Snapshot) else 0
        if isinstance(event, StepRecorded) and getattr(event.step.data, "by", "") == "message":
            at = event.step.seq
        end = await self._end(turn) if at else None
        return await load_snapshot(self._runner.store, turn.run_id, end) if end is not None and end < at else None

    async def rested(self, turn: Turn) -> Snapshot:
        """Wait until a turn has ended, and return the snapshot of the run.

        A turn ends when the run has ended, or waits for a person or a message.

        Raises:
            ServiceFailed: The service stops, or the client has disconnected.
        """
        rest = await self.rest(turn)
        if rest is not None:
            return rest
        return await self._service.unless_stopped(self._wait_until_rest(turn))

    async def _wait_until_rest(self, turn: Turn) -> Snapshot:
        info = await self._service.info_of(turn.identity)
        async with aclosing(follow_run(self._service, info, max(turn.after, info.seq), live=False)) as events:
            async for event in events:
                if isinstance(event, Snapshot):
                    end = await self._end(turn)  # another process may have delivered the next message, as in `shown`
                    return event if end is None else await load_snapshot(self._runner.store, turn.run_id, end)
        raise UnknownRun("the run was removed", where=f"run {turn.run_id}", repair="begin another conversation")


def _is_answer(step: Step) -> bool:
    return getattr(step.data, "by", "") == "answer"


async def turns(store: Store, info: RunInfo) -> Sequence[tuple[Turn, str]]:
    """Return the turns of a run that are still recorded, each with the key of the message that began it.

    Turns are recorded in tags of the run, and in the keys of messages in the run's inbox.
    """
    tags = [part for part in map(_TURN.fullmatch, info.tags) if part is not None]
    found = {(Turn(int(part[2]), info.id, part[1] == "late", info.nonce), part[3]): None for part in tags}
    for sent in await store.message_keys(info.id, _READ):
        _, is_turn, place = sent.rpartition(_SENT)
        after, _, key = place.partition(" ")
        if is_turn and after.isdecimal():
            found[Turn(int(after), info.id, nonce=info.nonce), key] = None
    return [*found]


def turn_of(known: Sequence[tuple[Turn, str]], key: str) -> Turn | None:
    """Find a turn by the key of its message; None if no turn has this key.

    Args:
        known: The recorded turns of a run, from `turns`.
        key: The key, which is the same when a client sends its message again.
    """
    return next((turn for turn, other in known if other == key), None)


def turns_with(turn: Turn, known: Sequence[tuple[Turn, str]]) -> Sequence[Turn]:
    """Return all recorded turns of a run, and raise an error if they do not include a certain turn.

    Raises:
        UnknownRun: The turn is not recorded. Old turns may have been removed.
    """
    found = [each for each, _ in known]
    if turn not in found:
        text, repair = (
            "the message is not among the newest messages of the run, and older ones are removed",
            "read the run",
        )
        raise UnknownRun(text, where=f"run {turn.run_id}", repair=repair)
    return found


def newest_turn(known: Sequence[tuple[Turn, str]], info: RunInfo) -> Turn:
    """Return the newest turn of a run. If no turn is recorded, return the turn that started the run."""
    found = (turn for turn, _ in known)
    return max(found, key=lambda turn: (turn.after, not turn.is_late), default=Turn(0, info.id, nonce=info.nonce))


def check_seen(turn: Turn, rest: Snapshot, message: object, seen: RunInfo | None) -> None:
    """Check that a message was not sent before the run asked the question which the message would answer.

    Otherwise it would answer a question that its sender has not seen:

    1. A run asks question A.
    2. A person clicks twice, so two messages "yes" arrive.
    3. The first message answers A, and the run asks question B.
    4. The second message would answer B, which its sender has not seen.

    Args:
        turn: The turn that the message would get.
        rest: The run at the place of the turn.
        message: The message.
        seen: The entry of the run in the store when the message arrived; None if there was no run.

    Raises:
        InputError: The question was asked after the message arrived.
    """
    if turn.is_late or isinstance(message, Results):
        return  # the message answers no question, or names the calls that it answers
    asked = next((each for each in open_in(rest) if _takes_text(each.wait)), None)
    if asked is None or asked.record.asked_at <= (seen.updated_at if seen is not None else 0.0):
        return
    if not _is_refused_by(asked.wait, message):  # otherwise the message is received next
        text = (
            f"the question {str(asked.wait.question)!r} was asked after this message came, so the message cannot answer"
        )
        raise InputError(text, where="message", repair="read the question, and send the answer again")


def _takes_text(wait: Wait) -> bool:
    """Return whether a person can end this wait of a run by writing a message.

    If a run has several such waits, the first one gets the message.
    """
    return wait.answerable and wait.kind != "tool"


def _is_refused_by(wait: Wait, message: object) -> bool:
    """Return whether a person's message refuses what the chat asked for, by saying something else instead.

    Example: the chat asks for the approval of a tool call, and the person writes "Why that customer?". The message is
    not an answer, but it may follow as the next message of the chat.
    """
    schema = wait.schema or {}
    return BY_MESSAGE in schema and bool(whats_wrong(schema, fit_answer(message, schema)))


def _build_turn_tag(turn: Turn, key: str) -> str:
    return OwnId(f"{_TAGS[turn.is_late]}{turn.after}:{key}")


def digest(given: object) -> str:
    """Return a short digest of a JSON value, for use in a tag or an id."""
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:20]


def _build_payload(wait: Wait, graph: Graph[Any], message: object, key: str) -> object:
    """Convert a client's message to the form of answer or message that a waiting run expects.

    The result is None if the message does not fit.
    """
    if wait.topic == TURN:  # in a conversation with an agent
        field = text_field(compiled(graph))
        return {"id": key, "given": {field: message}} if field is not None else None
    return None if wait.schema is not None and whats_wrong(wait.schema, message) else message


def asked(wait: Wait) -> str:
    """Return the text of a question for clients that show only text.

    If the answer must have a certain form, this form is added to the text.
    """
    schema = wait.schema or {}
    how = "" if schema.get("type") == "string" and schema.keys() <= {"type", "title"} else f" ({in_words(schema)})"
    return f"{wait.question or wait.name}{how}"


def output(graph: Graph[Any], result: Result[Any], said: str = "") -> tuple[Any, Sequence[Media]]:
    """Return the result of a run as JSON values, and the images and other media in it.

    Each medium is replaced by a marker. If the graph declares no result, the last text of an agent is returned instead,
    or else the state.

    Args:
        graph: The graph.
        result: The result of the run.
        said: The last text of an agent; "" if there is none.
    """
    plan, media = compiled(graph), list[Media]()
    value = result.output
    if plan.result is None or not result.is_migrated:
        value = said or {name: record for name, record in result.values.items() if name not in plan.state.secrets}
    elif has_media(value):
        value = marked(value, media)
    return to_jsonable_python(value, by_alias=False, fallback=str), media


def as_text(value: object) -> str:
    """Return a text unchanged, and any other JSON value encoded as JSON; "" for null."""
    return value if isinstance(value, str) else "" if value is None else to_json(value).decode()


__all__ = [
    "Turn",
    "Turns",
    "as_text",
    "asked",
    "check_seen",
    "digest",
    "newest_turn",
    "output",
    "turn_of",
    "turns",
    "turns_with",
]
