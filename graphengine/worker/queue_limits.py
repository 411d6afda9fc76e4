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
        raise InputError(f"{queue!r} cannot be the name of a queue", where=where, repair="use printable characters")
    if limits is not None and queue.startswith(("graph:", "tenant:")) and limits not in (_ONLY_PAUSED, QueueLimits()):
        raise InputError(
            f"{queue} can be paused, and cannot have limits", where=where, repair="limit the queue of its runs"
        )
    for name in ("concurrency", "tenant_concurrency") if limits is not None else ():
        count = getattr(limits, name)
        if count is not None and (type(count) is not int or count < 1):
            raise InputError(f"{name}={count!r} is not valid", where=where, repair="give 1 or more, or None")
    if limits is not None and type(limits.paused) is not bool:
        raise InputError(f"paused={limits.paused!r} is not valid", where=where, repair="give True or False")
    for name in ("rate", "tenant_rate") if limits is not None else ():
        rate = getattr(limits, name)
        is_pair = isinstance(rate, (tuple, list)) and len(rate) == 2  # noqa: PLR2004 - a pair
        if rate is not None and not (is_pair and type(rate[0]) is int and rate[0] > 0 and is_seconds(rate[1])):
            raise InputError(
                f"{name}={rate!r} is not valid", where=where, repair=f"give a count and seconds: {name}=(100, 60.0)"
            )


__all__ = ["check_limits"]
