import asyncio
import http.client
import http.server
import json
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.datastructures import Headers

from graphengine import Runner
from graphengine.serve.signatures import is_signed
from tests.serve.service.client import TOKEN, Service, exists
from tests.serve.service.conftest import Services

pytest.importorskip("a2a")
from a2a import types
from a2a.client import A2ACardResolver, A2AClientError, Client, ClientConfig, ClientFactory
from a2a.helpers.proto_helpers import get_artifact_text, get_message_text, new_data_message, new_text_message
from a2a.utils import errors
from google.protobuf.json_format import MessageToDict

ROOT = Path(__file__).resolve().parents[3]
FLOWS = str(ROOT / "tests" / "serve" / "service" / "a2a_flows.py")
STATE = types.TaskState
DONE, ASKS, WORKS = STATE.TASK_STATE_COMPLETED, STATE.TASK_STATE_INPUT_REQUIRED, STATE.TASK_STATE_WORKING
BOTH = pytest.mark.parametrize("is_stream", [False, True])


@pytest.fixture
def serve(services: Services, tmp_path: Path) -> Services:
    """Start a server with the door of A2A."""
    return partial(services, "--a2a", graphs=FLOWS, CALLS=str(tmp_path / "calls"))


@asynccontextmanager
async def connected(service: Service, graph: str = "posts", *, is_stream: bool = False) -> AsyncIterator[Client]:
    """Connect the official client to an agent, by its card."""
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as http:
        factory = ClientFactory(ClientConfig(httpx_client=http, streaming=is_stream))
        yield await factory.create_from_url(f"{service.opened['doors']['a2a']}/{graph}")


def said(text: Any, task: types.Task | None = None, name: str = "m1") -> types.SendMessageRequest:
    """Return a message: a text, or data."""
    make: Any = new_text_message if isinstance(text, str) else new_data_message
    message = make(text, role=types.Role.ROLE_USER)
    message.message_id = name
    if task is not None:
        message.task_id, message.context_id = task.id, task.context_id
    return types.SendMessageRequest(message=message)


async def sent(client: Client, request: types.SendMessageRequest) -> types.Task:
    """Send a message; return its task, as the events of a stream make it too."""
    task = types.Task()
    async for event in client.send_message(request):
        if event.HasField("task"):
            task = event.task
        elif event.HasField("status_update"):
            task.status.CopyFrom(event.status_update.status)
        elif event.HasField("artifact_update"):
            del task.artifacts[:]
            task.artifacts.append(event.artifact_update.artifact)
    return task


def text_of(task: types.Task) -> str:
    """Return the result of a task, or what it asks."""
    return get_artifact_text(task.artifacts[0]) if task.artifacts else get_message_text(task.status.message)


def run_of(task: types.Task) -> str:
    """Return the run of a task."""
    run_id, _, nonce = task.id.partition(" ")
    assert nonce
    return run_id


async def runs_of(database: Any) -> list[str]:
    """Return the ids of all runs."""
    async with Runner(database) as runner:
        return [info.id for info in await runner.runs()]


@BOTH
async def test_a_task_asks_survives_a_kill_and_is_answered_once(
    serve: Callable[..., Service], database: Any, tmp_path: Path, *, is_stream: bool
) -> None:
    """The task is the run; each message that is sent again is the same one, also to the next server."""
    service = await asyncio.to_thread(serve, database)
    async with connected(service, is_stream=is_stream) as client:
        task = await sent(client, said("Tides"))
        assert (task.id, task.status.state, text_of(task)) == (
            "ge:thread:posts:m1 k3x9ab",
            ASKS,
            "Publish Tides? (yes or no)",
        )
    await asyncio.to_thread(service.end, signal.SIGKILL)
    service = await asyncio.to_thread(serve, database)
    async with connected(service, is_stream=is_stream) as client:
        assert (await sent(client, said("Tides"))).status.message == task.status.message
        await sent(client, said("yes", task, "m2"))
        done = await sent(client, said("yes", task, "m2"))
        assert (done.status.state, text_of(done)) == (DONE, "All about Tides")
        assert (await client.get_task(types.GetTaskRequest(id=task.id))).artifacts == done.artifacts
        listed = await client.list_tasks(types.ListTasksRequest(context_id=task.context_id))
        assert [each.id for each in listed.tasks] == ["ge:thread:posts:m1 k3x9ab"]
    assert (tmp_path / "calls").read_text() == "x"


