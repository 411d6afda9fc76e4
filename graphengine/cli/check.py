"""`graphengine check`: list the problems of a project's graphs, and compare unfinished runs with the graphs."""

from __future__ import annotations

from collections import Counter
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from graphengine.cli import options
from graphengine.cli.context import Exit
from graphengine.cli.graphs import broken, file_and_line
from graphengine.cli.places import settings_of, shown
from graphengine.cli.terminal import Column, linked_code
from graphengine.errors import CompileError, GraphNotFound, InputError, Problem
from graphengine.records.words import counted
from graphengine.wings import guarded, load, wings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

    from graphengine.api.graph import Graph
    from graphengine.cli.context import CommandContext
    from graphengine.cli.project import Listed
    from graphengine.errors import GraphEngineError
    from graphengine.kernel.store import Store
    from graphengine.testing import Bounds, Forecast, Preflight
    from graphengine.testing.bounds import NodeBound
    from graphengine.testing.checked import Checked
    from graphengine.testing.preflights import RunGroup


@dataclass(frozen=True, slots=True)
class _CheckResult:
    """What `graphengine check` found in one file: a graph with its problems, or an error.

    The attribute `broken` contains the error if the file cannot be run.
    """

    file: Path
    graph: Graph[Any] | None = None
    problems: Sequence[Problem] = ()
    broken: GraphEngineError | None = None
    module: ModuleType | None = None

    @property
    def errors(self) -> int:
        return (self.broken is not None) + sum(not problem.warning for problem in self.problems)

    @property
    def warnings(self) -> int:
        return sum(problem.warning for problem in self.problems)


