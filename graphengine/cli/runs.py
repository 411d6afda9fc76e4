"""`graphengine runs` and `graphengine tag`: the recorded runs, and their tags."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final, cast

import click

from graphengine.cli import options
from graphengine.cli.places import shown
from graphengine.cli.terminal import STATUS_STYLES, Column, fitted, short_time, text_columns
from graphengine.errors import StoreError
from graphengine.records.offline import are_offline
from graphengine.records.words import age, clean, compact, cost, counted, loss_words, one_line, seconds, when

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Literal

    from graphengine.cli.context import CommandContext
    from graphengine.kernel.reader import Snapshot, Usage
    from graphengine.kernel.store import RunInfo, Store, Summary
    from graphengine.records.at_work import AtWork
    from graphengine.records.bulk import Bulk
    from graphengine.records.selection import Found, Wanted
    from graphengine.records.sums import Sums
    from graphengine.records.trends import Trends

_COUNTED: Final = ("finished", "failed", "stopped", "cancelled", "waiting", "running")
_STATUSES: Final = ("queued", "running", "interrupted", "waiting", "finished", "stopped", "failed", "cancelled")
_WAIT_CHARACTERS: Final = 200
_TITLE_CHARACTERS: Final = 40
_CELL_CHARACTERS: Final = 60
_NAME_COLUMNS: Final = 24
_INDENT: Final = 4


@options.command(
    "runs",
    options.DATABASE,
    examples="""
        graphengine runs
        graphengine runs --status waiting --json
        graphengine runs --tree --tag nightly
        graphengine runs --graph review --newer-than 2d
        graphengine runs timeout status:failed since:7d
        graphengine runs --trends --by tag --every 1w
        graphengine runs input.country=CH --sums
        graphengine runs --graph refunds --fields amount,note --csv > refunds.csv
    """,
)
@click.argument("words", metavar="[WORDS]...", nargs=-1, shell_complete=options.complete_search)
@click.option(
    "--status",
    type=options.Choice(_STATUSES),
    metavar="STATUS",
    help="List only runs with this status: queued, running, interrupted, waiting, finished, stopped, failed or"
    " cancelled. The process of an interrupted run died before the run was over.",
)
@click.option(
    "--graph", metavar="NAME", shell_complete=options.complete_graph_names, help="List only runs of this graph."
)
@click.option("--tag", metavar="NAME", shell_complete=options.complete_tags, help="List only runs with this tag.")
@click.option("--tenant", metavar="NAME", help="List only runs of this tenant.")
@click.option(
    "--older-than",
    type=options.Age(),
    metavar="AGE",
    help="List only runs whose last step is older than this, e.g. 30d, 12h, 45m.",
)
@click.option(
    "--newer-than",
    type=options.Age(),
    metavar="AGE",
    help="List only runs whose last step is newer than this, e.g. 1h.",
)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="List at most this many runs.")
@click.option(
    "--fields",
    metavar="NAMES",
    multiple=True,
    callback=lambda _, __, given: ",".join(given) if given else None,
    help="Show these fields of each run's last recorded state, separated by commas. A dot leads into an object:"
    " order.amount.",
)
@click.option("--csv", "is_csv", is_flag=True, help="Write the table as CSV to stdout.")
@click.option("--tree", "is_tree", is_flag=True, help="Show branches and child runs below their runs.")
@click.option(
    "--trends", "is_trends", is_flag=True, help="Show how runs ended, what they cost and how long they took, over time."
)
@click.option(
    "--sums",
    "is_sums",
    is_flag=True,
    help="Show what the runs of the last seven days cost and how long they took, by day and by node.",
)
@click.option(
    "--by",
    type=options.Choice(("graph", "tag")),
    default="graph",
    help="With --trends: whether a line is about a graph or a tag.",
)
@click.option(
    "--every",
    type=options.Age(),
    metavar="AGE",
    default="1d",
    show_default=True,
    help="With --trends: the length of an interval.",
)
def runs(  # noqa: PLR0913 - options
    context: CommandContext,
    /,
    *,
    words: tuple[str, ...],
    limit: int,
    is_csv: bool,
    is_tree: bool,
    is_trends: bool,
    is_sums: bool,
    every: float,
    older_than: float | None,
    newer_than: float | None,
    **named: str | None,
) -> int:
    """List the recorded runs, the newest first.

    With WORDS, the command lists only the runs that match every word, in any order and case. It searches each word in
    the run's id, graph, tags and first input, and in what the run waits for or why it ended. The beginning of a word is
    enough. A word can also be a filter:

    - id:RUN_ID, for the run with exactly this id
    - status:failed, graph:NAME, tag:NAME, tenant:NAME, user:NAME, version:LABEL and error:TEXT
    - agent:NAME, for runs in which this agent called a model
    - child-of:RUN_ID, for runs that nodes of this run started
    - since:7d, after:2026-01-31 and before:2026-02-28, for when runs began
    - lost:yes, for runs that finished without a part of their result
    - 'cost>0.5', for runs whose models cost at least this many US dollars
    - input.country=CH and output.status=paid, for fields that the graph declares with `search=`. The signs != < <= > >=
      compare too; in a shell, put quotes around them
    - 'state.score<7', for any field of the last recorded state. The command reads the states of the newest 1,000 runs
      that match the other words, and says how many states it read

    The columns have these meanings:

    - `seq` is the number of the run's last recorded step.
    - `cost` is what models cost until the status of the run last changed. It is `?` if a price is unknown.
    - `last step` is when the last step was recorded. A waiting run has waited since then.
    - `due` is when the first wait of the run ends by itself.
    - `why` says what the run is doing, what it waits for, or why it ended. On a terminal, this text is below the line
      of the run. `graphengine show` shows the commands that answer a question.

    With --tree, each run is shown below the run that started it, or from which it was branched. For each run that
    matches the search, the tree also contains the run above it and the runs that its nodes started, even if they do not
    match.

    In the tree, `spent` is the cost of the run's own model calls, without the steps that a branch shares with its
    parent. `in all` adds the cost of all runs that are shown below the run.

    With --fields, the command prints a table of the fields that you name. The table shows the id, the graph and the
    status of each run, and these fields of its state. With --csv or --json, the rows also contain when the run began
    and ended, and what its models cost. An empty cell means that the value is not known.

    With --trends, each line is about the runs of one graph or tag that began in one interval. The line contains:

    - how many runs ended in which way
    - how many runs lost something on the way
    - what the runs cost
    - how long the runs took: the median, and the time that 95 % of the runs did not exceed

    With --sums, the command adds up the runs that match the search. A line for each of the last seven days (UTC) shows
    how many runs began, how many of them failed, what they cost, and the time that 95 % of them did not exceed. A line
    for each node shows the same figures for its visits, the slowest node first. To compute the lines of nodes, the
    command reads the steps of the newest 200 of these runs, and says how many runs it read.
    """
    from graphengine.records.search import wanted_of
    from graphengine.records.selection import Wanted, as_answered, find_runs, hint_of

    _check_options(
        context, named["fields"], older_than, newer_than, is_csv=is_csv, is_other=is_tree or is_trends or is_sums
    )
    wanted = Wanted(
        limit, named["status"], named["graph"], named["tag"], older_than, newer_than, tenant=named["tenant"]
    )
    wanted = wanted_of(" ".join(words), wanted)
    if is_sums:
        from graphengine.cli.sums import show_sums

        return show_sums(context, wanted)
    if is_trends:
        return _show_trends(context, wanted, cast("Literal['graph', 'tag']", named["by"]), every)

    async def reading(store: Store) -> Found:
        search_result = await find_runs(store, wanted)
        return search_result._replace(runs=await as_answered(store, search_result.runs))

    search_result = context.read(reading)
    found = search_result.runs
    if is_csv or named["fields"] is not None:
        _show_rows(context, found, named["fields"] or "", is_csv=is_csv)
    elif is_tree and found:
        _show_tree(context, context.read(lambda store: _load_tree(store, found, limit)))
    elif found or context.json:
        _show_runs(context, search_result)
    if not found and not context.json:
        context.err.line(f"no runs{wanted} in {shown(context.place.database)}")
        hint = context.read(lambda store: hint_of(store, wanted))
        if hint:
            context.err.line(("  ", "dim"), hint)
    show_seen(context, wanted, search_result)
    if len(found) == limit and not context.json:
        context.err.line(f"the newest {limit}; --limit shows more")
    return 0


def show_seen(context: CommandContext, wanted: Wanted, seen: Found | Bulk | Sums | Trends) -> None:
    """Show how many runs a search by state fields has read, because older runs may be missing from the result."""
    from graphengine.records.selection import list_absent_fields, seen_lines

    if context.json or not wanted.fields:
        return
    unknown = context.read(lambda store: list_absent_fields(store, wanted)) if seen.unseen is None else ()
    for line in seen_lines(seen.looked_at, seen.unseen, unknown):
        context.err.line(line)


def _check_options(  # noqa: PLR0913 - the options that exclude each other
    context: CommandContext,
    fields: str | None,
    older_than: float | None,
    newer_than: float | None,
    *,
    is_csv: bool,
    is_other: bool,
) -> None:
    if older_than is not None and newer_than is not None and older_than >= newer_than:
        raise click.UsageError(
            "no run can be older and newer at once: give a shorter time to --older-than, as in "
            "--older-than 1d --newer-than 7d"
        )
    if is_other and (is_csv or fields is not None):
        raise click.UsageError(
            "--fields and --csv show a table of runs, so they cannot be combined with --tree, --trends or --sums"
        )
    if is_csv and context.json:
        raise click.UsageError("the output is either --csv or --json: give one of them")


def _show_rows(context: CommandContext, runs: Sequence[RunInfo], names: str, *, is_csv: bool) -> None:
    from graphengine.cli.documents import Rows
    from graphengine.records.result_rows import column_of, result_rows, to_csv

    fields = [*dict.fromkeys(filter(None, map(str.strip, names.split(","))))]
    rows = context.read(lambda store: result_rows(store, runs, fields))
    if context.json:
        context.document(Rows(rows=rows))
    elif is_csv:
        text = to_csv(rows, fields)
        context.out.write(clean(text) if context.out.is_terminal else text)
    elif rows:
        columns = ["run_id", "graph", "status", *map(column_of, fields)]
        cells = (
            ["" if row[name] is None else compact(row[name], _CELL_CHARACTERS) for name in columns] for row in rows
        )
        context.out.table(text_columns(["run", *columns[1:]]), cells)


def _show_trends(context: CommandContext, wanted: Wanted, by: Literal["graph", "tag"], every: float) -> int:
    from datetime import UTC, datetime

    from graphengine.cli.sums import cost_of
    from graphengine.records.trends import DAY, trends

    found = context.read(lambda store: trends(store, wanted, by=by, every_seconds=every))
    if context.json:
        context.document(found)
        return 0
    show_seen(context, wanted, found)
    if not found.trends:
        context.err.line(f"no runs{wanted}")
        return 0
    characters = len("2026-01-31") if every % DAY == 0 else len("2026-01-31 12:00")
    rows = [
        (
            datetime.fromtimestamp(each.since, UTC).isoformat(" ")[:characters],
            each.name if context.out.columns is None else fitted(each.name, _NAME_COLUMNS),
            str(each.runs),
            *(str(each.statuses.get(status, "")) for status in _COUNTED),
            str(each.with_losses or ""),
            cost_of(each),
            *("" if time is None else seconds(time) for time in (each.median_seconds, each.p95_seconds)),
        )
        for each in found.trends[: wanted.limit]
    ]
    headings = ("since (UTC)", by, "runs", *_COUNTED, "losses", "cost", "median", "95 %")
    spare = "running", "cancelled", "stopped", "95 %", "waiting", "losses", "median"
    context.out.table(text_columns(headings, *spare), rows)
    if len(found.trends) > wanted.limit:
        context.err.line(f"the newest {wanted.limit} of {len(found.trends)} lines; --limit shows more")
    return 0


def _load_waiting(context: CommandContext, found: Sequence[RunInfo]) -> Mapping[str, Snapshot]:
    """Read the states of waiting runs, because only a state tells what kind of answer a run expects."""
    from graphengine.records.now import load_now

    async def load(store: Store) -> Mapping[str, Snapshot]:
        waiting: dict[str, Snapshot] = {}
        for info in found:
            if info.status == "waiting":
                with suppress(StoreError):
                    waiting[info.id] = await load_now(store, info.id)
        return waiting

    return context.read(load)


def _show_runs(context: CommandContext, search_result: Found) -> None:
    runs = search_result.runs
    works: Mapping[str, AtWork] = {}
    if any(info.driver for info in runs):
        from graphengine.records.at_work import load_at_work

        works = context.read(lambda store: load_at_work(store, runs))
    if context.json:
        from graphengine.records.json_document import runs_document

        document = runs_document(runs, _load_waiting(context, runs), works)
        document.looked_at, document.unseen = search_result.looked_at, search_result.unseen
        context.document(document)
    else:
        _show_run_table(context, runs, works)


def _show_run_table(context: CommandContext, runs: Sequence[RunInfo], works: Mapping[str, AtWork]) -> None:
    """Show a table of runs.

    On a terminal, a line below each run says what the run is doing, what it waits for or why it ended, and what it
    lost.
    """
    from graphengine.kernel.reader import status_of
    from graphengine.records.runs_below import failed_words, runs_below

    below = context.read(lambda store: runs_below(store, [info.id for info in runs]))

    now = time.time()

    def why_of(info: RunInfo, *, due: bool = False) -> str:
        if info.id in works:
            from graphengine.records.at_work import at_work_words

            doing = at_work_words(works[info.id], now)
        else:
            doing = _format_state_reason(info, due=due)
        return "; ".join(filter(None, (doing, failed_words(below.counts(info.id)))))

    width = context.out.columns
    at = when if width is None else short_time
    columns: Sequence[Column[RunInfo]] = (
        Column("run", lambda info: info.id),
        Column("graph", lambda info: info.graph, 8),
        Column("status", status_of, style=lambda info: STATUS_STYLES[status_of(info)]),
        Column("seq", lambda info: str(info.seq), 2),
        Column("begun", lambda info: at(info.created_at), 1),
        Column("last step", lambda info: at(info.updated_at), 6),
        Column(
            "branched from", lambda info: f"{info.parent} at {info.parent_seq}" if info.parent is not None else "", 3
        ),
        Column("tags", lambda info: ", ".join(info.tags), 4),
        Column("due", lambda info: at(info.due_at) if info.due_at is not None else "", 5),
        Column("cost", lambda info: _format_summary_cost(info.summary), 7),
        Column("title", lambda info: _title(info, width), shrinks=True),
        Column("why", lambda info: why_of(info) if width is None else ""),
    )

    def show_why(info: RunInfo) -> None:
        if width is not None and (why := why_of(info, due=True)):
            context.out.prose(" " * _INDENT, why, indent=0)

    context.out.table(columns, runs, show_why)


def _show_tree(context: CommandContext, tree: _Tree) -> None:
    """Show runs as a tree: each run is below the run from which it was branched, or that started it."""
    from graphengine.kernel.reader import status_of
    from graphengine.records.at_work import load_at_work
    from graphengine.records.json_document import tree_document

    if context.json:
        waiting = _load_waiting(context, tree.runs)
        works = context.read(lambda store: load_at_work(store, tree.runs))
        context.document(tree_document(tree.runs, waiting, tree.after, (tree.spent, tree.sums()), works))
        return
    now, drawn, sums, width = time.time(), list(tree.rows()), tree.sums(), context.out.columns
    parents = {info.parent for _, info in drawn if info.parent is not None}
    columns: Sequence[Column[tuple[str, RunInfo]]] = (
        Column("run", lambda row: row[1].id, lead=lambda row: row[0]),
        Column("graph", lambda row: row[1].graph, 4),
        Column(
            "status",
            lambda row: status_of(row[1]) + ("" if row[1].id in tree.listed else " *"),
            style=lambda row: STATUS_STYLES[status_of(row[1])],
        ),
        Column("branched at", lambda row: str(row[1].parent_seq) if row[1].parent is not None else "", 5),
        Column("seq", lambda row: str(row[1].seq), 1),
        Column("last step", lambda row: age(now - row[1].updated_at), 3),
        Column("follows", lambda row: tree.after.get(row[1].id, ""), 2),
        Column("spent", lambda row: _format_models_cost(tree.spent.get(row[1].id)), 7),
        Column("in all", lambda row: _format_models_cost(sums[row[1].id]) if row[1].id in parents else "", 6),
        Column("title", lambda row: _title(row[1], width), shrinks=True),
    )
    context.out.table(columns, drawn)
    if len(tree.runs) > len(tree.listed):
        context.err.line("*: not in the list; shown because a run above or below it is")
    if tree.more:
        context.err.line(f"{counted(tree.more, 'more run')} below these; --limit shows more")


def _title(info: RunInfo, columns: int | None) -> str:
    return one_line(info.title, _TITLE_CHARACTERS if columns is None else columns)


def _format_models_cost(usage: Usage | None) -> str:
    """Format what the models of a run cost; "" if no language model was called."""
    return "" if usage is None or are_offline(usage) else cost(usage)


def _format_summary_cost(summary: Summary | None) -> str:
    from graphengine.kernel.extension import dollars

    if summary is None or not (summary.tokens or summary.cost_usd):
        return ""
    return "?" if summary.cost_usd is None else f"${dollars(summary.cost_usd)}"


def _format_state_reason(info: RunInfo, *, due: bool = False) -> str:
    """Describe in a line below a run what the run waits for or why it ended, and what it lost on the way.

    If the run waits for several things, the first is named and the others are counted. With `due`, the text also says
    until when the run waits, and leaves out why a run finished.
    """
    summary = info.summary
    if summary is None or info.status == "running":
        return ""
    is_plain = summary.reason == "otherwise" or (due and info.status == "finished")
    text = "" if is_plain else one_line(summary.reason, _WAIT_CHARACTERS)
    if summary.losses:
        text += f" ({loss_words(summary.losses)})" if text else loss_words(summary.losses)
    if due and info.due_at is not None:
        until = f"until {when(info.due_at)}"
        text += f" {until}" if summary.kind == "sleep" else f" ({until})"
    return text + (f" (and {summary.waits - 1} more)" if summary.waits > 1 else "")


def _find_upper_run(info: RunInfo) -> str | None:
    """Return the id of the run below which a tree shows this run: its parent, or else the run that started it."""
    return info.parent or info.starter


# --- --tree ---


@dataclass(frozen=True, slots=True)
class _Tree:
    """The runs that `graphengine runs --tree` shows.

    Attributes:
        runs: All runs, the newest first: the runs that match the search, the runs above them, and the runs that their
            nodes started.
        listed: The ids of the runs that match the search.
        after: For each run that began with the final state of an earlier run (`--after`), the id of the earlier run.
        spent: What each run spent on models itself, by id, without usage inherited from its parent. Runs that cannot be
            read are missing.
        more: How many runs below the listed runs are left out.
    """

    runs: Sequence[RunInfo]
    listed: frozenset[str] = frozenset()
    after: Mapping[str, str] = field(default_factory=dict)
    spent: Mapping[str, Usage] = field(default_factory=dict)
    more: int = 0

    def rows(self) -> Iterator[tuple[str, RunInfo]]:
        """Yield the runs of the tree in the order in which they are shown, from top to bottom.

        Each comes with the lines that connect it to the run above it.
        """
        below = self._below()
        stack: list[tuple[str, str, RunInfo]] = [("", "", info) for info in reversed(below.get(None, []))]
        while stack:
            before, sign, info = stack.pop()
            yield before + sign, info
            deeper = before + {"": "", "├─ ": "│  ", "└─ ": "   "}[sign]
            children = sorted(below.get(info.id, []), key=lambda child: (child.parent_seq, child.created_at, child.id))
            signs = ["├─ "] * (len(children) - 1) + ["└─ "]
            stack += [(deeper, sign, child) for sign, child in zip(reversed(signs), reversed(children), strict=False)]

    def sums(self) -> Mapping[str, Usage]:
        """Return what each run in the tree spent on models, together with all runs below it, by the run's id."""
        from graphengine.kernel.extension import add_usage

        below = self._below()
        found: dict[str, Usage] = {}
        for _, info in reversed(list(self.rows())):  # a branch comes after its parent
            total = self.spent.get(info.id, {})
            for child in below.get(info.id, ()):
                total = add_usage(total, found[child.id])
            found[info.id] = total
        return found

    def _below(self) -> dict[str | None, list[RunInfo]]:
        """Return, for each run in the tree, the runs that are directly below it.

        The keys are the ids of the upper runs. The key None contains the runs at the top of the tree.
        """
        known = {info.id for info in self.runs}
        below: dict[str | None, list[RunInfo]] = {}
        for info in self.runs:
            above = _find_upper_run(info)
            below.setdefault(above if above in known else None, []).append(info)
        return below


