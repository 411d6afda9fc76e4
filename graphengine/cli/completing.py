"""Shell completions: graphs, runs, tags, nodes.

No user code is run: graphs are found in the text of their files, and runs in the database, which is only read. On an
error, nothing is offered or printed, since output would break the line being typed.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphengine.errors import GraphEngineError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    import click
    from click.shell_completion import CompletionItem

    from graphengine.stores.base import RunInfo, Store

_GRAPH: Final = re.compile(r"""\bGraph(?:\[[^\]]*\])?\(\s*["']([\w-]+)["']""")
_NODE: Final = re.compile(r"""\.add_node\(\s*["']([\w-]+)["']""")
_PLAIN: Final = re.compile(r"[\w.:@%+=/-]+")
"""Words that need no quotes. A run's id can be any text, and bash's script inserts it without quotes."""
_RUNS: Final = 100
"""The number of newest runs that are offered, also for their tags."""

SHELLS: Final = ("bash", "zsh", "fish")


def graphs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the project's graphs by name, or files if the word begins a path."""
    names = graph_names(ctx, param, incomplete)
    is_path = "/" in incomplete or incomplete.startswith(".") or not names
    return _file(incomplete) if is_path else names


def graph_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the project's graphs by name only."""
    del ctx, param
    texts = dict(_texts())
    found = {*texts, *(name for text in texts.values() for name in _GRAPH.findall(text))}
    return [_item(name) for name in sorted(found) if name.startswith(incomplete) and _PLAIN.fullmatch(name)]


def runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the ids of runs, each with its graph and status; without a beginning, those of the newest runs."""
    del param

    async def named(store: Store) -> Sequence[RunInfo]:
        found = await store.infos(await store.ids(incomplete, limit=_RUNS))
        return sorted(found, key=lambda info: info.created_at, reverse=True)

    found = _read(ctx, named if incomplete else _newest)
    return [_item(info.id, help=f"{info.graph} ({info.status})") for info in found if _PLAIN.fullmatch(info.id)]


def runs_or_graphs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete runs and graphs, for a command that takes either."""
    found = runs(ctx, param, incomplete) if incomplete else []
    return [*(item for item in graphs(ctx, param, incomplete) if item.type == "plain" or not found), *found]


def runs_or_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete runs, or files if no run matches."""
    return runs(ctx, param, incomplete) or _file(incomplete)


def tags(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the tags of the newest runs."""
    del param
    found = {tag for info in _read(ctx, _newest) for tag in info.tags}
    return [_item(tag) for tag in sorted(found) if tag.startswith(incomplete)]


def nodes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the nodes in the project's graph files."""
    del ctx, param
    found = {name for _, text in _texts() for name in _NODE.findall(text)}
    return [_item(name) for name in sorted(found) if name.startswith(incomplete)]


def _item(value: str, type: str = "plain", help: str | None = None) -> CompletionItem:  # noqa: A002 - click's names
    from click.shell_completion import CompletionItem

    return CompletionItem(value, type, help)


def _file(incomplete: str) -> list[CompletionItem]:
    return [_item(incomplete, type="file")]


def _texts() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each of the project's graph files."""
    from graphengine.cli.places import graph_files, project_of

    with suppress(GraphEngineError, OSError):
        root = project_of(Path.cwd())
        for file in graph_files(root) if root is not None else ():
            yield file.stem, file.read_text(encoding="utf-8", errors="replace")


async def _newest(store: Store) -> Sequence[RunInfo]:
    return await store.runs(limit=_RUNS)


def _read(ctx: click.Context, reading: Callable[[Store], Awaitable[Sequence[RunInfo]]]) -> Sequence[RunInfo]:
    """Read the database given on the line, or the project's database; return [] if it cannot be read."""
    try:
        found: Sequence[RunInfo] = ctx.obj.read(reading)
    except (GraphEngineError, OSError):
        return []
    return found
