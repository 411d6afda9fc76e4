"""A run with values whose record needs a mark, or whose order is of the process: `program.py DATABASE start|rest`.

`start` drives it until it waits, in a process of its own; `rest` answers, finishes, branches, exports, imports and
replays it in another one, and prints what the nodes of each saw.
"""

import asyncio
import datetime as dt
import sys
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, ask
from graphengine.databases.sqlite import SQLiteStore
from graphengine.records.export import export_run, import_run, parse, to_json_text
from graphengine.testing import replay

BERLIN: Final = ZoneInfo("Europe/Berlin")


class Patch(BaseModel):
    """What a PATCH request sends: only what is set."""

    name: str | None = None
    phone: str | None = None


class Values(BaseModel):
    """Values whose JSON says less than they do."""

    given: Patch = Patch(phone="1")
    patch: Patch = Patch()
    patches: dict[str, list[Patch]] = {}
    at: dt.datetime = dt.datetime(2000, 1, 1, tzinfo=BERLIN)
    times: tuple[dt.datetime, ...] = ()
    words: set[str] = set()
    seen: list[str] = []
    ok: bool = False


def write() -> dict[str, Any]:
    """Write each."""
    twice = dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)
    return {
        "patch": Patch(name="Ada"),
        "patches": {"a": [Patch(), Patch(phone="2")]},
        "at": twice.replace(fold=1),
        "times": (twice, twice.replace(tzinfo=None, fold=1)),
        "words": {f"word {number}" for number in range(20)},
    }


def look(state: Values) -> list[str]:
    """Say what is there."""
    models = [state.given, state.patch, *state.patches["a"]]
    tomorrow = state.at + dt.timedelta(days=1)
    return [
        *(str(each.model_dump(exclude_unset=True)) for each in models),
        *(f"{each.isoformat()} {each.fold} {each.tzinfo}" for each in (state.at, *state.times, tomorrow)),
        ",".join(sorted(state.words)),
    ]


def graph() -> Graph[Values]:
    """Return write, a question, and look."""
    made = Graph("values", Values)
    made.add_node(write)
    made.add_node("ask", ask("Go on?", bool), writes="ok")
    made.add_node(look, writes="seen")
    made.add_path(START, "write", "ask", "look", END)
    return made


async def start(database: Path) -> None:
    """Drive the run until it waits."""
    async with Runner(database) as runner:
        await runner.start(graph(), run_id="r").result()


async def rest(database: Path) -> None:
    """Print what is seen in the run, in a branch of it, and in the imported copy of it; replay all."""
    async with Runner(database) as runner:
        await runner.answer("r", value=True)
        first = (await runner.resume("r", graph()).result()).state
        branch = (await runner.branch("r", graph(), at="write:1", run_id="b").result()).status
        await runner.answer("b", value=True)
        second = (await runner.resume("b", graph()).result()).state
    store = SQLiteStore(database)
    await store.open()
    text = to_json_text(await export_run(store, "r"), "test")
    replay(graph(), await export_run(store, "r"))
    replay(graph(), await export_run(store, "b"))
    await store.close()
    other = SQLiteStore(database.with_name("other.db"))
    await other.open()
    await import_run(other, parse(text, "values"))
    same = to_json_text(await export_run(other, "r"), "test") == text
    await other.close()
    async with Runner(database.with_name("other.db")) as runner:
        third = (await runner.get("r", graph()).result()).state
    assert branch == "waiting"
    assert same
    sys.stdout.write("\n".join([*first.seen, ""]))
    sys.stdout.write(str(first.seen == look(first) == second.seen == look(second) == look(third)))


if __name__ == "__main__":
    asyncio.run({"start": start, "rest": rest}[sys.argv[2]](Path(sys.argv[1])))
