"""Convert the call of a node and its outcome to bytes, to send them between the Runner and another process.

Executors transport only bytes. Therefore an argument, a result or an exception that cannot be pickled never breaks the
pool of an executor. A failure is described in the other process in the same way as in the Runner's process, with the
traceback of the node's code.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import multiprocessing
import os
import pickle
import sys
import threading
from functools import cache, partial
from typing import TYPE_CHECKING

from graphengine.errors import NotPicklable
from graphengine.kernel.extension import CURRENT
from graphengine.kernel.inside import CallOutcome, FailedElsewhere, is_async, reraise_interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphengine.executors.detached import DetachedContext


def pack_call(
    function: Callable[..., object],
    values: Mapping[str, object],
    facts: DetachedContext,
    dumps: Callable[[object], bytes],
) -> bytes:
    """Pickle the call of a node, together with the run, node, visit and attempt to which the call belongs.

    Raises:
        NotPicklable: An argument, or the function, cannot be pickled.
    """
    try:
        call = dumps((function, values))
    except Exception as error:
        what, found = _find_unpicklable(function, values, dumps) or ("the list of all arguments", error)
        raise NotPicklable(
            f"{what} cannot be pickled, which is necessary because {facts.node!r} runs in another process: {found}",
            where=f"node {facts.path}",
            repair="pass plain values, and open files, connections and locks inside the function",
        ) from error
    module = getattr(function, "__module__", None) or ""
    return pickle.dumps((module, getattr(sys.modules.get(module), "__file__", None), call, facts))


def why_not_pickled(value: object, dumps: Callable[[object], bytes]) -> Exception | None:
    """Try to pickle a value, and return the error that this raises; None if the value can be pickled."""
    try:
        dumps(value)
    except Exception as error:  # noqa: BLE001 - pickling calls code of any kind
        return error
    return None


def _find_unpicklable(
    function: Callable[..., object], values: Mapping[str, object], dumps: Callable[[object], bytes]
) -> tuple[str, Exception] | None:
    """Find what makes the call of a node impossible to pickle: the function or one of its arguments.

    Returns:
        A text for the error message, such as "the argument 'report' (Report)", and the error; None if the function and
        each argument can be pickled by themselves.
    """
    parts: dict[str, object] = {"the function": function}
    parts |= {f"the argument {name!r} ({type(value).__name__})": value for name, value in values.items()}
    for what, part in parts.items():
        found = why_not_pickled(part, dumps)
        if found is not None:
            return what, found
    return None


def facts_of(packed: bytes) -> DetachedContext:
    """Read from the bytes of a packed call which run, node, visit and attempt it belongs to, and its idempotency key.

    Args:
        packed: The bytes that `NodeExecutor.begin` received.
    """
    facts: DetachedContext = pickle.loads(packed)[3]  # noqa: S301 - from our own process
    return facts


def run_packed(packed: bytes) -> bytes:
    """Run the packed call of a node in the other process, and return its outcome as bytes.

    If the node raises an exception, `run_packed` returns bytes that contain this exception. If the process in which
    `run_packed` is called was started by `multiprocessing`, it ends when its parent process ends, so that no work goes
    on for a program that no longer exists.

    Args:
        packed: The bytes that `NodeExecutor.begin` received.

    Raises:
        KeyboardInterrupt: Ctrl-C in this process.
        SystemExit: A signal handler ends this process.
    """
    end_with_parent()
    return load_packed(packed)()


def load_packed(packed: bytes) -> Callable[[], bytes]:
    """Load a packed call, and return a function that runs it.

    Loading imports the node's module, which can take long. It is a step of its own, because a node's time counts only
    from the beginning of the call itself. If the call cannot be loaded, the returned function returns this error as the
    outcome.
    """
    module, file, call, facts = pickle.loads(packed)  # noqa: S301 - from our own process, through the executor
    try:
        function, values = _load_call(module, file, call)
    except NotPicklable as error:
        return partial(_pack_failure, error)
    return partial(_run_call, function, values, facts)


def _run_call(function: Callable[..., object], values: dict[str, object], facts: DetachedContext) -> bytes:
    CURRENT.set(facts)  # An agent that is called here finds these facts and raises an error that explains the reason.
    try:
        result = call_here(function, values)
    except BaseException as error:  # noqa: BLE001 - a node may raise anything
        reraise_interrupt(error)
        return _pack_failure(error)
    try:
        return pickle.dumps((result, None), pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001 - pickling calls code of any kind
        text = f"the result of {facts.node!r}, which is of type {type(result).__name__}, cannot be pickled: {error}"
        lost = NotPicklable(
            text, where=f"node {facts.path}", repair="return plain values from the function of the node"
        )
        return _pack_failure(lost)


def call_here(function: Callable[..., object], values: Mapping[str, object]) -> object:
    """Call a function in this thread. If it is async, run its coroutine in a new event loop."""

    async def awaited(result: object = None) -> object:
        returned = function(**values) if result is None else result
        return await returned if inspect.isawaitable(returned) else returned

    if is_async(function):
        return asyncio.run(CallOutcome.of(awaited)).result()  # Its traceback contains no frames of asyncio.
    result = function(**values)
    return asyncio.run(CallOutcome.of(partial(awaited, result))).result() if inspect.isawaitable(result) else result


def outcome_of(packed: bytes, node: str) -> object:
    """Return the result of a node's function that another process has sent, or raise the exception of the function.

    Raises:
        FailedElsewhere: The function raised an exception.
        NotPicklable: The result cannot be read here.
    """
    try:
        result, failure = pickle.loads(packed)  # noqa: S301 - from our own process, through the executor
    except Exception as error:
        text = f"the result of {node!r} cannot be unpickled: {type(error).__name__}: {error}"
        repair = "return plain values, or objects that pickle can copy"
        raise NotPicklable(text, where=f"node {node}", repair=repair) from error
    if failure is None:
        return result
    facts, raised = failure
    facts.raised = _unpickle_exception(raised)
    raise FailedElsewhere(facts)


def _unpickle_exception(raised: bytes | None) -> BaseException | None:
    """Load the exception that a node raised in another process.

    Return None if this process cannot load it, for example because its class does not exist here. The caller then shows
    the description that was sent with the exception.
    """
    try:
        found = pickle.loads(raised) if raised is not None else None  # noqa: S301 - as above
    except Exception:  # noqa: BLE001 - its class may not exist here
        return None
    return found if isinstance(found, BaseException) else None


def _pack_failure(error: BaseException) -> bytes:
    facts = FailedElsewhere.describe(error)
    pack_exception: bytes | None
    try:
        pack_exception = pickle.dumps(error)
    except Exception:  # noqa: BLE001 - it may hold anything
        pack_exception = None
    return pickle.dumps((None, (facts, pack_exception)))


def call_as_bytes(work: Callable[[], object]) -> bytes:
    """Call a function, and pickle its result or the exception that it raises. Runs in the other process.

    Raises:
        SystemExit: A signal handler ends this process, as the handlers of Ray and of many servers do at SIGTERM.
    """
    try:
        return pickle.dumps((work(), None), pickle.HIGHEST_PROTOCOL)
    except BaseException as error:  # noqa: BLE001 - the caller's function may raise anything
        reraise_interrupt(error)
        return raised(error)


def raised(error: BaseException) -> bytes:
    """Pickle the exception of a call in another process, in the form that `read_returned` reads.

    An exception that cannot be pickled is replaced by a RuntimeError with its text.
    """
    try:
        found = pickle.dumps((None, error))
        pickle.loads(found)  # noqa: S301 - some exceptions can be written as a pickle and not be read again
    except Exception:  # noqa: BLE001 - it may hold anything
        return pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}")))
    return found


def read_returned(outcome: bytes) -> object:
    """Return the result of a call in another process, which `call_as_bytes` has pickled there.

    If the call raised an exception, raise this exception here.
    """
    result, error = pickle.loads(outcome)  # noqa: S301 - from our own child
    if error is not None:
        raise error
    return result


def _load_call(module: str, file: str | None, call: bytes) -> tuple[Callable[..., object], dict[str, object]]:
    """Load the function of a call and its arguments.

    The function's module is loaded from its file if it cannot be imported.

    Raises:
        NotPicklable: The function or its arguments cannot be loaded in this process.
    """
    try:
        if file is not None and not _is_found(module):
            _load_from(module, file)
        function, values = pickle.loads(call)  # noqa: S301 - from our own process, through the executor
    except Exception as error:
        raise NotPicklable(
            f"the call cannot be loaded in process {os.getpid()}: {type(error).__name__}: {error}",
            where=f"module {module}",
            repair="define the function and the classes of its arguments in a module that this process can import",
        ) from error
    return function, values


def _is_found(module: str) -> bool:
    try:
        return module in sys.modules or importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # The package of the module is not found either.
        return False


def _load_from(module: str, file: str) -> None:
    """Load a module from its file when it cannot be imported by its name.

    A graph that the command line runs from a file is such a module.
    """
    spec = importlib.util.spec_from_file_location(module, file)
    if spec is None or spec.loader is None:
        return
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded
    try:
        spec.loader.exec_module(loaded)
    except BaseException:
        del sys.modules[module]
        raise


@cache
def end_with_parent() -> None:
    """End this process when its parent process ends.

    If the Runner's process is killed, this process must stop too. Another process will resume the run and repeat the
    work, and both would otherwise work at the same time.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="graphengine parent", daemon=True).start()


__all__ = [
    "call_as_bytes",
    "call_here",
    "end_with_parent",
    "facts_of",
    "load_packed",
    "outcome_of",
    "pack_call",
    "raised",
    "read_returned",
    "run_packed",
    "why_not_pickled",
]
