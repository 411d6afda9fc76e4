"""Readers and their merger, each alone."""

from collections.abc import Callable

import pytest

from graphengine import Failure, TextFile
from graphengine.briefs.article import Fact
from graphengine.briefs.writer import OFF_TASK
from graphengine.patterns.outcomes import Outcome
from nodes.reading.agents import ask_reader, check_notes, merger, reader
from nodes.reading.rules import MERGED_POINTS, POINTS, Job, Notes, jobs, merge, quote
from tests.briefs.conftest import TASKS, source

TEXTS = [TextFile(path="a.md", text="Bees make honey."), TextFile(path="b.md", text="Wasps do not.")]


def fact(text: str, line: int = 1, rank: int = 1, file: str = "a.md") -> Fact:
    """Return a fact."""
    return Fact(text=text, file=file, line=line, rank=rank)


def read(*facts: Fact) -> Outcome:
    """Return a reader's outcome."""
    return Outcome(text=Notes(facts=list(facts)).model_dump_json())


@pytest.mark.parametrize(
    ("sources", "specialists", "names"),
    [
        (TEXTS, [], ["a.md", "b.md"]),
        ([], ["security", "cost"], ["security", "cost"]),
        (TEXTS, ["cost", "law"], ["cost on a.md", "law on a.md", "cost on b.md", "law on b.md"]),
        ([], [], []),
    ],
)
def test_the_jobs_are_sources_or_specialists_or_each_on_each(
    sources: list[TextFile], specialists: list[str], names: list[str]
) -> None:
    """Any list is possible."""
    assert [job.name for job in jobs(sources, specialists)] == names


def test_a_reader_sees_its_source_and_no_other() -> None:
    """This holds for two sources with the same path; a specialist also sees its field."""
    twins = [TextFile(path="x.md", text="the first"), TextFile(path="x.md", text="the second")]
    asked = ask_reader("bees", jobs(twins, ["law"])[1], twins)
    assert "1| the second" in asked
    assert "the first" not in asked
    assert "law" in asked


def test_a_specialist_without_a_source_is_asked_for_its_knowledge() -> None:
    """The question says that there is no source."""
    assert "There is no source" in ask_reader("bees", Job(specialist="law"), [])


def test_notes_must_be_in_the_readers_own_source() -> None:
    """A sentence of another source is refused."""
    first, second = jobs(TEXTS, [])
    check_notes(Notes(facts=[fact("Bees make honey.")]), first, TEXTS)
    check_notes(Notes(), second, TEXTS)
    with pytest.raises(ValueError, match=r"the sources are 'b\.md'"):
        check_notes(Notes(facts=[fact("Bees make honey.")]), second, TEXTS)


@pytest.mark.parametrize("notes", [Notes(), Notes(facts=[fact("x")]), Notes(facts=[fact("x")], points=["y"])])
def test_without_a_source_there_are_points_and_no_quotations(notes: Notes) -> None:
    """Notes with the wrong field go back."""
    check_notes(Notes(points=["Bees are insects."]), Job(specialist="biology"), [])
    with pytest.raises(ValueError, match="leave `facts` empty"):
        check_notes(notes, Job(specialist="biology"), [])
    with pytest.raises(ValueError, match="leave `points` empty"):
        check_notes(Notes(points=["y"]), jobs(TEXTS, [])[0], TEXTS)


@pytest.mark.parametrize("name", TASKS)
def test_the_rules_quote_what_is_in_the_source(name: str) -> None:
    """The most central come first, and there are few."""
    text = source(name)
    notes = quote(TASKS[name], jobs([text], [])[0], [text])
    check_notes(notes, jobs([text], [])[0], [text])
    assert 0 < len(notes.facts) <= POINTS
    assert [each.rank for each in notes.facts] == sorted(each.rank for each in notes.facts)


def test_a_field_selects_its_own_quotations(text: Callable[[str], TextFile]) -> None:
    """A specialist takes sentences of its field that a plain reader leaves out."""
    texts = [text("sourdough.md")]
    plain, baker = (quote("bread", jobs(texts, fields)[0], texts) for fields in ([], ["oven and crust"]))
    spoken = [sum("oven" in each.text or "crust" in each.text for each in notes.facts) for notes in (plain, baker)]
    assert spoken[1] > spoken[0]