async def test_data_starts_and_answers_a_task(serve: Callable[..., Service], tmp_path: Path) -> None:
    """A data part sets the input of any graph, and answers a question; the result of a graph without one is data."""
    service, file = await asyncio.to_thread(serve, tmp_path / "runs.db"), tmp_path / "go"
    file.touch()
    async with connected(service) as client:
        task = await sent(client, said({"title": "Tides"}))
        assert (await sent(client, said(True, task, "m2"))).status.state == DONE  # noqa: FBT003 - the answer
    async with connected(service, "slow") as client:
        done = await sent(client, said({"file": str(file)}))
        assert done.artifacts[0].parts[0].data.struct_value["done"] == 1
    async with connected(service, "assistant-chat") as client:
        task = await sent(client, said("Hi"))
        assert (task.status.state, text_of(task)) == (ASKS, "Hi")
        assert text_of(await sent(client, said("There", task, "m2"))) == "There"


async def test_large_numbers_in_data_are_texts(serve: Callable[..., Service], database: Any) -> None:
    """A number of a data part is a double: whole numbers from 2**53 on are texts both ways, and refused as numbers."""
    service, large, less = await asyncio.to_thread(serve, database), 2**53 + 1, 2**53 - 1
    async with connected(service, "picking") as client:
        task = await sent(client, said({"ids": [str(large), less]}))
        for name, answer in (("m2", large), ("m3", float(2**53))):
            with pytest.raises(errors.InvalidParamsError, match="send the number as a text"):
                await sent(client, said(answer, task, name))
        done = await sent(client, said(str(large), task, "m4"))
        found = MessageToDict(done.artifacts[0].parts[0].data)
        assert found == {"ids": [str(large), less], "chosen": str(large)}
    async with Runner(database) as runner:
        assert await runner.state_at(run_of(task)) == {"ids": [large, less], "chosen": large}


@BOTH
async def test_a_server_is_killed_in_the_middle(
    serve: Callable[..., Service], database: Any, tmp_path: Path, *, is_stream: bool
) -> None:
    """The same message, or a subscription, follows the same task on the next server."""
    file = tmp_path / "go"
    service = await asyncio.to_thread(serve, database)
    with pytest.raises((httpx.HTTPError, A2AClientError)):  # noqa: PT012 - the client is in use
        async with connected(service, "slow", is_stream=is_stream) as client:
            sending = asyncio.create_task(sent(client, said(str(file))))
            await exists(f"{file}.began")
            service.process.kill()
            await sending
    service = await asyncio.to_thread(serve, database)
    async with connected(service, "slow", is_stream=is_stream) as client:
        if is_stream:
            events = client.subscribe(types.SubscribeToTaskRequest(id="ge:thread:slow:m1"))
            first = await anext(events)
            assert first.task.status.state == WORKS
            file.touch()
            states = [event.status_update.status.state async for event in events if event.HasField("status_update")]
            assert states[-1] == DONE
        else:
            sending = asyncio.create_task(sent(client, said(str(file))))
            file.touch()
            assert (await sending).status.state == DONE
    assert await runs_of(database) == ["ge:thread:slow:m1"]


