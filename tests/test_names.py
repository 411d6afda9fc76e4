"""Names: a function is a verb, and one name is one thing; the figures here only shrink, see `scripts.names`."""

from scripts.names import is_participle, measured

PARTICIPLES = 544
"""How many functions begin with a participle."""
REPEATED = 640
"""How many definitions of module level have a name that another module defines too."""


def test_no_change_brings_more_of_them() -> None:
    """Name a new function by a verb, and not as one of another module; who removes one lowers the figure."""
    found = measured()
    assert len(found.participles) <= PARTICIPLES, "python -m scripts.names; a new function begins with a participle"
    assert found.again <= REPEATED, "python -m scripts.names; a new name is that of something in another module"


def test_a_participle_is_known_by_its_form() -> None:
    """Irregular ones too; verbs that end alike are none."""
    names = ["_listed", "list_runs", "shown", "show", "bring", "feed", "kept_token", "spending_of", "seed", "need"]
    assert [name for name in names if is_participle(name)] == ["_listed", "shown", "kept_token", "spending_of"]
