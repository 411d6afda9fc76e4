"""The process that is connected to a Ray cluster for the executors of another one, which starts it as a child.

Ray has one connection for each process, and keeps it: it ends the whole process once its cluster has been away for a
minute, a lost one cannot be replaced, and nothing interrupts `ray.init`. Here that costs a child. Where it ends, Ray
ends the work that it began, and whoever needs a connection starts another child.

Messages are pickles, on standard input and output. A task is a generator of two values, of which Ray makes the second
only when the first was taken (`_generator_backpressure_num_objects`). So a call whose first value did not arrive has
not begun, whatever happened to the cluster.
"""

from __future__ import annotations

import importlib
import math
import os
import pickle
import signal
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from graphengine.executors.calls import call_as_bytes, raised
from graphengine.kernel.inside import reraise_interrupt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Executor
    from typing import BinaryIO

MOST_CALLS: Final = 1000
"""How many calls can be on their way at a time; each takes a thread, which waits for Ray."""
_QUIET_SECONDS: Final = 5.0
"""After how long it is said what a call waits for, and how often that is looked up."""
_END_SECONDS: Final = 20.0
"""How long Ray may take to end a task."""


How: TypeAlias = Literal["returned", "timeout", "died", "unreachable", "again", "lost"]


class Connect(NamedTuple):
    """The first message: where to connect to, and whose functions are called."""

    options: Mapping[str, object]
    script: str


class Begin(NamedTuple):
    """Run a call."""

    call: int
    work: bytes
    seconds: float | None
    options: Mapping[str, Any]


class End(NamedTuple):
    """End a call that is not wanted any more."""

    call: int


class Connected(NamedTuple):
    """The cluster answers."""


class Refused(NamedTuple):
    """The cluster does not answer, or cannot be used."""

    why: str
    is_final: bool


class Waits(NamedTuple):
    """A call has not begun, since every machine that it can run on is busy, or since there is none."""

    call: int
    lacks: str


class Begun(NamedTuple):
    """A call is loaded, and may begin from now on: told before its first value is taken."""

    call: int


class Over(NamedTuple):
    """A call is over: `value` is the outcome of one that returned.

    `unreachable`: the cluster can never begin it; `again`: it has not begun, and can; `lost`: this process ended, and
    could not say whether it had.
    """

    call: int
    how: How
    why: str = ""
    value: bytes = b""
    has_begun: bool = False


Told: TypeAlias = "Connected | Refused | Waits | Begun | Over"


def send(stream: BinaryIO, message: object) -> None:
    """Send a message."""
    pickle.dump(message, stream, pickle.HIGHEST_PROTOCOL)
    stream.flush()