async def test_two_servers_are_one(serve: Callable[..., Service], database: Any, tmp_path: Path) -> None:
    """The same message may reach both; the answer of either, or of another process, is the only one."""
    services = [await asyncio.to_thread(serve, database) for _ in range(2)]
    async with connected(services[0]) as one, connected(services[1], is_stream=True) as two:
        first, second = await asyncio.gather(*(sent(each, said("Tides")) for each in (one, two)))
        assert first.status == second.status
        async with Runner(database) as runner:
            await runner.answer(run_of(first), value=True)  # days later, by another process
        done = await asyncio.gather(*(sent(each, said("no", first, "m2")) for each in (one, two)))
    assert [text_of(each) for each in done] == ["All about Tides"] * 2
    assert (tmp_path / "calls").read_text() == "x"


async def test_a_task_is_cancelled(serve: Callable[..., Service], tmp_path: Path) -> None:
    """At work and waiting; one that is over is not."""
    service, file = await asyncio.to_thread(serve, tmp_path / "runs.db"), tmp_path / "go"
    async with connected(service, "slow", is_stream=True) as client:
        sending = asyncio.create_task(sent(client, said(str(file))))
        await exists(f"{file}.began")
        task = await client.cancel_task(types.CancelTaskRequest(id="ge:thread:slow:m1"))
        assert task.status.state == (await sending).status.state == STATE.TASK_STATE_CANCELED
        with pytest.raises(errors.TaskNotCancelableError):
            await client.cancel_task(types.CancelTaskRequest(id="ge:thread:slow:m1"))
    async with connected(service) as client:
        await sent(client, said("Tides"))
        assert (
            await client.cancel_task(types.CancelTaskRequest(id="ge:thread:posts:m1"))
        ).status.state == task.status.state


