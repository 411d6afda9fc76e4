from tests.models.edge_server import WIRES

HELLO = {"role": "user", "content": "hi"}
TEXT = {"type": "text", "text": "so"}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "s"}
SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}
LOOSE = {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {}}}}}


def messages(*sent):
    return WIRES["/v1/messages"].objection({"messages": [*sent]}) or "nothing"


def responses(*items, **more):
    return WIRES["/v1/responses"].objection({"input": [*items], **more}) or "nothing"


def chat(*sent, **more):
    return WIRES["/v1/chat/completions"].objection({"messages": [*sent], **more}) or "nothing"


def uses(*ids):
    calls = [{"type": "tool_use", "id": each, "name": "f", "input": {}} for each in ids]
    return {"role": "assistant", "content": calls}


def result(called):
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": called}]}


def call(called):
    return {"type": "function_call", "call_id": called, "name": "f", "arguments": "{}"}


def output(called):
    return {"type": "function_call_output", "call_id": called, "output": ""}


def says(*blocks):
    return {"role": "assistant", "content": [*blocks]}


def thinks(*sent, budget_tokens, **more):
    body = {
        "messages": [*sent] or [HELLO],
        "max_tokens": 9000,
        "thinking": {"type": "enabled", "budget_tokens": budget_tokens},
    }
    return WIRES["/v1/messages"].objection(body | more) or "nothing"


def calling(called, arguments="{}"):
    made = {"id": called, "type": "function", "function": {"name": "f", "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [made]}


def done(called):
    return {"role": "tool", "tool_call_id": called, "content": ""}
