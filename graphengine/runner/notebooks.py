"""What notebooks show of a run and of its result. What can draw them is set here; without it they show the repr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.engine.snapshot import Snapshot
    from graphengine.runner.result import Result

    Draws: TypeAlias = Callable[[Result[Any], Snapshot | None], str]

_DRAWS: Final[list[Draws]] = []


def draw_with(draws: Draws) -> None:
    """Let a function draw results as HTML from now on; it also gets the snapshot of a run that is still driven."""
    _DRAWS[:] = [draws]


def html_of(result: Result[Any], snapshot: Snapshot | None = None) -> str | None:
    """Return what a notebook shows; None if nothing draws it."""
    return _DRAWS[0](result, snapshot) if _DRAWS else None
