"""A signal at any moment of a command leads to the same end, and a second signal asks again."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from graphengine.cli.driving import Stopper
from tests.cli.programs import COUNTER, call, read_until
from tests.kit import forks

PROGRAM = Path(__file__).with_name("stop_points.py")
COMMANDS = {
    "serve": (["serve", "counter.py", "--port", "0"], forks.SERVICE),
    "worker": (["worker", "--graph", "counter.py"], ()),
    "mcp": (["mcp", "counter.py"], (*forks.SERVICE, *forks.MCP)),
    "inspect": (["inspect", "--no-open", "--port", "0"], forks.INSPECTOR),
    "inspect --drive": (["inspect", "--no-open", "--port", "0", "--drive", "--graph", "counter.py"], forks.INSPECTOR),
}
Begin = Callable[..., forks.Started]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a graph, a database with a run, and a named pipe."""
    made = tmp_path_factory.mktemp("signals")
    (made / "counter.py").write_text(COUNTER)
    (made / "imports.py").write_text(COUNTER)
    assert call(made, "run", "counter.py", "--run-id", "r", "--store", "runs.db").returncode == 0
    os.mkfifo(made / "gate")
    return made


@pytest.fixture
def begin(folder: Path) -> Iterator[Begin]:
    """A function that begins a command which stops at points; the test ends what it leaves."""
    begun: list[forks.Started] = []

    def beginning(points: str, *words: str, loads: tuple[str, ...] = ()) -> forks.Started:
        given = (points, str(folder / "gate"), *words, "--store", "runs.db")
        token = {"GRAPHENGINE_TOKEN": "0123456789abcdef"}
        begun.append(forks.start(PROGRAM, *given, folder=folder, variables=token, loads=loads))
        return begun[-1]

    yield beginning
    for process in begun:
        process.kill()
        process.end()


def open_gate(folder: Path) -> None:
    """Let a command go on that waits at a point."""
    (folder / "gate").open("wb").close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("point", ["loading", "opening", "open", "ending"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_signal_at_any_moment_ends_a_command_as_it_ends_later(
    folder: Path, begin: Begin, command: str, point: str, number: signal.Signals
) -> None:
    """Exit code 0, with no traceback: while it loads, opens its database, works, and frees what it holds."""
    words, loads = COMMANDS[command]
    process = begin("open,ending" if point == "ending" else point, *words, loads=tuple(loads))
    if point == "ending":
        read_until(process, "at open")
        process.send_signal(number)
    read_until(process, f"at {point}")
    process.send_signal(number)
    if point == "opening":
        read_until(process, "ends at once")
        if number == signal.SIGTERM:
            process.send_signal(number)
        open_gate(folder)
    _, err = process.communicate()
    assert (process.returncode, "Traceback" in err, "rror" in err) == (0, False, False), err


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_ctrl_c_twice_ends_a_command_at_once_while_it_opens(begin: Begin, command: str) -> None:
    """The second Ctrl-C waits for nothing, as always: exit code 130."""
    words, loads = COMMANDS[command]
    process = begin("opening", *words, loads=tuple(loads))
    read_until(process, "at opening")
    process.send_signal(signal.SIGINT)
    read_until(process, "ends at once")
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130


async def test_a_second_sigterm_lets_the_cleanup_end() -> None:
    """A command that is cancelled while it opens frees what it holds, however often SIGTERM arrives."""
    began, freed = asyncio.Event(), []

    async def opening(stopper: Stopper) -> None:
        stopper.opens()
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            signal.raise_signal(signal.SIGTERM)
            for _ in range(5):
                await asyncio.sleep(0)
            freed.append("all")

    with Stopper() as stopper:
        task = asyncio.create_task(opening(stopper))
        await began.wait()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(asyncio.CancelledError):
            await task
    assert freed == ["all"]


@pytest.mark.parametrize("point", ["loading", "opening", "ending"])
def test_a_schedule_is_changed_or_not_when_a_signal_comes(begin: Begin, folder: Path, point: str) -> None:
    """SIGTERM kills a command that changes one thing and ends, wherever it is; the database is whole after that."""
    words = ["schedule", "add", "daily", "--cron", "0 7 * * *", "--graph", "counter.py"]
    process = begin(point, *words)
    read_until(process, f"at {point}")
    process.terminate()
    process.communicate()
    assert process.returncode == -signal.SIGTERM
    assert call(folder, "doctor", "--store", "runs.db").returncode == 0
