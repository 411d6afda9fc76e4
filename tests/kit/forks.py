"""Run programs in forks of a process that has loaded the package, so that a program costs hundredths of a second.

Use it for tests of a program's own life and death, not of Python's start: a process mostly spends its time on imports.
Each test process has one server, which has opened nothing and has one thread. For each line of its stdin, an `Order`,
it forks a child, which runs the program as `python PROGRAM` or `python -m MODULE` would. `run` waits for its end;
`start` returns at once, with pipes to the child, so that many run in parallel; `start_on` gives it a terminal.

A program that was started has a session of its own, so that a test can suspend it. In the process group of the tests,
the kernel would continue a suspended program as soon as the shell that started the tests ends: it sends SIGHUP and
SIGCONT to a group that becomes orphaned while one of its processes is stopped. A keeper, a process between the server
and the program, kills the program and the program's children when it receives Ctrl-C or when the test process ends.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from io import BufferedReader, FileIO, TextIOWrapper
from pathlib import Path
from threading import Timer
from typing import Any, Final, NamedTuple, TextIO, TypeVar
from weakref import finalize

ROOT: Final = Path(__file__).resolve().parents[2]
SECONDS: Final = 60
"""A program that takes longer is killed by SIGALRM."""
LONG_SECONDS: Final = 1800
"""The same for a program that is started: by then its test was killed, and left it behind."""
PATIENCE_SECONDS: Final = 300
"""How long a test waits here for anything else before it fails."""
LOADED: Final = (
    "graphengine.agents.agent",
    "graphengine.api.graph",
    "graphengine.cli.driving",
    "graphengine.cli.inputs",
    "graphengine.cli.main",
    "graphengine.cli.run",
    "graphengine.worker.worker",
    "graphengine.databases.sqlite",
    "docstring_parser",
    "filelock",
    "json_repair",
    "jsonschema",
    "rich.console",
    "rich.text",
    "tomllib",
)
"""What every server imports."""
HTTP: Final = ("anyio._backends._asyncio", "httpcore2", "httpx2")
"""What a client of HTTP imports: the names from here on are for `Order.loads`."""
MODELS: Final = ("graphengine.models.anthropic", "graphengine.models.openai", "genai_prices.data")
SDKS: Final = ("anthropic", "openai", *MODELS, *HTTP)
"""What a caller of models imports."""
SERVER: Final = ("anyio._backends._asyncio", "uvicorn.protocols.http.auto", "starlette.applications")
"""What a server of HTTP imports."""
DESCRIBED: Final = ("tests.kit.docstrings",)
"""What describes documents imports, to find them described."""
INSPECTOR: Final = ("graphengine.serve.inspector.server", "graphengine.render.charts.timeline", *SERVER, *DESCRIBED)
SERVICE: Final = (
    "graphengine.serve.service.server",
    "graphengine.serve.service.app",
    "graphengine.cli.serve",
    *SERVER,
    *DESCRIBED,
)
A2A: Final = ("graphengine.serve.service.a2a_door", "graphengine.agents.a2a", "a2a.client")
"""What a server of A2A imports besides."""
MCP: Final = ("graphengine.serve.service.mcp_door", "graphengine.cli.mcp")
"""What a server of MCP imports besides."""
WORKFLOWS: Final = ("csv", "difflib", "networkx")
"""What the bundled workflows import. Theirs, `graphs` and `nodes`, would hide the copies of a new project."""
PIPES: Final = ("report", "stdin", "stdout", "stderr")
Runs = TypeVar("Runs", bound="Child")
_KEPT: Final[dict[str, object]] = {}
"""In a server: the modules that it has imported, and this itself."""


class Order(NamedTuple):
    """What to run.

    Attributes:
        program: A file, or the name of a module.
        words: Its arguments.
        folder: The current folder.
        variables: All environment variables.
        loads: Modules that the server imports first, for this program and all later ones. Those of pytest are known.
        pipes: The folder of the named pipes of a program that is not waited for, which are named as in `PIPES`.
        screen: A terminal, which becomes the program's own, or a file: its stdin, stdout and stderr instead of pipes.
    """

    program: str
    words: Sequence[str]
    folder: str
    variables: Mapping[str, str]
    loads: Sequence[str] = ()
    pipes: str = ""
    screen: str = ""


class Child:
    """A program that is running, used as a `subprocess.Popen` without streams."""

    def __init__(self, order: Order) -> None:
        self._report = _reader(Path(order.pipes, "report"))
        _send(_server(sys.executable), order)
        first = self._line(f"the start of {order.program}", PATIENCE_SECONDS).strip()
        if not first.isdecimal():
            self._report.close()
            raise ImportError(first)
        self.pid = int(first)
        self.returncode: int | None = None

    def _line(self, awaited: str, seconds: float) -> str:
        """Return the next line of the keeper's report.

        Raises:
            subprocess.TimeoutExpired: The keeper reported nothing for so many seconds.
        """
        if not select.select([self._report], [], [], seconds)[0]:
            raise subprocess.TimeoutExpired(awaited, seconds)
        return self._report.readline().decode()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM, unless it has ended."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it as `kill -9` does, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def stop(self) -> None:
        """Send SIGSTOP, and return when it has stopped."""
        os.kill(self.pid, signal.SIGSTOP)
        assert self._line(f"the stop of process {self.pid}", SECONDS) == "stopped\n", "it ended"

    def poll(self) -> int | None:
        """Return its exit code if it has ended."""
        has_ended = self.returncode is not None or select.select([self._report], [], [], 0)[0]
        return self.wait() if has_ended else None

    def wait(self, timeout: float = PATIENCE_SECONDS) -> int:
        """Wait for its end, at most this many seconds, and return its exit code: minus the signal that killed it."""
        if self.returncode is None:
            self.returncode = int(self._line(f"the end of process {self.pid}", timeout))
        return self.returncode

    def end(self) -> Any:
        """Wait for its end, and close what it holds here."""
        self.wait()
        self._report.close()


class Started(Child):
    """The same with pipes to all its streams."""

    def __init__(self, order: Order) -> None:
        stdin, stdout, stderr = (Path(order.pipes, name) for name in PIPES[1:])
        with contextlib.ExitStack() as stack:
            held = os.open(stdin, os.O_RDWR)  # it has a reader and a writer: neither side waits for the other one
            stack.callback(os.close, held)
            self.stdout, self.stderr = (
                TextIOWrapper(BufferedReader(_reader(each)), "utf-8") for each in (stdout, stderr)
            )
            opened = stack.enter_context(contextlib.ExitStack())
            opened.callback(self.stdout.close)
            opened.callback(self.stderr.close)
            super().__init__(order)
            self.stdin = stdin.open("w", encoding="utf-8")
            opened.pop_all()

    def communicate(self, timeout: float = SECONDS) -> tuple[str, str]:
        """Do the same as `end`; kill a program that takes longer, which is then its exit code."""
        return self._rest(timeout)[0]

    def end(self) -> tuple[str, str]:
        """Wait for its end, close its pipes, and return the rest of its stdout and of its short stderr.

        Raises:
            subprocess.TimeoutExpired: The program did not end within `PATIENCE_SECONDS`, and was killed.
        """
        (output, errors), was_killed = self._rest(PATIENCE_SECONDS)
        if was_killed:
            raise subprocess.TimeoutExpired(f"the end of process {self.pid}", PATIENCE_SECONDS, output, errors)
        return output, errors

    def _rest(self, timeout: float) -> tuple[tuple[str, str], bool]:
        """Return what `end` returns, and whether the program took longer than this and was killed with its children."""
        watchdog = Timer(timeout, kill_group, [self.pid])
        watchdog.start()
        try:
            self.stdin.close()
            output, errors = ("" if pipe.closed else pipe.read() for pipe in (self.stdout, self.stderr))
            super().end()
        finally:
            was_killed = watchdog.finished.is_set()
            watchdog.cancel()
        for pipe in (self.stdout, self.stderr):
            pipe.close()
        return (output, errors), was_killed


def kill_group(program: int) -> None:
    """Kill a program that was started, and its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program, signal.SIGKILL)


