"""Find out whether calls cost nothing because rules or a script answered them and not a language model.

Commands that must start quickly import this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphengine.kernel.reader import Usage


def are_offline(usage: Usage) -> bool:
    """Return whether no language model was called, because rules or a script gave all answers.

    >>> are_offline({"calls": 2, "offline_calls": 2}), are_offline({"calls": 2})
    (True, False)
    """
    calls: int = usage.get("calls") or 0
    offline: int = usage.get("offline_calls") or 0
    return calls == offline
