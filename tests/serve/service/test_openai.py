import asyncio
import base64
import http.client
import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest
from click.testing import CliRunner

from graphengine import SyncRunner
from graphengine.cli.main import main
from tests.serve.service.client import TOKEN, Service, exists
from tests.serve.service.conftest import Services

ROOT = Path(__file__).resolve().parents[3]
FLOWS = str(ROOT / "tests" / "serve" / "service" / "openai_flows.py")
ADA = {"X-Conversation-Id": "ada"}
CHAT = {"X-OpenWebUI-Chat-Id": "moon"}


@pytest.fixture
def serve(services: Services, tmp_path: Path) -> Services:
    """Start a server with the door of OpenAI."""
    return partial(services, "--openai", graphs=FLOWS, CALLS=str(tmp_path / "calls"))


def client_of(service: Service, retries: int = 0) -> openai.OpenAI:
    """Return the official client of a server."""
    return openai.OpenAI(base_url=service.opened["doors"]["openai"], api_key=TOKEN, max_retries=retries)


def decoded(name: str) -> str:
    """Return what an id of a response says."""
    text = name.removeprefix("resp_")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()


def user(text: str) -> Any:
    """Return a message of a user."""
    return {"role": "user", "content": text}


def said(client: openai.OpenAI, *texts: str, model: str = "assistant-chat", **more: Any) -> str:
    """Send a thread, in which the replies do not count; return the reply."""
    more = {"extra_headers": ADA, **more}
    done = client.chat.completions.create(model=model, messages=list(map(user, texts)), **more)
    return str(done.choices[0].message.content)


def raw(service: Service, body: object, **headers: str) -> list[str]:
    """Send a chat completion as Open WebUI does; return the data of its events."""
    connection = http.client.HTTPConnection(service.host, timeout=60)
    given = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **headers}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), given)
    text = connection.getresponse().read().decode()
    connection.close()
    return [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")] or [text]


def test_a_conversation_is_one_run(serve: Callable[..., Service], database: Any) -> None:
    """Each message of a thread is a turn of it; a thread that is sent again is the same turn; the agent remembers."""
    service = serve(database)
    client = client_of(service)
    assert [model.id for model in client.models.list()] == [
        "assistant-chat",
        "careful-chat",
        "live",
        "posts",
        "slow",
        "broken",
        "own",
        "quiz",
        "torn",
        "checked",
    ]
    assert said(client, "Hi") == "1: Hi"
    assert said(client, "Hi", "There") == said(client, "Hi", "There") == "2: There"
    assert said(client, "Hi", "There", "There") == "3: There"
    assert said(client, "Hello", extra_headers={"X-Conversation-Id": "bob"}) == "1: Hello"
    runs = service.call("GET", "/runs")[1]["runs"]
    assert {run["run_id"] for run in runs} == {"ge:thread:assistant-chat:ada", "ge:thread:assistant-chat:bob"}
    assert said(client, "a", model="own") == "1"
    assert said(client, "a", "b", model="own") == "2"


def test_a_stream_has_the_pieces_and_the_usage(serve: Callable[..., Service], tmp_path: Path) -> None:
    """The pieces are the reply, and the last chunk has the usage that was asked for."""
    client = client_of(serve(tmp_path / "runs.db"))
    more: Any = {"stream": True, "stream_options": {"include_usage": True}, "extra_headers": ADA}
    for _ in range(2):  # live, then from the record
        chunks = list(client.chat.completions.create(model="assistant-chat", messages=[user("weather?")], **more))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == "1: wind in Kiel"
        assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]][-1] == "stop"
        assert chunks[-1].usage is not None
        assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 0)
    assert (tmp_path / "calls").read_text() == "w"


