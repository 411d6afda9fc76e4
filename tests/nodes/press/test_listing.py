from collections.abc import Callable

import pytest

from graphengine import TextFile
from graphengine.briefs.publishing import CHARACTERS, Site
from graphengine.briefs.researcher import research
from nodes.press.composer import RULES_NOTE, compose
from nodes.press.listing import list_post

LEAST, MOST = CHARACTERS["description"]
SENTENCES = (
    "The moon pulls the water of the sea towards itself.",
    "Most coasts have two high tides and two low tides on each day of the year.",
    "Spring tides come when the sun and the moon pull the sea in one line.",
)
TEXT = "# Tides\n\n## Moon\n\n" + "\n".join(f"{one[:-1]} [a.md:{at}]." for at, one in enumerate(SENTENCES)) + "\n"
TERMS = ["tides", "moon", "sea", "coast", "sun", "line"]


def test_a_listing_is_made_of_the_text() -> None:
    """It uses the heading, the sentences without citations, and the terms."""
    listed = list_post("whatever", TEXT, TERMS, Site())
    assert (listed.title, listed.tags) == ("Tides", ["tides", "moon", "sea", "coast", "sun"])
    assert LEAST <= len(listed.description) <= MOST
    plain = listed.description.removesuffix("\u2026")
    assert " ".join(SENTENCES).startswith(plain)
    assert plain == listed.description or " ".join(SENTENCES)[len(plain)] in " .,"


def test_whole_sentences_are_better_than_cut_ones() -> None:
    """They are used if some of them have the right length together."""
    first, second = "A" + "bcd " * 18 + "efg is one.", "B" + "cde " * 15 + "fgh is two."
    assert LEAST <= len(first) + len(second) + 1 <= MOST
    listed = list_post("t", f"# T\n\n{first} {second} The third one goes on for a while longer.", TERMS, Site())
    assert listed.description == f"{first} {second}"


@pytest.mark.parametrize("name", ["sourdough.md", "lighthouses.txt", "gears.md", "repetitive.md", "hefeteig.md"])
@pytest.mark.parametrize("words", [200, 400])
def test_what_the_rules_write_can_be_listed(name: str, words: int, text: Callable[[str], TextFile]) -> None:
    """This holds for every text with enough content, in any language; the note on the rules is not a description."""
    found = research(name, [text(name)])
    made = compose(name, found, words, [], None)
    listed = list_post(name, made.text, found.key_terms, Site())
    assert "brief" not in listed.description
    assert RULES_NOTE[:20] not in listed.description


@pytest.mark.parametrize(
    "text", ["Ebb.", "# Tides\n", "# Tides\n\nTides come and go with the moon.", "```\ncode\n" * 50]
)
def test_nothing_is_padded(text: str) -> None:
    """A text without enough sentences has no description, and the error says so."""
    with pytest.raises(ValueError, match=r"no description of 150 to 160 characters: it has .* nothing is padded"):
        list_post("tides", text, TERMS, Site())


def test_nothing_is_made_up_for_tags() -> None:
    """With fewer than three terms there are no tags."""
    with pytest.raises(ValueError, match="has 1 key terms"):
        list_post("the tides", TEXT, ["tide", "tides"], Site())


def test_a_model_s_opening_may_be_the_description() -> None:
    """The text before the first section counts if rules did not write it."""
    opening = "Whoever builds by the sea plans for the tide. " * 4
    assert list_post("t", f"# Tides\n\n{opening}\n\n{TEXT}", TERMS, Site()).description.startswith("Whoever builds")


@pytest.mark.parametrize(
    ("heading", "title"),
    [
        ("T" * 69, "T" * 69),
        ("T" * 80, "T" * 68 + "\u2026"),
        (
            "A title of so many words that it cannot stand in a list as it is, is cut",
            "A title of so many words that it cannot stand in a list as it is, is\u2026",
        ),
        ("\u6f6e\u6c50" * 60, "\u6f6e\u6c50" * 34 + "\u2026"),
        ("The `fsync` call", "The fsync call"),
    ],
)
def test_a_title_fits(heading: str, title: str) -> None:
    """It is cut after a word if there are words."""
    made = list_post("t", TEXT.replace("# Tides", f"# {heading}"), TERMS, Site()).title
    assert len(made) <= CHARACTERS["title"][1]
    assert made == title


def test_a_text_without_a_heading_is_called_by_its_topic() -> None:
    """The title is one line."""
    assert list_post("How tides\nwork", " ".join(SENTENCES), TERMS, Site()).title == "How tides work"


def test_what_the_site_has_is_looked_at() -> None:
    """A title that exists gets a number, and existing tags come first, in their spelling."""
    listed = list_post("t", TEXT, TERMS, Site(titles=["tides", "Tides (2)"], tags=["Sun", "LINE", "boats"]))
    assert (listed.title, listed.tags) == ("Tides (3)", ["Sun", "LINE", "tides", "moon", "sea"])
    long = list_post("t", TEXT.replace("# Tides", "# " + "T" * 69), TERMS, Site(titles=["T" * 69])).title
    assert (len(long), long[-4:]) == (69, " (2)")


def test_chinese_and_japanese_are_cut_between_characters() -> None:
    """They have no blanks; whole sentences of a hundred characters do not fit."""
    sentence = (
        "\u6708\u306f\u6d77\u306e\u6c34\u3092\u5f15\u304f\u3068\u8a00\u308f\u308c\u3066\u3044\u308b" * 7 + "\u3002"
    )
    assert not any(LEAST <= count * len(sentence) + count - 1 <= MOST for count in range(1, 5))
    listed = list_post("\u6f6e\u6c50", f"# \u6f6e\u6c50\n\n{sentence * 4}", ["\u6708", "\u6d77", "\u6c34"], Site())
    assert (len(listed.description), listed.description[-1]) == (MOST, "\u2026")


def test_a_row_of_a_table_is_no_description() -> None:
    """A row of a table does not describe a text: sentences are taken instead."""
    row = "What is written: data page; when it must be on disk: at some later time."
    sentences = (
        "The log is a file, or a row of files, to which records are only ever appended. "
        "A record names the transaction, the page and the change, so that recovery can repeat it."
    )
    listing = list_post("Logs", f"# Logs\n\n{row}\n\n{sentences}\n", ["log", "page", "record"], Site())
    assert listing.description.startswith("The log is a file")
