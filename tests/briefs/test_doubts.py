from collections.abc import Callable

import pytest

from graphengine import Failure, TextFile
from graphengine.briefs.article import Doubts, Fact, Findings
from graphengine.briefs.doubts import MAX_CAVEATS, doubt, is_limit, is_objection, merge
from graphengine.briefs.draft import CAVEATS_TITLE
from graphengine.briefs.evidence import check_doubts
from nodes.briefing.agents import ask_sceptic

TEXTS = ["sourdough.md", "lighthouses.txt", "gears.md", "hefeteig.md"]


def fact(text: str, rank: int = 1, file: str = "a.md") -> Fact:
    """Return a fact of this rank, on the line of that number."""
    return Fact(text=text, file=file, line=rank, rank=rank)


FACTS = Findings(key_areas=["Sea"], facts={"Sea": [fact("The sea is wide.")]}, caveats=[fact("It is never still.", 2)])


@pytest.mark.parametrize("name", TEXTS)
def test_what_the_rules_doubt_is_in_the_source(name: str, text: Callable[[str], TextFile]) -> None:
    """It passes the check for a model's answer; nothing is both limit and objection."""
    found = doubt("What this is about", [text(name)])
    check_doubts(found, [text(name)])
    assert all(is_limit(one.text) for one in found.limits)
    assert all(is_objection(one.text) and not is_limit(one.text) for one in found.objections)


def test_limits_and_objections_are_distinguished(text: Callable[[str], TextFile]) -> None:
    """An English text has both, the most central first."""
    found = doubt("How bicycle gears work", [text("gears.md")])
    assert found.limits
    assert found.objections
    for facts in (found.limits, found.objections):
        assert [one.rank for one in facts] == sorted(one.rank for one in facts)


@pytest.mark.parametrize(
    ("sentence", "limit", "objection"),
    [
        ("A table cannot know the wind.", True, False),
        ("Hub gears are heavier, however they need less care.", False, True),
        ("Steel is used instead of brass.", False, True),
        ("The unlimited plan has a butterfly valve.", False, False),
    ],
)
def test_wording_makes_a_doubt(sentence: str, limit: bool, objection: bool) -> None:  # noqa: FBT001 - expectations
    """Whole words count, in any case."""
    assert (is_limit(sentence), is_objection(sentence)) == (limit, objection)


@pytest.mark.parametrize("texts", [[], [""], ["# Heading\n"]])
def test_no_text_is_an_error(texts: list[str]) -> None:
    """Without a text the error says what to pass, as the researcher's does."""
    with pytest.raises(ValueError, match="pass"):
        doubt("anything", [TextFile(path=f"{at}.md", text=text) for at, text in enumerate(texts)])


def test_what_is_nowhere_is_refused() -> None:
    """The error names an invented limit or objection with its place."""
    page = TextFile(path="a.md", text="The sea is wide.\n")
    check_doubts(Doubts(limits=[fact("The sea is wide.")]), [page])
    for made_up in (Doubts(limits=[fact("The sea is dry.")]), Doubts(objections=[fact("The sea is dry.")])):
        with pytest.raises(ValueError, match=r"is nowhere in 'a\.md'"):
            check_doubts(made_up, [page])


def test_the_sceptic_is_asked_another_question_on_the_same_sources() -> None:
    """Lines are numbered, and the question is for limits."""
    asked = ask_sceptic("Seas", [TextFile(path="a.md", text="The sea is wide.")])
    assert "1| The sea is wide." in asked
    assert asked.endswith("What limits do these sources name, and what speaks against it?")


def test_both_sides_become_one() -> None:
    """It has the caveats of both, once each, by rank; the rest is the researcher's."""
    known = FACTS.caveats[0].model_copy(update={"rank": 9})  # the same sentence with the other researcher's rank
    merged = merge(FACTS, Doubts(limits=[known, fact("Storms are rare.", 1)], notes=["in haste"]), [])
    assert [(one.text, one.rank) for one in merged.caveats] == [("Storms are rare.", 1), ("It is never still.", 2)]
    assert (merged.key_areas, merged.facts, merged.notes) == (FACTS.key_areas, FACTS.facts, ["in haste"])


def test_without_doubts_the_findings_are_unchanged() -> None:
    """With nothing at all the findings stay empty."""
    assert merge(FACTS, Doubts(), []) == FACTS
    assert merge(Findings(), Doubts(), []) == Findings()


def test_doubts_alone_make_an_area() -> None:
    """There is something to write about, and the notes say what is missing."""
    failure = Failure(path="research", kind="bad_answer", message="…", attempt=1)
    merged = merge(Findings(), Doubts(limits=[fact("Storms are rare.")]), [failure])
    assert merged.key_areas == [CAVEATS_TITLE]
    assert [one.text for one in merged.all_facts()] == ["Storms are rare."]
    assert merged.sources == ["a.md"]
    assert merged.notes == ["research gave no usable result (bad_answer)"]


def test_a_flood_of_doubts_is_cut() -> None:
    """A flood of doubts is cut to the most central ones."""
    many = [fact(f"Limit {at} is never met.", at) for at in range(1, 30)]
    merged = merge(FACTS, Doubts(limits=many[15:], objections=many[:15]), [])
    assert [one.rank for one in merged.caveats] == [1, 2, 2, *range(3, MAX_CAVEATS)]
