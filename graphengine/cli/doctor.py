"""`graphengine doctor`: check a database for faults, and repair it."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from graphengine.cli import options
from graphengine.cli.context import Exit
from graphengine.cli.places import program, shown
from graphengine.errors import GraphEngineError
from graphengine.records.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.cli.context import CommandContext
    from graphengine.cli.places import DatabaseOption
    from graphengine.databases.findings import Finding, Repaired, Report
    from graphengine.kernel.store import Store
    from graphengine.records.base_documents import Document

_SHOWN: Final = 50


@options.command(
    "doctor",
    options.DATABASE,
    examples="""
        graphengine doctor
        graphengine doctor --json
        graphengine doctor --repair --store checkpoints/runs.db
    """,
    exits={
        0: "no fault was found, or every fault was repaired and nothing is lost",
        1: "a fault remains, or something is lost; or, with --production, something is not ready",
        5: "the file cannot be opened",
    },
)
@click.option("--repair", is_flag=True, help="Repair what can be repaired, after copying the file.")
@click.option(
    "--production", is_flag=True, help="Check what production needs, in place of faults: see docs/use/deployment.md."
)
def doctor(context: CommandContext, *, repair: bool, production: bool) -> int:
    """Check a database of runs for faults, and repair it.

    A check changes nothing, and you can run it while processes drive runs. If the database has no fault, the command
    also lists the schedules of the current project whose input no longer fits their graph.

    With --repair, the command repairs a SQLite file. The repair needs exclusive access to the database. It copies the
    file first, and keeps every recorded step that can be read. If there is nothing to repair, it changes nothing. In a
    PostgreSQL database, --repair only advances sequences that would give a number twice, and processes can continue to
    work meanwhile.

    Without options, the command looks for faults in the database. With --production, it checks instead whether your
    setup is ready for production: durability, disk, retention, workers, health, errors, token, versions and backups.
    Each line begins with "ok", "not" or "cannot say", and says what to do if it does not begin with "ok". The exit code
    is 1 if any line begins with "not".
    """
    if production:
        if repair:
            raise click.UsageError("--production only checks and never repairs: give either --production or --repair")
        return _ready(context)

    place = context.place
    repaired = _repair_database(place) if repair else None
    report = repaired.report if repaired is not None else _examine_database(place)
    if not isinstance(place.database, str):
        from graphengine.databases.sqlite.doctor import of_this_library

        report = replace(report, findings=[*report.findings, *of_this_library()])
    if report.is_sound:
        report = replace(report, findings=[*report.findings, *_schedule_notes(context)])
    if context.json:
        context.document(_build_examined(report, repaired))
    else:
        if repaired is not None:
            _show_repair(context, repaired)
        show_report(context, report, shown(place.database), place.words)
    is_well = report.is_sound if repaired is None else repaired.is_whole
    return Exit.FINISHED if is_well else Exit.FAILED


def _ready(context: CommandContext) -> int:
    from graphengine.cli.production import ready

    found = ready(context)
    if context.json:
        context.document(found)
    else:
        styles = {"ok": "bold green", "not": "bold red", "cannot say": "bold yellow"}
        for each in found.checks:
            context.out.line((f"{each.state:<10}", styles[each.state]), f"  {each.name}: {each.what}")
            if each.repair:
                context.out.prose(("            repair: ", "dim"), each.repair)
    return Exit.FINISHED if found.ready else Exit.FAILED


def _build_examined(report: Report, repaired: Repaired | None) -> Document:
    from graphengine.cli.documents import Examined

    looked = report.findings, report.more, report.runs, report.steps, report.snapshots
    document = Examined(str(report.path), report.is_sound, *looked)
    if repaired is not None:
        document.done, document.lost, document.unnamed = repaired.done, repaired.lost, repaired.unnamed
        document.copy = None if repaired.copy is None else str(repaired.copy)
    return document


def _examine_database(place: DatabaseOption) -> Report:
    if isinstance(place.database, str):
        from graphengine.api.places import require_postgres

        require_postgres(place.database)
        from graphengine.databases.postgres.doctor import examine

        return examine(place.database)
    from graphengine.databases.sqlite import doctor as of_file

    return of_file.examine(place.database)


def _schedule_notes(context: CommandContext) -> Sequence[Finding]:
    """Return a note for each schedule that starts no runs, because its stored input no longer fits its graph.

    Only the graphs of the current project can be checked.
    """
    from graphengine.databases.findings import Finding

    async def notes(store: Store) -> Sequence[Finding]:
        if not await store.schedules():
            return ()
        from graphengine.api.runner import Runner
        from graphengine.cli.project import graphs_to_drive

        graphs = [found.graph for found in graphs_to_drive(())[0].values()]
        misfits = (await Runner(store).admin.misfit_schedules(*graphs)).items()
        whats = {name: f"the schedule {name!r} cannot start a run: {error.message}" for name, error in misfits}
        return [Finding("schedule_misfit", whats[name], repair=error.repair, note=True) for name, error in misfits]

    try:
        return context.read(notes)
    except GraphEngineError:  # there is no project here, or a repair uses the database
        return ()


def _repair_database(place: DatabaseOption) -> Repaired:
    """Repair a SQLite file, or advance the sequences of a PostgreSQL database.

    Raises:
        StoreNotSupported: A PostgreSQL database has faults that advancing its sequences does not repair.
    """
    if isinstance(place.database, str):
        from graphengine.api.places import require_postgres
        from graphengine.cli.places import shown
        from graphengine.errors import StoreNotSupported

        require_postgres(place.database)
        from graphengine.databases.postgres.doctor import repair as repair_sequences

        repaired = repair_sequences(place.database)
        if repaired.done or repaired.is_whole:
            return repaired
        message = "the faults that were found cannot be repaired; in PostgreSQL, --repair can only correct sequences"
        repair = "save the runs that are intact with `graphengine export`, and restore a backup"
        raise StoreNotSupported(message, where=shown(place.database), repair=repair)
    from graphengine.databases.sqlite import doctor as of_file

    return of_file.repair(place.database)


def show_report(context: CommandContext, report: Report, where: str, words: Sequence[str]) -> None:
    """Show the faults and notes that a check of a database found, and the command that repairs the faults.

    Args:
        context: The context of the command.
        report: The result of the check.
        where: The name of the database for people.
        words: The options with which the suggested command names the database.
    """
    out = context.out
    for finding in report.findings[:_SHOWN]:
        whose = f" run {finding.run_id}:" if finding.run_id else ""
        word = ("note", "dim") if finding.note else ("fault", "bold red")
        out.prose(word, f" {finding.code}:{whose} {finding.what}")
        if finding.repair:
            out.prose(("  repair: ", "dim"), finding.repair)
    left_out = len(report.findings) - _SHOWN + report.more
    if left_out > 0:
        out.line(f"and {left_out} more; --json has them")
    looked = ", ".join(
        (counted(report.runs, "run"), counted(report.steps, "step"), counted(report.snapshots, "snapshot"))
    )
    if report.is_sound:
        out.line(("sound", "bold green"), f": {where}, {looked}")
        return
    faults = len(report.faults) + report.more
    out.line((counted(faults, "fault"), "bold red"), f" in {where}, {looked}")
    if any(finding.repairable for finding in report.faults):
        out.line(("repair: ", "dim"), shlex.join([*program(), "doctor", "--repair", *words]))


def _show_repair(context: CommandContext, repaired: Repaired) -> None:
    if repaired.copy is not None:
        context.out.line(f"a copy of the original file is in {repaired.copy}")
    elif not repaired.done:
        context.out.line("nothing to repair; nothing was changed")
        return
    for done in repaired.done:
        context.out.line(("done: ", "green"), done)
    for lost in repaired.lost:
        steps = f"step {lost.first}" if lost.first == lost.last else f"steps {lost.first} to {lost.last}"
        context.out.line(("lost: ", "bold red"), f"{steps} of run {lost.run_id}")
    if repaired.unnamed:
        context.out.line(("lost: ", "bold red"), f"{repaired.unnamed}, which cannot be identified")
