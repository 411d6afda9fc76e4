from collections.abc import Callable

import pytest

from graphengine import TextFile
from graphengine.briefs.article import Findings
from graphengine.briefs.evidence import check_findings
from nodes.orchestration.handover import Memory, in_words
from nodes.orchestration.rules import MAX_LINES, look_over, look_up, quote_code, sources_for, sum_up, write_up
from tests.kit.review_team import cut

JOB = "How bicycle gears work and how to care for them"
CODE = TextFile(
    path="code.md",
    text="Install it.\n\n```sh\npip install x\n```\n\nA query that reads tides:\n\n```sql\nSELECT tide;\n```\n",
)


@pytest.fixture(name="findings")
def findings_fixture(text: Callable[[str], TextFile]) -> Findings:
    """Return the findings on gears."""
    return look_up(JOB, [text("gears.md")], {})


@pytest.mark.parametrize(
    ("step", "paths"),
    [
        ("Tides", ["a.md", "b/a.md", "notes.txt"]),
        ("In these sources: a.md", ["a.md"]),
        ("Look into b/a.md.", ["b/a.md"]),
        ("What is in notes.txt, and in a.md?", ["a.md", "notes.txt"]),
        ("What is in data.md?", ["a.md", "b/a.md", "notes.txt"]),
    ],
)
def test_a_step_reads_the_sources_that_it_names(step: str, paths: list[str]) -> None:
    """They are named by their whole paths; if none is named, all are read."""
    sources = [TextFile(path=path, text="A.") for path in ("a.md", "b/a.md", "notes.txt")]
    assert [source.path for source in sources_for(step, sources)] == paths


def test_a_lookup_quotes_the_sources(text: Callable[[str], TextFile]) -> None:
    """It is quoted word for word, only from the named sources."""
    sources = [text("gears.md"), text("sourdough.md")]
    found = look_up(f"{JOB}\nIn these sources: gears.md", sources, {})
    check_findings(found, sources)
    assert found.sources == ["gears.md"]


def test_what_was_asked_in_earlier_runs_is_a_note(text: Callable[[str], TextFile]) -> None:
    """A question of an earlier run is a note, not a fact."""
    memory = Memory(run_id="r1", job=JOB, step="How gears slip", outcome="…", relevance=0.5)
    found = look_up(JOB, [text("gears.md")], {"researcher": [memory], "writer": [memory]})
    assert found.notes == ["similar question in run r1: How gears slip"]


def test_a_source_without_a_sentence_is_an_error() -> None:
    """The step fails with the reason."""
    with pytest.raises(ValueError, match=r"no sentence that can be quoted was found in a\.md"):
        look_up(JOB, [TextFile(path="a.md", text="")], {})


def test_a_text_is_written_reviewed_and_revised(findings: Findings) -> None:
    """It uses the results as texts, in any order; the second text is better."""
    needed = {"facts": in_words(findings), "noise": "{not json", "more": "A remark."}
    first = cut(write_up(JOB, needed, 350))
    judged = look_over(JOB, {"text": first, **needed})
    second = write_up(JOB, {**needed, "text": first, "review": in_words(judged)}, 350)
    assert look_over(JOB, {**needed, "text": second}).score > judged.score


def test_a_text_without_results_makes_no_claims() -> None:
    """A text without results makes no claims."""
    assert "makes no claims" in write_up(JOB, {}, 350)


def test_there_has_to_be_a_text_to_review() -> None:
    """The error names the results that exist."""
    with pytest.raises(ValueError, match="no text to review among facts"):
        look_over(JOB, {"facts": "{}"})


def test_a_summary_takes_the_first_sentence_of_each_section(findings: Findings) -> None:
    """Without a text it takes the most central facts; without these it fails."""
    text = "# Gears\n\nOf gears.\n\n## Chains\n\nA chain wears [a.md:1].\nIt rusts.\n\n## Teeth\n\nTeeth bend.\n"
    assert sum_up({"text": text}) == "- A chain wears.\n- Teeth bend."
    points = sum_up({"facts": in_words(findings)}).splitlines()
    assert points[0] == f"- {findings.all_facts()[0].text}"
    assert len(points) == 5
    with pytest.raises(ValueError, match="nothing to sum up among no results"):
        sum_up({})


def test_the_code_that_fits_a_step_best_comes_first() -> None:
    """It has file and line, and fences that its content cannot break."""
    quoted = quote_code("Which query reads the tides?", [CODE])
    assert quoted.startswith("From code.md, line 9:\n\n```\nSELECT tide;\n```")
    tricky = TextFile(path="a.md", text="~~~\n```\n~~~\n")
    assert quote_code("x", [tricky]).splitlines()[2:] == ["````", "```", "````"]


def test_long_code_is_cut_with_a_mark() -> None:
    """The last line marks the cut."""
    long = TextFile(path="a.md", text="```\n" + "x = 1\n" * 100 + "```\n")
    lines = quote_code("x", [long]).splitlines()
    assert (len(lines), lines[-2]) == (MAX_LINES + 5, "…")


def test_sources_without_code_are_an_error() -> None:
    """The step fails; the coder by rules writes no code."""
    with pytest.raises(ValueError, match=r"no block of code in a\.md"):
        quote_code("x", [TextFile(path="a.md", text="A.")])
