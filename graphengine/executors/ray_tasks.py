"""Run heavy nodes as Ray tasks, on this machine or on a cluster."""

from __future__ import annotations

import atexit
import importlib
import logging
import math
import os
import pickle
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import BrokenExecutor, Future
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from graphengine.errors import DefinitionError, ExecutorUnreachable
from graphengine.executors.base import ThreadedExecutor
from graphengine.executors.calls import read_returned
from graphengine.executors.ray_driver import (
    MOST_CALLS,
    Begin,
    Begun,
    Connect,
    Connected,
    DriverMessage,
    End,
    NotConnected,
    Over,
    Waits,
    send,
)
from graphengine.kernel.inside import install_command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from pydantic import PositiveFloat

T = TypeVar("T")

log = logging.getLogger("graphengine.executors")

_LOCAL: Final = "local"
_OWN: Final = {
    "max_retries": "the Runner repeats nodes: graph.add_node(…, retry=Retry(attempts=3))",
    "retry_exceptions": "the Runner repeats nodes: graph.add_node(…, retry=Retry(on=(OSError,)))",
    "num_returns": "leave out this option: a node has one result",
    "_generator_backpressure_num_objects": "leave out this option: it shows RayExecutor when a call has begun",
}
"""The options of a Ray task that a RayExecutor sets itself, each with advice for users who want to set it."""
_PROGRAM: Final = (
    "import sys; sys.path[:] = sys.argv[1:]; from graphengine.executors.ray_driver import main; sys.exit(main())"
)
_SAY_SECONDS: Final = 5.0
"""The time after which a warning about a cluster that does not answer is logged."""
_SAY_AGAIN_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.2
"""The time between two checks whether a call that waits for its cluster is still wanted."""
_END_SECONDS: Final = 30.0
"""The longest time that the child process may take to end a call. It is longer than the time that Ray gets."""
_CLOSE_SECONDS: Final = 5.0
"""The longest time that a child process may take to leave its cluster."""
_LINE_OF_RAY: Final = re.compile(r"^\[[^\]]* [EC] \d+ \d+\] (?:\(\w+\) )?[\w.]+:\d+:\s+(.*)$", re.MULTILINE)
"""A line in which Ray says why it ends a process."""


class RayDied(BrokenExecutor):
    """The worker process of Ray that ran a call ended before the call was finished."""


