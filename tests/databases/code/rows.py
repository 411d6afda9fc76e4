from pathlib import Path
from tempfile import mkdtemp

from graphengine import GraphEngineError
from graphengine.databases.sqlite import SQLiteStore
from graphengine.kernel.testing.kit import new_run, seqs
from tests.databases.support import change

PATH = Path(mkdtemp(), "runs.db")


async def told(reading):
    """Return what a read returns, or what it says."""
    try:
        return await reading
    except GraphEngineError as error:
        assert error.repair
        return f"{type(error).__name__}: {error.message}"


async def damaged(*statements):
    """Record two runs of three steps, one with a message; return an open store whose database was then changed."""
    PATH.unlink(missing_ok=True)
    store = SQLiteStore(PATH, synchronous="NORMAL")
    await store.open()
    for run_id in ("bad", "good"):
        await new_run(store, run_id, count=3)
    await store.post("bad", "answer", 1, "k")
    change(PATH, *statements)
    return store


async def steps(damage):
    """Change the second step of run `bad`, and return what is read."""
    store = await damaged(f"{damage} WHERE seq = 2 AND run = 1")
    said = [await told(store.steps("bad")), await told(store.load("bad"))]
    before, after = seqs((await store.load("bad", 1)).steps), seqs(await store.steps("bad", after=2))
    others, listed = seqs((await store.load("good")).steps), sorted(info.id for info in await store.runs())
    await store.close()
    return "\n".join([*dict.fromkeys(said), f"beside it {before} and {after}, other run {others}, list {listed}"])


async def others(*statements):
    """Return what is read of rows beside the steps."""
    store = await damaged(*statements)
    said = [await told(store.graph_spec("f1")), await told(store.inbox(["bad"])), seqs(await store.steps("bad"))]
    await store.close()
    return "\n".join(str(each) for each in said)
