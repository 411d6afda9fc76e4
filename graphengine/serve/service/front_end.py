"""Chat threads of front ends: each thread is one run. The doors for front ends use this module.

A `Thread` starts the run of a thread, and sends messages and answers to it. Nothing else is stored. `Thread.events`
yields the events to show, which are defined in the module `shown`. The doors `ag_ui_door` and `ai_sdk_door` translate
these events into their protocols.

Pieces of a text are only available live, in the process that drives the run. A reader in another process, or a later
reader, gets the whole text of a turn as soon as it is recorded.
"""

from __future__ import annotations

import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, get_args, get_origin

from graphengine.agents.call_inputs import ANSWER
from graphengine.agents.chats import TURN, check_not_another, is_chat, refuse_before
from graphengine.errors import InputError, RunExists, UnknownRun
from graphengine.kernel.extension import RunEnded, StepRecorded, compiled, did_you_mean
from graphengine.kernel.inside import opened
from graphengine.kernel.reader import OVER, Answered, Message, Snapshot, load_snapshot
from graphengine.models.base import Message as Remembered
from graphengine.models.hiding import hide_secrets
from graphengine.records.base_documents import plain
from graphengine.records.now import load_now
from graphengine.records.visits import Visits
from graphengine.serve.callers import caller
from graphengine.serve.service.conversations import find, is_nonce_of_another
from graphengine.serve.service.following import Rest, answer, follow_run, rest_of, say, waits
from graphengine.serve.service.shown import NOTHING, Asked, Ended, Fold, State, Visited, said_in
from graphengine.serve.service.text_places import no_place, receives_text, text_field
from graphengine.serve.service.turns import Turn, Turns, as_text, digest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence

    from graphengine.kernel.reader import Wait
    from graphengine.kernel.store import RunInfo
    from graphengine.serve.service.app import Service
    from graphengine.serve.service.shown import FrontEvent, Have, Said


