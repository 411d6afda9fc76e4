"""Values that the rows of both databases contain as JSON."""

from __future__ import annotations

import msgspec

from graphengine.kernel.store import QueueLimits, Summary


def limits_text(limits: QueueLimits) -> str:
    return msgspec.json.encode(limits).decode()


def read_limits(text: str) -> QueueLimits:
    return msgspec.json.decode(text, type=QueueLimits)


def read_summary(text: str | None) -> Summary | None:
    """Decode the stored summary of a run.

    The result is None if no summary is stored or if it cannot be read. This is no error, because the summary can be
    computed again from the log.
    """
    try:
        return None if text is None else msgspec.json.decode(text, type=Summary)
    except ValueError:  # the summary can be computed again from the log
        return None
