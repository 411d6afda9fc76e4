"""What providers refuse to read back: recorded refusals of the real APIs, each with its public source.

A conversation is sent again with each question: one answer that its provider does not take back ends a chat for good.
The wires apply these rules to every call of every test, besides their own. A source is the report of a refusal, by
repository and number at GitHub.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

Json = dict[str, Any]

THOUGHTS: Final = ("thinking", "redacted_thinking")
HOSTED: Final = ("server_tool_use", "mcp_tool_use")
LONGEST_CHAT_ID: Final = 40
"""vercel/ai#5171, agno-agi/agno#5382, langgenius/dify#28987."""


def of_messages(body: Json) -> Iterator[str]:
    """Yield what Anthropic's Messages refuses in the conversation of a call."""
    turns = _merged(body["messages"])
    yield from _hosted(turns)
    for place, (role, blocks) in enumerate(turns):
        where = f"messages.{place}"
        for block in blocks:
            kind = block["type"]
            # anthropics/claude-code#10627, lbjlaq/Antigravity-Manager#498: what the model did not sign is no thought.
            if kind == "thinking" and not block.get("signature"):
                yield f"{where}: Invalid `signature` in `thinking` block"
            if kind == "redacted_thinking" and not block.get("data"):
                yield f"{where}: redacted_thinking.data: Field required"
            # The API's reference: the input of a call is an object.
            if kind == "tool_use" and not isinstance(block.get("input"), dict):
                yield f"{where}: tool_use.input: Input should be a valid dictionary"
        # tailcallhq/forgecode#2107 and #3071, NousResearch/hermes-agent#16921: also where no text follows any more.
        if role == "assistant" and blocks and blocks[-1]["type"] in THOUGHTS:
            yield f"{where}: The final block in an assistant message cannot be `{blocks[-1]['type']}`."
    yield from _unbegun(body, turns)


def _unbegun(body: Json, turns: list[tuple[str, list[Json]]]) -> Iterator[str]:
    """Refuse a turn with calls that did not begin with a thought, if the call thinks: n8n-io/n8n#22550, mastra#7799."""
    if (body.get("thinking") or {}).get("type") != "enabled" or turns[-1][0] != "user":
        return
    first = None
    for role, blocks in reversed(turns):
        if role == "assistant":
            first = blocks[0]["type"]
        elif not any(block["type"] == "tool_result" for block in blocks):
            break
    if first is not None and first not in THOUGHTS:
        yield f"Expected `thinking` or `redacted_thinking`, but found `{first}`."


def _hosted(turns: list[tuple[str, list[Json]]]) -> Iterator[str]:
    """Refuse calls of the provider's own tools without a result, and results without a call.

    danny-avila/LibreChat#12639, lisette#108: an answer that was cut off in a search. The result may come in the next
    answer, if the one with the call waits for results of other tools.
    """
    open_: dict[str, str] = {}
    for place, (role, blocks) in enumerate(turns):
        for block in blocks if role == "assistant" else ():
            if block["type"] in HOSTED:
                open_[block["id"]] = block.get("name", "")
            elif "tool_use_id" in block and open_.pop(block["tool_use_id"], None) is None:
                yield f"messages.{place}: unexpected `tool_use_id` found in `{block['type']}`: {block['tool_use_id']}"
        waits = any(block["type"] == "tool_use" for block in blocks) or role == "user"
        if open_ and not waits and place + 1 < len(turns):
            identity, name = next(iter(open_.items()))
            yield f"messages.{place}: `{name}` tool use with id `{identity}` was found without a corresponding result"
            open_.clear()


def _merged(messages: list[Json]) -> list[tuple[str, list[Json]]]:
    """Return the blocks by role; the API joins neighbours of one role."""
    made: list[tuple[str, list[Json]]] = []
    for message in messages:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else [*content]
        if made and made[-1][0] == message["role"]:
            made[-1][1].extend(blocks)
        else:
            made.append((message["role"], blocks))
    return made


UNENDED: Final = ("in_progress", "incomplete", "searching", "interpreting", "generating", "calling")


def of_responses(body: Json) -> Iterator[str]:
    """Yield what OpenAI's Responses refuses in the conversation of a call."""
    items = body["input"] if isinstance(body["input"], list) else []
    called: set[str] = set()
    for place, item in enumerate(items):
        kind = item.get("type", "message")
        if kind == "function_call":
            called.add(item["call_id"])
            # OpenRouterTeam/typescript-agent#125, pydantic-ai#3118: a call that was cut off is no call.
            if item.get("status") == "incomplete":
                yield f"input[{place}]: the function call {item['call_id']} is incomplete"
        elif kind.endswith("_call") and item.get("status") in UNENDED:
            yield f"input[{place}]: {kind} did not end ({item['status']})"  # no source: nobody says that it is read
        # The API's error: a result that precedes its call, or has none.
        if kind == "function_call_output" and item["call_id"] not in called:
            yield f"No tool call found for function call output with call_id {item['call_id']}."
        # openai/codex#8829, vllm-project/vllm#24637: fields that servers send as null, and refuse so.
        nulls = [key for key, value in item.items() if value is None]
        if nulls:
            yield f"Invalid type for 'input[{place}].{nulls[0]}': got null instead."


def of_chat(body: Json) -> Iterator[str]:
    """Yield what servers with Chat Completions refuse in the conversation of a call."""
    for place, message in enumerate(body["messages"]):
        calls = message.get("tool_calls")
        # AmintaCCCP/GithubStarsManager#314: gateways refuse an empty list.
        if calls == []:
            yield f"[] is too short - 'messages.{place}.tool_calls'"
        # OpenHands/OpenHands#8685: Mistral.
        if message["role"] == "assistant" and not calls and not str(message.get("content") or "").strip():
            yield "Assistant message must have either content or tool_calls, but not none."
        for call in calls or ():
            if not 0 < len(call["id"]) <= LONGEST_CHAT_ID:
                yield f"Invalid 'messages[{place}].tool_calls[0].id': string too long."
