"""What both doors for front ends do, by AG-UI and by the AI SDK, in two processes and on two databases."""

import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from graphengine import Agent, Graph, ScriptedModel, SyncRunner
from graphengine.runner.ids import OwnId, derive_id
from tests.serve.service import front_end_flows
from tests.serve.service.client import Service
from tests.serve.service.conftest import Services
from tests.serve.service.front_ends import FLOWS, Stream, ag_ui, ai_sdk, text_of

pytest.importorskip("ag_ui.core")
TEXT = "The tide is high."
Serve = Callable[..., Service]


@pytest.fixture
def serve(services: Services, tmp_path: Path) -> Serve:
    """Start a server with the doors for front ends."""

    def start(database: Any, *words: str, gate: Path | str = "", text: str = TEXT) -> Service:
        env = {"GATE": str(gate), "TEXT": text, "CALLS": str(tmp_path / "calls")}
        return services("--ag-ui", database, "--ai-sdk", *words, graphs=FLOWS, **env)

    return start


def half(stream: Stream) -> list[Any]:
    """Read until the first half of the text was shown."""
    return stream.until(lambda _: "The tide " in text_of(stream.seen))


def message(events: list[Any]) -> dict[str, Any]:
    """Return the message of the assistant that a front end has after these events of AG-UI."""
    key = next(each["messageId"] for each in events if each.get("role") == "assistant")
    return {"id": key, "role": "assistant", "content": text_of(events)}


def asked(events: list[Any]) -> Any:
    """Return the only question of events of AG-UI."""
    (question,) = events[-1]["outcome"]["interrupts"]
    return question


def resume(question: Any, payload: Any) -> list[Any]:
    """Return an answer, as AG-UI sends it."""
    return [{"interruptId": question["id"], "status": "resolved", "payload": payload}]


def test_a_client_that_was_cut_off_in_a_text_gets_the_rest_of_it(serve: Serve, database: Any, tmp_path: Path) -> None:
    """AG-UI gets the rest of what it has, or all if it was reloaded; the AI SDK gets its message again."""
    gate = tmp_path / "gate"
    service = serve(database, gate=gate)
    first = ag_ui(service, "ada", "tide?")
    seen = half(first)
    first.close()
    assert text_of(seen, "reasoning") == "Let me look."
    again = ag_ui(service, "ada", "tide?", messages=[message(seen)])
    reloaded, other = ag_ui(service, "ada"), ai_sdk(service, "ada")
    assert text_of(half(reloaded)) == text_of(half(other)) == "The tide "
    gate.touch()
    assert text_of(again.all()) == TEXT.removeprefix("The tide ")
    found = reloaded.all()
    assert (text_of(found), text_of(found, "user"), found[-1]["outcome"]) == (TEXT, "tide?", {"type": "success"})
    assert text_of(other.all()) == TEXT


def test_a_turn_that_is_asked_again_after_a_kill_is_continued_or_replaced(
    serve: Serve, database: Any, tmp_path: Path
) -> None:
    """A server is killed in the middle of a text: the same text goes on, another one takes the place of its start."""
    seen = []
    for thread in ("same", "other"):
        service = serve(database, gate=tmp_path / thread)
        stream = ag_ui(service, thread, "tide?")
        seen.append(half(stream))
        service.end(signal.SIGKILL)
        stream.close()
    service = serve(database)
    assert text_of(ag_ui(service, "same", "tide?", messages=[message(seen[0])]).all()) == "is high."
    (first, second) = (message(each) for each in seen)
    changed = {**second, "content": "The tide was "}
    replaced = ag_ui(service, "other", "tide?", messages=[changed]).all()
    (snapshot,) = [each for each in replaced if each["type"] == "MESSAGES_SNAPSHOT"]
    # It may have been shown thinking already, if it was asked before the answer was recorded.
    assert [each["id"] for each in snapshot["messages"] if each["role"] != "reasoning"] == ["tide?"]
    assert text_of(replaced) == text_of(ai_sdk(service, "other").all()) == TEXT
    assert first["content"] == "The tide "


