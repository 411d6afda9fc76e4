"""What becomes of values of many types, as docs/use/types.md has it. `UPDATE_PAGES=1` rewrites the page."""

from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import ConfigDict

from tests.docs.values import INSTEAD, copies, installed, rows, verdict
from tests.kit import golden

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "use" / "types.md"
HEAD: Final = """# Types of values

What becomes of a value that a node writes, for the next node, a process that resumes the run, a branch, an export and a
replay. A test makes this page: it writes each value, records it, reads the record, and compares all that there is to
see, set fields, zones and private attributes included. Nothing changes in silence: a value is kept, or converted to
what the field declares, or refused with what to do. Only a lone surrogate in a text, as scraped pages have them, which
no database takes, becomes U+FFFD.

The record of a value is its JSON, with all fields of a model, so that a default that changes later changes no recorded
value. What JSON lacks is a mark in it: the names of a model's set fields are under `__fields_set__` unless all are set,
a time has the name of its zone, `2026-10-25T02:30:00+01:00[Europe/Berlin]` ([RFC
9557](https://www.rfc-editor.org/rfc/rfc9557)), or `[_fold=1]`, and a set is in the order of its JSON. `__unrecorded__ =
("_cache",)` in a model names private attributes that are left out, and `"model_fields_set"` that all fields count as
set when it is read.

What is valid only in its time, a path that exists or a date in the future, is checked when it is written, and not when
it is read. If a record cannot be read as its field, the error is `record_unreadable`.

Three things are not looked for, and go: the name of a fixed offset (`BST` of `timezone(timedelta(hours=1), "BST")`),
attributes that a dataclass has besides its fields, and the subclass of a list or dict that an attribute of a dataclass
or model holds without validation, other than what the attribute declares.
"""
ROWS: Final = list(rows())


@pytest.mark.parametrize(("kind", "values", "config"), [row[2:] for row in ROWS], ids=[row[1] for row in ROWS])
@pytest.mark.filterwarnings("ignore::pydantic.json_schema.PydanticJsonSchemaWarning")
def test_a_large_list_goes_as_one_value_does(kind: Any, values: list[object], config: ConfigDict) -> None:
    """The shortcuts for large values lose nothing that small ones keep."""
    for value in values:
        alone = verdict(kind, value, config)
        if alone != "refused when the graph is checked":
            many = [value] * copies(kind, value, config)
            assert verdict(list[kind], many, config).split()[0] == alone.split()[0]


@pytest.mark.filterwarnings("ignore::pydantic.json_schema.PydanticJsonSchemaWarning")
def test_the_page_says_what_becomes_of_each() -> None:
    """Each value of a row goes the same way, and what is refused has what to write in its place."""
    lines, group = [HEAD], ""
    for title, words, kind, values, config in ROWS:
        if title != group:
            lines += ["", f"| {title} | becomes | note |\n|---|---|---|"]
            group = title
        found = {verdict(kind, value, config) for value in values}
        assert len(found) == 1, (words, found)
        becomes, note = found.pop(), INSTEAD.get(words, "")
        assert note or not becomes.startswith("refused"), f"{words} is {becomes}: say what to write in its place"
        cells = [each.replace("|", r"\|") for each in (words, becomes, note)]
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |"))
    written = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.exists() else []
    lines += ["", "| numpy and pandas, where installed | becomes | note |\n|---|---|---|"]
    for words, given in installed().items():
        known = next((line for line in written if line.startswith(f"| {words} |")), "")
        lines.append(f"| {words} | {verdict(given[0], given[1], ConfigDict())} | |" if given else known)
    golden.check(PAGE, "\n".join([*lines, ""]))