def test_responses_continue_each_other(serve: Callable[..., Service], database: Any) -> None:
    """A response names the one before it; its stream has its text and the tool calls that the run made."""
    client = client_of(serve(database))
    first = client.responses.create(model="assistant-chat", input="Hi")
    assert (first.output_text, first.status) == ("1: Hi", "completed")
    given: Any = {"model": "assistant-chat", "input": [user("weather?")], "previous_response_id": first.id}
    with client.responses.stream(**given) as stream:
        events = list(stream)
        second = stream.get_final_response()
    assert second.output_text == "2: wind in Kiel"
    pieces: Any = [event for event in events if event.type == "response.output_text.delta"]
    assert "".join(piece.delta for piece in pieces) == second.output_text
    (call,) = [item for item in second.output if item.type == "mcp_call"]
    assert (call.name, call.arguments, call.output) == ("weather", '{"city": "Kiel"}', "wind in Kiel")
    assert client.responses.create(**given).id == second.id  # sent again
    items: Any = [client.responses.input_items.list(each.id).data for each in (first, second)]
    assert [[part.text for part in item.content] for (item,) in items] == [["Hi"], ["weather?"]]
    assert client.responses.retrieve(second.id).output_text == second.output_text
    with pytest.raises(openai.BadRequestError, match="is not the newest response of its conversation"):
        client.responses.create(model="assistant-chat", input="Other", previous_response_id=first.id)
    with pytest.raises(openai.BadRequestError, match="another model than 'own'"):
        client.responses.create(model="own", input="next", previous_response_id=second.id)
    with pytest.raises(openai.BadRequestError, match="contains other responses too"):
        client.responses.delete(first.id)
    words: Any = {"model": "own", "input": "next", "conversation": "c"}
    assert [client.responses.create(**words).output_text for _ in range(2)] == ["1", "2"]  # said twice
    once = {"Idempotency-Key": "k"}
    assert [client.responses.create(**words, extra_headers=once).output_text for _ in range(2)] == ["3", "3"]


def test_a_response_is_removed_only_if_its_id_cannot_come_again(serve: Callable[..., Service], tmp_path: Path) -> None:
    """It is kept if a client named its conversation, or it followed another; and so is the run of an unknown one."""
    client = client_of(serve(tmp_path / "runs.db"))
    words: Any = {"model": "slow", "input": str(tmp_path)}  # there already, so it ends at once
    first = client.responses.create(**words)
    run_id = str((first.metadata or {})["run_id"])
    kept = [
        client.responses.create(**words, previous_response_id=first.id),
        client.responses.create(**words, conversation="c"),
        client.responses.create(**words, conversation=run_id.rpartition(":")[2]),
        client.responses.create(**words, extra_headers={"Idempotency-Key": "k"}),
    ]
    for each in kept:
        with pytest.raises(openai.BadRequestError, match="a later response could get the same id"):
            client.responses.delete(each.id)
    _, *rest = decoded(first.id).split(":")
    unknown = base64.urlsafe_b64encode(":".join(["7", *rest]).encode()).decode().rstrip("=")
    for call in (client.responses.retrieve, client.responses.input_items.list, client.responses.delete):
        with pytest.raises(openai.NotFoundError, match="the message is not among the newest messages"):
            call(f"resp_{unknown}")
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError, match="there is no response"):
        client.responses.create(**words, previous_response_id=first.id)
    assert len({each.id for each in [*kept, first]}) == 5


def test_a_chat_that_waits_is_removed_once_it_is_stopped(serve: Callable[..., Service], tmp_path: Path) -> None:
    """As the error says: cancelling ends only what is at work."""
    client = client_of(serve(tmp_path / "runs.db"))
    found = client.responses.create(model="assistant-chat", input="Hi")
    client.responses.cancel(found.id)
    with pytest.raises(openai.BadRequestError, match=r"it is waiting; .*`graphengine stop RUN` if it waits; then"):
        client.responses.delete(found.id)
    run_id, place = str((found.metadata or {})["run_id"]), str(tmp_path / "runs.db")
    assert CliRunner().invoke(main, ["stop", run_id, "--store", place]).exit_code == 0
    client.responses.delete(found.id)


def test_messages_that_come_at_the_same_time_get_an_answer_each(serve: Callable[..., Service], tmp_path: Path) -> None:
    """Both to a conversation that they begin, and to one that waits."""
    client = client_of(serve(tmp_path / "runs.db"))
    with ThreadPoolExecutor(6) as pool:
        for words in (list("abcdef"), list("ghijkl")):
            replies = list(pool.map(partial(said, client), words))
            assert [reply.split(": ")[1] for reply in replies] == words


