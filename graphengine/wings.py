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
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from graphengine.kernel import GraphEngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from importlib.metadata import EntryPoint
    from pathlib import Path

    from msgspec import Struct
    from starlette.routing import BaseRoute

GROUP: Final = "graphengine.wings"
_LEFT_OUT: Final[dict[str, str]] = {}
"""The wings that cannot be used, with the reason."""


class WingBroken(GraphEngineError):
    """A wing that a command or a project names cannot be used."""

    code = "wing_broken"


class Command(NamedTuple):
    """A command of a wing.

    Attributes:
        load: The command of click, as `"module:attribute"`: `graphengine.cli.options.command` makes one.
        about: What it does, in a sentence.
        documents: What it writes under `--json`, a sequence of `Kind`, as `"module:attribute"`; "" if nothing.
        section: The section of `--help` that lists it.
    """

    load: str
    about: str
    documents: str = ""
    section: str = "Extensions"


@dataclass(frozen=True, slots=True)
class Kind:
    """A document of a command.

    Attributes:
        model: What it looks like.
        when: When the command writes it; "" if it is the only one.
        lines: Whether it writes many, one per line.
    """

    model: type[Struct]
    when: str = ""
    lines: bool = False


@dataclass(frozen=True, slots=True)
class Door:
    """A door of `graphengine serve`: routes for another protocol, guarded and closed by the service.

    Attributes:
        name: Its name, as the option `--NAME` and in documents.
        title: Its protocol.
        about: What it serves.
        path: Where it is.
        module: The module with its `async def routes(opening)`; see `graphengine.serve.service.doors.Opening`.
        more: What clients add to the path.
        extra: The extra that it needs; "" if the service's own is enough.
        needs: The module that this extra installs.
    """

    name: str
    title: str
    about: str
    path: str
    module: str
    more: str = ""
    extra: str = ""
    needs: str = ""

    @property
    def is_installed(self) -> bool:
        """Whether it can be opened."""
        return not self.needs or find_spec(self.needs) is not None

    async def open(self, opening: object) -> Sequence[BaseRoute]:
        """Return its routes."""
        found: Sequence[BaseRoute] = await import_module(self.module).routes(opening)
        return found


class Settings(NamedTuple):
    """The settings of a wing in a project.

    Attributes:
        table: The value of `[tool.graphengine.NAME]` in pyproject.toml; None if there is none.
        root: The project's folder; None outside of a project.
    """

    table: Any = None
    root: Path | None = None


class Readiness(NamedTuple):
    """The answer to a question of `graphengine doctor --production`.

    Attributes:
        name: What was checked.
        state: `ok`, `not` or `cannot say`.
        what: What was found.
        repair: What to do; "" if nothing.
    """

    name: str
    state: Literal["ok", "not", "cannot say"]
    what: str
    repair: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wing:
    """All that a package adds to graphengine; each part is imported when it is used.

    Attributes:
        name: Its name, also of its entry point and of its table `[tool.graphengine.NAME]`.
        commands: Its commands, by one or two words; see `Command`.
        groups: What the first words of commands of two words do.
        extension: What makes its extension of a Runner, `(settings: Settings) -> Extension | None`, as
            `"module:attribute"`. It is called in a project that names the wing.
        checks: What checks a graph for `graphengine check`, `(plan: Plan, settings: Settings) -> Iterable[Problem]`.
        questions: What answers `graphengine doctor --production`,
            `async (store: Store, settings: Settings) -> Iterable[Readiness]`.
        doors: Its doors of `graphengine serve`.

    Example:
        >>> wing = Wing(name="audit", commands={"audit": Command("run_audit.command:audit", "Show what runs did.")})
    """

    name: str
    commands: Mapping[str, Command] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    extension: str = ""
    checks: str = ""
    questions: str = ""
    doors: Sequence[Door] = ()


BUILT_IN: Final[tuple[Wing, ...]] = ()
"""Our own."""


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
            _check(point.name, wing, (*BUILT_IN, *found.values()))
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


def _check(name: str, wing: object, known: Sequence[Wing]) -> None:
    """Check the wing of an entry point.

    Raises:
        TypeError: It is no wing.
        ValueError: Its name, a command or a door is another one's.
    """
    if not isinstance(wing, Wing):
        raise TypeError(f"its entry point names {wing!r}, not a Wing")
    if wing.name != name:
        raise ValueError(f"its entry point is named {name!r}, and the wing {wing.name!r}")
    for each in known:
        same = {wing.name} & {each.name} or wing.commands.keys() & each.commands.keys()
        same = same or {door.name for door in wing.doors} & {door.name for door in each.doors}
        if same:
            raise ValueError(f"{', '.join(sorted(same))} is of the wing {each.name!r} already")


def _entry_points() -> Sequence[EntryPoint]:
    """Return the entry points of wings, in order of name.

    Python's own search imports and parses much, for 50 ms. So files that name no wing are sorted out before.
    """
    if not any(map(_names_wings, sys.path)):
        return []
    from importlib.metadata import entry_points  # noqa: PLC0415 - as above

    return sorted(entry_points(group=GROUP), key=lambda point: point.name)


def _names_wings(folder: str) -> bool:
    """Return whether a package that is installed in a folder names a wing."""
    try:
        names = os.listdir(folder or ".")  # noqa: PTH208 - many, quickly
    except OSError:
        return False
    for name in names:
        if name.endswith((".dist-info", ".egg-info")):
            try:
                with open(f"{folder or '.'}/{name}/entry_points.txt", "rb") as file:  # noqa: PTH123 - the same
                    if f"[{GROUP}]".encode() in file.read():
                        return True
            except OSError:
                continue
    return False


__all__ = ["BUILT_IN", "Command", "Door", "Kind", "Readiness", "Settings", "Wing", "WingBroken", "guarded", "wings"]
