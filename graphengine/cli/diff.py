"""`graphengine diff`: where two runs diverge, the paths they took from there, how they differ, and their costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from graphengine.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphengine.cli.context import CommandContext
    from graphengine.cli.terminal import Channel
    from graphengine.engine.steps import Step
    from graphengine.history.load import At
    from graphengine.records.run_diff import Difference, RunDiff, Side

_PIPE_COLUMNS: Final = 80
_ROWS: Final = 40
"""The most rows of the two paths that are shown; `--json` has them all."""
_DIFFERENCES: Final = 100
"""The most differences of the two states that are shown; `--json` has them all."""
_VALUE_COLUMNS: Final = 200
_GAP: Final = 2


@options.command(
    "diff",
    options.DATABASE,
    examples="""
        graphengine diff tides tides-2
        graphengine diff tides tides --at 2 --at 4
        graphengine diff tides tides-2 --at review:1
        graphengine diff tides tides-2 --json
    """,
)
@click.argument("first", metavar="RUN_ID", shell_complete=options.complete_runs)
@click.argument("second", metavar="RUN_ID", shell_complete=options.complete_runs)
@click.option(
    "--at",
    "at",
    type=options.At(),
    metavar="STEP",
    multiple=True,
    help="Compare the runs as of this step, e.g. 12 or review:2; given twice, the first run as of one and the second "
    "as of the other.",
)
def diff(context: CommandContext, first: str, second: str, at: tuple[At, ...]) -> int:
    """Show where two runs diverge: the last step they share, the paths from there side by side, and how they differ.

    Runs that share no step are compared from their beginnings. A run can be compared with itself, at two steps. Graphs,
    prompts, limits and the models that answered are compared as far as they are recorded: of a prompt that a function
    makes, only the name of the function is.
    """
    from graphengine.records.json_document import diff_document
    from graphengine.records.run_diff import diff as compare

    if len(at) > 2:  # noqa: PLR2004 - there are two runs
        raise click.UsageError("give --at once for both runs, or twice, once for each")
    ids = context.find(first).id, context.find(second).id
    one, other = (*at, at[0]) if len(at) == 1 else at or (None, None)
    found = context.read(lambda store: compare(store, *ids, first_at=one, second_at=other))
    if context.json:
        context.document(diff_document(found))
    else:
        _show(context.out, found)
    return 0


def _show(out: Channel, found: RunDiff) -> None:
    from graphengine.cli.terminal import fitted, wrapped

    columns = out.columns or _PIPE_COLUMNS
    for name, side in (("a", found.first), ("b", found.second)):
        status = f"{side.snapshot.status} at step {side.snapshot.seq}"
        if side.snapshot.seq < side.info.seq:
            status = f"as of step {side.snapshot.seq} of {side.info.seq}"
        out.line((name, "bold"), "  run ", (side.info.id, "bold"), f" of {side.info.graph}, {status}")
    out.line("")
    for line in _parting(found):
        out.line(fitted(line, columns))
    _show_paths(out, found, columns)
    out.line("")
    _show_differences(out, found.differences, columns)
    if found.setup:
        out.line("")
        out.line("they were run differently:")
        for line in found.setup:
            out.line(fitted(line, columns))
    out.line("")
    for name, side in (("a", found.first), ("b", found.second)):
        first, *more = wrapped(_cost(side, is_whole=found.shared is None), columns - 3)
        out.line((name, "bold"), f"  {first}")
        for line in more:
            out.line(f"   {line}")


def _parting(found: RunDiff) -> Iterator[str]:
    """Return lines that state where the runs diverge, and which update a branch began with."""
    from graphengine.cli.steps import counted, in_short

    first, second, shared = found.first, found.second, found.shared
    if shared is None:
        yield "they share no step"
    elif shared.seq == first.snapshot.seq == second.snapshot.seq:
        yield f"they are the same up to step {shared.seq}"
    else:
        yield f"they share steps 1 to {shared.seq}" + (f" of {shared.run_id}" if shared.run_id != first.info.id else "")
    for name, side in (("a", first), ("b", second)):
        for change in in_short(side.begins, _VALUE_COLUMNS) if side.begins is not None else ():
            yield f"{name} branched off with {change}"
    if first.parts_at is None and second.parts_at is None:
        if first.path or second.path:
            yield "and took the same path"
        return
    where = [f"{name} at step {side.parts_at}" for name, side in (("a", first), ("b", second)) if side.parts_at]
    alike = f"they took the same path for {counted(found.alike, 'step')}, then" if found.alike else "they"
    ended = [name for name, side in (("a", first), ("b", second)) if side.parts_at is None]
    yield f"{alike} diverge: {', '.join(where)}" + (f"; {ended[0]} ends there" if ended else "")


def _show_paths(out: Channel, found: RunDiff, columns: int) -> None:
    """Show the two paths side by side, with `|` between steps that differ."""
    from graphengine.cli.terminal import fitted

    room = (columns - 2 * _GAP - 1) // 2
    paths = found.first.path, found.second.path
    count = max(map(len, paths))
    if not count:
        return
    out.line("")
    start = max(0, found.alike - _ROWS // 4)
    if start:
        out.line((f"({start} equal steps are left out)", "dim"))
    for row in range(start, min(count, start + _ROWS)):
        cells = [fitted(_step_line(path[row]), room) if row < len(path) else "" for path in paths]
        sign = " " if row < found.alike else "|"
        left = cells[0] + " " * (room - _width(cells[0]))
        out.line((f"{left}  {sign}  {cells[1]}".rstrip(), "dim" if row < found.alike else ""))
    if count > start + _ROWS:
        out.line((f"({count - start - _ROWS} more; --json has them all)", "dim"))


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _step_line(step: Step) -> str:
    """Return a step on one short line."""
    from graphengine.cli.steps import kind_in_words
    from graphengine.engine.steps import outcome_of

    outcome = outcome_of(step)
    targets = ", ".join(outcome.to)
    edge = f" [{outcome.edge}]" if outcome.edge else ""
    visit = f" {step.visit}" if step.visit > 1 else ""
    return f"{step.seq} {step.path}{visit}{kind_in_words(step)}".rstrip() + (f" -> {targets}{edge}" if targets else "")


def _show_differences(out: Channel, found: Sequence[Difference], columns: int) -> None:
    """Show each field that differs on one line if it fits, otherwise the two values below each other."""
    from graphengine.cli.steps import compact
    from graphengine.cli.terminal import fitted, one_line

    if not found:
        out.line("their states are the same")
        return
    out.line(f"their states differ in {len(found):,} place{'s' if len(found) > 1 else ''}:")
    for difference in found[:_DIFFERENCES]:
        before, after = (one_line(compact(value), _VALUE_COLUMNS) for value in (difference.before, difference.after))
        line = f"{difference.path}: {before} -> {after}"
        if _width(line) <= columns:
            out.line((difference.path, "bold"), line[len(difference.path) :])
            continue
        out.line((difference.path, "bold"), ":")
        for name, value in (("a", before), ("b", after)):
            out.line(f"  {name} ", fitted(value, columns - 4))
    if len(found) > _DIFFERENCES:
        out.line((f"({len(found) - _DIFFERENCES:,} more; --json has them all)", "dim"))


def _cost(side: Side, *, is_whole: bool) -> str:
    from graphengine.cli.steps import counted, usage_line
    from graphengine.cli.terminal import seconds

    since = "" if is_whole else " since they diverged"
    took = f"{counted(side.steps, 'visit')} in {seconds(side.seconds)}{since}"
    return f"{took}, {usage_line(side.spent)}"
