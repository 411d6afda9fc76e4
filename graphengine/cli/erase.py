"""`graphengine erase`: erase a user and everything that the user's runs produced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from graphengine.cli import options
from graphengine.cli.prune import is_person
from graphengine.records.words import counted

if TYPE_CHECKING:
    from graphengine.cli.context import CommandContext
    from graphengine.memory import Erased

_SOME_KEPT = 1


@options.command(
    "erase",
    options.DATABASE,
    examples="""
        graphengine erase user:ada --dry-run
        graphengine erase user:ada --yes
        graphengine erase user:ada --also bobs-branch --yes
    """,
    exits={0: "done", 1: "some runs could not be erased; the output lists them with the reason"},
)
@click.argument("person")
@click.option(
    "--also", multiple=True, metavar="RUN", help="A run of another user that may be erased too. May be repeated."
)
@click.option("--dry-run", is_flag=True, help="Show what would be erased, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation. Required if there is no terminal.")
def erase(context: CommandContext, /, *, person: str, also: tuple[str, ...], dry_run: bool, yes: bool) -> int:
    """Erase a user, the user's runs and everything that these runs produced, and show what was erased.

    PERSON has the form `user:NAME`. The command erases:

    - the runs that the user started, and the conversation whose key is the user's name
    - the branches, child runs, later turns and notices of these runs
    - the memories in a namespace that contains the user's name
    - the user's accounts of budgets

    Runs of the user that have not ended are cancelled before they are erased. A run that a process drives is kept, so
    stop the run and call the command again. If one of the runs belongs to another user, the command erases nothing,
    unless --also names that run.

    After erasing the data of a user, the command rewrites a SQLite file, so that no byte of the erased data is left in
    it. Other processes that write to the file wait until then.
    """
    from graphengine.api.runner import Runner
    from graphengine.memory import erase as erased

    kind, _, user = person.partition(":")
    if kind != "user" or not user:
        raise click.UsageError(f"PERSON is {person!r}, which does not have the form user:NAME, as in user:ada")
    if not (dry_run or yes) and (context.json or not is_person()):
        raise click.UsageError(
            "the command cannot ask for confirmation without a terminal or with --json: check with "
            "--dry-run, then pass --yes"
        )
    context.use(writes=True)
    context.place.check_exists()
    if dry_run or not yes:
        found = context.run(erased(Runner(context.store), user, also=also, dry_run=True))
        if not dry_run:
            _show_erased(context, found)
        if dry_run or not click.confirm(f"erase {user} for good?", err=True):
            return _report_erased(context, found) if dry_run else 0
    return _report_erased(context, context.run(erased(Runner(context.store), user, also=also)))


def _report_erased(context: CommandContext, found: Erased) -> int:
    if context.json:
        from graphengine.memory import documents

        context.document(
            documents.ErasedPerson(
                dry_run=found.dry_run,
                runs=[documents.ErasedRun(run_id=run_id, reason=reason) for run_id, reason in found.runs.items()],
                memories=[documents.ErasedMemory(namespace=name, key=key) for name, key in found.memories],
                kept=[documents.ErasedRun(run_id=run_id, reason=reason) for run_id, reason in found.kept.items()],
            )
        )
    else:
        _show_erased(context, found)
    return _SOME_KEPT if found.kept and not found.dry_run else 0


def _show_erased(context: CommandContext, found: Erased) -> None:
    for run_id, reason in found.runs.items():
        context.out.line((run_id, "bold"), f": {reason}")
    for namespace, key in found.memories:
        context.out.line((f"{namespace} {key}", "bold"), ": memory")
    for run_id, reason in found.kept.items():
        context.err.line((run_id, "bold"), f" is kept: {reason}")
    runs, memories = counted(len(found.runs), "run"), counted(len(found.memories), "kept value")
    context.err.line(f"{runs} and {memories} {'would be erased' if found.dry_run else 'erased'}")
