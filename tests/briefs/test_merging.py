from collections.abc import Callable

from graphengine import TextFile
from graphengine.briefs.article import Fact, Findings
from graphengine.briefs.evidence import check_findings
from graphengine.briefs.merging import merged
from graphengine.briefs.researcher import research


def found(area: str, *facts: Fact, source: str = "a.md") -> Findings:
    """Return findings of one area."""
    return Findings(key_areas=[area], key_terms=[area], facts={area: list(facts)}, sources=[source])


def fact(line: int, file: str = "a.md", rank: int = 1) -> Fact:
    """Return a fact on a line."""
    return Fact(text=f"Line {line}.", file=file, line=line, rank=rank, position=0)


def test_facts_of_all_parts_are_there_once() -> None:
    """Each fact is under the first area that had it; areas of one name are merged."""
    both = merged([found("tides", fact(1), fact(2)), found("moon", fact(2), fact(3)), found("tides", fact(4))])
    assert {area: [each.line for each in facts] for area, facts in both.facts.items()} == {
        "tides": [1, 2, 4],
        "moon": [3],
    }
    assert (both.key_areas, both.key_terms, both.sources) == (["tides", "moon"], ["tides", "moon"], ["a.md"])


def test_they_are_in_the_order_of_the_sources() -> None:
    """They are in the order of sources and lines, so that a brief of them reads in the same order."""
    both = merged([found("b", fact(5, "b.md"), source="b.md"), found("a", fact(9), fact(1))])
    order = sorted(both.all_facts(), key=lambda each: each.position)
    assert [(each.file, each.line) for each in order] == [("b.md", 5), ("a.md", 1), ("a.md", 9)]
    assert [each.position for each in order] == [0, 1, 2]


def test_the_first_facts_of_all_come_before_the_second_ones() -> None:
    """No part's second fact displaces another part's first one."""
    both = merged([found("a", fact(1, rank=1), fact(2, rank=2)), found("b", fact(3, rank=1), fact(4, rank=2))])
    assert [each.line for each in both.all_facts()] == [1, 3, 2, 4]


def test_nothing_and_one_part_stay_what_they_are() -> None:
    """Nothing is Findings(), which means that nothing was found."""
    one = found("a", fact(1))
    assert merged([]) == Findings()
    assert merged([one]) is one
    assert merged([Findings(), one]).facts == one.facts


def test_findings_of_real_texts_merge_to_true_ones(text: Callable[[str], TextFile]) -> None:
    """Every fact is still at its place, and every area has some."""
    sources = [text("gears.md"), text("sourdough.md")]
    parts = [research("How gears work", sources[:1]), research("How bread rises", sources)]
    check_findings(merged(parts), sources)
