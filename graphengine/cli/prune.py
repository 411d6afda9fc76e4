"""`graphengine prune`: remove old runs, and free disk space."""

from __future__ import annotations

import re
import sys
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from graphengine.cli import options
from graphengine.cli.places import read_settings
from graphengine.records.words import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphengine.cli.context import CommandContext
    from graphengine.kernel.extension import Retention
    from graphengine.records import Pruned

_LISTED: Final = 20


@options.command(
    "prune",
    options.DATABASE,
    examples="""
        graphengine prune --keep-last 100 --dry-run
        graphengine prune --older-than 30d --keep-tag nightly --yes
        graphengine prune --graph review --keep-last 0 --yes --vacuum
        graphengine prune --retention --dry-run
    """,
)
@click.option("--keep-last", type=click.IntRange(min=0), metavar="N", help="Keep the newest N runs of each graph.")
@click.option(
    "--older-than",
    type=options.Age(),
    metavar="AGE",
    help="Remove only runs whose last step is older than this, e.g. 30d, 12h, 45m.",
)
@click.option(
    "--keep-tag",
    "tags",
    metavar="NAME",
    multiple=True,
    shell_complete=options.complete_tags,
    help="Keep runs with this tag. The command says if no run has the tag, and refuses a tag that looks misspelt. "
    "May be repeated.",
)
@click.option(
    "--graph", metavar="NAME", shell_complete=options.complete_graph_names, help="Remove only runs of this graph."
)
@click.option(
    "--status",
    "statuses",
    type=options.Choice(("finished", "failed", "stopped", "cancelled")),
    multiple=True,
    help="Remove only runs with this status. The default is finished. May be repeated.",
)
@click.option(
    "--retention",
    "as_kept",
    is_flag=True,
    help="Remove the runs that workers would remove, because the retention of the project and its graphs no "
    "longer keeps them.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation. Required if there is no terminal.")
@click.option(
    "--vacuum",
    is_flag=True,
    help="Afterwards, shrink the file to free disk space. Without other options, only shrink the file.",
)
def prune(
    context: CommandContext,
    /,
    *,
    yes: bool,
    dry_run: bool,
    vacuum: bool,
    as_kept: bool,
    **given: Any,  # noqa: ANN401 - the options that select runs
) -> int:
    """Remove old runs with all their records, and show how much space that frees.

    To say which runs a prune keeps, give --keep-last, --older-than or both, or use --retention. The command always
    keeps runs that are running or waiting, and runs that are needed by a branch or a parent run that is kept.

    The command shows an estimate of the bytes that a prune frees, from the texts of steps, snapshots and messages. The
    database file keeps its size, and the freed space is reused. With --vacuum, the command also shrinks the file.
    """
    from graphengine.api.runner import Runner

    rule = {name: given[name] for name in ("keep_last", "older_than", "graph")}
    rule |= {"keep_tags": given["tags"], "statuses": given["statuses"] or ("finished",)}
    is_given = any(value not in (None, ()) for value in given.values())
    prunes = not vacuum or as_kept or is_given  # --vacuum alone removes no runs
    if as_kept and is_given:
        raise click.UsageError(
            "--retention already determines which runs to keep: leave out the other options that select runs"
        )
    rules = _retentions() if as_kept else [rule]
    if prunes and not as_kept and given["keep_last"] is None and given["older_than"] is None:
        raise click.UsageError("say which runs to keep: --keep-last 100, or --older-than 30d, or both")
    consents = _consent(context, asks=prunes and not dry_run and not yes)
    context.use(writes=True)
    context.place.check_exists()
    _check_words(context, given)
    pruned = context.run(_prune(context, rules, consents, dry_run=dry_run)) if prunes else None
    is_kept = dry_run or (pruned is not None and pruned.dry_run)
    vacuumed = None
    if vacuum and not is_kept:
        if not context.json:
            context.err.line("shrinking the database")
        vacuumed = context.run(Runner(context.store).admin.vacuum())
    if context.json:
        from graphengine.cli.documents import PruneDone

        context.document(PruneDone(pruned=pruned, vacuumed=vacuumed))
        return 0
    if pruned is not None:
        _show_pruned(context, pruned)
    if vacuumed is not None:
        from rich.filesize import decimal as size

        context.out.line(f"the database shrank from {size(vacuumed.before_bytes)} to {size(vacuumed.after_bytes)}")
    return 0


