from pathlib import Path
from tempfile import mkdtemp

from pydantic_core import from_json, to_json

from graphengine import GraphEngineError
from graphengine.databases.long_texts import LEAST_BYTES, cut
from graphengine.databases.sqlite import SQLiteStore
from graphengine.databases.sqlite.doctor import examine, repair
from graphengine.kernel.testing.kit import append, batch, new_run, step
from tests.databases.support import change, rows, together

PATH = Path(mkdtemp(), "runs.db")
LONG = 'She said: "No\\"." Then — nothing.\n' * 300
LONGER = "lorem ipsum dolor sit amet, " * 3_000


def texts_of(value):
    """Return the lengths of the texts that are cut out of a body, which is put together again."""
    body = to_json(value)
    short, found = cut(body)
    from_json(short)
    assert together(body) == body
    return [len(text) for _, text in found]


async def write(store, run_id, text):
    """Record a run of two steps, the first with a text."""
    await append(store, batch(run_id, await new_run(store, run_id), [step(1, value=text), step(2)], "finished"))


async def shared(*statements):
    """Record two runs that share a text, and one with another, and change the database; return a store to open."""
    PATH.unlink(missing_ok=True)
    store = SQLiteStore(PATH, synchronous="NORMAL")
    await store.open()
    for run_id, text in (("a", LONG), ("b", LONG), ("c", LONGER)):
        await write(store, run_id, text)
    await store.close()
    change(PATH, *statements)
    return SQLiteStore(PATH, synchronous="NORMAL")


async def damaged(*statements):
    """Return what is read of run a after these changes, and what doctor finds."""
    store = await shared(*statements)
    await store.open()
    try:
        said = len(await store.steps("a"))
    except GraphEngineError as error:
        said = f"{type(error).__name__}: {error.message}"
    rest = [each.seq for each in await store.steps("a", after=1)]
    await store.close()
    found = [f"{each.code} {each.run_id}".strip() for each in examine(PATH).faults]
    return f"{said}\nafter it: {rest}\ndoctor: {', '.join(found)}"
