import pytest

from graphengine.briefs.draft import citations
from nodes.press.copy_editor import edit
from tests.briefs.conftest import loop_on

NOTHING = ["Nothing: the rules found nothing to cut."]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("It is important to note that the sea rises.", "The sea rises."),
        ("In order to sail, wait for the tide.", "To sail, wait for the tide."),
        ("The tide turns due to the fact that the earth turns.", "The tide turns because the earth turns."),
        ("A log has the ability to grow.", "A log can grow."),
        ("Waves are very high and really loud here.", "Waves are high and loud here."),
        ("Actually, the moon pulls the sea.", "The moon pulls the sea."),
    ],
)
def test_filler_goes(before: str, after: str) -> None:
    """The sentence is whole without it."""
    edited = edit(before)
    assert edited.text.casefold() == after.casefold()
    assert edited.text[:1].isupper()
    assert [change.split(":")[0] for change in edited.changes] == ["words of filler cut"]


@pytest.mark.parametrize(
    "text",
    [
        "The sea is not very deep here.",
        "This is the very place where it began.",
        "It was a really old lamp, and an actually good one.",
        "The option `very verbose` prints more.",
        'The keeper said "I am very tired" and slept.',
        "See [a very long story](https://example.org/very_long) on tides.",
        "# A very long heading",
        "> A very old saying.",
        "| a very | wide table |",
        "    very = indented",
        "```\nvery = 1  # in order to test\n```",
        "Das Meer ist sehr tief.",
        "\u6f6e\u6c50\u3068\u306f\u6d77\u9762\u306e\u6607\u964d\u3067\u3042\u308b\u3002",
        "Ebb",
    ],
)
def test_what_no_rule_is_safe_for_stays(text: str) -> None:
    """Meaning, quotations, code, links, headings, tables and other languages stay unchanged."""
    edited = edit(text)
    assert (edited.text, edited.changes) == (text, NOTHING)


def test_a_repeated_sentence_is_removed() -> None:
    """A repetition goes, literal or nearly so; the first sentence and all others stay."""
    text = (
        "# Tides\n\n## Moon\n\nThe moon pulls the water of the sea. Ships wait for it.\n"
        "\n## Sea\n\nHarbours are deep.\nThe moon pulls the water of the sea [a.md:3].\n"
    )
    edited = edit(text)
    assert edited.text.count("The moon pulls") == 1
    assert edited.text == text.replace("The moon pulls the water of the sea [a.md:3].\n", "")
    assert edited.changes == ["repeated sentences cut: 1"]


def test_a_section_keeps_its_only_sentence() -> None:
    """A repeated sentence stays if its section would be empty without it."""
    text = "## Moon\n\nThe moon pulls the water of the sea.\n\n## Sea\n\nThe moon pulls the water of the sea.\n"
    assert edit(text).text == text


def test_a_long_sentence_is_divided_and_each_half_keeps_the_citation() -> None:
    """A half without one would be an untraceable claim."""
    text = (
        "- The great lens of the old tower on the northern point weighs more than four tonnes with its frame; "
        "it turns on a bath of mercury that has to be filtered by the keepers every other year [a.md:3].\n"
    )
    edited = edit(text)
    first, second = edited.text.rstrip().split(" [a.md:3].")[:2]
    assert (first[:2], second.strip()[:8]) == ("- ", "It turns")
    assert edited.changes == ["long sentences divided or shortened: 1"]


def test_the_list_of_sources_stays() -> None:
    """The list of sources stays, since it is not running text."""
    text = "# T\n\n## Sources\n\n- A very long name of a source that is really quoted here.\n"
    assert edit(text).text == text


def test_an_edited_text_has_nothing_left_to_edit() -> None:
    """On drafts of all test texts the remaining lines keep their order, and no citation is new."""
    for name in ("sourdough.md", "lighthouses.txt", "gears.md", "thin.md", "repetitive.md", "hefeteig.md"):
        for draft in loop_on(name).drafts:
            edited = edit(draft)
            assert edit(edited.text).text == edited.text
            assert set(citations(edited.text)) <= set(citations(draft))


@pytest.mark.parametrize(
    "text", ["x", "\n\n# \n", "```", "- ", "1. a", "a.b.c", "\ufeff# T\r\nVery. Very. Very.", "?" * 9]
)
def test_odd_texts_come_back(text: str) -> None:
    """Nothing raises, and nothing is invented."""
    assert edit(text).text.split() == text.split()
