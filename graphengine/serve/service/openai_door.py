"""The OpenAI door: clients of OpenAI's API use a graph as if it were a model (`serve --openai`).

The door offers the Responses API, chat completions, and the list of models. A conversation is one run with the id
`ge:thread:GRAPH:CONVERSATION`. The door stores nothing else. The module `turns` delivers each message once, and the
module `conversations` finds the run of a conversation. If the run of a conversation has finished, the next message
starts a new run that continues the conversation.

The door must recognize a message that is sent again:

- A client of chat completions sends the whole thread with each request, so an equal thread is the same turn.
- A client of the Responses API names the response that it continues, or sends an `Idempotency-Key`.
"""

from __future__ import annotations

import json
import logging
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from uuid import uuid4

from msgspec import Struct, ValidationError, convert
from starlette.routing import Route

from graphengine.agents.chats import TurnFailed, is_chat
from graphengine.agents.prompts import block, tag_of
from graphengine.errors import GraphEngineError, InputError, RunCancelled, UnknownRun
from graphengine.history.usage import Usage
from graphengine.kernel.extension import OwnId, RunFailed, compiled, did_you_mean, is_tag, spent_since
from graphengine.kernel.reader import Snapshot, load_snapshot, usage_from
from graphengine.models.base import Message
from graphengine.models.hiding import hide_secrets
from graphengine.records.base_documents import plain
from graphengine.serve.callers import caller
from graphengine.serve.messages import (
    RequestInvalid,
    json_answer,
    refused,
    shown_error,
    stream_event,
)
from graphengine.serve.requests import RunStopped, ServiceFailed, delivery_of, json_body
from graphengine.serve.router import answering
from graphengine.serve.service.conversations import (
    CONVERSATION,
    KEYED,
    REQUEST,
    UNNAMED,
    Conversation,
    Repeated,
    RunOfResponses,
    find,
    request_digest,
)
from graphengine.serve.service.following import failure_of, waits
from graphengine.serve.service.shown import Called, Dropped, Returned, Text
from graphengine.serve.service.text_places import TextGraph, no_place, text_graphs
from graphengine.serve.service.turns import (
    Results,
    Turn,
    Turns,
    as_text,
    asked,
    check_seen,
    digest,
    newest_turn,
    output,
    turn_of,
    turns_with,
)

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Iterator,
        Mapping,
        Sequence,
    )

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from graphengine.kernel.reader import Usage as Spent
    from graphengine.kernel.store import RunInfo
    from graphengine.serve.service.app import Service
    from graphengine.serve.service.doors import Opening

    S = TypeVar("S", bound=Struct)

PATH: Final = "/v1"
"""The path at which the door is served. Clients use it as their `base_url`."""

_LOG: Final = logging.getLogger("graphengine")
_BLANKS: Final = re.compile(r"\s+")
_TOP: Final = re.compile(r"[/\[#]")
_OF: Final = "~"
"""The separator in the id of a tool call. The name of the call's conversation follows it."""
_OWN_NAMES: Final = (UNNAMED, KEYED)
"""Prefixes that are reserved for the door: the name that a client chooses may not begin with one of them."""
_HEADERS: Final = ("x-conversation-id", "x-openwebui-chat-id")
"""The headers in which a client that sends the whole thread can name its conversation."""
_TEXT: Final = "x-text"
"""A header of chat completions. With the value `live`, text is streamed even though it may be replaced later."""
_FORMS: Final = ("stream", "stream_options", "background")
"""Fields that only describe how a request is answered. They may differ when the same request is sent again."""
_TASK: Final = "### Task:"
"""The first words of the prompts by which Open WebUI requests titles, tags and follow-up questions."""
_LONGEST_KEY: Final = 64
_OWN_RESULT: Final = "a graph has a result of its own form: leave out the format, or POST /graphs/GRAPH/runs for JSON"
_OWN_TOOLS: Final = "a graph calls its own tools: leave out this parameter"
_LATE: Final = "This was answered elsewhere meanwhile, so your message was not used."


