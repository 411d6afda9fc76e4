from graphengine import Message
from tests.models.acts import Raw
from tests.models.wire import Event

SUMMARY = {"type": "compaction", "content": "the sea", "encrypted_content": "sealed"}
ITEM = {"type": "compaction", "id": "c", "encrypted_content": "sealed"}
ON = Message(role="user", text="Go on.")
END = {"stop_reason": "end_turn"}
START = {"type": "message", "role": "assistant", "model": "claude-opus-4-6", "content": []}
SAID = {"type": "text", "text": "tides"}
USAGE = {
    "input_tokens": 10,
    "output_tokens": 2,
    "iterations": [
        {"type": "compaction", "input_tokens": 60_000, "output_tokens": 500},
        {"type": "message", "input_tokens": 10, "output_tokens": 2},
    ],
}


def events(*given):
    return Raw(events=tuple(Event(event, event["type"]) for event in given))


STREAM = events(
    {"type": "message_start", "message": START},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "compaction", "content": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {**SUMMARY, "type": "compaction_delta"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": SAID},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": END, "usage": USAGE},
    {"type": "message_stop"},
)
PAUSED = {
    **START,
    "content": [SUMMARY],
    "stop_reason": "compaction",
    "usage": {"input_tokens": 60_000, "output_tokens": 500},
}
TIDES = {
    "type": "message",
    "id": "m",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "tides", "annotations": []}],
}
