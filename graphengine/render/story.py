"""The story of a run, or of two, as one file to send: how it came to its result, what that cost, and what was lost.

It needs no server, loads nothing, has no script, which its own policy forbids, and prints on two pages. Fields that are
declared secret are left out, and what looks like a secret is struck from texts. A cost that is unknown is said to be.
"""

from __future__ import annotations

from datetime import UTC
from html import escape
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace
from pydantic_core import to_json

from graphengine.kernel import (
    InForce,
    add_usage,
    clipped,
    load_snapshot,
    load_specs,
    loss_words,
    losses_of,
    status_of,
)
from graphengine.models.hiding import hidden
from graphengine.records.account import account_of_step
from graphengine.records.run_diff import diff
from graphengine.records.spending import own_usage, spending, spent_below, summed
from graphengine.records.step_queries import ops_of
from graphengine.records.words import cost, counted, seconds, when
from graphengine.render.amounts import paid, priced
from graphengine.render.looks import FOUND, INK, PAPER, SOFT_INK, by_night
from graphengine.render.text import clean, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graphengine.kernel import JsonValue, RunInfo, Snapshot, Step, Store, Usage
    from graphengine.records.account import Account
    from graphengine.records.run_diff import Side

_SECRET: Final = "$secret"  # noqa: S105 - the mark of a record
_CHARACTERS: Final = 2400
"""How much of a text is shown."""
_LINE: Final = 150
_FIRST, _LAST = 30, 15
"""How many lines of how it came to this are shown, from the beginning and from the end."""
_DIFFERENCES: Final = 16
_HOW: Final[Mapping[str, str]] = {"retry": "tried again", "fallback": "fell back"}
"""What became of a failure, by the tone of its step."""
_NAMES: Final = {"paper": PAPER, "ink": INK, "soft": SOFT_INK, "found": FOUND}
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{colours}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 14px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }}
main {{ max-width: 800px; margin: 0 auto; padding: 32px 20px; }}
h1 {{ font-size: 24px; line-height: 1.25; margin: 0 0 6px; }}
h2 {{ font-size: 15px; margin: 22px 0 6px; }}
p, dl, dd, pre {{ margin: 0; }}
.soft, dt, th, footer {{ color: var(--soft); }}
.facts b {{ margin-right: 4px; }}
.facts span {{ margin-right: 16px; white-space: nowrap; }}
.text {{ white-space: pre-wrap; }}
.card {{ border: 1px solid color-mix(in srgb, var(--ink) 20%, var(--paper)); border-radius: 6px; padding: 10px 14px; }}
dl {{ display: grid; grid-template-columns: minmax(5rem, 9rem) minmax(0, 1fr); gap: 2px 12px; }}
table {{ width: 100%; border-collapse: collapse; }}
td:first-child {{ min-width: 5rem; }}
th {{ font-weight: 400; font-size: 12px; text-align: left; }}
th, td {{ padding: 4px 8px 4px 0; vertical-align: top;
  border-bottom: 1px solid color-mix(in srgb, var(--ink) 14%, var(--paper)); }}
.r {{ text-align: right; white-space: nowrap; padding-right: 0; padding-left: 8px; }}
.wrong td {{ border-left: 3px solid var(--found); padding-left: 8px;
  background: color-mix(in srgb, var(--found) 10%, var(--paper)); }}
