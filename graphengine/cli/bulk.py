"""`graphengine bulk`: stop, resume, retry, answer, tag, prune or fill all runs that a search finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import click

from graphengine.cli import options
from graphengine.cli.prune import is_person
from graphengine.records.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.cli.context import CommandContext
    from graphengine.records.bulk import Action, Bulk

_LISTED: Final = 20
_SOME_REFUSED: Final = 1


@options.command(
    "bulk",
    options.DATABASE,
    examples="""
        graphengine bulk stop graph:review since:1d --dry-run
        graphengine bulk retry status:failed timeout --yes
        graphengine bulk tag tag:nightly since:2h --tag incident-7 --yes
        graphengine bulk answer graph:shop --value same --by ann --dry-run
        graphengine bulk prune graph:review before:2026-01-31 --yes
        graphengine bulk fill graph:orders --yes
    """,
    exits={
        0: "all runs that were found are changed",
        1: "some runs could not be changed; the output lists them with the reason",
    },
)
@click.argument(
    "action", type=options.Choice(("stop", "cancel", "resume", "retry", "answer", "tag", "untag", "prune", "fill"))
)
@click.argument("words", metavar="WORDS...", nargs=-1, required=True, shell_complete=options.complete_search)
@click.option("--tag", metavar="NAME", help="With tag and untag: the tag to add or remove.")
@click.option("--why", default="asked", metavar="TEXT", help="With stop and cancel: the reason to record.")
@click.option("--value", metavar="VALUE|@FILE|-", help="With answer: the answer, in the form of `graphengine answer`.")
@click.option(
    "--wait",
    metavar="NAME",
    help="With answer: the name of the questions to answer. Without this option, questions about effects are answered.",
)
@click.option("--by", metavar="NAME", default="", help="With answer: who answers. The name is recorded and shown.")
@options.graphs("With resume, retry and fill: the graphs of the runs")
@click.option("--dry-run", is_flag=True, help="Show what would be changed, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation. Required if there is no terminal.")
def bulk(  # noqa: PLR0913 - options
    context: CommandContext,
    /,
    *,
    action: Literal[Action, "answer"],
    words: tuple[str, ...],
    references: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    value: str | None,
    **given: Any,  # noqa: ANN401 - tag, why, wait, by
) -> int:
    """Stop, cancel, resume, retry, answer, tag, prune or fill all runs that a search finds.

    WORDS are the words and filters of `graphengine runs`. Each action applies to some of the runs that they find:

    - `stop` stops the runs that have not ended.
    - `cancel` ends runs as cancelled, for good. It also applies to runs that failed or were stopped.
    - `resume` resumes the runs that were stopped. The command records the resume, and workers drive the runs.
    - `retry` does the same as `resume` for the runs that failed.
    - `answer` answers the question that --wait names, in waiting runs. Without --wait, it answers questions about
      effects: how an effect ended, or whether earlier code did it. The command records the answers, and workers
      continue the runs.
    - `tag` and `untag` add or remove the tag that --tag names. They apply to runs in any status.
    - `prune` removes the runs that have ended.
    - `fill` records the fields that graphs declare with `search=`, for runs that began before their graph declared
      them. From then on, searches find the runs by these fields.

    Before a bulk action changes anything, the command shows how many runs it found, lists the first of them, and asks
    for confirmation. If the command is interrupted, call it again to do the rest.
    """
    from graphengine.api.runner import Runner
    from graphengine.cli.answer import read_answer
    from graphengine.cli.project import graphs_to_drive

    if not (dry_run or yes) and (context.json or not is_person()):
        raise click.UsageError(
            "the command cannot ask for confirmation without a terminal or with --json: check with "
            "--dry-run, then pass --yes"
        )
    given["value"] = None if value is None else read_answer(value)
    graphs = graphs_to_drive(references)[0] if action in ("resume", "retry", "fill") else {}
    context.use(writes=True)
    context.place.check_exists()

    async def run_bulk(*, dry_run: bool) -> Bulk:
        found = [each.graph for each in graphs.values()]
        return await Runner(context.store).admin.bulk(action, " ".join(words), graphs=found, dry_run=dry_run, **given)

    if dry_run or not yes:
        found = context.run(run_bulk(dry_run=True))
        asks = not dry_run and bool(found.runs)
        if asks:
            _show_bulk(context, words, found)
        if not asks or not click.confirm(f"{action} {len(found.runs)} of these runs?", err=True):
            return _report_bulk(context, words, found) if not asks else 0
    return _report_bulk(context, words, context.run(run_bulk(dry_run=False)))


def _report_bulk(context: CommandContext, words: Sequence[str], found: Bulk) -> int:
    if context.json:
        context.document(found)
    else:
        _show_bulk(context, words, found)
    return _SOME_REFUSED if found.refused and not found.dry_run else 0


def _show_bulk(context: CommandContext, words: Sequence[str], found: Bulk) -> None:
    from graphengine.cli.runs import show_seen
    from graphengine.records.search import wanted_of
    from graphengine.records.selection import Wanted

    for run_id in found.runs[:_LISTED]:
        context.out.line(run_id)
    if len(found.runs) > _LISTED:
        context.out.line(f"and {len(found.runs) - _LISTED} more")
    for run_id, reason in list(found.refused.items())[:_LISTED]:
        context.err.line((run_id, "bold"), f": {reason}")
    if len(found.refused) > _LISTED:
        context.err.line(f"and {len(found.refused) - _LISTED} more runs that cannot be changed")
    show_seen(context, wanted_of(" ".join(words), Wanted(0)), found)
    would = "would be done for" if found.dry_run else "done for"
    context.err.line(f"{found.action}: {would} {counted(len(found.runs), 'run')}")
