"""The story of a run, or of two, as one HTML file that is opened from disk, without a server and without a network.

    store → records.story → the document ─┐
            pictures of the graph ────────┴→ story_of → the page's own code, inline → .html

The page's code (`static/story.js`, built from `serve/inspector/page/src/story.tsx`) lays out the document that the file
brings along. Texts are the work of strangers: each is cleaned and its secrets are struck before it gets into the file,
no text can close the script that it stands in, and the file's own policy allows no other script and loads nothing.
"""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from hashlib import sha256
from html import escape, unescape
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphengine.agents.pending import pending
from graphengine.kernel.extension import END, FAIL
from graphengine.kernel.reader import status_of
from graphengine.models.hiding import hide_secrets
from graphengine.records.base_documents import plain
from graphengine.records.readable import as_words, in_brief, node_words
from graphengine.records.story import Story, read_run, story_of_run, story_of_two
from graphengine.records.words import clean, loss_words, when
from graphengine.render.drawing import draw_graph
from graphengine.render.files import RenderError
from graphengine.render.parts import Line
from graphengine.render.svg import svg_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import Frame, WaitRecord
    from graphengine.kernel.store import Store
    from graphengine.records.account import Account
    from graphengine.records.story import ReadRun
    from graphengine.render.parts import Arrow, Box

STATIC: Final = Path(__file__).parent / "static"
_BOXES: Final = 16
"""Up to so many nodes nothing is folded in a picture."""
_ROOM: Final = (534.0, 390.0)
"""The room of a picture, in points."""
_HALF: Final = (255.0, 320.0)
"""The same of each of two."""
_READABLE: Final = 0.64
"""A picture that is drawn smaller has text of less than 9 pixels."""
_NUMBER: Final = re.compile(r"^\d+\.( |$)")
"""Of a rule, at the beginning of its words."""
_TEXT: Final = re.compile(r">([^<]+)<")
"""Between the tags of a picture."""
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript>
<h1>{title}</h1>
{words}
<h2>The way</h2>
<ol>
{way}
</ol>
<p>Pictures, times and costs are shown by the script of this file, which is not allowed to run here.</p>
</noscript>
<div id="app"></div>
<script type="application/json" id="story">{story}</script>
<script>{script}</script>
</body>
</html>
"""


async def story_of(store: Store, run_id: str, other: str | None, now: float) -> str:
    """Write an HTML page that tells what a run did, or what two runs did side by side.

    Args:
        store: The store that contains the runs.
        run_id: The run.
        other: Another run to compare with; None for no comparison.
        now: When the story is written, in epoch seconds.

    Raises:
        UnknownRun, StoreError: A run does not exist or cannot be read.
    """
    runs = [await read_run(store, each) for each in (run_id, other) if each is not None]
    command = f"graphengine render {' '.join(run.info.id for run in runs)} -o story.html"
    if len(runs) == 1:
        story = Story(command, when(now, UTC), [await story_of_run(store, runs[0], _call_asked)])
    else:
        story = Story(command, when(now, UTC), *await story_of_two(store, runs[0], runs[1]))
    return await asyncio.to_thread(_file_of, story, runs)


def _call_asked(frame: Frame, wait: WaitRecord) -> tuple[str, str, Mapping[str, JsonValue]] | None:
    found = pending(frame, wait)
    return (found.agent, found.tool, found.arguments) if found is not None and found.tool else None


def _file_of(story: Story, runs: Sequence[ReadRun]) -> str:
    """Return the text of the HTML file that tells what one run or two runs did (the story of the runs).

    The file also contains the story as plain text, for browsers that run no scripts.
    """
    script, style = ((STATIC / f"story.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    digest = b64encode(sha256(script.encode()).digest()).decode()
    document, run = _safe(plain(story)), story.runs[0]
    for each, read in zip(document["runs"], runs, strict=True):
        each["picture"] = _picture(read, _ROOM if len(runs) == 1 else _HALF)
    words = [
        (values.title, "\n".join([lead, *(f"{key}: {in_brief(value)}" for key, value in values.rest.items())]))
        for values in (run.question, run.answer, run.besides)
        if values is not None
        for lead in [values.lead if isinstance(values.lead, str) else in_brief(values.lead)]
    ]
    words += [*(("", each.text) for each in run.said or ()), ("Losses", loss_words(run.losses))]
    return _PAGE.format(
        policy=f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'",
        title=escape(_safe(run.title)),
        style=style,
        words="\n".join(f"<h2>{name}</h2>\n<pre>{escape(_safe(text))}</pre>" for name, text in words if text.strip()),
        way="\n".join(_tell_way(each) for each in run.accounts if each.targets and each.path),
        story=_in_script(document),
        script=script,
    )


def _tell_way(account: Account) -> str:
    """Return a sentence about which way a run took after a node, and why, as an item of an HTML list.

    The list is for readers whose browser runs no scripts.
    """
    node = node_words(account.path, account.visit)
    targets = ", ".join(each.lower() if each in (END, FAIL) else as_words(each) for each in account.targets)
    why = f"<pre>{escape(_safe(account.why))}</pre>" if account.why else ""
    return f"<li>{escape(_safe(node))} \N{RIGHTWARDS ARROW} {escape(_safe(targets))}{why}</li>"


def _safe(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a JSON value in a form that can be shown: secrets and control codes in its texts are replaced."""
    if isinstance(value, str):
        return clean(hide_secrets(value))
    if isinstance(value, float) and not isfinite(value):
        return str(value)  # for which JSON has no number
    if isinstance(value, Mapping):
        return {_safe(name): _safe(each) for name, each in value.items()}
    return [_safe(each) for each in value] if isinstance(value, (list, tuple)) else value


