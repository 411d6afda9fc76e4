"""The line of source below a problem of `check`, with what the problem names underlined."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from graphengine.cli.source_lines import Excerpt, excerpt_of

SOURCE = """graph = Graph("g", State)
graph.add_node("first", work, writes="text")
graph.add_node(
    "second", work,
\twrites="textt", inputs={"n": "numbr"},
)
graph.add_edge("first", "second"); graph.add_edge("second", END, when=value("scor") > 3)
title = "題名"; graph.add_node("third", work, writes="titel")  # and a long comment about nothing at all
class State(TypedDict):
    text: str
"""


def excerpt(folder: Path, line: int, message: str, where: str = "", columns: int | None = None) -> Excerpt | None:
    """Return what is shown of a line of the source."""
    file = folder / "graph.py"
    file.write_text(SOURCE, "utf-8")
    return excerpt_of(str(file), line, message, where, columns)


@pytest.mark.parametrize(
    ("line", "message", "where", "shown", "underlined"),
    [
        (2, "nothing provides 'n'", "node first", 2, '"first"'),
        (3, "writes unknown field 'textt'", "node second", 5, '"textt"'),
        (3, "unknown field 'numbr'", "node second", 5, '"numbr"'),
        (3, "add_node has no option 'inputs'", "", 5, 'inputs={"n": "numbr"}'),
        (7, "unknown field 'scor'", "edge from second", 7, '"scor"'),
        (8, "unknown field 'titel'", "node third", 8, '"titel"'),
        (9, "its fields cannot be read", "", 9, "class State(TypedDict):"),
        (10, "'text' has no default", "field text", 10, "text"),
    ],
)
def test_what_a_problem_names_is_underlined(  # noqa: PLR0913 - a problem and what is shown of it
    tmp_path: Path, line: int, message: str, where: str, shown: int, underlined: str
) -> None:
    """A text, an option, a name, on whatever line of the statement; else its node; else the line."""
    found = excerpt(tmp_path, line, message, where)
    assert found is not None
    assert found.line == shown
    text, carets = found.shown()
    start = cell_len(carets.partition("^")[0])
    begin = next(at for at in range(len(text)) if cell_len(text[:at]) == start)
    assert text[begin:].startswith(underlined)
    assert carets.count("^") == cell_len(underlined)


@given(line=st.integers(1, 10), name=st.sampled_from(["first", "scor", "titel", "x"]), columns=st.integers(1, 120))
def test_the_underlined_part_fits_every_terminal(
    tmp_path_factory: pytest.TempPathFactory, line: int, name: str, columns: int
) -> None:
    """However narrow it is, some of what is meant is seen above the carets."""
    found = excerpt(tmp_path_factory.getbasetemp(), line, f"unknown field '{name}'", "", columns)
    assert found is not None
    room = max(columns, len(f"  {found.line} | ") + 20)
    assert all(cell_len(each) <= room for each in found.shown())
    assert found.columns >= 1


def test_a_file_that_is_gone_or_changed_is_not_shown_or_shown_as_it_is(tmp_path: Path) -> None:
    """There is no line, or one that is no Python now."""
    assert excerpt_of(str(tmp_path / "none.py"), 1, "", "", 80) is None
    assert excerpt(tmp_path, 99, "") is None
    (tmp_path / "broken.py").write_text("graph = (\n")
    assert excerpt_of(str(tmp_path / "broken.py"), 1, "unknown 'graph'", "", None) == Excerpt(1, "graph = (", 0, 9)
