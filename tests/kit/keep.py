"""Write what `checkpoints/kept_4` keeps of this version: `python -m tests.kit.keep`. An existing file is not changed.

Its runs are those of `tests/kit/unfinished.py`, in a file of SQLite, in a schema of PostgreSQL (if a server is
installed), and exported; a suite and the answers of a recorded model are made of them. What is recorded, and what
commands write, is also kept as JSON Schema.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

import tests.kit.from_root  # noqa: F401 - before what it loads
from graphengine import Memory, __version__
from graphengine.cli.schemas import schema_of
from graphengine.databases.sqlite import SQLiteStore
from graphengine.engine.step_json import FACTS
from graphengine.engine.stored import RECORDS
from graphengine.models import RecordedModel, batches
from graphengine.records.export import FilePart, export_run, to_json_text
from graphengine.testing.suites import suite
from tests.kit import postgres
from tests.kit.unfinished import ASKED, BEGAN, OUTSIDE, Kept, Model, clerk, leave, runner_on

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "checkpoints" / "kept_4"
SCHEMA: Final = "kept_4"
"""The schema of PostgreSQL."""


def forms() -> dict[str, dict[str, str]]:
    """Return the fields of all that is recorded, by record: of snapshots, steps, exports, with types and defaults."""
    found: dict[str, dict[str, str]] = {}

    def form(kind: Any) -> str:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            if kind.__name__ not in found:
                fields = found[kind.__name__] = {}
                fields.update(
                    (each.encode_name, form(each.type) + default(each)) for each in msgspec.structs.fields(kind)
                )
            return kind.__name__
        origin, args = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return form(args[0])
        parts = [repr(arg) if origin is Literal else form(arg) for arg in args]
        if origin in (Union, UnionType):
            return " | ".join(sorted(parts))
        name = getattr(origin or kind, "__name__", repr(kind))
        return f"{name}[{', '.join(parts)}]" if parts else name

    found["kinds of steps"] = {kind: facts.__name__ for kind, facts in FACTS.items()}
    for record in (*RECORDS, *FACTS.values(), *FilePart.__subclasses__()):
        form(record)
    return found


def default(field: msgspec.structs.FieldInfo) -> str:
    """Return what a field is if a record has none."""
    if field.default_factory is not msgspec.NODEFAULT:
        return f" = {getattr(field.default_factory, '__name__', repr(field.default_factory))}()"
    found: object = bytes(field.default) if isinstance(field.default, msgspec.Raw) else field.default
    return "" if found is msgspec.NODEFAULT else f" = {found!r}"


def undescribed(value: Any) -> Any:
    """Return a JSON Schema without its descriptions, titles and examples."""
    if isinstance(value, dict):
        texts = ("description", "title", "examples")
        kept = {name: part for name, part in value.items() if not (name in texts and isinstance(part, str | list))}
        return {name: undescribed(part) for name, part in kept.items()}
    return [undescribed(part) for part in value] if isinstance(value, list) else value


async def in_sqlite() -> dict[str, str | bytes]:
    """Return the database, its runs exported, and the suite."""
    found: dict[str, str | bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.db"
        store = SQLiteStore(path, clock=lambda: BEGAN)
        await leave(store, Memory(store))
        found["runs.db"] = path.read_bytes()  # a dump of words for searches cannot be read back in
        async with runner_on(path) as runner:
            await runner.start(ASKED, Kept(), run_id="asked").result()
            await runner.answer("asked", value=True)
            await runner.resume("asked", ASKED).result()
            for info in await runner.store.runs():
                name = info.id.replace(":", "-")
                found[f"runs/{name}.json"] = to_json_text(await export_run(runner.store, info.id), __version__)
            chosen = await suite(ASKED, ["asked", "call"], runner.store)
            await chosen.write(Path(folder) / "suite", "tests.kit.unfinished", "ASKED", runner.store)
        for file in (Path(folder) / "suite").iterdir():
            found[f"suite/{file.name}"] = file.read_text()
    return found


async def in_postgres() -> dict[str, str]:
    """Return the schema as SQL: no file without a server."""
    if postgres.why_missing():
        sys.stderr.write(f"postgres.sql is not written: {postgres.why_missing()}\n")
        return {}
    from graphengine.databases.postgres import PostgresStore  # noqa: PLC0415 - an extra

    with tempfile.TemporaryDirectory() as folder:
        server = postgres.PostgresServer(Path(folder) / "template")
        try:
            store = PostgresStore(server.address(SCHEMA))
            await leave(store, Memory(store))
            words = ["pg_dump", "--inserts", "--no-owner", "--no-privileges", f"--schema={SCHEMA}"]
            words += ["-h", str(server.folder), "-U", "tester", "postgres"]
            made = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE)
            dump, _ = await made.communicate()
        finally:
            server.remove()
    lines = [line for line in dump.decode().splitlines() if line and not line.startswith(("--", "\\", "SET "))]
    return {"postgres.sql": "\n".join(["SET check_function_bodies = false;", *lines, ""])}


async def of_a_model() -> str:
    """Return the recorded answers of a model."""
    with tempfile.TemporaryDirectory() as folder, OUTSIDE.noted():
        file = Path(folder) / "model.jsonl"
        await clerk.but(model=RecordedModel(file, Model())).run(topic="bees")
        return file.read_text()


def as_text(values: Mapping[str, object]) -> str:
    """Return JSON with a line for each key."""
    lines = [f" {json.dumps(name)}: {json.dumps(values[name], sort_keys=True)}" for name in sorted(values)]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def documents() -> dict[str, Any]:
    """Return the JSON Schema of each document that commands write, without its descriptions."""
    found: dict[str, Any] = undescribed(schema_of()["$defs"])
    return found


def main(folder: Path) -> Iterator[str]:
    """Write the missing files, and yield their names."""
    setattr(batches, "QUIET_SECONDS", 0.01)  # noqa: B010 - it is Final for other code
    wanted: dict[str, str | bytes] = {
        **asyncio.run(in_sqlite()),
        **asyncio.run(in_postgres()),
        "model.jsonl": asyncio.run(of_a_model()),
        "records.json": as_text(forms()),
        "documents.json": as_text(documents()),
    }
    for name, text in wanted.items():
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            yield name


def given(words: Sequence[str]) -> Path:
    """Return the folder to write to."""
    return Path(words[0]) if words else FOLDER


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}\n" for name in main(given(sys.argv[1:])))
