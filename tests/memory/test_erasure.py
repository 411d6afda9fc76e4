"""Erasing a person: nothing of a user is left, and nothing of others is touched."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Budget, Budgets, Context, Graph, Memory, Runner, ScriptedModel, ask
from graphengine.databases import PostgresStore, SQLiteStore
from graphengine.errors import InputError
from graphengine.memory import erase
from graphengine.serve import Notifications, Webhook

WORD = "zanzibarine"
"""A word that only the person uses: of texts, of the index, of memories."""
WEBHOOK = Webhook("approver", "http://127.0.0.1:9/asked", "whsec_c2VjcmV0", kinds=("asked",))


class State(BaseModel):
    """What a run is about."""

    text: str = ""
    ok: bool = False


def say(text: str) -> str:
    """Repeat it."""
    return f"{text} {text}"


def saying() -> Graph[State]:
    """One node."""
    graph = Graph("saying", State)
    graph.add_node("say", say, writes="text")
    graph.add_path(START, "say", END)
    return graph


def asking() -> Graph[State]:
    """A question about the text."""
    graph = Graph("asking", State)
    graph.add_node("ask", ask("Is {text} right?", bool), writes="ok")
    graph.add_path(START, "ask", END)
    return graph


def starting() -> Graph[State]:
    """A node that starts a child."""

    async def start(text: str, ctx: Context) -> str:
        return (await (await ctx.start(saying(), {"text": text}, run_id="child")).result()).state.text

    graph = Graph("starting", State)
    graph.add_node("start", start, writes="text")
    graph.add_path(START, "start", END)
    return graph


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> SQLiteStore | PostgresStore:
    """Return a database."""
    if request.param == "sqlite":
        return SQLiteStore(tmp_path / "runs.db")
    return PostgresStore(str(request.getfixturevalue("postgres")))


async def filled(store: SQLiteStore | PostgresStore) -> None:
    """Let two people use it; what is Zora's has the secret word, or a name with hers in it."""
    notifications = Notifications(WEBHOOK)
    budgets = Budgets(Budget(name="daily", by="user", window="day", calls=100))
    chat = Agent("helper", model=ScriptedModel([f"{WORD}!", "Hello!"]))
    async with Runner(store, extensions=[notifications, budgets]) as runner:
        for number in range(40):
            await runner.start(saying(), {"text": f"bob {number}"}, run_id=f"bob{number}", user="bob").result()
        await runner.start(saying(), {"text": WORD * 300}, run_id="first", user="zora").result()
        await runner.branch("first", saying(), at=1, run_id="branch", user="zora").result()
        await runner.start(saying(), {}, run_id="later", after="first").result()
        await runner.start(starting(), {"text": WORD}, run_id="parent", user="zora").result()
        await runner.start(asking(), {"text": WORD}, run_id="asked", user="zora").result()
        await runner.run(chat, question=f"Am I {WORD}?", chat="zora-lovelace")
        await runner.run(chat, question="Am I?", chat="bob")
        await notifications.hand_on(runner)
    async with Memory(store) as memory:
        await memory.put("users/zora-lovelace/diet", "tea", f"{WORD} tea")
        await memory.put("users/zora", "tea", f"{WORD} tea")
        await memory.put("users/bob", "tea", "green tea")


