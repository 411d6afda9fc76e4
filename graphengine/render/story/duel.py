"""The story of two runs: what was changed, where their ways part and why, what that saved, and what came of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.kernel.extension import add_usage, clipped
from graphengine.kernel.inside import InForce, compared
from graphengine.kernel.reader import outcome_of, show, status_of
from graphengine.records.offline import are_offline
from graphengine.records.run_diff import diff
from graphengine.records.words import cost, counted, seconds
from graphengine.render.story.parts import by_agent, moment, picture, rows, steps_table
from graphengine.render.story.prose import as_html, as_words, duel, heading, path_words, place
from graphengine.render.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import Usage
    from graphengine.kernel.store import Store
    from graphengine.records.run_diff import RunDiff
    from graphengine.render.story.parts import Row, Told

_LETTERS: Final = ("A", "B")
_DIFFERENCES: Final = 16
_WORDS: Final = 90
"""Characters of a line of a way."""
_HALF: Final = (255.0, 320.0)


async def duel_of(store: Store, one: Told, other: Told) -> list[str]:
    """Return the parts of the story of two runs, as HTML.

    Raises:
        UnknownRun, StoreError.
    """
    return [*_duel_sections(await diff(store, one.info.id, other.info.id), (one, other))]


def _duel_sections(found: RunDiff, runs: tuple[Told, Told]) -> Iterator[str]:
    sides = (found.first, found.second)
    graph = f"<b>{as_html(heading(runs[0].info.graph))}</b>"
    yield f'<p class="kicker">Two runs of {graph} · {moment(runs[1].info.created_at)}</p>'
    yield f"<h1>{as_html(runs[0].title)}</h1>"
    yield _summary(found, runs)
    yield from _tell_costs(found, runs)
    yield from _tell_branch_changes(found)
    yield "<h2>Where they part</h2>"
    yield f"<p>{_apart(found, runs[0])}</p>"
    shared = found.shared.seq if found.shared is not None else 0
    yield '<div class="two">'
    for at, (told, side) in enumerate(zip(runs, sides, strict=True)):
        way = [row for row in rows(told, shared, _WORDS) if row.moves or row.account.is_trouble]
        table = "".join(steps_table(way, is_brief=True, parted=side.parts_at))
        head = f"<p>{_letter(at)} <code>{as_html(told.info.id)}</code></p>"
        yield f"<section>{head}{picture(told, _HALF)}{table}</section>"
    yield "</div>"
    yield from _apart_at_last(found, runs)
    yield from _prices(found, runs, shared)
    if found.setup:
        lines = "".join(f"<li>{as_html(clipped(each, 300))}</li>" for each in found.setup[:_DIFFERENCES])
        yield f"<h2>Set up differently</h2><ul>{lines}</ul>"


def _letter(at: int) -> str:
    return f'<b class="{"ab"[at]}">{_LETTERS[at]}</b>'


# --- In short --------------------------------------------------------------------------------------------------------


def _summary(found: RunDiff, runs: tuple[Told, Told]) -> str:
    """Return in a few sentences what was changed, why each ended where it did, and what that saved, as HTML."""
    one, other = found.first, found.second
    parts = [
        *_less("cost", one.spent.get("cost_usd"), other.spent.get("cost_usd"), " USD"),
        *_less("took", one.seconds, other.seconds, " s"),
    ]
    steps = other.steps - one.steps
    parts += [(f"made {counted(abs(steps), 'visit')} {'fewer' if steps < 0 else 'more'}", steps < 0)] if steps else []
    apart, parted = ", ".join(words for words, _ in parts), _tell_parting(found, runs)
    since = "since they part" if found.shared is not None else "in all"
    scored = _tell_scores(runs)
    told = {
        "Changed": " ".join(_tell_beginning(found, runs)),
        "Parted": parted,
        "Ended": "".join(f"<div>{letters} {words}.</div>" for letters, words in _endings(parted, found, runs)),
        "Saved" if parts and runs[1].end and all(is_less for _, is_less in parts) else "Took": (
            f"{_letter(1)} <b>{as_html(apart)}</b> than {_letter(0)} {since}.{scored}" if parts else scored
        ),
    }
    return f'<dl class="short">{"".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in told.items() if text)}</dl>'


def _tell_beginning(found: RunDiff, runs: tuple[Told, Told]) -> Iterator[str]:
    """Yield how one came of the other."""
    if found.shared is None:
        yield "They share nothing."
        return
    for at, (side, run) in enumerate(zip((found.first, found.second), runs, strict=True)):
        if side.begins is None:
            continue
        last = next((step for step in reversed(run.steps[: found.shared.seq]) if step.path), None)
        after = f" after <b>{as_html(place(last.path, last.visit))}</b>" if last is not None else ""
        fields = dict.fromkeys(as_words(each.path.partition(".")[0].partition("[")[0]) for each in side.changed)
        what = f"with another <b>{as_html(', '.join(fields))}</b>" if fields else "with nothing of its state changed"
        yield f"{_letter(at)} branched off {_letter(1 - at)}{after}, {what}."
    if found.setup:
        more = f", and {len(found.setup) - 1} more" if len(found.setup) > 1 else ""
        yield f"They are set up differently: {as_html(clipped(found.setup[0], 100))}{more}."


def _tell_parting(found: RunDiff, runs: tuple[Told, Told]) -> str:
    """Return at which visit they took different ways, and why each did."""
    said_of: list[str] = []
    for at, (side, told) in enumerate(zip((found.first, found.second), runs, strict=True)):
        row = next((row for row in rows(told) if row.account.seq == side.parts_at or side.parts_at in row.seqs), None)
        if row is None or not (row.moves or row.account.is_trouble):
            return ""
        if not said_of:
            said_of.append(f"at <b>{as_html(place(row.account.path, row.account.visit))}</b>:")
        said_of.append(f"<div>{_letter(at)} {_went_on(told, row, side.parts_at)}</div>")
    return "".join(said_of)


def _endings(parted: str, found: RunDiff, runs: tuple[Told, Told]) -> Iterator[tuple[str, str]]:
    """Yield how each ended, unless that is told where they part; once if both ended alike."""
    sides = zip(runs, (found.first, found.second), strict=True)
    words = {
        at: _tell_end(run) for at, (run, side) in enumerate(sides) if not parted or not _ends_at(run, side.parts_at)
    }
    if len(words) > 1 and len({*words.values()}) == 1:
        yield f"{_letter(0)} {_letter(1)} both", words[0]
        return
    yield from ((_letter(at), each) for at, each in words.items())


def _ends_at(told: Told, seq: int | None) -> bool:
    return told.end is not None and told.end.seq == seq


def _went_on(told: Told, row: Row, seq: int | None) -> str:
    """Return where a run went from a visit, and why, as HTML."""
    account, why = row.account, ""
    if _ends_at(told, seq) and told.end is not None:
        label = f", <b>{as_html(account.edge)}</b>" if account.edge else ""
        words, why = f"ended{label}", told.held.get(told.end.seq, "")
    elif not row.moves:
        words = "failed"
    else:
        to = ", ".join(f"<b>{as_html(as_words(each))}</b>" for each in account.targets)
        words, why = (
            f"went on to {to}" + (f", {as_html(account.edge)}" if account.edge else ""),
            row.why,
        )
    return words + (f'<span class="beside">{as_html(why)}</span>' if why else "")


def _tell_end(told: Told) -> str:
    """Return where a run ended, and why."""
    end, ending, failure = told.end, told.snapshot.ending, told.snapshot.failure
    if failure is not None:
        return f"failed at {as_html(place(failure.path))}: {as_html(clipped(one_line(show(failure.message)), _WORDS))}"
    if end is None:
        return {"waiting": "waits", "running": "goes on"}.get(status := status_of(told.info), f"is {status}")
    label = f": <b>{as_html(ending.label)}</b>" if ending is not None and ending.label else ""
    why = f" ({as_html(told.held[end.seq])})" if told.held.get(end.seq) else ""
    return f"ended after {as_html(place(end.path, end.visit))}{label}{why}"


def _tell_scores(runs: tuple[Told, Told]) -> str:
    """Return which numbers that decided were others in the end, so that nothing is called saved that cost quality."""
    one, other = (_last_numbers(told) for told in runs)
    apart = [path for path in one if path in other and one[path] != other[path]]
    words = [f"{as_html(path_words(path))} is <b>{other[path]}</b>, in {_letter(0)} {one[path]}" for path in apart]
    return f" Its {'; its '.join(words)}." if words else ""


def _last_numbers(told: Told) -> dict[str, int | float]:
    """Return the numbers that conditions compared in the last step in which they compared any, by their paths."""
    force, found = InForce(told.specs), dict[str, int | float]()
    for step in told.steps:
        found = dict(compared(outcome_of(step), force.ways(step))) or found
    return found


_UNPRICED: Final = ("", cost({"calls": 1, "offline_calls": 1}))


def _less(name: str, one: float | None, other: float | None, unit: str) -> Iterator[tuple[str, bool]]:
    """Yield how much less or more the second is, and whether it is less."""
    if one is None or other is None or not one or abs(one - other) < (0.0001 if unit == " USD" else 0.05):
        return  # nothing to tell
    amount = f"{abs(one - other):.4f}" if unit == " USD" else f"{abs(one - other):.1f}"
    words = f"{name} {amount}{unit} {'less' if other < one else 'more'} ({100 * abs(one - other) / one:.0f} %)"
    yield words, other < one


def _tell_costs(found: RunDiff, runs: tuple[Told, Told]) -> Iterator[str]:
    """Yield what each took."""
    one, other = found.first, found.second
    since = " since they part" if found.shared is not None else ""

    def row(name: str, words: Sequence[str], *numbers: float | None) -> str:
        cells = "".join(f'<td class="r">{as_html(each or "nothing")}</td>' for each in words)
        saves = numbers and runs[1].snapshot.failure is None  # what failed saved nothing
        by = _format_percent_change(*numbers) if saves else ""
        return f'<tr><td>{name}</td>{cells}<td class="r">{by}</td></tr>'

    yield f'<h2>What each took</h2><table><tr><th></th><th class="r">{_letter(0)}</th><th class="r">{_letter(1)}</th>'
    yield '<th class="r">B beside A</th></tr>'
    prices = [side.spent.get("cost_usd") for side in (one, other)]
    is_priced = any(cost(_usage_of_told(told)) not in _UNPRICED for told in runs)
    yield row(f"Price{since}", [cost(side.spent) for side in (one, other)], *prices) if is_priced else ""
    yield row(f"Time{since}", [seconds(side.seconds) for side in (one, other)], one.seconds, other.seconds)
    yield row(f"Visits{since}", [f"{side.steps:,}" for side in (one, other)], one.steps, other.steps)
    calls = [side.spent.get("calls", 0) for side in (one, other)]
    by_rules = calls == [side.spent.get("offline_calls", 0) for side in (one, other)]
    yield row(f"{'Answers by rules' if by_rules else 'Model calls'}{since}", [f"{each:,}" for each in calls], *calls)
    if found.shared is not None and is_priced:
        yield row(
            "Price of the whole run",
            [cost(_usage_of_told(told)) for told in runs],
            *(_usage_of_told(told).get("cost_usd") for told in runs),
        )
    lost = [told.losses or "nothing" for told in runs]
    yield row("Lost on the way", lost) if any(told.losses for told in runs) else ""
    yield "</table>"


def _usage_of_told(told: Told) -> Usage:
    return add_usage(told.snapshot.inherited, told.own)


def _format_percent_change(one: float | None, other: float | None) -> str:
    if not one or other is None or one == other:
        return ""
    sign, kind = ("\N{MINUS SIGN}", "better") if other < one else ("+", "worse")
    return f'<span class="{kind}">{sign}{abs(round(100 * (other - one) / one))} %</span>'


# --- What was changed, and what came of it ---------------------------------------------------------------------------


def _tell_branch_changes(found: RunDiff) -> Iterator[str]:
    """Yield what a branch began with, beside what it was."""
    for at, side in enumerate((found.first, found.second)):
        if side.changed:
            yield f"<h2>What was changed in {_LETTERS[at]}</h2>"
            yield f'<p class="key"><del>as it was in {_LETTERS[1 - at]}</del> <ins>as {_LETTERS[at]} began</ins></p>'
            pairs = [(path_words(each.path), each.before, each.after) for each in side.changed[:_DIFFERENCES]]
            yield from _tell_differing_fields(pairs)


def _tell_differing_fields(pairs: Sequence[tuple[str, JsonValue, JsonValue]]) -> Iterator[str]:
    """Yield what differs, field by field; what differs as another field does is told once."""
    told: dict[str, list[str]] = {}
    shown: dict[str, str] = {}
    for name, before, after in pairs:
        key = repr((before, after))
        told.setdefault(key, []).append(name)
        shown.setdefault(key, "" if key in shown else duel(before, after))
    for key, names in told.items():
        yield f'<section class="change"><h3>{as_html(heading(" and ".join(names)))}</h3>{shown[key]}</section>'


def _apart(found: RunDiff, told: Told) -> str:
    if found.shared is None:
        return "They share nothing."
    seq = found.shared.seq
    alike = f"{counted(found.alike, 'decision')} after that {'is' if found.alike == 1 else 'are'} alike."
    visits = sum(step.kind == "node" for step in told.steps if step.seq <= seq)
    shared = f"They share their first {f'{visits:,} visits' if visits > 1 else 'visit' if visits else 'state'}."
    return f"{shared} {alike if found.alike else 'Nothing after that is alike.'}"


def _apart_at_last(found: RunDiff, runs: tuple[Told, Told]) -> Iterator[str]:
    """Yield what is different in the end, field by field, but for what was changed, which is told above."""
    changed = [(each.path, each.before, each.after) for each in found.second.changed]
    changed += [(each.path, each.after, each.before) for each in found.first.changed]
    one, other = (told.snapshot.root.values for told in runs)
    names = [*one, *(name for name in other if name not in one)]
    apart = [name for name in names if one.get(name) != other.get(name)]
    kept = [name for name in apart if (name, one.get(name), other.get(name)) in changed]
    apart = [name for name in apart if name not in kept]
    yield "<h2>What came of it</h2>"
    if not apart:
        but = " but for what was changed" if kept else ""
        yield f"<p>Both ended with the same state{but}.</p>"
        return
    yield '<p class="key"><del>only in A</del> <ins>only in B</ins></p>'
    first = sorted(apart, key=lambda name: not isinstance(one.get(name), str))[:_DIFFERENCES]
    yield from _tell_differing_fields([(as_words(name), one.get(name), other.get(name)) for name in first])
    if len(apart) > _DIFFERENCES:
        yield f'<p class="soft">and {len(apart) - _DIFFERENCES} more</p>'


def _prices(found: RunDiff, runs: tuple[Told, Told], shared: int) -> Iterator[str]:
    """Yield what each agent cost since they part."""
    spent = [by_agent(told.steps, max(shared, told.info.parent_seq)) for told in runs]
    names = dict.fromkeys([*spent[0], *spent[1]])
    if not names or all(are_offline(usage) for each in spent for usage in each.values()):
        return
    yield f"<h2>What it cost{' since they part' if found.shared else ''}</h2>"
    yield '<table><tr><th>agent</th><th class="o">model</th>'
    yield f'<th class="r">{_letter(0)}</th><th class="r">{_letter(1)}</th></tr>'
    for agent, model in names:
        used = [each.get((agent, model), {}) for each in spent]
        words = [f"{counted(usage.get('calls', 0), 'call')}, {cost(usage)}" if usage else "nothing" for usage in used]
        cells = "".join(f'<td class="r">{as_html(each)}</td>' for each in words)
        yield f'<tr><td>{as_html(agent)}</td><td class="soft o">{as_html(model)}</td>{cells}</tr>'
    yield "</table>"


__all__ = ["duel_of"]
