"""Telling an interrupt of the process from an exception that code raised.

Whatever a node, a tool, a validator or a condition raises is its failure: also SystemExit, KeyboardInterrupt and other
exceptions that are not derived from Exception. Three things are no failures of the code that they happen to meet:
Ctrl-C, an exception that a signal handler raises, and the end of a coroutine that is closed. They pass.
"""

from __future__ import annotations

import functools
import inspect
import signal
from opcode import opmap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, TracebackType

_RAISE: Final = opmap["RAISE_VARARGS"]


class Interrupt(BaseException):
    """An interrupt that is raised on purpose: what a test raises where the process is to die."""


def reraise_interrupt(error: BaseException) -> None:
    """Raise an interrupt again; return for every other exception. Call it first in `except BaseException`."""
    if not isinstance(error, Exception) and is_interrupt(error):
        raise error


def is_interrupt(error: BaseException) -> bool:
    """Whether an exception came from outside the code that it met: Ctrl-C, a signal handler, a closed coroutine."""
    if isinstance(error, BaseExceptionGroup):
        return any(is_interrupt(each) for each in error.exceptions)
    if isinstance(error, Interrupt):
        return True
    entries = list(_entries(error.__traceback__))
    if isinstance(error, (KeyboardInterrupt, GeneratorExit)) and not (entries and _raises(entries[-1])):
        return True  # nothing raised it: Python itself did, amid some other instruction
    return bool(entries) and not _handlers().isdisjoint(entry.tb_frame.f_code for entry in entries)


def _entries(entry: TracebackType | None) -> Iterator[TracebackType]:
    while entry is not None:
        yield entry
        entry = entry.tb_next


def _raises(entry: TracebackType) -> bool:
    """Whether a traceback ends in a `raise` statement."""
    return entry.tb_frame.f_code.co_code[entry.tb_lasti] == _RAISE


def _handlers() -> set[CodeType]:
    """The code of all signal handlers that are Python functions."""
    found: set[CodeType] = set()
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        while isinstance(handler, functools.partial):
            handler = handler.func
        function = inspect.unwrap(getattr(handler, "__func__", handler)) if callable(handler) else None
        if inspect.isfunction(function):
            found.add(function.__code__)
    return found
