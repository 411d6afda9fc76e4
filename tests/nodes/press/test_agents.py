"""The agents of the press: what each is asked, what is refused, and what never counts as a text."""

import pytest

from nodes.citing import KNOWLEDGE, Passage
from nodes.press.agents import Edited, check_edited, check_listing, editor, publisher, stages, writer
from tests.graphs.press_kit import EDITED, FOUND, LISTED, MOON, REFUSAL, TEXT


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (REFUSAL, "it has no title"),
        ("# Tides\n\nThe moon [tides.md:3].", "give the whole text"),
        (TEXT + "And more. " * 30, "give the whole text"),
        (TEXT.replace("tides.md:4", "tides.md:5"), "does not cite tides.md:5"),
        (TEXT.replace(" [tides.md:4]", "").replace(" [tides.md:3]", ""), "keep the citations"),
    ],
)
def test_an_editor_neither_adds_nor_loses(text: str, complaint: str) -> None:
    """Nor refuses: the message says what is wrong."""
    check_edited(EDITED, TEXT, FOUND.quotations)
    with pytest.raises(ValueError, match=complaint):
        check_edited(Edited(text=text), TEXT, FOUND.quotations)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"title": "T" * 70}, "`title` has 70 characters and needs 1 to 69"),
        ({"description": "d" * 171}, "`description` has 171 characters and needs 150 to 160"),
        ({"tags": ["moon", "Moon", "sea"]}, "a tag is there twice"),
        ({"title": "All of tides.md"}, "readers do not have tides.md"),
    ],
)
def test_a_listing_that_does_not_fit_is_counted(change: dict[str, object], complaint: str) -> None:
    """Models cannot count characters, so the message does."""
    check_listing(LISTED, TEXT, FOUND.quotations)
    with pytest.raises(ValueError, match=complaint):
        check_listing(LISTED.model_copy(update=change), TEXT, FOUND.quotations)


def test_each_agent_is_bounded_and_none_has_a_tool() -> None:
    """So no model can publish."""
    assert {agent.name: agent.settings.max_tokens for agent in (writer, editor, publisher)} == {
        "writer": 4096,
        "editor": 4096,
        "publisher": 512,
    }
    assert not any(agent.tools for agent in (writer, editor, publisher))
    assert list(stages()) == ["research", "write", "edit", "list"]


def test_the_writer_reads_lines_and_its_last_draft_only_with_a_review() -> None:
    """Findings are no JSON, and nothing is sent twice."""
    prompt = writer.prompt
    assert callable(prompt)
    asked = str(prompt("How tides work", [MOON, Passage(text="Known.", file=KNOWLEDGE)], 400, TEXT, []))
    assert f"[tides.md:3] {MOON.text}\n[{KNOWLEDGE}] Known." in asked
    assert "last draft" not in asked
