"""Texts with citations: those that cite unknown places, or disagree with the cited text, go back."""

import re

import pytest

from graphengine.briefs.article import Fact, Findings
from graphengine.briefs.citing import check_brief, check_cited, passages_in
from graphengine.briefs.text.words import count_words
from graphengine.patterns import Outcome
from nodes.board import agents as board_team
from nodes.board.entries import Doubt
from nodes.orchestration import agents as orchestrator_team
from nodes.press.agents import check_edited, check_manuscript
from nodes.press.stages import Edited, Manuscript
from nodes.reading import agents as reading_team
from nodes.reading.agents import Notes

MOON = Fact(text="The moon raises two tides a day on most coasts.", file="sea/tides.md", line=3)
HEIGHT = Fact(text="Spring tides reach 16 metres in the Bay of Fundy.", file="sea/tides.md", line=5)
WIND = Fact(text="A tide table does not know the wind of the day.", file="sea/limits.md", line=8)
FOUND = Findings(
    key_areas=["Tides"], facts={"Tides": [MOON, HEIGHT]}, caveats=[WIND], sources=["sea/tides.md", "sea/limits.md"]
)
GOOD = """# Tides

What raises the sea.

## Tides

The moon raises two tides on most days [tides.md:3].
In the Bay of Fundy the water climbs 16 metres [sea/tides.md:5].
A table does not know the wind [limits.md:8].

## Sources

- tides.md
"""
INVENTED = "# Tides\n\n## Tides\n\n" + "".join(
    f"The harbour of Brest was measured by engineer {number} with a gauge of his own making [brest.md:{number}].\n"
    for number in range(1, 65)
)

WRONG = [
    (INVENTED, "there is no finding at brest.md:1, brest.md:2"),
    ("# T\n\nAll of this is told here [tides.md:4].\n", "there is no finding at tides.md:4"),
    ("# T\n\n| where | how high |\n|---|---|\n| Brest | 8 [brest.md:1] |\n", "brest.md:1"),
    (GOOD.replace(" [limits.md:8]", ""), "cites nothing"),
    (f"# T\n\n{'The sea is wide and deep. ' * 10}", "nothing is cited"),
    (GOOD.replace("16 metres", "61 metres"), "61"),
    (GOOD.replace("climbs 16 metres", "climbs 16 feet"), "16"),
    (GOOD.replace("does not know", "knows"), "leaves out"),
    (GOOD.replace("The moon raises", "The moon does not raise"), "not"),
    (GOOD.replace("A table does not know the wind", "Harbours are built of granite"), "no word in common"),
]


def test_a_brief_in_words_of_its_own_passes() -> None:
    """It uses other words, short and long file names, and a caveat; all citations exist."""
    check_brief(GOOD, FOUND, 350)


@pytest.mark.parametrize("text", ["", "# Tides", "# Tides\n\nThe sources hold nothing on this."])
def test_a_text_that_claims_nothing_cites_nothing(text: str) -> None:
    """It has only a title, or a sentence that says that there is nothing."""
    check_brief(text, FOUND, 350)
    check_brief(text, Findings(), 350)


@pytest.mark.parametrize(("text", "why"), WRONG)
def test_what_is_certainly_wrong_goes_back(text: str, why: str) -> None:
    """The error has the place or the sentence."""
    with pytest.raises(ValueError, match=re.escape(why)):
        check_brief(text, FOUND, 350)


def test_without_findings_nothing_may_be_cited() -> None:
    """Without findings no place may be cited, not even one that exists."""
    with pytest.raises(ValueError, match="there is no finding at"):
        check_brief(GOOD, Findings(), 350)


def test_only_so_many_complaints_are_listed() -> None:
    """A model that fixes these checks the others too."""
    many = "# T\n\n## S\n\n" + "".join(f"Harbour {number} is of granite [tides.md:3].\n" for number in range(30))
    with pytest.raises(ValueError, match="and 22 more of this kind"):
        check_brief(many, FOUND, 350)


def test_what_a_text_may_cite_can_be_what_another_text_cites() -> None:
    """An editor's text can cite what the draft cites, with its figures."""
    passages = passages_in(GOOD)
    check_cited(GOOD, passages)
    with pytest.raises(ValueError, match="61"):
        check_cited(GOOD.replace("16 metres", "61 metres"), passages)


# -- each agent whose text has citations


def test_the_board_may_cite_what_speaks_against_a_fact() -> None:
    """Its writer also reads the doubts."""
    doubt = Doubt(fact=MOON.text, against=Fact(text="No tide is seen in the Baltic.", file="sea/tides.md", line=9))
    text = GOOD.replace("## Sources", "No tide is seen in the Baltic [tides.md:9].\n\n## Sources")
    board_team.check_brief(text, FOUND, [doubt], 350)
    with pytest.raises(ValueError, match=r"tides\.md:9"):
        board_team.check_brief(text, FOUND, None, 350)


def test_the_orchestrators_texts_cite_what_its_steps_found() -> None:
    """Its writer cites the findings, its summarizer and synthesiser whatever the results cite."""
    needed = {"find": FOUND.model_dump_json(), "write": GOOD}
    orchestrator_team.check_text(GOOD, needed, 350)
    orchestrator_team.check_summary("- The water climbs 16 metres [sea/tides.md:5]", needed)
    results = {name: Outcome(text=text) for name, text in needed.items()}
    orchestrator_team.check_answer(GOOD, results)
    for text in (INVENTED, GOOD.replace("16 metres", "61 metres")):
        with pytest.raises(ValueError, match=r"brest|61"):
            orchestrator_team.check_text(text, needed, 350)
        with pytest.raises(ValueError, match=r"brest|61"):
            orchestrator_team.check_answer(text, results)
    with pytest.raises(ValueError, match="brest"):
        orchestrator_team.check_summary("- Brest was measured [brest.md:1]", needed)


def test_who_merges_notes_cites_what_readers_quoted() -> None:
    """Quotations of a failed reading are not available."""
    outcomes = [Outcome(text=Notes(facts=[MOON, HEIGHT]).model_dump_json())]
    reading_team.check_merged("# T\n\n## S\n\nThe moon raises tides [sea/tides.md:3].\n", outcomes)
    with pytest.raises(ValueError, match=r"limits\.md:8"):
        reading_team.check_merged("# T\n\n## S\n\nThe wind is not known [sea/limits.md:8].\n", outcomes)


def test_a_post_and_its_editor_keep_the_figures() -> None:
    """The writer keeps those of the findings, the editor those of the writer."""
    check_manuscript(Manuscript(text=GOOD), FOUND, 400)
    check_edited(Edited(text=GOOD), Manuscript(text=GOOD))
    false = GOOD.replace("16 metres", "61 metres")
    with pytest.raises(ValueError, match="61"):
        check_manuscript(Manuscript(text=false), FOUND, 400)
    with pytest.raises(ValueError, match="61"):
        check_edited(Edited(text=false), Manuscript(text=GOOD))


def test_a_brief_over_its_budget_goes_back_to_its_writer() -> None:
    """The message says by how many words; the words of the whole page count."""
    words = count_words(GOOD)
    check_brief(GOOD, FOUND, words)
    with pytest.raises(ValueError, match=f"the text has {words} words, 1 more than {words - 1}"):
        check_brief(GOOD, FOUND, words - 1)
