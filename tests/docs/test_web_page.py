"""docs/use/web.md: its service runs under uvicorn on loopback; it streams, takes answers and survives a kill."""

import json
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.page import USE, blocks
from tests.kit import forks

(SOURCE,) = blocks(USE / "web.md", "python")
PRINTED = """"approve", "press", END)


async def press(text: str) -> str:
    while not __import__("pathlib").Path("quick").exists():
        await asyncio.sleep(0.01)
    return text


posts.add_node("press", press, writes="text")
"""
SLOW = 'if not __import__("pathlib").Path("quick").exists():\n        await asyncio.sleep(60)\n    return f"All'


class Service:
    """The service in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.process = forks.start("uvicorn", "service:app", "--port", "0", folder=folder, loads=forks.SERVER)
        lines: list[str] = []
        for line in self.process.stderr:
            lines.append(line)
            if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", line):
                self.address = found[1]
                return
        raise AssertionError("the service did not start: " + "".join(lines))

    def call(self, path: str, body: object = None, **more: str) -> tuple[int, str]:
        """Return the status and the text of an answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **more}
        request = urllib.request.Request(self.address + path, data, headers)  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - loopback
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def events(self, run_id: str, last: int = 0) -> list[dict[str, Any]]:
        """Return the events of a run after a step, until it waits or is over."""
        _, text = self.call(f"/posts/{run_id}/events", **{"Last-Event-ID": str(last)})
        return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]

    def end(self, signum: signal.Signals) -> None:
        """End the process with a signal."""
        self.process.send_signal(signum)
        self.process.communicate(timeout=30)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], Service]]:
    """Start the service with this source; it is killed at the end."""
    started: list[Service] = []

    def start(source: str) -> Service:
        (tmp_path / "service.py").write_text(source, encoding="utf-8")
        started.append(Service(tmp_path))
        return started[-1]

    yield start
    for service in started:
        service.process.kill()
        service.process.communicate()


def test_a_run_is_started_streamed_and_answered(serve: Callable[[str], Service]) -> None:
    """The stream ends with the result; a wrong answer and an unknown run are refused with their codes."""
    service = serve(SOURCE)
    status, text = service.call("/posts", {"title": "Tides"})
    assert status == 202
    run_id = json.loads(text)["id"]
    last = service.events(run_id)[-1]
    (wait,) = last["waits"]
    assert (last["event"], last["status"], wait["question"]) == ("ended", "waiting", "Publish Tides?")
    answers = f"/posts/{run_id}/answers/{wait['id']}"
    assert answers.replace(run_id, "RUN_ID").rpartition(".")[0] in (USE / "web.md").read_text(encoding="utf-8")
    assert service.call("/posts", {"title": 5})[0] == 422
    assert service.call(answers, "perhaps")[0] == 422
    assert service.call(answers, body=True) == (
        202,
        json.dumps({"id": run_id}, separators=(",", ":")),
    )
    assert service.events(run_id)[-1]["state"]["approved"] is True
    assert service.call("/posts/none/events")[0] == 404


def test_an_answer_does_not_wait_for_the_rest_of_the_run(serve: Callable[[str], Service], tmp_path: Path) -> None:
    """It returns once it is recorded, while the next node is at work; the events continue after the last id."""
    service = serve(SOURCE.replace('"approve", END)', PRINTED))
    run_id = json.loads(service.call("/posts", {"title": "Tides"})[1])["id"]
    (wait,) = service.events(run_id)[-1]["waits"]
    assert service.call(f"/posts/{run_id}/answers/{wait['id']}", body=True)[0] == 202
    assert not (tmp_path / "quick").exists()
    (tmp_path / "quick").touch()
    assert (service.events(run_id)[-1]["status"], len(service.events(run_id, 4))) == ("finished", 3)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_was_cut_off_continues_at_the_next_start(
    serve: Callable[[str], Service], tmp_path: Path, signum: signal.Signals
) -> None:
    """After SIGTERM as after SIGKILL, `recover` finds a run that was cut off."""
    source = SOURCE.replace('return f"All', SLOW).replace("grace_seconds=5", "grace_seconds=0")
    first = serve(source)
    run_id = json.loads(first.call("/posts", {"title": "Tides"})[1])["id"]
    first.end(signum)
    (tmp_path / "quick").touch()
    last = serve(source).events(run_id)[-1]
    assert (last["status"], last["state"]["text"]) == ("waiting", "All about Tides")


def test_an_answer_that_was_recorded_just_before_a_kill_counts(serve: Callable[[str], Service]) -> None:
    """The next process resumes the run, though `recover` leaves runs that wait."""
    answers = ".answer(run_id, given, posts, wait=question)"
    assert answers in SOURCE
    first = serve(
        SOURCE.replace(answers, ".answer(run_id, given, wait=question)")
    )  # which is killed before the run goes on
    run_id = json.loads(first.call("/posts", {"title": "Tides"})[1])["id"]
    (wait,) = first.events(run_id)[-1]["waits"]
    assert first.call(f"/posts/{run_id}/answers/{wait['id']}", body=True)[0] == 202
    first.end(signal.SIGKILL)
    assert serve(SOURCE).events(run_id)[-1]["state"]["approved"] is True
