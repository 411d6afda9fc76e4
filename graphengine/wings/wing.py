"""What a wing consists of.

Every command imports this module. Annotations are evaluated here, since `NamedTuple` compiles each one that is a text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from graphengine.errors import GraphEngineError

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.routing import BaseRoute


class WingBroken(GraphEngineError):
    """A wing that a command or a project names cannot be used."""

    code = "wing_broken"


class ProjectBroken(GraphEngineError):
    """A pyproject.toml is invalid."""

    code = "project_broken"


class Command(NamedTuple):
    """A command of a wing.

    Attributes:
        load: The command of click, as `"module:attribute"`: `graphengine.cli.options.command` makes one.
        about: What it does, in a sentence.
        documents: What it writes under `--json`, a sequence of `Kind`, as `"module:attribute"`; "" if nothing.
        section: The section of `--help` that lists it.
        after: The command after which it is listed there; "" for the end.
    """

    load: str
    about: str
    documents: str = ""
    section: str = "Extensions"
    after: str = ""


class Door(NamedTuple):
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

    async def open(self, opening: object) -> "Sequence[BaseRoute]":
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
    root: "Path | None" = None

    @property
    def place(self) -> str:
        """The file that has them, for errors; "" outside of a project."""
        return "" if self.root is None else str(self.root / "pyproject.toml")


@dataclass(frozen=True, kw_only=True)
class Wing:
    """All that a package adds to graphengine; each part is imported when it is used.

    Attributes:
        name: Its name, also of its entry point and of its table `[tool.graphengine.NAME]`.
        commands: Its commands, by one or two words; see `Command`.
        groups: What the first words of commands of two words do.
        settings: What reads its table, `(settings: Settings) -> object`, as `"module:attribute"`; "" if its parts do.
        extension: What makes its extension of a Runner, `(settings: Settings) -> Extension | None`, as
            `"module:attribute"`. It is called in a project that names the wing.
        events: The live events that it shows in runs, a sequence of classes, as `"module:attribute"`. Watchers get a
            line of each, whose schema `graphengine schema watch` and the service's OpenAPI have.
        checks: What checks a graph for `graphengine check`, `(plan: Plan, settings: Settings) -> Iterable[Problem]`.
        questions: What answers `graphengine doctor --production`,
            `async (store: Store, settings: Settings) -> Iterable[Readiness]`.
        tables: What *Today* of `graphengine inspect` shows besides, `async (store: Store, settings: Settings,
            tenant: str | None) -> Iterable[Table]`; a tenant may see only its own.
        doors: Its doors of `graphengine serve`.
        runs: The ids of runs in which it keeps what is its own. What is done to all runs that a search finds leaves
            them as they are.

    Example:
        >>> wing = Wing(name="audit", commands={"audit": Command("run_audit.command:audit", "Show what runs did.")})
    """

    name: str
    commands: Mapping[str, Command] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    settings: str = ""
    extension: str = ""
    events: str = ""
    checks: str = ""
    questions: str = ""
    tables: str = ""
    doors: Sequence[Door] = ()
    runs: Sequence[str] = ()