@options.command(
    "check",
    options.CHECKED_DATABASE,
    options.MODEL,
    examples="""
        graphengine check                     # every graph of the project
        graphengine check review              # one of them
        graphengine check flows/review.py     # all graphs of a file
        graphengine check review --servers    # and the tools of its MCP servers
        graphengine check --strict --json     # for CI: a warning is an error too
        graphengine check --store checkpoints/runs.db --since 30d   # before a deploy
        graphengine check review --store checkpoints/runs.db --accept same
        graphengine check review --bounds     # the most that a run can take
        graphengine check review --forecast --store checkpoints/runs.db
    """,
    exits={
        0: "no graph has an error, and with --store, every unfinished run fits its graph",
        2: "a graph has an error, or with --strict a warning; or the usage is wrong",
        3: "with --store: an unfinished run does not fit its graph",
    },
)
@click.argument("references", metavar="[FILE[:NAME]|NAME]…", nargs=-1, shell_complete=options.complete_graphs)
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
@click.option(
    "--servers", is_flag=True, help="Start the MCP servers of agents, and list the tools that no model can call."
)
@click.option("--bounds", is_flag=True, help="Show the most visits, calls, tokens and cost that a run can take.")
@click.option(
    "--forecast",
    is_flag=True,
    help="With --store: show how recorded runs ended, what they cost and how long they took.",
)
@click.option(
    "--since",
    type=options.Age(),
    metavar="AGE",
    help="With --store: check only runs whose last step is newer than this, e.g. 30d.",
)
@click.option(
    "--accept",
    type=options.Choice(("same", "another", "fail")),
    help="With --store: record this answer in advance, for runs whose code has changed. same: the new code makes the "
    "call that the earlier code made, so the recorded result is used. another: it is another call, so the effect "
    "begins. fail: the node fails.",
)
@click.option(
    "--graph", "graph_name", metavar="NAME", help="With --accept: record the rule only for runs of this graph."
)
@click.option(
    "--function", metavar="NAME", help="With --accept: let the rule answer only about effects of this function."
)
@click.option("--by", metavar="NAME", default="", help="With --accept: who decides. The name is recorded and shown.")
def check(  # noqa: PLR0913 - the options of the command
    context: CommandContext,
    references: tuple[str, ...],
    *,
    strict: bool,
    servers: bool,
    bounds: bool,
    forecast: bool,
    since: float | None,
    accept: Literal["same", "another", "fail"] | None,
    graph_name: str | None,
    **given: str | None,
) -> int:
    """List every error and warning of graphs, by file and line.

    Without an argument, the command checks every graph of the project. If you name a FILE, the command checks all
    graphs of that file. It shows each problem with its file and line, a stable code, and the repair. A file that cannot
    be run is listed too, and the other files are still checked. Two files that define graphs of the same name are an
    error, because a run records only the name of its graph.

    With --store, the command compares each unfinished run of the database with its graph. A run is unfinished if it
    waits, sleeps, is queued, was interrupted, or is running. The command shows whether a resume would continue the run,
    and which migrations the resume would apply.

    If a resume could not continue a run under today's graph, the command shows where and why, and a draft for the
    graph's `migrate=`. If you give no argument, a run whose graph is not in the project also counts as a run that
    cannot continue.

    With --accept, you answer in advance a question that runs ask after a deployment. If the code of a node has changed,
    a run asks a person before it begins an effect that the earlier code may have done already. The command records your
    answer for each unfinished run whose nodes have other code now. The answer applies only as long as the code stays
    the same. If a run uses the answer, `graphengine show` says so.

    With --servers, the command starts the MCP servers of the graphs' agents. A warning names each tool that no model
    can call, with the reason.

    With --bounds, the command computes the following from the conditions, caps and limits of each graph:

    - the most visits of each node
    - the most calls, tokens and cost of a run
    - the edges that no run takes

    With --forecast, the command summarises the runs of the database that have ended. It shows how often runs ended in
    each way, and the cost and the time that 50, 90 and 99 % of the runs did not exceed.
    """
    from msgspec import UNSET

    _refuse_lone_options(context, click.get_current_context().params)
    checked = [each for listed in _list_files_to_check(references) for each in _check_file(listed)]
    if servers:
        checked = [_with_servers(context, each) for each in checked]
    if not checked:
        where = ", ".join(references) or "[tool.graphengine] graphs"
        repair = 'define a graph at the top level of a file, as graph = Graph("name", State)'
        raise GraphNotFound("no graph to check was found", where=where, repair=repair)
    errors, warnings = sum(each.errors for each in checked), sum(each.warnings for each in checked)
    _record_rule(context, checked, accept, graph_name, given)
    found = _check_unfinished_runs(context, references, checked, since) if context.database is not None else None
    sound = [each.graph for each in checked if each.graph is not None and not each.errors]
    run_bounds = [_find_run_bounds(context, each) for each in checked if each.graph in sound] if bounds else None
    forecast_result = _compute_forecasts(context, sound) if forecast else None
    if context.json:
        document = _check_document(checked, (errors, warnings))
        document.runs = UNSET if found is None else found
        document.bounds = UNSET if run_bounds is None else run_bounds
        document.forecasts, document.no_forecast = (UNSET, UNSET) if forecast_result is None else forecast_result
        context.document(document)
    else:
        _show_check(context, checked, errors, warnings)
        for each in run_bounds or ():
            _show_bounds(context, each)
        if forecast_result is not None:
            _show_forecasts(context, *forecast_result)
        if found is not None:
            _show_preflight(context, found)
    if errors or (strict and warnings):
        return Exit.USAGE
    return Exit.FINISHED if found is None or found.fits else Exit.WAITING


def _refuse_lone_options(context: CommandContext, given: Mapping[str, Any]) -> None:
    """Raise an error for options of `check` that only have an effect together with an option that is missing.

    For example, `--by` describes the rule that `--accept` records.

    Raises:
        click.UsageError: An option needs another option, which is not given.
    """
    if given["accept"] is None and (given["graph_name"] or given["function"] or given["by"]):
        raise click.UsageError(
            "--graph, --function and --by describe the rule that --accept records, but --accept is not given: add "
            "--accept same, --accept another or --accept fail"
        )
    if context.models and not given["bounds"]:
        raise click.UsageError(
            "--model names the models whose prices --bounds uses, and --bounds is not given: add --bounds"
        )
    needs = {
        "accept": "--accept records a rule for runs of a database",
        "since": "--since selects runs of a database",
        "forecast": "--forecast reads the runs of a database",
    }
    for name, why in needs.items():
        if given[name] not in (None, False) and context.database is None:
            raise click.UsageError(f"{why}: add --store PATH")


