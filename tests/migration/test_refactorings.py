"""The table of refactorings in the documentation: each of its cells is what really happens to a run that waits."""

from typing import Any

import pytest

from tests.migration.refactorings import COLUMNS, NO_CELL, REFACTORINGS, deploy, rows

UNSAFE = ("a call without `ctx.call`", "the node becomes a graph")
"""Rows in which an effect whose end a person has told is done again.

A call without `ctx.call` is not protected. The nodes of a graph do not look at what was recorded around the graph.
"""
TABLE = dict(rows())
CELLS = [(name, column) for name, columns in REFACTORINGS.items() for column in columns]


def test_the_table_and_the_refactorings_have_the_same_rows() -> None:
    """Each row of the table is a refactoring of the same name, and has a cell where the refactoring has a change."""
    assert [*TABLE] == [*REFACTORINGS]
    cells = {(name, column) for name, row in TABLE.items() for column, cell in row.items() if cell != NO_CELL}
    assert cells == {*CELLS}


@pytest.mark.parametrize(("name", "column"), CELLS)
async def test_a_cell_of_the_table_is_what_happens(name: str, column: str) -> None:
    """A run that waits for a person is resumed under the refactored program, as its cell in the table says."""
    assert (await deploy(column, name)).word == TABLE[name][column]


@pytest.mark.parametrize("name", [name for name, column in CELLS if column == "an effect" and name not in UNSAFE])
async def test_an_effect_without_an_end_is_asked_about_in_each_row(name: str) -> None:
    """If an effect began, and its end is not recorded, a person is asked whatever was refactored: it is done once."""
    outcome = await deploy("an effect", name, breaks=True)
    assert (outcome.questions > 0, outcome.done) == (True, 1)


@pytest.mark.parametrize("column", COLUMNS)
async def test_each_run_of_a_deployment_asks_for_itself(column: str, database: Any) -> None:
    """Of several runs that wait, in a database, each asks one question, and does nothing twice."""
    outcome = await deploy(column, "taken away", database, runs=3)
    assert (outcome.questions, outcome.done) == (0 if column == "a plain call" else 3, 3)
