"""Tools that a front end or a client executes: each door shows the call, and takes its result as its protocol does."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.serve.service.client import Service
from tests.serve.service.front_ends import ag_ui, ai_sdk

pytest.importorskip("ag_ui.core")

SEATS = """
from pydantic import BaseModel
from graphengine import END, START, Agent, Graph, ScriptedModel
from graphengine.agents import external_tool
from graphengine.models import Response
from graphengine.models.scripted import calls

class Seat(BaseModel):
    row: int

@external_tool
def choose_seat(flight: str) -> Seat:
    '''Show the seats of a flight.'''

class Trip(BaseModel):
    question: str
    answer: str = ""

def say(request):
    if len(request.messages) < 2:
        return calls(("choose_seat", {"flight": "LH1"}), ("choose_seat", {"flight": "LH2"}))
    return Response(" | ".join(each.text for each in request.messages if each.role == "tool"))

trip = Graph("trip", Trip, result="answer")
clerk = Agent("clerk", prompt="{question}", model=ScriptedModel(say), tools=[choose_seat])
trip.add_node("book", clerk, writes="answer")
trip.add_path(START, "book", END)
"""


def served(folder: Path, *doors: str, returns: str = "Seat") -> Service:
    """Serve the graph, whose tool returns a value of this type."""
    (folder / "trip.py").write_text(SEATS.replace("-> Seat", f"-> {returns}"))
    return Service(folder / "runs.db", *doors, graphs=str(folder / "trip.py"))


def called(events: list[Any]) -> dict[str, str]:
    """Return the calls that a front end is shown by AG-UI, by their arguments."""
    return {each["delta"]: each["toolCallId"] for each in events if each["type"] == "TOOL_CALL_CHUNK"}


def test_a_front_end_executes_a_tool_by_ag_ui(tmp_path: Path) -> None:
    """The call ends the request without a result; messages with the results go on, one by one and after a kill."""
    service = served(tmp_path, "--ag-ui")
    events = ag_ui(service, "t", "two seats", "trip").all()
    first, second = called(events).values()
    assert list(called(events)) == ['{"flight": "LH1"}', '{"flight": "LH2"}']
    assert events[-1]["outcome"] == {"type": "success"}
    assert not [each for each in events if each["type"] == "TOOL_CALL_RESULT"]
    service.end(signal.SIGKILL)

    service = served(tmp_path, "--ag-ui")
    messages = [{"id": "r1", "role": "tool", "toolCallId": first, "content": '{"row": 3}'}]
    events = ag_ui(service, "t", graph="trip", messages=messages).all()
    assert (events[-1]["type"], events[-1]["outcome"]) == ("RUN_FINISHED", {"type": "success"})
    wrong = [{"id": "r2", "role": "tool", "toolCallId": second, "content": '{"row": "x"}'}]
    (refused,) = ag_ui(service, "t", graph="trip", messages=wrong).all()
    assert "row" in refused["error"]["message"]
    messages += [{"id": "r2", "role": "tool", "toolCallId": second, "content": "", "error": "sold out"}]
    for _ in range(2):  # the same again changes nothing
        events = ag_ui(service, "t", graph="trip", messages=messages).all()
        assert events[-1]["result"] == '{"row":3} | sold out'
    assert service.end() == 0


def test_a_page_executes_a_tool_by_the_ai_sdk(tmp_path: Path) -> None:
    """The call has no result and asks for no approval; the page's message brings the results."""
    service = served(tmp_path, "--ai-sdk")
    events = ai_sdk(service, "t", "two seats", "trip").all()
    kinds = [each["type"] for each in events]
    assert kinds.count("tool-input-available") == 2
    assert "tool-approval-request" not in kinds
    start = next(each["messageId"] for each in events if each["type"] == "start")
    made = [each for each in events if each["type"] == "tool-input-available"]
    states: list[dict[str, Any]] = [
        {"state": "output-available", "output": {"row": 3}},
        {"state": "output-error", "errorText": "sold out"},
    ]
    parts = [
        {"type": "tool-choose_seat", "toolCallId": each["toolCallId"], "input": each["input"], **state}
        for each, state in zip(made, states, strict=True)
    ]
    messages = [
        {"id": "u", "role": "user", "parts": [{"type": "text", "text": "two seats"}]},
        {"id": start, "role": "assistant", "parts": parts},
    ]
    events = ai_sdk(service, "t", graph="trip", messages=messages).all()
    outputs = [each["data"] for each in events if each["type"] == "data-output"]
    assert outputs == ['{"row":3} | sold out'], json.dumps(events)
    assert service.end() == 0


def test_a_system_executes_a_tool_over_http(tmp_path: Path) -> None:
    """The waits of the run say what to call; answers by their names are the results."""
    service = served(tmp_path)
    key = service.call("POST", "/graphs/trip/runs", {"question": "two seats"})[1]["run_id"]
    _, run = service.call("GET", f"/runs/{key}?wait=20")
    waits = run["waits"]
    assert [(each["kind"], each["facts"]["tool"], each["facts"]["arguments"]) for each in waits] == [
        ("tool", "choose_seat", {"flight": "LH1"}),
        ("tool", "choose_seat", {"flight": "LH2"}),
    ]
    for each, answer in zip(waits, ({"row": 1}, {"row": 2}), strict=True):
        given = {"id": each["id"], "value": answer}
        assert service.call("POST", f"/runs/{key}/answer", given)[0] == 202
    seq = run["seq"]
    while run["status"] == "waiting":  # an answer is taken up as a step of its own
        run = service.settled(key, after=seq)
        seq = run["seq"]
    assert run["output"] == '{"row":1} | {"row":2}'
    assert service.end() == 0


