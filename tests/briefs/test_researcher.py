from collections.abc import Callable
from pathlib import Path

import pytest

from graphengine import TextFile
from graphengine.briefs import researcher
from graphengine.briefs.article import Fact, Findings
from graphengine.briefs.researcher import research
from graphengine.briefs.text import survey
from graphengine.briefs.text.words import mentions, stem_sequence


def test_facts_are_quotations(text: Callable[[str], TextFile]) -> None:
    """Every fact is in its file word for word, and belongs to one of the areas."""
    source = text("lighthouses.txt")
    findings = research("How lighthouses guide ships", [source])
    flat = " ".join(source.text.split())
    assert len(findings.all_facts()) > 20
    assert list(findings.facts) == findings.key_areas
    assert all(fact.text in flat and fact.file == "lighthouses.txt" for fact in findings.all_facts())


def test_areas_follow_the_sources_and_facts_their_weight(text: Callable[[str], TextFile]) -> None:
    """Areas are in reading order; within one the most central fact comes first."""
    findings = research("How bicycle gears work", [text("gears.md")])
    assert findings.key_areas == ["Bicycle gears", "Derailleurs", "Hub gears", "The chain", "Choosing ratios"]
    for facts in findings.facts.values():
        assert [fact.rank for fact in facts] == sorted(fact.rank for fact in facts)


def test_every_key_term_is_in_a_fact(text: Callable[[str], TextFile]) -> None:
    """A writer can use every term, because some fact has it."""
    findings = research("Sourdough", [text("sourdough.md")])
    known = [stem_sequence(fact.text) for fact in findings.all_facts()]
    assert len(findings.key_terms) > 10
    assert all(any(mentions(one, term) for one in known) for term in findings.key_terms)


def test_the_task_selects_the_facts(text: Callable[[str], TextFile]) -> None:
    """Two tasks on the same texts select different facts, each about its task."""
    sources = [text("gears.md"), text("lighthouses.txt"), text("sourdough.md")]
    fog, salt = research("fog horns", sources), research("salt and gluten", sources)
    assert "fog" in fog.all_facts()[0].text
    top = [fact for fact in salt.all_facts() if fact.rank <= 5]
    assert top[0].file == "sourdough.md"
    assert any("gluten" in fact.text for fact in top)
    assert not any("gluten" in fact.text for fact in fog.all_facts() if fact.rank <= 5)


def test_a_word_of_the_task_is_never_lost(text: Callable[[str], TextFile], monkeypatch: pytest.MonkeyPatch) -> None:
    """If a source mentions a word of the task, some fact does, even if few facts are kept."""
    monkeypatch.setattr(researcher, "FACTS_PER_AREA", 1)
    findings = research("The paste on a bicycle chain", [text("gears.md")])
    assert any("paste" in fact.text for fact in findings.all_facts())


def test_caveats_limit_or_warn(text: Callable[[str], TextFile]) -> None:
    """Sentences that say what does not hold are separate."""
    caveats = [fact.text for fact in research("Lighthouses", [text("lighthouses.txt")]).caveats]
    assert any("cannot be jammed" in one or "not reliable" in one for one in caveats)


def test_a_repeated_statement_is_one_fact() -> None:
    """A sentence that two files share word for word counts once, for the first."""
    text = "A kettle boils water for tea in about three minutes.\n"
    findings = research("kettle", [TextFile(path="a.md", text=text), TextFile(path="b.md", text=text)])
    assert [(fact.file, fact.line) for fact in findings.all_facts()] == [("a.md", 1)]
    assert findings.notes == ["b.md: no sentence that can be quoted was found"]


def test_one_sentence_is_enough() -> None:
    """A text of one sentence gives one fact."""
    text = "A kettle boils water for tea in about three minutes."
    assert research("tea", [TextFile(path="a.txt", text=text)]).all_facts() == [
        Fact(text=text, file="a.txt", line=1, rank=1)
    ]


@pytest.mark.parametrize("texts", [[], [""], ["", "# Heading\n"], ["```\nx = 1\n```\n"]])
def test_no_text_is_an_error_with_a_repair(texts: list[str]) -> None:
    """Without a sentence to quote the research fails, and says what to pass."""
    sources = [TextFile(path=f"{at}.md", text=text) for at, text in enumerate(texts)]
    with pytest.raises(ValueError, match="pass"):
        research("anything", sources)


def test_long_texts_are_cut_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """Excess characters or statements are left out, with a note; every section keeps its first ones."""
    monkeypatch.setattr(survey, "MAX_CHARACTERS", 4_000)
    monkeypatch.setattr(survey, "MAX_STATEMENTS", 20)
    sections = [
        f"## Part {part}\n\n" + " ".join(f"Ship {part}x{at} sails over the sea to port {at}y." for at in range(9))
        for part in range(12)
    ]
    findings = research("ships", [TextFile(path="a.md", text="\n\n".join(sections))])
    assert findings.notes[0].startswith("a.md: only the first 4,000 of ")
    assert "20 were weighed" in findings.notes[1]
    assert max(fact.rank for fact in findings.all_facts()) <= 20


def test_findings_survive_json(text: Callable[[str], TextFile]) -> None:
    """Findings are unchanged by a round trip through JSON, and the empty ones are empty."""
    findings = research("Der Teig", [text("hefeteig.md")])
    assert Findings.model_validate_json(findings.model_dump_json()) == findings
    assert Findings() == Findings.model_validate_json("{}")


def test_the_example_of_the_workflow_has_rich_findings() -> None:
    """The bundled sample, in any order of its files, gives at least five areas and thirty facts."""
    folder = Path(__file__).parents[2] / "graphengine" / "briefs" / "samples" / "write_ahead_log"
    sources = [TextFile(path=one.name, text=one.read_text("utf-8")) for one in sorted(folder.glob("*.md"))]
    findings = research((folder / "topic.txt").read_text("utf-8"), sources)
    assert len(findings.key_areas) >= 5
    assert len(findings.all_facts()) >= 30
    assert findings.notes == []