def test_messages_to_two_servers_get_an_answer_each(serve: Callable[..., Service], database: Any) -> None:
    """They share a database, and a conversation: each message has a turn of its own, whoever drives the run."""
    clients = [client_of(serve(database)) for _ in range(2)]
    wrong = list[tuple[str, str]]()
    with ThreadPoolExecutor(2) as pool:
        assert said(clients[0], "begin").split(": ")[1] == "begin"
        for number in range(12):
            words = [f"{number} left", f"{number} right"]
            replies = list(pool.map(lambda pair: said(*pair), zip(clients, words, strict=True)))
            wrong += [each for each in zip(words, replies, strict=True) if each[0] not in each[1]]
    assert not wrong


def test_a_question_is_answered_by_the_next_message(
    serve: Callable[..., Service], database: Any, tmp_path: Path
) -> None:
    """A run waits, and its server dies; the next message, to the next server, answers it; then another run begins."""
    service = serve(database)
    assert said(client_of(service), "Tides", model="posts") == "Publish Tides? (yes or no)"
    service.end(signal.SIGKILL)
    service = serve(database)
    client = client_of(service)
    with pytest.raises(openai.BadRequestError, match="yes or no"):
        said(client, "Tides", "perhaps", model="posts")
    assert said(client, "Tides", "perhaps", "yes", model="posts") == "All about Tides"
    assert said(client, "Tides", "perhaps", "yes", model="posts") == "All about Tides"
    assert said(client, "Tides", "perhaps", "yes", "Moon", model="posts") == "Publish Moon? (yes or no)"
    assert len(service.call("GET", "/runs")[1]["runs"]) == 2
    assert (tmp_path / "calls").read_text() == "xx"


def test_an_answer_from_elsewhere_is_not_given_twice(serve: Callable[..., Service], database: Any) -> None:
    """Days later another process answers and ends the run: the message of the client is not taken for a new start."""
    client = client_of(serve(database))
    said(client, "Tides", model="posts")
    with SyncRunner(database) as runner:
        runner.answer("ge:thread:posts:ada", value=True)
    for _ in range(2):
        text = said(client, "Tides", "yes", model="posts")
        assert text == "This was answered elsewhere meanwhile, so your message was not used.\n\nAll about Tides"
    assert said(client, "Tides", "yes", "Moon", model="posts") == "Publish Moon? (yes or no)"


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_server_is_killed_in_the_middle(
    serve: Callable[..., Service], database: Any, tmp_path: Path, *, is_stream: bool
) -> None:
    """The client's own retry has its key, and finds the same run on the next server; nothing is done twice."""
    file = tmp_path / "go"
    service = serve(database)
    port = service.host.rpartition(":")[2]
    found: list[str] = []

    def ask() -> None:
        create: Any = client_of(service, retries=8).chat.completions.create
        given: Any = {"model": "slow", "messages": [user(str(file))]}
        if not is_stream:
            once = {"Idempotency-Key": "k"}
            found.append(create(**given, extra_headers=once).choices[0].message.content)
            return
        for _ in range(8):  # a client that has lost its stream sends the thread again
            try:
                chunks = list(create(**given, stream=True, extra_headers=ADA))
                found.append("".join(chunk.choices[0].delta.content or "" for chunk in chunks))
            except openai.APIError:
                continue
            except Exception as error:  # noqa: BLE001 - of the connection
                assert "httpx" in type(error).__module__ or "httpcore" in type(error).__module__  # noqa: PT017
                continue
            return

    asking = threading.Thread(target=ask)
    asking.start()
    asyncio.run(exists(f"{file}.began"))
    service.process.kill()
    service.process.communicate()
    serve(database, "--port", port)
    file.touch()
    asking.join(60)
    assert found == ["1"]
    with SyncRunner(database) as runner:
        assert len(runner.runs()) == 1