@pytest.mark.parametrize("content", ["", "word", "# Title only", "\x00"])
def test_a_source_without_sentences_cannot_be_quoted(content: str) -> None:
    """It is a failure, with its path."""
    texts = [TextFile(path="empty.md", text=content)]
    with pytest.raises(ValueError, match=r"empty\.md"):
        quote("task", jobs(texts, [])[0], texts)


def test_rules_know_nothing_without_a_source() -> None:
    """Without a source rules raise an error that says so."""
    with pytest.raises(ValueError, match="rules know nothing of law without a source"):
        quote("task", Job(specialist="law"), [])


def test_notes_are_merged_by_rank_and_each_sentence_once() -> None:
    """Each has its place, and the text says how many were read."""
    first = read(fact("Bees dance to show the way.", 1, 1), fact("Honey keeps for years in the jar.", 2, 2))
    second = read(fact("A hive has one queen.", 5, 1, "b.md"), fact("Honey keeps for years in a jar.", 9, 2, "b.md"))
    merged = merge("Bees", jobs(TEXTS, ["x", "y"])[:3], [first, second, Outcome(failure=_failure())])
    assert merged.splitlines() == [
        "# Bees",
        "",
        "3 quotations from 2 of 3 readings, in the order of the sources; by rules.",
        "",
        "## a.md",
        "",
        "- Bees dance to show the way. [a.md:1]",
        "- Honey keeps for years in the jar. [a.md:2]",
        "",
        "## b.md",
        "",
        "- A hive has one queen. [b.md:5]",
    ]


def test_a_merged_text_stays_short() -> None:
    """It does not grow with the number of readers."""
    words = ("amber", "basalt", "cedar", "dune", "ember", "fjord", "gorge")
    notes = [
        read(*(fact(f"{one} {two} stones roll far away.", at + 1, at + 1) for at, two in enumerate(words)))
        for one in ("north", "south", "east", "west", "upper", "lower")
    ]
    merged = merge("Stones", [Job(source="a.md")] * 6, notes)
    assert merged.count("\n- ") <= MERGED_POINTS


def test_every_agent_has_a_cap_and_the_readers_share_a_cached_beginning() -> None:
    """The beginning is long enough (some 1,024 tokens at 4 characters) to be cached."""
    assert reader.max_tokens is not None
    assert merger.max_tokens is not None
    assert reader.max_tokens < merger.max_tokens
    assert reader.cache
    assert len(str(reader.system)) >= 4 * 1024


def test_the_examples_in_the_guide_pass_its_own_check() -> None:
    """Good examples pass the check, and bad ones do not."""
    lines = [
        line.partition("| ") for line in str(reader.system).splitlines() if line[:2] in {f"{n}|" for n in range(1, 7)}
    ]
    sea = TextFile(path="sea.md", text="\n".join(line[2] for line in lines))
    first = "The moon pulls at the water on the near side more than at the earth, and at the earth more than at the "
    good = [
        fact(f"{first}water on the far side.", 3, file="sea.md"),
        fact(
            "Spring tides come when sun, moon and earth stand in one line; in the Bay of Fundy they reach 16 metres.",
            5,
            file="sea.md",
        ),
    ]
    assert all(each.text in str(reader.system) for each in good)
    check_notes(Notes(facts=good), jobs([sea], [])[0], [sea])
    with pytest.raises(ValueError, match="is nowhere"):
        check_notes(Notes(facts=[fact("The moon attracts the water.", 3, file="sea.md")]), jobs([sea], [])[0], [sea])


def _failure() -> Failure:
    return Failure(path="work[2]", kind="timeout", message="too slow", attempt=1)


def test_quotations_on_something_else_are_reported() -> None:
    """If none of them has a word of the task, the head says so."""
    bees = [read(fact("Bees make honey."))]
    assert OFF_TASK in merge("Quantum gravity", jobs(TEXTS, [])[:1], bees)
    assert OFF_TASK not in merge("Bees", jobs(TEXTS, [])[:1], bees)
    assert OFF_TASK not in merge("Explain how", jobs(TEXTS, [])[:1], bees)
