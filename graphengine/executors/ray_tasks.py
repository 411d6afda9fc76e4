"""Ray tasks for heavy nodes, on this machine or on a cluster."""

from __future__ import annotations

import importlib
import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, TypeVar

from graphengine.executors.base import ThreadedExecutor
from graphengine.kernel import DefinitionError, install_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")

_CONNECTING: Final = threading.Lock()
_CALLS: Final = 1000
"""How many calls can be on their way at a time; each takes a thread, which waits for Ray."""


class RayExecutor(ThreadedExecutor["_Call"]):
    """Runs heavy nodes as tasks of a Ray cluster. Needs the extra `ray`, here and on the cluster.

    A cluster that the program has not connected to is connected to at the first call: the one at `address`, the one
    that `RAY_ADDRESS` names, or else a new one on this machine, for as long as this process lives.

    Args:
        num_cpus: The processors that a call occupies.
        num_gpus: The graphics processors that a call occupies.
        memory: The memory that a call needs, in bytes.
        resources: Other resources that a call occupies, by name.
        address: The address of a cluster, as `ray.init` takes it.
        options: Further options of a Ray task, such as `runtime_env`.

    Raises:
        DefinitionError: The extra is missing.

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
        options: Mapping[str, object] | None = None,
    ) -> None:
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what Ray's warning asks for
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError:
            text = "RayExecutor needs the package ray"
            raise DefinitionError(text, where="RayExecutor()", repair=install_command("ray")) from None
        self._address = address
        self._options: dict[str, Any] = {"num_cpus": num_cpus, "num_gpus": num_gpus, **(options or {})}
        self._options |= {} if memory is None else {"memory": memory}
        self._options |= {} if resources is None else {"resources": dict(resources)}
        super().__init__(_CALLS, "graphengine-ray")

    def open(self) -> None:
        """Connect to the cluster."""
        with _CONNECTING:
            if not self._ray.is_initialized():
                connected: Future[None] = Future()
                arguments = (self._ray, self._address, connected)
                threading.Thread(target=_connect, args=arguments, name="graphengine-ray", daemon=True).start()
                connected.result()

    def dumps(self, value: object) -> bytes:
        """Return a value as bytes. Lambdas and functions of `__main__` travel as code."""
        found: bytes = self._ray.cloudpickle.dumps(value)
        return found

    def why_died(self, error: BaseException) -> str:
        """Return how a worker process ended."""
        errors = self._ray.exceptions
        if not isinstance(error, errors.RayError) or isinstance(error, errors.RayTaskError):
            return ""
        return (str(error) or type(error).__name__).strip().splitlines()[0]

    def _new(self) -> _Call:
        return _Call(self._ray, self._options)

    def _run(self, load: Callable[[], Callable[[], T]], seconds: float | None, call: _Call) -> T:
        return call.run(load, seconds)


class _Call:
    """One task, from a thread that waits for it.

    The task is a generator: it first reports that it has begun, since only then its time counts.
    """

    def __init__(self, ray: Any, options: dict[str, Any]) -> None:  # noqa: ANN401 - the module, which may be missing
        self._ray = ray
        self._options = options
        self._task: Any = None
        self._is_unwanted = False
        self._lock = threading.Lock()

    def run(self, load: Callable[[], Callable[[], T]], seconds: float | None) -> T:
        """Run the task, and return its result."""
        with self._lock:
            if self._is_unwanted:
                raise TimeoutError
            remote = self._ray.remote(max_retries=0, num_returns="streaming", **self._options)(_reporting)
            self._task = remote.remote(load)
        self._ray.get(next(self._task))
        if seconds is not None and not self._ray.wait([self._task], timeout=seconds)[0]:
            self.end()
            self._wait_for_end()
            raise TimeoutError
        result: T = self._ray.get(next(self._task))
        return result

    def end(self) -> None:
        """End its worker process."""
        with self._lock:
            self._is_unwanted = True
            if self._task is not None:
                self._ray.cancel(self._task, force=True)

    def _wait_for_end(self) -> None:
        try:
            while True:
                self._ray.get(next(self._task))
        except (self._ray.exceptions.RayError, StopIteration):
            return


def _connect(ray: Any, address: str | None, connected: Future[None]) -> None:  # noqa: ANN401 - the module
    """Connect to a cluster, in a thread that never ends: a cluster that is started ends with its thread."""
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
        connected.set_exception(error)
        return
    connected.set_result(None)
    threading.Event().wait()


def _reporting(load: Callable[[], Callable[[], T]]) -> Iterator[T | None]:
    """Load a call, report that it has begun, then return its result."""
    work = load()
    yield None
    yield work()