class Receiver(http.server.ThreadingHTTPServer):
    """A client's server for push notifications."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, int]] = []
        self.ids: list[str] = []
        self.refused = 1
        super().__init__(("127.0.0.1", 0), Receiving)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}/news"


class Receiving(http.server.BaseHTTPRequestHandler):
    """Keep what comes, and refuse the first."""

    server: Receiver

    def do_POST(self) -> None:
        """Take a notification."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        token, task = self.headers["X-A2A-Notification-Token"] or "", json.loads(body)["task"]
        if token and is_signed(Headers(dict(self.headers.items())), body, token, time.time()):
            self.server.ids.append(self.headers["webhook-id"])
        if self.server.refused:
            self.server.refused -= 1
            self.send_response(503)
        else:
            found = (token, task["status"]["state"], len(task.get("artifacts", ())))
            self.server.got.append(found)
            self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Receive push notifications."""
    with Receiver() as found:
        yield found
        found.shutdown()


async def test_push_notifications_survive_a_kill(
    serve: Callable[..., Service], database: Any, receiver: Receiver
) -> None:
    """A place is told that the task asks, again if it refuses, and after a kill that it is over; then it ends."""
    service = await asyncio.to_thread(serve, database)
    request = said("Tides")
    place = request.configuration.task_push_notification_config
    place.url, place.token, place.id = receiver.url, "secret", "p"
    async with connected(service) as client:
        task = await sent(client, request)
        given = types.ListTaskPushNotificationConfigsRequest(task_id=task.id)
        (listed,) = (await client.list_task_push_notification_configs(given)).configs
        assert (listed.url, listed.token, listed.id) == (receiver.url, "secret", "p")
        await until(lambda: len(receiver.got) == 1)
    assert receiver.ids[0] == receiver.ids[1]
    await asyncio.to_thread(service.end, signal.SIGKILL)
    async with Runner(database) as runner:
        await runner.answer(run_of(task), value=True)
    services = [await asyncio.to_thread(serve, database) for _ in range(2)]
    async with connected(services[0]) as client:
        await until(lambda: len(receiver.got) == 2)
        async with asyncio.timeout(30):
            while (await client.list_task_push_notification_configs(given)).configs:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        with pytest.raises(errors.TaskNotFoundError):
            await client.get_task_push_notification_config(
                types.GetTaskPushNotificationConfigRequest(task_id=task.id, id="p")
            )
    assert receiver.got == [("secret", "TASK_STATE_INPUT_REQUIRED", 0), ("secret", "TASK_STATE_COMPLETED", 1)]


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_place_is_deleted(serve: Callable[..., Service], tmp_path: Path, receiver: Receiver) -> None:
    """It gets nothing more; an address that is none is refused."""
    receiver.refused = 0
    service = await asyncio.to_thread(serve, tmp_path / "runs.db")
    async with connected(service) as client:
        task = await sent(client, said("Tides"))
        wrong = types.TaskPushNotificationConfig(task_id=task.id, url="file:///etc/passwd")
        with pytest.raises(errors.InvalidParamsError, match="not an address"):
            await client.create_task_push_notification_config(wrong)
        place = types.TaskPushNotificationConfig(task_id=task.id, url=receiver.url)
        place.authentication.scheme, place.authentication.credentials = "Bearer", "b"
        made = await client.create_task_push_notification_config(place)
        assert (await client.create_task_push_notification_config(place)).id == made.id
        await until(lambda: bool(receiver.got))
        gone = types.DeleteTaskPushNotificationConfigRequest(task_id=task.id, id=made.id)
        await client.delete_task_push_notification_config(gone)
        await sent(client, said("yes", task, "m2"))
    assert [state for _, state, _ in receiver.got] == ["TASK_STATE_INPUT_REQUIRED"]


async def test_a_task_has_few_places(serve: Callable[..., Service], tmp_path: Path) -> None:
    """One more is refused; the one that is there can be given again."""
    service = await asyncio.to_thread(serve, tmp_path / "runs.db")
    async with connected(service) as client:
        task = await sent(client, said("Tides"))
        url = "http://127.0.0.1:1/"
        places = [types.TaskPushNotificationConfig(task_id=task.id, id=f"p{number}", url=url) for number in range(21)]
        for place in places[:20]:
            await client.create_task_push_notification_config(place)
        with pytest.raises(errors.InvalidParamsError, match="already has 20 configurations"):
            await client.create_task_push_notification_config(places[20])
        assert (await client.create_task_push_notification_config(places[19])).id == "p19"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_remote_task_is_continued_after_a_kill(
    serve: Callable[..., Service], database: Any, tmp_path: Path, when: str
) -> None:
    """Killed before or after the task is recorded: the next process follows the same remote task."""
    there, file, kill = serve(tmp_path / "there.db"), tmp_path / "go", tmp_path / "kill"
    env = {"REMOTE": there.opened["url"]}
    if when == "before":
        kill.touch()
        env["KILL_AFTER_SENDING"] = str(kill)
    here = serve(database, **env)
    with suppress(http.client.RemoteDisconnected):  # it may be killed before it answers
        here.start("desk of slow", {"title": str(file)}, "?run_id=d")
    if when == "before":
        here.process.communicate(timeout=60)
    else:
        asyncio.run(exists(f"{file}.began"))
        asyncio.run(recorded(database))
        here.end(signal.SIGKILL)
    here = serve(database, **env)
    file.touch()
    run = here.settled("d")
    assert run["status"] == "finished", run
    assert run["output"]["done"] == 1
    assert len(there.call("GET", "/runs")[1]["runs"]) == 1


async def recorded(database: Any) -> None:
    """Wait until a run has recorded its remote task."""
    async with asyncio.timeout(30), Runner(database) as runner:
        while not any(step.kind == "recorded" for step in await runner.history("d")):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def test_a_remote_question_is_one_of_the_run(serve: Callable[..., Service], tmp_path: Path) -> None:
    """Of a node, and of a tool of an agent; a task that failed is looked at again by a resume."""
    there = serve(tmp_path / "there.db")
    here = serve(tmp_path / "here.db", REMOTE=there.opened["url"])
    for graph, state in (("desk of posts", {"title": "Tides"}), ("boss", {"question": "Publish"})):
        run = here.start(graph, state)[1]
        run = here.settled(run["run_id"])
        assert [wait["question"] for wait in run["waits"]] == ["Publish Tides? (yes or no)"]
        here.call("POST", f"/runs/{run['run_id']}/answer", {"id": run["waits"][0]["id"], "value": "yes"})
        run = here.settled(run["run_id"], run["seq"] + 1)
        assert (run["status"], run["output"]) == ("finished", "All about Tides")
    run = here.settled(here.start("desk of broken", {"title": "x"})[1]["run_id"])
    assert run["status"] == "failed"
    assert "because its state is 'failed': run ge:thread:broken:" in run["error"]["message"]


async def test_the_card_is_public_and_what_a_graph_does_is_not(serve: Callable[..., Service], tmp_path: Path) -> None:
    """Names and schemes are for anybody, also at the host's place for the graph that is named; pages are refused."""
    service = await asyncio.to_thread(serve, tmp_path / "runs.db", "--a2a-root", "posts")
    cards = [
        service.request("GET", f"{path}/.well-known/agent-card.json", headers={"Authorization": token})
        for path in ("/a2a/posts", "")
        for token in ("", "Bearer wrong", f"Bearer {TOKEN}")
    ]
    status, card = cards[0]
    assert cards == [(200, card)] * 6, status
    assert (card["name"], card["description"]) == ("posts", "Run the graph posts.")
    assert [each["description"] for each in card["skills"]] == ["Run the graph posts."]
    places = {(each["protocolVersion"], each["url"]) for each in card["supportedInterfaces"]}
    assert places == {(version, f"{service.opened['doors']['a2a']}/posts") for version in ("1.0", "0.3")}
    foreign = {"Authorization": "", "Origin": "https://evil.example"}
    assert service.request("GET", "/.well-known/agent-card.json", headers=foreign)[0] == 403
    assert service.request("POST", "/.well-known/agent-card.json", b"{}", {"Authorization": ""})[0] == 401
    async with connected(service) as client:
        full = await client.get_extended_agent_card(types.GetExtendedAgentCardRequest())
        assert full.description == "Run the graph posts. Publish a post, once a person agrees."