def _list_files_to_check(references: Sequence[str]) -> Sequence[Listed]:
    """Return the graphs to check, grouped by their files.

    Raises:
        GraphNotFound: No such file or graph exists, or there is no project.
    """
    from graphengine.cli.project import GraphFileBroken, Listed, file_of, find, is_imported, list_file, list_graphs

    if not references:
        return list_graphs()
    files: list[Listed] = []
    for reference in references:
        file = file_of(reference)
        if file is not None and str(file) == reference:
            listed = list_file(file)
            own = [graph for graph in listed.graphs if not is_imported(graph, listed)]
            files.append(replace(listed, graphs=own or listed.graphs))
            continue
        try:
            found = find(reference)
        except GraphFileBroken as error:
            files.append(Listed(file or Path(file_and_line(error)[0]), error=error))
            continue
        files.append(Listed(found.file, found.module, [found.graph]))
    return files


def _check_file(listed: Listed) -> Iterator[_CheckResult]:
    if listed.error is not None:
        yield _CheckResult(listed.file, broken=listed.error)
    for graph in listed.graphs:
        problems = graph.check()
        if all(problem.warning for problem in problems):
            problems = [*problems, *_list_wing_problems(graph, listed.file)]
        yield _CheckResult(listed.file, graph, problems, module=listed.module)


def _with_servers(context: CommandContext, checked: _CheckResult) -> _CheckResult:
    """Start the MCP servers of a graph's agents, and add the problems of their tools to the problems of the graph.

    If the graph has errors, the servers are not started.
    """
    from graphengine.agents.server_checks import of_servers

    if checked.graph is None or checked.errors:
        return checked
    found = context.run(of_servers(checked.graph.compile()))
    return replace(checked, problems=[*checked.problems, *found])


def _list_wing_problems(graph: Graph[Any], file: Path) -> Sequence[Problem]:
    """Return the problems that wings (extensions of graphengine) find in a graph which graphengine itself accepts."""
    found: list[Problem] = []
    for wing in wings():
        if wing.checks:
            with guarded(wing):
                found += load(wing.checks)(graph.compile(), settings_of(wing.name, file))
    return found


def _check_document(checked: Sequence[_CheckResult], counts: tuple[int, int]) -> Checked:
    from graphengine.records.base_documents import CheckedGraph
    from graphengine.testing.checked import Checked

    graphs = [
        CheckedGraph(name=each.graph.name, file=str(each.file), problems=each.problems)
        for each in checked
        if each.graph is not None
    ]
    files = [broken(each.file, each.broken) for each in checked if each.broken is not None]
    return Checked(errors=counts[0], warnings=counts[1], graphs=graphs, broken=files)


def _show_check(context: CommandContext, checked: Sequence[_CheckResult], errors: int, warnings: int) -> None:
    """Show the problems and a summary of each graph; for several graphs, also a total."""
    for each in checked:
        if each.broken is not None:
            (file, line), error = file_and_line(each.broken), each.broken
            _show_problem(context, Problem(error.code, "", error.message, error.repair, file=file, line=line))
            continue
        for problem in each.problems:
            _show_problem(context, problem)
        if each.graph is not None:
            size = f"{counted(len(each.graph.nodes), 'node')}, {counted(len(each.graph.edges), 'edge')}"
            summary = f"{counted(each.errors, 'error')}, {counted(each.warnings, 'warning')}"
            styled = (summary, _choose_style(each.errors, each.warnings))
            context.out.line((each.graph.name, "bold"), f" ({size}): ", styled)
    if len(checked) != 1:
        graphs = counted(sum(each.graph is not None for each in checked), "graph")
        summary = f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"
        context.out.line(f"{graphs}: ", (summary, _choose_style(errors, warnings)))


def _choose_style(errors: int, warnings: int) -> str:
    return "bold red" if errors else "bold yellow" if warnings else "bold green"


