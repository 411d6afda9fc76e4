"""The comparison of a recorded step with today's."""

from graphengine.engine.step_json import FACTS
from graphengine.records.replay.step_diff import COMPARED, SHOWN_OF_EDGES


def test_it_compares_fields_that_steps_have() -> None:
    """Each name that it reads from the JSON of facts is a field of some kind of step."""
    fields = {name for facts in FACTS.values() for name in facts.__struct_fields__}
    assert {*SHOWN_OF_EDGES, *(name for part in COMPARED.values() for name in part.facts)} <= fields
