"""Check the name and the limits of a queue."""

from __future__ import annotations

from typing import Final

from graphengine.errors import InputError
from graphengine.kernel.extension import is_seconds, is_tag
from graphengine.kernel.store import QueueLimits

_ONLY_PAUSED: Final = QueueLimits(paused=True)


def check_limits(queue: str, limits: QueueLimits | None) -> None:
    """Check the name of a queue and the limits that it should get.

    Raises:
        InputError: The name or one of the limits is invalid.
    """
    where = f"queue {queue!r}"
    if not is_tag(queue):
        repair = "use 1 to 100 printable characters: 'mail'"
        raise InputError(f"{queue!r} cannot be the name of a queue", where=where, repair=repair)
    if limits is not None and queue.startswith(("graph:", "tenant:")) and limits not in (_ONLY_PAUSED, QueueLimits()):
        kind, _, name = queue.partition(":")
        raise InputError(
            f"{queue!r} cannot have limits: the runs of a {kind} can be paused, but only a queue can have limits",
            where=where,
            repair=f"find the queue of the runs of {kind} {name!r} with `graphengine queues`, and limit this queue, "
            "as in `graphengine queues set mail --concurrency 20`",
        )
    for name in ("concurrency", "tenant_concurrency") if limits is not None else ():
        count = getattr(limits, name)
        if count is not None and (type(count) is not int or count < 1):
            text = (
                f"{name}={count!r}: the number of runs at the same time must be a whole number of at least 1, or None"
            )
            raise InputError(text, where=where, repair=f"write QueueLimits({name}=20), or None for no limit")
    if limits is not None and type(limits.paused) is not bool:
        text = f"paused={limits.paused!r}: whether a queue is paused must be True or False"
        raise InputError(text, where=where, repair="write QueueLimits(paused=True)")
    for name in ("rate", "tenant_rate") if limits is not None else ():
        rate = getattr(limits, name)
        is_pair = isinstance(rate, (tuple, list)) and len(rate) == 2  # noqa: PLR2004 - a pair
        if rate is not None and not (is_pair and type(rate[0]) is int and rate[0] > 0 and is_seconds(rate[1])):
            text = (
                f"{name}={rate!r}: a rate must be a pair of a number of runs, at least 1, and of seconds, more than 0"
            )
            repair = f"write QueueLimits({name}=(100, 60.0)) for 100 runs a minute, or None for no limit"
            raise InputError(text, where=where, repair=repair)


__all__ = ["check_limits"]