class RayExecutor(ThreadedExecutor["_TaskCall"]):
    """Runs heavy nodes as tasks of a Ray cluster. Needs the extra `ray`, here and on the cluster.

    A `RayExecutor` uses the first of these clusters that applies:

    1. The cluster at `address`.
    2. The cluster that the environment variable RAY_ADDRESS names.
    3. The cluster to which the program is already connected.
    4. A new cluster on this machine, which lives as long as this process.

    A `RayExecutor` never uses a cluster only because it happens to run on this machine.

    A `RayExecutor` starts a child process that connects to the cluster at the first call. If the connection is lost,
    for example because the cluster was restarted, the executor makes a new connection. Calls that had not begun are
    then sent again within the same attempt of their nodes. Calls that had already begun fail with `worker_died`.

    Args:
        num_cpus: The processors that a call occupies.
        num_gpus: The graphics processors that a call occupies.
        memory: The memory that a call needs, in bytes.
        resources: Other resources that a call occupies, by name.
        address: The address of a cluster, as for `ray.init`.
        init: Further arguments of `ray.init`. For example, `runtime_env` sends code, packages and environment variables
            to the cluster.
        options: Further options of a Ray task.
        reach_seconds: How long a call waits until a cluster answers, and until the cluster has a machine with the
            resources of the call. After this time the node fails as `executor_unreachable`. If such machines exist and
            are only busy, the call waits without a limit.

    Raises:
        DefinitionError: The extra is missing, or an option is invalid.

    Example:
        >>> executor = RayExecutor(num_gpus=1)  # doctest: +SKIP
        >>> runner = Runner(executors={"gpu": executor})  # doctest: +SKIP
    """

    def __init__(  # noqa: PLR0913 - what Ray places a task by
        self,
        *,
        num_cpus: float = 1,
        num_gpus: float = 0,
        memory: float | None = None,
        resources: Mapping[str, float] | None = None,
        address: str | None = None,
        init: Mapping[str, object] | None = None,
        options: Mapping[str, object] | None = None,
        reach_seconds: PositiveFloat = 60,
    ) -> None:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # A warning of Ray asks for this setting.
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError:
            text = "RayExecutor needs the Python package 'ray', which is not installed"
            raise DefinitionError(text, where="RayExecutor()", repair=install_command("ray")) from None
        self._address = address
        self._init = dict(init or {})
        self._reach_seconds = reach_seconds
        self._options: dict[str, Any] = {"num_cpus": num_cpus, "num_gpus": num_gpus, **(options or {})}
        self._options |= {} if memory is None else {"memory": memory}
        self._options |= {} if resources is None else {"resources": dict(resources)}
        self._check()
        super().__init__(MOST_CALLS, "graphengine-ray")

    def _check(self) -> None:
        """Check the options of the Ray tasks when the executor is made. Ray itself checks them at the first call.

        Raises:
            DefinitionError: The executor sets an option itself, or Ray refuses an option.
        """
        if "address" in self._init:
            message = "RayExecutor(init=…) contains an address, which is an argument of its own"
            raise DefinitionError(message, repair="give the address as RayExecutor(address=…)")
        for name in self._options.keys() & _OWN.keys():
            text = f"RayExecutor(options={{{name!r}: …}}) is not allowed, because RayExecutor sets this option itself"
            raise DefinitionError(text, where="RayExecutor()", repair=_OWN[name])
        try:
            self._ray.remote(**self._options)
            self._ray.remote(**self._options)(_do_no_work)
        except (TypeError, ValueError) as error:
            is_of_job = any(name in str(error) for name in ("job level", "URI"))
            repair = "set this for the whole job: RayExecutor(init={'runtime_env': …})" if is_of_job else ""
            raise DefinitionError(
                f"Ray refuses the options of a task: {error}",
                where="RayExecutor()",
                repair=repair or "give options that ray.remote accepts",
            ) from error

    def dumps(self, value: object) -> bytes:
        """Pickle a value with Ray's cloudpickle. Lambdas and functions of `__main__` are sent as code."""
        found: bytes = self._ray.cloudpickle.dumps(value)
        return found

    def why_died(self, error: BaseException) -> str:
        """Return how the worker process of a call ended; "" if the error does not mean that the process died."""
        return str(error) if isinstance(error, RayDied) else ""

    def _new(self) -> _TaskCall:
        return _TaskCall(self._options, self._connection, self._reach_seconds)

    def _run(self, load: Callable[[], Callable[[], T]], seconds: float | None, call: _TaskCall) -> T:
        return cast("T", read_returned(call.run(self.dumps(load), seconds)))

    def _connection(self) -> _Connection:
        """Return the connection of this process to the Ray cluster. Executors with the same settings share it."""
        ray, init, address = self._ray, self._init, self._address or os.environ.get("RAY_ADDRESS")
        if not address and ray.is_initialized():
            its = ray.get_runtime_context()
            address = its.gcs_address
            init = {"runtime_env": dict(its.runtime_env), "namespace": its.namespace, **init}
        options = {"log_to_driver": False, "logging_level": "ERROR", **init, "address": address or _LOCAL}
        wanted = Connect(options, os.path.realpath(sys.argv[0]))
        key = self.dumps(wanted)
        with _Connection.made:
            if key not in _Connection.by_settings:
                _Connection.by_settings[key] = _Connection(key, address or "")
            return _Connection.by_settings[key]


