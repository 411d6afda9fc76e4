"""Wings: what other packages add to graphengine, and how they are found. One object says all that a package adds.

A package names its `Wing` as an entry point of the group `graphengine.wings`, under the wing's name. It is found where
the package is installed: its commands, documents, doors, checks and questions need no more. What it does in runs acts
only where a program passes it, `Runner(extensions=[…])`, or a project names it: `[tool.graphengine] wings = ["NAME"]`.

A wing is small: it names what it adds as `"module:attribute"`, which is imported when it is used. One that cannot be
used is named once in the log, which commands show on stderr, and is left out.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from graphengine.wings.delivery import Delivers
from graphengine.wings.own import BUILT_IN, SERVE_OPTIONS
from graphengine.wings.wing import Command, Door, ProjectBroken, Settings, Wing, WingBroken

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from importlib.metadata import EntryPoint

    from graphengine.wings.parts import Gauge, HasGauges, Kind, Readiness, Table

GROUP: Final = "graphengine.wings"
_LEFT_OUT: Final[dict[str, str]] = {}
"""The wings that cannot be used, with the reason."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class
    """Import a class of `graphengine.wings.parts` when it is first used."""
    if name not in __all__:
        raise AttributeError(name)
    return getattr(import_module("graphengine.wings.parts"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def wings() -> tuple[Wing, ...]:
    """Return our own wings, and those of other packages."""
    return (*BUILT_IN, *others().values())


@cache
def others() -> Mapping[str, Wing]:
    """Return the wings of other packages by name; one that cannot be used is named and left out."""
    found: dict[str, Wing] = {}
    for point in _entry_points():
        try:
            wing = point.load()
            _check_wing(point.name, wing, (*BUILT_IN, *found.values()))
            found[point.name] = wing
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the other package does
            leave_out(point.name, error)
    return found


def left_out(name: str) -> str | None:
    """Return why a wing cannot be used, if it was left out."""
    others()
    return _LEFT_OUT.get(name)


def load(reference: str) -> Any:  # noqa: ANN401 - what a wing names
    """Import what a wing names as `"module:attribute"`."""
    module, _, name = reference.partition(":")
    return attrgetter(name)(import_module(module))


@contextmanager
def guarded(wing: Wing) -> Iterator[None]:
    """Leave out a wing of another package if its part raises an error in the block."""
    try:
        yield
    except Exception as error:
        if wing in BUILT_IN:
            raise
        leave_out(wing.name, error)


def leave_out(name: str, error: BaseException) -> None:
    """Name a wing that cannot be used, once, in the log."""
    reason = f"{type(error).__name__}: {error}"
    if name not in _LEFT_OUT:
        import logging  # noqa: PLC0415 - `--help` does without it

        logging.getLogger("graphengine").warning("the wing %s is left out: %s", name, reason)
    _LEFT_OUT[name] = reason


def _check_wing(name: str, wing: object, known: Sequence[Wing]) -> None:
    """Check the wing of an entry point.

    Raises:
        TypeError: It is no wing, or has a command or a door that is none.
        ValueError: Its name, a command or a door is another one's, or a door an option of `serve`.
    """
    if not isinstance(wing, Wing):
        raise TypeError(f"its entry point names {wing!r}, not a Wing")
    for part, kind in (*((each, Command) for each in wing.commands.values()), *((each, Door) for each in wing.doors)):
        if not isinstance(part, kind):
            raise TypeError(f"it has {part!r}, not a {kind.__name__}")
    if wing.name != name:
        raise ValueError(f"its entry point is named {name!r}, and the wing {wing.name!r}")
    doors = {door.name for door in wing.doors}
    if taken := doors & {*SERVE_OPTIONS}:
        raise ValueError(f"{', '.join(sorted(taken))} is an option of `serve` already")
    for each in known:
        same = {wing.name} & {each.name} or wing.commands.keys() & each.commands.keys()
        if same := same or doors & {door.name for door in each.doors}:
            raise ValueError(f"{', '.join(sorted(same))} is of the wing {each.name!r} already")


def _entry_points() -> Sequence[EntryPoint]:
    """Return the entry points of wings, in order of name.

    Python's own search imports and parses much, for 50 ms. So files that name no wing are sorted out before.
    """
    if not installed():
        return []
    from importlib.metadata import entry_points  # noqa: PLC0415 - as above

    return sorted(entry_points(group=GROUP), key=lambda point: point.name)


def installed() -> set[str]:
    """Return the names of the wings of other packages, of which none is imported; one may not be usable."""
    return {name for folder in sys.path for name in _wings_in(folder)}


def _wings_in(folder: str) -> Iterator[str]:
    """Yield the names of wings that the packages in a folder have."""
    try:
        names = os.listdir(folder or ".")  # noqa: PTH208 - many, quickly
    except OSError:
        return
    for name in names:
        if name.endswith((".dist-info", ".egg-info")):
            try:
                with open(f"{folder or '.'}/{name}/entry_points.txt", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - the same
                    section = file.read().partition(f"[{GROUP}]")[2].partition("\n[")[0]
            except OSError:
                continue
            yield from (line.partition("=")[0].strip() for line in section.splitlines() if "=" in line)


__all__ = [
    "BUILT_IN",
    "Command",
    "Delivers",
    "Door",
    "Gauge",
    "HasGauges",
    "Kind",
    "ProjectBroken",
    "Readiness",
    "Settings",
    "Table",
    "Wing",
    "WingBroken",
    "guarded",
    "installed",
    "leave_out",
    "left_out",
    "load",
    "others",
    "wings",
]
