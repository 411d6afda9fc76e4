"""What `graphengine runs --sums` shows: the runs of a search by day for a week, and their nodes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from msgspec.structs import asdict

from graphengine.cli.terminal import fitted, text_columns
from graphengine.kernel.extension import dollars
from graphengine.records.sums import load_sums
from graphengine.records.words import cost, seconds

if TYPE_CHECKING:
    from graphengine.cli.context import CommandContext
    from graphengine.records.selection import Wanted
    from graphengine.records.trends import Trend

_NAME_COLUMNS: Final = 40


def show_sums(context: CommandContext, wanted: Wanted) -> int:
    """Show what `graphengine runs --sums` prints: a table of the last seven days, and a table of the graphs' nodes."""
    from graphengine.cli.runs import show_seen

    found = context.read(lambda store: load_sums(store, wanted))
    if context.json:
        context.document(found)
        return 0
    days = [
        (
            "in all" if each is found.week else datetime.fromtimestamp(each.since, UTC).date().isoformat(),
            str(each.runs),
            str(each.statuses.get("failed", "")),
            cost_of(each),
            "" if each.p95_seconds is None else seconds(each.p95_seconds),
        )
        for each in (*found.days, found.week)
    ]
    context.out.table(text_columns(("day (UTC)", "runs", "failed", "cost", "95 %"), "failed"), days)
    graphs = {each.graph for each in found.nodes}
    nodes = [
        (
            name if context.out.columns is None else fitted(name, _NAME_COLUMNS),
            str(each.visits),
            str(each.failed or ""),
            cost(asdict(each.usage)),  # type: ignore[arg-type]  # the same names
            *("" if time is None else seconds(time) for time in (each.median_seconds, each.p95_seconds)),
        )
        for each in found.nodes[: wanted.limit]
        for name in [f"{each.graph}: {each.node}" if len(graphs) > 1 else each.node]
    ]
    if nodes:
        context.out.line("")
        headings = ("node", "visits", "failed", "cost", "median", "95 %")
        context.out.table(text_columns(headings, "median", "failed"), nodes)
    context.err.line(found.sample)
    show_seen(context, wanted, found)
    if len(found.nodes) > wanted.limit:
        context.err.line(f"the slowest {wanted.limit} of {len(found.nodes)} nodes; --limit shows more")
    return 0


def cost_of(trend: Trend) -> str:
    """Format the cost of some runs, such as `$0.12 + ?`.

    The question mark means that the price of a model is unknown.
    """
    known_cost = f"${dollars(trend.cost_usd)}" if trend.cost_usd else ""
    return " + ".join(filter(None, (known_cost, "?" if trend.unknown_costs else "")))


__all__ = ["cost_of", "show_sums"]
