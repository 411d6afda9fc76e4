"""The summary of a run in a list: why it ended or what it waits for, and what it cost.

A store writes the summary with each change of a run's status, so that lists of runs need not read any log. The doctors
(checks of a damaged database) compare the summary with the log.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypedDict

from graphengine.engine.frame_tree import spent_since
from graphengine.engine.ready import of_limit
from graphengine.engine.work_keys import WorkKey
from graphengine.state.amounts import losses_of
from graphengine.state.recorded_text import show
from graphengine.stores.base import Summary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import RunStatus, WaitRecord

_CHARACTERS: Final = 200
NO_FIELDS: Final[Mapping[str, str]] = MappingProxyType({})
"""The searchable fields of a run that has none."""


def summary_of(snapshot: Snapshot, status: RunStatus | None = None, fields: Mapping[str, str] = NO_FIELDS) -> Summary:
    """Return the summary of a run as lists of runs show it, computed from a snapshot of the run.

    Args:
        snapshot: The state of the run.
        status: The status to show instead of the snapshot's own, while some of the run's work is still in progress.
        fields: The searchable fields of the run, which snapshots do not contain; see `Summary.fields`.

    Example:
        >>> from graphengine.engine.snapshot import Snapshot
        >>> from graphengine.state.ending import Ending
        >>> ended = summary_of(Snapshot(status="finished", ending=Ending("end", label="approved")))
        >>> ended.reason, ended.kind
        ('approved', 'end')
    """
    reason = kind = ""
    waits = 0
    status = status or snapshot.status
    if status == "waiting":
        asked = (each for frame in snapshot.frames.values() for each in frame.waits.items())
        still = (each for each in asked if each[1].id not in snapshot.posted)
        first = next(still, None)
        if first is not None:
            waits = 1 + sum(1 for _ in still) if snapshot.posted else snapshot.open_waits.count
            reason, kind = wait_words(*first, characters=_CHARACTERS), first[1].kind
        elif snapshot.posted:
            by = [*snapshot.posted.values()][-1].by
            reason, kind = f"answered{by and f' by {by}'}, waits for a worker or a resume", "answered"
    elif status != "running":
        stop, failure = snapshot.ending, snapshot.failure
        kind = stop.reason if stop is not None else status
        if failure is not None:
            place = f"{failure.path}: " if failure.path else ""
            reason = f"{place}{failure.kind}: {failure.message}"
        elif stop is not None:
            reason = stop.label or stop.why
    usage = snapshot.usage
    own = spent_since(snapshot.inherited, usage) if snapshot.inherited else usage
    return Summary(
        _one_line(reason, _CHARACTERS) if reason else "",
        kind,
        waits,
        own.get("cost_usd", 0.0),
        int(of_limit("tokens", own)) if own else 0,
        snapshot.steps,
        float(snapshot.elapsed_seconds),
        losses_of(usage, snapshot.losses) if usage or snapshot.losses else {},
        snapshot.agents.copy(),
        {**fields} if fields else {},
    )


class BegunAs(TypedDict):
    """The values in a run's row that are recorded when the run starts. The names are those of `RunInfo`."""

    title: str
    user: str | None
    deploy: str
    began_with: str
    code: str
    starter: str | None
    root: str | None
    depth: int
    nonce: str
    starter_nonce: str
    root_nonce: str


def begun_as(snapshot: Snapshot) -> BegunAs:
    """Return the values that a run's row gets when the run starts, taken from a snapshot."""
    starter, origin = snapshot.starter, snapshot.origin
    return {
        "title": snapshot.title,
        "user": None if origin is None else origin.user or None,
        "deploy": "" if origin is None else origin.deploy,
        "began_with": snapshot.began_with,
        "code": snapshot.code,
        "starter": None if starter is None else starter.run_id,
        "root": None if starter is None else starter.root or None,
        "depth": 0 if starter is None else starter.depth,
        "nonce": snapshot.nonce,
        "starter_nonce": "" if starter is None else starter.nonce,
        "root_nonce": "" if starter is None else starter.root_nonce,
    }


def wait_words(name: str, wait: WaitRecord, *, path: str = "", characters: int) -> str:
    """Describe in one line what a run waits for, such as a person's answer or a message.

    The line begins with the name of the wait, unless the name equals `path`. A timed wait of an agent also mentions
    what the agent waits for, such as a budget.
    """
    named = "" if name == path or wait.kind in ("sleep", "pause") else f"{name}: "
    if wait.kind == "receive":
        return f"{named}waits for a message on {wait.topic!r}"
    if wait.kind == "pause":
        return "waits for approval to continue"
    text = _one_line(show(wait.question), characters)
    if wait.kind != "sleep":
        return f"{named}{text}"
    return f"waits for {text}" if WorkKey.read(wait.key).around else "waits"


def _one_line(text: str, characters: int) -> str:
    if len(text) <= characters and text.isprintable() and "  " not in text and text.strip(" ") == text:
        return text  # the code below would not change it: of all blanks, only " " is printable
    line = " ".join(text[: 4 * characters].split())
    return line if len(line) <= characters and len(text) <= 4 * characters else f"{line[: characters - 1].rstrip()}…"
