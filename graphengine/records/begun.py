"""What a run began with, compared with what another start would begin it with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.kernel import UnknownStep, load_snapshot, opened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphengine.kernel import RunStore
    from graphengine.kernel.definitions import Initial


async def begun_otherwise(store: RunStore, run_id: str, initial: Initial, names: Iterable[str]) -> list[str]:
    """Return which of these fields a run began with another value; none if its beginning was trimmed.

    Raises:
        UnknownRun; StoreCorrupt: The log does not fold.
    """
    try:
        begun = (await load_snapshot(store, run_id, 1)).root.values
    except UnknownStep:
        return []
    return [name for name in names if opened(initial.values.get(name)) != opened(begun.get(name))]


__all__ = ["begun_otherwise"]
