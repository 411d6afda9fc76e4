from graphengine.briefs.areas import OTHER_AREA, name_areas
from graphengine.briefs.text.passages import Statement


def _statements(*headings: tuple[str, ...], file: str = "a.md", text: str = "A ship is here.") -> list[Statement]:
    return [Statement(text, file, line, path) for line, path in enumerate(headings, start=1) for _ in range(2)]


def test_the_shallowest_headings_that_part_the_text_are_areas() -> None:
    """A single title over everything is not an area; the headings below it are."""
    statements = _statements(("T", "A", "a1"), ("T", "A", "a2"), ("T", "B"), ("T", "C"))
    assert sorted(set(name_areas(statements, []))) == ["A", "B", "C"]


def test_headings_with_a_single_statement_are_better_than_terms() -> None:
    """A short report has a sentence or two below each heading, and its author's names say more than its words."""
    paths = [("Audit",), ("Audit", "Scope"), *[("Audit", "Findings")] * 3, ("Audit", "Advice")]
    statements = [
        Statement("The depot keeps a ledger.", "a.md", line, path) for line, path in enumerate(paths, start=1)
    ]
    named = ["Audit", "Scope", "Findings", "Findings", "Findings", "Advice"]
    assert name_areas(statements, ["ledger", "depot"]) == named


def test_text_without_headings_is_parted_by_its_terms() -> None:
    """Statements are grouped by key terms, the others in an area of their own."""
    texts = ["The ship sails.", "A ship sinks.", "The lamp burns.", "Lamps shine.", "Fog rises."]
    statements = [Statement(text, "a.txt", line, ()) for line, text in enumerate(texts, start=1)]
    assert name_areas(statements, ["ship", "lamp"]) == ["Ship", "Ship", "Lamp", "Lamp", OTHER_AREA]


def test_a_text_about_one_thing_is_named_after_its_file() -> None:
    """A text about one thing is one area with the file's name: neither headings nor terms divide it."""
    statements = [Statement("The ship sails.", "docs/sea_travel.txt", 1, ())]
    assert name_areas(statements, ["ship"]) == ["Sea travel"]


def test_equal_headings_of_two_files_stay_apart() -> None:
    """The overview of one file is not the overview of the other."""
    first = _statements(("Ships", "Overview"), ("Ships", "B"), ("Ships", "C"), file="a.md")
    second = _statements(("Lamps", "Overview"), ("Lamps", "D"), ("Lamps", "E"), file="b.md")
    names = name_areas([*first, *second], [])
    assert {"Overview (Ships)", "Overview (Lamps)", "B", "E"} <= set(names)