class _ChatRequest(Struct):
    """The body of a request for a chat completion in OpenAI's API.

    Parameters that are not listed here, such as temperature, are ignored, because the graph decides about its models.
    Listed parameters that a graph cannot honour are refused: see `_check_kept`.
    """

    model: str
    messages: list[dict[str, Any]]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    n: int | None = None
    response_format: dict[str, Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    function_call: str | dict[str, Any] | None = None
    modalities: list[str] | None = None
    logprobs: bool | None = None


class _ResponseRequest(Struct):
    """The body of a request for a response in OpenAI's Responses API. Unknown parameters are ignored."""

    model: str
    input: str | list[dict[str, Any]]
    stream: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    instructions: str | list[dict[str, Any]] | None = None
    metadata: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    prompt: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _ClientMessage:
    """A client's message, and the facts that identify the conversation and the turn to which it belongs.

    A *turn* is a message and everything that the run did until it ended or waited again.

    Attributes:
        text: The text of the message.
        before: The earlier messages of both sides. A new conversation with an agent begins with them.
        key: The key of the message's turn. The key is the same if the message is sent again.
        is_known: Whether an existing turn with this key certainly belongs to this message. If False, the client may
            have sent the same words twice on purpose.
        conversation: The conversation to which the message belongs.
        tags: Further tags for a run that this message starts, by which the run can be found.
        is_kept: Whether the client can continue the conversation.
        previous: The turn that the message follows, if the client names one.
        results: The results of tools that the client executed. They are sent instead of a text.
    """

    text: str
    before: Sequence[Message]
    key: str
    is_known: bool
    conversation: Conversation
    tags: Sequence[str]
    is_kept: bool
    previous: Turn | None
    results: Results

    @property
    def message(self) -> object:
        """The value to deliver: the tool results if there are any, otherwise the text."""
        return self.results or self.text


class _StreamForm(NamedTuple):
    """The options of a streamed chat completion.

    Attributes:
        has_usage: Whether the stream ends with the usage.
        is_live: Whether text is sent at once, although it may be replaced later.
    """

    has_usage: bool
    is_live: bool


@dataclass(slots=True)
class _Reply:
    """The reply of a run to a message, and what it cost.

    Attributes:
        shown: The part of the text that was already streamed.
        said: The last text of an agent.
        tools: The tool calls that the run made itself, by their ids.
        text: The reply, as recorded.
        rest: The part of the reply that was not streamed.
        is_question: Whether the reply is a question.
        usage: The usage of models in the turn.
        failure: The error that prevented a reply; None if there is a reply.
        asked: The calls of tools that the client has to execute, by the ids of the calls.
    """

    shown: str = ""
    said: str = ""
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
    text: str = ""
    rest: str = ""
    is_question: bool = False
    usage: Usage = field(default_factory=Usage)
    failure: GraphEngineError | None = None
    asked: dict[str, dict[str, str]] = field(default_factory=dict)


class _ReplyTexts:
    """Decides when pieces of an agent's text are streamed to a client that cannot remove a text which it has shown.

    A text is *held back* while it may still be dropped, because the model's answer may be interrupted and requested
    again, or a check may refuse it. The text *counts* as soon as another text follows, a tool is called, or the run has
    ended or waits.

    Attributes:
        shown: The text that was passed to the client.
        said: The newest text.
    """

    def __init__(self, is_live: bool) -> None:  # noqa: FBT001 - the only argument
        self.shown = self.said = ""
        self._is_live = is_live
        self._place = self._held = ""

    def add(self, key: str, piece: str) -> str:
        """Add a piece of text that an agent has streamed, and return the text that may now be sent to the client.

        Args:
            key: The id of the text to which the piece belongs.
            piece: The piece.
        """
        before, is_next = "", key != self._place
        if is_next:
            before, self._place, self.said = self.counts(), key, ""
        self.said += piece
        self._held += f"\n\n{piece}" if is_next and self.shown else piece
        return before + (self.counts() if self._is_live else "")

    def drop(self) -> None:
        """Forget the text that is held back, because the model's answer was interrupted or refused.

        The next piece begins another text.
        """
        self._place = self._held = ""

    def counts(self) -> str:
        """Release the text that is held back, and return it, so that it is sent to the client."""
        held, self._held = self._held, ""
        self.shown += held
        return held


async def routes(opening: Opening) -> Sequence[BaseRoute]:
    return OpenAiDoor(opening.service, live_text=opening.live_text).routes()


class OpenAiDoor:
    """Speaks the protocol of OpenAI's API, so that its clients can use graphs as models.

    It has endpoints for chat completions, responses and models.

    Args:
        service: The service that starts, follows and answers runs.
        live_text: Whether chat completions stream each piece of text at once, although it may be replaced later.
    """

    def __init__(self, service: Service, *, live_text: bool = False) -> None:
        self._service = service
        self._live_text = live_text
        self._runner = service.runner
        self._turns = Turns(service)
        self._models = {name: each for name, each in text_graphs(service.graphs).items() if not each.missing}

    def routes(self) -> Sequence[BaseRoute]:
        found = (
            ("models", self.models, "GET"),
            ("models/{name:path}", self.model, "GET"),
            ("chat/completions", self.complete, "POST"),
            ("responses", self.respond, "POST"),
            ("responses/{id}", self.response, "GET"),
            ("responses/{id}", self.delete, "DELETE"),
            ("responses/{id}/input_items", self.input_items, "GET"),
            ("responses/{id}/cancel", self.cancel, "POST"),
        )
        return [
            Route(f"{PATH}/{path}", answering(each, _refuse_as_openai), methods=[method])
            for path, each, method in found
        ]

    async def models(self, request: Request) -> Response:
        """Answer with the list of models, which are the graphs that a text can start."""
        del request
        return json_answer({"object": "list", "data": list(map(_describe_model, self._models))})

    async def model(self, request: Request) -> Response:
        return json_answer(_describe_model(self._find_model(request.path_params["name"]).name))

    async def complete(self, request: Request) -> Response:
        """Answer with a chat completion, or with a stream of its chunks."""
        body = await _read_request_body(request, _ChatRequest)
        model, messages = self._find_model(body.model), _read_given_messages(body.messages, "messages")
        _check_kept(
            ("n", body.n, body.n not in (None, 1), "a run replies once: leave out n"),
            ("response_format", body.response_format, _is_structured(body.response_format), _OWN_RESULT),
            ("tool_choice", body.tool_choice, _is_forced(body.tool_choice), _OWN_TOOLS),
            ("function_call", body.function_call, _is_forced(body.function_call), _OWN_TOOLS),
            ("modalities", body.modalities, set(body.modalities or ()) > {"text"}, "a graph replies only with text"),
            ("logprobs", body.logprobs, bool(body.logprobs), "a graph has no log probabilities: leave out logprobs"),
        )
        conversation = _read_conversation_header(request) or str((body.metadata or {}).get("conversation_id") or "")
        said = await self._read_client_message(request, model, messages, conversation, is_thread=True)
        turn = await self._turn(model, said)
        head = {"id": f"chatcmpl-{_encode_turn(turn)}", "created": int(time.time()), "model": model.name}
        if body.stream:
            has_usage = bool((body.stream_options or {}).get("include_usage"))
            form = _StreamForm(has_usage, self._live_text or request.headers.get(_TEXT) == "live")
            return self._stream_reply(turn, self._chunks(model, turn, said, head, form))
        reply = await self._wait_for_reply(model, turn)
        if reply.failure is not None:
            raise reply.failure
        text = reply.text + await self._leave_conversation(turn, said, reply)
        message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None}
        why = "stop"
        if reply.asked:
            message["tool_calls"], why = _tool_calls(said, reply), "tool_calls"
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": why}
        usage = _build_usage_document(reply.usage, "prompt", "completion")
        return json_answer({**head, "object": "chat.completion", "choices": [choice], "usage": usage})

    async def respond(self, request: Request) -> Response:
        """Create a response, and answer with it or with a stream of its events."""
        body = await _read_request_body(request, _ResponseRequest)
        model, messages = self._find_model(body.model), [{"content": body.input}]
        conversation = body.conversation.get("id") if isinstance(body.conversation, dict) else body.conversation
        form = (body.text or {}).get("format")
        _check_kept(
            ("text.format", form, _is_structured(form), _OWN_RESULT),
            ("tool_choice", body.tool_choice, _is_forced(body.tool_choice), _OWN_TOOLS),
            ("prompt", body.prompt, body.prompt is not None, "send the text as input: this service stores no prompts"),
        )
        if conversation and body.previous_response_id:
            repair = "send only one of the two, because each of them names the run that continues"
            raise InputError("previous_response_id and conversation exclude each other", where="body", repair=repair)
        previous = await self._decode_turn(body.previous_response_id) if body.previous_response_id else None
        texts = _read_given_messages(body.input if isinstance(body.input, list) else messages, "input")
        thread = "" if conversation or previous is not None else _read_conversation_header(request)
        said = await self._read_client_message(
            request, model, texts, str(conversation or thread), previous=previous, is_thread=bool(thread)
        )
        turn = await self._turn(model, said)
        echoed = {"instructions": body.instructions, "metadata": {**(body.metadata or {}), "run_id": turn.run_id}}
        return await self._response(
            model, turn, is_stream=bool(body.stream), is_awaited=not body.background, echoed=echoed
        )

    async def response(self, request: Request) -> Response:
        """Answer with an existing response in its current state, or with a stream of its events from the beginning."""
        model, turn = await self._response_named(request)
        is_stream = request.query_params.get("stream") == "true"
        return await self._response(model, turn, is_stream=is_stream, is_awaited=False)

    async def input_items(self, request: Request) -> Response:
        """Answer with the input of a response: a list with the message that the client sent.

        The list is empty if the run did not use the message, for example because it came too late.
        """
        model, turn = await self._response_named(request)
        text = await self._turns.said(turn, model.field)
        part = {"type": "input_text", "text": text}
        item = {"id": f"msg_{_encode_turn(turn)}_input", "type": "message", "role": "user", "content": [part]}
        found = [] if text is None else [item | {"status": "completed"}]
        ends = dict.fromkeys(("first_id", "last_id"), found[0]["id"] if found else None)
        return json_answer({"object": "list", "data": found, **ends, "has_more": False})

    async def cancel(self, request: Request) -> Response:
        """Cancel a response: stop its run, if the run is still working."""
        model, turn = await self._response_named(request)
        if await self._turns.rest(turn) is None:
            await self._runner.stop(turn.run_id, "the response was cancelled", now=True)
        return await self._response(model, turn)

    async def delete(self, request: Request) -> Response:
        """Delete a response: remove its run, which must have ended, with all its records.

        Raises:
            InputError: The run continues, is needed by another run, or also contains other responses; or a later run
                could get the same id.
        """
        _, turn = await self._response_named(request)
        info = await self._service.info_of(turn.identity)
        is_unnamed = any(each.startswith(CONVERSATION + UNNAMED) for each in info.tags)
        repair = "cancel the response if its run is working, or run `graphengine stop RUN` if it waits; then delete it"
        why = (
            ""
            if all(each == turn for each in turns_with(turn, await self._turns.of(info)))
            else "the run contains other responses too"
        )
        if not why and not (is_unnamed and info.id == Conversation.of(info).run_id()):
            why = "a later response could get the same id, because the conversation has a name or continues another"
        if why:
            repair = "remove whole conversations with `graphengine prune`"
        why = why or await self._runner.remove(info.id)
        if why:
            raise InputError(f"run {info.id} cannot be deleted: {why}", where="response id", repair=repair)
        return json_answer({"id": request.path_params["id"], "object": "response", "deleted": True})

    async def _response_named(self, request: Request) -> tuple[TextGraph, Turn]:
        """Return the response that the path of a request names: the graph, and the turn of the run.

        Raises:
            UnknownRun: No response has this id.
        """
        turn = await self._decode_turn(request.path_params["id"])
        info = await self._service.info_of(turn.identity)
        turns_with(turn, await self._turns.of(info))
        return self._find_model(info.graph), turn

    async def _decode_turn(self, name: str) -> Turn:
        """Return the turn to which the id of a response belongs.

        Raises:
            UnknownRun: The text is not the id of a response, or the run of the response was removed.
        """
        text = name.removeprefix("resp_")
        try:
            after, is_late, run, nonce = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split(":")
            turn = Turn(int(after), "", is_late == "1", nonce)
        except ValueError:
            run, turn = "", Turn(0, "")
        info = await find(self._service, RunOfResponses(run))
        if info is None:
            repair = "send the id of a response of this service, without changes"
            raise UnknownRun(f"there is no response {name!r}", where="response id", repair=repair)
        return replace(turn, run_id=info.id)

    def _find_model(self, name: str) -> TextGraph:
        """Return the graph that a client uses as the model with this name.

        Raises:
            RequestInvalid: No graph has this name, or the graph cannot be used as a model.
        """
        if name in self._models:
            return self._models[name]
        message, repair = f"there is no model {name!r}", did_you_mean(name, self._models)
        if name in self._service.graphs:
            unfit, found = no_place(name, compiled(self._service.graphs[name])), text_graphs(self._service.graphs)
            message, repair = unfit.message, unfit.repair
            if name in found:
                fields = ", ".join(map(repr, found[name].missing))
                message = f"the graph {name!r} cannot be used as a model: a message does not set its fields {fields}"
                repair = "give these fields a default, or start the graph by POST /graphs/GRAPH/runs"
        raise RequestInvalid(message, status=404, where="model", repair=repair)

    # --- Turns -------------------------------------------------------------------------------------------------------

    async def _read_client_message(  # noqa: PLR0913 - what a client says, and where
        self,
        request: Request,
        model: TextGraph,
        given: tuple[Sequence[Message], Results],
        conversation: str,
        *,
        previous: Turn | None = None,
        is_thread: bool = False,
    ) -> _ClientMessage:
        """Find out what a client says in a request, and to which conversation the message belongs.

        The conversation is the one that the request names, the one of the previous turn, or a new one.

        Args:
            request: The request.
            model: The graph that is used as a model.
            given: The messages and the tool results in the request.
            conversation: The name of the conversation; "" if the request does not name a conversation.
            previous: The turn that the request continues, if the request names one.
            is_thread: Whether the client sends the whole thread with each request.

        Raises:
            InputError: The previous response was given by another model.
        """
        messages, results = given
        *before, last = messages
        once, tags = delivery_of(request), list[str]()
        is_kept = bool(conversation) or not is_thread
        own, results = _find_waiting_results(results)
        is_retry = request.headers.get("x-stainless-retry-count", "0") != "0"  # of an official client
        texts = [*(each.text for each in messages if each.role == "user" and not each.tags), *map(str, results.items())]
        if once or (not conversation and previous is None):
            body = {name: value for name, value in (await json_body(request)).items() if name not in _FORMS}
            key = request_digest(once, conversation, body)
        elif is_thread:
            key = digest([conversation, previous, *texts])  # the same thread is the same turn, whoever sends it
        else:
            key = request_digest(conversation, previous and _encode_turn(previous), *texts)
        name = _BLANKS.sub("-", conversation)
        if name and (len(name) > _LONGEST_KEY or not is_tag(name) or name.startswith(_OWN_NAMES)):
            name = digest(name)
        if previous is not None:
            info = await self._service.info_of(previous.identity)
            if info.graph != model.name:
                repair = "name the model that gave this response, or begin another conversation"
                text = f"another model than {model.name!r} gave this response"
                raise InputError(text, where="previous_response_id", repair=repair)
            place = Conversation.of(info)
        elif own and not name:
            place = Conversation(model.name, own, caller().tenant)
        elif name or once is not None:
            place = Conversation(model.name, name or KEYED + key, caller().tenant)
        else:
            found = await find(self._service, Repeated(model.name, key)) if is_retry else None
            unnamed = Conversation(model.name, UNNAMED + uuid4().hex, caller().tenant)
            place = unnamed if found is None else Conversation.of(found)
            tags = [OwnId(REQUEST + key)] if caller().name else []
        is_known = once is not None or previous is not None or is_thread or is_retry
        return _ClientMessage(last.text, before, key, is_known, place, tags, is_kept, previous, results)

    async def _turn(self, model: TextGraph, said: _ClientMessage) -> Turn:
        """Return the turn that a client's message began. If the message was not delivered yet, deliver it first."""
        conversation = said.conversation
        found = await find(self._service, conversation)
        if found is not None and said.is_known and turn_of(await self._turns.of(found), said.key) is not None:
            return await self._turn_in(found, model, said)
        async with self._turns.order(conversation.run_id()):
            return await self._turn_in(await find(self._service, conversation), model, said, found)

    async def _turn_in(
        self, found: RunInfo | None, model: TextGraph, said: _ClientMessage, seen: RunInfo | None = None
    ) -> Turn:
        """Return the turn that a client's message has in a conversation, after delivering the message if it is new.

        Args:
            found: The newest run of the conversation, as it is now; None if the conversation has no run.
            model: The graph that is used as a model.
            said: The message.
            seen: The newest run when the message arrived. It shows what the client could have seen.

        Raises:
            InputError: The message does not fit the state of the conversation.
        """
        if found is None:
            if said.results:
                raise InputError(
                    "this conversation does not wait for the result of a tool",
                    where="tool results",
                    repair="send the result in the conversation that called the tool",
                )
            return await self._start_conversation(model, said, None)
        turn, rest = await self._turns.find(found, said.key, is_known=said.is_known)
        if rest is None:
            await self._turns.deliver(turn, said.message, said.key)
            return turn
        info = turn.place[0] if turn.place is not None else await self._service.info_of(turn.identity)
        if said.previous is not None and said.previous != newest_turn(await self._turns.of(info), info):
            repair = "continue from the newest response, or begin another conversation"
            message = "this response is not the newest response of its conversation"
            raise InputError(message, where="previous_response_id", repair=repair)
        if rest.status == "finished" and not turn.is_late and not said.results:
            return await self._start_conversation(model, said, info.id)
        failure = failure_of(model.graph, rest)
        if failure is not None and not is_chat(compiled(model.graph)):
            raise failure
        check_seen(turn, rest, said.message, seen)
        return await self._turns.say(turn, said.message, said.key)

    async def _start_conversation(self, model: TextGraph, said: _ClientMessage, after: str | None) -> Turn:
        """Start a run of a conversation with a client's message, and return the turn of the message.

        Args:
            model: The graph that is used as a model.
            said: The message.
            after: The id of the finished run that the new run continues; None for the first run of the conversation.
        """
        conversation, state = said.conversation, dict[str, Any]()
        run_id = conversation.run_id() if after is None else conversation.run_id(after)
        place: dict[str, Any] = {"tenant": conversation.tenant}
        place["tags"] = [conversation.tag, RunOfResponses(digest(run_id)).tag, *said.tags]
        if after is not None:
            place |= {"after": after} if compiled(model.graph).carry_over is not None else {}
        elif model.messages is not None:
            state[model.messages] = list(said.before)
        if model.field is not None:
            state[model.field] = said.text
        message = said.text if model.field is None else None
        return await self._turns.begin(model.graph, state, Turn(0, run_id), said.key, message, **place)

    async def _leave_conversation(self, turn: Turn, said: _ClientMessage, reply: _Reply) -> str:
        """Deal with a run that waits for an answer or a message which this client cannot send.

        If the run asks a question, the reply gets a note on how to answer it elsewhere. Otherwise the run is stopped,
        unless it waits for the results of the client's tools.

        Returns:
            The note to append to the reply; "" if none is needed.
        """
        if not said.is_kept and reply.is_question:
            return f"\n\n(This request names no conversation. Answer by `graphengine answer {turn.run_id} VALUE`.)"
        if not said.is_kept and not reply.asked and (await self._service.info_of(turn.run_id)).status == "waiting":
            await self._service.unguarded.stop(turn.run_id, "its client keeps no conversation")
        return ""

    # --- Replies -----------------------------------------------------------------------------------------------------

    async def _reply(  # noqa: C901 - a case for each
        self, model: TextGraph, turn: Turn, *, is_live: bool = True
    ) -> AsyncGenerator[str | _Reply, None]:
        """Yield the pieces of a reply for a streamed answer, and as the last value the whole reply.

        A piece is yielded at once if `is_live`. Otherwise it is yielded as soon as it is certain that the run will not
        replace this text.
        """
        reply, texts = _Reply(), _ReplyTexts(is_live)
        # Read before the turn's steps are applied to the snapshot.
        spent = turn.place[1].usage if turn.place is not None else None
        async with aclosing(self._turns.shown(turn)) as events:
            async for event in events:
                match event:
                    case Text(key, piece, is_thinking=False) if _TOP.split(key)[0] in model.speakers:
                        if shown := texts.add(key, piece):
                            yield shown
                    case Dropped():
                        texts.drop()
                    case Called(key, tool, arguments):
                        if shown := texts.counts():
                            yield shown
                        reply.tools[key] = {"name": tool, "arguments": arguments}
                    case Returned(key, text) if key in reply.tools:
                        reply.tools[key] |= {"output": text}
                    case Snapshot():
                        if spent is None:
                            store, at = self._runner.store, turn.after
                            spent = (await load_snapshot(store, turn.run_id, at) if at else Snapshot()).usage
                        left = texts.counts()
                        reply.shown, reply.said = texts.shown, texts.said
                        ended = await self._build_reply(model, turn, reply, event, spent)
                        if left and ended.failure is None:
                            yield left
                        yield ended

    async def _build_reply(self, model: TextGraph, turn: Turn, reply: _Reply, end: Snapshot, spent: Spent) -> _Reply:
        """Complete a reply when its turn has ended: add the text, the questions, the client's tool calls, or the error.

        Args:
            model: The graph that is used as a model.
            turn: The turn.
            reply: The reply, with what was already streamed.
            end: The run at the end of the turn.
            spent: The usage of the run before the turn.
        """
        reply.usage = usage_from(spent_since(spent, end.usage))
        reply.failure = failure_of(model.graph, end)
        if reply.failure is not None:
            return reply
        found = waits(end, ())
        for key, wait in found.items():
            if wait.kind == "tool":
                written = json.dumps(hide_secrets(plain(wait.facts["arguments"])))
                reply.asked[key] = {"name": str(wait.facts["tool"]), "arguments": written}
        questions = [asked(wait) for wait in found.values() if wait.kind != "tool"]
        reply.is_question = bool(questions)
        result = await self._service.runner.result_under(model.graph, end)
        said = reply.said if reply.asked else as_text(output(model.graph, result, reply.said)[0])
        text = hide_secrets("\n".join(questions) or said)
        reply.text = f"{_LATE}\n\n{text}" if turn.is_late else text
        if not reply.shown.endswith(reply.text):
            shown = reply.shown
            reply.rest = reply.text.removeprefix(shown) if reply.text.startswith(shown) else f"\n\n{reply.text}"
        return reply

    async def _wait_for_reply(self, model: TextGraph, turn: Turn) -> _Reply:
        """Wait for the end of a turn, and return the reply of the run.

        The turn ends when the run has ended, or waits for the client or a person.

        Raises:
            ServiceFailed: The service stops, or the client has disconnected.
        """
        return await self._service.unless_stopped(self._collect_reply(model, turn))

    async def _collect_reply(self, model: TextGraph, turn: Turn) -> _Reply:
        async with aclosing(self._reply(model, turn)) as pieces:
            async for piece in pieces:
                if isinstance(piece, _Reply):
                    return piece
        raise UnknownRun("the run was removed", where=f"run {turn.run_id}", repair="begin another conversation")

    async def _chunks(
        self, model: TextGraph, turn: Turn, said: _ClientMessage, head: Mapping[str, Any], form: _StreamForm
    ) -> AsyncGenerator[bytes, None]:
        """Yield the chunks of a streamed chat completion, encoded as server-sent events."""
        head = {**head, "object": "chat.completion.chunk", **({"usage": None} if form.has_usage else {})}

        def chunk(delta: Mapping[str, Any], why: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": why}
            return stream_event({**head, "choices": [choice]})

        yield chunk({"role": "assistant", "content": ""})
        async with aclosing(self._reply(model, turn, is_live=form.is_live)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    yield chunk({"content": piece})
                elif piece.failure is not None:
                    raise piece.failure
                else:
                    if rest := piece.rest + await self._leave_conversation(turn, said, piece):
                        yield chunk({"content": rest})
                    if piece.asked:
                        calls = [{"index": index, **each} for index, each in enumerate(_tool_calls(said, piece))]
                        yield chunk({"tool_calls": calls})
                    yield chunk({}, "tool_calls" if piece.asked else "stop")
                    if form.has_usage:
                        usage = _build_usage_document(piece.usage, "prompt", "completion")
                        yield stream_event({**head, "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"

    async def _events(self, model: TextGraph, turn: Turn, echoed: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """Yield the events of a streamed response: its text as it is written, then the tool calls.

        The text in the last events is the recorded text. It can differ from the streamed text, because an answer may
        have been refused or written again in the meantime.
        """
        number = count()
        place = {"item_id": f"msg_{_encode_turn(turn)}", "output_index": 0, "content_index": 0}

        def event(kind: str, **more: object) -> bytes:
            name = f"response.{kind}"
            return stream_event({"type": name, "sequence_number": next(number), **more}, name=name)

        in_progress = _build_response_document(model, turn, None, echoed)
        yield event("created", response=in_progress)
        yield event("in_progress", response=in_progress)
        yield event("output_item.added", output_index=0, item=_build_output_item(turn, None))
        yield event("content_part.added", **place, part=_build_output_part(""))
        async with aclosing(self._reply(model, turn)) as pieces:
            async for piece in pieces:
                text = piece if isinstance(piece, str) else piece.rest
                if text:
                    yield event("output_text.delta", **place, delta=text, logprobs=[])
                if isinstance(piece, str):
                    continue
                done = _build_response_document(model, turn, piece, echoed)
                if piece.failure is not None:
                    yield event("failed", response=done)
                    return
                yield event("output_text.done", **place, text=piece.text, logprobs=[])
                yield event("content_part.done", **place, part=_build_output_part(piece.text))
                done = _build_response_document(model, turn, piece, echoed)
                for index, item in enumerate(done["output"]):
                    if index:
                        yield event("output_item.added", output_index=index, item=item)
                    yield event("output_item.done", output_index=index, item=item)
                yield event("completed", response=done)

    async def _response(
        self,
        model: TextGraph,
        turn: Turn,
        *,
        is_stream: bool = False,
        is_awaited: bool = True,
        echoed: Mapping[str, Any] | None = None,
    ) -> Response:
        """Answer with a response: as a stream of events, as its final document, or as its current document.

        Args:
            model: The graph that is used as a model.
            turn: The turn of the response.
            is_stream: Whether to stream the events.
            is_awaited: Whether to wait for the reply of the run.
            echoed: Values from the request that created the response. They are not recorded, so only the answer to this
                request contains them.
        """
        echoed = echoed or {}
        if is_stream:
            return self._stream_reply(turn, self._events(model, turn, echoed))
        is_over = is_awaited or await self._turns.rest(turn) is not None
        return json_answer(
            _build_response_document(model, turn, await self._wait_for_reply(model, turn) if is_over else None, echoed)
        )

    def _stream_reply(self, turn: Turn, events: AsyncGenerator[bytes, None]) -> Response:
        return self._service.stream(events, turn.run_id, _encode_error_event, says_stop=True)


# --- Reading ---------------------------------------------------------------------------------------------------------


async def _read_request_body(request: Request, kind: type[S]) -> S:
    """Read the JSON body of a request, and convert it to the struct `kind`.

    Raises:
        InputError: The body is not JSON, or its fields do not fit.
    """
    try:
        return convert(await json_body(request), kind)
    except ValidationError as error:
        raise InputError(
            str(error), where="body", repair="send a value that the API of OpenAI accepts there"
        ) from error


def _check_kept(*asked_for: tuple[str, object, bool, str]) -> None:
    """Refuse a request whose parameters demand something of the reply that a graph cannot promise.

    Args:
        asked_for: For each parameter: its name, its value, whether the value is refused, and why.

    Raises:
        InputError: At least one parameter is refused. The error names all refused parameters.
    """
    wrong = [(f"{name} is {value!r}", name, why) for name, value, is_refused, why in asked_for if is_refused]
    if wrong:
        texts, names, reasons = zip(*wrong, strict=True)
        raise InputError("; ".join(texts), where=", ".join(names), repair="; ".join(dict.fromkeys(reasons)))


def _is_structured(form: object) -> bool:
    """Return whether the client demands a structured reply instead of plain text."""
    return isinstance(form, dict) and form.get("type", "text") != "text"


def _is_forced(choice: object) -> bool:
    """Return whether the client demands that the reply contains a tool call."""
    return choice not in (None, "auto", "none")


def _read_conversation_header(request: Request) -> str:
    """Return the name of the conversation that a request header contains; "" if the request has no such header.

    Clients that send all messages of the conversation with each request use these headers.
    """
    return next(filter(None, map(request.headers.get, _HEADERS)), "")


def _read_ending_results(given: Sequence[Mapping[str, Any]]) -> Results:
    """Return the tool results that a client sends at the end of the messages in its request, by the ids of the calls.

    The client has executed these tools, and the run waits for the results.
    """
    found = Results()
    for each in reversed(given):
        if each.get("role") == "tool":
            found[str(each.get("tool_call_id"))] = _read_content_text(each.get("content"))
        elif each.get("type") == "function_call_output":
            found[str(each.get("call_id"))] = _read_content_text(each.get("output"))
        else:
            break
    return found


def _find_called_tools(message: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the tools that a message of an assistant calls, by the ids of the calls."""
    if message.get("type") == "function_call":
        return {str(message.get("call_id")): str(message.get("name"))}
    calls = message.get("tool_calls")
    parts = [each for each in calls if isinstance(each, dict)] if isinstance(calls, list) else []
    return {str(each.get("id")): str((each.get("function") or {}).get("name") or "") for each in parts}


def _build_result_message(tool: str, text: str) -> Message:
    """Return a message that tells a model the result of a tool which the client executed earlier.

    The result is sent as a user's message, because providers refuse the record of a call to a tool that the model does
    not have.
    """
    report = block(f"result_of_{tool}" if tool else "result_of_tool", text)
    return Message(role="user", text=report, tags=(tag_of(report),))


def _read_content_text(content: object) -> str:
    """Return the text of a message's content, which can be a text or a list of parts."""
    parts = content if isinstance(content, list) else [{"text": content}]
    return "\n".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))


def _read_given_messages(given: Sequence[Mapping[str, Any]], where: str) -> tuple[Sequence[Message], Results]:
    """Return the messages in a request, and the tool results at its end.

    If there are no tool results, the last message is a user's message.

    Raises:
        InputError: There is no message to reply to, a message contains something other than text, or the message is
            Open WebUI's prompt for a title.
    """
    found: list[Message] = []
    results, called = _read_ending_results(given), dict[str, str]()
    for index, each in enumerate(given):
        content, role = each.get("content") or "", each.get("role", "" if "call_id" in each else "user")
        called |= _find_called_tools(each)
        if index < len(given) - len(results) and (
            returned := _read_ending_results([each])
        ):  # of the client's own tools, earlier
            found += [_build_result_message(called.get(key, ""), str(text)) for key, text in returned.items()]
        parts = [{"text": content}] if isinstance(content, str) else content
        texts = [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
        if role == "user" and not (texts and all(isinstance(text, str) for text in texts)):
            message = "the message contains something other than text"
            raise InputError(message, where=f"{where}[{index}]", repair="send only text")
        if role in ("user", "assistant"):
            text = "\n".join(text for text in texts if isinstance(text, str))
            found += [Message(role=role, text=text)] if text or role == "user" else []
    if results:
        return found or [Message(role="user")], results
    if not found or found[-1].role != "user" or not found[-1].text.strip():
        repair = "end the list of messages with a text of the user"
        raise InputError("the request contains no message to reply to", where=where, repair=repair)
    if len(found) == 1 and found[0].text.startswith(_TASK):
        repair = "choose another model as task model in the settings of Open WebUI, or turn titles and tags off"
        raise InputError("a graph cannot write titles or tags for a chat client", where=where, repair=repair)
    return found, results


def _encode_turn(turn: Turn) -> str:
    """Encode which turn of which run a response belongs to, as a text for the ids in the response.

    The text contains only a digest of the run's id, because this id names the tenant, the graph and the conversation,
    and an application may pass the ids of responses on to browsers. `_decode_turn` finds the run by the tag of the run.
    """
    text = f"{turn.after}:{int(turn.is_late)}:{digest(turn.run_id)}:{turn.nonce}"
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


# --- Writing ---------------------------------------------------------------------------------------------------------


def _build_usage_document(used: Usage, asked_for: str, answered: str) -> Mapping[str, Any]:
    """Return how many tokens the models used, in the form of OpenAI's API.

    Args:
        used: The usage.
        asked_for: The word for the tokens sent to the model: `input` or `prompt`.
        answered: The word for the tokens written by the model: `output` or `completion`.
    """
    return {
        f"{asked_for}_tokens": used.input_tokens,
        f"{asked_for}_tokens_details": {"cached_tokens": used.cache_read_tokens, "cache_write_tokens": 0},
        f"{answered}_tokens": used.output_tokens,
        f"{answered}_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
        "total_tokens": used.input_tokens + used.output_tokens,
    }


def _describe_model(name: str) -> Mapping[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "graphengine"}


def _build_output_part(text: str) -> Mapping[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _build_output_item(turn: Turn, reply: _Reply | None) -> Mapping[str, Any]:
    """Return the text of a reply as an item of a response, in the form of OpenAI's Responses API.

    If `reply` is None, the response has just begun, and the item contains no text yet.
    """
    status, content = ("in_progress", []) if reply is None else ("completed", [_build_output_part(reply.text)])
    return {
        "id": f"msg_{_encode_turn(turn)}",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _iter_call_items(model: TextGraph, reply: _Reply) -> Iterator[Mapping[str, Any]]:
    """Yield the items of a response that describe tool calls, in the form of OpenAI's Responses API.

    Calls that the run made itself are shown as calls that the server made, so that clients do not execute them.
    """
    for key, call in reply.tools.items():
        if "output" in call:
            item = {"id": f"mcp_{digest(key)}", "type": "mcp_call", "server_label": model.name, "error": None}
            yield {**item, "status": "completed", **call}
    for key, call in reply.asked.items():
        yield {"id": f"fc_{digest(key)}", "type": "function_call", "call_id": key, "status": "completed", **call}


def _tool_calls(said: _ClientMessage, reply: _Reply) -> list[dict[str, Any]]:
    """Return the calls of tools that the client has to execute, in the form of a chat completion.

    A client that cannot name its conversation sends the results with the ids of the calls only. In this case, the ids
    contain the conversation's name, so that the results find their run.
    """
    where = "" if said.is_kept else f"{_OF}{said.conversation.name}"
    return [{"id": f"{key}{where}", "type": "function", "function": call} for key, call in reply.asked.items()]


def _find_waiting_results(results: Results) -> tuple[str, Results]:
    """Find the conversation to which tool results belong, if `_tool_calls` wrote its name into the ids of the calls.

    Returns:
        The name of the conversation, "" if the ids contain none; and the results by the original ids of the calls.
    """
    split = [(*key.partition(_OF), text) for key, text in results.items()]
    names = {name for _, _, name, _ in split if name.startswith(_OWN_NAMES)}
    if len(names) != 1:
        return "", results
    return names.pop(), Results({key: text for key, _, _, text in split})


def _build_response_document(
    model: TextGraph, turn: Turn, reply: _Reply | None, echoed: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a response with all its parts in the form of OpenAI's Responses API."""
    failure = None if reply is None else reply.failure
    status = "in_progress" if reply is None else "completed"
    if failure is not None:
        status = "cancelled" if isinstance(failure, RunStopped | RunCancelled) else "failed"
    return {
        "id": f"resp_{_encode_turn(turn)}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "model": model.name,
        "output": []
        if reply is None
        else [*([_build_output_item(turn, reply)] if failure is None else []), *_iter_call_items(model, reply)],
        "error": {"code": "server_error", "message": str(failure)} if status == "failed" else None,
        "usage": None if reply is None else _build_usage_document(reply.usage, "input", "output"),
        "metadata": {"run_id": turn.run_id},
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
        **dict.fromkeys(("incomplete_details", "instructions", "temperature", "top_p")),
        **echoed,
    }


def _build_error_document(error: GraphEngineError) -> Mapping[str, Any]:
    """Return the document of an error in the form of OpenAI's API."""
    kind = "server_error" if isinstance(error, ServiceFailed | RunFailed | TurnFailed) else "invalid_request_error"
    message = f"{error.message}; {error.repair}" if error.repair else error.message
    return {"error": {"message": message, "type": kind, "param": error.where or None, "code": error.code}}


def _encode_error_event(error: GraphEngineError) -> bytes:
    return stream_event(_build_error_document(error), name="error")


def _refuse_as_openai(error: GraphEngineError) -> Response:
    answer = refused(error, document=_build_error_document(shown_error(error)))
    if isinstance(error, InputError) and answer.status_code == 422:  # noqa: PLR2004
        answer.status_code = 400  # this API uses 400 for a request that does not fit
    return answer


__all__ = ["PATH", "OpenAiDoor", "routes"]
