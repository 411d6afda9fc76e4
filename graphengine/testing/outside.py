"""Refuse what code does outside its process: connections, other processes, and changes of files.

Python reports such calls to audit hooks (PEP 578), and a hook that raises prevents the call. An audit hook cannot be
removed, so this module installs one hook, which refuses only inside `refuse_outside`. Libraries in C that open their
own connections are not reported. The check of a node's code (`graphengine.checks`) names the calls of such libraries.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Generator

_NETWORK: Final = frozenset(
    f"socket.{name}"
    for name in ("bind", "connect", "getaddrinfo", "gethostbyaddr", "gethostbyname", "sendmsg", "sendto")
)
_PROCESSES: Final = frozenset(
    ["subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.system"]
)
_FILES: Final = frozenset(
    [f"os.{name}" for name in ("chmod", "chown", "link", "mkdir", "remove", "rename", "rmdir", "symlink", "truncate")]
    + [f"shutil.{name}" for name in ("copyfile", "copytree", "make_archive", "move", "rmtree")]
)
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_SHOWN: Final = 80


class OutsideRefused(PermissionError):
    """A call that acts outside the process was refused."""


class _Guard:
    """The one audit hook of a process.

    Attributes:
        refused: What was refused since the guard was set, in words; None while nothing is refused.
        refuses_files: Whether changes of files are refused too.
    """

    def __init__(self) -> None:
        self.refused: list[str] | None = None
        self.refuses_files = True
        self.is_installed = False

    def install(self) -> None:
        """Add the hook to the process, once."""
        if not self.is_installed:
            sys.addaudithook(self)
            self.is_installed = True

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """Refuse an event that acts outside."""
        if self.refused is None:
            return
        words = _describe_act(event, args) or (_describe_change(event, args) if self.refuses_files else "")
        if words:
            self.refused.append(words)
            message = f"refused, since nothing may act here: {words}"
            raise OutsideRefused(message)


_GUARD: Final = _Guard()


@contextmanager
def refuse_outside(*, is_off: bool = False, files: bool = True) -> Generator[list[str]]:
    """Refuse what acts outside the process during a block; provide the list of what was refused, in words.

    Args:
        is_off: Whether nothing is refused, so that the list stays empty.
        files: Whether changes of files are refused, besides the network and other processes.
    """
    before, own = (_GUARD.refused, _GUARD.refuses_files), list[str]()
    if not is_off:
        _GUARD.install()
        _GUARD.refused, _GUARD.refuses_files = own, files
    try:
        yield own
    finally:
        _GUARD.refused, _GUARD.refuses_files = before


def _describe_act(event: str, args: tuple[Any, ...]) -> str:
    """Return how an audited event uses the network or another process, in words; "" for anything else."""
    if event in _NETWORK:
        given = next((each for each in args if isinstance(each, (str, bytes, tuple))), "")
        return f"use the network ({event} {_shorten_argument(given)})"
    if event in _PROCESSES:
        return f"start another process ({_shorten_argument(args[0] if args else '')})"
    return ""


def _describe_change(event: str, args: tuple[Any, ...]) -> str:
    """Return how an audited event changes files, in words; "" for anything else."""
    if event == "open":
        path, _, flags = args
        name = os.fsdecode(path) if isinstance(path, (str, bytes)) else os.devnull  # else a file that is open
        is_harmless = name == os.devnull or "__pycache__" in name
        is_change = isinstance(flags, int) and bool(flags & _WRITES) and not is_harmless
        return f"write the file {_shorten_argument(path)}" if is_change else ""
    if event in _FILES:
        return f"change files ({event} {_shorten_argument(args[0] if args else '')})"
    is_database = event == "sqlite3.connect" and args and args[0] != ":memory:"
    return f"open the database {_shorten_argument(args[0])}" if is_database else ""


def _shorten_argument(given: object) -> str:
    if isinstance(given, tuple):
        given = ":".join(map(str, given[:2]))
    text = os.fsdecode(given) if isinstance(given, (bytes, os.PathLike)) else str(given)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


__all__ = ["OutsideRefused", "refuse_outside"]