def test_two_servers_are_one(serve: Callable[..., Service], database: Any, tmp_path: Path) -> None:
    """Each message may go to another server, and what is sent to both is done once."""
    clients = [client_of(serve(database)) for _ in range(2)]
    asking = [threading.Thread(target=said, args=(each, "weather?")) for each in clients]
    for each in asking:
        each.start()
    for each in asking:
        each.join(60)
    assert said(clients[1], "weather?", "Hi") == said(clients[0], "weather?", "Hi") == "2: Hi"
    assert (tmp_path / "calls").read_text() == "w"


def test_the_shapes_of_open_webui(serve: Callable[..., Service], tmp_path: Path) -> None:
    """It sends the id of the chat in a header, parts of messages, and tasks: a task does not reach the run.

    As of its `routers/openai.py` and `env.py`, whose ENABLE_FORWARD_USER_INFO_HEADERS sends these headers.
    """
    service = serve(tmp_path / "runs.db")
    chat = {"X-OpenWebUI-Chat-Id": "7d5e", "X-OpenWebUI-User-Id": "u", "X-OpenWebUI-User-Role": "user"}
    system = {"role": "system", "content": "Be brief."}
    body = {
        "model": "posts",
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.7,
        "messages": [system, {"role": "user", "content": [{"type": "text", "text": "Tides"}]}],
    }
    chunks = raw(service, body, **chat)
    assert chunks[-1] == "[DONE]"
    assert json.loads(chunks[1])["choices"][0]["delta"]["content"] == "Publish Tides? (yes or no)"
    task = "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history."
    (refused,) = raw(service, {"model": "posts", "stream": False, "messages": [user(task)]}, **chat)
    assert "task model" in json.loads(refused)["error"]["message"]
    thread = [system, user("Tides"), {"role": "assistant", "content": "Publish Tides? (yes or no)"}, user("yes")]
    chunks = raw(service, {**body, "messages": thread}, **chat)
    assert json.loads(chunks[1])["choices"][0]["delta"]["content"] == "All about Tides"
    assert [run["run_id"] for run in service.call("GET", "/runs")[1]["runs"]] == ["ge:thread:posts:7d5e"]
    part = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Moon"}]}
    for _ in range(2):  # a connection to the Responses API sends the whole thread too, and a repeated one is the same
        done = service.request("POST", "/v1/responses", json.dumps({"model": "posts", "input": [part]}).encode(), CHAT)
        assert done[1]["output"][0]["content"][0]["text"] == "Publish Moon? (yes or no)"
    assert len(service.call("GET", "/runs")[1]["runs"]) == 2


def test_a_thread_without_a_key_is_a_run_of_its_own(serve: Callable[..., Service], tmp_path: Path) -> None:
    """It begins with the messages of the thread, and is not left waiting; a question says how to answer it."""
    service = serve(tmp_path / "runs.db")
    client = client_of(service)
    thread = [user("Hi"), {"role": "assistant", "content": "1: Hi"}, user("There")]
    done = client.chat.completions.create(model="assistant-chat", messages=thread)
    assert done.choices[0].message.content == "2: There"
    (run,) = service.call("GET", "/runs")[1]["runs"]
    assert run["status"] == "stopped"
    assert "graphengine answer ge:thread:posts:" in said(client, "Tides", model="posts", extra_headers={})


def test_background_responses_are_followed_and_cancelled(serve: Callable[..., Service], tmp_path: Path) -> None:
    """A response can be read while its run is at work, and stop it; once over it can be removed with its run."""
    client = client_of(serve(tmp_path / "runs.db"))
    file = tmp_path / "go"
    found = client.responses.create(model="slow", input=str(file), background=True)
    asyncio.run(exists(f"{file}.began"))
    assert client.responses.retrieve(found.id).status == "in_progress"
    with pytest.raises(openai.BadRequestError, match="cannot be deleted: "):
        client.responses.delete(found.id)
    assert client.responses.cancel(found.id).status == "cancelled"
    assert client.responses.retrieve(found.id).status == "cancelled"
    client.responses.delete(found.id)
    with pytest.raises(openai.NotFoundError, match="there is no response"):
        client.responses.retrieve(found.id)


