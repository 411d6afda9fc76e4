"""Log what a node repeats when it runs again after a wait: `Runner(run_again=True)`.

A node that waits runs again from its beginning. Work that it recorded through its `ctx` is not repeated, but anything
else that it did before the wait is. While a node is in that part of its code again, an audit hook of Python reports
which sockets, processes and files it opens outside its recorded calls. The first one it reports is logged with the code
`acts_before_wait`.

Python cannot remove an audit hook. So the hook is added when the first node runs again, and returns at once while no
node runs again.
"""

from __future__ import annotations

import logging
import os
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from graphengine.engine.phases import ASKED
from graphengine.errors import RunText
from graphengine.runner.extensions import Extension
from graphengine.runner.followers import Follower
from graphengine.runner.recorded_work import journal_of
from graphengine.runner.scope import CURRENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.snapshot import Frame
    from graphengine.runner.extensions import OpenRun
    from graphengine.runner.scope import AttemptFacts

log = logging.getLogger("graphengine.runner")
_WARNING: Final = (
    "acts_before_wait: %s (run %s) ran again after a wait, and did something again that is not recorded: %s%s\n"
    "  repair: put what must happen once into await ctx.call(function, …), or into a node of its own before this one"
)
_EVENTS: Final = frozenset(
    [
        *("socket.connect", "socket.sendto", "socket.sendmsg", "smtplib.connect", "ftplib.connect", "imaplib.open"),
        *("urllib.Request", "http.client.connect", "sqlite3.connect", "webbrowser.open"),
        *("subprocess.Popen", "os.system", "os.posix_spawn", "os.exec", "os.spawn", "os.fork", "os.kill"),
        *("open", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"),
        *("shutil.copyfile", "shutil.copytree", "shutil.move", "shutil.rmtree", "shutil.make_archive"),
    ]
)
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC


class _RepeatedAttempt:
    """Watches an attempt that runs again after a wait, to warn about actions that the attempt repeats.

    Args:
        attempt: The attempt.
        waits: The keys of the waits that are over.
    """

    def __init__(self, attempt: AttemptFacts, waits: Sequence[str]) -> None:
        self._attempt = attempt
        self._waits = waits
        self._has_warned = False

    def note(self, event: str, given: tuple[object, ...]) -> None:
        """Warn if the node does something again, such as opening a file, that it did before its last finished wait.

        Args:
            event: The name of the action, as Python reports it to an audit hook.
            given: The arguments of the action.
        """
        attempt = self._attempt
        if self._has_warned or attempt.state != "running" or not (_is_write(given) if event == "open" else True):
            return
        work = journal_of(attempt)
        if work.around or all(map(work.is_used, self._waits)) or not _is_of_user():
            return
        self._has_warned = True  # Set before the event is logged, because a log may be written to a file.
        what: object = given[0] if given and isinstance(given[0], str | bytes) else None
        what = given[1] if event.startswith("socket.") and len(given) > 1 else what
        on_what = RunText("" if what is None else f" {what!r}")  # A path or a command can contain values of a run.
        run_id = attempt.services.run_id
        log.warning(_WARNING, attempt.where, run_id, event, on_what, extra={"run": run_id})


_REPEATED: Final[ContextVar[_RepeatedAttempt | None]] = ContextVar("graphengine_second_pass", default=None)
_running: Final[set[_RepeatedAttempt]] = set()
_hooks: Final[list[object]] = []


def _is_write(given: tuple[object, ...]) -> bool:
    """Return whether a file is opened for writing. Byte code that Python caches is ignored."""
    path, mode, flags = (*given, None, None, None)[:3]
    is_write = bool({*mode} & {*"wax+"}) if isinstance(mode, str) else isinstance(flags, int) and bool(flags & _WRITES)
    return is_write and path != os.devnull and "__pycache__" not in str(path)


def _is_of_user() -> bool:
    """Return whether an action, such as opening a file, was caused by the user's code and not by graphengine.

    Python reports the action to an audit hook, which calls this function. The stack shows whose code is running.
    """
    frame = sys._getframe(3)  # noqa: SLF001 - inspect.stack() reads files
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module == "asyncio.events":  # a task that the node started
            return True
        if module.startswith("graphengine."):
            return module in ("graphengine.runner.attempt", "graphengine.runner.threads")
        frame = frame.f_back  # type: ignore[assignment]
    return True


def _on_audit_event(event: str, given: tuple[object, ...]) -> None:
    if _running and event in _EVENTS and (here := _REPEATED.get()) is not None:
        here.note(event, given)


class SecondPass(Extension, Follower):
    """Warns about nodes that repeat actions outside, such as writing a file, when they run again after a wait.

    This extension is used with `Runner(run_again=True)`.
    """

    async def opened(self, run: OpenRun) -> Follower:  # noqa: ARG002 - each is watched
        """Follow every run, because each run can have nodes that repeat actions."""
        return self

    def entered(self, frame: Frame) -> None:
        """Begin to watch an attempt of a node for repeated actions.

        Only an attempt that runs again after one of its waits is over is watched.
        """
        results = frame.recorded_results.items() if frame.recorded_results else ()
        waits = [
            k for k, memo in results if memo.name is not None and not (memo.begun or memo.keyed or k.startswith(ASKED))
        ]
        attempt = CURRENT.get()
        if not waits or attempt is None or attempt.task.mode == "crash_loop":
            return
        if not _hooks:
            _hooks.append(_on_audit_event)
            sys.addaudithook(_on_audit_event)
        here = _RepeatedAttempt(attempt, waits)
        _running.add(here)
        _REPEATED.set(here)

    def ended(self, frame: Frame) -> None:  # noqa: ARG002 - the context has the node
        if (here := _REPEATED.get()) is not None:
            _running.discard(here)
            _REPEATED.set(None)
