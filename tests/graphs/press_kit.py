"""A source, and possible model answers of each agent of a publishing desk."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from graphengine import TextFile
from graphengine.briefs.article import Fact, Findings
from graphengine.briefs.publishing import Listing
from nodes.press.stages import Edited, Manuscript
from tests.conformance.model_scenes import Counted, Received, Says

SOURCE = TextFile(
    path="tides.md",
    text=(
        "# Tides\n\nThe moon pulls the water of the sea towards itself.\n"
        "Most coasts have two high tides and two low tides a day.\n"
        "Spring tides come when sun and moon pull in one line.\n"
    ),
)
TOPIC = "How tides work"
GIVEN: Mapping[str, object] = {"topic": TOPIC, "sources": [SOURCE]}
FACTS = [
    Fact(text="The moon pulls the water of the sea towards itself.", file="tides.md", line=3, rank=1),
    Fact(text="Most coasts have two high tides and two low tides a day.", file="tides.md", line=4, rank=2),
]
FOUND = Findings(
    key_areas=["Tides"], key_terms=["tides", "moon", "coast"], facts={"Tides": FACTS}, sources=["tides.md"]
)
TEXT = "# How tides work\n\n## The moon\n\nThe moon pulls the sea [tides.md:3]. Coasts see two tides [tides.md:4].\n"
WRITTEN = Manuscript(text=TEXT, open_questions=["What the sun does."])
EDITED = Edited(text=TEXT.replace("Coasts see", "Most coasts see"), changes=["Coasts are said to be most coasts."])
DESCRIPTION = (
    "Why most coasts have two tides a day: the moon pulls the water of the sea towards itself. "
    "What that means for whoever lives, sails or builds by the sea"
)
LISTED = Listing(title="Why the sea rises twice a day", description=DESCRIPTION, tags=["tides", "moon", "sea"])
CHECKED = "- supported: The moon pulls the sea [tides.md:3]\n- supported: Most coasts see two tides [tides.md:4]"
ANSWERS: Mapping[str, Sequence[object]] = {
    "researcher": [FOUND],
    "writer": [WRITTEN],
    "editor": [EDITED],
    "publisher": [LISTED],
    "fact_checker": [CHECKED],
}
COUNTED = Counted(input_tokens=1000, cache_read_tokens=500, output_tokens=50)


def by_role(received: Received) -> Says:
    """Return the answer of the agent that sent a request, recognised by its instructions; the order is not fixed."""
    roles: dict[str, BaseModel | str] = {
        "You find out": FOUND,
        "You write posts": WRITTEN,
        "You edit a": EDITED,
        "You list a": LISTED,
        "You check a text": CHECKED,
    }
    (answer,) = (value for words, value in roles.items() if words in received.system)
    text = answer if isinstance(answer, str) else answer.model_dump_json()
    return Says(text, counted=COUNTED)
