"""Tracebacks cut to the user's code: the frames of the engine between a caller and a node explain nothing to either."""

from __future__ import annotations

import sysconfig
import traceback
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE: Final = __file__.rpartition("engine")[0]
_PATTERNS: Final = f"{_PACKAGE}patterns{_PACKAGE[-1]}"
"""Patterns make graphs of functions of their own, which are nodes like those of a user."""


def is_engine_code(file: str) -> bool:
    """Return whether a file belongs to the engine, or to Python's import of the user's file."""
    return file.startswith("<frozen importlib") or (file.startswith(_PACKAGE) and not file.startswith(_PATTERNS))


def is_user_code(file: str) -> bool:
    """Return whether a file belongs neither to the engine, nor to Python, nor to an installed package."""
    return not file.startswith(_foreign()) and "site-packages" not in file


@cache
def _foreign() -> tuple[str, ...]:
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return ("<frozen", _PACKAGE, *(f"{path}{_PACKAGE[-1]}" for path in libraries))


def has_user_code(error: BaseException | None) -> bool:
    """Return whether the exception, or one that caused it, passed through the user's code."""
    return any(
        is_user_code(frame.f_code.co_filename)
        for each in _chain(error)
        for frame, _ in traceback.walk_tb(each.__traceback__)
    )


def user_traceback(error: BaseException) -> str:
    """Return the traceback as text without frames of the engine.

    An exception that passed through the engine alone keeps its last frame. Libraries that the user's code calls are
    kept.
    """
    shown = traceback.TracebackException.from_exception(error)
    _cut_shown(shown, set())
    return "".join(shown.format())


def _cut_shown(shown: traceback.TracebackException | None, seen: set[int]) -> None:
    if shown is None or id(shown) in seen:
        return
    seen.add(id(shown))
    frames = [frame for frame in shown.stack if not is_engine_code(frame.filename)] or shown.stack[-1:]
    shown.stack = traceback.StackSummary.from_list(frames)
    for below in (shown.__cause__, shown.__context__, *(shown.exceptions or ())):
        _cut_shown(below, seen)


def cut_to_user_code(error: BaseException) -> None:
    """Remove the frames of the engine from an exception and those that caused it, as `user_traceback` does."""
    for each in _chain(error):
        entries: list[TracebackType] = []
        entry = each.__traceback__
        while entry is not None:
            entries.append(entry)
            entry = entry.tb_next
        made: TracebackType | None = None
        kept = [entry for entry in entries if not is_engine_code(entry.tb_frame.f_code.co_filename)] or entries[-1:]
        for entry in reversed(kept):
            made = TracebackType(made, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
        each.__traceback__ = made


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, those that caused it, and those in its groups, each once."""
    left, seen = [error], set[int]()
    while left:
        here = left.pop()
        if here is None or id(here) in seen:
            continue
        seen.add(id(here))
        yield here
        left += [here.__cause__, here.__context__]
        left += here.exceptions if isinstance(here, BaseExceptionGroup) else ()
