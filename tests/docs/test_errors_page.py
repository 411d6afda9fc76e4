"""docs/use/errors.md is generated from the error classes."""

import re
from collections import Counter
from pathlib import Path

from graphengine import GraphEngineError
from scripts import error_docs, site_pages

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "use" / "errors.md").read_text(encoding="utf-8")
CODE = r'(?:<a id="\w+"></a>)?`(\w+)`'


def test_the_page_is_up_to_date() -> None:
    """The page is what scripts/error_docs.py writes."""
    assert error_docs.page() == PAGE, "docs/use/errors.md is not up to date; run python -m scripts.error_docs"


def test_every_error_has_one_row() -> None:
    """Every error has one row, in the table of its nearest group; public ones with their class."""
    rows = Counter(re.findall(rf"(?m)^\| {CODE} \|", PAGE.partition("## Problems of a graph")[0]))
    assert rows == Counter(made.code for made in error_docs.classes())
    for path, made in site_pages.public_classes().items():
        assert not issubclass(made, GraphEngineError) or f"`{path.removeprefix('graphengine.errors.')}`: " in PAGE


def test_every_problem_and_every_error_of_a_command_has_an_example() -> None:
    """The codes without a class have a row with a text."""
    rows = dict(re.findall(rf"(?m)^\| {CODE} \| (.+) \|$", PAGE.partition("## Problems of a graph")[2]))
    assert rows.keys() == error_docs.problem_codes() | error_docs.command_codes()
    assert {"two_otherwise", "dead_end", "unknown_node", "graph_file_broken", "not_running"} <= rows.keys()


def test_every_code_has_an_address() -> None:
    """`errors.md#unbounded_loop` leads to its first row, and no code has the address of a heading."""
    anchors = re.findall(r'(?m)^\| <a id="(\w+)"></a>`(\w+)` \|', PAGE)
    codes = re.findall(rf"(?m)^\| {CODE} \|", PAGE)
    headings = {title.lower().replace(" ", "-") for title in re.findall(r"(?m)^#+ (.+)$", PAGE)}
    assert anchors == [(code, code) for code in dict.fromkeys(codes)]
    assert not headings & {*codes}
