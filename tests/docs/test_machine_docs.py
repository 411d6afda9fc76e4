"""The docs draw the table of the machine."""

from scripts import machine_docs


def test_the_docs_draw_the_table() -> None:
    """The docs draw the table as scripts/machine_docs.py does."""
    text = machine_docs.PAGE.read_text(encoding="utf-8")
    assert machine_docs.drawn(text) == text, "run scripts/machine_docs.py"
