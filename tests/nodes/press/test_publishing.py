"""What readers get, and publishing it in a folder and over a webhook."""

import json
from pathlib import Path

import pytest

from nodes.citing import KNOWLEDGE, Passage
from nodes.press.publishing import page_of, post_of, save, with_footnotes
from tests.graphs.press_kit import EDITED, LISTED, MOON, SOURCE, TWO

NAMES = {"a.md:1": "A", "a.md:2": "A", "b.md:1": "B", KNOWLEDGE: ""}


@pytest.mark.parametrize(
    ("text", "body", "cited"),
    [
        ("One [a.md:1]. Two [b.md:1].", "One[^1]. Two[^2].\n\n[^1]: A\n[^2]: B", ["A", "B"]),
        ("One [a.md:1, a.md:2; b.md:1].", "One[^1][^2].\n\n[^1]: A\n[^2]: B", ["A", "B"]),
        (f"Known [{KNOWLEDGE}].", "Known.", []),
        ("See [a.md:1](b.md), x[0] and [^1].", "See [a.md:1](b.md), x[0] and [^1].", []),
        ("Only [c.md:1].", "Only [c.md:1].", []),
    ],
)
def test_citations_become_footnotes(text: str, body: str, cited: list[str]) -> None:
    """One for each source, in the order of the text; other brackets stay."""
    assert with_footnotes(text, NAMES) == (body, cited)


def test_readers_get_titles_and_no_files() -> None:
    """A page of the web is named by its address; a post without a listing is none."""
    web = Passage(text="The moon.", file="https://tides.example/moon")
    draft = EDITED.text + f"\nIt does [{web.place}]."
    post = post_of(LISTED, draft, [MOON, TWO, web], [SOURCE])
    assert post is not None
    assert post.sources == ["Tides of the North Sea", "https://tides.example/moon"]
    assert post.body.startswith("## The moon\n\nThe moon pulls the sea[^1]. Most coasts see two tides[^1].")
    assert "tides.md" not in post.model_dump_json()
    assert post_of(None, draft, [], []) is None


def test_what_a_model_knows_is_marked_as_that() -> None:
    """Readers see that nothing was looked up."""
    post = post_of(LISTED, f"# T\n\nThe moon [{KNOWLEDGE}].", [Passage(text="The moon.", file=KNOWLEDGE)], [])
    assert post is not None
    assert post.body == "The moon.\n\n> Written from what the model knows; nothing was looked up."


def test_a_page_has_front_matter_that_site_generators_read() -> None:
    """Its values are JSON, which is YAML too."""
    post = post_of(LISTED.model_copy(update={"title": 'Tides: "high"'}), EDITED.text, [MOON, TWO], [SOURCE])
    assert post is not None
    _, front, body = page_of(post, 1_800_000_000).split("---\n", 2)
    fields = dict(row.split(": ", 1) for row in front.splitlines())
    assert json.loads(fields["title"]) == 'Tides: "high"'
    assert json.loads(fields["published_at"]) == "2027-01-15T08:00:00+00:00"
    assert body == f"\n{post.body}\n"


def test_a_key_has_one_file_which_is_written_once(tmp_path: Path) -> None:
    """Nothing is written over; another key has a file of its own."""
    first = save(str(tmp_path / "new"), "Tides", "one", "key")
    assert save(str(tmp_path / "new"), "Tides", "two", "key") == first
    assert Path(first).read_text() == "one"
    assert save(str(tmp_path / "new"), "Tides", "two", "other") != first
    assert len(list((tmp_path / "new").iterdir())) == 2


@pytest.mark.parametrize("title", ["../../etc/passwd", "a/b\\c", "..", "\u6f6e\u6c50" * 34, "\U00020000" * 69])
def test_a_title_leads_nowhere_else(tmp_path: Path, title: str) -> None:
    """The file is in the folder, whatever the title and its length."""
    made = Path(save(str(tmp_path / "site"), title, "text", "key"))
    assert made.parent == tmp_path / "site"
    assert made.is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