async def test_a_picture_is_a_file_part_and_a_stream_never_goes_back(
    serve: Callable[..., Service], tmp_path: Path
) -> None:
    """A medium of the result is a part with its bytes and name; a first event has the state that the message met."""
    service = await asyncio.to_thread(serve, tmp_path / "runs.db")
    async with connected(service, "drawing", is_stream=True) as client:
        states = []
        for _ in range(2):  # the second time the task is over when the message comes
            async for event in client.send_message(said("Tides")):
                if event.HasField("task"):
                    states.append((event.task.status.state, len(event.task.artifacts)))
                elif event.HasField("artifact_update"):
                    (part,) = event.artifact_update.artifact.parts
                    assert (part.raw, part.media_type, part.filename) == (b"Tides", "image/png", "title.png")
                    states.append((WORKS, 1))
                else:
                    states.append((event.status_update.status.state, 0))
        assert states[0] in ((STATE.TASK_STATE_SUBMITTED, 0), (WORKS, 0))
        assert states[states.index((DONE, 0)) + 1] == (WORKS, 0)
        assert states[-1] == (DONE, 0)
        assert [state for state, _ in states].count(DONE) == 2
        assert states.count((WORKS, 1)) == 2


def test_a_card_is_kept_by_caches_and_a_body_is_json(serve: Callable[..., Service], tmp_path: Path) -> None:
    """A card has a mark, by which it is not sent again; what says that it is no JSON is refused as that, not parsed."""
    service = serve(tmp_path / "runs.db")
    url, token = f"{service.opened['doors']['a2a']}/posts", {"Authorization": f"Bearer {TOKEN}", "A2A-Version": "1.0"}
    card = httpx.get(f"{url}/.well-known/agent-card.json")
    assert "max-age=" in card.headers["cache-control"]
    again = httpx.get(card.url, headers={"If-None-Match": card.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", card.headers["etag"])
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "none"}})
    for path in ("", "/"):
        json_type = {**token, "Content-Type": "application/json; charset=utf-8"}
        assert httpx.post(url + path, content=call, headers=json_type).json()["error"]["code"] == -32001
        refused = httpx.post(url + path, content=call, headers={**token, "Content-Type": "text/plain"}).json()["error"]
        assert (refused["code"], refused["message"]) == (-32005, "the request is text/plain: send application/json")


