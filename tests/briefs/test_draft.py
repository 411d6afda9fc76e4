import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from graphengine.briefs.article import Fact, Findings
from graphengine.briefs.draft import Claim, Draft, Section, citations, labels, parse, render, without_title

BRIEF = Draft(
    title="Kettles & pots",
    introduction="This brief draws on 1 source.",
    sections=(
        Section("Use", (Claim("A kettle boils `a*b` water.", ("a.md:3",)), Claim('He said "stop."', ("a.md:9",)))),
        Section("Odd ones", (Claim("3. is a * star_ <b> [x] \\ sign.", ("b(1).md:1", "a.md:2")),)),
    ),
    sources=("a.md", "b(1).md: `b[1].md`"),
)


def test_what_is_rendered_is_read_back() -> None:
    """Parsing reverses rendering, including special characters."""
    assert parse(render(BRIEF)) == BRIEF


def test_the_page_is_sound_markdown() -> None:
    """A Markdown library renders the text as written: no stray emphasis, lists, HTML or headings."""
    html = MarkdownIt("commonmark").render(render(BRIEF))
    assert "3. is a * star_ &lt;b&gt; [x] \\ sign [b(1).md:1] [a.md:2]." in html
    assert html.count("<h2>") == 3
    assert "<ol" not in html
    assert "<em>" not in html


WORDS = st.text(alphabet=st.sampled_from("abcXY é*_<>[]#+-`~|\\3"), min_size=1, max_size=12)


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_any_sentence_is_read_back(parts: list[str]) -> None:
    """A round trip preserves a sentence of any characters."""
    text = " ".join(("Start " + " ".join(parts)).split()).replace("`", "'") + " end."
    draft = Draft("T", "", (Section("S", (Claim(text, ("a.md:1",)),)),), ())
    assert parse(render(draft)) == draft


def test_briefs_of_others_are_read() -> None:
    """List items, table rows, several sentences on a line, and citations after the stop are read; code is not text."""
    draft = parse(
        "# T\n\nHello.\n\n## One\n- First is so [a.md:1].\n- Second is so. Third is so. [a.md:2]\n\n"
        "### Two\nNo citation here.\n```\ncode [a.md:9]\n```\n"
        "| a | b |\n|---|---|\n| seven | rows [a.md:3] |\n\n## References\n* a.md\n"
    )
    assert draft.introduction == "Hello."
    assert [(claim.text, claim.citations) for claim in draft.claims()] == [
        ("First is so.", ("a.md:1",)),
        ("Second is so.", ("a.md:2",)),
        ("Third is so.", ("a.md:2",)),
        ("No citation here.", ()),
        ("seven rows", ("a.md:3",)),
    ]
    assert draft.sources == ("a.md",)
    assert parse("") == Draft()


def test_labels_are_as_short_as_they_can_be() -> None:
    """A source is cited by the shortest unique end of its path, without blanks and square brackets."""
    facts = {"A": [Fact(text="x", file="/d/x y[1].md", line=1)]}
    found = labels(Findings(key_areas=["A"], facts=facts, sources=["/a/b/c.md", "/a/d/c.md", "/a/e.md"]))
    assert found == {
        "/a/b/c.md": "b/c.md",
        "/a/d/c.md": "d/c.md",
        "/a/e.md": "e.md",
        "/d/x y[1].md": "x_y(1).md",
    }


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("One [a.md:1]. Two [b c.md:22] [a.md:1].", ["a.md:1", "b c.md:22"]),
        ("Code `x[a:1]` and\n```\n[a.md:2]\n```\nand [a.md:3].", ["a.md:3"]),
        ("~~~\n[a.md:1]\n", []),
        ("A [link](a.md:1) and [1] and [a.md].", []),
    ],
)
def test_the_places_that_a_text_cites(text: str, places: list[str]) -> None:
    """Each cited place is listed once, in order, from the whole text; code does not count."""
    assert citations(text) == places


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("# Tides\n\nText.\n", "Text."),
        ("\n# Tides\nText.", "Text."),
        ("## Tides\n\nText.", "## Tides\n\nText."),
        ("Text.\n\n# Tides", "Text.\n\n# Tides"),
        ("#hash", "#hash"),
        ("# Tides", ""),
    ],
)
def test_a_text_without_its_title(text: str, rest: str) -> None:
    """Only a first heading is removed as the title."""
    assert without_title(text) == rest