class _TaskCall:
    """A call that runs as a task of a Ray cluster. A thread of the executor waits for its result."""

    numbers: Final = count(1)

    def __init__(self, options: Mapping[str, Any], connection: Callable[[], _Connection], reach_seconds: float) -> None:
        self._number = next(self.numbers)
        self._options = options
        self._connection = connection
        self._reach_seconds = reach_seconds
        self._messages: queue.SimpleQueue[DriverMessage] = queue.SimpleQueue()
        self._driver: _Driver | None = None
        self._is_unwanted = False
        self._lock = threading.Lock()

    def run(self, work: bytes, seconds: float | None) -> bytes:
        """Run the call on the cluster and return its outcome.

        If the connection is lost before the call begins, start again.

        Raises:
            ExecutorUnreachable: The task could not begin.
            RayDied: The task began, and the process that ran it ended.
            TimeoutError: The task ran for too long, or is no longer wanted.
        """
        connection = self._connection()
        waiting = _Waiting(self._reach_seconds, connection)
        while True:
            driver = self._await_driver(connection, waiting)
            with self._lock:
                if self._is_unwanted:
                    raise TimeoutError
                self._driver = driver
            driver.begin(Begin(self._number, work, seconds, self._options), self._messages)
            over = self._follow_call(driver, waiting)
            if over.how == "returned":
                return over.value
            if over.how == "timeout" or self._is_unwanted:
                raise TimeoutError
            if over.how == "unreachable":
                raise waiting.unreachable(over.why)
            if over.has_begun or over.how == "died":
                raise RayDied(over.why)
            waiting.note(f"a connection was lost: {over.why}")
            time.sleep(_PAUSE_SECONDS)

    def _await_driver(self, connection: _Connection, waiting: _Waiting) -> _Driver:
        """Wait until the child process has connected to the Ray cluster, and return the child process's object."""
        while True:
            driver = connection.driver()
            try:
                refused = driver.ready.result(_PAUSE_SECONDS)
            except TimeoutError:
                refused = None
            else:
                if refused is None:
                    return driver
                if refused.is_final:
                    raise waiting.unreachable(refused.why)
                time.sleep(_PAUSE_SECONDS)
            if self._is_unwanted:
                raise TimeoutError
            try:
                waiting.note(refused.why if refused is not None else "")
            except ExecutorUnreachable:
                if not driver.ready.done():
                    driver.kill()  # The child process may be stuck. The next call starts another child.
                raise

    def _follow_call(self, driver: _Driver, waiting: _Waiting) -> Over:
        """Wait for the messages of the child process about this call until the call is over, and return how it ended.

        Raises:
            ExecutorUnreachable: No machine offers the resources of the call, and the call was given up before it began.
        """
        has_begun, given_up, until = False, None, math.inf
        while True:
            try:
                message = self._messages.get(timeout=_PAUSE_SECONDS)
            except queue.Empty:
                if until == math.inf and (self._is_unwanted or given_up):
                    until = time.monotonic() + _END_SECONDS
                if time.monotonic() >= until:
                    driver.kill()  # The child process is stuck. When it ends, its work ends too.
                continue
            if isinstance(message, Over):
                over = message._replace(has_begun=has_begun) if message.how == "lost" else message
                if given_up is None or over.how == "returned":
                    return over
                if not over.has_begun:
                    raise given_up
                return over._replace(how="died", why="it began as it was given up")
            has_begun = has_begun or isinstance(message, Begun)
            if isinstance(message, Waits) and given_up is None:
                try:
                    waiting.note_place(message.lacks)
                except ExecutorUnreachable as error:
                    given_up = error
                    driver.send(End(self._number))

    def end(self) -> None:
        """End a call on the cluster that is no longer wanted, so that the thread which waits for the call returns."""
        with self._lock:
            self._is_unwanted, driver = True, self._driver
        if driver is not None:
            driver.send(End(self._number))


class _Waiting:
    """Measures how long a call has waited for its Ray cluster, and gives the call up after `reach_seconds`.

    A call waits for an answer of the cluster, or for a machine that has room for the call.
    """

    def __init__(self, reach_seconds: float, connection: _Connection) -> None:
        self._reach_seconds = reach_seconds
        self._connection = connection
        self._since: float | None = None
        self._why = ""

    def note(self, why: str) -> None:
        """Register that the cluster has not answered this call yet.

        If this lasts, a warning is logged at most once a minute.

        Args:
            why: The error with which the cluster could not be reached; "" if it is not known.

        Raises:
            ExecutorUnreachable: The cluster has not answered for too long.
        """
        self._why = why or self._why
        answer = f": {self._why}" if self._why else ""
        self._note(f"{self._connection.place} does not answer{answer}", "start it, or correct the address")

    def note_place(self, lacks: str) -> None:
        """Register that the call has not begun yet, because no machine of the cluster has room for it.

        The time counts against `reach_seconds` only if no machine offers the resources. If machines are only busy, the
        call may wait as long as it takes.

        Args:
            lacks: The resources that no machine offers; "" if machines offer them and are only busy.

        Raises:
            ExecutorUnreachable: For too long, no machine has offered the resources.
        """
        if lacks:
            self._note(f"no machine of {self._connection.place} offers {lacks}", "add such a machine, or ask for less")
            return
        self._since = None

    def unreachable(self, why: str) -> ExecutorUnreachable:
        """Build the error for a call that this cluster can never run."""
        text = f"{self._connection.place} cannot begin the call: {why}"
        return ExecutorUnreachable(text, repair="correct the settings of the executor")

    def _note(self, what: str, repair: str) -> None:
        now = time.monotonic()
        if self._since is None:
            self._since = now
        waited = now - self._since
        if waited >= self._reach_seconds:
            more = f"{repair}; a larger reach_seconds= waits longer, and retry= tries again"
            raise ExecutorUnreachable(f"{what}, after {waited:.0f} s", repair=more)
        if waited >= _SAY_SECONDS:
            self._connection.say(f"{what}; nodes wait for it, each at most {self._reach_seconds:g} s")


