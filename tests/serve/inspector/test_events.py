import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.kit import forks
from tests.serve.inspector.conftest import served


@contextmanager
def driving(database: Path) -> Iterator[forks.Started]:
    """A process that drives the run `driven`, and has recorded its first step."""
    process = forks.start("tests.serve.inspector.driver", str(database))
    assert process.stdout.readline() == "begun\n"
    try:
        yield process
    finally:
        process.kill()
        process.end()


class Stream:
    """A stream of events, as a browser reads it."""

    def __init__(self, url: str, path: str, last: int | None = None) -> None:
        base, _, token = url.partition("/#token=")
        self._host = base.removeprefix("http://")
        headers = {"Origin": base, "X-Graphengine": "1", "Content-Type": "application/json"}
        session = http.client.HTTPConnection(self._host, timeout=60)
        session.request("POST", "/api/session", json.dumps({"token": token}), headers)
        cookie = str(session.getresponse().headers["set-cookie"]).partition(";")[0]
        session.close()
        self._connection = http.client.HTTPConnection(self._host, timeout=60)
        self._connection.request(
            "GET", path, headers={"Cookie": cookie} | ({"Last-Event-ID": str(last)} if last else {})
        )
        self._response = self._connection.getresponse()

    def __iter__(self) -> Iterator[tuple[str, Any, str]]:
        found: dict[str, str] = {}
        for raw in self._response:
            line = raw.decode().rstrip("\n")
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                found[name] = value
            elif found:
                if "event" in found:
                    yield found["event"], json.loads(found["data"]), found.get("id", "")
                found = {}

    def close(self) -> None:
        self._response.close()
        self._connection.close()


def seqs(stream: Stream, count: int) -> list[int]:
    """Read so many steps; return their numbers."""
    found: list[int] = []
    for name, row, number in stream:
        if name == "step":
            assert number == f"{row['account']['seq']}.k3x9ab"
            found.append(row["account"]["seq"])
            if len(found) == count:
                break
    return found


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An inspector of a database in which another process drives a run."""
    path = tmp_path_factory.mktemp("events") / "runs.db"
    with driving(path), served(path) as found:
        yield found


def test_a_reader_gets_each_step_once_across_connections(url: str) -> None:
    """A stream that breaks off is continued after its last event: no step is lost, none comes twice."""
    found: list[int] = []
    for _ in range(4):
        stream = Stream(url, "/api/events?run_id=driven", found[-1] if found else None)
        found += seqs(stream, 12)
        stream.close()
    assert found == list(range(1, 49))


def test_the_last_event_counts_before_the_address(url: str) -> None:
    """A page opens its stream after the steps that it has; when the browser connects again, its header has more."""
    stream = Stream(url, "/api/events?run_id=driven&after=3", 7)
    assert seqs(stream, 2) == [8, 9]
    stream.close()
    stream = Stream(url, "/api/events?run_id=driven&after=3")
    assert seqs(stream, 2) == [4, 5]
    stream.close()


def test_a_stream_has_where_the_run_is(url: str) -> None:
    """The stream has the run's status after the steps, and again after further steps."""
    stream = Stream(url, "/api/events?run_id=driven")
    first = next(each for name, each, _ in stream if name == "stands")  # after all steps that are recorded so far
    assert first["shown"] == "running"
    later = (each for name, each, _ in islice(stream, 1000) if name == "stands")
    assert any(each["seq"] > first["seq"] for each in later)
    stream.close()


def test_a_missing_run_is_gone(url: str) -> None:
    """A stream of a run that does not exist reports that, and stays open: the run may come."""
    stream = Stream(url, "/api/events?run_id=none")
    assert next(iter(stream))[0] == "gone"
    stream.close()
