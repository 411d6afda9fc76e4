"""What a shell is offered behind Tab: graphs, runs, tags, nodes.

Nothing of the user's is run for that: graphs are found in the text of their files, runs in the database, which is only
read. Whatever goes wrong, nothing is offered and nothing is said, since the line being typed would be torn apart.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphengine.errors import GraphEngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import click
    from click.shell_completion import CompletionItem

    from graphengine.stores.base import RunInfo

_GRAPH: Final = re.compile(r"""\bGraph(?:\[[^\]]*\])?\(\s*["']([\w-]+)["']""")
_NODE: Final = re.compile(r"""\.add_node\(\s*["']([\w-]+)["']""")
_PLAIN: Final = re.compile(r"[\w.:@%+=/-]+")
"""What a shell takes as it stands. A run's id may be anything, and bash's script puts it on the line without quotes."""
_RUNS: Final = 100
"""The newest runs are offered, and their tags."""

SHELLS: Final = ("bash", "zsh", "fish")


def graphs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The project's graphs by name; files where a path is begun."""
    del ctx, param
    names = [_item(name) for name in _graph_names() if name.startswith(incomplete)]
    is_path = "/" in incomplete or incomplete.startswith(".") or not names
    return [_item(incomplete, type="file")] if is_path else names


def graph_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The project's graphs by name alone."""
    del ctx, param
    return [_item(name) for name in _graph_names() if name.startswith(incomplete)]


def runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The ids of the newest runs, each with its graph and status."""
    del param
    return [
        _item(info.id, help=f"{info.graph} ({info.status})")
        for info in _newest(ctx)
        if info.id.startswith(incomplete) and _PLAIN.fullmatch(info.id)
    ]


def runs_or_graphs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Runs and graphs, for a command that takes either."""
    found = runs(ctx, param, incomplete) if incomplete else []
    return [*(item for item in graphs(ctx, param, incomplete) if item.type == "plain" or not found), *found]


def runs_or_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Runs, and files where none is called so."""
    return runs(ctx, param, incomplete) or [_item(incomplete, type="file")]


def tags(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The tags of the newest runs."""
    del param
    found = dict.fromkeys(tag for info in _newest(ctx) for tag in info.tags)
    return [_item(tag) for tag in sorted(found) if tag.startswith(incomplete)]


def nodes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The nodes named in the project's files of graphs."""
    del ctx, param
    found = dict.fromkeys(name for text in _texts() for name in _NODE.findall(text))
    return [_item(name) for name in sorted(found) if name.startswith(incomplete)]


def visited(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The nodes, by path, that the run on the line has steps of; without such a run those of the project's files."""
    from graphengine.cli.places import place_of
    from graphengine.cli.recorded import read

    given, run_id = ctx.params.get("database"), ctx.params.get("run_id")
    try:
        place = place_of(Path(given) if given is not None else None)
        steps = read(place, lambda store: store.steps(str(run_id)))
    except (GraphEngineError, OSError):
        return nodes(ctx, param, incomplete)
    found = dict.fromkeys(step.path for step in steps if step.kind in ("node", "item"))
    return [_item(path) for path in found if path.startswith(incomplete)]


def _item(value: str, type: str = "plain", help: str | None = None) -> CompletionItem:  # noqa: A002 - click's names
    from click.shell_completion import CompletionItem

    return CompletionItem(value, type, help)


def _texts() -> Iterator[str]:
    """The texts of the project's files of graphs."""
    for file in _files():
        try:
            yield file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue


def _graph_names() -> Sequence[str]:
    stems = [file.stem for file in _files()]
    found = {*stems, *(name for text in _texts() for name in _GRAPH.findall(text))}
    return sorted(name for name in found if _PLAIN.fullmatch(name))


def _files() -> Sequence[Path]:
    from graphengine.cli.folders import graph_files, project_of

    try:
        root = project_of(Path.cwd())
        return graph_files(root) if root is not None else []
    except (GraphEngineError, OSError):
        return []


def _newest(ctx: click.Context) -> Sequence[RunInfo]:
    """The newest runs of the database that the line names, or of the project's."""
    from graphengine.cli.places import place_of
    from graphengine.cli.recorded import read

    given = ctx.params.get("database")
    try:
        place = place_of(Path(given) if given is not None else None)
        return read(place, lambda store: store.runs(limit=_RUNS))
    except (GraphEngineError, OSError):
        return []
