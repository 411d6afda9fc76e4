"""`graphengine replay`: check that the current graph makes the same decisions as in recorded runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphengine.cli import options
from graphengine.cli.terminal import Column
from graphengine.records.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.cli.context import CommandContext
    from graphengine.records.base_documents import Document
    from graphengine.records.export import Exported
    from graphengine.records.replay.replay import Replayed


@options.command(
    "replay",
    options.DATABASE,
    examples="""
        graphengine replay tides tides-2
        graphengine replay tides.json --all
    """,
    exits={0: "every run is decided as recorded", 1: "a run is decided differently"},
)
@click.argument("runs", metavar="RUN_ID|FILE…", nargs=-1, required=True, shell_complete=options.complete_runs_or_files)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Show every difference, and also every decision that is the same but has a differently worded reason."
    " By default, only the first difference is shown.",
)
@options.graph
def replay(context: CommandContext, *, runs: tuple[str, ...], everything: bool, reference: str | None) -> int:
    """Replay recorded runs on the current graph, and show the first step that the graph decides differently.

    Name a run by its id in the database, or by a file that `graphengine export` wrote. The command calls no node, agent
    or resource, and writes nothing.
    """
    from graphengine.cli.project import file_of, graph_of
    from graphengine.records.replay.replay import replay as replayed

    context.use(file_of(reference))
    found: list[tuple[str, Replayed]] = []
    for name in runs:
        run = _read_exported(context, name)
        found.append((name, replayed(graph_of(run.info.graph, reference).graph, run)))
    if context.json:
        context.document(_build_replay_document(found, everything=everything))
    else:
        _show_replayed(context, found, everything=everything)
    return 0 if all(replayed.same for _, replayed in found) else 1


def _read_exported(context: CommandContext, name: str) -> Exported:
    """Return the run that the user named by an exported file, or by its id in the database."""
    from graphengine.records.export import export_run, read_file

    if Path(name).is_file() or name.endswith(".json"):
        return read_file(Path(name))
    run_id = context.find(name).id
    return context.read(lambda store: export_run(store, run_id))


def _build_replay_document(found: Sequence[tuple[str, Replayed]], *, everything: bool) -> Document:
    from msgspec import UNSET

    from graphengine.cli.documents import Replay, Replays, Unchecked

    replays = [
        Replay(
            source=name,
            run_id=one.run_id,
            graph=one.graph,
            steps=one.steps,
            same=one.same,
            differences=len(one.differences),
            first=one.first,
            not_checked=[Unchecked(what=what, steps=count) for what, count in one.unchecked.items()],
            all=one.differences if everything else UNSET,
            reasons=one.reasons if everything else UNSET,
        )
        for name, one in found
    ]
    return Replays(replays=replays)


def _show_replayed(context: CommandContext, found: Sequence[tuple[str, Replayed]], *, everything: bool) -> None:
    """Show a table with a row for each replayed run. Below it, show what the current graph decides differently."""
    out = context.out
    columns: Sequence[Column[Replayed]] = (
        Column("run", lambda one: one.run_id),
        Column("graph", lambda one: one.graph, 3),
        Column("steps", lambda one: str(one.steps)),
        Column("today", lambda one: "not checked" if one.is_skipped else "same" if one.same else "differs"),
        Column("first", lambda one: f"step {one.first.seq}" if one.first is not None else ""),
        Column("what", lambda one: one.first.what if one.first is not None else ""),
        Column("of another reason", lambda one: counted(len(one.reasons), "step") if one.reasons else "", 2),
        Column("not checked", _format_unchecked, 1),
    )
    out.table(columns, [one for _, one in found])
    for _, one in found:
        shown = [*one.differences, *one.reasons] if everything else one.differences[:1]
        if not shown:
            continue
        out.line("")
        out.line((one.run_id, "bold"))
        for each in shown:
            out.line((f"step {each.seq}", "bold"), f" {each.path}".rstrip(), ": ", (each.what, "red"))
            out.prose("  ", each.message, indent=2)
            out.prose(("  repair: ", "bold"), each.repair)
        if not everything and len(one.differences) > 1:
            more = len(one.differences) - 1
            text = f"{counted(more, 'more difference')} after it; --all shows {'it' if more == 1 else 'them'}"
            out.line((text, "dim"))


def _format_unchecked(one: Replayed) -> str:
    return ", ".join(f"{what.partition(':')[0]} ({count})" for what, count in one.unchecked.items())