class Thread:
    """A thread of messages that a person sees in a front end, together with the run that answers the messages.

    A graph whose state contains the field `turn`, a `ChatTurn`, is a chat (`Graph.chat(agent)`). The run of a chat has
    the id that `runner.run(agent, chat=THREAD)` uses. It receives each message of a person under the topic `turn`, and
    the text of a message is its input `question`. A thread with any other graph is also one run.

    Args:
        service: The service that starts, follows and answers runs.
        graph: The name of the graph.
        thread: The id of the thread. The front end has chosen it.

    Attributes:
        run_id: The id of the thread's run.

    Raises:
        GraphNotFound: The service does not serve a graph with this name.
    """

    def __init__(self, service: Service, graph: str, thread: str) -> None:
        self._service = service
        self._graph = service.graph_of(graph)
        self._plan = compiled(self._graph)
        self.is_chat = is_chat(self._plan)
        self._field = text_field(self._plan)
        self._topics = (TURN,) if self.is_chat else ()
        self._place: tuple[RunInfo, Snapshot] | None = None  # the run before the message was sent
        self._turn = ""  # the id of the message that was sent
        self.run_id = caller().derived_id(*(("chat", thread) if self.is_chat else ("thread", graph, thread)))

    def shown(self, snapshot: Snapshot) -> Mapping[str, Any]:
        """Return the fields of the run's state that front ends see.

        Fields that contain the messages of an agent are left out, because front ends show these messages as texts.
        """
        fields = self._plan.state.fields
        conversation = {name for name, each in fields.items() if _is_conversation(each.info.annotation)}
        values: Mapping[str, Any] = hide_secrets(
            plain({name: value for name, value in snapshot.root.values.items() if name not in conversation})
        )
        return values

    def _fold(self, info: RunInfo, have: Have, snapshot: Snapshot) -> Fold:
        return Fold(info, have, snapshot, self.shown, is_chat=self.is_chat, field=self._field)

    async def info(self) -> RunInfo | None:
        """Return the entry of the thread's run in the store; None if the run does not exist yet.

        The id of a chat's run does not depend on the graph. If a chat of another graph already uses the same thread id,
        the run belongs to that graph.

        Raises:
            RunExists: The run belongs to another graph.
        """
        info = await find(self._service, self.run_id)
        if info is not None and info.graph != self._plan.graph:
            message = f"the thread's run {self.run_id} belongs to the graph {info.graph!r}, not to {self._plan.graph!r}"
            raise RunExists(message, where=f"run {self.run_id}", repair="use another id for the thread")
        return info

    async def existing(self) -> RunInfo:
        """Return the entry of the thread's run in the store. The run must exist.

        Raises:
            UnknownRun: The run does not exist.
            RunExists: The run belongs to another graph.
        """
        info = await self.info()
        if info is None:
            message = f"this service has no run {self.run_id!r}"
            raise UnknownRun(message, where=f"run {self.run_id!r}", repair="begin the thread with a first message")
        return info

    async def begin(self, message: Said | None, state: Mapping[str, Any]) -> int:
        """Start the run of the thread if it does not exist yet.

        If the graph is a chat, also send the message to the run, if it was not sent before. The run and the message are
        recorded before this method returns.

        Returns:
            The number of the step after which all events are new for a front end that has followed the thread until
            now; 0 if the front end may lack earlier events.

        Raises:
            InputError: The state or the message does not fit.
        """
        service, info = self._service, await self.info()
        if not self.is_chat:
            await self._begin_with_text(info, message, state)
            return 0
        if message is None:
            if info is None:
                repair = "send a message with the role user"
                raise InputError("a chat must begin with a message", where=f"run {self.run_id}", repair=repair)
            return 0
        inputs = {name: state[name] for name in state if self._is_input(name)}
        place = self._place_text(message)
        initial = self._plan.state.initial({**inputs, **place}, f"run {self.run_id}")
        if info is None:
            await service.begin(self._graph, {}, self.run_id)
        said = {name: opened(initial.values[name]) for name in initial.given}
        payload = {"id": message.id, "given": said}
        if info is not None and info.status == "waiting":
            store, now = service.runner.store, service.rests.take(info)
            self._place = info, now if now is not None else await load_snapshot(store, self.run_id, info.seq)
            await refuse_before(service.runner, self.run_id, message.id, self._place[1])
        await say(service, info or await self.existing(), TURN, payload, message.id)
        self._turn = message.id
        if info is None:
            return 0
        unread = await service.runner.store.inbox([self.run_id])
        if payload in [each.payload.get("payload") for each in unread]:
            return info.seq
        steps = await service.runner.history(info, after=info.seq)
        if payload in [step.data.payload for step in steps if isinstance(step.data, Message)]:
            return info.seq
        self._turn = ""  # the message was sent before, so the whole thread is shown
        await check_not_another(service.runner, self.run_id, message.id, {name: said[name] for name in place})
        return 0

    async def _begin_with_text(self, info: RunInfo | None, message: Said | None, state: Mapping[str, Any]) -> None:
        """Start the run of a thread that is not a chat, unless the run exists.

        The message becomes part of the run's state. A page that is reloaded sends its message again. If the run exists,
        the message must therefore be the message with which the run began. A different message is refused, because no
        node would read it.

        Raises:
            InputError: The state does not fit, or the run began with another message.
        """
        turns, begun, field = Turns(self._service), Turn(0, self.run_id), self._field
        if info is not None:
            known = [begun] if field is not None else [turn for turn, _ in await turns.of(info)]
            begun_with = [await turns.said(turn, field) for turn in known]
            if message is not None and self._read_text(message, state, begun_with) not in begun_with:
                where, repair = f"run {self.run_id}", "begin another thread, or answer the question of the run"
                raise InputError("the run of this thread began with another message", where=where, repair=repair)
        elif message is not None and field is None and receives_text(self._plan):
            await turns.begin(self._graph, state, begun, digest(message.id), message.text)
        else:
            said = self._place_text(message) if message is not None else {}
            await self._service.begin(self._graph, {**state, **said}, self.run_id)

    def _read_text(self, message: Said, state: Mapping[str, Any], known: Sequence[str | None]) -> str:
        """Return the text of a message in the form in which a run records it.

        The validation of the state can change the text, for example remove blanks. The recorded form is needed to
        compare the message with the message with which a run began.

        Raises:
            InputError: The state does not fit.
        """
        if self._field is None or message.text in known:
            return message.text
        initial = self._plan.state.initial({**state, **self._place_text(message)}, f"run {self.run_id}")
        return as_text(opened(initial.values[self._field]))

    def _place_text(self, message: Said) -> dict[str, Any]:
        """Return the part of a run's input that contains the text of a message, such as `{"question": "Who are you?"}`.

        Raises:
            InputError: The graph has no field for the text of a message.
        """
        if self._field is None:
            raise no_place(self._plan.graph, self._plan)
        return {self._field: message.text}

    def _is_input(self, name: str) -> bool:
        """Return whether a front end may set this field together with a message of a chat.

        A front end sends back the whole state that it was shown. Fields with a reducer and the fields of the chat
        itself are therefore ignored.
        """
        found = self._plan.state.fields.get(name)
        return found is None or (name not in (TURN, ANSWER) and found.reducer is None)

    async def answer(self, answers: Mapping[str, Any]) -> None:
        """Record answers, by the ids of their questions. Questions that were answered before are skipped.

        Raises:
            UnknownRun: The run does not exist.
            RunReplaced: An earlier run with this id asked the question.
            InputError: An id does not belong to a question of the run, or an answer does not fit.
        """
        if not answers:
            return
        await self.existing()
        await self.check_asked(answers)
        for error in (await answer(self._service, self.run_id, answers)).values():
            raise error

    async def results(self, results: Mapping[str, object]) -> bool:
        """Record the results of tools that the front end executed.

        Args:
            results: The results, by the ids of their calls.

        Returns:
            Whether the run waited for at least one of the results.

        Raises:
            InputError: A result does not fit.
        """
        if not results or await self.info() is None:
            return False
        asked = [each for each in await self.recorded() if isinstance(each, Asked)]
        open_ones = [each for event in asked for each in event.questions if each.wait.kind == "tool"]
        found = {each.id: results[each.call] for each in open_ones if each.call in results}
        await self.answer(found)
        return bool(found)

    async def check_asked(self, keys: Iterable[str]) -> Mapping[str, Wait]:
        """Check that each of these ids belongs to a question that this run has asked, and return the open questions.

        The question may already be answered.

        Raises:
            InputError: An id does not belong to a question, or belongs to a question of another thread.
            RunReplaced: An earlier run with this id asked the question.
        """
        found = waits(await load_now(self._service.runner.store, self.run_id), ())
        unknown, visits = set(keys) - found.keys(), Visits(keeps=False)
        for step in await self._service.runner.history(self.run_id) if unknown else ():
            visits.feed(step)
            unknown -= waits(visits.snapshot, ()).keys()
        for key in sorted(unknown):
            seq, _, nonce = key.rpartition("@")[2].partition(".")
            # The id of a question, such as `approve@7.hgcnpab`.
            is_id = seq.isdecimal() and nonce.isalpha() and nonce.islower()
            if is_id and not await is_nonce_of_another(self._service, self.run_id, nonce):
                (await self.existing()).check_nonce(nonce, f"the question {key}")
            repair = did_you_mean(key, found) or f"answer an open question of the run: {', '.join(found) or 'none'}"
            message = f"run {self.run_id} has no open question with the id {key!r}"
            raise InputError(message, where="answer", repair=repair)
        return found

    async def cancel(self, keys: Sequence[str]) -> None:
        """Stop the run, because a person cancelled one of these questions. Does nothing if none of them is open."""
        found = await self.check_asked(keys)
        if names := [found[key].name for key in keys if key in found]:
            await self._service.runner.stop(self.run_id, f"{names[0]} was cancelled")

    async def newest(self) -> tuple[str, int]:
        """Return the newest message of the chat: its id, and the number of the step before the run received it.

        If this request has sent a message, newer messages of other clients are ignored. The result is "" and 0 if the
        chat has no message.
        """
        found = "", 0
        for step in await self._service.runner.history(self.run_id) if self.is_chat else ():
            said = said_in(step, self._field)
            if said is not None and not (self._turn and found[0] == self._turn):
                found = said.id, step.seq - 1
        return found

    async def recorded(self) -> Sequence[FrontEvent]:
        """Return everything that a front end shows of the thread when it is opened.

        These are the events of all recorded steps, the newest state, and the open questions.
        """
        fold = self._fold(await self.existing(), NOTHING, Snapshot())
        fold.stated = sys.maxsize
        steps = await self._service.runner.history(self.run_id)
        found = [each for step in steps for each in fold.of(StepRecorded(step.seq, step))]
        rest = await rest_of(self._service, self.run_id, self._topics)
        is_asking = rest is not None and rest.status not in OVER and rest.seq == fold.snapshot.seq
        return [*found, State(self.shown(fold.snapshot)), *([fold.asked()] if is_asking else [])]

    async def events(self, after: int, have: Have) -> AsyncGenerator[FrontEvent, None]:
        """Yield the current state, then the events after a step, until the run has ended or waits for a person.

        If this request sent a message to a chat, only the events of this message's turn are yielded, because other
        clients may send messages at the same time. The last event is `Asked` or `Ended`.

        Args:
            after: The number of the step.
            have: What the front end already shows.
        """
        service, store = self._service, self._service.runner.store
        if self._place is not None and after == self._place[0].seq:
            info, now = self._place
        else:
            info = await self.existing()
            now = await load_snapshot(store, self.run_id, info.seq)
        yield State(self.shown(now))
        before = now if after == info.seq else await load_snapshot(store, self.run_id, after) if after else Snapshot()
        fold = self._fold(info, have, before)
        fold.stated = info.seq
        has_begun = not self._turn
        async with aclosing(follow_run(service, info, after, self._topics, fold.snapshot)) as events:
            async for event in events:
                taken = _find_given_message(event) if self._turn else ""
                if taken and taken != self._turn and has_begun:  # the turn of another message begins
                    for each in _rest_of(fold):
                        yield each
                    return
                if taken == self._turn and not has_begun:
                    has_begun = True
                    for name in fold.visits:
                        yield Visited(name, is_over=False)
                shown = [] if isinstance(event, Snapshot) else [*fold.of(event)]
                for each in shown if has_begun else ():
                    yield each
                if isinstance(event, RunEnded | Snapshot):
                    for each in _rest_of(fold, event, has_begun=has_begun):
                        yield each
                    service.rests.keep(self.run_id, Rest(fold.snapshot))
                    return


