"""Wings: parts that other packages add to graphengine, and the search for them.

A `Wing` is one object that lists everything a package adds: commands (`Command`), protocols of the server (`Door`),
settings, checks, questions and tables, and an extension of the Runner. Each part is named as `"module:attribute"` and
imported when it is used, so that a wing is quick to load.

A package publishes its wing as an entry point in the group `graphengine.wings`, under the wing's name. When the package
is installed, its commands, documents, doors, checks and questions are found without further steps. Its effects in runs
need a decision: a program passes its extension with `Runner(extensions=[…])`, or a project names the wing with
`[tool.graphengine] wings = ["NAME"]`.

These words have a meaning of their own here:

- A *wing* is also a part of graphengine itself: the wings in `own.py` use the same interface as other packages.
- A *door* is a set of routes of `graphengine serve` for another protocol, such as MCP.
- A *kind* is a document that a command writes.
- A wing that is *left out* cannot be used. It is logged once (commands show the log on stderr), and graphengine works
  without it.
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
"""The reasons why wings cannot be used, by the names of the wings."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class
    """Import a class of `graphengine.wings.parts` when it is first used."""
    if name not in __all__:
        raise AttributeError(name)
    return getattr(import_module("graphengine.wings.parts"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def wings() -> tuple[Wing, ...]:
    """Return all wings that can be used: those of graphengine itself, and those of other installed packages.

    A wing is everything that one package adds to graphengine, such as commands and settings.
    """
    return (*BUILT_IN, *others().values())


@cache
def others() -> Mapping[str, Wing]:
    """Import the wings of other packages, and return them by name.

    A wing is what a package adds to graphengine. A wing that cannot be used is logged and left out.
    """
    found: dict[str, Wing] = {}
    for point in _entry_points():
        try:
            wing = point.load()
            _check_wing(point.name, wing, (*BUILT_IN, *found.values()))
            found[point.name] = wing
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the other package may raise anything
            leave_out(point.name, error)
    return found


def left_out(name: str) -> str | None:
    """Return why a wing was left out, for an error message; None if it can be used."""
    others()
    return _LEFT_OUT.get(name)


def load(reference: str) -> Any:  # noqa: ANN401 - any object of a wing
    """Import an object that a wing names in the form `"module:attribute"`."""
    module, _, name = reference.partition(":")
    return attrgetter(name)(import_module(module))


@contextmanager
def guarded(wing: Wing) -> Iterator[None]:
    """Run code of a wing in this block, so that an error in another package's wing does not stop graphengine.

    A wing is what a package adds to graphengine. If a wing of another package raises an error, the wing is left out
    from now on. The block ends there, without an error. An error in a wing of graphengine itself is raised.
    """
    try:
        yield
    except Exception as error:
        if wing in BUILT_IN:
            raise
        leave_out(wing.name, error)


def leave_out(name: str, error: BaseException) -> None:
    """Record that the wing of a package cannot be used, with the reason, which is logged the first time."""
    reason = f"{type(error).__name__}: {error}"
    if name not in _LEFT_OUT:
        import logging  # noqa: PLC0415 - not needed for `--help`

        logging.getLogger("graphengine").warning("the wing %r is left out: %s", name, reason)
    _LEFT_OUT[name] = reason


def _check_wing(name: str, wing: object, known: Sequence[Wing]) -> None:
    """Check the wing that another package publishes: its type, and that all its names are still free.

    Raises:
        TypeError: The object is not a wing, or one of its commands or doors has the wrong type.
        ValueError: Another wing has the same name or a command or door with the same name, or a door has the name of an
            option of `serve`.
    """
    if not isinstance(wing, Wing):
        raise TypeError(f"the entry point of the wing names {wing!r}, which is not a Wing")
    for part, kind in (*((each, Command) for each in wing.commands.values()), *((each, Door) for each in wing.doors)):
        if not isinstance(part, kind):
            raise TypeError(f"the wing contains {part!r}, which is not a {kind.__name__}")
    if wing.name != name:
        raise ValueError(f"the entry point has the name {name!r}, but the wing has the name {wing.name!r}")
    doors = {door.name for door in wing.doors}
    if taken := doors & {*SERVE_OPTIONS}:
        raise ValueError(f"the door {', '.join(map(repr, sorted(taken)))} has the name of an option of `serve`")
    for each in known:
        same = {wing.name} & {each.name} or wing.commands.keys() & each.commands.keys()
        if same := same or doors & {door.name for door in each.doors}:
            raise ValueError(f"the name {', '.join(map(repr, sorted(same)))} belongs to the wing {each.name!r} already")


def _entry_points() -> Sequence[EntryPoint]:
    """Return the entry points under which other packages publish wings, ordered by name.

    The search in Python's standard library takes 50 ms, because it imports and parses much. It is skipped if no
    installed package has a wing.
    """
    if not installed():
        return []
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, see above

    return sorted(entry_points(group=GROUP), key=lambda point: point.name)


def installed() -> set[str]:
    """Return the names of the wings that other packages publish, without importing these wings.

    Some of them may not be usable.
    """
    return {name for folder in sys.path for name in _wings_in(folder)}


def _wings_in(folder: str) -> Iterator[str]:
    """Yield the names of the wings that the packages installed in this folder publish."""
    try:
        names = os.listdir(folder or ".")  # noqa: PTH208 - faster in large folders
    except OSError:
        return
    for name in names:
        if name.endswith((".dist-info", ".egg-info")):
            try:
                with open(f"{folder or '.'}/{name}/entry_points.txt", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - faster
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
