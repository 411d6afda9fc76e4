import http.client
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from tests.serve.service.client import TOKEN, Service

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
    assert [run["run_id"] for run in runs] == ["posts@t"]
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
    assert sent(service, "t", resume=[{"interruptId": key, "status": "resolved", "payload": "perhaps"}])[0] == 422
    stopped = sent(service, "t", resume=[{"interruptId": key, "status": "cancelled"}])[1]
    assert stopped[-1].outcome.type == "cancelled"
    assert service.end() == 0