def _check_words(context: CommandContext, given: Mapping[str, Any]) -> None:
    """Warn about a `--graph` or `--keep-tag` that no run has, and refuse a misspelt `--keep-tag`.

    A tag counts as misspelt if some run has a similar tag.

    Raises:
        click.UsageError: A tag seems misspelt. The command removes nothing, because it would not keep the runs with the
            tag that the user meant.
    """
    from difflib import get_close_matches

    from graphengine.kernel.extension import did_you_mean
    from graphengine.records.selection import other_words

    words: list[tuple[Literal["graph", "tag"], str]] = [("tag", tag) for tag in given["tags"]]
    if given["graph"]:
        words.append(("graph", given["graph"]))
    for what, word in words:
        others = context.read(partial(other_words, given=word, what=what))
        if others is None:
            continue
        near = get_close_matches(word, others, n=1)
        if near and what == "tag":
            raise click.UsageError(f"no run has the tag {word!r}; did you mean {near[0]!r}? Nothing was removed")
        effect = f", so --keep-tag {word} keeps no run" if what == "tag" else ""
        known = did_you_mean(word, others)
        context.err.prose(f"no run has the {what} {word!r}{effect}{f'; {known}' if known else ''}")


def _retentions() -> list[Mapping[str, Any]]:
    """Return the rules by which `--retention` prunes: one for each graph whose runs are kept for a limited time.

    The command then removes the same runs as the workers do.

    Raises:
        click.UsageError: Neither the project nor a graph has a retention.
    """
    from graphengine.cli.project import graphs_to_drive

    project_retention: Retention | None = read_settings("retention")
    found = {name: each.graph.retention or project_retention for name, each in graphs_to_drive(())[0].items()}
    rules: list[Mapping[str, Any]] = [{"retention": keep, "graph": name} for name, keep in found.items() if keep]
    if not rules:
        raise click.UsageError(
            "neither [tool.graphengine.retention] nor retention= of a graph says how long runs are kept: set one of "
            "them, or leave out --retention and select runs with --keep-last or --older-than"
        )
    return rules


async def _prune(
    context: CommandContext,
    rules: Sequence[Mapping[str, Any]],
    consents: Callable[[Pruned], bool] | None,
    *,
    dry_run: bool,
) -> Pruned:
    """Remove the runs that the rules select, and return what was removed.

    With `dry_run`, or if the user does not confirm (`consents` returns False), nothing is removed. The result then
    lists what would be removed.
    """
    from graphengine.api.runner import Runner
    from graphengine.records.retention import merge_pruned

    runner = Runner(context.store)

    async def pruned(*, dry_run: bool) -> Pruned:
        return merge_pruned([await runner.admin.prune(**rule, dry_run=dry_run) for rule in rules], dry_run=dry_run)

    if dry_run or consents is not None:
        found = await pruned(dry_run=True)
        has_steps = any(rule["retention"].keep_steps for rule in rules if "retention" in rule)
        if dry_run or consents is None or not (found.runs or has_steps) or not consents(found):
            return found
    return await pruned(dry_run=False)


def is_person() -> bool:
    """Return whether stdin is a terminal, so that the command can ask a person for confirmation."""
    return sys.stdin is not None and sys.stdin.isatty()


def _consent(context: CommandContext, *, asks: bool) -> Callable[[Pruned], bool] | None:
    """Return a function that asks the user to confirm a removal; None if `asks` is False.

    Raises:
        click.UsageError: The command must ask, but it runs with `--json` or without a terminal.
    """
    if not asks:
        return None
    if context.json or not is_person():
        raise click.UsageError(
            "the command cannot ask for confirmation without a terminal or with --json: check with "
            "--dry-run, then pass --yes"
        )

    def ask(found: Pruned) -> bool:
        what = _in_short(found) if found.runs else "Old steps of runs that go on"
        return click.confirm(f"{what} will be removed permanently. Continue?", err=True)

    return ask


def _show_pruned(context: CommandContext, pruned: Pruned) -> None:
    for run_id in pruned.runs[:_LISTED] if pruned.dry_run else ():
        context.out.line(run_id)
    if pruned.dry_run and len(pruned.runs) > _LISTED:
        context.out.line(f"… {len(pruned.runs) - _LISTED:,} more; --json lists all")
    # Without the id of a branch or the name of a process, so that equal kinds of reasons are counted together.
    kinds = [re.sub(r"^(needed by) (branch|parent) .*", r"\1 a \2", reason) for reason in pruned.kept.values()]
    for reason, count in Counter("driven" if kind.startswith("driven by ") else kind for kind in kinds).items():
        context.out.line((f"{counted(count, 'run')} kept: {reason}", "dim"))
    if pruned.trimmed_steps:
        context.out.line(f"{counted(pruned.trimmed_steps, 'old step')} of runs that go on removed")
    if not pruned.runs:
        context.out.line("no run to remove")
        return
    context.out.line(f"{_in_short(pruned)} {'would be removed' if pruned.dry_run else 'removed'}")


def _in_short(pruned: Pruned) -> str:
    from rich.filesize import decimal as size

    runs, steps = counted(len(pruned.runs), "run"), counted(pruned.steps, "step")
    return f"{runs} with {steps} (about {size(pruned.db_bytes)})"
