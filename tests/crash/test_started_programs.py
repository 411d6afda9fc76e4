"""Programs that tests start and suspend: their stop is not lost, and they end with the tests."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from shutil import which

import pytest

from tests.kit import forks
from tests.kit.runs import SOON

STARTER = Path(forks.__file__).with_name("starter.py")


@pytest.mark.skipif(which("ps") is None, reason="needs ps")
def test_a_suspended_program_stays_suspended_when_the_shell_of_the_tests_ends() -> None:
    """`Child.stop` returns, and the kernel continues the processes of the tests only.

    In the group of the tests, a program was continued before its keeper saw it stop, and `stop` waited forever.
    """
    words = ["sh", "-c", '"$@"; :', "sh", sys.executable, str(STARTER), "suspend"]
    variables = {**os.environ, "PYTHONPATH": str(forks.ROOT)}
    ended = subprocess.run(
        words, env=variables, start_new_session=True, stdout=subprocess.PIPE, text=True, timeout=2 * SOON, check=False
    )
    assert (ended.returncode, ended.stdout.splitlines()[1:]) == (-signal.SIGKILL, ["stopped T"])


@pytest.mark.parametrize(
    "end",
    [lambda pid: os.killpg(pid, signal.SIGINT), lambda pid: os.kill(pid, signal.SIGKILL)],
    ids=["ctrl-c", "kill"],
)
def test_started_programs_end_with_the_tests(end: Callable[[int], None]) -> None:
    """Ctrl-C reaches the process group of the tests but not their programs: keepers kill these, also after a kill."""
    tests = forks.start(STARTER, "leave")
    program = int(tests.stdout.readline())
    assert is_alive(program)
    end(tests.pid)
    give_up_at = time.monotonic() + SOON
    while is_alive(program):
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    tests.end()


def is_alive(pid: int) -> bool:
    """Return whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_stop_that_never_comes_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wait has a limit, and the error names what was awaited: here of a program that is stopped already."""
    program = forks.start(STARTER, "idle")
    program.stop()
    monkeypatch.setattr(forks, "SECONDS", 0.01)
    with pytest.raises(subprocess.TimeoutExpired, match=f"the stop of process {program.pid}"):
        program.stop()
    with pytest.raises(subprocess.TimeoutExpired, match=f"the end of process {program.pid}"):
        program.wait(timeout=0.01)
    monkeypatch.setattr(forks, "PATIENCE_SECONDS", 0.01)
    with pytest.raises(subprocess.TimeoutExpired, match=f"the end of process {program.pid}"):
        program.end()
    assert program.returncode == -signal.SIGKILL
