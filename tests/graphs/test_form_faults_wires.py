"""Every bundled workflow on three wires with models whose form is at fault: each ends with a result that names it.

The scenes are faults of form, not of content: brackets that are text, a fence around the answer, chatter before it, no
title, too many words, a place that nobody found, a quotation that is not literal, an outline in another form. The calls
of the strong model are counted: what can be mended later is not asked for again.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from graphengine import Graph, Runner
from graphengine.patterns import Decision, View
from graphs import (
    blackboard,
    content_pipeline,
    content_queue,
    event_bus,
    handoff,
    line,
    orchestrator,
    parallel_research,
    review_loop,
    writers_room,
)
from nodes.citing import Passage, Quotations
from nodes.press.agents import Edited
from tests.conformance.model_scenes import Received, Says
from tests.graphs.orchestrator_kit import ACCEPT, FIND, WRITE
from tests.graphs.press_kit import LISTED, MOON, SOURCE, TASK, TEXT, TWO
from tests.graphs.review_kit import judged
from tests.kit.extras import skip_without
from tests.models.adapters import NAMES as WIRES
from tests.models.edge_server import EdgeServer

skip_without("anthropic", "openai", "genai_prices")

ORDER: Final[Mapping[str, Any]] = {"task": TASK, "sources": [SOURCE], "word_budget": 100}
FOUND: Final = Quotations(quotations=[MOON, TWO])
INVENTED: Final = Quotations(quotations=[MOON, Passage(text="The moon is made of cheese.", file="tides.md"), TWO])
BRACKETS: Final = f"""{TEXT}
- [x] A list of counts is a `dict[str, int]`, as xs[0] says [1] and a note[^1] too; "[t]he moon" is meant.

```python
def tide(heights: dict[str, int]) -> list[int]:
    return [heights[name] for name in ("high", "low")]
```

[^1]: A note.
"""
LONG: Final = TEXT + "\nWater rises and falls along most coasts. " * 60
UNTITLED: Final = TEXT.removeprefix("# How tides work\n\n")
PREMISE: Final[Mapping[str, Any]] = {"premise": "Ann finds her late father's second ledger.", "rounds": 1}
PARTS: Final = [("Cold open", 2), *((f"Act {number}", 10) for number in (1, 2, 3, 4))]
OUTLINE: Final = "# The Second Ledger\n\nAnn has to choose.\n\n" + "\n".join(
    f"## {name} ({minutes} min)\n\n- She burns the chart. (staff_writer)\n" for name, minutes in PARTS
)
OF_SEED: Final = """EPISODE 6 — "Chain of Custody"  (cold open + 4 acts, ~42 min)

