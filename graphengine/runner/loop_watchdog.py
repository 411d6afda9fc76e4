"""Seeing that a user's function holds the event loop, and saying which one.

While a node blocks the loop nothing else of its process moves: no other run, no timer, no stop. Nothing is lost by that
(the lease is renewed from a thread), but somebody should be told. So one thread of the process looks at every loop that
drives runs: it asks the loop for a sign of life, and where none comes for `BLOCKED_SECONDS` it looks at what the loop's
thread is doing, and logs a warning with the node, the function and the repair; when the loop moves again, it logs for
how long it was held. Each function is told once. Where the engine itself is at work, with no function of the user's
around it, nothing is said: no user could repair that.

That costs a run's steps nothing. The thread is there while runs are driven, whatever their store, and ends a while
after the last one. A process that was suspended meanwhile is not taken for one that was busy.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.agents.run_scope import CURRENT
from graphengine.runner.attempt import TaskRunner
from graphengine.runner.context import Context

if TYPE_CHECKING:
    from types import FrameType

log = logging.getLogger("graphengine.runner")

BLOCKED_SECONDS: Final = 2.0
"""A loop that gives no sign of life for so long is held by something."""
_LOOK_SECONDS: Final = 0.5
_IDLE_LOOKS: Final = 20
"""So many looks with nothing to look at, and the thread ends."""

_NODE_CODE: Final = TaskRunner.run.__code__
_CALLBACK_CODE: Final = asyncio.Handle._run.__code__  # noqa: SLF001 - known by its code alone, and only looked for
_LOOPS: Final = ("asyncio.", "selectors")
_ENGINE: Final = ("asyncio", "graphengine")
_LIBRARIES: Final = {*sys.stdlib_module_names, "aiosqlite", "anthropic", "httpx2", "jsonschema", "json_repair", "mcp",
                     "networkx", "openai", "pydantic", "pydantic_core"}  # fmt: skip
"""What the engine calls too: a frame of these alone shows nobody's function."""
_AROUND: Final = ("asyncio.base_events", "asyncio.runners")
"""What is outside of these is the program that started the loop."""
_BODIES: Final = "graphengine.runner.attempt"
_REPAIR: Final = "make it a plain function (def, without thread=False), which runs in a thread, or await what blocks"
_REPAIR_ASIDE: Final = (
    "do what takes long in a node: conditions, reducers, validators and the like run on the event loop"
)


class Holder(NamedTuple):
    """What holds a loop: the node and its run, "" where that cannot be seen; the function, with its file and line."""

    node: str
    run_id: str
    place: str
    repair: str = _REPAIR

    def __str__(self) -> str:
        return f"node {self.node} (run {self.run_id})" if self.node else self.place


