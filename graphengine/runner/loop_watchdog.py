"""A watchdog that reports user functions which block the event loop.

While a node blocks the loop, nothing else in its process moves: no other run, no timer, no stop. Nothing is lost (the
lease is renewed from a thread), but the user should know. So one thread of the process watches every loop that drives
runs: it sends the loop a ping, and if there is no reply for `BLOCKED_SECONDS`, it inspects the stack of the loop's
thread and logs a warning with the node, the function and the repair. When the loop moves again, it logs how long it was
blocked. Each function is reported once. If the engine itself is at work, without a user function around it, nothing is
reported, because users could not fix that.

This costs a run's steps nothing. The thread exists while runs are driven, with any store, and ends some time after the
last one. A process that was suspended is not mistaken for one that was busy.
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

from graphengine.engine.steps import own_name
from graphengine.runner.attempt import TaskRunner
from graphengine.runner.context import Context
from graphengine.runner.scope import CURRENT

if TYPE_CHECKING:
    from types import FrameType

log = logging.getLogger("graphengine.runner")

BLOCKED_SECONDS: Final = 2.0
"""A loop that does not reply for this long is blocked: well above the pauses of a busy but healthy loop."""
_LOOK_SECONDS: Final = 0.5
_IDLE_LOOKS: Final = 20
"""The thread ends after this many checks without a loop to watch, so that runs in quick succession share it."""

_NODE_CODE: Final = TaskRunner.run.__code__
_CALLBACK_CODE: Final = asyncio.Handle._run.__code__  # noqa: SLF001 - only compared with frames
_LOOPS: Final = ("asyncio.", "selectors")
_ENGINE: Final = ("asyncio", "graphengine")
_LIBRARIES: Final = {*sys.stdlib_module_names, "aiosqlite", "anthropic", "httpx2", "jsonschema", "json_repair", "mcp",
                     "networkx", "openai", "pydantic", "pydantic_core"}  # fmt: skip
"""Libraries that the engine calls too: frames of these alone are not a user's function."""
_AROUND: Final = ("asyncio.base_events", "asyncio.runners")
"""The frames outside of these belong to the program that started the loop."""
_BODIES: Final = "graphengine.runner.attempt"
_REPAIR: Final = "make it a plain function (def, without thread=False), which runs in a thread, or await what blocks"
_REPAIR_ASIDE: Final = "do slow work in a node: conditions, reducers, validators and the like run on the event loop"


class Holder(NamedTuple):
    """What blocks a loop: the node and its run, "" if they are not known; the function, with its file and line."""

    node: str
    run_id: str
    place: str
    repair: str = _REPAIR

    def __str__(self) -> str:
        return f"node {self.node} (run {self.run_id})" if self.node else self.place


class Loop:
    """A loop that is watched while any `with` block of it lasts; entered and exited in the loop's own thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, watched: dict[asyncio.AbstractEventLoop, Loop]) -> None:
        self._loop = loop
        self._watched = watched
        self._thread = threading.get_ident()
        self._pinged_at: float | None = None  # of a ping without a reply; the reply resets it
        self._asleep_seconds = 0.0  # since then; used only by the watching thread
        self._reported: Holder | None = None
        self._uses = 0

    def __enter__(self) -> None:
        self._uses += 1

    def __exit__(self, *_: object) -> None:
        self._uses -= 1
        if not self._uses:
            self._watched.pop(self._loop, None)

    def look(self, asleep_seconds: float, known: set[str]) -> None:
        """Send a ping, or check the reply to the last one; called in the watching thread.

        Args:
            asleep_seconds: For how long the whole process was suspended since the last check.
            known: The functions that were reported before; those reported now are added.
        """
        pinged_at = self._pinged_at
        if pinged_at is None:
            self._asleep_seconds = 0.0
            self._pinged_at = time.monotonic()  # before the call: the reply may come at once, and resets it
            try:
                self._loop.call_soon_threadsafe(self._reply)
            except RuntimeError:  # the loop was closed
                self._pinged_at = None
            return
        self._asleep_seconds += asleep_seconds
        held = time.monotonic() - pinged_at - self._asleep_seconds
        if held < BLOCKED_SECONDS or self._reported is not None:
            return
        holder = holder_of(self._thread)
        function = holder.place.rpartition(":")[0] if holder is not None else ""
        if holder is not None and function not in known:
            known.add(function)
            self._reported = holder
            text = "%s has held the event loop for %.1f s, so that nothing else runs: %s\n  repair: %s"
            log.warning(text, holder, held, holder.place, holder.repair)

    def _reply(self) -> None:
        reported, self._reported = self._reported, None
        pinged_at, self._pinged_at = self._pinged_at, None
        if reported is not None and pinged_at is not None:
            held = time.monotonic() - pinged_at - self._asleep_seconds
            log.warning("%s held the event loop for %.1f s; it moves again", reported, held)


class LoopWatch:
    """Watches the loops that drive runs, in its own thread; one for each process."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self.forget()

    def forget(self) -> None:
        """Reset in a fork of this process, which has neither the thread nor the loops."""
        self._lock = threading.Lock()
        self._loops: dict[asyncio.AbstractEventLoop, Loop] = {}
        self._thread: threading.Thread | None = None

    def over(self, loop: asyncio.AbstractEventLoop) -> Loop:
        """Return a context manager for the code that runs on a loop; it can be entered any number of times."""
        watched = self._loops.get(loop)
        if watched is None or self._thread is None:
            # Both are checked again under the lock: the thread decides under it that it is idle, and ends.
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
            # Late without CPU time: the process was suspended. A busy process is late too, but used the time.
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
    """Return the user function that blocks the loop of a thread; None if none does.

    The search goes from the innermost user frame outwards to the function that the engine called. So the lambda of a
    condition is named, not the node around it, nor the engine's own code, nor a library that the engine called.
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
    where = f"{own_name(code.co_qualname)} ({code.co_filename}:{place.f_lineno})"
    is_body = code.co_flags & inspect.CO_COROUTINE or caller in ("", _BODIES) or caller.startswith("asyncio")
    repair = _REPAIR if is_body else _REPAIR_ASIDE
    return Holder(node.path, node.run_id, where, repair) if node is not None else Holder("", "", where, repair)


def _module_of(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name


def _node_in(frame: FrameType) -> Context | None:
    """Return the node for which a frame of the engine or of the loop works."""
    found: object = None
    if frame.f_code is _NODE_CODE:
        found = frame.f_locals.get("context")
    elif frame.f_code is _CALLBACK_CODE:  # an asyncio task that a node began
        found = frame.f_locals["self"]._context.get(CURRENT)  # noqa: SLF001 - asyncio has no public access
    return found if isinstance(found, Context) else None


WATCH: Final = LoopWatch()
"""The watch of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=WATCH.forget)

__all__ = ["BLOCKED_SECONDS", "WATCH", "Holder", "LoopWatch", "holder_of"]