def test_bad_input_is_one_error(serve: Callable[..., Service], tmp_path: Path) -> None:
    """In the shape of the API; the official client retries neither a failed run nor bad input."""
    service = serve(tmp_path / "runs.db")
    client = client_of(service, retries=2)
    with pytest.raises(openai.NotFoundError, match="each of the fields 'left', 'right'"):
        said(client, "a", model="two")
    with pytest.raises(openai.NotFoundError, match="use one of: assistant-chat"):
        said(client, "a", model="nothing")
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="own", messages="text")  # type: ignore[arg-type]
    assert caught.value.body == {
        "message": "Expected `array`, got `str` - at `$.messages`; send a value that the API of OpenAI accepts there",
        "type": "invalid_request_error",
        "param": "body",
        "code": "invalid_input",
    }
    picture: Any = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
    with pytest.raises(openai.BadRequestError, match="only text"):
        client.chat.completions.create(model="own", messages=[picture])
    with pytest.raises(openai.NotFoundError, match="there is no response"):
        client.responses.retrieve("resp_nothing")
    with pytest.raises(openai.BadRequestError, match="exclude each other"):
        client.responses.create(model="own", input="a", conversation="c", previous_response_id="resp_x")
    with pytest.raises(openai.UnprocessableEntityError, match="no x"):
        said(client, "x", model="broken", extra_headers={})
    assert client.responses.create(model="broken", input="x").status == "failed"
    assert client.models.retrieve("own").id == "own"
    with pytest.raises(openai.NotFoundError, match="there is no model 'owns'"):
        client.models.retrieve("owns")
    with pytest.raises(openai.AuthenticationError, match="token"):
        openai.OpenAI(base_url=service.opened["doors"]["openai"], api_key="wrong", max_retries=0).models.list()
    assert len(service.call("GET", "/runs?graph=broken")[1]["runs"]) == 2


FORM: Any = {"type": "json_schema", "json_schema": {"name": "City", "schema": {"type": "object"}}}
FORCED: Any = {"type": "function", "function": {"name": "weather"}}


def test_what_a_graph_cannot_promise_is_refused(serve: Callable[..., Service], tmp_path: Path) -> None:
    """All parameters are named at once, and no run begins. What may be left to the graph is."""
    service = serve(tmp_path / "runs.db")
    client = client_of(service)
    given: Any = {"model": "own", "messages": [user("a")]}
    with pytest.raises(openai.BadRequestError, match=r"response_format is .*; tool_choice is 'required'") as caught:
        client.chat.completions.create(**given, response_format=FORM, tool_choice="required")
    assert caught.value.param == "response_format, tool_choice"
    for more in ({"tool_choice": FORCED}, {"logprobs": True}, {"modalities": ["text", "audio"]}, {"n": 2}):
        with pytest.raises(openai.BadRequestError, match=next(iter(more))):
            client.chat.completions.create(**given, **more)
    text: Any = {"format": {"type": "json_schema", "name": "City", "schema": {"type": "object"}}}
    for more in ({"text": text}, {"tool_choice": "required"}, {"prompt": {"id": "p"}}):
        with pytest.raises(openai.BadRequestError, match=next(iter(more))):
            client.responses.create(model="own", input="a", **more)
    assert service.call("GET", "/runs")[1]["runs"] == []
    left: Any = {"response_format": {"type": "text"}, "tool_choice": "auto", "temperature": 0, "max_tokens": 9}
    assert client.chat.completions.create(**given, **left).choices[0].message.content == "1"


def test_a_response_repeats_what_its_request_said_of_it(serve: Callable[..., Service], tmp_path: Path) -> None:
    """Metadata and instructions come back, beside the id of the run; a failed one ends its stream as failed."""
    client = client_of(serve(tmp_path / "runs.db"))
    given: Any = {"instructions": "Be kind.", "metadata": {"ticket": "7"}}
    done = client.responses.create(model="assistant-chat", input="Hi", **given)
    assert (done.instructions, (done.metadata or {})["ticket"]) == ("Be kind.", "7")
    assert (done.metadata or {})["run_id"].startswith("ge:thread:assistant-chat:")
    events = list(client.responses.create(model="broken", input="x", stream=True, **given))
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "failed",
    ]
    failed = events[-1]
    assert failed.type == "response.failed"
    assert (failed.response.status, failed.response.output, failed.response.instructions) == ("failed", [], "Be kind.")