async def _load_tree(store: Store, found: Sequence[RunInfo], limit: int) -> _Tree:
    """Build the tree of the found runs, with all runs above them, and at most `limit` of the runs below them."""
    from graphengine.kernel.reader import Started, load_snapshot
    from graphengine.records.runs_below import runs_below
    from graphengine.records.spending import own_usage

    runs = {info.id: info for info in found}
    below = await runs_below(store, [*runs])
    others = {each.id: each for info in found for each in below.each(info.id) if each.id not in runs}
    runs |= dict(islice(others.items(), limit))
    parents: Sequence[RunInfo] = [*runs.values()]
    while missing := {above for info in parents if (above := _find_upper_run(info)) is not None} - runs.keys():
        parents = await store.infos(sorted(missing))
        runs |= {info.id: info for info in parents}
        if not parents:
            break
    after: dict[str, str] = {}
    for info in runs.values():
        if info.parent is None:
            with suppress(StoreError):  # a run that cannot be read is listed without it
                for step in await store.steps(info.id, 0, 1):
                    if isinstance(step.data, Started) and step.data.after:
                        after[info.id] = step.data.after
    spent: dict[str, Usage] = {}
    for run_id, info in runs.items():
        with suppress(StoreError):  # as above
            spent[run_id] = await own_usage(store, info, await load_snapshot(store, run_id, None))
    ordered = sorted(runs.values(), key=lambda info: (info.created_at, info.id), reverse=True)
    return _Tree(ordered, frozenset(info.id for info in found), after, spent, max(0, len(others) - limit))


@options.command(
    "tag",
    options.DATABASE,
    examples="""
        graphengine tag tides --add kept --remove nightly
        graphengine tag tides --add kept --json
    """,
)
@options.run_id
@click.option("--add", metavar="NAME", multiple=True, help="A tag to add. May be repeated.")
@click.option(
    "--remove",
    metavar="NAME",
    multiple=True,
    shell_complete=options.complete_tags,
    help="A tag to remove, if the run has it. May be repeated.",
)
def tag(context: CommandContext, run_id: str, add: tuple[str, ...], remove: tuple[str, ...]) -> int:
    """Add tags to a run, or remove tags from it. The run can have any status."""
    from graphengine.api.runner import Runner
    from graphengine.cli.documents import Tagged

    if not add and not remove:
        raise click.UsageError("give --add NAME, --remove NAME, or both")
    context.use(writes=True)
    info = context.find(run_id)
    tags = context.run(Runner(context.store).tag(info.id, add=add, remove=remove))
    if context.json:
        context.document(Tagged(run_id=info.id, tags=tags))
    else:
        context.out.line("run ", (info.id, "bold"), f" has {', '.join(tags) or 'no tags'}")
    return 0
