"""A run as a story tells it, and the parts that the story of one run and of two have: each is HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from graphengine.kernel.extension import END, FAIL, add_usage, clipped
from graphengine.kernel.inside import OTHERWISE, InForce, load_specs, reasons_of, why_of
from graphengine.kernel.reader import Answered, Message, Recorded, losses_of, outcome_of, status_of, waits_of
from graphengine.records.account import account_of_step, safe_line
from graphengine.records.now import load_now
from graphengine.records.offline import are_offline
from graphengine.records.runs_below import CountsBelow, failed_words, runs_below
from graphengine.records.spending import load_spent_below, own_usage, spending, sum_by
from graphengine.records.words import cost, counted, loss_words, seconds, when
from graphengine.records.work_records import CallRecord, TurnRecord, work_record
from graphengine.render.amounts import priced
from graphengine.render.charts.timeline import timeline
from graphengine.render.drawing import draw_graph
from graphengine.render.files import RenderError
from graphengine.render.parts import Line
from graphengine.render.story.prose import as_html, as_words, heading, in_brief, path_words, place
from graphengine.render.svg import svg_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from graphengine.kernel.reader import EdgeSpec, GraphSpec, Snapshot, Step, Usage
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.records.account import Account
    from graphengine.render.parts import Arrow, Box

_LINE: Final = 130
_FIRST, _LAST = 16, 10
"""How many lines of how it came to this are shown, from the beginning and from the end."""
_HOW: Final[Mapping[str, str]] = {"retry": "tried again", "fallback": "fell back"}
"""What became of a failure, by the tone of its step."""
_BOXES: Final = 16
"""Up to so many nodes nothing is folded in a picture."""
_COLUMN, _TALL = 534.0, 390.0
"""The room of a picture, in points."""
_NUMBER: Final = re.compile(r"^\d+\.( |$)")
"""Of a rule, at the beginning of its words."""
_READABLE: Final = 0.64
"""A picture that is drawn smaller has text of less than 9 pixels."""
_AXIS: Final = 400.0
_AWAITED: Final[Mapping[str, str]] = {
    "ask": "for an answer",
    "receive": "for a message",
    "sleep": "for a time",
    "pause": "for leave to go on",
    "unknown": "for word of how an effect ended",
    "tool": "for the result of a tool",
}
_CHAT: Final = "ge:chat:"
_WHOLE_TITLE: Final = 190
"""A longer one is the beginning of a text, of at most 200 characters."""


@dataclass(frozen=True, slots=True)
class Told:
    """All that is needed to tell the story of a run.

    Attributes:
        info: The store's facts about it.
        snapshot: Its last snapshot, with the answers in its inbox.
        steps: Its steps, with those that it shares with its parents.
        specs: The specs of its graph, by fingerprint.
        whys: All reasons why a step took its edge, as sentences, by the seq of the step.
        held: The reason of the edge that was taken alone, by the seq of the step.
        own: What its own steps used.
        below: What its child runs cost, and how many of the runs below it failed, in words; "" without child runs.
        failed: The failed runs below it that have no failed run below them.
    """

    info: RunInfo
    snapshot: Snapshot
    steps: Sequence[Step]
    specs: Mapping[str, GraphSpec]
    whys: Mapping[int, Sequence[str]]
    held: Mapping[int, str]
    own: Usage
    below: str
    failed: Sequence[RunInfo]

    @property
    def title(self) -> str:
        """What it is about. The title of a run is cut within a word."""
        title = self.info.title
        if len(title) > _WHOLE_TITLE and " " in title:
            return f"{title.rpartition(' ')[0].rstrip(' ,;:')} …"
        return title or heading(self.info.id.removeprefix(_CHAT))

    @property
    def end(self) -> Step | None:
        """The step with which it ended, if it did."""
        found = (step for step in reversed(self.steps) if not step.frame and {END, FAIL} & {*outcome_of(step).to})
        return next(found, None)

    @property
    def losses(self) -> str:
        """What was lost, in words."""
        return loss_words(losses_of(self.snapshot.usage, self.snapshot.losses))


async def told_run(store: Store, run_id: str) -> Told:
    """Read a run.

    Raises:
        UnknownRun, StoreError.
    """
    info = await store.info(run_id)
    steps, snapshot = await store.steps(run_id), await load_now(store, run_id)
    specs = await load_specs(store, steps, snapshot.fingerprint)
    whys, held = _reasons_by_seq(steps, {name: _word_conditions(spec) for name, spec in specs.items()})
    below = await load_spent_below(store, run_id)
    words = ""
    if below.runs:
        words = f"{counted(below.runs, 'child run')} cost {cost({'calls': 1, 'cost_usd': below.cost_usd})} besides"
        words += f"; {failed_words(CountsBelow(below.runs, below.failed))}" if below.failed else ""
    failed = (await runs_below(store, [run_id])).failed(run_id) if below.failed else ()
    return Told(info, snapshot, steps, specs, whys, held, await own_usage(store, info, snapshot), words, failed)


def _reasons_by_seq(
    steps: Sequence[Step], specs: Mapping[str, GraphSpec]
) -> tuple[dict[int, Sequence[str]], dict[int, str]]:
    """Return why steps took their edges, and the reason of the edge that was taken alone, by their seqs."""
    whys, held, force = dict[int, Sequence[str]](), dict[int, str](), InForce(specs)
    for step in steps:
        outcome, ways = outcome_of(step), force.ways(step)
        found = [each for each in reasons_of(outcome, ways) if each.words != OTHERWISE]
        taken = [each for each in found if each.held and not each.arm]
        found = [each for each in found if each.arm or each in taken or not (taken or _fails(ways, each.way))]
        told = [f"{place(each.arm)}: {said}" if each.arm else said for each in found for said in each.plain]
        whys[step.seq] = told if outcome.tests or outcome.arms else [why_of(outcome, ways)]
        held[step.seq] = next(("; ".join(each.plain) for each in found if each.held and not each.arm), "")
    return {seq: [] if why == [OTHERWISE] else why for seq, why in whys.items()}, held


def _fails(ways: Sequence[EdgeSpec], way: int) -> bool:
    """Return whether an edge leads to failure, which a run that went on did not need."""
    return 0 <= way < len(ways) and ways[way].get("to") == FAIL


def _word_conditions(part: Any) -> Any:  # noqa: ANN401 - a spec, or a part of it
    """Return a copy of a spec with readable names in its conditions: to word reasons, not to draw or run."""
    if isinstance(part, list):
        return [_word_conditions(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {name: _word_condition(each) if name == "when" else _word_conditions(each) for name, each in part.items()}


def _word_condition(spec: Mapping[str, Any]) -> dict[str, Any]:
    made = {**spec, "parts": [_word_condition(each) for each in spec.get("parts", ())]}
    if "of" in spec:
        made["of"] = _quantity(spec["of"])
    return made


def _quantity(of: Any) -> Any:  # noqa: ANN401 - of a condition
    if isinstance(of, str):
        return path_words(of)
    return {name: _quantity(each) if name == "length" else as_words(str(each)) for name, each in of.items()}


# --- The head --------------------------------------------------------------------------------------------------------


def verdict(told: Told) -> str:
    """Return how it stands, why, and what was lost on the way."""
    status, ending = status_of(told.info), told.snapshot.ending
    label = as_html(heading(ending.label)) if ending is not None and ending.label else ""
    end = told.end
    why = as_html(told.held.get(end.seq, "")) if end is not None and ending is not None else ""
    words = f"<b>{label}</b>" + (f' <span class="soft">{why}</span>' if why else "") if label or why else ""
    lost = as_html(told.losses)
    kinds = dict.fromkeys(wait.kind for wait in waits_of(told.snapshot) if wait.answered is None)
    if status == "waiting":
        words = as_html(", ".join(_AWAITED[kind] for kind in kinds))
    words += f"{' · ' if words else ''}{lost}" if lost else ""
    return f'<p class="verdict"><span class="chip {status}">{status}</span>{words}</p>'


def figures(told: Told) -> str:
    """Return how long it took, and what its own steps cost; what a branch shares, and its children, stand beside it."""
    tokens = int(told.own.get("input_tokens", 0) + told.own.get("output_tokens", 0))
    calls, offline = told.own.get("calls", 0), told.own.get("offline_calls", 0)
    found = [("time", seconds(told.snapshot.elapsed_seconds)), ("visits", f"{told.snapshot.steps:,}")]
    if calls and offline == calls:
        found.append(("answers by rules", f"{calls:,}"))
    elif calls:
        found += [("price", cost(told.own)), ("model calls", f"{calls:,}")]
    found += [("tokens", f"{tokens:,}")] if tokens else []
    found += [("before it branched off", cost(told.snapshot.inherited))] if priced(told.snapshot.inherited) else []
    html = "".join(f"<div><dt>{as_html(name)}</dt><dd>{as_html(value)}</dd></div>" for name, value in found)
    return f'<dl class="facts">{html}</dl>' + (f'<p class="soft">{as_html(told.below)}</p>' if told.below else "")


def moment(at: float) -> str:
    """Return a time as it stands in a letter."""
    return when(at, UTC, "%d %B %Y, %H:%M %Z").lstrip("0")


# --- Pictures --------------------------------------------------------------------------------------------------------


def picture(told: Told, room: tuple[float, float] = (_COLUMN, _TALL)) -> str:
    """Return the graph with the way that was taken; "" where it cannot be drawn."""
    spec = told.specs.get(told.snapshot.fingerprint)
    if spec is None:
        return ""
    fold = 0 if len(spec.get("nodes", ())) > _BOXES else 1
    try:
        drawn = draw_graph(spec, told.steps, told.specs, detail="brief", fold=fold, status=status_of(told.info))
        boxes, arrows = map(_without_question, drawn.boxes), map(_without_number, drawn.arrows)
        drawing = replace(drawn, caption=(), legend=(), boxes=tuple(boxes), arrows=tuple(arrows))
        shown = svg_of(drawing, "auto", is_part=True, is_wide=True)
        if _scale_to_fit(shown, room) < _READABLE:
            shown = max(shown, svg_of(drawing, "auto", is_part=True), key=lambda svg: _scale_to_fit(svg, room))
    except RenderError:
        return ""
    return f"<figure>{_least(shown)}</figure>"


def _without_question(box: Box) -> Box:
    """Return a box that says only that it waits: the page has what it waits for."""
    if box.tone != "waiting":
        return box
    return replace(box, lines=(*(line for line in box.lines if line.weight == "strong"), Line("waits")))


def _without_number(arrow: Arrow) -> Arrow:
    """Return an arrow without its place among those that are tried, which says nothing of the way that was taken."""
    lines = (replace(line, text=_NUMBER.sub("", line.text)) for line in arrow.lines)
    return replace(arrow, lines=tuple(line for line in lines if line.text)) if arrow.number else arrow


def _scale_to_fit(svg: str, room: tuple[float, float]) -> float:
    across, down = _read_svg_size(svg)
    return min(1.0, room[0] / across, room[1] / down)


def _read_svg_size(svg: str) -> tuple[float, float]:
    _, _, across, down = svg.partition('viewBox="')[2].partition('"')[0].split()
    return float(across), float(down)


def _least(svg: str) -> str:
    """Return a picture that says how narrow it may be: text stays readable."""
    return svg.replace("<svg ", f'<svg style="--least: {_read_svg_size(svg)[0] * 0.86:.0f}px" ', 1)


def times(told: Told) -> str:
    """Return the timeline; "" if nothing took time."""
    if told.snapshot.elapsed_seconds < 0.01 or len(told.steps) < 3:  # noqa: PLR2004 - then it shows nothing
        return ""
    chart = timeline(told.steps, status_of(told.info), axis=_AXIS, is_part=True)
    return f"<figure>{_least(chart.element())}</figure>"


# --- How it came to this ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Row:
    """A line of the story of a run.

    Attributes:
        account: The account of the step of this line.
        what: What the step did, as HTML.
        moves: The nodes to which the visit led, as HTML.
        why: Why the visit led to these nodes.
        seqs: The seqs of the further steps that this line covers.
    """

    account: Account
    what: str
    moves: str = ""
    why: str = ""
    seqs: tuple[int, ...] = ()


def rows(told: Told, after: int = 0, limit: int = _LINE) -> list[Row]:
    """Return what is told of each call, decision, question, answer and loss; a move is told with what led to it.

    Args:
        told: The run.
        after: The last step of which nothing is told.
        limit: Characters of what is told; of what went wrong twice as many.
    """
    found: list[Row] = []
    for step in told.steps:
        if step.seq <= after:
            continue
        account = account_of_step(step, limit=2 * _LINE)
        why = _list_whole(told.whys.get(step.seq, ()))
        moves = _moves(account, why)
        if account.sent_back:  # a line of its own: the answer that it is about is in the call before
            sent_back = account_of_step(step, limit=2 * _LINE)
            sent_back.model, sent_back.usage = "", {}
            found.append(Row(sent_back, as_html(f"Rejected and sent back: {account.sent_back}")))
            account.tone = "call"
        what = as_html(clipped(_tell_step(step, account), limit * (1 + account.is_trouble)))
        last = found[-1] if found else None
        if moves and not what and last and (last.account.path, last.account.visit) == (account.path, account.visit):
            last.moves, last.why, last.seqs = moves, why, (step.seq,)
        elif what or moves:
            found.append(Row(account, what, moves, why))
    return found


def _tell_step(step: Step, account: Account) -> str:
    """Return what a step comes to; "" if it only goes on."""
    facts = step.data
    if isinstance(facts, Recorded):
        failed, name = "failed: " if account.tone == "broken" else "", account.name.removeprefix("tool ")
        return (
            account.words
            if account.child
            else f"{failed}{as_words(account.agent or name)}: {_tell_returned(facts, account)}"
        )
    if account.withdrawn:
        return "; ".join(account.lines)
    if account.error or account.kind == "attempt":
        return f"{_HOW.get(account.tone, 'failed')}: {account.error}"
    if account.ended_by == "answer":
        answer = getattr(facts, "answer", None)
        value = in_brief(answer.value) if answer is not None and isinstance(facts, Answered) else account.said
        return "; ".join([f"{account.text}: {in_brief(value)}", *account.facts])
    if isinstance(facts, Message):
        return in_brief(account.said) if account.text == "turn" else f"{account.text}: {in_brief(account.said)}"
    return ""


def _tell_returned(facts: Recorded, account: Account) -> str:
    record = work_record(facts)
    if isinstance(record, TurnRecord):
        calls = [f"{as_words(call.name)} ({in_brief(call.arguments, 80)})" for call in record.calls]
        return "; ".join(filter(None, [in_brief(record.text, _LINE), *calls])) or account.said
    if isinstance(record, CallRecord):
        return in_brief(record.text, _LINE)
    return in_brief(account.said, _LINE)


def _moves(account: Account, why: str) -> str:
    """Return where a visit led, as HTML, with why."""
    if account.kind != "node" or not account.targets:
        return ""
    to = ", ".join(each.lower() if each in (END, FAIL) else as_words(each) for each in account.targets)
    label = f"<b>{as_html(account.edge)}</b> " if account.edge else ""
    beside = f'<span class="beside">{as_html(why)}</span>' if why else ""
    return f'{label}<span class="to">→ {as_html(to)}</span>{beside}'


def _list_whole(why: Sequence[str]) -> str:
    """Return as many of these reasons as a line or two have room for, each whole; a first one that is long is cut."""
    kept = list[str]()
    for each in why:
        said = safe_line(each, _LINE)
        if kept and len("; ".join([*kept, said])) > _LINE:
            break
        kept.append(said)
    return "; ".join(kept)


def steps_table(found: Sequence[Row], *, is_brief: bool = False, parted: int | None = None) -> Iterator[str]:
    """Yield the lines as a table; of many those of the beginning and of the end, and all that went wrong between.

    Args:
        found: The lines.
        is_brief: Whether to leave tokens and prices out.
        parted: The step from which on another run went elsewhere.
    """
    between = found[_FIRST:-_LAST] if len(found) > _FIRST + _LAST else ()
    wrong = [each for each in between if each.account.is_trouble][:_LAST]
    shown = [*found[:_FIRST], *wrong, *found[max(_FIRST, len(found) - _LAST) :]]
    is_brief = is_brief or not any(each.account.usage and each.account.cost not in ("", "offline") for each in shown)
    yield (
        "<table>"
        if is_brief
        else '<table><tr><th>visit</th><th>what came of it</th><th class="r o">tokens</th><th class="r">price</th></tr>'
    )
    for each in shown:
        account = each.account
        model = (
            f'<span class="beside">{as_html(account.model.rpartition(":")[2])}</span>'
            if account.model and not is_brief
            else ""
        )
        name = as_html(place(account.path, account.visit)) or as_html(as_words(account.kind))
        what = f"{each.what} {each.moves}".strip() if each.what and each.moves else each.what or each.moves
        cells = f"<td><b>{name}</b>{model}</td><td>{what}</td>"
        if not is_brief:
            cells += f'<td class="r o soft">{_say_tokens(account.usage)}</td><td class="r">{as_html(account.cost)}</td>'
        mark = "parted" if parted in (account.seq, *each.seqs) else "wrong" if account.is_trouble else ""
        yield f"<tr{f' class={mark}' if mark else ''}>{cells}</tr>"
    yield "</table>"
    if len(between) > len(wrong):
        yield f'<p class="soft">{counted(len(between) - len(wrong), "line")} between are left out</p>'


def _say_tokens(usage: Usage) -> str:
    used = usage.get("input_tokens", 0), usage.get("output_tokens", 0)
    return f"{used[0]:,} → {used[1]:,}" if any(used) else ""


# --- What it cost ----------------------------------------------------------------------------------------------------


def by_agent(steps: Iterable[Step], shared: int) -> dict[tuple[str, str], Usage]:
    """Return what each agent used of each model in the steps after those that are shared."""
    own = [each for each in spending(steps, shared) if not each.inherited]
    return dict(sum_by(own, lambda each: (as_words(each.agent) if each.agent else place(each.node), each.model)))


def spent(steps: Sequence[Step], info: RunInfo) -> Iterator[str]:
    """Yield what each agent cost in the run's own steps."""
    found = by_agent(steps, info.parent_seq)
    if not found:
        return
    whole: Usage = {}
    for usage in found.values():
        whole = add_usage(whole, usage)
    if are_offline(whole):
        return
    total = whole.get("cost_usd")
    yield '<h2>What it cost</h2><table><tr><th>agent</th><th class="o">model</th><th class="r">calls</th>'
    yield '<th class="r">price</th><th class="r">share</th></tr>'
    for (agent, model), usage in found.items():
        part = usage.get("cost_usd")
        share = f"{100 * part / total:.0f} %" if part is not None and total else ""
        yield f'<tr><td>{as_html(agent)}</td><td class="soft o">{as_html(model)}</td>'
        yield f'<td class="r">{usage.get("calls", 0)}</td>'
        yield f'<td class="r">{as_html(cost(usage))}</td><td class="r">{share}</td></tr>'
    yield "</table>"


__all__ = [
    "Row",
    "Told",
    "by_agent",
    "figures",
    "moment",
    "picture",
    "rows",
    "spent",
    "steps_table",
    "times",
    "told_run",
    "verdict",
]