def test_the_card_of_the_host_is_that_of_the_only_graph(services: Services, tmp_path: Path) -> None:
    """Of several graphs none is that of the host, unless it is named."""
    alone = services("--a2a", tmp_path / "one.db", graphs=f"{FLOWS}:posts")
    assert alone.request("GET", "/.well-known/agent-card.json", headers={"Authorization": ""})[1]["name"] == "posts"
    several = services("--a2a", tmp_path / "two.db", graphs=FLOWS)
    assert several.request("GET", "/.well-known/agent-card.json")[0] == 404
    for words, text in ((("--a2a", "--a2a-root", "none"), "has no graph 'none'"), (("--a2a-root", "posts"), "--a2a")):
        with pytest.raises(AssertionError, match=text):
            services("", tmp_path / "three.db", *words, graphs=FLOWS)


async def test_a_client_of_0_3_is_served(serve: Callable[..., Service], tmp_path: Path) -> None:
    """By the official client's transport of that version: a task asks, is answered, is listed in no other words."""
    service = await asyncio.to_thread(serve, tmp_path / "runs.db")
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as http:
        address = f"{service.opened['doors']['a2a']}/posts"
        found = (await http.get(f"{address}/.well-known/agent-card.json")).json()
        assert (found["url"], found["protocolVersion"], found["preferredTransport"]) == (address, "0.3", "JSONRPC")
        card = await A2ACardResolver(http, address).get_agent_card()
        del card.supported_interfaces[0]
        for is_stream in (False, True):
            client = ClientFactory(ClientConfig(httpx_client=http, streaming=is_stream)).create(card)
            task = await sent(client, said("Tides", name=f"m{is_stream}"))
            assert (task.status.state, text_of(task)) == (ASKS, "Publish Tides? (yes or no)")
            done = await sent(client, said("yes", task, f"n{is_stream}"))
            assert (done.status.state, text_of(done)) == (DONE, "All about Tides")
            found = await client.get_extended_agent_card(types.GetExtendedAgentCardRequest())
            assert found.description.endswith("once a person agrees.")
            with pytest.raises(errors.TaskNotCancelableError):
                await client.cancel_task(types.CancelTaskRequest(id=task.id))


