"""A good run of each bundled workflow that asks no person: its input, the answers of its team, and its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from graphengine import TextFile
from graphengine.models import Request
from graphengine.patterns import View
from nodes.citing import Passage, Quotations
from nodes.room.agents import ROLES
from tests.graphs import orchestrator_kit, press_kit, review_kit
from tests.graphs.review_kit import BRIEF, FOUND, MOON, PAGE, TIDES, WIND, judged

ARTICLE: Final = {"task": TIDES.task, "sources": [PAGE]}
LIMITED: Final = f"{BRIEF}\n\nIt does not know the wind [tides.md:8]."
GAP: Final = "the wind"
BOARD: Final[Mapping[str, Any]] = {
    "researcher": [Quotations(quotations=[MOON]), Quotations(quotations=[WIND])],
    "surveyor": [[GAP], []],
    "writer": [BRIEF, LIMITED],
    "reviewer": [judged(8), judged(9)],
}
"""One gap is found and closed; the writer begins before it is, and writes again after it."""
OFFICE: Final[Mapping[str, Any]] = {
    "researcher": [FOUND],
    "writer": [BRIEF, LIMITED],
    "reviewer": [judged(4, "Say more."), judged(8)],
}

READ: Final = ("ebb", "flood", "neap")
SENTENCES: Final = {name: f"The {name} lasts six hours on most coasts." for name in READ}
REPORT: Final = "# Tides\n\nThe ebb lasts six hours [ebb.md:3]."
READING: Final[Mapping[str, object]] = {
    "task": "How long tides last",
    "sources": [TextFile(path=f"{name}.md", text=f"# {name}\n\n{SENTENCES[name]}\n") for name in READ],
}

ROOM: Final = [agent.name for agent in ROLES]
PREMISE: Final[Mapping[str, object]] = {"premise": "Ann finds her late father's second ledger. Episode 2 of 6."}
OUTLINE: Final = "# The Second Ledger\n\nAnn has to choose.\n\n" + "\n".join(
    f"## {name} ({minutes} min)\n\n- Turn {minutes}. (staff_writer)\n- Ends on: and now?\n"
    for name, minutes in [("Cold open", 2), *((f"Act {number}", 10) for number in (1, 2, 3, 4))]
)


def quoted(*names: str) -> Quotations:
    """Return what a reader quotes."""
    return Quotations(quotations=[Passage(text=SENTENCES[name], file=f"{name}.md") for name in names])


def reads(request: Request) -> object:
    """Return what a reader quotes of the source that it sees."""
    return quoted(*(name for name in READ if SENTENCES[name] in request.prompt))


def views(name: str, count: int) -> list[object]:
    """Return this many views of a role that is never done."""
    return [View(text=f"{name}-{number}") for number in range(1, count + 1)]


def room(rounds: int = 2, *others: str) -> dict[str, Any]:
    """Return the answers of a room that uses all of its rounds, and its outline."""
    answers: dict[str, Any] = {name: views(name, rounds) for name in [*ROOM, *others]}
    return {**answers, "showrunner": [*views("showrunner", rounds), OUTLINE]}


@dataclass(frozen=True)
class Scene:
    """A good run.

    Attributes:
        given: Its input.
        answers: Its agents' answers, by their names.
        output: Its result.
        drawn: Words of its picture.
        dry: What the result of a dry run of its example begins with.
    """

    given: Mapping[str, object]
    answers: Mapping[str, Any]
    output: object
    drawn: tuple[str, ...]
    dry: str


def _always(answers: Mapping[str, Any]) -> Mapping[str, Callable[[Request], object]]:
    return {name: lambda request: answers[request.agent][0] for name in answers}


SCENES: Final[Mapping[str, Scene]] = {
    "blackboard": Scene(
        ARTICLE,
        BOARD,
        f"{LIMITED}\n",
        ("scout", "surveyor", "writer", "reviewer", "editor", "report", "nothing written"),
        "[placeholder: writer, call ",
    ),
    "content_queue": Scene(
        {"orders": [{"task": task, "sources": [press_kit.SOURCE]} for task in ("Ebb", "Flood")]},
        _always(press_kit.ANSWERS),
        [press_kit.EDITED.text] * 2,
        ("hand_on",),
        "['[placeholder: editor, call 1]', '[placeholder: editor, call 2]']",
    ),
    "event_bus": Scene(
        ARTICLE,
        OFFICE,
        LIMITED,
        ("researcher", "writer", "reviewer", "inbox", "too many letters", "nothing written"),
        "[placeholder: writer, call 2]",
    ),
    "handoff": Scene(
        press_kit.GIVEN,
        press_kit.says("researcher", "writer", "editor"),
        press_kit.EDITED.text,
        ("research", "write", "edit", "nothing found"),
        "[placeholder: editor, call 1]",
    ),
    "line": Scene(
        orchestrator_kit.GIVEN,
        {
            "researcher": [orchestrator_kit.FOUND],
            "writer": [orchestrator_kit.TEXT, orchestrator_kit.MENDED],
            "reviewer": [orchestrator_kit.REVIEW],
        },
        orchestrator_kit.MENDED,
        ("research", "write", "review", "mend"),
        "[placeholder: writer, call 2]",
    ),
    "orchestrator": Scene(
        orchestrator_kit.GIVEN,
        orchestrator_kit.team(),
        orchestrator_kit.MENDED,
        ("make_plan", "validate", "synthesise", "no answer yet", "out of attempts", "no synthesis", "researcher"),
        "[placeholder: synthesiser, call 1]",
    ),
    "parallel_research": Scene(
        READING,
        {"reader": reads, "merger": [REPORT]},
        REPORT,
        ("work", "too few succeeded"),
        "[placeholder: merger, call 1]",
    ),
    "review_loop": Scene(
        ARTICLE,
        review_kit.says(),
        BRIEF,
        ("research", "write", "review", "good enough", "no longer improving", "out of rounds"),
        "# ",
    ),
    "writers_room": Scene(
        PREMISE,
        room(),
        f"{OUTLINE}\nRoles: {', '.join(ROOM)}. Rounds: 2.\n",
        (*ROOM, "all are done", "out of rounds", "nobody has a view"),
        "[placeholder: showrunner, call 3]\n\nRoles: ",
    ),
}
