"""A pytest plugin that fails a test which takes too long, and shows the stacks of all threads and asyncio tasks.

The setup, the call and the teardown of a test can each take a third of `faulthandler_timeout` seconds. Then SIGALRM
interrupts the main thread by an error, which pytest reports as it reports any other error, also from a worker of
pytest-xdist. If something catches the error, it is raised once more after the same time. A main thread that waits in C
cannot be interrupted: pytest's own `faulthandler_timeout` prints its stacks to stderr and ends the process.

pytest-timeout does not show where the coroutines of a test wait.
"""

import asyncio
import signal
import sys
import traceback
from collections.abc import Generator, Iterable, Iterator
from threading import enumerate as all_threads
from types import FrameType
from typing import Any

import pytest


class TookTooLong(BaseException):
    """A test exceeded its time limit.

    The class does not derive from `Exception`, so that neither tests nor Hypothesis catch the error.
    """


def _limited(item: pytest.Item) -> Generator[None, Any, Any]:
    seconds = float(item.config.getini("faulthandler_timeout")) / 3

    def fail(_: int, frame: FrameType | None) -> None:
        raise TookTooLong(f"this took longer than {seconds:g} seconds, while {stacks(frame)}")

    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Limit the time of the fixtures."""
    return (yield from _limited(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Limit the time of the test."""
    return (yield from _limited(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Limit the time of the end of the fixtures."""
    return (yield from _limited(item))


def pytest_enter_pdb() -> None:
    """Switch the time limit off when a person enters the debugger."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def stacks(frame: FrameType | None) -> str:
    """Return the stacks of all threads, and of all asyncio tasks.

    Args:
        frame: The frame at which the main thread was interrupted.
    """
    frames = {thread.name: sys._current_frames().get(thread.ident or 0) for thread in all_threads()}  # noqa: SLF001
    frames["MainThread"] = frame
    texts = []
    loops = set()
    for name, innermost in frames.items():
        stack = list(traceback.walk_stack(innermost)) if innermost is not None else []
        texts.append(f"thread {name} was here:\n{_text(reversed(stack))}")
        loops |= {each.f_locals["self"] for each, _ in stack if each.f_code.co_name == "run_forever"}
    for loop in loops:
        texts += [f"{task.get_name()} was here:\n{_text(_awaited(task))}" for task in asyncio.all_tasks(loop)]
    return "\n".join(texts)


def _awaited(task: "asyncio.Task[Any]") -> Iterator[tuple[FrameType, int]]:
    """Yield where a task waits, from the outermost coroutine to the innermost one."""
    coroutine: Any = task.get_coro()
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        yield frame, frame.f_lineno
        coroutine = coroutine.cr_await


def _text(frames: Iterable[tuple[FrameType, int]]) -> str:
    return "".join(traceback.StackSummary.extract(iter(frames)).format())
