from collections.abc import Callable

import pytest

from graphengine import TextFile
from graphengine.briefs.text import passages
from graphengine.briefs.text.passages import Statement, read
from graphengine.briefs.text.sentences import split

MARKDOWN = """\
---
title: This is front matter and no statement at all.
---
# Kettles

A *kettle* boils [water](https://example.org/a_b) for tea.
The lid `closes` the pot, and steam
cannot leave it. It hisses.

![A picture of a kettle that is no sentence.](kettle.png)

```sh
echo "The code of a fence is not a statement."
```

    echo "Nor is the code of an indented block."

| kettle | litres | price  |
|--------|-------:|--------|
| steel  |    1.7 | 39 EUR |

[Only a link is not a statement at all.](https://example.org)

## Care

- Vinegar takes the limescale out of a kettle.
- descaler
- A kettle must be rinsed after the cleaning

> The handle stays cool in a well made kettle.
"""


def _read(text: str, path: str = "kettle.md") -> list[Statement]:
    return read(TextFile(path=path, text=text))


def test_markdown_gives_prose_with_lines_and_headings() -> None:
    """Prose and rows of tables become statements; each has its line and the headings above it."""
    assert [(one.line, one.headings, one.text) for one in _read(MARKDOWN)] == [
        (6, ("Kettles",), "A kettle boils water for tea."),
        (7, ("Kettles",), "The lid `closes` the pot, and steam cannot leave it."),
        (20, ("Kettles",), "Kettle: steel; litres: 1.7; price: 39 EUR."),
        (26, ("Kettles", "Care"), "Vinegar takes the limescale out of a kettle."),
        (28, ("Kettles", "Care"), "A kettle must be rinsed after the cleaning"),
        (30, ("Kettles", "Care"), "The handle stays cool in a well made kettle."),
    ]


