"""A program that starts and suspends another one as tests do, for tests of `tests/kit/forks.py`."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread

from tests.kit import forks

LISTED_SECONDS = 60


def main(what: str) -> None:
    """Wait for a signal; or start a program that waits so, and leave it or suspend it."""
    if what == "idle":
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        signal.pause()
    if what == "suspend":
        os.setpgid(0, 0)  # as a shell with job control does with each command
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    child = forks.start(Path(__file__), "idle")
    assert child.stdout.readline() == "ready\n"
    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.flush()
    if what == "leave":
        sys.stdin.read()
    else:
        suspend(child)


def suspend(child: forks.Child) -> None:
    """Suspend a program, end the shell before the program's keeper sees that, and print the state of the program."""
    keeper = int(listed("ppid", child.pid))
    os.kill(keeper, signal.SIGSTOP)
    await_stop(keeper)
    stopping = Thread(target=child.stop, daemon=True)
    stopping.start()
    await_stop(child.pid)
    shell = os.getppid()
    os.kill(shell, signal.SIGKILL)  # now the group is orphaned, and the kernel continues what is stopped in it
    while os.getppid() == shell:
        pass
    stopping.join(LISTED_SECONDS)
    sys.stdout.write(f"{'hangs' if stopping.is_alive() else 'stopped'} {listed('stat', child.pid)[0]}\n")
    sys.stdout.flush()
    os.kill(keeper, signal.SIGTERM)
    os._exit(0)


def await_stop(pid: int) -> None:
    """Wait until a process is stopped."""
    while not listed("stat", pid).startswith("T"):
        pass


def listed(column: str, pid: int) -> str:
    """Return what the list of processes has on a process."""
    words = ["ps", "-o", f"{column}=", "-p", str(pid)]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=LISTED_SECONDS).stdout.strip()


if __name__ == "__main__":
    main(sys.argv[1])