@pytest.mark.parametrize("retries", [0, 3])
def test_a_failed_run_is_not_sent_again(serve: Callable[..., Service], tmp_path: Path, retries: int) -> None:
    """No client repeats its status by itself; a client of chats that names no conversation would start another run."""
    service = serve(tmp_path / "runs.db")
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        said(client_of(service, retries), "x", model="broken", extra_headers={})
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.code == "run_failed"
    assert len(service.call("GET", "/runs?graph=broken")[1]["runs"]) == 1


def test_a_turn_that_fails_for_good_ends_only_itself(serve: Callable[..., Service], database: Any) -> None:
    """The same request gets the same error, a stream and a response too; the next message is answered."""
    client = client_of(serve(database), retries=2)
    assert said(client, "Hi") == "1: Hi"
    for _ in range(2):
        with pytest.raises(openai.UnprocessableEntityError, match="answer_refused"):
            said(client, "Hi", "forbidden")
    assert said(client, "Hi", "forbidden", "There") == "2: There"
    first = client.responses.create(model="assistant-chat", input="forbidden")
    assert first.status == "failed"
    given: Any = {"model": "assistant-chat", "input": "Hi", "previous_response_id": first.id}
    assert client.responses.create(**given).output_text == "1: Hi"
    assert client.responses.retrieve(first.id).status == "failed"


def test_a_message_that_does_not_answer_an_approval_refuses_it(
    serve: Callable[..., Service], database: Any, tmp_path: Path
) -> None:
    """It is answered next; the same request once more gets the same reply. A message that answers it is the answer."""
    client = client_of(serve(database))
    said_to = partial(said, client, model="careful-chat")
    assert "May careful call weather" in said_to("weather?")
    assert said_to("weather?", "No, hi") == said_to("weather?", "No, hi") == "2: No, hi"
    assert "May careful call weather" in said_to("weather?", "No, hi", "weather?")
    assert said_to("weather?", "No, hi", "weather?", "yes") == "3: wind in Kiel"
    assert (tmp_path / "calls").read_text() == "w"


def test_a_turn_whose_failure_can_pass_is_resumed(serve: Callable[..., Service], database: Any, tmp_path: Path) -> None:
    """By the same request, or before the next message."""
    client = client_of(serve(database))
    for thread in ("ada", "bob"):
        with pytest.raises(openai.UnprocessableEntityError, match="the model is down"):
            said(client, "down", extra_headers={"X-Conversation-Id": thread})
    (tmp_path / "calls.up").touch()
    assert said(client, "down", extra_headers={"X-Conversation-Id": "ada"}) == "1: down"
    assert said(client, "down", "There", extra_headers={"X-Conversation-Id": "ada"}) == "2: There"
    assert said(client, "down", "There", extra_headers={"X-Conversation-Id": "bob"}) == "2: There"


def test_a_server_that_ends_lets_its_clients_go(serve: Callable[..., Service], tmp_path: Path) -> None:
    """SIGTERM ends a stream with an error; the same thread is followed on the next server."""
    service, file = serve(tmp_path / "runs.db"), tmp_path / "go"
    chunks: list[str] = []
    body = {"model": "slow", "stream": True, "messages": [user(str(file))]}
    asking = threading.Thread(target=lambda: chunks.extend(raw(service, body, **ADA)))
    asking.start()
    asyncio.run(exists(f"{file}.began"))
    service.process.send_signal(signal.SIGTERM)
    asking.join(60)
    file.touch()
    assert (
        json.loads(chunks[-1])["error"]["message"]
        == "the service is being stopped, and did not finish this request; send the same request again"
    )
    assert service.process.wait(60) == 0
    assert said(client_of(serve(tmp_path / "runs.db")), str(file), model="slow") == "1"