def _show_problem(context: CommandContext, problem: Problem) -> None:
    """Show a problem as `FILE:LINE: error …`, which editors and CI recognize, and below it the line of the file."""
    from graphengine.cli.source_lines import excerpt_of

    out, file, line = context.out, problem.file, problem.line
    word, style = ("WARNING", "bold black on yellow") if problem.warning else ("error", "bold red")
    place = "" if file is None else f"{shown(Path(file))}: " if line is None else f"{shown(Path(file))}:{line}: "
    out.prose(place, (word, style), " ", linked_code(problem.code), f": {problem.message}")
    if file is not None and line is not None:
        found = excerpt_of(file, line, problem.message, problem.where, out.columns)
        if found is not None:
            text, carets = found.shown()
            out.line(text)
            out.line((carets, "bold yellow" if problem.warning else "bold red"))
    if problem.where:
        out.prose(("  at: ", "dim"), problem.where)
    if problem.repair:
        out.prose(("  repair: ", "bold"), problem.repair)


# --- the most that a run can take, and what runs took ---


def _find_run_bounds(context: CommandContext, each: _CheckResult) -> Bounds:
    """Compute the largest number of visits, calls and tokens of a run of a graph, and its highest cost.

    Raises:
        InputError: A model, an agent or a set of models does not exist.
    """
    from graphengine.cli.models import models_for
    from graphengine.cli.project import Found
    from graphengine.testing.bounds import bounds

    found: Any = Found(each.graph, each.file, each.module, "")  # type: ignore[arg-type]  # it is sound
    return context.run(bounds(found.graph, models_for(context.models, found)))


def _compute_forecasts(
    context: CommandContext, graphs: Sequence[Graph[Any]]
) -> tuple[Sequence[Forecast], dict[str, str]]:
    """Compute from recorded runs how runs of each graph end, what they cost and how long they take.

    Returns:
        The forecasts; and the reason for each graph that has no forecast, by the name of the graph.

    Raises:
        StoreError: There is no database, or it cannot be read.
    """
    from graphengine.testing.bounds import forecast

    found: list[Forecast] = []
    refused: dict[str, str] = {}

    async def whole(store: Store) -> None:
        for graph in graphs:
            try:
                found.append(await forecast(graph, store))
            except InputError as error:
                refused[graph.name] = error.message

    context.read(whole)
    return found, refused


def _show_bounds(context: CommandContext, found: Bounds) -> None:
    """Show the bounds that `--bounds` computed for nodes and for a whole run, and the edges that no run can take."""
    out = context.out
    out.line("")
    columns: Sequence[Column[NodeBound]] = (
        Column(found.graph, lambda node: node.path),
        Column("visits", lambda node: _format_most(node.visits)),
        Column("calls", lambda node: _format_most(node.calls)),
        Column("tokens out", lambda node: _format_most(node.output_tokens), 1),
        Column("cost", lambda node: _format_usd(node.cost_usd)),
        Column("bounded by", lambda node: node.by),
    )
    out.table(columns, found.nodes)
    visits, calls, tokens = map(_format_most, (found.visits, found.calls, found.output_tokens))
    amounts = f"{visits} visits, {calls} calls, {tokens} tokens out"
    out.line(("a run at most: ", "bold"), f"{amounts}, cost {_format_usd(found.cost_usd)}")
    for edge in found.never:
        out.prose(("never taken: ", "bold"), f"{edge.source} -> {edge.target}: {edge.why}")


def _format_most(amount: int | None) -> str:
    return "any" if amount is None else f"{amount:,}"


def _format_usd(amount: float | None) -> str:
    return "unknown" if amount is None else f"{amount:,.4f} USD"


