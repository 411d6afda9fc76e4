"""A drawing as a Mermaid flowchart.

All text stands in double quotes, where Mermaid still reads entities, Markdown, icons and mathematics. So every
character but letters, digits and some harmless punctuation is written as an entity (`#35;` is `#`), which Mermaid
puts back after all that reading.
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
_HARMLESS = frozenset(" .,-='/?×·…")
_BULLET = re.compile(r"\d+(?=[.)])")


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
        lines.append(f"  classDef look{index} fill:{look.fill},stroke:{look.line},color:{look.text},stroke-width:{width}")
        lines.append(f"  class {','.join(ids)} look{index}")
    for look, indices in arrows.items():
        lines.append(f"  linkStyle {','.join(indices)} stroke:{look.line},stroke-width:{look.line_points:g}px")
    return lines


def _text(lines: Iterable[Line]) -> str:
    return "<br/>".join(f"<b>{_escaped(line.text)}</b>" if line.weight == "strong" else _escaped(line.text) for line in lines)


def _escaped(text: str) -> str:
    bullet = _BULLET.match(text)
    start = bullet.end() if bullet else 0
    return "".join(_entity(c) if _special(text, i, start) else c for i, c in enumerate(text))


def _special(text: str, index: int, start: int) -> bool:
    """Whether a character is to be written as an entity: at the start of a line all punctuation is."""
    character = text[index]
    if character == "_":
        around = text[index - 1 : index] + text[index + 1 : index + 2]
        return len(around) < 2 or not around.isalnum()  # noqa: PLR2004 - one on each side
    if index == start:
        return not character.isalnum()
    return not (character.isalnum() or character in _HARMLESS or ord(character) > 0x2FF)  # noqa: PLR2004


def _entity(character: str) -> str:
    return f"#{_NAMED.get(character, ord(character))};"


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isalnum() or c in "_.,-" else " " for c in text).split())