def test_an_old_turn_is_known_and_not_delivered_again(serve: Callable[..., Service], tmp_path: Path) -> None:
    """However many came after it: its key stays in the inbox of the run, which has no tag of it."""
    client = client_of(serve(tmp_path / "runs.db"))
    begun = client.responses.create(model="own", input="first", conversation="c")
    sent: Any = {"model": "own", "input": "next", "conversation": "c"}
    keyed = client.responses.create(**sent, extra_headers={"Idempotency-Key": "k"})
    found = [client.responses.create(**sent) for _ in range(22)]
    again = client.responses.create(**sent, extra_headers={"Idempotency-Key": "k"})
    assert (again.id, again.output_text) == (keyed.id, keyed.output_text)
    assert client.responses.retrieve(found[0].id).output_text == found[0].output_text
    assert client.responses.create(**sent).output_text == str(int(found[-1].output_text) + 1)
    assert client.responses.retrieve(begun.id).output_text == begun.output_text
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
        tags = [tag for (tag,) in connection.execute("SELECT tag FROM tags")]
    assert not [tag for tag in tags if tag.startswith(("turn:", "late:"))]


def test_a_message_is_known_where_its_conversation_was_imported(serve: Callable[..., Service], tmp_path: Path) -> None:
    """The exported run has the keys of its inbox, so that what is sent again there is not delivered again."""
    client = client_of(serve(tmp_path / "here.db"))
    sent: Any = {"model": "own", "input": "next", "conversation": "c"}
    once: Any = {**sent, "extra_headers": {"Idempotency-Key": "k"}}
    first = client.responses.create(**once)
    assert client.responses.create(**sent).output_text == "2"
    run_id, file = str((first.metadata or {})["run_id"]), str(tmp_path / "run.json")
    for words in (["export", run_id, "-o", file, "--store", "here.db"], ["import", file, "--store", "there.db"]):
        done = CliRunner().invoke(main, [*words[:-1], str(tmp_path / words[-1])])
        assert done.exit_code == 0, done.output
    there = client_of(serve(tmp_path / "there.db"))
    again = there.responses.create(**once)
    assert (again.id, again.output_text) == (first.id, "1")
    assert there.responses.create(**sent).output_text == "3"


def test_an_old_answer_is_not_taken_for_a_later_one(serve: Callable[..., Service], tmp_path: Path) -> None:
    """The last 20 turns that answer questions are known; an older response is said to be unknown."""
    client = client_of(serve(tmp_path / "runs.db"))
    client.responses.create(model="quiz", input="begin", conversation="c")
    found = [client.responses.create(model="quiz", input="next", conversation="c") for _ in range(22)]
    assert client.responses.retrieve(found[2].id).output_text == found[2].output_text
    with pytest.raises(openai.NotFoundError, match="the message is not among the newest messages"):
        client.responses.retrieve(found[1].id)


def test_text_comes_live(serve: Callable[..., Service], tmp_path: Path) -> None:
    """A piece is shown before the run goes on; a text after a tool's call follows after a blank line."""
    file = tmp_path / "go"
    client = client_of(serve(tmp_path / "runs.db"))
    given: Any = {"model": "live", "input": str(file), "stream": True}
    texts: list[str] = []
    done: Any = None
    for event in client.responses.create(**given):
        if event.type == "response.output_text.delta":
            texts.append(event.delta)
            file.touch()  # the tool waits for it
        elif event.type == "response.completed":
            done = event.response
    assert "".join(texts) == "I will wait.\n\nIt is there."
    assert len(texts) > 1
    assert done.output_text == "It is there."
    assert (done.usage.input_tokens, done.usage.output_tokens, done.usage.total_tokens) == (7, 3, 10)
    assert done.usage.input_tokens_details.cached_tokens == 2
    assert client.responses.retrieve(done.id).output_text == "It is there."  # what is recorded is the result


def completed(client: Any, model: str, **headers: str) -> list[str]:
    """Return the pieces of a streamed chat completion."""
    thread: Any = [{"role": "user", "content": "x"}]
    chunks = client.chat.completions.create(model=model, messages=thread, stream=True, extra_headers=headers)
    return [text for chunk in chunks if chunk.choices and (text := chunk.choices[0].delta.content)]