class Loop:
    """A loop that is looked at while any `with` block of it lasts; entered and left in the loop's own thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, watched: dict[asyncio.AbstractEventLoop, Loop]) -> None:
        self._loop = loop
        self._watched = watched
        self._thread = threading.get_ident()
        self._asked_at: float | None = None  # the question that is not answered yet; who answers takes it back
        self._asleep_seconds = 0.0  # since then; the looking thread's alone
        self._told: Holder | None = None
        self._uses = 0

    def __enter__(self) -> None:
        self._uses += 1

    def __exit__(self, *_: object) -> None:
        self._uses -= 1
        if not self._uses:
            self._watched.pop(self._loop, None)

    def look(self, asleep_seconds: float, known: set[str]) -> None:
        """Ask for a sign of life, or see that none came; in the watching thread.

        Args:
            asleep_seconds: For how long the whole process stood still since the last look.
            known: The functions that were told before; what is told now is added.
        """
        asked_at = self._asked_at
        if asked_at is None:
            self._asleep_seconds = 0.0
            self._asked_at = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._answer)
            except RuntimeError:  # it was closed
                self._asked_at = None
            return
        self._asleep_seconds += asleep_seconds
        held = time.monotonic() - asked_at - self._asleep_seconds
        if held < BLOCKED_SECONDS or self._told is not None:
            return
        holder = holder_of(self._thread)
        function = holder.place.rpartition(":")[0] if holder is not None else ""
        if holder is not None and function not in known:
            known.add(function)
            self._told = holder
            text = "%s has held the event loop for %.1f s, so that nothing else moves: %s\n  repair: %s"
            log.warning(text, holder, held, holder.place, holder.repair)

    def _answer(self) -> None:
        told, self._told = self._told, None
        asked_at, self._asked_at = self._asked_at, None
        if told is not None and asked_at is not None:
            held = time.monotonic() - asked_at - self._asleep_seconds
            log.warning("%s held the event loop for %.1f s; it moves again", told, held)


class LoopWatch:
    """Looks at the loops that drive runs, in a thread of its own; one is enough for a process."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self.forget()

    def forget(self) -> None:
        """Begin anew, in a fork of this process: neither the thread nor the loops came along."""
        self._lock = threading.Lock()
        self._loops: dict[asyncio.AbstractEventLoop, Loop] = {}
        self._thread: threading.Thread | None = None

    def over(self, loop: asyncio.AbstractEventLoop) -> Loop:
        """Look at a loop, in a `with` block of what runs on it, any number of times."""
        watched = self._loops.get(loop)
        if watched is None or self._thread is None:
            with self._lock:
                watched = self._loops.setdefault(loop, Loop(loop, self._loops))
                if self._thread is None:
                    self._thread = threading.Thread(target=self._look, name="graphengine-watch", daemon=True)
                    self._thread.start()
        return watched

    def _look(self) -> None:
        idle = 0
        at, busy = time.monotonic(), time.process_time()
        while True:
            time.sleep(_LOOK_SECONDS)
            before, at = at, time.monotonic()
            was_busy, busy = busy, time.process_time()
            late = at - before - _LOOK_SECONDS
            asleep = late if late > _LOOK_SECONDS and busy - was_busy < late / 2 else 0.0
            with self._lock:
                watched = list(self._loops.values())
                idle = 0 if watched else idle + 1
                if idle >= _IDLE_LOOKS:
                    self._thread = None
                    return
            for each in watched:
                each.look(asleep, self._known)


def holder_of(thread: int) -> Holder | None:
    """The user's function that holds the loop of a thread; None if none does.

    The innermost function of the user's is looked for, and from there the outermost that the engine did not call: what
    it calls is its own business. So a lambda that a condition is made of is named, and not the node around it, nor the
    engine's own code, nor a library's that the engine called.
    """
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - the documented way to see what threads do
    if frame is not None and frame.f_globals.get("__name__", "").startswith(_LOOPS):
        return None
    place: FrameType | None = None
    node: Context | None = None
    caller = ""
    while frame is not None:
        top = _module_of(frame).partition(".")[0]
        if place is None:
            place = frame if top not in _ENGINE and top not in _LIBRARIES else None
        elif not caller and top in _ENGINE:
            caller = _module_of(frame)
        elif not caller:
            place = frame
        node = _node_in(frame)
        if node is not None or frame.f_code is _CALLBACK_CODE or _module_of(frame) in _AROUND:
            break
        frame = frame.f_back
    if place is None:
        return None
    code = place.f_code
    where = f"{code.co_qualname} ({code.co_filename}:{place.f_lineno})"
    is_body = code.co_flags & inspect.CO_COROUTINE or caller in ("", _BODIES) or caller.startswith("asyncio")
    repair = _REPAIR if is_body else _REPAIR_ASIDE
    return Holder(node.path, node.run_id, where, repair) if node is not None else Holder("", "", where, repair)


def _module_of(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name


def _node_in(frame: FrameType) -> Context | None:
    """The node that a frame of the engine's or of the loop's works for."""
    found: object = None
    if frame.f_code is _NODE_CODE:
        found = frame.f_locals.get("context")
    elif frame.f_code is _CALLBACK_CODE:  # an asyncio task that a node began
        found = frame.f_locals["self"]._context.get(CURRENT)  # noqa: SLF001 - asyncio tells this nowhere else
    return found if isinstance(found, Context) else None


WATCH: Final = LoopWatch()
"""The one of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=WATCH.forget)

__all__ = ["BLOCKED_SECONDS", "WATCH", "Holder", "LoopWatch", "holder_of"]
