"""Merging: the findings of several researchers as one."""

from collections.abc import Sequence

from graphengine.briefs.article import Fact, Findings


def merged(parts: Sequence[Findings]) -> Findings:
    """Return the findings of several researchers as one, each fact once.

    Facts keep their ranks, so that the most central ones of all parts come before the second ones of any.

    Args:
        parts: The findings of each; if two have a fact under different areas, the first counts.
    """
    if len(parts) == 1:
        return parts[0]
    sources = list(dict.fromkeys(path for part in parts for path in part.sources))
    position = _positions(parts, sources)
    facts: dict[str, list[Fact]] = {}
    seen = set[tuple[str, int, str]]()
    for part in parts:
        for area in part.key_areas:
            for fact in part.facts.get(area, []):
                if fact.key not in seen:
                    seen.add(fact.key)
                    facts.setdefault(area, []).append(fact.model_copy(update={"position": position[fact.key]}))
    caveats = {fact.key: fact for part in parts for fact in part.caveats}
    return Findings(
        key_areas=list(facts),
        key_terms=list(dict.fromkeys(term for part in parts for term in part.key_terms)),
        facts=facts,
        caveats=[fact.model_copy(update={"position": position[key]}) for key, fact in caveats.items()],
        sources=sources,
        notes=list(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _positions(parts: Sequence[Findings], sources: Sequence[str]) -> dict[tuple[str, int, str], int]:
    """Return the reading order of all facts: by source, then by line."""
    place = {path: number for number, path in enumerate(sources)}
    facts = {fact.key: fact for part in parts for fact in part.all_facts()}
    order = sorted(facts.values(), key=lambda fact: (place.get(fact.file, len(place)), fact.line, fact.position))
    return {fact.key: number for number, fact in enumerate(order)}
