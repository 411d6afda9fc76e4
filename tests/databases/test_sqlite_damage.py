"""A flipped byte, a truncated file, a torn log: reads return the truth or an error, and the doctor finds it.

`DAMAGE=n` tries n flips instead of 60, `SEED=7` other ones; `DAMAGE=all` tries every byte. `pytest -s`
prints the counts.
"""

# these tests are alone on their loop

import os
import random
import sqlite3
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from graphengine.databases.sqlite import doctor
from graphengine.engine.step_json import encode_step
from graphengine.errors import GraphEngineError, StoreCorrupt, StoreError, UnknownRun, UnknownStep
from graphengine.history.load import load_snapshot
from tests.databases.recorded import RUNS, Facts, facts_of
from tests.databases.support import change, opened

PAGE = 4096
LEAF = 13
"""What a page of rows begins with."""
GIVEN = os.environ.get("DAMAGE", "60")
SEED = os.environ.get("SEED", "")
LISTED = ("list", "due", "info")
"""The reads that return facts about runs without reading their logs."""


@pytest.fixture
def whole(made: Path) -> bytes:
    """The bytes of a database of real runs."""
    return made.read_bytes()


def offsets(size: int) -> list[int]:
    """Return where to flip bytes: half of them anywhere, half in the headers and offsets of pages."""
    if GIVEN == "all":
        return list(range(size))
    chosen = random.Random(f"{GIVEN}{SEED and ' '}{SEED}")  # noqa: S311 - repeatable, not for security
    places = [chosen.randrange(size) for _ in range(int(GIVEN) // 2)]
    for _ in range(int(GIVEN) - len(places)):
        start = chosen.randrange(size // PAGE) * PAGE
        places.append(
            start + chosen.choice([chosen.randrange(12), chosen.randrange(120), PAGE - 1 - chosen.randrange(90)])
        )
    return places


def flipped(whole: bytes, offset: int) -> bytes:
    """Return the bytes with one changed."""
    mask = random.Random(offset).choice([0xFF, 1 << (offset % 8)])  # noqa: S311 - repeatable, not for security
    return whole[:offset] + bytes([whole[offset] ^ mask]) + whole[offset + 1 :]


def put(path: Path, content: bytes) -> None:
    """Write these bytes as the database, and delete its other files."""
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)


def is_clear(error: GraphEngineError) -> bool:
    """Return whether an error states where it happened and what to do."""
    return bool(error.code and error.where and error.repair)


def is_hidden(found: Any, true: Any) -> bool:
    """Return whether it is the truth without its end, as when a damaged page hides rows."""
    return found is None or (isinstance(found, list) and found == true[: len(found)])


def is_earlier(state: Any, steps: Any, truth: Facts) -> bool:
    """Return whether a state is the one after the last of these steps: a damaged page hides those that follow."""
    return (
        isinstance(steps, list) and is_hidden(steps, truth[f"steps {state['run_id']}"]) and state["seq"] == len(steps)
    )


def judge(found: Facts, truth: Facts, counts: Counter[str]) -> bool:
    """Check that each read is true, an error, or lacks an end. Return whether anything differs."""
    differs = False
    for name, value in found.items():
        if isinstance(value, GraphEngineError):
            assert is_clear(value), (name, value)
            assert isinstance(value, StoreError | UnknownRun | UnknownStep), (name, value)
            counts[value.code] += 1
        elif value == truth[name]:
            continue
        elif name.split()[0] in LISTED:
            counts["lists that differ"] += 1
        else:
            was_earlier = name.startswith("state ") and is_earlier(value, found[f"steps {name[6:]}"], truth)
            assert name == "inbox" or was_earlier or is_hidden(value, truth[name]), (name, "a wrong value was read")
            counts["hidden ends"] += 1
        differs = True
    return differs


def seen_by_doctor(path: Path) -> bool:
    """Return whether the doctor finds a fault, or cannot open the file."""
    try:
        return not doctor.examine(path).is_sound
    except StoreError as error:
        return is_clear(error)


async def test_a_flipped_byte_is_detected(path: Path, whole: bytes) -> None:
    """Each read returns what was recorded or a clear error; the doctor finds anything else in lists of runs."""
    truth = await facts_of(path)
    counts: Counter[str] = Counter()
    places = offsets(len(whole))
    for offset in places:
        put(path, flipped(whole, offset))
        try:
            if judge(await facts_of(path), truth, counts):
                counts["flips that showed"] += 1
                assert seen_by_doctor(path), "the doctor finds nothing"
        except BaseException as error:
            error.add_note(f"byte {offset}, page {offset // PAGE + 1}")
            raise
    print(f"\nbytes flipped: {len(places)} of {len(whole)}; {dict(counts)}")  # noqa: T201 - the counts
    assert counts["flips that showed"] > len(places) // (20 if SEED else 10)


async def test_a_file_cut_off_anywhere(path: Path, whole: bytes) -> None:
    """Each read of a truncated file returns what was recorded or a clear error, and the doctor finds the truncation."""
    truth = await facts_of(path)
    counts: Counter[str] = Counter()
    chosen = random.Random(f"lengths {SEED}")  # noqa: S311 - repeatable, not for security
    lengths = [*range(0, len(whole), PAGE), *(chosen.randrange(len(whole)) for _ in range(40))]
    for length in lengths:
        put(path, whole[:length])
        judge(await facts_of(path), truth, counts)
        assert seen_by_doctor(path), length
    print(f"\ntruncations: {len(lengths)}; {dict(counts)}")  # noqa: T201 - the counts


async def test_a_read_that_fails_does_not_stop_the_next_ones_from_seeing_what_was_written(
    path: Path, whole: bytes
) -> None:
    """Also while its error is held."""
    change(path, "UPDATE steps SET body = '{}' WHERE run = 1")
    async with opened(path) as store:
        with pytest.raises(StoreCorrupt) as caught:
            await load_snapshot(store, "done", None)
        await store.tag("asks", ["new"])
        assert (await store.info("asks")).tags == ("new",)
        assert caught.value.__traceback__ is not None


async def test_a_damaged_snapshot_costs_time_only(path: Path, whole: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A run is read from an older snapshot, or from its log, and a warning is logged once."""
    truth = await facts_of(path)
    change(path, "UPDATE snapshots SET body = 'x' || body WHERE id IN (SELECT max(id) FROM snapshots GROUP BY run)")
    caplog.clear()
    assert await facts_of(path) == truth
    warned = [record.getMessage() for record in caplog.records if "snapshot" in record.getMessage()]
    assert len(warned) == len(set(warned)) > 0
    change(path, "UPDATE snapshots SET body = 'x' || body")
    assert await facts_of(path) == truth


async def test_an_id_that_leads_elsewhere_is_found(path: Path, whole: bytes) -> None:
    """A damaged index of ids neither hides a run nor returns another one's log."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_runs_1'"
        (root,) = connection.execute(query).fetchone()
    at = whole.index(b"asks", (root - 1) * PAGE)
    assert whole[at + 4] == 2  # its key
    for entry in (b"azks\x02", b"asks\x04"):
        put(path, whole[:at] + entry + whole[at + 5 :])
        found = await facts_of(path)
        assert all(isinstance(found[f"{name} asks"], StoreCorrupt) for name in ("info", "state", "steps"))
        assert {finding.code for finding in doctor.examine(path).faults} == {"index"}
        assert doctor.repair(path).report.is_sound
        assert not isinstance((await facts_of(path))["state asks"], GraphEngineError)


# -- repairing


async def readable(path: Path) -> dict[tuple[str, int], bytes]:
    """Return every step that can be read, one by one."""
    found: dict[tuple[str, int], bytes] = {}
    with suppress(GraphEngineError):
        async with opened(path, read_only=True) as store:
            for run_id in RUNS:
                for seq in range(1, 40):
                    with suppress(GraphEngineError):
                        steps = await store.steps(run_id, seq - 1, seq)
                        found.update({(run_id, step.seq): encode_step(step) for step in steps})
    return found


def leaves(whole: bytes, root: int) -> list[int]:
    """Return where the pages of a table's rows begin, for a table of at most two levels."""
    page = (root - 1) * PAGE
    if whole[page] == LEAF:
        return [page]
    cells = [page + at for at in numbers(whole, page + 12, rows_of(whole, page))]
    children = [int.from_bytes(whole[at : at + 4]) for at in (*cells, page + 8)]
    return [(child - 1) * PAGE for child in children]


def numbers(whole: bytes, start: int, count: int) -> list[int]:
    """Return numbers of two bytes each."""
    return [int.from_bytes(whole[at : at + 2]) for at in range(start, start + 2 * count, 2)]


def rows_of(whole: bytes, page: int) -> int:
    """Return how many rows a page has."""
    return numbers(whole, page + 3, 1)[0]


@pytest.mark.parametrize(
    ("table", "least", "row", "has_other_id"),
    [("texts", 1, 1, False), ("steps", 6, -2, False), ("steps", 6, -2, True), ("steps", 6, 1, True)],
    ids=[
        "nothing is read from the beginning",
        "a cursor reads ahead, and fails with a good row",
        "a scan ends early",
        "at the start",
    ],
)
async def test_a_damaged_row_costs_none_beside_it(  # noqa: PLR0913 - where the damage is, and which
    path: Path,
    whole: bytes,
    table: str,
    least: int,
    row: int,
    has_other_id: bool,  # noqa: FBT001 - as above
) -> None:
    """A search for a row beside it can meet it too, so rows are also read as the next ones of others.

    The damage is a pointer to the middle of another row (out of the page, it would be to what happens to be in memory
    there), or an id that is larger than those that follow, which can end a scan.
    """
    truth = await readable(path)
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    for page in (page for page in leaves(whole, root) if rows_of(whole, page) >= least):
        pointer = page + 8 + 2 * (row % rows_of(whole, page))
        damaged = whole[:pointer] + b"\x0f\xf0" + whole[pointer + 2 :]
        if has_other_id:
            at = page + numbers(whole, pointer, 1)[0]  # its size takes two bytes, and its id five
            damaged = whole[:at] + b"\xff\x7f" + b"\xff\xff\xff\xff\x7f" + whole[at + 7 :]
        put(path, damaged)
        before = await readable(path)
        assert before
        doctor.repair(path)
        after = await readable(path)
        assert before.items() <= after.items() <= truth.items()
        lost = {seq for run_id, seq in truth if (run_id, seq) not in after}
        # At most that row and one beside it which no search finds, and none of the next run on its page.
        assert not has_other_id or max(lost) - min(lost) <= 1


async def test_a_repair_loses_no_readable_step(path: Path, whole: bytes) -> None:
    """After random damage readable steps stay readable, nothing else is read, and a second check finds no more."""
    truth = await readable(path)
    chosen = random.Random(f"damage {SEED}")  # noqa: S311 - repeatable, not for security
    counts: Counter[str] = Counter()
    rounds = 4000 if GIVEN == "all" else int(GIVEN) // 12
    for number in range(rounds):
        damaged = bytearray(whole)
        for _ in range(chosen.choice([1, 1, 2, 5])):
            start = chosen.choice([chosen.randrange(len(whole)), chosen.randrange(len(whole) // PAGE) * PAGE])
            length = chosen.choice([1, 1, 8, 64, 600, PAGE])
            damaged[start : start + length] = chosen.randbytes(min(length, len(whole) - start))
        put(path, bytes(damaged))
        before = await readable(path)
        try:
            repaired = doctor.repair(path)
        except StoreError as error:
            counts[f"refused: {error.code}" if is_clear(error) else "unclear"] += 1
            assert path.read_bytes() == bytes(damaged)
            continue
        finally:
            for copy in path.parent.glob("*before-repair*"):
                copy.unlink()
        after = await readable(path)
        try:
            assert before.items() <= after.items()
            assert after.items() <= truth.items()
            again = doctor.examine(path)
            assert again == repaired.report
            assert not any(finding.repairable for finding in again.findings)
        except AssertionError as error:
            error.add_note(f"round {number}")
            raise
        counts["sound" if again.is_sound else "faults remain"] += 1
        counts["steps saved"] += len(after) - len(before)
        counts["steps lost"] += len(truth) - len(after)
    print(f"\ndamaged and repaired: {rounds}; {dict(counts)}")  # noqa: T201 - the counts
    assert counts["sound"]
    assert not counts["unclear"]