def test_a_second_server_shows_a_text_once_it_is_recorded(serve: Serve, database: Any, tmp_path: Path) -> None:
    """Behind one address a client comes back to another server: it gets the rest when the turn is recorded."""
    gate = tmp_path / "gate"
    one = serve(database, gate=gate)
    seen = half(first := ag_ui(one, "ada", "tide?"))
    first.close()
    two = serve(database, gate=gate)
    streams = ag_ui(two, "ada", "tide?", messages=[message(seen)]), ai_sdk(two, "ada")
    streams[0].until(lambda each: each["type"] == "STATE_SNAPSHOT")
    gate.touch()
    assert [text_of(each.all()) for each in streams] == ["is high.", TEXT]
    assert text_of(ag_ui(two, "ada", "tide?", messages=[{**message(seen), "content": TEXT}]).all()) == ""


def test_a_call_of_a_tool_is_approved_or_refused(serve: Serve, database: Any, tmp_path: Path) -> None:
    """The question names the call; it is made once, also if the answer comes twice, or not at all."""
    service, calls = serve(database), tmp_path / "calls"
    events = ag_ui(service, "ada", "pay her").all()
    (call,) = [each for each in events if each["type"] == "TOOL_CALL_CHUNK"]
    question = asked(events)
    assert (question["toolCallId"], question["reason"]) == (call["toolCallId"], "tool_approval")
    assert (call["toolCallName"], call["delta"]) == ("pay", '{"name": "Ada"}')
    for _ in range(2):
        done = ag_ui(service, "ada", resume=resume(question, True)).all()  # noqa: FBT003 - an answer
        assert done[-1]["outcome"] == {"type": "success"}
    assert calls.read_text() == "paid Ada\n"
    second = asked(ag_ui(service, "ada", "pay again").all())
    refused = ag_ui(service, "ada", resume=resume(second, {"refuse": "too much"})).all()
    (result,) = [each for each in refused if each["type"] == "TOOL_CALL_RESULT"]
    assert (result["toolCallId"], result["content"]) == (second["toolCallId"], "This call was not made.")
    assert (text_of(refused), calls.read_text()) == ("It was refused.", "paid Ada\n")
    kinds = [each["type"] for each in ag_ui(service, "ada").all()]
    assert (kinds.count("TOOL_CALL_CHUNK"), kinds.count("TOOL_CALL_RESULT")) == (2, 2)


def test_the_ai_sdk_approves_and_answers(serve: Serve, database: Any, tmp_path: Path) -> None:
    """An approval is a part of the message that comes back, any other answer is in the body; both are recorded once."""
    service = serve(database)
    asks = ai_sdk(service, "ada", "pay her").all()
    (request,) = [each for each in asks if each["type"] == "tool-approval-request"]
    given = {"id": request["approvalId"], "approved": True}
    part = {"type": "tool-pay", "toolCallId": request["toolCallId"], "state": "approval-responded", "approval": given}
    sent = [{"id": asks[0]["messageId"], "role": "assistant", "parts": [part]}]
    for _ in range(2):
        done = ai_sdk(service, "ada", messages=sent).all()
        assert done[-1] == {"type": "finish", "finishReason": "stop"}
    assert (tmp_path / "calls").read_text() == "paid Ada\n"
    _, (said, answer) = service.request("GET", "/ai-sdk/assistant-chat/ada")
    assert (said["parts"][0]["text"], answer["id"]) == ("pay her", asks[0]["messageId"])
    assert [each.get("text") or each.get("output") for each in answer["parts"][:3]] == [
        "I will pay.",
        "paid Ada",
        "Paid.",
    ]
    refused = {**given, "approved": False}
    asks = ai_sdk(service, "ada", "pay again").all()
    (request,) = [each for each in asks if each["type"] == "tool-approval-request"]
    part = {**part, "toolCallId": request["toolCallId"], "approval": {**refused, "id": request["approvalId"]}}
    done = ai_sdk(service, "ada", messages=[{**sent[0], "parts": [part]}]).all()
    assert {"type": "tool-output-denied", "toolCallId": request["toolCallId"]} in done
    assert (text_of(done), (tmp_path / "calls").read_text()) == ("It was refused.", "paid Ada\n")