def asked(service: Service, path: str, **body: Any) -> tuple[int, Any]:
    """Send a request to OpenAI's door."""
    status, answer, *_ = service.request("POST", f"/v1/{path}", json.dumps({"model": "trip", **body}).encode())
    return status, answer


def test_a_client_of_responses_executes_a_tool(tmp_path: Path) -> None:
    """A response has the calls, and the next one goes on with their outputs; a result that does not fit is refused."""
    service = served(tmp_path, "--openai")
    _, first = asked(service, "responses", input="two seats")
    calls = [item for item in first["output"] if item["type"] == "function_call"]
    assert [(each["name"], json.loads(each["arguments"])["flight"]) for each in calls] == [
        ("choose_seat", "LH1"),
        ("choose_seat", "LH2"),
    ]
    results = [
        {"type": "function_call_output", "call_id": calls[0]["call_id"], "output": '{"row": 3}'},
        {"type": "function_call_output", "call_id": calls[1]["call_id"], "output": '{"error": "sold out"}'},
    ]
    wrong = [{**results[0], "output": "no seat"}]
    assert asked(service, "responses", input=wrong, previous_response_id=first["id"])[0] == 400
    unknown = [{**results[0], "call_id": "another"}]
    assert asked(service, "responses", input=unknown, previous_response_id=first["id"])[0] == 400
    assert asked(service, "responses", input='{"row": 3}', previous_response_id=first["id"])[0] == 400
    for _ in range(2):  # the same again is the same response
        _, last = asked(service, "responses", input=results, previous_response_id=first["id"])
        assert last["output"][0]["content"][0]["text"] == '{"row":3} | sold out'
    assert service.end() == 0


def test_a_message_is_no_result_of_a_tool(tmp_path: Path) -> None:
    """It is refused, also where the result is a text, as any message is one."""
    service = served(tmp_path, "--openai", returns="str")
    _, first = asked(service, "responses", input="two seats")
    status, answer = asked(service, "responses", input="Never mind", previous_response_id=first["id"])
    assert (status, "and a message cannot answer this" in json.dumps(answer)) == (400, True)
    assert service.end() == 0


def test_a_client_of_chat_completions_executes_a_tool(tmp_path: Path) -> None:
    """The completion ends with `tool_calls`, and the thread with their results goes on, streamed or not."""
    service = served(tmp_path, "--openai")
    thread: dict[str, Any] = {"metadata": {"conversation_id": "c"}}
    messages: list[dict[str, Any]] = [{"role": "user", "content": "two seats"}]
    choice = asked(service, "chat/completions", messages=messages, **thread)[1]["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    calls = choice["message"]["tool_calls"]
    assert json.loads(calls[1]["function"]["arguments"]) == {"flight": "LH2"}
    messages += [choice["message"]]
    messages += [{"role": "tool", "tool_call_id": each["id"], "content": '{"row": 3}'} for each in calls]
    choice = asked(service, "chat/completions", messages=messages, **thread)[1]["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", '{"row":3} | {"row":3}')
    assert service.end() == 0


def test_a_client_that_names_no_conversation_executes_a_tool(tmp_path: Path) -> None:
    """The ids of the calls name it: the thread with their results goes on, streamed or not, and once."""
    service = served(tmp_path, "--openai")
    messages: list[dict[str, Any]] = [{"role": "user", "content": "two seats"}]
    choice = asked(service, "chat/completions", messages=messages)[1]["choices"][0]
    calls = choice["message"]["tool_calls"]
    messages += [choice["message"]]
    messages += [{"role": "tool", "tool_call_id": each["id"], "content": '{"row": 3}'} for each in calls]
    for _ in range(2):
        choice = asked(service, "chat/completions", messages=messages)[1]["choices"][0]
        assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", '{"row":3} | {"row":3}')
    messages[-1]["tool_call_id"] = messages[-2]["tool_call_id"] = "call_1"
    status, answer = asked(service, "chat/completions", messages=messages)
    assert (status, "does not wait for the result of a tool" in json.dumps(answer)) == (400, True)
    assert service.end() == 0


HISTORY = """
from graphengine import Agent, Graph, ScriptedModel

def say(request):
    return " / ".join(f"{each.role}: {each.text}" for each in request.messages)

talk = Graph.chat(Agent("trip", model=ScriptedModel(say)))
"""


def test_the_model_reads_what_the_tools_of_a_client_returned(tmp_path: Path) -> None:
    """Results of tools that only the client has, earlier in its thread, are told as what they are."""
    (tmp_path / "trip.py").write_text(HISTORY)
    service = Service(tmp_path / "runs.db", "--openai", graphs=str(tmp_path / "trip.py"))
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    thread: list[dict[str, Any]] = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "It is blue."},
        {"role": "assistant", "content": "Blue."},
        {"role": "user", "content": "Sure?"},
    ]
    told = "user: <result_of_look_up>It is blue.</result_of_look_up>"
    seen = f"user: Look. / {told} / assistant: Blue. / user: Sure?"
    body = json.dumps({"model": "trip-chat", "messages": thread}).encode()
    answer = service.request("POST", "/v1/chat/completions", body)[1]
    assert answer["choices"][0]["message"]["content"] == seen
    items = [
        thread[0],
        {"type": "function_call", "call_id": "c1", "name": "look_up", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "It is blue."},
        *thread[3:],
    ]
    body = json.dumps({"model": "trip-chat", "input": items}).encode()
    assert service.request("POST", "/v1/responses", body)[1]["output"][0]["content"][0]["text"] == seen
    assert service.end() == 0