def start(
    program: Path | str,
    *words: str,
    folder: Path = ROOT,
    variables: Mapping[str, str] | None = None,
    loads: Sequence[str] = (),
) -> Started:
    """Start a program, and return when it runs; the test ends it. The arguments are those of `run`."""
    given = {**os.environ, "PYTHONPATH": str(ROOT), **(variables or {})}
    return _started(Started, Order(str(program), words, str(folder), given, loads))


def start_on(screen: Path | str, program: Path | str, *words: str, folder: Path, variables: Mapping[str, str]) -> Child:
    """Start a program with all its variables on a terminal or a file, and return when it has opened that."""
    return _started(Child, Order(str(program), words, str(folder), variables, screen=str(screen)))


def _started(kind: type[Runs], order: Order) -> Runs:
    with tempfile.TemporaryDirectory() as pipes:  # the pipes stay while they are open
        for name in PIPES:
            os.mkfifo(Path(pipes, name))
        return kind(order._replace(pipes=pipes))


def _reader(pipe: Path) -> FileIO:
    """Open a named pipe for reading without waiting for a writer."""
    opened = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(opened, True)
    return FileIO(opened)


def _send(server: "subprocess.Popen[str]", order: Order) -> None:
    assert server.stdin is not None
    server.stdin.write(json.dumps(order) + "\n")
    server.stdin.flush()


