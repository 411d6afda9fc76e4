"""A backup is one moment of a database, made in one pass beside processes that write."""

import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from graphengine.databases.sqlite import backup, doctor
from graphengine.databases.sqlite.files import APPLICATION_ID
from graphengine.databases.sqlite.wal_recovery import log_of
from graphengine.errors import InputError, StoreFull, StoreMissing, StoreNotADatabase
from tests.databases.support import opened


async def test_commits_of_others_do_not_begin_it_anew(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has what was there when it began, page by page to the end, whatever is committed meanwhile."""
    monkeypatch.setattr(backup, "_PAGES", 1)
    copy, seen = made.with_name("copy.db"), []
    with closing(sqlite3.connect(made, isolation_level=None)) as other:
        other.execute("INSERT INTO tags (run, tag, created_at) SELECT key, 'before', 0 FROM runs")

        def commit(_: str, done: int, total: int) -> None:
            seen.append((done, total))
            if done < total:
                other.execute(
                    "INSERT INTO tags (run, tag, created_at) SELECT max(key), ?, 0 FROM runs", (f"later{len(seen)}",)
                )

        size = backup.back_up(made, copy, progress=commit)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen}), "each page was copied once"
    assert len(seen) > 10
    assert (size, stat.S_IMODE(copy.stat().st_mode)) == (copy.stat().st_size, 0o600)
    assert not log_of(copy).exists()
    with closing(sqlite3.connect(copy)) as reading:
        assert reading.execute("SELECT tag FROM tags WHERE tag LIKE 'later%'").fetchall() == []
        assert reading.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert reading.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_a_copy_is_sound_and_its_runs_go_on(made: Path) -> None:
    """Beside a store that is open, with commits that are only in the log."""
    copy = made.with_name("copy.db")
    async with opened(made) as store:
        await store.tag("left", ["newest"])
        backup.back_up(made, copy)
    assert doctor.examine(copy).is_sound
    async with opened(copy) as restored:
        assert "newest" in (await restored.info("left")).tags
        assert await restored.claim("left")


async def test_nothing_is_overwritten_or_left(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is there stays; a copy that could not be made leaves none, and one of a killed backup is replaced."""
    copy, other = tmp_path / "copy.db", tmp_path / "other.db"
    copy.write_text("notes")
    with pytest.raises(InputError, match="exists already"):
        backup.back_up(made, copy)
    assert copy.read_text() == "notes"
    copy.unlink()
    with pytest.raises(InputError, match="there is no folder"):
        backup.back_up(made, tmp_path / "none" / "copy.db")
    with pytest.raises(StoreMissing):
        backup.back_up(tmp_path / "none.db", copy)
    with closing(sqlite3.connect(other)) as strange:
        strange.execute("CREATE TABLE things (x)")
    with pytest.raises(StoreNotADatabase):
        backup.back_up(other, copy)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
        with pytest.raises(StoreFull):
            backup.back_up(made, copy)
    assert {file.name for file in tmp_path.iterdir()} == {made.name, "other.db"}
    copy.with_name("copy.db.part").write_text("half")
    backup.back_up(made, copy)
    assert doctor.examine(copy).is_sound
