"""The child process that is connected to a Ray cluster, on behalf of the Ray executors of its parent process.

A separate process is needed because Ray allows only one connection for each process and does not let go of it: when the
cluster has been away for a minute, Ray ends the whole process; a lost connection cannot be replaced; and `ray.init`
cannot be interrupted. With a child process, only the child is lost. When the child ends, Ray ends the work that the
child began, and the parent starts another child when it needs a connection.

Messages are pickles on standard input and output.

A task is a generator of two values. Ray makes the second value only after the first value was taken
(`_generator_backpressure_num_objects`). The task loads the call before the first value and runs the call before the
second value. Therefore, if the first value was not taken, the call has not begun, whatever happened to the cluster.
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
"""The maximum number of calls at a time. Each call needs a thread, which waits for Ray."""
_QUIET_SECONDS: Final = 5.0
"""The time between two messages that tell the parent for which resources a call waits."""
_END_SECONDS: Final = 20.0
"""The longest time that Ray may take to end a task."""


How: TypeAlias = Literal["returned", "timeout", "died", "unreachable", "again", "lost"]


class Connect(NamedTuple):
    """The first message to the child process: how to connect to the cluster, and which script has the functions."""

    options: Mapping[str, object]
    script: str


class Begin(NamedTuple):
    """A message to the child process that holds the connection to Ray: run this call on the cluster.

    Attributes:
        call: The number of the call, which all messages about it contain.
        work: The packed call.
        seconds: The time limit of the call; None for no limit.
        options: The options of the Ray task.
    """

    call: int
    work: bytes
    seconds: float | None
    options: Mapping[str, Any]


class End(NamedTuple):
    """A message to the child process: end this call, because its result is no longer wanted."""

    call: int


class Connected(NamedTuple):
    """A message from the child process: it is connected to the cluster."""


class NotConnected(NamedTuple):
    """A message from the child process: it could not connect. If `is_final`, trying again would not help."""

    why: str
    is_final: bool


class Waits(NamedTuple):
    """A message from the child process: a call has not begun, because no machine has room for it.

    Attributes:
        call: The number of the call.
        lacks: The resources that no machine of the cluster offers; "" if machines offer them and are only busy.
    """

    call: int
    lacks: str


class Begun(NamedTuple):
    """A message from the child process: a machine has loaded the call, which may begin at any moment from now on."""

    call: int


class Over(NamedTuple):
    """A message from the child process: a call is over.

    Attributes:
        call: The number of the call.
        how: `returned` if the call has an outcome; `timeout` if it was ended; `died` if its worker process died;
            `unreachable` if the cluster can never begin the call; `again` if the call has not begun and can be begun
            again; `lost` if the child process ended and could not say whether the call had begun.
        why: The reason, in words.
        value: The outcome of a call that returned.
        has_begun: Whether the call had begun.
    """

    call: int
    how: How
    why: str = ""
    value: bytes = b""
    has_begun: bool = False


DriverMessage: TypeAlias = "Connected | NotConnected | Waits | Begun | Over"


def send(stream: BinaryIO, message: object) -> None:
    pickle.dump(message, stream, pickle.HIGHEST_PROTOCOL)
    stream.flush()


def main() -> None:
    """Serve the parent process until the parent process ends or closes the pipe.

    This is the main function of the child process that holds the connection to a Ray cluster.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The Runner handles Ctrl-C and ends its calls.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # Text that Ray prints on standard output goes to standard error.
    wanted: Connect = pickle.load(sys.stdin.buffer)  # noqa: S301 - from our own parent
    sys.argv[0] = wanted.script  # Ray adds the folder of this script to the path of the cluster's workers.
    ray = importlib.import_module("ray")
    try:
        ray.init(**wanted.options)
    except BaseException as error:  # noqa: BLE001 - sent to the parent
        may_pass = isinstance(error, (ConnectionError, TimeoutError, ray.exceptions.RayError))
        send(out, NotConnected(_first_of_text(error), is_final=not may_pass))
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
    os._exit(0)  # Threads may still wait for tasks that were just ended, so do not wait for the threads.


class _DriverCall:
    """A call in the child process of a `RayExecutor`: it was submitted to Ray, or is about to be.

    Attributes:
        begin: The message that requested the call.
        task: Ray's generator; None before the task is submitted.
        is_unwanted: Whether the call must be ended.
        is_begun: Whether the cluster has loaded the call, so that it may be running. The child process knows this when
            it has received the first value of Ray's generator.
    """

    def __init__(self, begin: Begin) -> None:
        self.begin = begin
        self.task: Any = None
        self.is_unwanted = False
        self.is_begun = False


