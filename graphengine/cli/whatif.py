"""`graphengine whatif`: compare recorded runs with their results under another model, prompt, value or graph."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final, cast

import click

from graphengine.cli import options
from graphengine.cli.places import read_settings, shown
from graphengine.cli.terminal import Column
from graphengine.errors import InputError
from graphengine.records.words import counted, usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.cli.context import CommandContext
    from graphengine.cli.project import Found
    from graphengine.cli.terminal import Channel
    from graphengine.kernel.reader import At
    from graphengine.testing.evaluation.earlier import Tools
    from graphengine.testing.evaluation.what_if import BranchedRun, RunEnd, WhatIf

_ROWS: Final = 10
"""The maximum number of runs that are shown from each end of the list. `--json` contains all runs."""


@options.command(
    "whatif",
    options.MODEL,
    options.DATABASE,
    examples="""
        graphengine whatif tides --at write:1
        graphengine whatif --runs "graph:review since:7d" --set "task=Short tides."
        graphengine whatif --runs tag:nightly --graph flows/review.py
    """,
    exits={
        0: "every branch ended",
        1: "no run could be compared",
        3: "a branch waits for an answer that the log does not contain",
    },
)
@click.argument("names", metavar="[RUN_ID]...", nargs=-1, shell_complete=options.complete_runs)
@options.searched
@options.instructions
@click.option(
    "--set", "pairs", metavar="FIELD=VALUE", multiple=True, help="Change this field of the state. May be repeated."
)
@click.option(
    "--at",
    type=options.At(),
    metavar="NODE[:VISIT]",
    help="Branch before this visit of a node, e.g. review:2, and not at the first step that the change can affect.",
)
@click.option(
    "--tools",
    type=options.Choice(("recorded", "live", "refuse")),
    default="recorded",
    show_default=True,
    help="Where the results of tools and of recorded calls come from. recorded: from the log if it contains a "
    "call with the same arguments, and otherwise from a new call. live: from new calls. refuse: only from"
    " the log. Effects are never performed.",
)
@click.option(
    "--scorers",
    metavar="FILE[:NAME]",
    help="Score the final states of the recorded runs and of their branches, as in `eval`.",
)
@click.option(
    "--budget",
    type=float,
    metavar="USD",
    help="Begin no further branch once the branches have cost this many US dollars.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="The most runs that --runs can find."
)
@click.option(
    "--name", help="The name of the comparison. The same name continues an earlier comparison, and repeats nothing."
)
@click.option(
    "--concurrency", type=click.IntRange(min=1), default=8, show_default=True, help="How many branches run at a time."
)
@options.graph
def whatif(  # noqa: PLR0913 - one for each option
    context: CommandContext,
    names: tuple[str, ...],
    search: tuple[str, ...],
    instructions: tuple[str, ...],
    pairs: tuple[str, ...],
    at: At | None,
    tools: str,
    scorers: str | None,
    budget: float | None,
    limit: int,
    name: str | None,
    concurrency: int,
    reference: str | None,
) -> int:
    """Show how recorded runs would have ended with other models, instructions or values, or with a changed graph.

    The recorded runs must have ended, and the command does not change them. Instead, it starts a branch of each run at
    the first step that the change can affect, and drives the branch to its end. The branch shares the earlier steps
    with the run. All branches of a comparison have the tag whatif:NAME.

    The change can be any of these:

    - other models, with --model
    - other instructions for agents, with --instructions
    - other values of fields of the state, with --set
    - the graph's file as it is now, or another graph with --graph

    With --set, each branch begins at the start of its run, unless you name another place with --at. With the other
    options, each branch begins at the first step that the change can affect. The command finds this step in the
    recorded log:

    - the first turn of an agent that has another model or other instructions
    - the first visit of a node that is declared differently
    - the first step that the graph decides differently

    The log does not contain the code of functions. If you changed the code of a node's function, name the place with
    --at.

    If a branch asks a person a question, the branch uses the answer that the log contains. If the log contains no
    answer, the branch waits, and the output shows the question. Results of tools also come from the log if the
    arguments are unchanged, unless you choose otherwise with --tools.
    """
    from graphengine.cli.evaluating import judges_in, scorers_of
    from graphengine.cli.inputs import parse_pairs, texts_of, update_forms_of
    from graphengine.cli.models import as_begun, split
    from graphengine.kernel.inside import new_id
    from graphengine.testing.evaluation.what_if import what_if

    if budget is not None and not budget > 0:
        raise click.BadParameter("give an amount above 0", param_hint="--budget")
    found, runs = ended_runs(context, names, search, reference, limit)
    plan = found.graph.compile()
    scorers_by_name = None if scorers is None else scorers_of(found, scorers)
    judges = judges_in(scorers_by_name or {})
    for_judges = [text for text in context.models if split(text)[0] in judges]
    models = as_begun([text for text in context.models if text not in for_judges], {found.graph.name: found})
    changed, update = texts_of(instructions, "--instructions"), parse_pairs(pairs, update_forms_of(plan.state), "--set")
    name = name or new_id(time.time())
    context.err.line("comparison ", (name, "bold"), f" of {counted(len(runs), 'run')}; --name {name} continues it")
    report = context.drive(
        what_if(
            found.graph,
            runs,
            context.store,
            name=name,
            models=models,
            instructions=changed,
            update=update,
            at=None if at is None else _read_visit(at),
            tools=cast("Tools", tools),
            scorers=scorers_by_name,
            judges=dict(map(split, for_judges)),
            budget_usd=budget,
            concurrency=concurrency,
            executors=read_settings("executors", found.file),
        )
    )
    if context.json:
        context.document(report)
    else:
        _show_whatif(context, report)
    if report.left and not (report.runs or report.untouched):
        return 1
    return 3 if any(each.after.status == "waiting" for each in report.runs) else 0


def ended_runs(
    context: CommandContext, names: Sequence[str], search: Sequence[str], reference: str | None, limit: int
) -> tuple[Found, list[str]]:
    """Find the recorded runs that a command compares or exports. All of them must be runs of one graph.

    Branches that an earlier `whatif` made are left out.

    Args:
        context: The context of the command.
        names: The ids of runs.
        search: The words of a search that finds further runs.
        reference: The value of `--graph`, if the option is given.
        limit: The maximum number of runs that the search finds.

    Returns:
        The graph, and the ids of the runs.

    Raises:
        InputError: No run was found, or the runs belong to several graphs.
    """
    from graphengine.cli.project import file_of, graph_of
    from graphengine.records.search import wanted_of
    from graphengine.records.selection import Wanted, hint_of, is_compared, newest

    context.use(file_of(reference), writes=True)
    if not names and not search:
        raise click.UsageError("give the ids of runs, or find runs with --runs 'graph:NAME since:7d'")
    found = [context.find(name) for name in names]
    wanted = wanted_of(" ".join(search), Wanted(limit))
    if search:
        found += context.read(lambda store: newest(store, wanted, compared=False))
    runs = {info.id: info for info in found if not is_compared(info)}
    graphs = sorted({info.graph for info in runs.values()})
    where = shown(context.place.database)
    if found and not graphs:
        repair = "name the recorded runs from which `whatif` made these branches"
        raise InputError("the chosen runs are all branches that `whatif` made", where=where, repair=repair)
    if not graphs:
        hint = context.read(lambda store: hint_of(store, wanted))
        repair = hint or "list all runs with `graphengine runs`, or choose another database with --store PATH"
        raise InputError(f"no run matches the search {' '.join(search)!r}", where=where, repair=repair)
    if len(graphs) > 1:
        raise InputError(
            f"the chosen runs belong to several graphs: {', '.join(graphs)}",
            where=where,
            repair="choose runs of one graph, for example with graph:NAME in --runs",
        )
    return graph_of(graphs[0], reference), list(runs)


def _read_visit(at: At) -> tuple[str, int]:
    if isinstance(at, int):
        raise click.BadParameter(f"{at} is a step: give a node and its visit, e.g. review:1", param_hint="--at")
    return at if isinstance(at, tuple) else (at, 1)


# --- the report ---


def _show_whatif(context: CommandContext, report: WhatIf) -> None:
    out = context.out
    if report.runs:
        out.line((f"{counted(len(report.runs), 'run')} of {report.graph}, branched where the change matters", "bold"))
        for line in report.change:
            out.line(f"  {line}")
        out.line("")
        for ending, runs in report.endings.items():
            out.line(f"{runs:>6,}  {ending}")
        out.line("")
        for figure, difference in report.differences.items():
            words = "not known" if difference is None else difference.text(4 if figure == "cost_usd" else 2)
            out.line(f"{figure}: {words}")
        out.line("")
        _show_extreme_runs(context, report)
    _show_rest(out, report)


def _show_extreme_runs(context: CommandContext, report: WhatIf) -> None:
    """Show the runs that improved most and the runs that became worst under the change.

    For the first and the last of these runs, also show how the text of the result changed.
    """
    from graphengine.cli.diff import word_parts

    runs = list(report.runs)
    shown = runs if len(runs) <= 2 * _ROWS else [*runs[:_ROWS], *runs[-_ROWS:]]
    scorers = [name for name in report.differences if name not in ("cost_usd", "seconds", "visits")]
    columns: Sequence[Column[BranchedRun]] = (
        Column("run", lambda each: each.run_id),
        Column("at", lambda each: f"{each.at} {each.node}", 2),
        *(Column(name, partial(_format_scores, name=name)) for name in scorers),
        Column("cost", lambda each: " → ".join(_format_cost(side.cost_usd) for side in (each.before, each.after))),
        Column("visits", lambda each: f"{each.before.visits} → {each.after.visits}", 1),
        Column("before", lambda each: _format_ending(each.before)),
        Column("after", lambda each: _format_ending(each.after)),
    )
    context.out.table(columns, shown)
    if len(runs) > len(shown):
        context.out.line((f"({len(runs) - len(shown)} in between are left out; --json has them all)", "dim"))
    for each in dict.fromkeys(each.run_id for each in (runs[0], runs[-1])):
        pair = next(run for run in runs if run.run_id == each)
        before, after = pair.before.result, pair.after.result
        if isinstance(before, str) and isinstance(after, str) and before != after:
            context.out.line("")
            context.out.line((f"{pair.run_id}, the result:", "bold"))
            context.out.prose(*word_parts(before, after))
    command = context.place.command("diff", runs[0].run_id, runs[0].branch)
    context.err.line(("look:   ", "dim"), command)


def _format_scores(pair: BranchedRun, name: str) -> str:
    scores = pair.before.scores.get(name), pair.after.scores.get(name)
    return " → ".join("none" if score is None else f"{score:.2f}" for score in scores)


def _format_cost(cost: float | None) -> str:
    from graphengine.kernel.extension import dollars

    return "?" if cost is None else f"${dollars(cost)}"


def _format_ending(side: RunEnd) -> str:
    return side.why if side.status in ("failed", "waiting") else side.label or side.status


def _show_rest(out: Channel, report: WhatIf) -> None:
    if report.untouched:
        if report.runs:
            out.line("")
        out.line(
            f"by their logs, the change makes no difference in {counted(len(report.untouched), 'run')}: "
            f"{', '.join(report.untouched[:_ROWS])}{', …' if len(report.untouched) > _ROWS else ''}"
        )
        if not report.runs:
            out.line("no log shows the code of functions: if code changed, name the place with --at NODE:VISIT")
    for why, count in Counter(report.left.values()).items():
        out.line(f"not compared: {counted(count, 'run')}: {why}")
    if not report.runs:
        return
    spent = usd(report.spent_usd) or "an unknown amount"
    out.line(f"the branches cost {spent}")
