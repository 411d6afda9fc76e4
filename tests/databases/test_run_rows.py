"""Rows of runs are read by the names of their columns."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from graphengine.databases.run_lists import Search
from graphengine.databases.run_rows import RunRow, run_of
from graphengine.databases.sqlite import words
from graphengine.databases.sqlite.queries import DOCTOR_SQL, FIRST, SQL, latest_format, migration
from graphengine.databases.sqlite.reads import lists
from graphengine.kernel.store import RunInfo

PAGE = lists.dialect.convert(lists.statements(Search(), {}, {})[0])
ALL = {**SQL, **DOCTOR_SQL, **words.SQL, "page": PAGE}
STATEMENTS = {name: text for name, text in ALL.items() if "wanted_at AS wanted_at" in text}
ROW = RunRow(
    key=7,
    id="r",
    graph="g",
    fingerprint="f",
    status="waiting",
    seq=5,
    created_at=1.0,
    updated_at=2.0,
    parent="p",
    parent_seq=3,
    driver="d",
    fence=0,
    due_at=9.0,
    tags="b\na",
    queue="q",
    priority=4,
    queue_key="t",
    summary=None,
    title="a title",
    user_name="u",
    starter="s",
    root="top",
    depth=2,
    began_with="b",
    deploy="l",
    stop_asked="stop",
    ended_at=8.0,
    nonce="n",
    starter_nonce="m",
    root_nonce="l",
    code="c",
    driven=6.0,
)


def test_a_run_has_what_its_row_says() -> None:
    """Each column becomes the field of its meaning; a driver that is dead holds the run still."""
    expected = RunInfo(
        id="r",
        graph="g",
        fingerprint="f",
        status="waiting",
        seq=5,
        created_at=1.0,
        updated_at=2.0,
        parent="p",
        parent_seq=3,
        driver=None,
        held=True,
        due_at=9.0,
        tags=("a", "b"),
        queue="q",
        priority=4,
        tenant="t",
        queued=True,
        title="a title",
        user="u",
        starter="s",
        root="top",
        depth=2,
        began_with="b",
        deploy="l",
        stop_asked="stop",
        ended_at=8.0,
        code="c",
        nonce="n",
        starter_nonce="m",
        root_nonce="l",
    )
    assert run_of(ROW, "d", ["b", "a"], is_alive=False) == expected
    bare = run_of(ROW._replace(queue_key="", user_name="", fence=1), None, (), is_alive=False)
    assert (bare.tenant, bare.user, bare.queued, bare.held, bare.tags) == (None, None, False, False, ())


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_selects_the_columns_of_a_row(name: str, tmp_path: Path) -> None:
    """They are those of `RunRow`, in its order."""
    text = STATEMENTS[name]
    names = re.findall(r":(\w+)", text)
    values = dict.fromkeys(names, 1) if names else [None] * text.count("?")
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
        for number in range(FIRST, latest_format() + 1):
            for each in migration(number):
                connection.execute(each)
        found = connection.execute(text, values).description
    assert tuple(column[0] for column in found) == RunRow._fields


def test_every_list_of_runs_selects_these() -> None:
    """No statement takes the columns of the view in the order in which its schema has them."""
    assert len(STATEMENTS) > 10
    assert not [name for name, text in ALL.items() if "* FROM run_facts" in text]
