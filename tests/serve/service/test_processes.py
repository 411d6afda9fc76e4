import asyncio
import json
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphengine import Runner
from graphengine.cli.main import main
from graphengine.cli.serve import token_of
from graphengine.worker.worker import Worker
from tests.serve.service.client import FLOWS, TOKEN, Service
from tests.serve.service.conftest import Services
from tests.serve.service.flows import desk, posts, slow


@pytest.fixture
def serve(services: Services) -> Services:
    """Start a service without another door."""
    return partial(services, "")


def test_a_request_whose_answer_was_lost_is_sent_again(serve: Callable[..., Service], tmp_path: Path) -> None:
    """The service is killed after it recorded the run and before it answered; the next one returns that run."""
    (tmp_path / "kill").touch()
    first = serve(tmp_path / "runs.db", KILL_BEFORE_THE_ANSWER=str(tmp_path / "kill"))
    with pytest.raises((ConnectionError, TimeoutError)):
        first.request("POST", "/graphs/posts/runs", b'{"title": "Tides"}', {"Idempotency-Key": "k"})
    assert first.process.wait(60) == -signal.SIGKILL
    second = serve(tmp_path / "runs.db")
    status, run = second.start("posts", {"title": "Tides"}, Idempotency_Key="k")
    assert (status, run["run_id"]) == (200, "ge:key:posts:k")
    assert second.settled("ge:key:posts:k")["waits"][0]["question"] == "Publish Tides?"
    assert len(second.call("GET", "/runs")[1]["runs"]) == 1


async def test_sigterm_drains(serve: Callable[..., Service], tmp_path: Path) -> None:
    """The node in flight finishes and is recorded, open streams end, the run is released for another process."""
    service = serve(tmp_path / "runs.db")
    run_id = service.begun(tmp_path / "go")
    stream = service.events(run_id)
    assert next(stream)[0].partition(".")[0] == "1"
    service.process.send_signal(signal.SIGTERM)
    assert "ended" not in [event["event"] for _, event in stream]
    (tmp_path / "go").touch()
    assert service.process.wait(60) == 0
    async with Runner(tmp_path / "runs.db") as runner:
        info = await runner.info(run_id)
        done = (await runner.state_at(info.id))["done"]
        assert (info.status, info.driver, 1 <= done < 1_000_000) == ("interrupted", None, True)
        (left,) = await runner.recover(slow)
        await runner.stop(left.id)
        assert (await left.result()).state.done >= done


async def test_runs_go_into_a_queue_for_workers(serve: Callable[..., Service], postgres: str) -> None:
    """Over PostgreSQL the service queues runs and drives none; workers of other queues leave them alone."""
    service = await asyncio.to_thread(serve, postgres, "--queue", "mail")
    assert (service.opened["queue"], service.call("GET", "/health")[0]) == ("mail", 200)
    starts = [("posts", {"title": "A"}, ""), ("posts", {"title": "B"}, "?queue=other")]
    (_, mine), (_, others) = [await asyncio.to_thread(service.start, *each) for each in starts]
    assert [(run["queue"], run["queued"]) for run in (mine, others)] == [("mail", True), ("other", True)]
    async with Runner(postgres) as runner:
        worker = Worker(runner, posts, desk, queues=["mail"])
        working = asyncio.create_task(worker.run())
        run = await asyncio.to_thread(service.settled, mine["run_id"])
        assert (run["status"], run["waits"][0]["name"]) == ("waiting", "approve")
        await asyncio.to_thread(
            service.call, "POST", f"/runs/{run['run_id']}/answer", {"id": run["waits"][0]["id"], "value": True}
        )
        run = await asyncio.to_thread(service.settled, mine["run_id"], run["seq"])
        assert (run["status"], run["output"]) == ("finished", "All about A")
        assert (await runner.info(others["run_id"])).queued
        worker.stop()
        await working


def test_clients_that_send_no_request_keep_nobody_from_the_service(
    serve: Callable[..., Service], tmp_path: Path
) -> None:
    """There are more of them than the process can have files: it is healthy, and drives runs."""
    service = serve(tmp_path / "runs.db", DESCRIPTORS="256")
    host, port = service.host.split(":")
    with ExitStack() as stack:
        for _ in range(300):
            client = stack.enter_context(socket.create_connection((host, int(port))))
            client.send(b"GET /runs HTTP/1.1\r\n")
        assert service.call("GET", "/health")[0] == 200
        assert service.start("posts", {"title": "Tides"}, "?run_id=r")[0] == 201
        assert service.settled("r")["waits"][0]["question"] == "Publish Tides?"


@pytest.mark.parametrize(
    ("words", "env", "problem"),
    [
        ([FLOWS, "--token-file", "none"], {}, "none cannot be read"),
        ([FLOWS], {"GRAPHENGINE_TOKEN": "short"}, "at least 16"),
        ([FLOWS], {"GRAPHENGINE_TOKEN": ""}, "at least 16"),
        ([FLOWS, "--webhook-secret-env", "NOWHERE"], {}, "'NOWHERE' is empty"),
        ([FLOWS, "--webhook-secret-env", "HOOK"], {"HOOK": "whsec_%"}, "no base64"),
        ([FLOWS, "--webhook-secret-env", "HOOK"], {"HOOK": "whsec_"}, "no base64 key"),
        ([FLOWS, "--port", "PORT"], {}, "any free port with --port 0"),
        ([FLOWS, "--host", "256.0.0.1", "--port", "0"], {}, "cannot be used"),
        (["nowhere.py"], {}, "nowhere.py does not exist"),
        ([FLOWS, "--store", "postgresql://"], {}, "postgresql://"),
        ([FLOWS, "--queue", "\x07"], {}, "name of a queue"),
    ],
)
def test_every_mistake_at_the_start_is_a_clear_error(
    words: list[str], env: dict[str, str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends with an exit code and names the repair."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"GRAPHENGINE_TOKEN": TOKEN, **env}.items():
        monkeypatch.setenv(name, value)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        given = [str(taken.getsockname()[1]) if word == "PORT" else word for word in words]
        done = CliRunner().invoke(main, ["serve", "--store", "runs.db", *given, "--json"])
    assert done.exit_code in (2, 5), done.output
    error = json.loads(done.stdout)["error"]
    assert problem in json.dumps(error)
    assert error["repair"]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without starlette the error names what to install."""
    monkeypatch.setitem(sys.modules, "graphengine.serve.guard", None)
    done = CliRunner().invoke(main, ["serve", FLOWS])
    assert done.exit_code == 2
    assert "durable-graphengine[serve]" in done.output


def test_a_token_is_generated_if_none_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A generated token has 256 bits of chance; a file's token takes precedence over the environment's."""
    monkeypatch.delenv("GRAPHENGINE_TOKEN", raising=False)
    (first, is_new), (second, _) = token_of(None), token_of(None)
    assert (len(first), first == second, is_new) == (43, False, True)
    monkeypatch.setenv("GRAPHENGINE_TOKEN", TOKEN)
    (tmp_path / "token").write_text("the-token-of-a-file\n")
    assert token_of(tmp_path / "token") == ("the-token-of-a-file", False)
