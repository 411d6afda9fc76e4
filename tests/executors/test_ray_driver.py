"""The process that is connected to Ray, with an imitated Ray: what an error means of a call, and when it began."""

import io
import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from graphengine.executors.calls import read_returned
from graphengine.executors.ray_driver import Begin, Begun, Calls, Over

NAMES = (
    "RayTaskError WorkerCrashedError OutOfMemoryError NodeDiedError ObjectLostError RuntimeEnvSetupError "
    "TaskUnschedulableError LocalRayletDiedError AuthenticationError"
)
RAY_ERROR = type("RayError", (Exception,), {})
ERRORS = SimpleNamespace(RayError=RAY_ERROR, **{name: type(name, (RAY_ERROR,), {}) for name in NAMES.split()})


class FakeRay:
    """Runs a task in place, as a generator; one of its values, or the submission, is an error."""

    exceptions = ERRORS

    def __init__(self, fails: str, error: Exception | None) -> None:
        self._fails, self._error = fails, error
        self.happened: list[str] = []

    def remote(self, **options: object) -> Callable[[Callable[[bytes], Iterator[bytes]]], Any]:
        """Return what submits a function."""
        assert options["max_retries"] == 0
        return lambda function: SimpleNamespace(remote=lambda work: self._task(function, work))

    def _task(self, function: Callable[[bytes], Iterator[bytes]], work: bytes) -> Iterator[Any]:
        if self._fails == "submitted" and self._error is not None:
            raise self._error

        def values() -> Iterator[Any]:
            for moment, value in zip(("loaded", "run"), function(work), strict=True):
                self.happened.append(moment)
                yield self._error if self._fails == moment else value

        return values()

    def wait(self, tasks: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        """Return the tasks: each is ready."""
        del timeout
        return tasks, []

    def get(self, value: object) -> object:
        """Return a value, or raise it."""
        if isinstance(value, Exception):
            raise value
        return value


class Out(io.BytesIO):
    """What is told, which notes the moments."""

    def __init__(self, happened: list[str]) -> None:
        super().__init__()
        self.messages: list[Any] = []
        self._happened = happened

    def flush(self) -> None:
        """Read the message that is complete."""
        if self.getvalue():
            self.messages.append(pickle.loads(self.getvalue()))  # noqa: S301 - our own
            self._happened.append(type(self.messages[-1]).__name__)
            self.seek(0)
            self.truncate()


def told(fails: str = "", error: Exception | None = None) -> tuple[list[Any], FakeRay]:
    """Return what is told of a call."""
    ray = FakeRay(fails, error)
    out = Out(ray.happened)
    with ThreadPoolExecutor(1) as threads:
        Calls(ray, out, threads).handle(Begin(1, pickle.dumps(work), None, {"num_cpus": 1}))
    return out.messages, ray


def work() -> Callable[[], int]:
    """Load a call."""
    return three


def three() -> int:
    """Return 3."""
    return 3


def test_a_call_is_told_to_begin_before_it_can() -> None:
    """So whoever hears nothing of it, since this process was killed, knows that it has not begun."""
    messages, ray = told()
    begun, over = messages
    assert (begun, over.how, over.has_begun, read_returned(over.value)) == (Begun(1), "returned", True, 3)
    assert ray.happened == ["Begun", "loaded", "run", "Over"]


@pytest.mark.parametrize(
    ("fails", "kind", "how", "is_lost"),
    [
        ("submitted", "AuthenticationError", "again", True),
        ("submitted", "LocalRayletDiedError", "again", True),
        ("loaded", "LocalRayletDiedError", "again", True),
        ("loaded", "NodeDiedError", "again", False),
        ("loaded", "WorkerCrashedError", "died", False),
        ("loaded", "RuntimeEnvSetupError", "unreachable", False),
        ("loaded", "TaskUnschedulableError", "unreachable", False),
        ("run", "NodeDiedError", "died", False),
        ("run", "WorkerCrashedError", "died", False),
        ("run", "OutOfMemoryError", "died", False),
        ("run", "LocalRayletDiedError", "died", True),
    ],
)
def test_an_error_means(fails: str, kind: str, how: str, *, is_lost: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what has not begun begins again; a connection that is none any more ends with its process."""
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    messages, _ = told(fails, getattr(ERRORS, kind)("why\nadvice"))
    assert messages[-1] == Over(1, how, "why", has_begun=fails == "run")  # type: ignore[arg-type]
    assert ended == ([1] if is_lost else [])


def test_an_option_that_the_cluster_does_not_know_is_no_loss() -> None:
    """The call can never begin there."""
    messages, _ = told("submitted", ValueError("no such option"))
    assert messages == [Over(1, "unreachable", "no such option")]