def test_a_graph_that_is_no_chat_shows_its_state_and_asks_with_a_schema(
    serve: Serve, database: Any, tmp_path: Path
) -> None:
    """The message is its question; the patches lead to the state; live events are shown; the answer comes once."""
    gate = tmp_path / "gate"
    gate.touch()
    service = serve(database, gate=gate)
    events = ag_ui(service, "t", "tide?", "posts").all()
    question = asked(events)
    assert (question["message"], question["responseSchema"]) == (f"How many stars has {TEXT}?", {"type": "integer"})
    answered = ag_ui(service, "t", graph="posts", resume=resume(question, 5))
    answered.until(lambda each: each["type"] == "CUSTOM")
    gate.with_name("gate.note").touch()
    events += answered.all()
    shown = next(each for each in events if each["type"] == "CUSTOM")
    assert (shown["name"], shown["value"]["data"]) == ("emitted", {"stars": 5})
    assert (events[-1]["result"], events[-1]["outcome"]) == (TEXT, {"type": "success"})
    assert patched(events) == {"question": "tide?", "answer": TEXT, "stars": 5, "log": ["5 stars"]}
    chunks = ai_sdk(service, "s", "tide?", "posts").all()
    (question,) = [each["data"] for each in chunks if each["type"] == "data-question"]
    wrong = ai_sdk(service, "s", graph="posts", answers={question["id"]: "many"}, messages=assistant(chunks))
    assert (wrong.status, wrong.all()[0]["error"]["code"]) == (422, "invalid_input")
    done = ai_sdk(service, "s", graph="posts", answers={question["id"]: 4}, messages=assistant(chunks)).all()
    states = [each["data"] for each in done if each["type"] == "data-state"]
    assert (states[-1]["stars"], done[-3]) == (4, {"type": "data-output", "id": "output", "data": TEXT})
    runs = sorted(run["run_id"] for run in service.call("GET", "/runs")[1]["runs"])
    assert runs == ["ge:thread:posts:s", "ge:thread:posts:t"]


def assistant(chunks: list[Any]) -> list[Any]:
    """Return the message of the assistant, as a page sends it back."""
    return [{"id": chunks[0]["messageId"], "role": "assistant", "parts": []}]


def patched(events: list[Any]) -> Any:
    """Return the state after the events, as a front end makes it."""
    state: Any = {}
    for event in events:
        if event["type"] == "STATE_SNAPSHOT":
            state = event["snapshot"]
        for each in event["delta"] if event["type"] == "STATE_DELTA" else ():
            *path, last = each["path"].split("/")[1:]
            place = state
            for name in path:
                place = place[name]
            if last == "-":
                place.append(each["value"])
            else:
                place[last] = each["value"]
    return state


def test_a_failure_is_one_error_and_the_next_message_goes_on(serve: Serve, database: Any) -> None:
    """A failure that can pass ends the stream with the error; what follows is tried again first."""
    service = serve(database)
    failed = ag_ui(service, "ada", "fail once").all()
    assert [failed[-1][name] for name in ("type", "message", "code")] == [
        "RUN_ERROR",
        "the model is down",
        "model_unavailable",
    ]
    assert ai_sdk(service, "ada").all()[-1] == {"type": "error", "errorText": "the model is down"}
    goes_on = ag_ui(service, "ada", "tide?").all()
    assert (text_of(goes_on)[-len(TEXT) :], goes_on[-1]["outcome"]) == (TEXT, {"type": "success"})


def test_a_turn_that_fails_for_good_is_shown_in_its_thread_which_goes_on(serve: Serve, database: Any) -> None:
    """What was said of it stays, with the outcome; a page that sends its message again gets the same error."""
    service = serve(database)
    cut, same = (ag_ui(service, "ada", "cut this").all() for _ in range(2))
    assert (text_of(cut), text_of(same)) == (TEXT, TEXT)
    assert (cut[-1]["type"], cut[-1]["code"], same[-1]) == ("RUN_ERROR", "answer_cut", cut[-1])
    assert ai_sdk(service, "ada").all()[-1] == {"type": "error", "errorText": cut[-1]["message"]}
    goes_on = ag_ui(service, "ada", "tide?").all()
    assert (text_of(goes_on), goes_on[-1]["outcome"]) == (TEXT, {"type": "success"})
    whole = ag_ui(service, "ada").all()
    (shown,) = [each for each in whole if each["type"] == "ACTIVITY_SNAPSHOT"]
    assert (shown["activityType"], shown["content"]["outcome"]) == ("unanswered", "cut")
    assert (text_of(whole, "user"), text_of(whole)) == ("cut thistide?", TEXT * 2)
    has = {"id": shown["messageId"], "role": "activity", "activityType": "unanswered", "content": shown["content"]}
    again = ag_ui(service, "ada", messages=[{"id": "cut this", "role": "user", "content": "cut this"}, has]).all()
    assert "ACTIVITY_SNAPSHOT" not in [each["type"] for each in again]
    _, (_, first, _, second) = service.request("GET", "/ai-sdk/assistant-chat/ada")
    outcomes = [
        [each["data"]["outcome"] for each in parts if each["type"] == "data-unanswered"]
        for parts in (first["parts"], second["parts"])
    ]
    assert outcomes == [["cut"], []]
    assert first["parts"][0]["text"] == TEXT


