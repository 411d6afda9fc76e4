"""A test that takes too long fails with its stacks, and the tests after it run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit import forks
from tests.kit.runs import SOON

HANGING = """
import asyncio
from threading import Event, Thread

import pytest


def wait_in_a_thread(event):
    event.wait()


def test_threads_hang():
    thread = Thread(target=wait_in_a_thread, args=[Event()], daemon=True)
    thread.start()
    while True:
        try:
            thread.join()
        except Exception:
            pass


async def wait_in_a_coroutine():
    await asyncio.Event().wait()


async def test_tasks_hang():
    await asyncio.gather(wait_in_a_coroutine())


@pytest.fixture
def hanging_fixture():
    yield
    Event().wait()


def test_a_fixture_hangs(hanging_fixture):
    pass


def test_all_is_well():
    pass
"""


def test_a_hanging_test_fails_with_its_stacks(tmp_path: Path) -> None:
    """The failure shows where the threads and the coroutines wait, also if a worker of pytest-xdist runs the test."""
    pytest.importorskip("xdist")
    file = tmp_path / "test_hanging.py"
    file.write_text(HANGING, encoding="utf-8")
    words = ["-n", "2", "-q", "-p", "no:cacheprovider", "-p", "tests.kit.limits", "-o", "asyncio_mode=auto"]
    words += ["-o", "faulthandler_timeout=3", str(file)]
    variables = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=tmp_path, env={**variables, "PYTHONPATH": str(forks.ROOT)},
        capture_output=True, text=True, check=False, timeout=2 * SOON,
    )  # fmt: skip
    assert "2 failed, 2 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "TookTooLong: this took longer than 1 seconds, while thread MainThread was here:" in done.stdout
    for place in ("in wait_in_a_thread\n", "in wait_in_a_coroutine\n", "in hanging_fixture\n"):
        assert place in done.stdout
