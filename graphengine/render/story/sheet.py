"""The sheet that a story is set on: one HTML file that loads nothing, has no script, and prints on two pages."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final

from graphengine.records.words import when
from graphengine.render.looks import FOUND, INK, PAPER, SOFT_INK, by_night
from graphengine.render.page import POLICY
from graphengine.render.story.prose import as_html

if TYPE_CHECKING:
    from collections.abc import Iterable

_COLOURS: Final = {
    "paper": (PAPER, by_night(PAPER)),
    "ink": (INK, by_night(INK)),
    "soft": (SOFT_INK, by_night(SOFT_INK)),
    "found": (FOUND, by_night(FOUND)),
    "good": ("#1a7f37", "#56d364"),
    "bad": ("#9a2a00", "#f0883e"),
    "ask": ("#8a2f6c", "#e085c2"),
}
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{colours}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 14px/1.5 system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; }}
main {{ max-width: 760px; margin: 0 auto; padding: 44px 24px 32px;
  --line: color-mix(in srgb, var(--ink) 16%, var(--paper));
  --wash: color-mix(in srgb, var(--ink) 4%, var(--paper)); }}
h1, h2, h3, h4, h5, h6, p, dl, dd, ul, ol, pre, figure, blockquote {{ margin: 0; }}
h1 {{ font-size: 30px; line-height: 1.2; letter-spacing: -.01em; margin: 4px 0 14px; text-wrap: balance; }}
h2 {{ font-size: 15px; font-weight: 650; margin: 34px 0 10px; padding-top: 10px; border-top: 1px solid var(--line); }}
h2 span {{ font-weight: 400; font-size: 13px; color: var(--soft); }}
.soft, dt, th, footer, .kicker, .beside, summary {{ color: var(--soft); }}
.kicker b {{ color: var(--ink); font-weight: 600; }}
.verdict {{ font-size: 16px; line-height: 1.5; }}
.chip {{ display: inline-block; font-size: 13px; font-weight: 600; padding: 1px 10px; border-radius: 20px;
  margin-right: 8px; color: var(--tone); background: color-mix(in srgb, var(--tone) 12%, var(--paper)); }}
.finished {{ --tone: var(--good); }}
.failed, .cancelled {{ --tone: var(--bad); }}
.waiting {{ --tone: var(--ask); }}
.running, .queued, .interrupted, .stopped {{ --tone: var(--found); }}
.facts {{ display: flex; flex-wrap: wrap; gap: 6px 28px; margin-top: 16px; }}
.facts div {{ display: flex; flex-direction: column-reverse; }}
.facts dd {{ font-size: 17px; font-variant-numeric: tabular-nums; }}
.facts dt {{ font-size: 12px; }}
.lead, .text {{ font: 16px/1.6 "Charter", "Bitstream Charter",
  "Source Serif 4", Georgia, "Noto Serif", "DejaVu Serif", serif; }}
.text > * + *, .lead > * + * {{ margin-top: .65em; }}
.text > details {{ margin-top: .9em; }}
.text ul, .text ol, dd ul {{ padding-left: 1.3em; }}
.text li + li {{ margin-top: .25em; }}
.text :is(h3, h4, h5, h6) {{ font: 600 16px/1.35 system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; }}
.text h3 {{ font-size: 21px; letter-spacing: -.01em; }}
.text > * + :is(h3, h4, h5, h6) {{ margin-top: 1.25em; }}
.text :is(h3, h4, h5, h6) + * {{ margin-top: .3em; }}
.text blockquote {{ border-left: 3px solid var(--line); padding-left: 12px; color: var(--soft); }}
a {{ color: var(--found); }}
code, pre {{ font: .86em/1.5 ui-monospace, "SF Mono", "DejaVu Sans Mono", monospace; }}
.text code {{ background: var(--wash); border-radius: 3px; padding: 1px 4px; }}
.text pre {{ background: var(--wash); padding: 10px 12px; border-radius: 6px; white-space: pre-wrap; }}
.text pre code {{ padding: 0; background: none; }}
.cite {{ font: 11.5px/1.3 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--found); white-space: nowrap;
  background: color-mix(in srgb, var(--found) 9%, var(--paper)); border-radius: 4px; padding: 1px 5px; }}
dl {{ display: grid; grid-template-columns: minmax(5.5rem, 9rem) minmax(0, 1fr); gap: 6px 16px; }}
dl.facts {{ display: flex; }}
dd > .text, li > .text, .item .text, td .text {{ font-size: 14px; line-height: 1.5; }}
dd ul {{ padding-left: 1.1em; }}
dd li + li {{ margin-top: 6px; }}
dd dl {{ gap: 2px 12px; grid-template-columns: minmax(4rem, 7rem) minmax(0, 1fr); }}
dl.wide {{ grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }}
.small {{ font-size: 12.5px; margin-top: 4px; }}
.small dl, .did dl {{ gap: 2px 12px; }}
.beside {{ display: block; font-size: 12.5px; }}
summary {{ cursor: pointer; font: 13px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }}
details > :not(summary) {{ margin-top: 8px; }}
* + .rest {{ margin-top: 18px; }}
.card {{ border: 1px solid var(--line); border-left: 4px solid var(--tone, var(--line)); border-radius: 6px;
  padding: 14px 18px; background: color-mix(in srgb, var(--tone, var(--ink)) 4%, var(--paper)); }}
.card + .card {{ margin-top: 12px; }}
.card h3 {{ font-size: 17px; line-height: 1.35; margin: 2px 0 6px; }}
.card dl, .card .options {{ margin-top: 10px; }}
.options span {{ display: inline-block; border: 1px solid var(--line); border-radius: 5px; padding: 1px 9px;
  margin: 0 4px 4px 0; background: var(--paper); }}
.chat {{ display: flex; flex-direction: column; gap: 10px; }}
.chat > div {{ max-width: 86%; border-radius: 14px; padding: 9px 15px; background: var(--wash);
  align-self: flex-start; }}
.chat > .user {{ align-self: flex-end; background: color-mix(in srgb, var(--found) 11%, var(--paper)); }}
.chat > p {{ font-size: 13px; padding-left: 15px; }}
.chat > .did {{ font-size: 13px; border-radius: 6px; border: 1px solid var(--line); background: none; }}
.did > p {{ color: var(--soft); margin-bottom: 4px; }}
.chat .text {{ font: inherit; font-size: 15px; }}
.chat small {{ color: var(--soft); font-size: 12px; }}
figure {{ text-align: center; }}
figure svg {{ max-width: 100%; height: auto; max-height: 520px; }}
figure + figure {{ margin-top: 14px; }}
figcaption {{ font-size: 12.5px; color: var(--soft); text-align: left; }}
table {{ width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th {{ font-weight: 400; font-size: 12px; text-align: left; }}
th, td {{ padding: 6px 10px 6px 0; vertical-align: top; border-bottom: 1px solid var(--line); }}
td:first-child, th:first-child {{ min-width: 7.8rem; }}
tr > :last-child {{ padding-right: 0; }}
.r {{ text-align: right; white-space: nowrap; padding-left: 8px; }}
.wrong td:first-child {{ box-shadow: inset 3px 0 var(--bad); padding-left: 10px; }}
.wrong td {{ background: color-mix(in srgb, var(--bad) 7%, var(--paper)); }}
.parted td {{ background: color-mix(in srgb, var(--found) 9%, var(--paper)); }}
.parted td:first-child {{ box-shadow: inset 3px 0 var(--found); padding-left: 10px; }}

.two .verdict {{ font-size: 14px; }}
.two figure {{ margin: 10px 0; }}
.two {{ display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 14px 28px; }}
.a, .b {{ display: inline-block; min-width: 1.5em; text-align: center; border-radius: 4px; font-weight: 600;
  font-size: 12px; line-height: 1.5; color: var(--paper); background: var(--soft); }}
.b {{ background: var(--found); }}
.better {{ color: var(--good); font-weight: 600; }}
.worse {{ color: var(--bad); font-weight: 600; }}
ins, del {{ text-decoration-thickness: 1px; border-radius: 2px; box-decoration-break: clone; }}
del + ins {{ margin-left: .3em; }}
ins {{ text-decoration: none; background: color-mix(in srgb, var(--good) 17%, var(--paper)); }}
del {{ background: color-mix(in srgb, var(--bad) 12%, var(--paper));
  color: color-mix(in srgb, var(--ink) 72%, var(--paper));
  text-decoration-color: color-mix(in srgb, var(--bad) 60%, var(--paper)); }}
.new, .gone {{ border-left: 3px solid var(--good); padding: 2px 0 2px 12px;
  background: color-mix(in srgb, var(--good) 8%, var(--paper)); }}
.gone {{ border-color: var(--bad); background: color-mix(in srgb, var(--bad) 6%, var(--paper)); }}
.item.new, .item.gone {{ padding: 6px 12px; }}
.item.new + .item.new, .item.gone + .item.gone {{ padding-top: 0; }}
p.apart {{ white-space: pre-wrap; }}
.short {{ margin: 16px 0 10px; font-size: 16px; line-height: 1.55; gap: 8px 12px;
  grid-template-columns: 5.5rem minmax(0, 1fr); }}
.short .beside {{ margin-bottom: 2px; }}
.key {{ font-size: 13px; margin-bottom: 10px; }}
.short dt {{ font-size: 13px; padding-top: 2px; }}
p.gap {{ margin: 8px 0; }}
.gap {{ font-style: italic; color: var(--soft); }}
.gap::before, .gap::after {{ content: " … "; }}
.moved > .beside {{ font-style: italic; }}
.item {{ padding: 4px 0; }}
section.change + section.change {{ margin-top: 18px; }}
section.change > h3 {{ font-size: 14px; margin-bottom: 4px; }}
footer {{ margin-top: 40px; padding-top: 10px; border-top: 1px solid var(--line); font-size: 12px; }}
@media screen and (max-width: 600px) {{
  figure {{ overflow-x: auto; text-align: left; }}
  figure svg {{ min-width: var(--least); }}
  main {{ padding: 26px 16px; }}
  h1 {{ font-size: 24px; }}
  td:first-child, th:first-child {{ min-width: 5.4rem; }}
  .two {{ grid-template-columns: minmax(0, 1fr); }}
  .o {{ display: none; }}
  .facts {{ gap: 6px 20px; }}
  dl:not(.facts) {{ grid-template-columns: minmax(0, 1fr); gap: 0; }}
  dl:not(.facts) > dd + dt {{ margin-top: 8px; }}
}}
@page {{ size: A4; margin: 11mm 14mm; }}
@media print {{
  :root {{ color-scheme: light; }}
  body {{ font-size: 8pt; line-height: 1.32; print-color-adjust: exact; }}
  main {{ max-width: none; padding: 0; }}
  h1 {{ font-size: 17pt; margin-bottom: 6pt; }}
  h2 {{ font-size: 9pt; break-after: avoid; margin: 11pt 0 5pt; padding-top: 5pt; }}
  .verdict, .short {{ font-size: 10pt; line-height: 1.4; }}
  .short {{ margin: 6pt 0 4pt; gap: 3pt 8pt; }}
  .short dt, .key {{ font-size: 8pt; padding: 0; margin: 0; }}
  section.change > h3, .card h3 {{ font-size: 9pt; margin: 0 0 2pt; }}
  p.gap {{ margin: 4pt 0; }}
  section.change + section.change {{ margin-top: 8pt; }}
  .rest {{ margin-top: 6pt !important; }}
  .facts {{ margin-top: 6pt; }}
  .facts dd {{ font-size: 10.5pt; }}
  .facts dt, th, .beside, .small, .chat > .did, figcaption, footer, .chat small {{ font-size: 7.5pt; }}
  .lead, .text {{ font-size: 8.8pt; line-height: 1.38; }}
  .text h3 {{ font-size: 11pt; }}
  .text > * + * {{ margin-top: .4em; }}
  .text > * + :is(h3, h4, h5, h6) {{ margin-top: .8em; }}
  .text :is(h4, h5, h6) {{ font-size: 9.5pt; }}
  dd > .text, li > .text, .item .text, td .text, .chat .text {{ font-size: 8pt; line-height: 1.32; }}
  .chat > div {{ padding: 4pt 9pt; }}
  th, td {{ padding-top: 1.6pt; padding-bottom: 1.6pt; }}
  tr, .card, figure {{ break-inside: avoid; }}
  figure svg {{ max-height: 56mm; }}
  .two figure svg {{ max-height: 38mm; }}
  .two figure {{ margin: 4pt 0; }}
  dl {{ gap: 2pt 10pt; }}
  details > summary {{ list-style: none; }}
  footer {{ margin-top: 12pt; }}
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


def sheet(title: str, body: Iterable[str], command: str, now: float) -> str:
    """Return the file.

    Args:
        title: What it is about.
        body: Its parts, as HTML.
        command: The command line that writes it.
        now: When it is written, epoch seconds.
    """
    day, night = ("\n".join(f"  --{name}: {pair[at]};" for name, pair in _COLOURS.items()) for at in range(2))
    colours = f":root {{\n{day}\n}}\n@media (prefers-color-scheme: dark) {{ :root {{\n{night}\n}} }}\n"
    colours += f"@media print {{ :root {{\n{day}\n}} }}"
    return _PAGE.format(
        policy=POLICY,
        title=as_html(title),
        colours=colours,
        body="\n".join(body),
        command=as_html(command),
        now=when(now, UTC),
    )


__all__ = ["sheet"]