async def test_nothing_of_a_person_is_left(store: SQLiteStore | PostgresStore) -> None:
    """Runs and what came of them, chats, memories, notices: of both her names; others keep theirs."""
    await filled(store)
    async with Runner(store) as runner:
        planned = await erase(runner, "zora", dry_run=True)
        assert len(await runner.runs(limit=1000)) > 46
        done = await erase(runner, "zora")
        assert (planned.runs, planned.memories) == (done.runs, done.memories)
        assert not done.kept
        assert {why.split(" of ")[0] for why in done.runs.values()} == {"of zora", "notice", "later turn"}
        assert {"first", "branch", "later", "parent", "child", "asked"} <= {*done.runs}
        assert done.memories == [("users/zora", "tea")]
        chat = await erase(runner, "zora-lovelace")
        assert ([*chat.runs], chat.memories) == (["ge:chat:zora-lovelace"], [("users/zora-lovelace/diet", "tea")])
        assert (await erase(runner, "zora")).runs == {}
        assert {info.id for info in await runner.runs(limit=1000)} == {
            *(f"bob{number}" for number in range(40)), "ge:chat:bob", "notifications",
        }  # fmt: skip
        assert list(await runner.runs(WORD)) == []
    async with Memory(store) as memory:
        assert [entry.namespace for entry in await memory.search("", "tea")] == ["users/bob"]
    assert await left(store) == []


async def left(store: SQLiteStore | PostgresStore) -> list[str]:
    """Return where a database still has the word or the name: a SQLite file by its bytes, another one by its rows."""
    words = (WORD, "zora", "lovelace")  # no id, which is of 0 to 9 and a to f, has one of them by chance
    if isinstance(store, SQLiteStore):
        await store.close()
        files = [file for file in Path(store.path).parent.iterdir() if file.name.startswith("runs.db")]
        return [f"{file.name} {word}" for file in files for word in words if word.encode() in file.read_bytes()]
    await store.open()

    def rows(connection: Any, _: object) -> list[str]:
        schema = store.address.schema
        tables = [row[0] for row in connection.execute(
            b"SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema = %s",
            (schema,),
        ).fetchall()]  # fmt: skip
        found = []
        for table in tables:
            query = f'SELECT 1 FROM {schema}."{table}" AS t WHERE t::text LIKE %s'.encode()  # noqa: S608 - names of ours
            found += [f"{table} {w}" for w in words if connection.execute(query, (f"%{w}%",)).fetchone()]
        return found

    return await store.read(rows)


async def test_what_belongs_to_another_user_is_erased_only_by_name(tmp_path: Path) -> None:
    """Nothing is erased while one is not named."""
    async with Runner(tmp_path / "runs.db") as runner:
        await runner.start(saying(), {"text": "a"}, run_id="first", user="ada").result()
        await runner.branch("first", saying(), at=1, run_id="bobs", user="bob").result()
        await runner.start(saying(), {}, run_id="next", after="first", user="cy").result()
        with pytest.raises(
            InputError, match=r"'bobs' \(branch of first, of bob\), 'next' \(later turn of first, of cy\)"
        ):
            await erase(runner, "ada", also=["none"])
        assert [*(await erase(runner, "ada", dry_run=True)).kept] == ["bobs", "next"]
        assert len(await runner.runs()) == 3
        assert {*(await erase(runner, "ada", also=["bobs", "next"])).runs} == {"first", "bobs", "next"}
        assert list(await runner.runs()) == []


def test_the_command_erases(tmp_path: Path) -> None:
    """A dry run shows what would go; without a terminal it needs a yes; what is no person is refused."""
    program = (
        "import asyncio\nfrom graphengine import Runner\nfrom tests.memory.test_erasure import saying\n"
        "async def main():\n    async with Runner('runs.db') as runner:\n"
        "        await runner.start(saying(), run_id='first', user='ada').result()\nasyncio.run(main())\n"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, env={"PYTHONPATH": str(root)})

    def erases(*words: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "graphengine", "erase", *words, "--store", "runs.db"]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(root)}
        )
        return done.returncode, done.stdout, done.stderr

    assert erases("user:ada", "--dry-run") == (0, "first: of ada\n", "1 run and 0 kept values would be erased\n")
    assert erases("user:ada")[0] == 2
    assert erases("ada", "--yes")[0] == 2
    assert erases("user:ada", "--yes") == (0, "first: of ada\n", "1 run and 0 kept values erased\n")
    assert '"runs":[]' in erases("user:ada", "--json", "--yes")[1].replace(" ", "")
