import asyncio
import re
from pathlib import Path
from tempfile import mkdtemp

from graphengine import GraphEngineError
from graphengine.databases.sqlite import SQLiteStore, doctor
from tests.databases.recorded import facts_of, finish, record
from tests.databases.support import change

PATH = Path(mkdtemp(), "runs.db")
asyncio.run(record(PATH))
WHOLE = PATH.read_bytes()
TRUTH = asyncio.run(facts_of(PATH))


def made(*statements):
    """Write the whole database again, changed by these statements."""
    for each in PATH.parent.iterdir():
        each.unlink()
    PATH.write_bytes(WHOLE)
    PATH.chmod(0o600)
    change(PATH, *statements)
    return PATH.read_bytes()


def plain(text):
    """Return a text without what differs each time."""
    return re.sub(r"\b1\d{9}\.\d+", "TIME", str(text).replace(str(PATH), "runs.db"))


def findings(report):
    """Return the faults of a report, a line each."""
    lines = []
    for each in report.findings:
        place = " ".join(str(part) for part in (each.run_id, each.seq) if part)
        lines.append(plain(f"{each.code}{f' ({place})' if place else ''}: {each.what}"))
    return lines or ["sound"]


def by_run(names):
    """Return reads by the run that they are of."""
    runs = {}
    for name in names:
        read, _, run_id = name.partition(" ")
        runs.setdefault(run_id, []).append(read)
    return "; ".join(f"{', '.join(reads)}{f' of {run_id}' if run_id else ''}" for run_id, reads in runs.items())


async def reads(title):
    """Return the reads that are refused, and those that say something else than what was recorded."""
    found = await facts_of(PATH)
    refused = [name for name, value in found.items() if isinstance(value, GraphEngineError)]
    other = [name for name, value in found.items() if name not in refused and value != TRUTH[name]]
    lines = [f"{title}, refused: {by_run(refused)}"] if refused else []
    return lines + ([f"{title}, other than recorded: {by_run(other)}"] if other else [])


async def repaired(*statements):
    """Return what doctor finds after these changes, what a repair does, and how runs are read before and after it."""
    damaged = made(*statements)
    lines = [*await reads("before"), *findings(doctor.examine(PATH))]
    assert PATH.read_bytes() == damaged
    found = doctor.repair(PATH)
    if found.copy is None:
        return "\n".join([*lines, "nothing to repair"])
    assert found.copy.read_bytes() == damaged
    assert doctor.repair(PATH).copy is None
    lines += [f"done: {each}" for each in found.done]
    lines += [f"lost: {each.run_id} {each.first} to {each.last}" for each in found.lost]
    return "\n".join([*lines, *([] if found.report.is_sound else findings(found.report)), *await reads("after")])