def run(
    program: Path | str,
    *words: str,
    folder: Path | None = None,
    variables: Mapping[str, str] | None = None,
    loads: Sequence[str] = (),
) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end or its death; the arguments are as in `Order`, `variables` are set as well."""
    given = {**os.environ, "PYTHONPATH": str(ROOT), **(variables or {})}
    return run_order(Order(str(program), words, str(folder or Path.cwd()), given, loads))


def run_order(order: Order, python: str = sys.executable) -> "subprocess.CompletedProcess[str]":
    """Do the same with all variables of the program, in a fork of an interpreter that may have other packages."""
    server = _server(python)
    assert server.stdout is not None
    _send(server, order)
    if not select.select([server.stdout], [], [], PATIENCE_SECONDS)[0]:
        raise subprocess.TimeoutExpired(f"the end of {order.program}", PATIENCE_SECONDS)
    answer = server.stdout.readline()
    assert answer, f"the server of forks ended at {order.program}"
    code, output, errors = json.loads(answer)
    if code is None:
        raise ImportError(errors)
    return subprocess.CompletedProcess([order.program, *order.words], code, output, errors)


@cache
def _server(python: str) -> "subprocess.Popen[str]":
    variables = {**os.environ, "PYTHONPATH": str(ROOT) if python == sys.executable else ""}
    words = [python, __file__]
    server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables, text=True)
    finalize(server, _close, server)
    return server


def _close(server: "subprocess.Popen[str]") -> None:
    """Let a server end, and wait for its end."""
    try:
        server.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        raise


def _serve() -> None:
    """Fork a child for each order. Only a child returns, after its program."""
    atexit.register(_spare)  # the first, so it is called last
    for name in LOADED:
        importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    keepers: set[int] = set()
    for line in sys.stdin:
        order = Order(*json.loads(line))
        if missing := _load(order):
            if order.pipes:
                Path(order.pipes, "report").write_text(f"{missing}\n", encoding="utf-8")
            else:
                answers.write(json.dumps([None, "", missing]) + "\n")
                answers.flush()
            continue
        _KEPT.update(sys.modules, kept=_KEPT)
        gc.freeze()  # a child then copies fewer pages
        if order.pipes:
            while (ended := _ended_child()) in keepers:
                keepers.remove(ended)
            keeper = os.fork()
            if not keeper:
                answers.close()
                _keep(order)
                return
            keepers.add(keeper)
            continue
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            child = os.fork()
            if child == 0:
                signal.alarm(SECONDS)
                with open(os.devnull, encoding="utf-8") as nothing:  # noqa: PTH123 - a file descriptor is needed
                    _live(order, [nothing.fileno(), output.fileno(), errors.fileno()])
                return
            _, status = os.waitpid(child, 0)
            texts = [_text(file) for file in (output, errors)]
        answers.write(json.dumps([os.waitstatus_to_exitcode(status), *texts]) + "\n")
        answers.flush()
    for keeper in keepers:  # the test process has ended
        os.kill(keeper, signal.SIGTERM)


def _spare() -> None:
    """Let a child free only what its program has made and imported, at its end.

    Freeing what the server had imported would take most of its time. Nothing does: `_KEPT` refers to itself, and the
    garbage collector does not look at what is frozen.
    """
    for name in _KEPT.keys() - {"__main__", "builtins", "sys"}:
        sys.modules.pop(name, None)


def _load(order: Order) -> str:
    """Import what a program needs. Return what is wrong with a module that cannot be imported."""
    for name in order.loads:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - else the server dies, and whoever ordered waits for ever
            return f"{order.program} needs {name}: {' '.join(str(error).split())}"
    if _is_pytest(order):
        _load_pytest()
    return ""


def _is_pytest(order: Order) -> bool:
    return Path(order.program).name == "pytest"


@cache
def _load_pytest() -> None:
    """Import pytest and its plugins, and those modules that they import in each process."""
    try:
        from _pytest.config import default_plugins  # noqa: PLC0415
    except ModuleNotFoundError:
        return  # the environment has none: only the program's path has

    plugins = [entry.module for entry in entry_points(group="pytest11")]
    for name in (*(f"_pytest.{each}" for each in default_plugins), *plugins, "hypothesis.internal.observability"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _spare_loaded() -> None:
    """Keep pytest from warning that it cannot rewrite the assertions of packages that the server has imported."""
    for name, module in sys.modules.items():
        if "." not in name and name not in sys.stdlib_module_names:
            module.__doc__ = f"{module.__doc__ or ''}\n\nPYTEST_DONT_REWRITE"


def _text(file: TextIO) -> str:
    file.seek(0)
    return file.read()


def _ended_child() -> int:
    """Return the number of a child that has ended since the last call, or 0."""
    try:
        return os.waitpid(-1, os.WNOHANG)[0]
    except ChildProcessError:
        return 0


def _keep(order: Order) -> None:
    """Fork the program, wait for its end and report it, all in a process of its own. Only the program returns."""
    report = os.fdopen(os.open(Path(order.pipes, "report"), os.O_WRONLY | os.O_NONBLOCK), "w", buffering=1)
    opened = os.pipe()
    child = os.fork()
    if child:
        os.close(1)
        os.close(opened[1])
        os.read(opened[0], 1)  # until the child has a session of its own and has opened its streams
        _kill_at_the_end(child)
        with contextlib.suppress(BrokenPipeError):  # the test process has ended
            report.write(f"{child}\n")
            while os.WIFSTOPPED(status := os.waitpid(child, os.WUNTRACED)[1]):
                report.write("stopped\n")
            report.write(f"{os.waitstatus_to_exitcode(status)}\n")
        os._exit(0)
    report.close()
    signal.alarm(LONG_SECONDS)
    os.setsid()  # a terminal becomes its own, and Ctrl-C comes from there
    ways = (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)
    pipes = zip((Path(order.pipes, name) for name in PIPES[1:]), ways, strict=True)
    streams = [os.open(order.screen, os.O_RDWR)] * 3 if order.screen else [os.open(*each) for each in pipes]
    for end in opened:
        os.close(end)
    _live(order, streams)


def _kill_at_the_end(program: int) -> None:
    """Kill a program and its children when this process, its keeper, is told to end, as Ctrl-C tells all tests to."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` ignores SIGHUP
            signal.signal(number, lambda *_: kill_group(program))


def _live(order: Order, streams: Sequence[int]) -> None:
    """Run a program in this process, a child, with these as stdin, stdout and stderr."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.environ.clear()
    os.environ.update(order.variables)
    if (ids := sys.modules.get("graphengine.runner.ids")) is not None:
        setattr(ids, "new_nonce", lambda: "k3x9ab")  # noqa: B010 - as in tests/conftest.py, so that pages show the same ids
    os.chdir(order.folder)
    further = order.variables.get("PYTHONPATH", "").split(os.pathsep)
    sys.path += [each for each in further if each and each not in sys.path]
    if _is_pytest(order):
        _spare_loaded()
    if os.sep in order.program:
        sys.argv[:] = [order.program, *order.words]
        sys.path[0] = str(Path(order.program).parent)
        runpy.run_path(order.program, run_name="__main__")
    else:
        sys.argv[:] = ["-m", *order.words]
        sys.path[0] = order.folder
        runpy.run_module(order.program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve()
