"""Whatever a provider's stream was cut off in, what is sent next is what the provider reads back (`read_back.py`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest

from graphengine import Agent, Runner, Settings, TurnFailed
from graphengine.agents.cut import go_on
from graphengine.agents.errors import BadAnswer
from graphengine.models import AnswerTorn, Message, Request, Response
from tests.conformance.model_scenes import Counted, Fails, Says
from tests.kit.facts import said
from tests.models.acts import Raw
from tests.models.adapters import PATHS, adapter
from tests.models.edge_server import EdgeServer
from tests.models.wire import Event, Json

ASK: Final = Message(role="user", text="Rain?")
THOUGHT: Final[Json] = {"type": "thinking", "thinking": "I think", "signature": "sealed"}
VEILED: Final[Json] = {"type": "redacted_thinking", "data": "sealed"}
TEXT: Final[Json] = {"type": "text", "text": "It rains"}
QUOTE: Final[Json] = {"type": "text", "text": " so they say."}
SEARCH: Final[Json] = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "rain"}}
FOUND: Final[Json] = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []}
REMOTE: Final[Json] = {"type": "mcp_tool_use", "id": "mcp_1", "name": "look", "server_name": "s", "input": {}}
LOOKED: Final[Json] = {"type": "mcp_tool_result", "tool_use_id": "mcp_1", "content": [], "is_error": False}


def called(number: int) -> Json:
    """Return a call of a tool."""
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "look", "input": {"city": "Bern"}}


BLOCKS: Final[Sequence[Sequence[Json]]] = [
    [THOUGHT, TEXT, called(1)],
    [THOUGHT, called(1), called(2)],
    [THOUGHT, TEXT, SEARCH, FOUND, QUOTE],
    [VEILED, TEXT, THOUGHT, QUOTE],
    [TEXT, SEARCH, called(1)],
    [REMOTE, LOOKED, TEXT, VEILED],
    [{"type": "text", "text": " "}, THOUGHT, SEARCH, FOUND],
]


def of_messages(blocks: Sequence[Json]) -> Iterator[Sequence[Event]]:
    """Yield the beginnings of a stream of Messages without its end, each one event longer; the last has all blocks."""
    pieces: dict[str, Any] = {
        "text": lambda text: {"type": "text_delta", "text": text},
        "thinking": lambda text: {"type": "thinking_delta", "thinking": text},
    }
    events = [event("message_start", message={"type": "message", "role": "assistant", "content": []})]
    for index, block in enumerate(blocks):
        kind = block["type"]
        begun: Json = {**block, **{key: "" for key in ("text", "thinking", "signature") if key in block}}
        begun |= {"input": {}} if "input" in block else {}
        events.append(event("content_block_start", index=index, content_block=begun))
        deltas: list[Json] = []
        if kind in pieces:
            deltas = [pieces[kind](block[kind][:3]), pieces[kind](block[kind][3:])]
        if kind == "thinking":
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        if block.get("input"):
            written = json.dumps(block["input"])
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in (written[:4], written[4:])]
        events += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
        events.append(event("content_block_stop", index=index))
    yield from (events[: count + 1] for count in range(len(events)))


def ends_of_messages(reason: str) -> Sequence[Event]:
    """Return the end of a stream of Messages."""
    return [event("message_delta", delta={"stop_reason": reason}), event("message_stop")]


def event(kind: str, **data: Any) -> Event:
    """Return an event, as Anthropic and OpenAI name it."""
    return Event({"type": kind, **data}, kind)


REASONING: Final[Json] = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}
ITEM: Final[Json] = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "It rains", "annotations": []}],
}
SEARCHED: Final[Json] = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "rain"},
}
RAN: Final[Json] = {"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "code": "1", "outputs": None}
CALL: Final[Json] = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "status": "completed",
    "name": "look",
    "arguments": '{"city": "Bern"}',
}
ITEMS: Final[Sequence[Sequence[Json]]] = [
    [REASONING, ITEM, CALL],
    [REASONING, CALL, {**CALL, "id": "fc_2", "call_id": "call_2"}],
    [REASONING, SEARCHED, {**REASONING, "id": "rs_2"}, ITEM],
    [ITEM, {**REASONING, "id": "rs_2"}, RAN, {**REASONING, "id": "rs_3"}, CALL],
    [SEARCHED, ITEM],
]


def cut_items(items: Sequence[Json]) -> Iterator[Sequence[Json]]:
    """Yield what there is of items when an answer is cut off: some of them, and maybe one that did not end."""
    for count, item in enumerate(items):
        whole = items[:count]
        yield whole
        if item["type"] == "message":
            yield [*whole, {**item, "status": "incomplete", "content": []}]
            part = {**item["content"][0], "text": "It ra"}
            yield [*whole, {**item, "status": "incomplete", "content": [part]}]
        elif item["type"] == "reasoning":
            yield [*whole, {**item, "encrypted_content": None}]
        elif item["type"] == "function_call":
            yield [*whole, {**item, "status": "incomplete", "arguments": '{"ci'}]
            yield [*whole, {**item, "status": "completed", "arguments": '{"ci'}]
        else:
            yield [*whole, {**item, "status": "in_progress", "action": None}]
    yield items


def of_responses(items: Sequence[Json], status: str) -> Sequence[Event]:
    """Return a stream of Responses with these items, complete or cut off."""
    whole: Json = {"id": "resp_1", "status": status, "output": [*items], "error": None, "model": "gpt-5-mini"}
    whole["incomplete_details"] = {"reason": "max_output_tokens"} if status == "incomplete" else None
    done = [event("response.output_item.done", output_index=place, item=item) for place, item in enumerate(items)]
    return [*done, event(f"response.{status}", response=whole)]


def of_chat(count: int, reason: str) -> Sequence[Event]:
    """Return a stream of Chat Completions that has this many of its pieces."""
    call: Json = {"index": 0, "id": "c" * 50, "type": "function", "function": {"name": "look", "arguments": ""}}
    deltas: list[Json] = [
        {"role": "assistant", "content": None},
        {"reasoning_content": "I think"},
        {"content": "It ra"},
        {"content": "ins"},
        {"tool_calls": [call]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"ci'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": 'ty": "Bern"}'}}]},
        {"tool_calls": [{**call, "index": 1, "id": ""}]},
    ]
    choices: list[Json] = [{"delta": delta, "finish_reason": None} for delta in deltas[:count]]
    return [Event({"choices": [choice]}) for choice in [*choices, {"delta": {}, "finish_reason": reason}]]


STREAMS: Final[Mapping[str, Sequence[Sequence[Event]]]] = {
    "/v1/messages": [
        *([*begun, *ends_of_messages("max_tokens")] for blocks in BLOCKS for begun in of_messages(blocks)),
        *([*begun, *ends_of_messages("model_context_window_exceeded")] for begun in of_messages(BLOCKS[2])),
        *([*[*of_messages(blocks)][-1], *ends_of_messages("end_turn")] for blocks in BLOCKS),
    ],
    "/v1/responses": [
        *(of_responses(cut, "incomplete") for items in ITEMS for cut in cut_items(items)),
        *(of_responses(items, "completed") for items in ITEMS),
        *(of_responses([*items[:-1], {**items[-1], "status": "incomplete"}], "completed") for items in ITEMS),
    ],
    "/v1/chat/completions": [
        *(of_chat(count, "length") for count in range(9)),
        *(of_chat(count, "tool_calls" if count > 4 else "stop") for count in (1, 2, 3, 4, 7)),
    ],
}  # fmt: skip


def sequels(found: Response) -> Iterator[Sequence[Message]]:
    """Yield the conversations that go on after an answer: after its results, with a question, or to go on with it."""
    said = Message(role="assistant", text=str(found.content), calls=found.calls, native=found.native)
    results = [Message(role="tool", text="dry", call_id=call.id) for call in found.calls]
    if results:
        yield [ASK, said, *results]
    yield [ASK, said, *results, Message(role="user", text="And now?")]
    yield [ASK, said, *results, Message(role="user", text="And now?"), Message(role="assistant", text="Yes."), ASK]
    if found.stop in {"cut", "full"} and str(found.content).strip():
        yield [ASK, said, Message(role="user", text=go_on(str(found.content)))]
    yield [said, ASK]  # `history=` left the question out
    yield [ASK, said.model_copy(update={"text": "what a guard made of it"}), *results, ASK]
    yield [ASK, said.model_copy(update={"calls": ()}), ASK]
    yield [ASK, *results, ASK]


@pytest.mark.parametrize("path", PATHS)
async def test_what_a_provider_would_refuse_is_never_sent(edge: EdgeServer, path: str) -> None:
    """Of each beginning of each stream: thoughts, calls, searches, in which the answer was cut off or not."""
    model = adapter(path, edge.url)
    settings = Settings(thinking=2000) if path == "/v1/messages" else Settings()
    for stream in STREAMS[path]:
        edge.play(Raw(events=tuple(stream)))
        found = await model.answer(Request("writer", "", [ASK], settings=settings, on_text=print))
        for messages in sequels(found):
            edge.play(Says("yes"))
            answer = await model.answer(Request("writer", "", messages, settings=settings))
            assert (answer.content, edge.objections) == ("yes", [])
            edge.reset()
    await model.close()


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_left_of_an_answer_that_was_not_cut_goes_back_as_it_came(edge: EdgeServer, path: str) -> None:
    """Repairs touch nothing else: thoughts with their seals, searches with what they found, and calls."""
    if path == "/v1/chat/completions":
        return
    model = adapter(path, edge.url)
    whole: list[tuple[Sequence[Event], Sequence[Json]]] = []
    if path == "/v1/messages":
        whole = [([*[*of_messages(blocks)][-1], *ends_of_messages("end_turn")], blocks) for blocks in BLOCKS[:4]]
    else:
        whole = [(of_responses(items, "completed"), items) for items in ITEMS]
    for stream, parts in whole:
        edge.play(Raw(events=tuple(stream)), Says("yes"))
        found = await model.answer(Request("writer", "", [ASK], on_text=print))
        await model.answer(Request("writer", "", next(sequels(found))))
        sent: Any = edge.received()[1].body
        back = sent["messages"][1]["content"] if path == "/v1/messages" else sent["input"][1 : len(parts) + 1]
        assert back == [{key: value for key, value in part.items() if value is not None} for part in parts]
        edge.reset()
    await model.close()


@pytest.mark.parametrize("stream", [*chain.from_iterable(of_messages(blocks) for blocks in BLOCKS[:3])])
async def test_a_stream_without_its_end_is_no_answer(edge: EdgeServer, stream: Sequence[Event]) -> None:
    """However much of it has arrived."""
    edge.play(Raw(events=tuple(stream)))
    model = adapter("/v1/messages", edge.url)
    with pytest.raises(AnswerTorn):
        await model.answer(Request("writer", "", [ASK], on_text=print))
    await model.close()


@pytest.mark.parametrize("on_cut", ["fail", "keep", "continue"])
@pytest.mark.parametrize("path", PATHS)
async def test_no_cut_answer_ends_a_chat(edge: EdgeServer, path: str, on_cut: Any) -> None:
    """Its message is answered or has failed; the next one is answered."""
    model = adapter(path, edge.url)

    def look(city: str) -> str:
        """Look."""
        return city

    agent = Agent("a", model=model, tools=[look], on_cut=on_cut)
    cut = [stream for stream in STREAMS[path] if "length" in str(stream) or "max_" in str(stream)]
    async with Runner() as runner:
        for number, stream in enumerate(cut[::3]):
            edge.play(Raw(events=tuple(stream)), *[Says("It rains.")] * 4)
            failed: list[str | None] = ["answered"]
            try:
                await runner.run(agent, chat=f"{number}", question="Rain?")
            except TurnFailed as error:
                failed = [error.turn.code]
            assert (failed[0] in {"answered", "answer_cut", "context_full"}, edge.objections) == (True, []), failed
            assert await runner.run(agent, chat=f"{number}", question="And now?") == "It rains."
            assert edge.objections == []
            edge.reset()
    await model.close()


@pytest.mark.parametrize("path", PATHS[:2])
async def test_a_refused_seal_is_not_sent_again(edge: EdgeServer, tmp_path: Path, path: str) -> None:
    """Of any answer before, by any process; what is sealed since then is sent."""
    refusal = "messages.1.content.0: Invalid `signature` in `thinking` block"
    if path == "/v1/responses":
        refusal = "The encrypted content for item rs_1 could not be verified."
    sealed = [Says(f"answer {number}", thinking=f"seal {number}") for number in range(6)]
    edge.play(sealed[0], sealed[1], Fails("bad_request", refusal), *sealed[2:])
    for number in range(6):
        model = adapter(path, edge.url)
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            assert await runner.run(Agent("a"), chat="c", question="go on") == f"answer {number}"
        await model.close()
    sent = [[*chain.from_iterable(turn.thinking for turn in call.turns)] for call in edge.received()]
    assert sent == [
        [],
        ["seal 0"],
        ["seal 0", "seal 1"],
        [],
        ["seal 2"],
        ["seal 2", "seal 3"],
        ["seal 2", "seal 3", "seal 4"],
    ]


@pytest.mark.parametrize("path", PATHS)
async def test_an_answer_with_all_tokens_that_were_allowed_is_named(
    edge: EdgeServer, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A server may call it complete; its step, the log and the error of an answer that cannot be read say it."""
    model = adapter(path, edge.url)
    agent = Agent("a", model=model, settings=Settings(max_tokens=20))
    edge.play(
        Says("It rains in", counted=Counted(output_tokens=20)), *[Says('{"answ', counted=Counted(output_tokens=20))] * 2
    )
    async with Runner() as runner:
        assert await runner.run(agent, chat="c", question="Rain?") == "It rains in"
        assert "has all of max_tokens=20" in caplog.text
        steps = [said(step) for step in await runner.history("ge:chat:c")]
        assert [step["value"]["at_limit"] for step in steps if step.get("name") == "turn"] == [True]
    with pytest.raises(BadAnswer) as caught:
        await agent.but(prompt="Rain?", output=list[int], output_retries=1).run()
    assert "raise max_tokens" in caught.value.repair
    await model.close()