@pytest.mark.parametrize("door", [ag_ui, ai_sdk], ids=["ag-ui", "ai-sdk"])
@pytest.mark.parametrize("before", [(), ("hello",)], ids=["new", "going-on"])
def test_messages_that_come_beside_each_other_are_shown_apart(
    serve: Serve, tmp_path: Path, door: Callable[..., Stream], before: Sequence[str]
) -> None:
    """Each stream has the answer to its own message, though one run answers both without a rest."""
    gate = tmp_path / "gate"
    service = serve(tmp_path / "runs.db", gate=gate)
    for said in before:
        gate.touch()
        assert text_of(door(service, "ada", said).all()) == TEXT
        gate.unlink()
    streams = [door(service, "ada", "one")]
    streams[0].until(
        lambda event: event["type"] in ("text-delta", "TEXT_MESSAGE_CHUNK") and event.get("role") != "user"
    )
    streams.append(door(service, "ada", "two"))
    assert streams[1].status == 200
    gate.touch()
    assert [text_of(stream.all()) for stream in streams] == [TEXT] * 2
    messages = service.request("GET", "/ai-sdk/assistant-chat/ada")[1]
    assert [each["role"] for each in messages] == ["user", "assistant"] * (2 + len(before))


def test_a_thread_is_the_conversation_of_that_key(serve: Serve, tmp_path: Path) -> None:
    """`runner.run(agent, chat=KEY)` goes on with a thread, and a page shows what was said there."""
    service = serve(tmp_path / "runs.db")
    assert text_of(ag_ui(service, "ada", "tide?").all()) == TEXT
    assert service.end() == 0
    with SyncRunner(tmp_path / "runs.db") as runner:
        assert runner.run(front_end_flows.assistant, chat="ada", question="And now?") == TEXT
    service = serve(tmp_path / "runs.db")
    events = ag_ui(service, "ada").all()
    assert (text_of(events, "user"), text_of(events)) == ("tide?And now?", TEXT * 2)
    _, messages = service.request("GET", "/ai-sdk/assistant-chat/ada")
    assert [each["role"] for each in messages] == ["user", "assistant"] * 2
    assert text_of(ai_sdk(service, "ada").all()) == TEXT


def test_a_message_that_is_sent_again_is_answered_once(serve: Serve, tmp_path: Path) -> None:
    """The id of a message counts: a page that missed the answer gets it, and a page with old messages the newest."""
    service = serve(tmp_path / "runs.db")
    for said in ("one", "two"):
        assert text_of(ag_ui(service, "ada", said).all()) == TEXT
    assert text_of(ai_sdk(service, "ada", "two").all()) == TEXT
    assert text_of(ag_ui(service, "ada", "two").all()) == TEXT * 2
    assert text_of(ag_ui(service, "ada", "one").all()) == TEXT * 2
    assert len(service.request("GET", "/ai-sdk/assistant-chat/ada")[1]) == 4
    other = {"id": "one", "role": "user"}  # the message was edited, and kept its id
    edited = [
        ag_ui(service, "ada", messages=[{**other, "content": "One?"}]),
        ai_sdk(service, "ada", messages=[{**other, "parts": [{"type": "text", "text": "One?"}]}]),
    ]
    assert [(each.status, each.all()[0]["error"]["where"]) for each in edited] == [(422, "run ge:chat:ada")] * 2


