"""What rows of every database keep as JSON."""

from __future__ import annotations

import msgspec

from graphengine.kernel.store import QueueLimits, Summary


def limits_text(limits: QueueLimits) -> str:
    """Return limits as stores keep them: JSON."""
    return msgspec.json.encode(limits).decode()


def read_limits(text: str) -> QueueLimits:
    """Return the limits that a store kept."""
    return msgspec.json.decode(text, type=QueueLimits)


def read_summary(text: str | None) -> Summary | None:
    """Return the summary that a store kept; None if there is none, or it cannot be read."""
    try:
        return None if text is None else msgspec.json.decode(text, type=Summary)
    except ValueError:  # it is derived from the log, which can always be folded
        return None
