"""Runs that begin with the state that another one ended with, over each store: what they share, and what they check."""

from pathlib import Path

from graphengine import Runner
from graphengine.databases.postgres.doctor import examine as examine_server
from graphengine.databases.sqlite.doctor import examine
from tests.runner.test_after import TOKEN, talk, text_of


async def test_databases_are_sound_after_the_first_of_such_runs_are_removed(database: Path | str) -> None:
    """No text is lost or left over, and no secret is in clear."""
    async with Runner(database) as runner:
        await talk(runner, 30)
        await runner.admin.prune(keep_last=2)
    report = examine(database) if isinstance(database, Path) else examine_server(database)
    assert report.is_sound, report
    if isinstance(database, Path):
        assert TOKEN.encode() not in b"".join(file.read_bytes() for file in database.parent.glob("runs.db*"))
        assert database.stat().st_size < 8 * len(text_of(0)) * 30
