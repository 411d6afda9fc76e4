import pytest

from graphengine.briefs.text.editing import shorten


@pytest.mark.parametrize(
    ("sentence", "pieces"),
    [
        (
            "The keeper (who mostly lived alone on the rock) lit the lamp at dusk.",
            ["The keeper lit the lamp at dusk."],
        ),
        (
            "The lens of the tower weighs a tonne; it turns on a bath of mercury.",
            ["The lens of the tower weighs a tonne.", "It turns on a bath of mercury."],
        ),
        (
            "A worn chain climbs up the teeth, so a rider changes it in time.",
            ["A worn chain climbs up the teeth.", "A rider changes it in time."],
        ),
        (
            "The keeper lit the lamp at dusk, but the ship did not see it.",
            ["The keeper lit the lamp at dusk.", "But the ship did not see it."],
        ),
        (
            "The lamp \u2014 a large one with four wicks \u2014 burned oil from dusk to dawn.",
            ["The lamp burned oil from dusk to dawn."],
        ),
    ],
)
def test_asides_go_and_clauses_become_sentences(sentence: str, pieces: list[str]) -> None:
    """A long sentence loses its asides first, and is then cut between two whole clauses."""
    assert shorten(sentence, 9) == pieces


@pytest.mark.parametrize(
    "sentence",
    [
        "Short sentences stay (with their asides).",
        "If the lamp goes out at night, the ship runs on the rock.",
        "The keeper cleaned the lens, the lamp, the stairs and the windows of the tower.",
        "The baker takes flour and water from the mill, and the salt from the old mine.",
        "The keeper may leave the tower (unless a storm is near) in summer and in spring.",
        "Call `open(path); the rest follows in the next line of code` on the server at night.",
    ],
)
def test_what_cannot_be_cut_safely_stays(sentence: str) -> None:
    """Conditions, lists and code are not cut."""
    assert shorten(sentence, 9) == [sentence]
