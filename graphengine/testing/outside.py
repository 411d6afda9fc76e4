"""Refuse what code does outside its process: connections, other processes, and changes of files.

Python reports such calls to audit hooks (PEP 578), and a hook that raises prevents the call. An audit hook cannot be
removed, so this module installs one hook, which refuses only inside `refuse_outside`, or until the process ends after
`refuse_until_exit`. A few functions are not reported to hooks, such as the one with which multiprocessing starts
processes; they are replaced by functions that report their calls. What libraries in C do themselves is not reported,
such as `ATTACH` of SQLite.
The check of a node's code (`graphengine.checks`) names the calls of such libraries.
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

P = ParamSpec("P")
T = TypeVar("T")

_NETWORK: Final = frozenset(
    f"socket.{name}"
    for name in ("bind", "connect", "getaddrinfo", "gethostbyaddr", "gethostbyname", "sendmsg", "sendto")
)
_PROCESSES: Final = frozenset(
    [f"os.{name}" for name in ("exec", "fork", "forkpty", "posix_spawn", "spawn", "startfile", "system")]
    + ["subprocess.Popen", "_posixsubprocess.fork_exec", "_winapi.CreateProcess"]
)
_CHANGES: Final = (
    *("chmod", "chown", "link", "mkdir", "mkfifo", "mknod", "remove", "removexattr", "rename", "rmdir", "setxattr"),
    *("symlink", "truncate", "utime"),
)
_FILES: Final = frozenset(
    [f"os.{name}" for name in _CHANGES]
    + [f"shutil.{name}" for name in ("copyfile", "copytree", "make_archive", "move", "rmtree")]
)
_UNREPORTED: Final = (("_posixsubprocess", "fork_exec"), ("os", "mkfifo"), ("os", "mknod"))
"""Functions that act outside and raise no audit event, by module."""
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_SHOWN: Final = 80


class OutsideRefused(PermissionError):
    """The code tried to act outside its process, such as to open a connection, and this is refused here."""


class _Guard:
    """The audit hook that refuses calls that act outside the process, such as network use.

    Python cannot remove an audit hook, so each process installs only one and switches it on and off.

    Attributes:
        refused: Descriptions of the calls that were refused; None while the hook allows everything.
    """

    def __init__(self) -> None:
        self.refused: list[str] | None = None
        self.is_installed = False

    def install(self) -> None:
        if self.is_installed:
            return
        with suppress(ImportError):
            importlib.import_module("ctypes")  # its import loads a library, which would be refused later
        sys.addaudithook(self)
        for module, name in _UNREPORTED:
            with suppress(ImportError, AttributeError):  # not every system has the function
                home = importlib.import_module(module)
                setattr(home, name, _report_calls(getattr(home, name), f"{module}.{name}"))
        self.is_installed = True

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """Raise an exception if a call that Python reports acts outside the process.

        The exception prevents the call.
        """
        if self.refused is None:
            return
        if words := _describe_act(event, args) or _describe_change(event, args):
            self.refused.append(words)
            message = f"refused, because code must not act outside the process here: {words}"
            raise OutsideRefused(message)


_GUARD: Final = _Guard()


def _report_calls(function: Callable[P, T], event: str) -> Callable[P, T]:
    """Wrap a function whose calls Python does not report to audit hooks, so that its calls are reported."""

    @wraps(function)
    def report(*args: P.args, **options: P.kwargs) -> T:
        sys.audit(event, *args)
        return function(*args, **options)

    return report


@contextmanager
def refuse_outside(*, is_off: bool = False) -> Generator[list[str]]:
    """Refuse network use, other processes and changes of files inside a `with` block.

    The block receives a list, which collects descriptions of the refused calls.

    Args:
        is_off: Whether nothing is refused, so that the list stays empty.
    """
    before, own = _GUARD.refused, list[str]()
    if not is_off:
        _GUARD.install()
        _GUARD.refused = own
    try:
        yield own
    finally:
        _GUARD.refused = before


def refuse_until_exit() -> None:
    """Refuse network use, other processes and changes of files until the process ends, in all its threads."""
    _GUARD.install()
    _GUARD.refused = []


def _describe_act(event: str, args: tuple[Any, ...]) -> str:
    """Describe a call that uses the network or another process, from its audit event; "" for any other call."""
    if event in _NETWORK:
        target = next((each for each in args if isinstance(each, (str, bytes, tuple))), "")
        return f"use the network ({event} {_shorten_argument(target)})"
    if event in _PROCESSES:
        return f"start another process ({_shorten_argument(args[0] if args else '')})"
    if event in ("os.kill", "os.killpg") and args[1]:  # 0 only asks whether the process exists
        return f"send a signal to a process ({event} {args[0]})"
    if event.startswith("syslog."):
        return "write to the log of the system"
    is_system = event == "ctypes.dlopen" and Path(args[0] or "").name.startswith(("libc.", "msvcrt"))
    is_itself = event == "ctypes.dlopen" and not args[0]
    return "call functions of the system (ctypes)" if is_system or is_itself else ""


def _describe_change(event: str, args: tuple[Any, ...]) -> str:
    """Describe a call that changes a file or opens a database, from its audit event; "" for any other call."""
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
    elif isinstance(given, list):
        given = given[0] if given else ""
    text = os.fsdecode(given) if isinstance(given, (bytes, os.PathLike)) else str(given)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


__all__ = ["OutsideRefused", "refuse_outside", "refuse_until_exit"]
