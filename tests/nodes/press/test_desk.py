import pytest

from graphengine import Failure
from graphengine.briefs.publishing import Site
from graphengine.patterns import Decision
from nodes.press.desk import as_markdown, notes_of, question, unedited
from nodes.press.stages import Edited
from tests.graphs.press_kit import CHECKED, EDITED, LISTED, SOURCE, TEXT, WRITTEN


def test_an_unedited_text_is_marked() -> None:
    """It is the writer's text, word for word, with the reason."""
    made = unedited(WRITTEN, Failure(path="edit", kind="bad_answer", message="no"))
    assert (made.text, made.is_edited, made.changes) == (TEXT, False, ["None: the editor failed (bad_answer)."])


def test_a_text_without_a_listing_is_markdown() -> None:
    """An earlier listing does not belong to this text."""
    made = as_markdown(EDITED, [SOURCE])
    assert (made["form"], made["listing"]) == ("markdown", None)
    assert made["output"].startswith("# How tides work\n\n## The moon\n\nThe moon pulls the sea[^1].")
    assert "tides.md" not in made["output"]


def test_a_person_is_shown_what_is_to_be_published() -> None:
    """The question has title, description, tags, text, edits, open questions and the site's posts."""
    asked = question(LISTED, EDITED, WRITTEN, Site(titles=["Ebb"]), "blog", f"{CHECKED}\n- not found: Whales like it.")
    for expected in (
        f"Title: {LISTED.title}",
        f"Description: {LISTED.description}",
        "Tags: tides, moon, sea",
        "Edited: Coasts are said to be most coasts.",
        "Open: What the sun does.",
        "Facts checked: 2 of 3 are supported.\n- not found: Whales like it.",
        "Words: 19. Places cited: 2. Posts in blog: 1.",
        "Most coasts see two tides [tides.md:4].",
    ):
        assert expected in asked
    assert "# How tides work" not in asked
    bare = question(LISTED, Edited(text=TEXT, is_edited=False), WRITTEN, Site(), "blog", "")
    assert "No editor has seen it.\nOpen: What the sun does.\nThe facts were not checked." in bare


@pytest.mark.parametrize(
    ("decision", "notes"),
    [
        (Decision(verdict="revise", note="shorter"), ["shorter"]),
        (Decision(verdict="revise", note="  "), []),
        (Decision(verdict="approve", note="nice"), []),
        (Decision(verdict="reject", note="no"), []),
    ],
)
def test_only_who_sends_a_post_back_wishes_for_something(decision: Decision, notes: list[str]) -> None:
    """Praise is not a wish."""
    assert notes_of(decision) == notes