@pytest.mark.parametrize("path", ["tides.md", "tides.txt"])
def test_a_long_paragraph_is_read_in_pieces(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece ends with a sentence, and each sentence keeps its line: what splits them takes quadratic time."""
    lengths: list[int] = []

    def noting(text: str) -> list[tuple[int, str]]:
        lengths.append(len(text))
        return split(text)

    monkeypatch.setattr(passages, "split", noting)
    sentences = [f"The tide of day {day} is higher than the one before." for day in range(1, 1001)]
    found = _read("\n".join(sentences), path)
    assert [(one.line, one.text) for one in found] == [*enumerate(sentences, start=1)]
    assert max(lengths) <= passages.MOST_CHARACTERS + 1


def test_line_ends_of_windows_change_nothing() -> None:
    """CRLF and lone CR give the same statements as LF, and a byte order mark is ignored."""
    expected = _read(MARKDOWN)
    assert _read("\ufeff" + MARKDOWN.replace("\n", "\r\n")) == expected
    assert _read(MARKDOWN.replace("\n", "\r")) == expected


PLAIN = """\
KETTLES

A kettle boils the water for tea in
three minutes. The lid keeps the steam inside the pot::

    code that is indented after a mark is skipped here.

1. Care

* Vinegar takes ``limescale`` out of the pot.
* :ref:`Citric acid <acid>` does the same at a lower price.

Safety
------
.. note:: The text of a directive is left out here.

+------+------+
| a    | b    |
+------+------+

The handle stays cool in a kettle that is well made.
"""


def test_plain_text_has_paragraphs_and_headings() -> None:
    """Upper-case, numbered and underlined lines are headings; code, directives and drawings are skipped."""
    assert [(one.line, one.headings, one.text) for one in _read(PLAIN, "kettle.txt")] == [
        (3, ("Kettles",), "A kettle boils the water for tea in three minutes."),
        (10, ("Kettles", "Care"), "Vinegar takes `limescale` out of the pot."),
        (11, ("Kettles", "Care"), "`Citric acid` does the same at a lower price."),
        (21, ("Kettles", "Safety"), "The handle stays cool in a kettle that is well made."),
    ]


def test_a_file_without_an_ending_is_judged_by_its_content() -> None:
    """README is read as Markdown if it has Markdown headings, otherwise as plain text."""
    assert _read("# Kettles\n\nA kettle boils water for us all.\n", "README")[0].headings == ("Kettles",)
    assert _read("Kettles\n=======\n\nA kettle boils water for us all.\n", "README")[0].headings == ("Kettles",)


@pytest.mark.parametrize("text", ["", " \n\t\n", "```\ncode\n```\n", "# Only a heading stands here\n", "\x00"])
@pytest.mark.parametrize("path", ["a.md", "a.txt", "a"])
def test_text_without_prose_gives_nothing(text: str, path: str) -> None:
    """There are no statements, and no error."""
    assert _read(text, path) == []


@pytest.mark.parametrize("path", ["a.md", "a.txt"])
def test_control_characters_are_blanks(path: str) -> None:
    """No control character gets into a statement, and so none into a brief or a database."""
    statements = _read("A kettle\x00 boils water\x1b for tea\x0c in three minutes.\n", path)
    assert [one.text for one in statements] == ["A kettle boils water for tea in three minutes."]


@pytest.mark.parametrize("name", ["sourdough.md", "lighthouses.txt", "gears.md"])
def test_the_line_is_where_the_sentence_starts(name: str, text: Callable[[str], TextFile]) -> None:
    """The first two words of every statement are on the line it names, or on it and the next."""
    source = text(name)
    lines = source.text.split("\n")
    statements = [one for one in read(source) if not one.is_data]
    assert len(statements) > 15
    for one in statements:
        opening = " ".join(one.text.split()[:2])
        assert opening in " ".join(lines[one.line - 1 : one.line + 1])
        assert one.text.split()[0] in lines[one.line - 1]


def _data(text: str, path: str = "a.md") -> list[tuple[int, str]]:
    """Return the line and text of each row and of each list entry that is not a sentence."""
    return [(one.line, one.text) for one in _read(text, path) if one.is_data]


def test_a_list_entry_follows_what_introduces_it() -> None:
    """Alone it would mean nothing, or the opposite; in another list, all that is above introduces it."""
    text = """\
# Ferry

The ferry sails all year. It does not take:

- dogs in cars
- bicycles
- gas bottles:
  - of more than 5 kg

## Not covered

1. Damage by water
2. storms
"""
    expected = [
        (5, "It does not take: dogs in cars"),
        (6, "It does not take: bicycles"),
        (8, "It does not take: gas bottles: of more than 5 kg"),
        (12, "Not covered: Damage by water"),
    ]
    assert _data(text) == expected
    assert _data(text, "page.html") == expected


def test_a_list_entry_of_plain_text_follows_what_introduces_it() -> None:
    """The line above is in the same paragraph or in the one before."""
    text = "We need these for the trip:\n\n- two tents of nylon\n- rope\n\nLeft at home:\n* the old stove\n* 3 lamps\n"
    assert _data(text, "a.txt") == [
        (3, "We need these for the trip: two tents of nylon"),
        (4, "We need these for the trip: rope"),
        (7, "Left at home: the old stove"),
        (8, "Left at home: 3 lamps"),
    ]


@pytest.mark.parametrize("entry", ["- see the table below", "- [a link](https://example.org)", "- why so?", "- a.py"])
def test_a_list_entry_that_says_nothing_is_no_statement(entry: str) -> None:
    """Links, names, questions and pointers to elsewhere."""
    assert _data(f"# Kettles\n\n{entry}\n") == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.csv", 'Line,Price,Note\nNorth,12 EUR,"two\nlines"\n\nSouth,,-\nEast,"9,50 EUR",\n'),
        ("a.csv", 'Line;Price;Note\nNorth;12 EUR;"two\nlines"\n\nSouth;;-\nEast;9,50 EUR;\n'),
        ("a.tsv", 'Line\tPrice\tNote\nNorth\t12 EUR\t"two\nlines"\n\nSouth\t\t-\nEast\t9,50 EUR\t\n'),
    ],
)
def test_rows_of_separated_values_are_statements(path: str, text: str) -> None:
    """Each has the line on which it begins; empty cells are left out, and a row with one cell says nothing."""
    assert _data(text, path) == [
        (2, "Line: North; Price: 12 EUR; Note: two lines."),
        (6, "Line: East; Price: 9,50 EUR."),
    ]


def test_a_table_without_headings_keeps_its_first_row() -> None:
    """A number in the first row shows that it has no headings."""
    assert _data("North,12,1\nSouth,9,2\n", "a.csv") == [(1, "North; 12; 1."), (2, "South; 9; 2.")]


def test_a_long_row_keeps_its_subject() -> None:
    """Each sentence of its cells becomes a statement with the first cell."""
    long = " ".join(["word"] * 20)
    text = f"| Part | Use | Care |\n|---|---|---|\n| Lid | {long}. It closes. | {long} |\n"
    assert [row for _, row in _data(text)] == [
        f"Part: Lid; Use: {long}.",
        "Part: Lid; It closes.",
        f"Part: Lid; Care: {long}.",
    ]
