"""Tracebacks without the frames of the engine, which do not help a user to find a fault.

The text of a traceback contains lines of the user's source files. No other code in the engine reads a file.
"""

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
"""The folder of patterns.

Patterns create graphs from functions of their own, and these functions are nodes like a user's.
"""
_SHOWN: Final = 10  # the number of exceptions shown at each end of a long chain
_MOST_CHARACTERS: Final = 65_536  # of the text of a failure


def is_engine_code(file: str) -> bool:
    """Return whether a source file belongs to graphengine, or to the part of Python that imports the user's file."""
    return file.startswith("<frozen importlib") or (file.startswith(_PACKAGE) and not file.startswith(_PATTERNS))


def is_user_code(file: str) -> bool:
    """Return whether a source file belongs to the user, and not to graphengine, Python or an installed package."""
    return not file.startswith(_list_foreign_paths()) and "site-packages" not in file


@cache
def _list_foreign_paths() -> tuple[str, ...]:
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return ("<frozen", _PACKAGE, *(f"{path}{_PACKAGE[-1]}" for path in libraries))


def has_user_code(error: BaseException | None) -> bool:
    """Return whether the traceback of an exception, or of one of its causes, passes through the user's code."""
    return any(
        is_user_code(frame.f_code.co_filename)
        for each in _walk_causes(error)
        for frame, _ in traceback.walk_tb(each.__traceback__)
    )


def user_traceback(error: BaseException) -> str:
    """Format a traceback without the lines of graphengine, which do not help users to find their mistake.

    Lines of libraries that the user's code calls are kept. If the traceback contains only lines of graphengine, the
    last one is kept. Of a long chain of exceptions, the first and the last are shown, and the others are counted.
    """
    shown = traceback.TracebackException.from_exception(error, compact=True)
    left = [shown]
    for first in left:  # the first exception of each chain
        chain = [first]
        while link := chain[-1].__cause__ or chain[-1].__context__:
            chain.append(link)
        if len(chain) > 2 * _SHOWN:
            last, next_ = chain[_SHOWN - 1], chain[-_SHOWN]
            last.__cause__, last.__context__ = next_, None
            next_.__notes__ = [*(next_.__notes__ or ()), f"… {len(chain) - 2 * _SHOWN:,} more exceptions …"]
            del chain[_SHOWN:-_SHOWN]
        for each in chain:
            frames = [frame for frame in each.stack if not is_engine_code(frame.filename)] or each.stack[-1:]
            each.stack = traceback.StackSummary.from_list(frames)
            # The text is formatted line by line, which takes 1 s for 1,000,000 lines.
            vars(each)["_str"] = without_middle(str(each))
            left += each.exceptions or ()
    return "".join(shown.format())


def without_middle(text: str) -> str:
    """Shorten a long error text by cutting out its middle. The result says how many characters were cut."""
    more, half = len(text) - _MOST_CHARACTERS, _MOST_CHARACTERS // 2
    return text if more <= 0 else f"{text[:half]} … ({more:,} more characters) … {text[-half:]}"


def cut_to_user_code(error: BaseException) -> None:
    """Remove the lines of graphengine from the traceback of an exception and of its causes, in place."""
    for each in _walk_causes(error):
        entries: list[TracebackType] = []
        entry = each.__traceback__
        while entry is not None:
            entries.append(entry)
            entry = entry.tb_next
        rebuilt: TracebackType | None = None
        kept = [entry for entry in entries if not is_engine_code(entry.tb_frame.f_code.co_filename)] or entries[-1:]
        for entry in reversed(kept):
            rebuilt = TracebackType(rebuilt, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
        each.__traceback__ = rebuilt


def _walk_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, all exceptions that caused it, and the members of exception groups, each once."""
    left, seen = [error], set[int]()
    while left:
        here = left.pop()
        if here is None or id(here) in seen:
            continue
        seen.add(id(here))
        yield here
        left += [here.__cause__, here.__context__]
        left += here.exceptions if isinstance(here, BaseExceptionGroup) else ()
