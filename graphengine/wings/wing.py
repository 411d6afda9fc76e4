"""The class `Wing` and the types of its parts.

Every command imports this module. Its annotations are evaluated at once, because `NamedTuple` compiles each annotation
that is a text, which takes longer.
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
    """A command that a wing adds to the command line.

    Attributes:
        load: The click command, as `"module:attribute"`. `graphengine.cli.options.command` makes such commands.
        about: The description, in one sentence.
        documents: The documents that the command writes with `--json`, a sequence of `Kind`, as `"module:attribute"`;
            "" if there are none.
        section: The section of `--help` that lists the command.
        after: The command after which this one is listed; "" for the end of the section.
    """

    load: str
    about: str
    documents: str = ""
    section: str = "Extensions"
    after: str = ""


class Door(NamedTuple):
    """The routes of another protocol, such as MCP, that a package adds to the server `graphengine serve`.

    The server checks who calls the routes of a `Door` before it passes a request on, and closes the routes when the
    server ends.

    Attributes:
        name: The name, which is also the option `--NAME` and appears in documents.
        title: The name of the protocol.
        about: A description of what the door serves.
        path: The path of the routes.
        module: The module with the function `async def routes(opening)`; see `graphengine.serve.service.doors.Opening`.
        more: The part that clients add to the path.
        extra: The extra of graphengine that the door needs; "" if the extra of the service is enough.
        needs: A module that this extra installs.
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
        """Whether the packages that the protocol needs are installed."""
        return not self.needs or find_spec(self.needs) is not None

    async def open(self, opening: object) -> "Sequence[BaseRoute]":
        """Import the module of the door, and return the routes that the HTTP server adds."""
        found: Sequence[BaseRoute] = await import_module(self.module).routes(opening)
        return found


class Settings(NamedTuple):
    """The settings of one wing in a project's pyproject.toml.

    Attributes:
        table: The value of `[tool.graphengine.NAME]` in pyproject.toml; None if there is none.
        root: The project's folder; None outside of a project.
    """

    table: Any = None
    root: "Path | None" = None

    @property
    def place(self) -> str:
        """The path of the project's pyproject.toml, which error messages name; "" outside of a project."""
        return "" if self.root is None else str(self.root / "pyproject.toml")


@dataclass(frozen=True, kw_only=True)
class Wing:
    """Everything that a package adds to graphengine. Each part is imported when it is used.

    Attributes:
        name: The name, which is also the name of the entry point and of the table `[tool.graphengine.NAME]`.
        commands: The commands, by their names of one or two words; see `Command`.
        groups: The descriptions of the groups of commands, by the first of two words.
        settings: A function that reads the table, `(settings: Settings) -> object`, as `"module:attribute"`; "" if the
            other parts read it.
        extension: A function that makes the extension of a Runner, `(settings: Settings) -> Extension | None`, as
            `"module:attribute"`. It is called in a project that names the wing.
        events: The live events of the wing in runs, a sequence of classes, as `"module:attribute"`. Watchers receive
            each event as a line. The schemas of these lines are part of `graphengine schema watch` and of the service's
            OpenAPI document.
        checks: A function that checks a graph for `graphengine check`, `(plan: Plan, settings: Settings) ->
            Iterable[Problem]`.
        questions: A function that answers `graphengine doctor --production`, `async (store: Store, settings: Settings)
            -> Iterable[Readiness]`.
        tables: A function that returns further tables for *Today* in `graphengine inspect`, `async (store: Store,
            settings: Settings, tenant: str | None) -> Iterable[Table]`. A tenant may only see its own data.
        doors: The doors of `graphengine serve`.
        runs: The ids of runs in which the wing keeps its own data. Operations on all runs that a search finds do not
            change these runs.

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