def _rest_of(fold: Fold, end: RunEnded | Snapshot | None = None, *, has_begun: bool = True) -> Iterator[FrontEvent]:
    """Yield the last events of a stream: the end of each open visit, then the end of the run or its open questions."""
    for name in fold.visits if has_begun else ():
        yield Visited(name, is_over=True)
    yield Ended(end.result) if isinstance(end, RunEnded) else fold.asked()


def _find_given_message(event: object) -> str:
    """Return the id of the message that a chat receives with an event; "" for any other event."""
    facts = event.step.data if isinstance(event, StepRecorded) else None
    value = facts.answer.value if isinstance(facts, Answered) and facts.by == "message" else None
    return str(value.get("id", "")) if isinstance(value, dict) else ""


def check_text(where: str, others: Sequence[str]) -> None:
    """Refuse a message that contains parts other than text, such as images, because the run would not receive them.

    Args:
        where: The place of the message in the request.
        others: The kinds of the parts that are not texts.

    Raises:
        InputError: The message has a part that is not a text.
    """
    if others:
        repair = "send a text; a file can be the value of a field of the state, such as a field of type Media"
        message = f"the message contains a part of type {others[0]!r}, and a message can only contain text"
        raise InputError(message, where=where, repair=repair)


def _is_conversation(annotation: object) -> bool:
    """Return whether a field of this type contains the messages of an agent."""
    return get_origin(annotation) is list and get_args(annotation) == (Remembered,)


__all__ = ["Thread", "check_text"]