.two {{ display: grid; grid-template-columns: 1fr 1fr; gap: 8px 20px; }}
footer {{ margin-top: 22px; padding-top: 8px; border-top: 1px solid; font-size: 12px; }}
@media (max-width: 600px) {{ .two {{ grid-template-columns: 1fr; }} .o {{ display: none; }} }}
@page {{ size: A4; margin: 14mm 15mm; }}
@media print {{
  :root {{ color-scheme: light; }}
  body {{ font-size: 9pt; line-height: 1.38; print-color-adjust: exact; }}
  main {{ max-width: none; padding: 0; }}
  h1 {{ font-size: 15pt; }}
  h2 {{ break-after: avoid; margin-top: 10pt; }}
  tr {{ break-inside: avoid; }}
}}
</style>
</head>
<body>
<main>
{body}
<footer>Written by <code>{command}</code> from the record, {now}; nothing is loaded, no server is needed. Prompts are
left out; fields that are declared secret are never written.</footer>
</main>
</body>
</html>
"""


async def story_of(store: Store, run_id: str, other: str | None, now: float) -> str:
    """Return the story of a run, or of two as a comparison.

    Args:
        store: The store that has them.
        run_id: The run.
        other: The other one; None for none.
        now: When it is written, epoch seconds.

    Raises:
        UnknownRun, StoreError.
    """
    info = await store.info(run_id)
    body = [*(await _run(store, info))] if other is None else [*(await _pair(store, run_id, other))]
    words = " ".join(filter(None, (run_id, other)))
    colours = "\n".join(
        [":root {", *(f"  --{name}: {colour};" for name, colour in _NAMES.items()), "}"]
        + ["@media (prefers-color-scheme: dark) { :root {"]
        + [f"  --{name}: {by_night(colour)};" for name, colour in _NAMES.items()]
        + ["} }", "@media print { :root {", *(f"  --{name}: {colour};" for name, colour in _NAMES.items()), "} }"]
    )
    command = _text(f"graphengine render {words} -o story.html")
    title = _text(info.title or words)
    return _PAGE.format(title=title, colours=colours, body="\n".join(body), command=command, now=when(now, UTC))


async def _run(store: Store, info: RunInfo) -> Iterator[str]:
    steps, snapshot = await store.steps(info.id), await load_snapshot(store, info.id, None)
    reasons = InForce(await load_specs(store, steps, snapshot.fingerprint))
    whys = {step.seq: reasons.why(step) for step in steps}
    own, below = await own_usage(store, info, snapshot), await spent_below(store, info.id)
    return _sections(info, snapshot, _lines(steps, whys), steps, own, _below(below.runs, below.cost_usd))


def _sections(  # noqa: PLR0913 - what the story of one run is made of
    info: RunInfo,
    snapshot: Snapshot,
    lines: Iterable[tuple[Account, str]],
    steps: Sequence[Step],
    own: Usage,
    below: str,
) -> Iterator[str]:
    """Yield the parts of the story of one run."""
    losses = loss_words(losses_of(snapshot.usage, snapshot.losses))
    about = f"<b>{_text(info.graph)}</b> · <code>{_text(info.id)}</code> · {when(info.created_at, UTC)}"
    yield f'<p class="soft">A run of {about}</p><h1>{_text(info.title or info.id)}</h1>'
    yield f"<p><b>{_text(_ended(info, snapshot))}</b> · {_text(losses) or 'nothing was lost'}</p>"
    yield _facts(snapshot, own, len(steps), below)
    given: dict[str, Any] = {op[1]: op[-1] for op in ops_of(steps[0])} if steps else {}
    yield from _fields("Input", {name: value for name, value in given.items() if _is_full(value)})
    if snapshot.failure is not None:
        failure = snapshot.failure
        yield f'<h2>Why it failed</h2><p class="text">{_text(f"{failure.path}: {failure.kind}: {failure.message}")}</p>'
    final = {name: value for name, value in snapshot.root.values.items() if given.get(name) != value}
    yield from _fields("Result", final)
    yield from _steps([*lines])
    yield from _spent(steps, info)
    yield f"<h2>Losses</h2><p>{_text(losses) or 'None.'}</p>"


async def _pair(store: Store, first: str, second: str) -> Iterator[str]:
    found = await diff(store, first, second)
    owns = [await own_usage(store, side.info, side.snapshot) for side in (found.first, found.second)]
    shared = f"They share the steps of {found.shared.run_id} up to {found.shared.seq}. " if found.shared else ""
    alike = f"{counted(found.alike, 'step')} after that {'is' if found.alike == 1 else 'are'} alike."
    apart = f"{shared}{alike if found.alike else 'They part at once.'}"
    sides = (("A", found.first, owns[0]), ("B", found.second, owns[1]))
    changes = [(each.path, _brief(each.before), _brief(each.after)) for each in found.differences[:_DIFFERENCES]]
    return _compared(sides, apart, found.setup, changes, len(found.differences))


def _compared(
    sides: Sequence[tuple[str, Side, Usage]],
    apart: str,
    setup: Sequence[str],
    changes: Sequence[tuple[str, str, str]],
    number: int,
) -> Iterator[str]:
    """Yield the parts of the comparison of two runs."""
    infos = [side.info for _, side, _ in sides]
    names = " beside ".join(f"<code>{_text(info.id)}</code>" for info in infos)
    yield f'<p class="soft">Two runs of <b>{_text(infos[0].graph)}</b>: {names}</p>'
    yield f"<h1>{_text(infos[0].title or f'{infos[0].id} and {infos[1].id}')}</h1>"
    yield '<div class="two">'
    for letter, side, own in sides:
        losses = loss_words(losses_of(side.snapshot.usage, side.snapshot.losses))
        yield f'<section class="card"><p><b>{letter}</b> <code>{_text(side.info.id)}</code></p>'
        yield f"<p><b>{_text(_ended(side.info, side.snapshot))}</b>{' · ' + _text(losses) if losses else ''}</p>"
        yield f"{_facts(side.snapshot, own, side.snapshot.seq, '')}</section>"
    yield f'</div><h2>Where the ways part</h2><p>{_text(apart)}</p><div class="two">'
    for letter, side, _ in sides:
        began = ", ".join(f"{_text(each.path)} = {_brief(each.after)}" for each in side.changed[:_DIFFERENCES])
        path = "".join(_steps([*_lines(side.path, side.whys)], title=""))
        yield f"<section><p><b>{letter}</b>{' began with ' + began if began else ''}</p>{path}</section>"
    yield "</div>"
    if setup:
        yield f'<h2>Set up differently</h2><p class="text">{_text(clipped(chr(10).join(setup), _CHARACTERS))}</p>'
    yield "<h2>What came of it</h2><table><tr><th>field</th><th>A</th><th>B</th></tr>"
    yield from (f"<tr><td>{_text(path)}</td><td>{one}</td><td>{two}</td></tr>" for path, one, two in changes)
    yield "</table>"
    if number > len(changes):
        yield f'<p class="soft">and {number - len(changes)} more</p>'


def _ended(info: RunInfo, snapshot: Snapshot) -> str:
    ending = snapshot.ending
    why = "" if ending is None else ending.label or (ending.why if ending.why != "otherwise" else "")
    return f"{status_of(info)}: {why}" if why else status_of(info)


def _below(runs: int, cost_usd: float | None) -> str:
    if not runs:
        return ""
    spent = cost({"calls": 1, "cost_usd": cost_usd})
    return f"{counted(runs, 'child run')} cost {spent} besides"


def _facts(snapshot: Snapshot, own: Usage, steps: int, below: str) -> str:
    """Return how long it took, and what its own steps cost; what a branch shares, and its children, stand beside it."""
    tokens = int(own.get("input_tokens", 0) + own.get("output_tokens", 0))
    shared = f"{priced(snapshot.inherited)} before it branched off" if priced(snapshot.inherited) else ""
    words = [seconds(snapshot.elapsed_seconds), paid(own), counted(steps, "step")]
    words += [f"{tokens:,} tokens" if tokens else "", shared, below]
    return f'<p class="facts">{"".join(f"<span>{_text(each)}</span>" for each in words if each)}</p>'


def _fields(title: str, values: dict[str, JsonValue]) -> Iterator[str]:
    """Yield the longest text by itself, and the other fields as a list."""
    shown = {name: value for name, value in values.items() if _SECRET not in to_json(value).decode()}
    texts = {name: value for name, value in shown.items() if isinstance(value, str) and value.strip()}
    longest = max(texts, key=lambda name: len(texts[name]), default="")
    rest = [f"<dt>{_text(name)}</dt><dd>{_brief(value)}</dd>" for name, value in shown.items() if name != longest]
    rest += [f"<dt>{_text(name)}</dt><dd>secret</dd>" for name in values if name not in shown]
    if longest or rest:
        yield f"<h2>{title}{f' <code>{_text(longest)}</code>' if longest else ''}</h2>"
    if longest:
        yield f'<div class="card text">{_text(clipped(texts[longest], _CHARACTERS))}</div>'
    if rest:
        yield f"<dl>{''.join(rest)}</dl>"


def _lines(steps: Iterable[Step], whys: Mapping[int, str]) -> Iterator[tuple[Account, str]]:
    """Yield what is told of each call, decision, question, answer and loss, with the account of its step.

    Args:
        steps: The steps.
        whys: Why they took their edges, by their seqs.
    """
    for step in steps:
        account = account_of_step(step, whys.get(step.seq, ""), limit=2 * _LINE, why_limit=2 * _LINE)
        if account.sent_back:  # a line of its own: the answer that it is about is in the call before
            yield replace(account, model="", usage={}), f"Rejected and sent back: {account.sent_back}"
            account = replace(account, tone="call")
        if text := _told(account):
            yield account, text


def _told(account: Account) -> str:
    """Return what a step comes to; "" if it only goes on."""
    if account.kind == "recorded":
        failed = "failed: " if account.tone == "broken" else ""
        return account.words if account.child else f"{failed}{account.agent or account.name}: {account.said}"
    if account.withdrawn:
        return "; ".join(account.lines)
    if account.error or account.kind == "attempt":
        return f"{_HOW.get(account.tone, 'failed')}: {account.error}"
    if account.ended_by == "answer":
        return "; ".join(account.lines)
    if account.kind == "node" and account.targets:
        chosen = "; ".join(filter(None, (account.why, account.edge)))
        return f"{chosen} → {', '.join(account.targets)}".strip()
    return ""


def _steps(found: Sequence[tuple[Account, str]], title: str = "How it came to this") -> Iterator[str]:
    """Yield the lines as a table; of many those of the beginning and of the end, and all that went wrong between."""
    between = found[_FIRST:-_LAST] if len(found) > _FIRST + _LAST else ()
    wrong = [each for each in between if each[0].is_trouble][:_LAST]
    shown = [*found[:_FIRST], *wrong, *found[max(_FIRST, len(found) - _LAST) :]]
    if title:
        yield f"<h2>{title}</h2>"
    heads = ("step", "what came of it", "tokens", "price") if title else ("step", "what came of it")
    yield f"<table><tr>{''.join(f'<th>{each}</th>' for each in heads)}</tr>"
    for account, what in shown:
        more = f'<br><span class="soft">{_text(account.model)}</span>' if account.model else ""
        place = f"{account.path}{f' {account.visit}' if account.visit > 1 else ''}"
        is_wrong = account.is_trouble
        cells = f"<td><b>{_text(place)}</b>{more}</td><td>{_text(clipped(what, _LINE * (1 + is_wrong)))}</td>"
        cells += f'<td class="r o">{_tokens(account.usage)}</td><td class="r">{account.cost}</td>' if title else ""
        yield f"<tr{' class=wrong' if is_wrong else ''}>{cells}</tr>"
    yield "</table>"
    if len(between) > len(wrong):
        yield f'<p class="soft">{counted(len(between) - len(wrong), "line")} between are left out</p>'


def _tokens(usage: Usage) -> str:
    used = usage.get("input_tokens", 0), usage.get("output_tokens", 0)
    return f"{used[0]:,} → {used[1]:,}" if any(used) else ""


def _spent(steps: Sequence[Step], info: RunInfo) -> Iterator[str]:
    """Yield what each agent cost in the run's own steps."""
    own = [each for each in spending(steps, info.parent_seq) if not each.inherited]
    if not own:
        return
    whole: Usage = {}
    for each in own:
        whole = add_usage(whole, each.usage)
    total = whole.get("cost_usd")
    yield '<h2>What it cost</h2><table><tr><th>agent</th><th>model</th><th class="r">calls</th>'
    yield '<th class="r">price</th><th class="r">share</th></tr>'
    for (agent, model), usage in summed(own, lambda each: (each.agent or each.node, each.model)).items():
        part = usage.get("cost_usd")
        share = f"{100 * part / total:.0f} %" if part is not None and total else ""
        yield f'<tr><td>{_text(agent)}</td><td class="soft">{_text(model)}</td>'
        yield f'<td class="r">{usage.get("calls", 0)}</td>'
        yield f'<td class="r">{_text(cost(usage))}</td><td class="r">{share}</td></tr>'
    yield "</table>"


def _is_full(value: JsonValue) -> bool:
    return value not in ("", None, [], {}, False) or value == 0


def _brief(value: JsonValue) -> str:
    """Return a value in short, as HTML; one with a secret in it is not shown."""
    text = value if isinstance(value, str) else to_json(value).decode()
    return "secret" if _SECRET in text else _text(clipped(one_line(text), 2 * _LINE))


def _text(text: str) -> str:
    """Return a text as HTML, without what looks like a secret and without control codes."""
    return escape(clean(hidden(text)))


__all__ = ["story_of"]