def _show_forecasts(context: CommandContext, found: Sequence[Forecast], refused: dict[str, str]) -> None:
    out = context.out
    for each in found:
        out.line("")
        rests = f"{each.graph}, from {each.runs:,} runs that ended, with {each.visits:,} visits"
        out.line((rests, "bold"), f"; {each.unknown_costs:,} of unknown cost" if each.unknown_costs else "")
        for ending, share in each.endings.items():
            out.line(f"  {share:6.1%}  {ending}")
        for name, values, unit in (("cost", each.cost_usd, "USD"), ("time", each.seconds, "s")):
            out.line(f"  {name}: ", ", ".join(f"{quantile} {value:.4g} {unit}" for quantile, value in values.items()))
    for text in refused.values():
        out.prose(("no forecast: ", "bold yellow"), text)


# --- runs that have not ended ---


def _check_unfinished_runs(
    context: CommandContext, references: Sequence[str], checked: Sequence[_CheckResult], since: float | None
) -> Preflight:
    """Check whether the unfinished runs of the database fit the checked graphs.

    If the user named no graphs, the runs are compared with all graphs that a worker of the project drives.

    Raises:
        StoreError: There is no database, or it cannot be read.
    """
    from graphengine.cli.project import graphs_to_drive
    from graphengine.testing.preflights import compile_with_gaps, preflight

    other_graphs = [each.graph for each in checked if each.graph is not None]
    graphs: dict[str, Graph[Any]] = {}
    if not references:
        with suppress(GraphNotFound):
            graphs = {name: each.graph for name, each in graphs_to_drive(())[0].items()}
        counts = Counter(graph.name for graph in other_graphs)  # a name that two files have identifies no graph
        other_graphs = [graph for graph in other_graphs if graph.name not in graphs and counts[graph.name] == 1]
    for graph in other_graphs:
        with suppress(CompileError):
            compile_with_gaps(graph)
            graphs[graph.name] = graph
    names = {each.graph.name for each in checked if each.graph is not None} if references else None
    return context.read(lambda store: preflight(graphs.values(), store, newer_seconds=since, names=names))


def _record_rule(
    context: CommandContext,
    checked: Sequence[_CheckResult],
    answer: Literal["same", "another", "fail"] | None,
    graph_name: str | None,
    given: Mapping[str, str | None],
) -> None:
    """Record the answer of `--accept` to a question about runs whose code has changed since they began.

    The question is whether the new code makes the same call as the earlier code. The recorded rule answers this
    question for all unfinished runs in advance. Without `--accept`, nothing is recorded.

    Raises:
        StoreError: There is no database, or it cannot be written.
    """
    if answer is None:
        return
    from graphengine.api.runner import Runner
    from graphengine.kernel.reader import TodaysCode
    from graphengine.records.selection import list_unfinished

    sound = [each.graph for each in checked if each.graph is not None and not each.errors]
    graphs = {graph.name: graph for graph in sound if graph_name in (None, graph.name)}

    async def send(store: Store) -> int:
        today = {name: TodaysCode(graph.compile()) for name, graph in graphs.items()}
        async with aclosing(list_unfinished(store)) as unfinished:
            found = [info async for info in unfinished if info.graph in graphs]
        other = [info for info in found if today[info.graph].is_other(info.code)]
        runner, function, by = Runner(store), given["function"], given["by"] or ""
        for info in other:
            await runner.answer_ahead(info.id, answer, graphs[info.graph], function=function, by=by)
        return len(other)

    context.use(writes=True)
    count = context.read(send)
    context.err.line(f"a rule is recorded for {counted(count, 'run')} whose code changed: {answer}")


def _show_preflight(context: CommandContext, found: Preflight) -> None:
    """Show the unfinished runs in a table, then why some runs do not fit their graphs, with drafts of migrations."""
    context.out.line("")
    columns: Sequence[Column[RunGroup]] = (
        Column("graph", lambda each: each.graph),
        Column("at", lambda each: ", ".join(each.places)),
        Column("runs", lambda each: f"{each.runs:,}"),
        Column("status", lambda each: ", ".join(f"{count:,} {status}" for status, count in each.statuses.items()), 2),
        Column("today", lambda each: ", ".join((each.verdict, *each.migrations, *["asks again"] * each.asks_again))),
        Column("such as", lambda each: each.examples[0], 1),
    )
    if found.groups:
        context.out.table(columns, found.groups)
    context.out.prose((str(found), "" if found.fits else "red"))