@pytest.mark.parametrize(("model", "lost"), [("torn", "Half of"), ("checked", "A draft")])
def test_a_text_that_does_not_count_is_in_no_reply(
    serve: Callable[..., Service], tmp_path: Path, model: str, lost: str
) -> None:
    """A completion, whose client can forget nothing, has what counts alone; a response ends with what is read later."""
    client = client_of(serve(tmp_path / "runs.db"))
    assert completed(client, model) == ["Whole answer."]
    live = completed(client, model, **{"X-Text": "live"})
    assert (len(live) > 1, "".join(live).startswith(lost)) == (True, True)
    events = list(client.responses.create(model=model, input="x", stream=True))
    deltas: Any = [each for each in events if each.type == "response.output_text.delta"]
    assert "".join(each.delta for each in deltas).startswith(lost)
    done: Any = events[-1]
    texts: Any = next(each for each in events if each.type == "response.output_text.done")
    assert {texts.text, done.response.output_text, client.responses.retrieve(done.response.id).output_text} == {
        "Whole answer."
    }


def test_a_service_can_stream_each_piece_of_a_completion(serve: Callable[..., Service], tmp_path: Path) -> None:
    """Most clients can set no header: the service does it for all."""
    live = completed(client_of(serve(tmp_path / "runs.db", "--live-text")), "torn")
    assert (len(live) > 1, "".join(live).startswith("Half of")) == (True, True)
    refused = CliRunner().invoke(main, ["serve", "--live-text"])
    assert (refused.exit_code, "--live-text has an effect only with --openai" in refused.stderr) == (2, True)


def test_a_completion_has_what_was_said_before_a_call(serve: Callable[..., Service], tmp_path: Path) -> None:
    """What a model says before it calls a tool counts as soon as it calls it."""
    client, file = client_of(serve(tmp_path / "runs.db")), tmp_path / "go"
    thread: Any = [{"role": "user", "content": str(file)}]
    found = ""
    for chunk in client.chat.completions.create(model="live", messages=thread, stream=True):
        found += chunk.choices[0].delta.content or ""
        if found:
            file.touch()  # the tool waits for it
    assert found == "I will wait.\n\nIt is there."


def test_workers_elsewhere_drive_the_conversations(serve: Callable[..., Service], database: Any) -> None:
    """With --queue the server records what is said; a worker replies, and the reply is there for the client."""
    client = client_of(serve(database, "--queue", "mail"))
    words = [sys.executable, "-m", "graphengine", "worker", "--graph", FLOWS, "--store", str(database)]
    worker = subprocess.Popen([*words, "--queue", "mail"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    try:
        assert said(client, "Hi") == "1: Hi"
        assert said(client, "Tides", model="posts") == "Publish Tides? (yes or no)"
        assert said(client, "Tides", "yes", model="posts") == "All about Tides"
    finally:
        worker.terminate()
        worker.communicate(timeout=60)


def test_a_door_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the SDK of A2A the error names what to install."""
    monkeypatch.setitem(sys.modules, "graphengine.serve.service.a2a_door", None)
    done = CliRunner().invoke(main, ["serve", "--a2a", FLOWS])
    assert (done.exit_code, "durable-graphengine[serve,a2a]" in done.output) == (2, True)


def test_a_turn_that_is_sent_again_to_an_imported_chat_is_not_answered_again(
    serve: Callable[..., Service], tmp_path: Path
) -> None:
    """The export carries the keys of messages: the reply is that of the turn, and the agent is not asked again."""
    first, second, file = tmp_path / "first.db", tmp_path / "second.db", str(tmp_path / "chat.json")
    client = client_of(serve(first))
    said(client, "Hi")
    assert said(client, "Hi", "There") == "2: There"
    run_id = "ge:thread:assistant-chat:ada"
    for words in (["export", run_id, "--store", str(first), "-o", file], ["import", file, "--store", str(second)]):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
    client = client_of(serve(second))
    assert said(client, "Hi", "There") == "2: There"
    assert said(client, "Hi", "There", "And?") == "3: And?"