async def test_tasks_are_listed_in_pages_by_their_last_change(serve: Callable[..., Service], database: Any) -> None:
    """Filtered by context, state and time; all that match are counted, and what is no page is refused."""
    service = await asyncio.to_thread(serve, database)
    async with connected(service) as client:
        task = types.Task()
        for number in range(5):
            request = said("Tides", name=f"t{number}")
            request.message.context_id = "odd" if number % 2 else "even"
            task = await sent(client, request)
        first = types.Task(id="ge:thread:posts:t0")
        await sent(client, said("yes", first, "answer"))  # so it changed last

        async def ids(**given: Any) -> tuple[list[str], int, str]:
            found = await client.list_tasks(types.ListTasksRequest(**given))
            return [run_of(each)[-1] for each in found.tasks], found.total_size, found.next_page_token

        pages, token = list[list[str]](), ""
        while len(pages) < 9:
            page, total, token = await ids(page_size=2, page_token=token)
            assert total == 5
            pages.append(page)
            if not token:
                break
        assert pages == [["0", "4"], ["3", "2"], ["1"]]
        assert await ids(context_id="even", status=ASKS) == (["4", "2"], 2, "")
        assert await ids(status=DONE) == (["0"], 1, "")
        assert await ids(status=WORKS) == ([], 0, "")
        since = (await client.get_task(types.GetTaskRequest(id=task.id))).status.timestamp
        assert await ids(status_timestamp_after=since) == (["0", "4"], 2, "")
        for each in ({"page_size": 0}, {"page_size": 101}, {"page_token": "nope"}, {"history_length": -1}):
            with pytest.raises(errors.InvalidParamsError):
                await ids(**each)
        with pytest.raises(errors.InvalidParamsError):
            await client.get_task(types.GetTaskRequest(id=task.id, history_length=-5))
    listing = {"jsonrpc": "2.0", "id": 7, "method": "ListTasks", "params": {"status": "running"}}
    refused = service.request("POST", "/a2a/posts", json.dumps(listing).encode(), {"A2A-Version": "1.0"})[1]
    assert (refused["id"], refused["error"]["code"]) == (7, -32602)


async def test_bad_input_is_one_error(serve: Callable[..., Service], tmp_path: Path) -> None:
    """In the protocol's shape, with what to do."""
    service = await asyncio.to_thread(serve, tmp_path / "runs.db")
    assert service.request("GET", "/a2a/nothing/.well-known/agent-card.json")[0] == 404
    assert service.request("POST", "/a2a/posts", b"{}", {"Authorization": ""})[0] == 401
    async with connected(service) as client:
        task = await sent(client, said("Tides"))
        wrong = [
            (said({"name": "Tides"}, name="m3"), errors.InvalidParamsError, "title"),
            (said("Moon"), errors.InvalidParamsError, "another graph or input"),
            (said("perhaps", task, "m4"), errors.InvalidParamsError, "yes or no"),
            (
                said("yes", types.Task(id="ge:thread:posts:none"), "m5"),
                errors.TaskNotFoundError,
                "ge:thread:posts:none",
            ),
            (said("yes", types.Task(id=task.id, context_id="c"), "m6"), errors.InvalidParamsError, "context"),
        ]
        file = said("Tides", name="m7")
        file.message.parts[0].url = "https://files.example/a"
        wrong.append((file, errors.ContentTypeNotSupportedError, "files are not read"))
        for request, kind, text in wrong:
            with pytest.raises(kind, match=text):
                await sent(client, request)
        await sent(client, said("yes", task, "m8"))
        with pytest.raises(errors.UnsupportedOperationError, match="finished"):
            await sent(client, said("Moon", task, "m9"))
    async with connected(service, is_stream=True) as client:
        with pytest.raises(errors.UnsupportedOperationError, match="is over"):
            await anext(client.subscribe(types.SubscribeToTaskRequest(id=task.id)))
    async with connected(service, "broken") as client:
        failed = await sent(client, said("x"))
        assert failed.status.state == STATE.TASK_STATE_FAILED
        assert "ValueError: no x" in text_of(failed)


async def test_a_server_that_ends_lets_its_clients_go(serve: Callable[..., Service], tmp_path: Path) -> None:
    """SIGTERM ends a stream, and the service within its time; the task is left to the next server."""
    service, file = await asyncio.to_thread(serve, tmp_path / "runs.db"), tmp_path / "go"
    async with connected(service, "slow", is_stream=True) as client:
        sending = asyncio.create_task(sent(client, said(str(file))))
        await exists(f"{file}.began")
        service.process.send_signal(signal.SIGTERM)
        await asyncio.wait([sending], timeout=30)
        assert sending.done()
        file.touch()
        began = time.monotonic()
        assert await asyncio.to_thread(service.process.wait, 60) == 0
        assert time.monotonic() - began < 4  # seconds; what is left open is cut off after 5
