import http.client
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from tests.serve.service.client import TOKEN, Service

CLIENT = Path(__file__).with_name("front_end_clients")
core = pytest.importorskip("ag_ui.core")


def sent(service: Service, thread: str, graph: str = "posts", **more: Any) -> tuple[int, Any]:
    """Send a thread; return the status, and its events, each as a type of the protocol."""
    body = {"threadId": thread, "runId": "r1", "messages": [], "tools": [], "context": [], **more}
    connection = http.client.HTTPConnection(service.host, timeout=60)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    connection.request("POST", f"/agui/{graph}", json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    if answer.status != 200:
        return answer.status, json.loads(text)
    found = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    adapter: TypeAdapter[Any] = TypeAdapter(core.Event)
    return 200, [adapter.validate_json(each) for each in found]


def test_a_thread_is_asked_survives_a_kill_and_is_answered_once(tmp_path: Path) -> None:
    """After a kill the same thread shows the recorded steps and the question again; a repeated answer does nothing."""
    service = Service(tmp_path / "runs.db", "--ag-ui")
    assert service.opened["doors"]["ag-ui"].endswith("/agui")
    _, first = sent(service, "t", state={"title": "Tides"})
    service.end(signal.SIGKILL)
    service = Service(tmp_path / "runs.db", "--ag-ui")
    _, again = sent(service, "t", state={"title": "Tides"})
    names = [[e.step_name for e in events if e.type == "STEP_FINISHED"] for events in (first, again)]
    assert names[0][:1] == names[1][:1] == ["write#1"]
    (asked,) = again[-1].outcome.interrupts
    assert (asked.id, asked.message, asked.response_schema) == (
        first[-1].outcome.interrupts[0].id,
        "Publish Tides?",
        {"type": "boolean"},
    )
    resume = [{"interruptId": asked.id, "status": "resolved", "payload": True}]
    for _ in range(2):
        _, ended = sent(service, "t", resume=resume)
        assert (ended[-1].outcome.type, ended[-1].result) == ("success", "All about Tides")
    runs = service.call("GET", "/runs")[1]["runs"]
    assert [run["run_id"] for run in runs] == ["ge:thread:posts:t"]
    assert service.end() == 0


def test_bad_input_is_one_error(tmp_path: Path) -> None:
    """A graph that is not served, a body that is no RunAgentInput, a state or an answer that does not fit."""
    service = Service(tmp_path / "runs.db", "--ag-ui")
    assert sent(service, "t", "nothing")[0] == 404
    assert sent(service, "t", messages=3)[1]["error"]["where"] == "messages"
    assert sent(service, "t", state={"title": 3})[0] == 422
    assert sent(service, "t", resume=[{"interruptId": "x", "status": "resolved"}])[0] == 404
    _, asked = sent(service, "t", state={"title": "Tides"})
    key = asked[-1].outcome.interrupts[0].id
    refused = sent(service, "t", resume=[{"interruptId": "approve@1", "status": "resolved"}])
    assert (refused[0], refused[1]["error"]["message"]) == (
        422,
        "run ge:thread:posts:t has no open question with the id 'approve@1'",
    )
    assert refused[1]["error"]["repair"] == f"did you mean {key!r}?"
    assert sent(service, "t", resume=[{"interruptId": key, "status": "resolved", "payload": "perhaps"}])[0] == 422
    yes, no = {"interruptId": key, "status": "resolved", "payload": True}, {"interruptId": key, "status": "cancelled"}
    for entries in ([yes, no], [no, yes], [yes, yes], [yes, {"interruptId": "approve@1", "status": "cancelled"}]):
        assert sent(service, "t", resume=entries)[0] == 422
    _, other = sent(service, "u", state={"title": "Moons"})
    others = {"interruptId": other[-1].outcome.interrupts[0].id, "status": "cancelled"}
    assert sent(service, "t", resume=[yes, others])[0] in (409, 422)
    assert [run["status"] for run in service.call("GET", "/runs")[1]["runs"]] == ["waiting", "waiting"]
    stopped = sent(service, "t", resume=[no])[1]
    assert stopped[-1].outcome.type == "cancelled"
    assert service.end() == 0


TALK = """
from pydantic import BaseModel
from graphengine import END, START, Agent, Graph, ScriptedModel, ask

class Talk(BaseModel):
    question: str
    answer: str = ""
    ok: bool = False

model = ScriptedModel(["The tide is high."])
talk = Graph("talk", Talk, result="answer")
talk.add_node("reply", Agent("helper", prompt="{question}", model=model), writes="answer")
talk.add_node("approve", ask("Send {answer}?", bool), writes="ok")
talk.add_path(START, "reply", "approve", END)
"""


@pytest.mark.skipif(not (CLIENT / "node_modules").exists(), reason="needs `make servers`")
def test_the_official_client_misses_nothing_after_a_reload_and_a_kill(tmp_path: Path) -> None:
    """A second page, of a second server on the database, has the text and the state of the first, and answers."""
    (tmp_path / "talk.py").write_text(TALK)
    text, state = "The tide is high.", '{"question": "Tide?"}'
    shown = []
    for answer, end in (([], signal.SIGKILL), ([], signal.SIGTERM), (["true"], signal.SIGTERM)):
        service = Service(tmp_path / "runs.db", "--ag-ui", graphs=str(tmp_path / "talk.py"))
        words = ["node", "ag_ui.mjs", service.opened["doors"]["ag-ui"] + "/talk", TOKEN, "a", state, *answer]
        done = subprocess.run(words, cwd=CLIENT, capture_output=True, text=True, check=True, timeout=60)
        shown.append(json.loads(done.stdout))
        service.end(end)
    assert [[each["content"] for each in page["messages"]] for page in shown] == [["Tide?", text]] * 3
    assert [page["outcome"] for page in shown] == ["interrupt", "interrupt", "success"]
    assert [page["state"]["ok"] for page in shown] == [False, False, True]
    assert (shown[0]["asked"], shown[2]["result"]) == (shown[1]["asked"], text)
