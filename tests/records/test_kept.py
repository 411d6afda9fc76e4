"""What a release recorded stays usable: the unfinished runs of `checkpoints/kept_*`, and the forms of what is recorded.

Every run is read, continued and branched. What it recorded is not asked again: of no model, tool, effect or
batch. What is asked at all is in `AFTER`. A changed form fails here before it is released: docs/project/versions.md.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from graphengine import Memory, Runner
from graphengine.engine.fold import fold
from graphengine.history.load import load_snapshot
from graphengine.models import RecordedModel
from graphengine.records.export import export_run, import_run, read_file
from graphengine.testing import replay
from tests.kit import postgres
from tests.kit.keep import FOLDER, documents, forms
from tests.kit.unfinished import AFTER, ASKED, GRAPHS, MEMORY, OUTSIDE, clerk, finish, runner_on

if TYPE_CHECKING:
    from tests.kit.postgres import PostgresServer

FOLDERS = sorted(FOLDER.parent.glob("kept_*"))
KINDS = ("sqlite", "postgres", "runs")
KEPT = [
    pytest.param((folder, kind), name, id=f"{folder.name}-{kind}-{name}")
    for folder in FOLDERS
    for kind in KINDS
    for name in GRAPHS
    if (folder / "runs" / f"{name}.json").exists()
]
"""Each run that each folder keeps, in each form."""
LATER = 86_400.0
"""How much later the runs are continued, in seconds."""

Opening = Callable[[], AbstractAsyncContextManager[Runner]]


@pytest.fixture(autouse=True)
async def _empty_memory() -> AsyncIterator[None]:
    """Continue with an empty memory: what was read from the other one is recorded."""
    memory = Memory()
    MEMORY[:] = [memory]
    yield
    entries = await memory.list("users")
    await memory.close()
    assert not entries


@pytest.fixture
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opening]:
    """Return what opens the kept runs: a database of each kind, or exported runs in a new one."""
    folder, kind = request.param
    file = tmp_path / "kept.db"
    path: Path | str = file
    server: PostgresServer | None = None
    if kind == "sqlite":
        file.write_bytes((folder / "runs.db").read_bytes())
    if kind == "postgres":
        server = request.getfixturevalue("postgres_server")
        schema = folder.name
        path = server.address(schema)
        postgres.execute(path, f"DROP SCHEMA IF EXISTS {schema} CASCADE", (folder / "postgres.sql").read_text())

    @asynccontextmanager
    async def opened() -> AsyncIterator[Runner]:
        async with runner_on(path, LATER) as runner:
            for file in sorted((folder / "runs").glob("*.json")) if kind == "runs" else ():
                await import_run(runner.store, read_file(file))
            yield runner

    yield opened
    if server is not None:
        postgres.execute(server.address(), f"DROP SCHEMA {folder.name} CASCADE")


@pytest.mark.parametrize(("opening", "name"), KEPT, indirect=["opening"])
async def test_a_run_is_read_and_continued_without_a_repeated_call(opening: Opening, name: str) -> None:
    """It folds, is replayed, and ends as it would have; what it recorded is not asked again."""
    async with opening() as runner:
        run = await export_run(runner.store, name)
        assert fold(run.steps).seq == (await load_snapshot(runner.store, name, None)).seq == run.info.seq
        assert not replay(GRAPHS[name], run).reasons
        assert await finish(runner, name) == AFTER[name]


@pytest.mark.parametrize(
    ("opening", "name"), [each for each in KEPT if each.values[1] not in ("child", "key_begun")], indirect=["opening"]
)
async def test_a_branch_of_a_run_has_what_it_recorded(opening: Opening, name: str) -> None:
    """It begins after the last step, and asks nothing again either.

    Not of one whose child has not ended: a branch has a child of its own. Nor of one that does not wait: its branch
    ends before it is released.
    """
    async with opening() as runner:
        seq = (await runner.store.info(name)).seq
        branch = runner.branch(name, GRAPHS[name], seq, run_id="branch")
        await branch.begun()
        await runner.release("branch")
        assert await finish(runner, name, as_="branch") == AFTER[name]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda each: each.name)
class TestFolder:
    """What else a release keeps."""

    async def test_a_recorded_model_answers(self, folder: Path) -> None:
        """The requests of today find the answers that were recorded."""
        with OUTSIDE.noted() as asked:
            said = await clerk.but(model=RecordedModel(folder / "model.jsonl")).run(topic="bees")
        assert (said, asked) == ("clerk has 1 results", ["look up clerk"])

    def test_a_suite_is_replayed(self, folder: Path) -> None:
        """Its runs are decided in the same way."""
        files = sorted((folder / "suite").glob("*.json"))
        assert files
        for file in files:
            assert not replay(ASKED, file).reasons

    def test_what_is_recorded_has_the_same_form(self, folder: Path) -> None:
        """A field that goes, or has another type, makes runs unreadable; an older version must know of a new one.

        For a new field add a migration, so that the database has another format, raise the format of snapshots or of
        exports if it stands in one, and keep a new folder.
        """
        kept = json.loads((folder / "records.json").read_text())
        today: Any = forms()
        assert {
            name: {field: today.get(name, {}).get(field) for field in fields} for name, fields in kept.items()
        } == kept
        if folder.name == "kept_4":  # until it is made, fields are added without a folder
            assert today == kept

    def test_documents_lose_no_key(self, folder: Path) -> None:
        """Each key of a document is there, with the same type; keys can be added, and values to an enumeration."""
        written = documents()
        for name, kept in json.loads((folder / "documents.json").read_text()).items():
            today = written[name]
            has = today["properties"]
            lost = {
                key: form
                for key, form in kept.get("properties", {}).items()
                if has.get(key) != form and not {*form.get("enum", [None])} <= {*has.get(key, {}).get("enum", [])}
            }
            assert not lost, name
            assert set(kept.get("required", [])) <= set(today.get("required", [])), name


def test_kept_tracebacks_name_no_folder_of_whoever_made_them() -> None:
    """They name files from the root of the repository."""
    folder = Path(__file__).resolve().parents[2] / "checkpoints"
    files = [file for file in folder.rglob("*") if file.is_file() and b'File \\"' in file.read_bytes()]
    assert files
    assert [file.name for file in files if b'File \\"/' in file.read_bytes()] == []
