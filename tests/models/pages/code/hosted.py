from graphengine import Message, code_execution, web_fetch, web_search
from graphengine.models import ToolSpec
from tests.models.acts import Raw

URL = "https://tides.example/a"
TOOL = ToolSpec("add", "Adds.", {"type": "object", "properties": {}})
SEARCH = web_search(allowed_domains=["tides.example"], location={"country": "CH"})
USAGE = {"input_tokens": 1000, "output_tokens": 100}
BOX = {"id": "box", "expires_at": "2999-01-01T00:00:00Z"}
AGAIN = Message(role="user", text="and?")


def message(stop, *content):
    used = USAGE | {"server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0}}
    body = {"type": "message", "content": [*content], "stop_reason": stop, "usage": used, "container": BOX}
    return Raw(body=body)


def text(said, **more):
    return {"type": "text", "text": said, **more}


def use(id, name, **given):
    return {"type": "server_tool_use", "id": id, "name": name, "input": given}


def result(name, id, content):
    return {"type": f"{name}_tool_result", "tool_use_id": id, "content": content}


FOUND = [{"type": "web_search_result", "url": URL, "title": "Tides", "encrypted_content": "…"}]
RAN = {"type": "bash_code_execution_result", "stdout": "5", "stderr": "", "return_code": 0, "content": []}
CITED = {"type": "web_search_result_location", "url": URL, "title": "Tides", "cited_text": "They rise."}
PAUSE = message(
    "pause_turn", text("I search. "), use("s1", "web_search", query="tides"), result("web_search", "s1", FOUND)
)
END = message(
    "end_turn",
    use("c1", "bash_code_execution", command="echo 5"),
    result("bash_code_execution", "c1", RAN),
    result("web_fetch", "f1", {"error_code": "url_not_allowed"}),
    text("Tides rise.", citations=[CITED]),
)


def response(*output):
    return Raw(body={"status": "completed", "usage": USAGE, "output": [*output]})


SEARCHED = {"type": "web_search_call", "id": "ws", "status": "completed"}
ASKED = SEARCHED | {"action": {"type": "search", "query": "tides", "sources": [{"type": "url", "url": URL}]}}
OPENED = SEARCHED | {"action": {"type": "open_page", "url": URL}}
CITE = {"type": "url_citation", "url": URL, "title": "Tides", "start_index": 6, "end_index": 11}
PARTS = [
    {"type": "output_text", "text": "So: ", "annotations": []},
    {"type": "output_text", "text": "Tides rise.", "annotations": [CITE]},
]
SAID = {"type": "message", "role": "assistant", "content": PARTS}
CODE = {
    "type": "code_interpreter_call",
    "id": "ci",
    "status": "completed",
    "code": "2+3",
    "container_id": "b",
    "outputs": [{"type": "logs", "logs": "5"}],
}
NOTE = {"type": "url_citation", "url_citation": {"url": URL, "title": "T", "start_index": 0, "end_index": 5}}