Act 1: Detective finds the doctored file; chooses silence (showrunner: this is the moral pivot).
Act 2: She tests the theory; staff-writer adds the evidence-locker set piece.
Act 3: Mentor senses she knows (editor trimmed a redundant interrogation).
Act 4: Cliffhanger — she pulls the original case file (continuity: callback to E2 partner death)."""


GRAPHS: Final[Mapping[str, Graph[Any]]] = {
    "review_loop": review_loop.graph,
    "parallel_research": parallel_research.graph,
    "orchestrator": orchestrator.graph,
    "line": line.graph,
    "blackboard": blackboard.graph,
    "event_bus": event_bus.graph,
    "handoff": handoff.graph,
    "content_pipeline": content_pipeline.graph,
    "content_queue": content_queue.graph,
}
CALLS: Final = Counter(dict.fromkeys(GRAPHS, 1)) + Counter(orchestrator=1, line=1)
"""How often a good run calls what writes: a step and the synthesis, a draft and what is made of its review."""
SCENES: Final[Mapping[str, tuple[str, str]]] = {  # what is written, and the fault that the result names, "" for none
    "brackets are text": (BRACKETS, ""),
    "a fence around it": (f"```markdown\n{TEXT}```", ""),
    "chatter before it": (f"Here is the brief:\n\n{TEXT}", ""),
    "chatter and a fence": (f"Sure! Here is the brief:\n\n```md\n{TEXT}```\nAnything else?", ""),
    "no title": (UNTITLED, "it has no title"),
    "too long": (LONG, "words, and"),
    "a place that nobody found": (TEXT.replace("tides.md:4", "tides.md:99"), "nothing was found at tides.md:99"),
}
WRITERS: Final = ("You write", "You are the writer", "You make one")


class Team:
    """Answers each agent by its instructions; those who write always with the same text."""

    def __init__(self, text: str, found: Quotations = FOUND) -> None:
        self.asked = Counter[str]()
        planned = f'{{"answer": [{FIND.model_dump_json()}, {WRITE.model_dump_json()}]}}'
        self._answers: dict[str, str | Callable[[str], str]] = {
            **dict.fromkeys(WRITERS, text),
            "You find what sources say": found.model_dump_json(),
            "You read for a writer": found.model_dump_json(),
            "You look for what is missing": '{"answer": []}',
            "You review the draft": judged(8).model_dump_json(),
            "You edit": lambda draft: Edited(text=draft).model_dump_json(),
            "You list": LISTED.model_dump_json(),
            "You lead a team": planned,
            "You say whether": ACCEPT.model_dump_json(),
            "You are the reviewer of a team": "- Say how often.",
        }

    def __call__(self, received: Received) -> Says:
        """Return the answer of the agent that a call is for."""
        (opening,) = (each for each in self._answers if received.system.startswith(each))
        self.asked["writes" if opening in WRITERS else opening] += 1
        answer = self._answers[opening]
        return Says(answer if isinstance(answer, str) else answer(received.turns[0].text))


async def result_of(name: str, model: str, folder: Path) -> str:
    """Return the text that a workflow makes; what is to be published is approved."""
    graph, given = GRAPHS[name], {"orders": [ORDER]} if name == "content_queue" else ORDER
    async with Runner(models={"*": model}) as runner:
        if name != "content_pipeline":
            result = await runner.start(graph, given).result()
            return "\n".join(result.output) if isinstance(result.output, list) else str(result.output)
        run = runner.start(graph, {**given, "site": str(folder)})
        waiting = await run.result()
        await run.answer(Decision(verdict="approve"))
        published = await runner.resume(run.id, graph).result()
        assert [str(file) for file in folder.iterdir()] == [published.state.published]
        return str(waiting.state.output)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("model", WIRES)
@pytest.mark.parametrize("name", GRAPHS)
async def test_a_fault_of_form_is_named_and_nothing_is_written_again(
    provider: EdgeServer, tmp_path: Path, name: str, model: str, scene: str
) -> None:
    """The text is the result; where there was no fault, as it was written."""
    text, fault = SCENES[scene]
    provider.answer(team := Team(text))
    result = await result_of(name, model, tmp_path)
    assert team.asked["writes"] == CALLS[name]
    if fault:
        assert f"> To be mended: {fault}" in result or fault in result.partition("> To be mended: ")[2]
        assert "The moon pulls the sea [tides.md:3]" in result
    else:
        assert result.startswith((BRACKETS if scene == "brackets are text" else TEXT).rstrip())
        assert "To be mended" not in result


@pytest.mark.parametrize("model", WIRES)
@pytest.mark.parametrize("name", GRAPHS)
async def test_a_quotation_that_is_not_literal_is_left_out_and_the_others_are_kept(
    provider: EdgeServer, tmp_path: Path, name: str, model: str
) -> None:
    """Only the cheap researcher is asked again; the text rests on what is there."""
    provider.answer(team := Team(TEXT, INVENTED))
    result = await result_of(name, model, tmp_path)
    assert result.startswith(TEXT.rstrip())
    assert team.asked["writes"] == CALLS[name]
    asked = [turn.text for call in provider.received() for turn in call.turns if call.system.startswith(WRITERS)]
    assert any(MOON.text in text for text in asked)
    assert not any("cheese" in text for text in asked)


@pytest.mark.parametrize(
    ("outline", "kept", "faults", "calls"),
    [
        (OUTLINE.replace("## Act 1 (10 min)", "## Act 1: The turn (10 minutes)"), "## Act 1: The turn", [], 1),
        (f"Here is the outline:\n\n```markdown\n{OUTLINE}```", OUTLINE.rstrip(), [], 1),
        (OF_SEED, OF_SEED, ["it has no title", "add up to 0 minutes"], 2),
        (OUTLINE.replace("(10 min)", "(9 min)"), "## Act 4 (9 min)", ["add up to 38 minutes"], 2),
    ],
    ids=["a title of an act", "fence and chatter", "as in the text that it is made after", "a wrong sum"],
)
@pytest.mark.parametrize("model", WIRES)
async def test_an_outline_is_sent_back_once_and_then_kept_with_its_faults(  # noqa: PLR0913 - the parameters of a case
    provider: EdgeServer, model: str, outline: str, kept: str, faults: list[str], calls: int
) -> None:
    """By the room's own model; the roles are not asked again."""
    asked = Counter[str]()

    def answer(received: Received) -> Says:
        closes = received.system.startswith("You run a television series")
        asked["closes" if closes else "role"] += 1
        return Says(outline if closes else View(text="A view.").model_dump_json())

    provider.answer(answer)
    async with Runner(models={"*": model}) as runner:
        output = str((await runner.start(writers_room.graph, PREMISE).result()).output)
    assert kept in output
    assert asked == {"role": 4, "closes": calls}
    assert all(fault in output.partition("> To be mended: ")[2] for fault in faults)
    assert bool(faults) == ("To be mended" in output)