def test_half_a_character_becomes_a_sign_by_every_door(serve: Serve, tmp_path: Path) -> None:
    """JavaScript writes a text that was cut in the middle of a character so."""
    service = serve(tmp_path / "runs.db", "--openai")
    ag_ui(service, "ada", "half \ud83d").all()
    ai_sdk(service, "bob", "half \ud83d").all()
    said = {"model": "assistant-chat", "messages": [{"role": "user", "content": "half \ud83d"}]}
    body = json.dumps(said).encode()
    assert service.request("POST", "/v1/chat/completions", body, {"X-Conversation-Id": "cy"})[0] == 200
    for run_id in ("ge:chat:ada", "ge:chat:bob", "ge:thread:assistant-chat:cy"):
        assert service.settled(run_id)["state"]["question"] == "half \ufffd"


def test_secrets_are_struck_from_live_and_recorded_texts(serve: Serve, tmp_path: Path) -> None:
    """A key in two pieces is not shown, neither live nor later, in texts, the state or the messages."""
    key = "sk-ant-0123456789abcdefghijklmnop"
    text = f"The key is {key[:8]} {key} indeed."
    service = serve(tmp_path / "runs.db", text=text)
    found = [ag_ui(service, "ada", "key?").all(), ag_ui(service, "ada").all(), ai_sdk(service, "ada").all()]
    assert key not in json.dumps(found)
    assert key not in json.dumps(service.request("GET", "/ai-sdk/assistant-chat/ada"))
    assert all("[secret] indeed." in text_of(each) for each in found)


def test_bad_input_is_one_error(serve: Serve, tmp_path: Path) -> None:
    """Each says where, and what to send."""
    service = serve(tmp_path / "runs.db")
    user = {"id": "m", "role": "user", "parts": []}
    picture = {"type": "image", "source": {"type": "url", "value": "https://example.org/a.png"}}
    cases = [
        (ai_sdk(service, "a", graph="nothing"), 404, "graph 'nothing'"),
        (ai_sdk(service, "a", graph="assistant-chats", messages=[user]), 404, "graph 'assistant-chats'"),
        (ai_sdk(service, "a", messages=[{**user, "role": "bot"}]), 422, "messages.0.role"),
        (ai_sdk(service, "a", messages=[user], trigger="regenerate-message"), 422, "trigger"),
        (ai_sdk(service, "a", answers={"x": 1}), 404, "run 'ge:chat:a'"),
        (ai_sdk(service, "a", messages=[{**user, "parts": [{"type": "file"}]}]), 422, "messages"),
        (ag_ui(service, "a", messages=[{"id": "m", "role": "user", "content": [picture]}]), 422, "messages"),
        (ai_sdk(service, "a", messages=[{**user, "role": "assistant"}]), 404, "run 'ge:chat:a'"),
        (ag_ui(service, "a"), 422, "run ge:chat:a"),
        (ag_ui(service, "a", "tide?", state=3), 422, "state"),
    ]
    assert [(stream.status, stream.all()[0]["error"]["where"]) for stream, _, _ in cases] == [
        (status, where) for _, status, where in cases
    ]
    none = ai_sdk(service, "a")
    none.close()
    assert none.status == 204
    assert service.request("GET", "/ai-sdk/assistant-chat/a") == (200, [])


def test_a_thread_never_reaches_a_run_of_another_graph(serve: Serve, tmp_path: Path) -> None:
    """A chat is one whoever speaks: neither a message nor an answer gets there, and nothing is shown of it."""
    other = Graph.chat(Agent("other", model=ScriptedModel([])))
    with SyncRunner(tmp_path / "runs.db") as runner:
        runner.start(other, {}, run_id=OwnId(derive_id("chat", "ada"))).result()
        seq = runner.info("ge:chat:ada").seq
    service = serve(tmp_path / "runs.db")
    answers = [{"interruptId": "x", "status": "resolved", "payload": 1}]
    for stream in (
        ag_ui(service, "ada", "Hello?"),
        ag_ui(service, "ada", resume=answers),
        ag_ui(service, "ada", resume=[{"interruptId": "x", "status": "cancelled"}]),
        ai_sdk(service, "ada", "Hello?"),
    ):
        (error,) = stream.all()
        assert (stream.status, error["error"]["code"]) in {(404, "unknown_run"), (409, "run_exists")}, error
    assert service.request("GET", "/ai-sdk/assistant-chat/ada") == (200, [])
    with SyncRunner(tmp_path / "runs.db") as runner:
        assert runner.info("ge:chat:ada").seq == seq
