"""The research board's data, and the specialists' rules on real texts."""

from collections.abc import Callable

import pytest

from graphengine import Failure, TextFile
from graphengine.briefs.article import Fact, Findings, Review
from graphengine.briefs.draft import parse
from graphengine.briefs.evidence import check_findings
from nodes.board.agents import ask_scout, ask_skeptic, check_doubts
from nodes.board.entries import Doubt, Gap, add_findings, by_turns, with_doubts, written
from nodes.board.rules import (
    FIRST_LOOK,
    MAX_DOUBTS,
    MAX_GAPS,
    MAX_REVISIONS,
    ask_again,
    compose,
    judge,
    scout,
    skeptic,
    surveyor,
)
from nodes.citing import sample
from tests.briefs.conftest import TASKS, source


def fact(text: str, line: int = 1, rank: int = 1, file: str = "a.md") -> Fact:
    """Return a fact."""
    return Fact(text=text, file=file, line=line, rank=rank)


def findings(*facts: Fact, area: str = "Area") -> Findings:
    """Return findings of one area."""
    return Findings(key_areas=[area], facts={area: list(facts)}, sources=["a.md"])


def review(score: int, *, approved: bool = False, suggestions: tuple[str, ...] = ("say more",)) -> Review:
    """Return a review."""
    return Review(score=score, approved=approved, suggestions=list(suggestions))


class TestFindings:
    def test_new_facts_come_after_known_ones(self) -> None:
        """Each fact appears once in its area, and ranks continue."""
        old = findings(fact("one", 1, 1), fact("two", 2, 2))
        more = Findings(
            key_areas=["Area", "Other"],
            facts={"Area": [fact("two", 2, 1), fact("three", 3, 2)], "Other": [fact("four", 4, 1)]},
        )
        joined = add_findings(old, more)
        assert joined.key_areas == ["Area", "Other"]
        assert [(each.text, each.rank) for each in joined.all_facts()] == [
            ("one", 1), ("two", 2), ("four", 3), ("three", 4),
        ]  # fmt: skip

    @pytest.mark.parametrize("more", [Findings(), Findings(notes=["again"]), findings(fact("one"))])
    def test_nothing_new_changes_nothing(self, more: Findings) -> None:
        """Notes alone change nothing and wake no specialist."""
        old = findings(fact("one"))
        assert add_findings(old, more) is old

    def test_that_nothing_was_found_is_kept(self) -> None:
        """An empty board takes the notes that say so."""
        assert add_findings(Findings(), Findings(notes=["nothing"])).notes == ["nothing"]

    def test_an_area_without_new_facts_is_no_area(self) -> None:
        """Findings that name one fail their check."""
        text = TextFile(path="a.md", text="one\ntwo\n")
        more = Findings(key_areas=["Area", "Empty"], facts={"Area": [fact("two", 2)], "Empty": [fact("one")]})
        joined = add_findings(findings(fact("one")), more)
        check_findings(joined, [text])
        assert joined.key_areas == ["Area"]

    def test_doubts_become_caveats_once(self) -> None:
        """They are added to the existing caveats."""
        limit = fact("but not here", 3)
        doubts = [Doubt(fact="one", against=limit), Doubt(fact="two", against=limit)]
        assert with_doubts(findings(fact("one")), doubts).caveats == [limit]

    @pytest.mark.parametrize("draft", ["", " \n"])
    def test_a_team_without_a_text_reports_the_reasons(self, draft: str) -> None:
        """The error has the reason of each agent; a draft is returned unchanged."""
        away = Failure(path="scout", kind="timeout", message="away", attempt=1)
        with pytest.raises(ValueError, match="nothing was written: scout: away"):
            written(draft, [away], [])
        with pytest.raises(ValueError, match="none wrote a draft"):
            written(draft, [], [])
        assert written("text", [away], []) == "text"

    def test_lists_are_merged_by_turns(self) -> None:
        """First items come first, then second ones; a longer list continues alone."""
        lists = [[fact("a1"), fact("a2"), fact("a3")], [fact("b1")], []]
        assert [each.text for each in by_turns(lists)] == ["a1", "b1", "a2", "a3"]


