"""Distinguish an interrupt of the process from an exception that code raised.

An exception that a node, a tool, a validator or a condition raises is its failure, including SystemExit,
KeyboardInterrupt and others that are not derived from Exception. Three exceptions are not failures of the code in which
they appear: Ctrl-C, an exception that a signal handler raises, and the GeneratorExit of a closed coroutine. They
propagate.
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
    """An exception that ends the process on purpose. Tests raise it to simulate the death of a process."""


def reraise_interrupt(error: BaseException) -> None:
    """Raise an error again if it is an interrupt, such as Ctrl-C, and return otherwise.

    Code that catches `BaseException` calls this first, so that an interrupt never counts as a failure of a node.
    """
    if not isinstance(error, Exception) and is_interrupt(error):
        raise error


def is_interrupt(error: BaseException) -> bool:
    """Return whether an exception interrupts the program from outside: Ctrl-C, a signal handler, or a closed coroutine.

    An exception of the same type that the user's code raises itself is not an interrupt.
    """
    found = [error]
    for each in found:
        found += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
    return any(map(_came_from_outside, found))


def _came_from_outside(error: BaseException) -> bool:
    if isinstance(error, Interrupt):
        return True
    entries = list(_walk_entries(error.__traceback__))
    if isinstance(error, (KeyboardInterrupt, GeneratorExit)) and not (entries and _raises(entries[-1])):
        return True  # No `raise` statement raised it, so the interpreter did, during another instruction.
    return bool(entries) and not _handlers().isdisjoint(entry.tb_frame.f_code for entry in entries)


def _walk_entries(entry: TracebackType | None) -> Iterator[TracebackType]:
    while entry is not None:
        yield entry
        entry = entry.tb_next


def _raises(entry: TracebackType) -> bool:
    """Return whether the line at which a traceback ends is a `raise` statement."""
    return entry.tb_frame.f_code.co_code[entry.tb_lasti] == _RAISE


def _handlers() -> set[CodeType]:
    """Return the code objects of all signal handlers that are written in Python."""
    found: set[CodeType] = set()
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        while isinstance(handler, functools.partial):
            handler = handler.func
        function = inspect.unwrap(getattr(handler, "__func__", handler)) if callable(handler) else None
        if inspect.isfunction(function):
            found.add(function.__code__)
    return found