class _Connection:
    """This process's connection to a Ray cluster. A child process holds the connection, and is replaced if it ends.

    Attributes:
        place: A description of the cluster for messages.
        by_settings: The connections of this process, by their settings.
        made: The lock that is held while a connection is added.
    """

    by_settings: Final[dict[bytes, _Connection]] = {}
    made: Final = threading.Lock()

    def __init__(self, wanted: bytes, address: str) -> None:
        self.place = f"the Ray cluster at {address}" if address else "the Ray cluster of this process"
        self._wanted = wanted
        self._driver: _Driver | None = None
        self._lock = threading.Lock()
        self._said: dict[str, float] = {}
        atexit.register(self._close)

    def driver(self) -> _Driver:
        """Return the child process that holds the connection to the cluster, after starting it if it does not run.

        The child process may not be connected to the cluster yet.
        """
        with self._lock:
            if self._driver is None or self._driver.is_over:
                self._driver = _Driver(self._wanted)
            return self._driver

    def say(self, what: str) -> None:
        """Log a warning about calls that wait for the cluster. The same warning is logged at most once a minute."""
        now = time.monotonic()
        if now - self._said.get(what, -_SAY_AGAIN_SECONDS) >= _SAY_AGAIN_SECONDS:
            self._said[what] = now
            log.warning("%s", what)

    def _close(self) -> None:
        if self._driver is not None:
            self._driver.close()


class _Driver:
    """Represents the child process that holds the connection to a Ray cluster, in the process that started it.

    The module `ray_driver` contains the program of the child process.

    Attributes:
        ready: A future whose result is None when the child is connected, or the reason why it could not connect.
        is_over: Whether the child has ended or is about to end.
    """

    def __init__(self, wanted: bytes) -> None:
        self.ready: Future[NotConnected | None] = Future()
        self.is_over = False
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._calls: dict[int, queue.SimpleQueue[DriverMessage]] = {}
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - for as long as the process runs
        command = [sys.executable, "-c", _PROGRAM, *sys.path]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._output)  # noqa: S603 - our own
        self._to, self._from = cast("BinaryIO", self._process.stdin), cast("BinaryIO", self._process.stdout)
        with suppress(OSError):  # The child may have ended already.
            self._to.write(wanted)
            self._to.flush()
        threading.Thread(target=self._read, name="graphengine-ray-driver", daemon=True).start()

    def begin(self, begin: Begin, messages: queue.SimpleQueue[DriverMessage]) -> None:
        """Ask the child process to run a call on the Ray cluster.

        Args:
            begin: The message that describes the call.
            messages: The queue that receives the messages of the child process about this call.
        """
        with self._lock:
            self._calls[begin.call] = messages
        self.send(begin)
        if self.is_over:
            self._lose(begin.call, "it has ended")

    def send(self, message: Begin | End) -> None:
        """Send a message to the child process. If the child has ended, the thread that reads from it finds out."""
        with self._sending, suppress(OSError, ValueError):  # The thread that reads finds out that the child has ended.
            send(self._to, message)

    def kill(self) -> None:
        self.is_over = True
        self._process.kill()

    def close(self) -> None:
        """Let the child process disconnect from its Ray cluster, and wait until it has ended."""
        if not self.ready.done():
            self._process.kill()
        with suppress(OSError):
            self._to.close()
        try:
            self._process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        with suppress(EOFError, OSError, pickle.UnpicklingError), self._from as stream:
            while True:
                message: DriverMessage = pickle.load(stream)  # noqa: S301 - from our own child
                if isinstance(message, Connected):
                    self.ready.set_result(None)
                elif isinstance(message, NotConnected):
                    self.is_over = True
                    self.ready.set_result(message)
                else:
                    with self._lock:
                        receiver = self._calls.get(message.call)
                        if isinstance(message, Over):
                            self._calls.pop(message.call, None)
                    if receiver is not None:
                        receiver.put(message)
        self.is_over = True
        why = self._why_ended(self._process.wait())
        if not self.ready.done():
            self.ready.set_result(NotConnected(why, is_final=False))
        for call in list(self._calls):
            self._lose(call, why)
        self._output.close()
        with self._sending, suppress(OSError):
            self._to.close()

    def _lose(self, call: int, why: str) -> None:
        with self._lock:
            receiver = self._calls.pop(call, None)
        if receiver is not None:
            receiver.put(Over(call, "lost", why))

    def _why_ended(self, code: int) -> str:
        """Find the reason why the child process ended in the output that Ray printed."""
        self._output.seek(0)
        lines = _LINE_OF_RAY.findall(self._output.read().decode(errors="replace"))
        return lines[-1].partition(". ")[0] if lines else f"the connected process ended with {code}"


def _do_no_work() -> None:
    """Do nothing. The executor makes this function a task, so that Ray checks the options of tasks."""