class TestScout:
    def test_the_first_search_is_short(self, text: Callable[[str], TextFile]) -> None:
        """It takes the most central facts of each area, all from the source; caveats are left to the skeptic."""
        found = scout(TASKS["sourdough.md"], [text("sourdough.md")], Findings(), None)
        check_findings(found, [text("sourdough.md")])
        assert max(len(facts) for facts in found.facts.values()) == FIRST_LOOK
        assert found.caveats == []

    def test_it_looks_for_what_is_missing(self, text: Callable[[str], TextFile]) -> None:
        """The scout adds unknown facts about the gap."""
        texts = [text("sourdough.md")]
        known = scout(TASKS["sourdough.md"], texts, Findings(), None)
        more = scout(TASKS["sourdough.md"], texts, known, [Gap(about="oven")])
        assert more.all_facts()
        assert all("oven" in each.text for each in more.all_facts())
        assert not set(more.all_facts()) & set(known.all_facts())

    def test_a_source_that_was_passed_over_is_read(self, text: Callable[[str], TextFile]) -> None:
        """A source that was passed over is a gap by its path, and is read."""
        texts = [text("sourdough.md"), text("gears.md")]
        known = scout("bread and gears", texts[:1], Findings(), None)
        more = scout("bread and gears", texts, known, [Gap(about="gears.md")])
        assert {each.file for each in more.all_facts()} == {"gears.md"}

    @pytest.mark.parametrize("content", ["", " \n", "word", "```\ncode\n```", "\x00\x01"])
    def test_a_source_without_sentences_gives_notes(self, content: str) -> None:
        """This is not a failure: the notes inform the others."""
        found = scout("task", [TextFile(path="a.md", text=content)], Findings(), None)
        assert (found.all_facts(), len(found.notes)) == ([], 1)
        assert scout("task", [TextFile(path="a.md", text=content)], findings(fact("x")), [Gap(about="y")]) == Findings()


class TestSkeptic:
    @pytest.mark.parametrize("name", TASKS)
    def test_what_it_quotes_is_in_the_source(self, name: str) -> None:
        """Each quotation is in the source, and each doubt is about another fact on the board."""
        text = source(name)
        known = scout(TASKS[name], [text], Findings(), None)
        doubts = skeptic(known, [text])
        check_doubts(doubts, known, [text])
        assert len(doubts) <= MAX_DOUBTS
        assert all(doubt.fact != doubt.against.text for doubt in doubts)

    def test_it_finds_what_limits_a_fact(self) -> None:
        """A fact and its limit share words; limits of something else are left out."""
        text = "Steel bridges carry heavy trains safely.\n\nSteel bridges cannot carry heavy trains in deep frost.\n\n"
        text += "Some plants never bloom without a cold winter."
        known = findings(fact("Steel bridges carry heavy trains safely."))
        (doubt,) = skeptic(known, [TextFile(path="a.md", text=text)])
        assert (doubt.against.line, doubt.against.text) == (3, "Steel bridges cannot carry heavy trains in deep frost.")


class TestSurveyor:
    def test_words_of_the_task_come_first(self) -> None:
        """Then come unused sources, then terms with a single fact."""
        known = findings(fact("Bees make honey in the hive all summer.")).model_copy(update={"key_terms": ["honey"]})
        texts = [TextFile(path=path, text="x") for path in ("a.md", "b.md")]
        gaps = surveyor("How bees and dragons make honey", texts, known)
        assert [gap.about for gap in gaps] == ["dragons", "b.md", "honey"]
        assert gaps[0].why == "no fact speaks of “dragons”"

    def test_there_are_never_many(self) -> None:
        """The number of gaps is limited, and the largest come first."""
        gaps = surveyor("zebra yak walrus vole urchin tapir", [TextFile(path="a.md", text="x")], Findings())
        assert [gap.about for gap in gaps] == ["zebra", "yak", "walrus", "vole"]
        assert len(gaps) == MAX_GAPS

    def test_a_word_inside_a_text_without_blanks_is_there(self) -> None:
        """Chinese and Japanese have no blanks between words."""
        assert surveyor("氷", [], findings(fact("氷は水が凍ったものである。"))) == []


