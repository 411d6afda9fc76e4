"""Shared parts of the tests of workers: a source, what is found in it, a plan, and the answers of a team."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from graphengine import TextFile
from graphengine.patterns import Step
from nodes.citing import Passage, Quotations
from nodes.orchestration.agents import Verdict

SOURCE: Final = TextFile(path="tides.md", text="The moon raises tides twice a day.\n\nThe sun raises smaller tides.\n")
GIVEN: Final[Mapping[str, object]] = {"task": "What makes tides?", "sources": [SOURCE]}
FOUND: Final = Quotations(quotations=[Passage(text="The moon raises tides twice a day.", file="tides.md")])
LINES: Final = "[tides.md:1] The moon raises tides twice a day."
TEXT: Final = "# Tides\n\nThe moon raises them [tides.md:1]."
REVIEW: Final = "- Say how often."
MENDED: Final = "# Tides\n\nThe moon raises them twice a day [tides.md:1]."

ACCEPT: Final = Verdict(outcome="accept")
FIND: Final = Step(id="find", role="researcher", input="What the moon does.")
WRITE: Final = Step(id="write", role="writer", input="A paragraph.", needs=["find"])
PLAN: Final = [FIND, WRITE]


def team(**others: Any) -> dict[str, Sequence[object]]:
    """Return answers of an orchestrator's team whose first attempt is accepted, except for the given ones."""
    usual: dict[str, Sequence[object]] = {
        "planner": [PLAN],
        "researcher": [FOUND],
        "writer": [TEXT],
        "validator": [ACCEPT],
        "synthesiser": [MENDED],
    }
    return {**usual, **others}


def retry(reason: str, *redo: str) -> Verdict:
    """Return a verdict that asks for another attempt."""
    return Verdict(outcome="retry", reasons=[reason], redo=list(redo))
