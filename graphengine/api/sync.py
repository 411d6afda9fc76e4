"""Runner and Run for callers without an event loop.

Each method calls the async method of the same name in an event loop that runs in a thread, so nothing is implemented
twice. Type checkers read `sync.pyi`, which scripts/sync_runner.py generates from the async methods.
"""
# ruff: noqa: ANN401 - the types are in sync.pyi

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Generic, NoReturn

from typing_extensions import TypeVar

from graphengine.api.portal import Portal
from graphengine.api.runner import Admin, Runner
from graphengine.doors import refusal
from graphengine.errors import RunnerClosed
from graphengine.kernel.extension import Run, signature_of
from graphengine.kernel.inside import RESULT_OF_RUN, missing

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

C = TypeVar("C", bound="type[Any]")
S = TypeVar("S")
Out_co = TypeVar("Out_co", covariant=True, default=object)


def without_loop(annotation: str) -> str:
    """Convert the return annotation of an async method to that of the method without an event loop."""
    return re.sub(r"\bRun\[", "SyncRun[", re.sub(r"AsyncGenerator\[(.+), None\]", r"Iterator[\1]", annotation))


def _forwards_to(source: type) -> Callable[[C], C]:
    """Return a class decorator that adds a blocking method for each public method of an async class.

    A method that the decorated class already has is kept.
    """

    def decorated(target: C) -> C:
        for name, member in inspect.getmembers(source):
            if not (name.startswith("_") or hasattr(target, name)):
                setattr(target, name, _forward(member))
        return target

    return decorated


def _forward(method: Callable[..., object]) -> Callable[..., Any]:
    """Make a blocking method that calls an async method, with the same parameters and docstring."""
    signature = signature_of(method)

    @functools.wraps(method)
    def forward(self: Any, *args: object, **kwargs: object) -> Any:
        try:
            signature.bind(self, *args, **kwargs)
        except TypeError as error:
            raise refusal(method, (self, *args), kwargs, error) from None
        # The method is found by its name, because a handle can have a class that overrides the method.
        called = functools.partial(getattr(self._async, method.__name__), *args, **kwargs)
        return _as_sync(self._portal, self._portal.call(called))

    returns = without_loop(str(signature.return_annotation))
    vars(forward)["__signature__"] = signature.replace(return_annotation=returns)
    # Without the examples, which use await.
    forward.__doc__ = inspect.cleandoc(method.__doc__ or "").partition("\n\nExample:\n")[0]
    return forward


def _as_sync(portal: Portal, result: Any) -> Any:
    """Convert the result of an async method for a caller without an event loop.

    For example, a Run becomes a SyncRun, whose methods block.
    """
    if isinstance(result, Run):
        return SyncRun(portal, result)
    if isinstance(result, AsyncGenerator):
        return portal.iterated(result)
    return [_as_sync(portal, each) for each in result] if type(result) is list else result


@_forwards_to(Admin)
class SyncAdmin:
    """The operator's tools of a SyncRunner, such as schedules and statistics, for callers without an event loop.

    `runner.admin` of a SyncRunner is such an object. Its methods block.
    """

    def __init__(self, portal: Portal, admin: Admin) -> None:
        self._portal, self._async = portal, admin

    def __getattr__(self, name: str) -> NoReturn:
        missing(self, name, "Runner", "Graph", is_sync=True)


@_forwards_to(Runner)
class SyncRunner:
    """A Runner for scripts, threads of a web server, task queues and notebooks. Any thread may use it.

    Use a `SyncRunner` as a context manager, or call its method `close` at the end. If a process forks, each child
    process has to create its own `SyncRunner`, because a runner works only in the process that created it. The
    arguments are those of `Runner`.

    Example:
        >>> with SyncRunner("runs.db") as runner:
        ...     run = runner.start(count, run_id="first")
        ...     print(run.result().state.n, [info.id for info in runner.runs(status="finished")])
        3 ['first']
    """

    @functools.wraps(Runner.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._portal = Portal()
        self._async: Runner = self._portal.call(lambda: Runner(*args, **kwargs))

    def __getattr__(self, name: str) -> NoReturn:
        missing(self, name, "Runner", "Graph", is_sync=True)

    @property
    def admin(self) -> SyncAdmin:
        """The operations of operators on the store, such as schedules and pruning; see `Runner.admin`."""
        return SyncAdmin(self._portal, self._async.admin)

    def __enter__(self) -> Self:
        self._portal.call(self._async.__aenter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the runs that this runner drives, as `Runner.close` does, and end the thread of the event loop.

        It is safe to call this method several times.
        """
        try:
            self._portal.call(self._async.close)
        except RunnerClosed:
            return
        self._portal.stop()


class SyncRun(Generic[S, Out_co]):
    """A handle on a run for callers without an event loop. It has the methods of `Run`, which block."""

    def __init__(self, portal: Portal, run: Run[S, Out_co]) -> None:
        self._portal = portal
        self._async = run

    @property
    def id(self) -> str:
        """The run's id."""
        return self._async.id

    def __repr__(self) -> str:
        return f"SyncRun({self.id!r})"

    def __getattr__(self, name: str) -> NoReturn:
        missing(self, name, "Run", "Runner", hints=RESULT_OF_RUN, is_sync=True)


_forwards_to(Run)(SyncRun)

__all__ = ["SyncAdmin", "SyncRun", "SyncRunner"]
