"""Collect the nodes that failed during a test, each with its place, its input and its requests to models.

The pytest plugin shows them below a failed test, so that the user does not need to run the test again with prints. The
text is written when the node fails, because the state no longer exists when pytest writes the report. Only the first
failures of a test are kept, because they usually cause the later failures.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from graphengine.kernel.inside import HIDDEN, NodeFailed, Redactor, opened, plan_of
from graphengine.kernel.reader import show
from graphengine.models.hiding import hide_secrets
from graphengine.models.scripted import shorten_middle, summarise_request
from graphengine.runner.attempt import Attempt
from graphengine.testing.stage import RUN_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from graphengine.agents.conversation import Conversation
    from graphengine.engine.events import Event
    from graphengine.kernel.extension import JsonValue, Plan
    from graphengine.kernel.reader import Frame, Snapshot
    from graphengine.models.base import Request

KEPT: Final = 5
"""The maximum number of kept failures of one test, including attempts that were retried."""
_FIELD: Final = 200  # characters of one field
_MESSAGE: Final = 2000  # characters of an error

_test: str = ""
_failed: list[tuple[str, str]] = []
_watched: set[str] = set()
_ASKED: Final[ContextVar[list[Request] | None]] = ContextVar("graphengine_asked", default=None)


def watch(test: str) -> None:
    """Begin to collect the nodes that fail during a test, so that the report of the test can show them.

    Nodes that failed in the previous test are forgotten.

    Args:
        test: The pytest node id of the test.
    """
    global _test  # noqa: PLW0603 - one test runs at a time in a process
    _test = test
    _failed.clear()
    if "run" not in _watched:
        _watched.add("run")
        _wrap_run()
        _wrap_requests(import_module("graphengine.agents.conversation").Conversation)


def sections(test: str) -> list[tuple[str, str]]:
    """Return the failed nodes of a test, each with a title and a text for the pytest report."""
    return list(_failed) if test == _test else []


def _wrap_run() -> None:
    run = Attempt.run

    async def noting(attempt: Attempt) -> Event | None:
        if len(_failed) >= KEPT:
            return await run(attempt)
        asked: list[Request] = []
        # The variable is never reset. Each task sets its own list, and an abandoned task can end in any context.
        _ASKED.set(asked)
        event = await run(attempt)
        # `run_node` describes its failures in its own exception.
        if isinstance(event, NodeFailed) and attempt.services.run_id != RUN_ID:
            _failed.append(_report_failure(attempt, event, asked))
        return event

    Attempt.run = cast("Any", noting)  # type: ignore[method-assign]


def _wrap_requests(conversation: type[Conversation[Any]]) -> None:
    original = conversation._request  # noqa: SLF001 - requests to models are visible nowhere else

    def noting(self: Conversation[Any], *args: Any, **kwargs: Any) -> Request:  # noqa: ANN401 - passed on unchanged
        request = original(self, *args, **kwargs)
        asked = _ASKED.get()
        if asked is not None:
            asked.append(request)
        return request

    conversation._request = noting  # type: ignore[method-assign]  # noqa: SLF001


def _report_failure(attempt: Attempt, event: NodeFailed, asked: list[Request]) -> tuple[str, str]:
    """Return the title and the text with which a failed node appears in the report of the test."""
    plan, snapshot = attempt.services.run.plan, attempt.services.run.snapshot
    path = attempt.path
    where = f"visit {event.id.visit}, attempt {event.id.attempt}, after step {snapshot.seq} of run {snapshot.run_id}"
    return f"graphengine: node {path} failed ({where})", "\n".join(_report_lines(plan, snapshot, event, asked))


def _report_lines(plan: Plan[Any], snapshot: Snapshot, event: NodeFailed, asked: list[Request]) -> Iterator[str]:
    error = event.error

    def hide(text: str) -> str:
        return hide_secrets(Redactor(plan, snapshot).hide(text) if plan.secret else text)

    yield shorten_middle(hide(f"{error.kind}: {error.message}"), _MESSAGE)
    if error.repair:
        yield hide(f"repair: {error.repair}")
    frame = snapshot.frames.get(event.id.frame)
    if frame is not None:
        inner = plan_of(plan, frame)
        yield "what it saw:"
        for name in inner.state.fields:
            is_secret = name in inner.state.secrets
            yield f"  {name}: {HIDDEN if is_secret else _shorten_value(_record_of_field(frame, name), hide)}"
    # Some messages already contain the request.
    if asked and f"agent: {asked[-1].agent}\n" not in show(error.message):
        yield "what it asked last:" if len(asked) > 1 else "what it asked:"
        yield from (f"  {line}" for line in hide(summarise_request(asked[-1])).splitlines())


def _record_of_field(frame: Frame, name: str) -> JsonValue:
    """Return the recorded value of a field as the node at this place of the run sees it.

    An arm of a fork and an item of a map see their own writes first, and otherwise the values of the surrounding graph.
    """
    while frame.base is not None and name not in frame.values:
        frame = frame.base
    return opened(frame.values.get(name))


def _shorten_value(value: object, hide: Callable[[str], str]) -> str:
    return shorten_middle(hide(json.dumps(value, ensure_ascii=False, default=repr)), _FIELD)


__all__ = ["KEPT", "sections", "watch"]