class Calls:
    """The calls that the child process of a `RayExecutor` runs on the Ray cluster.

    Args:
        ray: The module `ray`, which other processes may not have.
        out: The stream for messages to the parent.
        threads: The threads that wait for the calls.
    """

    def __init__(self, ray: Any, out: BinaryIO, threads: Executor) -> None:  # noqa: ANN401 - the module
        self._ray = ray
        self._out = out
        self._sending = threading.Lock()
        self._calls: dict[int, _DriverCall] = {}
        self._threads = threads
        errors = ray.exceptions
        of_worker = (errors.RayTaskError, errors.WorkerCrashedError, errors.OutOfMemoryError)
        self._of_work = (*of_worker, errors.NodeDiedError, errors.ObjectLostError)
        self._of_place = (errors.RuntimeEnvSetupError, errors.TaskUnschedulableError)

    def handle(self, message: Begin | End) -> None:
        if isinstance(message, Begin):
            new_call = self._calls[message.call] = _DriverCall(message)
            self._threads.submit(self._run, new_call)
            return
        call = self._calls.get(message.call)
        if call is None:  # The call is over.
            return
        call.is_unwanted = True
        if call.task is not None:  # Otherwise the call is ended after it has been submitted.
            self._threads.submit(self._ray.cancel, call.task, force=True)

    def _send(self, message: DriverMessage) -> None:
        with self._sending:
            send(self._out, message)

    def _run(self, call: _DriverCall) -> None:
        is_lost = False
        try:
            over = self._outcome(call)
        except BaseException as error:  # noqa: BLE001 - sent to the parent
            how, is_lost = self._how(error, call)
            over = Over(call.begin.call, how, _first_of_text(error))
        self._calls.pop(call.begin.call, None)
        self._send(over._replace(has_begun=call.is_begun))
        if is_lost:
            os._exit(1)  # Ray neither ends nor replaces a connection that no longer works.

    def _how(self, error: BaseException, call: _DriverCall) -> tuple[How, bool]:
        """Return how a call on the cluster ended, and whether the connection to the cluster is lost, given an error."""
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
        # `Begun` is sent before the first value is taken, because of the following race:
        # 1. The first value is taken, and the work begins.
        # 2. This process is killed before it tells its parent.
        # 3. The parent begins the call again in another connection, while the first work is still running.
        # If taking the value then fails, `Over` tells the parent that the call has not begun.
        self._send(Begun(begin.call))
        ray.get(next(call.task))  # If Ray lost the task while it was loading the call, this raises: it has not begun.
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
        """Wait until a machine of the cluster has loaded the call.

        While no machine has room, tell the parent process every five seconds which resources the call needs that no
        machine of the cluster offers.

        Raises:
            InterruptedError: The call is no longer wanted, and has been ended.
        """
        reported_at = time.monotonic()
        while call.is_unwanted or not self._ray.wait([call.task], timeout=1)[0]:
            if call.is_unwanted:
                self._end(call)
                raise InterruptedError
            if time.monotonic() - reported_at >= _QUIET_SECONDS:
                self._send(Waits(call.begin.call, self._say_lacking(call.begin.options)))
                reported_at = time.monotonic()

    def _say_lacking(self, options: Mapping[str, Any]) -> str:
        """List the resources that a call needs and that no machine of the cluster offers, as a text such as "GPU: 2".

        The text is empty if some machine offers enough of each resource, and is only busy now. If each resource is
        offered somewhere, but no machine offers all of them, all needed resources are listed.
        """
        own = {"CPU": options.get("num_cpus", 1), "GPU": options.get("num_gpus", 0), "memory": options.get("memory", 0)}
        needed = {name: count for name, count in {**own, **options.get("resources", {})}.items() if count}
        machines = [each["Resources"] for each in self._ray.nodes() if each["Alive"]]
        if any(all(each.get(name, 0) >= count for name, count in needed.items()) for each in machines):
            return ""
        alone = [f"{n}: {c:g}" for n, c in needed.items() if all(each.get(n, 0) < c for each in machines)]
        return ", ".join(alone or [f"{n}: {c:g}" for n, c in needed.items()])

    def _end(self, call: _DriverCall) -> None:
        """Cancel a task of Ray, and wait until it has ended.

        Raises:
            TimeoutError: Ray did not end the task. This process must then exit, which ends the task.
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
    """Return the first line of an error's text. Some errors of Ray contain a page of advice."""
    first = next(iter(str(error).strip().splitlines()), "")
    return textwrap.shorten(first, 160, placeholder=" …") or type(error).__name__


def _run_and_report(work: bytes) -> Iterator[bytes]:
    """The task that Ray runs on the cluster: load the call, run it, and yield its outcome.

    Before the call is run, an empty value is yielded, which tells the child process that the call has been loaded.

    The exception that Ray raises at SIGTERM is not caught, so that it ends the worker process and the call counts as
    died.
    """
    try:
        loaded = pickle.loads(work)()  # noqa: S301 - from our own process, through Ray
    except BaseException as error:  # noqa: BLE001 - what it imports may raise anything
        reraise_interrupt(error)
        yield b""
        yield raised(error)
        return
    yield b""
    yield call_as_bytes(loaded)
