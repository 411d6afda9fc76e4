"""`graphengine diff`: where two runs diverge, the paths they took from there, how they differ, and their costs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

from graphengine.cli import options
from graphengine.cli.terminal import fitted, wrapped
from graphengine.records.words import compact, counted, seconds, used

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphengine.cli.context import CommandContext
    from graphengine.cli.terminal import Channel, Part
    from graphengine.kernel.reader import At, Step
    from graphengine.records.run_diff import Difference, RunDiff, Side

_PIPE_COLUMNS: Final = 80
_ROWS: Final = 40
"""The maximum number of rows of the two paths that are shown. `--json` contains all rows."""
_DIFFERENCES: Final = 100
"""The maximum number of differences of the two states that are shown. `--json` contains all differences."""
_VALUE_COLUMNS: Final = 200
_GAP: Final = 2
_AROUND: Final = 5
"""The maximum number of words that are shown on each side of a difference between two texts."""
_SHOWN_WORDS: Final = 60
"""The maximum number of words of one difference between two texts. `--json` contains all words."""


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
    help="Compare the runs as of this step, e.g. 12 or review:2. If the option is given twice, the first step "
    "applies to the first run and the second step to the second run.",
)
def diff(context: CommandContext, first: str, second: str, at: tuple[At, ...]) -> int:
    """Show where two runs diverge: the last step they share, the paths from there side by side, and how they differ.

    Runs that share no step are compared from their beginnings. You can also compare a run with itself, at two of its
    steps.

    Besides the steps, the command compares the graphs, prompts and limits of the two runs, and the models that
    answered, as far as these are recorded. If a function makes a prompt, only the name of the function is recorded.
    """
    from graphengine.records.json_document import diff_document
    from graphengine.records.run_diff import diff as compare

    if len(at) > 2:  # noqa: PLR2004 - there are two runs
        raise click.UsageError("--at is given more than twice: give it once for both runs, or once for each run")
    ids = context.find(first).id, context.find(second).id
    one, other = (*at, at[0]) if len(at) == 1 else at or (None, None)
    found = context.read(lambda store: compare(store, *ids, first_at=one, second_at=other))
    if context.json:
        context.document(diff_document(found))
    else:
        _show_diff(context.out, found)
    return 0


def _show_diff(out: Channel, found: RunDiff) -> None:
    columns, sides = out.columns or _PIPE_COLUMNS, (("a", found.first), ("b", found.second))
    for name, side in sides:
        status = f"{side.snapshot.status} at step {side.snapshot.seq}"
        if side.snapshot.seq < side.info.seq:
            status = f"as of step {side.snapshot.seq} of {side.info.seq}"
        out.line((name, "bold"), "  run ", (side.info.id, "bold"), f" of {side.info.graph}, {status}")
    out.line("")
    out.line(fitted(_describe_shared_steps(found), columns))
    for name, side in sides:
        _show_changed(out, name, side, columns)
    for line in _iter_parting_lines(found):
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
    since = "" if found.shared is None else " since they diverged"
    for name, side in sides:
        cost = f"{counted(side.steps, 'visit')} in {seconds(side.seconds)}{since}, {used(side.spent)}"
        first, *more = wrapped(cost, columns - 3)
        out.line((name, "bold"), f"  {first}")
        for line in more:
            out.line(f"   {line}")


def _describe_shared_steps(found: RunDiff) -> str:
    first, second, shared = found.first, found.second, found.shared
    if shared is None:
        return "they share no step"
    if shared.seq == first.snapshot.seq == second.snapshot.seq:
        return f"they are the same up to step {shared.seq}"
    return f"they share steps 1 to {shared.seq}" + (f" of {shared.run_id}" if shared.run_id != first.info.id else "")


def _show_changed(out: Channel, name: str, side: Side, columns: int) -> None:
    """Show the values of the state that were changed when this run was branched, and the values before the change."""
    from graphengine.records.account import changes_in

    if not side.changed:
        for change in changes_in(side.begins, _VALUE_COLUMNS) if side.begins is not None else ():
            out.line(fitted(f"{name} branched off with {change}", columns))
    for each in side.changed[:_DIFFERENCES]:
        after, before = compact(each.after, columns), compact(each.before, columns)
        line = f"{name} branched off with {each.path} = {after} (was {before})"
        if after != before and _measure_cells(line) <= columns:
            out.line(line)
            continue
        out.line(f"{name} branched off with a change of")
        _show_difference(out, each, columns, ("before", "after"))


def _iter_parting_lines(found: RunDiff) -> Iterator[str]:
    first, second = found.first, found.second
    if first.parts_at is None and second.parts_at is None:
        if first.path or second.path:
            yield "and took the same path"
        return
    where = [f"{name} at step {side.parts_at}" for name, side in (("a", first), ("b", second)) if side.parts_at]
    alike = f"they took the same path for {counted(found.alike, 'step')}, then" if found.alike else "they"
    ended = [name for name, side in (("a", first), ("b", second)) if side.parts_at is None]
    yield f"{alike} diverge: {', '.join(where)}" + (f"; {ended[0]} ends there" if ended else "")


def _show_paths(out: Channel, found: RunDiff, columns: int) -> None:
    """Show the steps of the two runs side by side, one step of each run per row.

    A `|` marks each row from the first different step on.
    """
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
        left = cells[0] + " " * (room - _measure_cells(cells[0]))
        out.line((f"{left}  {sign}  {cells[1]}".rstrip(), "dim" if row < found.alike else ""))
    if count > start + _ROWS:
        out.line((f"({count - start - _ROWS} more; --json has them all)", "dim"))


def _measure_cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _step_line(step: Step) -> str:
    from graphengine.records.account import account_of_step

    account = account_of_step(step)
    targets = ", ".join(account.targets)
    edge = f" [{account.edge}]" if account.edge else ""
    visit = f" {account.visit}" if account.visit > 1 else ""
    place = f"{account.seq} {account.path}{visit} {account.event}".rstrip()
    return place + (f" -> {targets}{edge}" if targets else "")


def _show_differences(out: Channel, found: Sequence[Difference], columns: int) -> None:
    """Show how the final states of the two runs differ, field by field."""
    if not found:
        out.line("their states are the same")
        return
    out.line(f"their states differ in {len(found):,} place{'s' if len(found) > 1 else ''}:")
    for difference in found[:_DIFFERENCES]:
        _show_difference(out, difference, columns, ("a", "b"))
    if len(found) > _DIFFERENCES:
        out.line((f"({len(found) - _DIFFERENCES:,} more; --json has them all)", "dim"))


def _show_difference(out: Channel, difference: Difference, columns: int, names: tuple[str, str]) -> None:
    """Show two values of one field.

    The values are on one line if they fit. Two long texts are merged into one text in which the different words are
    marked. Other long values are shown below each other.
    """
    values = difference.before, difference.after
    before, after = (compact(value, _VALUE_COLUMNS) for value in values)
    line = f"{difference.path}: {before} -> {after}"
    if before != after and _measure_cells(line) <= columns:
        out.line((difference.path, "bold"), line[len(difference.path) :])
        return
    one, other = values
    if isinstance(one, str) and isinstance(other, str) and (before == after or (one and other)):
        out.prose((difference.path, "bold"), ": ", *word_parts(one, other))
        return
    out.line((difference.path, "bold"), ":")
    room = max(map(len, names)) + 2
    for name, value in zip(names, (before, after), strict=True):
        out.line(f"  {name:<{room - 1}}", fitted(value, columns - room - 1))


def word_parts(before: str, after: str) -> list[Part]:
    """Merge two texts into one text that marks the differences with brackets, as `git diff --word-diff` does.

    Words that only the first text contains are shown as `[-words-]`, and words that only the second text contains as
    `{+words+}`, with some equal words around them. If the text was rewritten, the new text comes first, followed by the
    old text. Texts that differ only in blanks and line breaks are shown as JSON strings, from a little before the first
    difference.
    """
    import json

    from graphengine.records.word_diff import word_diff

    found = word_diff(before, after)
    if found.likeness == 1:
        shorter = min(len(before), len(after))
        differs = next((at for at in range(shorter) if before[at] != after[at]), shorter)
        start = max(0, differs - _VALUE_COLUMNS // 4)
        new, old = (json.dumps(text[start : start + _VALUE_COLUMNS], ensure_ascii=False) for text in (after, before))
        return ["only blanks and line breaks differ: ", (f"{{+{new}+}} ", "green"), (f"[-{old}-] ", "red")]
    if found.is_rewritten:
        new = _shorten_words([word for run in found.runs for word in run.after])
        old = _shorten_words([word for run in found.runs for word in run.before])
        return [(f"{{+{new}+}} ", "green"), (f"[-{old}-] ", "red")]
    parts: list[Part] = []
    for number, run in enumerate(found.runs):
        if run.is_equal:
            head = run.after[:_AROUND] if number else []
            tail = run.after[-_AROUND:] if number < len(found.runs) - 1 else []
            short = run.after if len(run.after) <= len(head) + len(tail) + 1 else [*head, " … ", *tail]
            parts.append((f"{' '.join(''.join(short).split())} ", "dim"))
            continue
        if any(run.before):
            parts.append((f"[-{_shorten_words(run.before)}-] ", "red"))
        if any(run.after):
            parts.append((f"{{+{_shorten_words(run.after)}+}} ", "green"))
    return parts


def _shorten_words(words: Sequence[str]) -> str:
    """Join the first words of a text to one line. An indentation before the first word is kept."""
    shown = re.sub(r"(?<=\S)\s+", " ", "".join(words[:_SHOWN_WORDS]).strip("\r\n")).rstrip()
    return shown if len(words) <= _SHOWN_WORDS else f"{shown} … ({len(words)} words)"
