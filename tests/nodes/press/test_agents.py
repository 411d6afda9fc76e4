import inspect
import re
from dataclasses import fields

import pytest

from graphengine import Agent, ScriptedModel
from graphengine.briefs.article import Findings
from graphengine.briefs.publishing import Listing, Site
from nodes.press.agents import (
    TEAM,
    check_edited,
    check_listing,
    check_manuscript,
    editor,
    in_house,
    publisher,
    researcher,
    writer,
)
from nodes.press.stages import Edited, Manuscript
from tests.graphs.press_kit import EDITED, FOUND, LISTED, SOURCE, TEXT, TOPIC, WRITTEN

AGENTS: list[Agent[object]] = [getattr(TEAM, each.name) for each in fields(TEAM)]


def test_what_fits_is_let_through() -> None:
    """These are the answers that the other tests use."""
    check_manuscript(WRITTEN, FOUND, 120)
    check_edited(EDITED, WRITTEN)
    check_listing(LISTED, Site(titles=["Ebb"]), EDITED)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# T\n\nTides [tides.md:3]. More [tides.md:9] [b.md:1].", "there is no finding at tides.md:9, b.md:1"),
        ("# T\n\nTides come and go.", "nothing is cited"),
        ("# T\n\nTides `[tides.md:3]` come.", "nothing is cited"),
        ("word " * 121 + "[tides.md:3]", "has 122 words, 2 more than 120"),
    ],
)
def test_a_text_that_does_not_fit_goes_back(text: str, message: str) -> None:
    """The error has the places, or the number of words."""
    with pytest.raises(ValueError, match=re.escape(message)):
        check_manuscript(Manuscript(text=text), FOUND, 120)


def test_without_findings_nothing_is_to_be_cited() -> None:
    """A text that says that there is nothing cites nothing."""
    check_manuscript(Manuscript(text="The sources say nothing on this."), Findings(), 120)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Here you are, sailor", "the draft has 18 words, the edited text 4"),
        (TEXT + "More " * 21, "the draft has 18 words, the edited text 39: give the whole text, of 7 to 38 words"),
        (TEXT.replace("tides.md:4", "tides.md:5"), "the draft does not cite tides.md:5"),
        (TEXT.replace(" [tides.md:3]", "").replace(" [tides.md:4]", ""), "cites 2 places, the edited text 0"),
    ],
)
def test_an_editor_neither_adds_nor_loses(text: str, message: str) -> None:
    """A remark instead of the text, a longer text, a new claim, and lost citations are refused."""
    with pytest.raises(ValueError, match=re.escape(message)):
        check_edited(Edited(text=text), WRITTEN)


def test_a_title_is_used_once() -> None:
    """A title is used once, whatever its case."""
    with pytest.raises(ValueError, match="called 'Why the sea rises twice a day' already"):
        check_listing(LISTED, Site(titles=["WHY THE SEA RISES TWICE A DAY"]), EDITED)


async def test_an_agents_mistakes_are_reported_to_it() -> None:
    """A description of the wrong length goes back to the publisher's model with its length."""
    short = LISTED.model_dump() | {"description": "Tides."}
    model = ScriptedModel([short, LISTED])
    listed = await publisher.but(model=model).run(topic=TOPIC, edited=EDITED, findings=FOUND, site=Site())
    assert listed == LISTED
    assert "description: has 6 characters and needs 150 to 160: 144 too few" in model.requests[1].prompt


async def test_each_agent_asks_for_what_it_needs_and_no_more() -> None:
    """The editor sees no source and no findings, the publisher no draft; none has a tool."""
    model = ScriptedModel({"researcher": [FOUND], "writer": [WRITTEN], "editor": [EDITED], "publisher": [LISTED]})
    await researcher.but(model=model).run(topic=TOPIC, sources=[SOURCE])
    budget = {"word_budget": 120, "wishes": ["for sailors"], "manuscript": None}
    await writer.but(model=model).run(topic=TOPIC, findings=FOUND, **budget)
    await editor.but(model=model).run(manuscript=WRITTEN)
    await publisher.but(model=model).run(topic=TOPIC, edited=EDITED, findings=FOUND, site=Site(tags=["sea"]))
    asked = {request.agent: request for request in model.requests}
    assert "3| The moon pulls" in asked["researcher"].prompt
    assert "for sailors" in asked["writer"].prompt
    assert "Spring tides" not in asked["writer"].prompt
    assert WRITTEN.text in asked["editor"].prompt
    assert WRITTEN.open_questions[0] not in asked["editor"].prompt
    assert EDITED.text in asked["publisher"].prompt
    assert not any(request.tools for request in model.requests)


async def test_rules_answer_without_a_model() -> None:
    """Each result has the type that the next agent reads, and passes its check."""
    found = await researcher.run(topic=TOPIC, sources=[SOURCE])
    made = await writer.run(topic=TOPIC, findings=found, word_budget=200, wishes=[], manuscript=None)
    edited = await editor.run(manuscript=made)
    listed = await publisher.run(topic=TOPIC, edited=edited, findings=found, site=Site())
    assert [type(each) for each in (found, made, edited, listed)] == [Findings, Manuscript, Edited, Listing]


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_each_agent_is_bounded_cached_and_has_rules(agent: Agent[object]) -> None:
    """Each has a token limit, instructions that a provider can cache, and rules without a model."""
    assert agent.max_tokens is not None
    assert agent.max_tokens <= 4096
    assert agent.cache
    assert agent.offline is not None
    assert inspect.isfunction(agent.offline)


def test_a_house_style_comes_first() -> None:
    """All agents begin with the same text; without a style an agent is unchanged."""
    styled = [str(in_house(agent, "Write plainly.").system) for agent in AGENTS]
    assert all(text.startswith("Write plainly.\n\nYou ") for text in styled)
    assert in_house(writer, "") is writer


def test_a_listing_names_no_file_of_a_source() -> None:
    """A published listing names no file of a source."""
    named = LISTED.model_copy(update={"tags": ["tides.md", "moon", "sea"]})
    with pytest.raises(ValueError, match=r"do not have the file tides\.md"):
        check_listing(named, Site(), EDITED)