class TestWriterAndReviewer:
    def test_the_brief_treats_doubts_and_names_gaps(self, text: Callable[[str], TextFile]) -> None:
        """The reviewer misses the doubts first; gaps that are words of the task are named in the introduction."""
        task, texts = "How sourdough bread is made by dragons", [text("sourdough.md")]
        known = scout(task, texts, Findings(), None)
        doubts, gaps = skeptic(known, texts), [Gap(about="dragons"), Gap(about="sourdough.md")]
        first = compose(task, known, doubts, gaps, 350, [], "")
        assert "on: dragons." in parse(first).introduction
        judged = judge(task, first, known, doubts, [])
        assert "Limits and caveats" in judged.missed_topics
        assert "Limits and caveats" not in judge(task, first, known, None, []).missed_topics
        second = compose(task, known, doubts, gaps, 350, [judged], first)
        assert any(doubt.against.text.rstrip(".") in second for doubt in doubts)

    def test_without_findings_there_is_no_claim(self) -> None:
        """The brief says that nothing was found."""
        assert "No source material" in compose("task", Findings(), None, [Gap(about="task")], 350, [], "")


class TestEditor:
    def test_the_writer_is_asked_to_revise(self) -> None:
        """The request has the suggestions of the last review."""
        assert ask_again([review(4)], []) == ["say more"]
        assert ask_again([review(4), review(5, suggestions=("cut",))], ["say more"]) == ["cut"]

    @pytest.mark.parametrize(
        "history",
        [
            [],
            [review(8, approved=True)],
            [review(4), review(8, approved=True)],
            [review(4), review(4)],
            [review(4), review(3)],
            [review(score) for score in range(1, MAX_REVISIONS + 2)],
        ],
        ids=["no review", "approved", "approved after revision", "no better", "worse", "often enough"],
    )
    def test_or_nothing_changes(self, history: list[Review]) -> None:
        """If there is nothing to add, nothing changes and no specialist is woken."""
        assert ask_again(history, ["old"]) == ["old"]


class TestQuestions:
    def test_the_scout_is_first_asked_for_all_and_then_for_what_is_missing(self) -> None:
        """The question lists the known facts, so that they are not repeated."""
        texts = [TextFile(path="a.md", text="one\ntwo")]
        first = ask_scout("tides", texts, Findings(), None)
        assert "1| one" in first
        assert "missing" not in first
        later = ask_scout("tides", texts, findings(fact("one")), [Gap(about="the moon")])
        assert "the moon" in later
        assert "one" in later

    def test_the_skeptic_sees_facts_and_sources(self) -> None:
        """The sources have numbered lines."""
        asked = ask_skeptic("tides", [TextFile(path="a.md", text="but not here")], findings(fact("one")))
        assert "1| but not here" in asked
        assert "one" in asked

    def test_a_doubt_about_nothing_goes_back(self) -> None:
        """So does a doubt whose quote is in no source."""
        texts = [TextFile(path="a.md", text="but not here")]
        good = Doubt(fact="one", against=fact("but not here"))
        check_doubts([good], findings(fact("one")), texts)
        with pytest.raises(ValueError, match=r"not facts on the board.*two"):
            check_doubts([good.model_copy(update={"fact": "two"})], findings(fact("one")), texts)
        with pytest.raises(ValueError, match="is nowhere"):
            check_doubts([Doubt(fact="one", against=fact("never"))], findings(fact("one")), texts)


def test_the_sample_is_a_topic_and_texts() -> None:
    """The texts are in the order of their names."""
    topic, texts = sample("write_ahead_log")
    assert "write-ahead log" in topic
    assert [text.path for text in texts] == ["logging.md", "recovery.md", "what_a_commit_costs.md"]