def main() -> None:
    """Serve the process that started this one, until it ends or closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the Runner, which ends its calls
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what Ray prints
    wanted: Connect = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
    sys.argv[0] = wanted.script  # Ray puts its folder on the path of the cluster's workers
    ray = importlib.import_module("ray")
    try:
        ray.init(**wanted.options)
    except BaseException as error:  # noqa: BLE001 - told to the parent
        may_pass = isinstance(error, (ConnectionError, TimeoutError, ray.exceptions.RayError))
        send(out, Refused(_first_of_text(error), is_final=not may_pass))
        out.close()
        os._exit(1)
    send(out, Connected())
    calls = Calls(ray, out, ThreadPoolExecutor(MOST_CALLS))
    while True:
        try:
            calls.handle(pickle.load(sys.stdin.buffer))  # noqa: S301 - as above
        except EOFError:
            break
    ray.shutdown()
    os._exit(0)  # threads may still wait for tasks that were just ended


class _DriverCall:
    """A call in this process.

    Attributes:
        begin: What was asked for.
        task: Ray's generator; None before it is submitted.
        is_unwanted: Whether it is to end.
        is_begun: Whether it was loaded, and its first value taken, so that it may run.
    """

    def __init__(self, begin: Begin) -> None:
        self.begin = begin
        self.task: Any = None
        self.is_unwanted = False
        self.is_begun = False


class Calls:
    """The calls on their way.

    Args:
        ray: The module, which may be missing elsewhere.
        out: Where to tell what becomes of them.
        threads: Where they are waited for.
    """

    def __init__(self, ray: Any, out: BinaryIO, threads: Executor) -> None:  # noqa: ANN401 - the module
        self._ray = ray
        self._out = out
        self._telling = threading.Lock()
        self._calls: dict[int, _DriverCall] = {}
        self._threads = threads
        errors = ray.exceptions
        of_worker = (errors.RayTaskError, errors.WorkerCrashedError, errors.OutOfMemoryError)
        self._of_work = (*of_worker, errors.NodeDiedError, errors.ObjectLostError)
        self._of_place = (errors.RuntimeEnvSetupError, errors.TaskUnschedulableError)

    def handle(self, message: Begin | End) -> None:
        """Begin or end a call."""
        if isinstance(message, Begin):
            begun = self._calls[message.call] = _DriverCall(message)
            self._threads.submit(self._run, begun)
            return
        call = self._calls.get(message.call)
        if call is None:  # it is over
            return
        call.is_unwanted = True
        if call.task is not None:  # else it is ended once it is submitted
            self._threads.submit(self._cancel, call)

    def _tell(self, message: Told) -> None:
        with self._telling:
            send(self._out, message)

    def _cancel(self, call: _DriverCall) -> None:
        self._ray.cancel(call.task, force=True)

    def _run(self, call: _DriverCall) -> None:
        is_lost = False
        try:
            over = self._outcome(call)
        except BaseException as error:  # noqa: BLE001 - told to the parent
            how, is_lost = self._how(error, call)
            over = Over(call.begin.call, how, _first_of_text(error))
        self._calls.pop(call.begin.call, None)
        self._tell(over._replace(has_begun=call.is_begun))
        if is_lost:
            os._exit(1)  # Ray neither ends nor replaces a connection that does not work any more

    def _how(self, error: BaseException, call: _DriverCall) -> tuple[How, bool]:
        """Return what an error means of a call, and whether the connection is lost."""
        is_of_ray = isinstance(error, self._ray.exceptions.RayError)
        was: How = "died" if call.is_begun else "again"
        if isinstance(error, TimeoutError):
            return was, True
        if call.is_unwanted:
            return "timeout", False
        if isinstance(error, self._of_work):
            is_of_machine = isinstance(error, self._ray.exceptions.NodeDiedError)
            return was if is_of_machine else "died", False
        if not call.is_begun and (isinstance(error, self._of_place) or not is_of_ray):
            return "unreachable", False
        return was, True

    def _outcome(self, call: _DriverCall) -> Over:
        ray, begin = self._ray, call.begin
        own = {"max_retries": 0, "num_returns": "streaming", "_generator_backpressure_num_objects": 1}
        call.task = ray.remote(**own, **begin.options)(_run_and_report).remote(begin.work)
        self._wait_for_place(call)
        # 1. The first value is taken, and the work begins. 2. This process is killed before it says so. 3. Its parent
        # begins the call in another connection, beside it. So it is told before; what fails then is told again.
        self._tell(Begun(begin.call))
        ray.get(next(call.task))  # raises if it could not be loaded: then it has not begun
        call.is_begun = True
        until = math.inf if begin.seconds is None else time.monotonic() + begin.seconds
        while not ray.wait([call.task], timeout=max(0.0, min(1.0, until - time.monotonic())))[0]:
            if time.monotonic() >= until:
                call.is_unwanted = True
            if call.is_unwanted:
                self._end(call)
                return Over(begin.call, "timeout")
        return Over(begin.call, "returned", value=ray.get(next(call.task)))

    def _wait_for_place(self, call: _DriverCall) -> None:
        """Wait until a call is loaded somewhere, and tell what it waits for."""
        told = time.monotonic()
        while call.is_unwanted or not self._ray.wait([call.task], timeout=1)[0]:
            if call.is_unwanted:
                self._end(call)
                raise InterruptedError
            if time.monotonic() - told >= _QUIET_SECONDS:
                self._tell(Waits(call.begin.call, self._say_lacking(call.begin.options)))
                told = time.monotonic()

    def _say_lacking(self, options: Mapping[str, Any]) -> str:
        """Return what no machine offers; "" if one does."""
        own = {"CPU": options.get("num_cpus", 1), "GPU": options.get("num_gpus", 0), "memory": options.get("memory", 0)}
        needed = {name: count for name, count in {**own, **options.get("resources", {})}.items() if count}
        machines = [each["Resources"] for each in self._ray.nodes() if each["Alive"]]
        if any(all(each.get(name, 0) >= count for name, count in needed.items()) for each in machines):
            return ""
        alone = [f"{n}: {c:g}" for n, c in needed.items() if all(each.get(n, 0) < c for each in machines)]
        return ", ".join(alone or [f"{n}: {c:g}" for n, c in needed.items()])

    def _end(self, call: _DriverCall) -> None:
        """End a task, and return when it runs no more.

        Raises:
            TimeoutError: Ray did not end it. Then the end of this process does.
        """
        ray = self._ray
        ray.cancel(call.task, force=True)
        until = time.monotonic() + _END_SECONDS
        try:
            while time.monotonic() < until:
                if ray.wait([call.task], timeout=1)[0]:
                    ray.get(next(call.task))
        except (ray.exceptions.RayError, StopIteration):
            return
        raise TimeoutError(f"Ray did not end a task in {_END_SECONDS:.0f} s")


def _first_of_text(error: BaseException) -> str:
    """Return the beginning of an error's text: some have a page of advice."""
    first = next(iter(str(error).strip().splitlines()), "")
    return textwrap.shorten(first, 160, placeholder=" …") or type(error).__name__


def _run_and_report(work: bytes) -> Iterator[bytes]:
    """Load a call, report that, and then return its outcome. What Ray raises at SIGTERM ends the worker: it died."""
    try:
        loaded = pickle.loads(work)()  # noqa: S301 - from our own process, through Ray
    except BaseException as error:  # noqa: BLE001 - what it imports may raise anything
        reraise_interrupt(error)
        yield b""
        yield raised(error)
        return
    yield b""
    yield call_as_bytes(loaded)