def _in_script(value: JsonValue) -> str:
    """Encode JSON so that it can stand in an HTML script: no text in it can end the script or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


# --- Pictures --------------------------------------------------------------------------------------------------------


def _picture(run: ReadRun, room: tuple[float, float]) -> str:
    """Draw the graph of a run, with the way that the run took, for the page with the run's story.

    The result is "" if the graph cannot be drawn.
    """
    spec = run.specs.get(run.snapshot.fingerprint)
    if spec is None:
        return ""
    fold = 0 if len(spec.get("nodes", ())) > _BOXES else 1
    try:
        drawn = draw_graph(spec, run.steps, run.specs, detail="brief", fold=fold, status=status_of(run.info))
        boxes, arrows = map(_without_message, drawn.boxes), map(_without_number, drawn.arrows)
        drawing = replace(drawn, caption=(), legend=(), boxes=tuple(boxes), arrows=tuple(arrows))
        shown = svg_of(drawing, "auto", is_part=True, is_wide=True)
        if _scale_to_fit(shown, room) < _READABLE:
            shown = max(shown, svg_of(drawing, "auto", is_part=True), key=lambda svg: _scale_to_fit(svg, room))
    except RenderError:
        return ""
    return _TEXT.sub(lambda found: f">{escape(_safe(unescape(found[1])))}<", shown)


def _without_message(box: Box) -> Box:
    """Return a box of the picture without its question or error message, because the page shows these elsewhere.

    The box only says that its node waits or has failed.
    """
    state = {"waiting": "waits", "failed": "failed"}.get(box.tone)
    if state is None:
        return box
    return replace(box, lines=(*(line for line in box.lines if line.weight == "strong"), Line(state)))


def _without_number(arrow: Arrow) -> Arrow:
    """Return an arrow without the number in which its edges are tried, which is not needed in a story."""
    lines = (replace(line, text=_NUMBER.sub("", line.text)) for line in arrow.lines)
    return replace(arrow, lines=tuple(line for line in lines if line.text)) if arrow.number else arrow


def _scale_to_fit(svg: str, room: tuple[float, float]) -> float:
    _, _, across, down = svg.partition('viewBox="')[2].partition('"')[0].split()
    return min(1.0, room[0] / float(across), room[1] / float(down))


__all__ = ["STATIC", "story_of"]
