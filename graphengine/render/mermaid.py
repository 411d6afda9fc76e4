"""A drawing as a Mermaid flowchart.

All text stands in double quotes, where Mermaid still reads entities, HTML, Markdown, icons, line breaks and
mathematics. So every character but letters, digits and some harmless punctuation is written as an entity (`#35;` is
`#`). Since some versions put these back before they look for the rest, an invisible word joiner breaks what else they
would find: `$$`, `fa:fa-…`, a backslash before `n`, and the bullets and numbers of lists.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graphengine.render.looks import look_of_arrow, look_of_box

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphengine.render.drawing import Arrow, Box, Drawing, Line
    from graphengine.render.looks import Look

_OPEN_CLOSE = {
    "start": ("([", "])"),
    "end": ("([", "])"),
    "fail": ("{{", "}}"),
    "function": ("[", "]"),
    "agent": ("(", ")"),
    "choose": ("{{", "}}"),
    "pass": ("((", "))"),
}
_NAMED = {'"': "quot", "&": "amp", "<": "lt", ">": "gt"}
_LAST_WESTERN = 0x2FF
"""Beyond lie other scripts, symbols and emoji, which mean nothing to Mermaid."""
_HARMLESS = frozenset(" .,-='/?·…\N{MULTIPLICATION SIGN}")
_JOINER = "\u2060"
_SYNTAX = re.compile(r"\$(?=\$)|fa[a-z]?:(?=fa-)|\\(?=n)")
_BULLET = re.compile(r"\d+[.)]|[^\w\s]")


def mermaid_text(drawing: Drawing) -> str:
    """The drawing in Mermaid."""
    lines = [
        "flowchart TD",
        f"  accTitle: {_plain(drawing.title)}",
        f"  accDescr: {len(drawing.boxes)} boxes and {len(drawing.arrows)} arrows",
        *(_box(box) for box in drawing.boxes),
        *(_arrow(arrow) for arrow in drawing.arrows),
        *_styles(drawing),
    ]
    return "\n".join(lines) + "\n"


def _box(box: Box) -> str:
    before, after = _OPEN_CLOSE[box.shape]
    return f'  {box.id}{before}"{_text(box.lines)}"{after}'


def _arrow(arrow: Arrow) -> str:
    line = "-.->" if arrow.failure else "==>" if arrow.tone == "done" else "-->"
    label = f'|"{_text(arrow.lines)}"|' if arrow.lines else ""
    return f"  {arrow.source} {line}{label} {arrow.target}"


def _styles(drawing: Drawing) -> list[str]:
    """The looks: one class for the boxes that share one, one line for the arrows that share one."""
    boxes: dict[Look, list[str]] = {}
    for box in drawing.boxes:
        boxes.setdefault(look_of_box(box), []).append(box.id)
    arrows: dict[Look, list[str]] = {}
    for index, arrow in enumerate(drawing.arrows):
        arrows.setdefault(look_of_arrow(arrow), []).append(str(index))
    lines: list[str] = []
    for index, (look, ids) in enumerate(boxes.items()):
        width = f"{look.line_points:g}px"
        lines.append(
            f"  classDef look{index} fill:{look.fill},stroke:{look.line},color:{look.text},stroke-width:{width}"
        )
        lines.append(f"  class {','.join(ids)} look{index}")
    for look, indices in arrows.items():
        lines.append(f"  linkStyle {','.join(indices)} stroke:{look.line},stroke-width:{look.line_points:g}px")
    return lines


def _text(lines: Iterable[Line]) -> str:
    return "<br/>".join(
        f"<b>{_escaped(line.text)}</b>" if line.weight == "strong" else _escaped(line.text) for line in lines
    )


def _escaped(text: str) -> str:
    broken = _SYNTAX.sub(lambda found: found[0] + _JOINER, text)
    safe = "".join(_entity(c) if _special(broken, i) else c for i, c in enumerate(broken))
    return _JOINER + safe if _BULLET.match(text) else safe


def _special(text: str, index: int) -> bool:
    """Whether a character is to be written as an entity; an underscore inside a word is not."""
    character = text[index]
    if character == "_":
        return index == 0 or not (text[index - 1].isalnum() and text[index + 1 : index + 2].isalnum())
    return not (character.isalnum() or character in _HARMLESS or ord(character) > _LAST_WESTERN)


def _entity(character: str) -> str:
    return f"#{_NAMED.get(character, ord(character))};"


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isalnum() or c in "_.,-" else " " for c in text).split())
