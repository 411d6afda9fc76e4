"""A drawing as text, part by part, with everything that a format paints."""

from collections.abc import Iterator

from graphengine.render.parts import Arrow, Box, Cluster, Drawing


def shown(drawing: Drawing, *names: str) -> str:
    """Return the parts of these names, or all, each with the arrows that leave it, then the caption and the legend."""
    rest = [] if names else [f"legend: {line.text}" for line in drawing.legend]
    return "\n".join([*_parts(drawing, "", names), *(f"caption: {line.text}" for line in drawing.caption[1:]), *rest])


def _parts(drawing: Drawing, cluster: str, names: tuple[str, ...]) -> Iterator[str]:
    parts: list[Box] = [*drawing.boxes, *drawing.clusters]
    name_of = {part.id: part.name or part.shape for part in parts}
    for part in drawing.inside(cluster):
        if not names or part.name in names:
            around = f" in {name_of[part.cluster]}" if part.cluster else ""
            many = ", many" if part.many else ""
            words = " | ".join(line.text for line in part.lines)
            if words == part.name and part.shape in ("end", "fail") and part.tone == "plain":
                continue  # as every picture has it
            yield f"{part.shape} {part.name}{around} [{part.tone}{many}]" + (f": {words}" if words else "")
            for arrow in drawing.arrows:
                if part.id in (arrow.source, arrow.tail):
                    yield from _arrow(arrow, name_of)
        if isinstance(part, Cluster):
            yield from _parts(drawing, part.id, names)


def _arrow(arrow: Arrow, name_of: dict[str, str]) -> Iterator[str]:
    ends = [f"from the border of {name_of[arrow.tail]}"] if arrow.tail else []
    ends += [f"to the border of {name_of[arrow.head]}"] if arrow.head else []
    facts = ", ".join([arrow.tone, *(["back"] if arrow.back else []), *ends])
    words = " | ".join(f"({line.text})" if line.is_pale else line.text for line in arrow.lines)
    yield f"  {'-x' if arrow.failure else '->'} {name_of[arrow.target]} [{facts}]" + (f": {words}" if words else "")
    if words != " | ".join(arrow.words).replace("; ", " | "):  # else the label says it all
        yield from (f"       {each}" for each in arrow.words)
