"""A memory keeps values across runs: one suite for the memory of a process, SQLite and PostgreSQL."""

import asyncio
import os
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import closing
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import BaseModel, SecretStr

from graphengine import END, START, Agent, Context, Graph, RunFailed, Runner, ScriptedModel
from graphengine.api.places import store_at
from graphengine.databases.sqlite import SQLiteStore
from graphengine.databases.sqlite.doctor import examine
from graphengine.databases.sqlite.doctor.rebuild import rebuild
from graphengine.errors import DefinitionError, InputError, StoreFull, StoreLocked
from graphengine.memory import Memory, MemoryEntry
from graphengine.models import Request, calls
from graphengine.runner.scope import CURRENT
from tests.kit.runs import alone
from tests.memory.crashing import Seen, crashing

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = (
    '"a" OR (',
    "a* NEAR(b, 2) ^c -d",
    "' | & ! <-> :*",
    "'; DROP TABLE memories; --",
    "%_\\",
    "NULL",
    "\0",
    "ẞ İ ﬁ \uff21\uff22\uff23 é e\u0301",
    "緑茶 をのむ",
    "🍵" * 1000,
    "w" * 100_000,
    " ".join(map(str, range(20_000))),
)


class Kind(str, Enum):  # noqa: UP042 - as programs have them
    """A text of a type of its own."""

    WORD = "word"


async def letters(texts: list[str]) -> list[list[float]]:
    """Return how often each of some letters is in each text: a meaning of sorts."""
    return [[float(text.casefold().count(letter)) for letter in "aeiouxyz"] for text in texts]


@pytest.fixture(params=["process", "sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """Return where memories are kept."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres"))
    return None if request.param == "process" else str(tmp_path / "runs.db")


@pytest.fixture
async def memory(place: str | None) -> AsyncIterator[Memory]:
    """Provide a memory with vectors."""
    async with Memory(place, embed=letters) as made:
        yield made


async def execute(program: str, *words: str, **variables: str) -> int:
    """Run a program in another process, and return its exit code."""
    command = [sys.executable, "-c", program, *words]
    environment = {**os.environ, **variables}
    ended = await asyncio.to_thread(subprocess.run, command, env=environment, cwd=ROOT, timeout=60, check=False)
    return ended.returncode


def keys(found: Sequence[MemoryEntry]) -> list[str]:
    """Return where entries are."""
    return [f"{entry.namespace}:{entry.key}" for entry in found]


async def test_a_value_is_kept_until_it_is_replaced_or_deleted(memory: Memory) -> None:
    """It comes back as it was put, with its text; a key has one value."""
    value = {"likes": ["tea", None, 1, 1.0, True], "ẞ\0": {"deep": []}}
    await memory.put("users/ada", "diet", value, text="Ada likes tea.")
    found = await memory.get("users/ada", "diet")
    assert found is not None
    assert (found.namespace, found.key, found.value, found.text) == ("users/ada", "diet", value, "Ada likes tea.")
    await memory.put("users/ada", "diet", "now coffee")
    again = await memory.get(namespace="users/ada", key="diet")
    assert again is not None
    assert (again.value, again.text) == ("now coffee", "now coffee")
    assert again.updated_at >= found.updated_at
    assert keys(await memory.search("users/ada", "tea")) == []
    await memory.delete("users/ada", "diet")
    await memory.delete("users/ada", "diet")
    assert await memory.get("users/ada", "diet") is None
    assert keys(await memory.search("users/ada", "coffee")) == []


async def test_a_namespace_has_those_below_it_and_no_other(memory: Memory) -> None:
    """Not those whose name begins with the same letters, and signs of patterns are letters."""
    spaces = ["users/ada", "users/ada/food", "users/adam", "users/ada ", "users/ad_", "users/%", "Users/ada", "ünser"]
    for space in spaces:
        await memory.put(space, "k", "tea")
    ada = ["users/ada:k", "users/ada/food:k"]
    assert keys(await memory.list("users/ada")) == ada
    assert sorted(keys(await memory.search("users/ada", "tea", limit=9))) == sorted(ada)
    assert sorted(keys(await memory.search("users/ada", "tea", limit=9, by="meaning"))) == sorted(ada)
    assert keys(await memory.list("users/%")) == ["users/%:k"]
    assert keys(await memory.list("users/ad_")) == ["users/ad_:k"]
    assert keys(await memory.list()) == [f"{space}:k" for space in sorted(spaces)]
    await memory.clear("users/ada")
    assert keys(await memory.list("users")) == [f"{each}:k" for each in sorted(spaces[2:]) if each[0] == "u"]
    assert len(await memory.search("", "tea", limit=9)) == len(spaces) - 2


async def test_a_list_has_pages(memory: Memory) -> None:
    """The next page begins after the last entry of the one before, across namespaces."""
    for space in ("a", "a/b", "c"):
        for key in ("1", "10", "2"):
            await memory.put(space, key, 0)
    found: list[str] = []
    last: MemoryEntry | None = None
    while page := await memory.list(limit=2, after=last):
        found += keys(page)
        last = page[-1]
    assert found == keys(await memory.list())
    assert found == [f"{space}:{key}" for space in ("a", "a/b", "c") for key in ("1", "10", "2")]


async def test_words_are_found_in_any_form_of_letters(memory: Memory) -> None:
    """Case, accents and widths do not count; what has more of the words comes first; other texts are not found."""
    await memory.put("n", "one", {"drink": "Grüner TEE"})
    await memory.put("n", "two", 2, text="Ein Café, ein Tee und ein grüner Garten")
    await memory.put("n", "three", 3, text="緑茶を飲む")
    await memory.put("n", "none", "tee", text="")
    assert keys(await memory.search("n", "\uff23AFE\u0301?")) == ["n:two"]
    assert keys(await memory.search("n", "Which tee, the grun one, in a garten?", limit=1)) == ["n:two"]
    assert sorted(keys(await memory.search("n", "tee"))) == ["n:one", "n:two"]
    assert keys(await memory.search("n", "茶")) == ["n:three"]
    for empty in ("", " \n", "?!", '""'):
        assert await memory.search("n", empty) == await memory.search("n", empty, by="meaning") == []


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_any_text_can_be_kept_and_asked_for(memory: Memory, text: str) -> None:
    """No text is an operator of a query; a text with words is found by itself."""
    await memory.put("n", "k", {"value": text}, text=text)
    found = await memory.get("n", "k")
    assert found is not None
    assert (found.value, found.text) == ({"value": text}, text)
    words = any(each.isalnum() for each in text)
    assert keys(await memory.search("n", text)) == (["n:k"] if words else [])
    await memory.search("n", text, by="meaning")
    await memory.put("n", "k", 0, text="other")
    assert keys(await memory.search("n", text)) == []


async def test_meaning_finds_the_nearest(memory: Memory) -> None:
    """By the angle between vectors, and only among those of the same length; what has none is not found."""
    await memory.put("n", "near", "aae")
    await memory.put("n", "far", "xyz")
    await memory.put("n", "between", "aaxx aaee")
    await memory.put("n", "nothing", "qqq")
    first, *rest = await memory.search("n", "aaaaee", by="meaning")
    assert (first.key, round(first.score, 5)) == ("near", 1.0)
    assert [entry.key for entry in rest] == ["between", "far"]
    assert [entry.key for entry in await memory.search("n", "xyz", by="meaning", limit=1)] == ["far"]
    await memory.put("n", "far", 0, text="aae")
    assert [round(entry.score, 5) for entry in await memory.search("n", "ae", by="meaning", limit=2)] == [0.94868] * 2


async def test_vectors_of_another_length_are_not_compared(place: str | None) -> None:
    """After a change of the model of vectors, what was put before is found once it is put again."""

    async def short(texts: list[str]) -> list[list[float]]:
        return [[1.0, 2.0] for _ in texts]

    lengths = [letters, short, short]

    async def changing(texts: list[str]) -> list[list[float]]:
        return await lengths.pop(0)(texts)

    async with Memory(place, embed=changing) as memory:
        await memory.put("n", "old", "aa")
        await memory.put("n", "new", "aa")
        assert keys(await memory.search("n", "aa", by="meaning")) == ["n:new"]


async def test_lone_surrogates_are_struck(memory: Memory) -> None:
    """In a value, in the text by which it is found, and in what is searched for."""
    await memory.put("n", "value", ["tea \ud800"])
    await memory.put("n", "text", 1, text="tea \ud800 a\ud800b")
    found = [await memory.get("n", key) for key in ("value", "text")]
    assert [each and (each.value, each.text) for each in found] == [
        (["tea \ufffd"], '["tea \ufffd"]'),
        (1, "tea \ufffd a\ufffdb"),
    ]
    assert sorted(keys(await memory.search("n", "tea \ud800"))) == ["n:text", "n:value"]


async def test_faults_of_the_caller_are_explained(memory: Memory) -> None:
    """Names, values, sizes and limits that cannot be, with the repair."""

    async def no_vector(texts: list[str]) -> list[list[float]]:
        return []

    wrong: list[tuple[Coroutine[Any, Any, object], str]] = [
        (memory.put("", "k", 1), "a namespace of a memory is empty"),
        (memory.put("a//b", "k", 1), "cannot be the namespace of a memory"),
        (memory.put("/a", "k", 1), "cannot be the namespace of a memory"),
        (memory.put("a\0", "k", 1), "cannot be a namespace"),
        (memory.put("ge:budgets", "k", 1), "is reserved for the engine"),
        (memory.list("\U0010ffffbudgets"), "is reserved for the engine"),
        (memory.clear("\U0010ffff"), "is reserved for the engine"),
        (memory.put("a", "", 1), "a key of a memory is empty"),
        (memory.put("a", "\ud800", 1), "cannot be a key"),
        (memory.put("a", "ß" * 501, 1), "cannot be a key"),
        (memory.put("a", "k", object()), "cannot be written as JSON"),
        (memory.put("a", "k", {"at": [Decimal("1.50")]}), r"JSON changes value\['at'\]\[0\], a Decimal"),
        (memory.put("a", "k", {"pair": (1, 2)}), r"JSON changes value\['pair'\], a tuple"),
        (memory.put("a", "k", [{1: "one"}]), r"JSON changes the key 1 of value\[0\]"),
        (memory.put("a", "k", Kind.WORD), r"JSON changes value, a Kind"),
        (memory.put("a", "k", {"n": float("nan")}), "a memory cannot be written as JSON: JSON has no nan and inf"),
        (
            memory.put("a", "k", "x" * 500_000),
            "the value takes 1,000,022 bytes, but a memory stores at most 1,000,000 bytes",
        ),
        (memory.search("a", "x", limit=0), "limit=0"),
        (memory.list("a", limit=-1), "limit=-1"),
    ]
    for call, words in wrong:
        with pytest.raises(InputError, match=words):
            await call
    assert await memory.list() == []
    with pytest.raises(DefinitionError, match="without embed="):
        await Memory().search("a", "x", by="meaning")
    with pytest.raises(DefinitionError, match="the function of embed= returned 0 vectors for one text"):
        await Memory(embed=no_vector).put("a", "k", "x")
    with pytest.raises(DefinitionError, match=r"Memory\(1\)"):
        Memory(1)  # type: ignore[arg-type]


class Visit(BaseModel):
    """What a node saw."""

    user: str = "ada"
    seen: list[str] = []
    answer: str = ""


async def look(memory: Memory, ctx: Context, user: str) -> list[str]:
    """Read in every way, write, and wait for an answer."""
    before = await memory.get(f"users/{user}", "drink")
    found = await memory.search(f"users/{user}", "tea coffee")
    near = await memory.search(f"users/{user}", "tea", by="meaning")
    listed = await memory.list("users")
    await memory.put(f"users/{user}", "visits", len(listed))
    answer = await ctx.ask("Go on?", str)
    return [before.text if before else "-", *(each.text for each in [*found, *near, *listed]), answer]


def visits(memory: Memory) -> Graph[Any]:
    """Return a graph of that node."""
    return alone(Visit, look, "seen", name="visits", node="look", resources={"memory": lambda: memory})


async def test_a_node_that_runs_again_sees_what_it_saw(place: str | None, memory: Memory) -> None:
    """After a wait it gets the recorded entries, and what it put is not put again over newer values."""
    await memory.put("users/ada", "drink", "tea")
    async with Runner(place) as runner:
        waiting = await runner.start(visits(memory), Visit()).result()
        await memory.put("users/ada", "drink", "coffee")
        await memory.put("users/ada", "visits", "changed by another")
        await runner.answer(waiting.run_id, "yes")
        done = await runner.resume(waiting.run_id, visits(memory)).result()
        seen = done.state.seen
        after = await memory.list("users")
    assert seen == ["tea", "tea", "tea", "tea", "yes"]
    assert [entry.value for entry in after] == ["coffee", "changed by another"]


async def test_a_node_can_ask_two_memories_the_same() -> None:
    """Each answers for itself, by a name or by position."""
    one, two = Memory(), Memory()
    await one.put("n", "k", "first")
    await two.put("n", "k", "second")

    async def ask_both(one: Memory, two: Memory) -> list[str]:
        found = [await one.get("n", "k"), await two.get("n", "k"), await one.get("n", key="k")]
        return [entry.text for entry in found if entry]

    graph = Graph("both", Visit, resources={"one": lambda: one, "two": lambda: two})
    graph.add_node("ask", ask_both, writes="seen")
    graph.add_path(START, "ask", END)
    async with Runner() as runner:
        result = await runner.start(graph, Visit()).result()
    assert result.state.seen == ["first", "second", "first"]


async def test_effects_that_are_refused_leave_the_memory_alone(memory: Memory) -> None:
    """An evaluation may read, and must say what stands in for a put."""
    async with Runner(effects={}) as runner:
        with pytest.raises(RunFailed, match="put was not called"):
            await runner.start(visits(memory), Visit()).result()
    assert await memory.list() == []


async def test_a_secret_is_not_kept(memory: Memory) -> None:
    """Memories are not encrypted, so a secret of the state cannot be put into one."""
    pytest.importorskip("cryptography")

    class Login(BaseModel):
        token: SecretStr

    async def leak(token: SecretStr, memory: Memory) -> None:
        await memory.put("users/ada", "note", f"the token is {token.get_secret_value()}")

    graph = Graph("leaks", Login, resources={"memory": lambda: memory}, secret_key=secrets.token_urlsafe(32))
    graph.add_node("leak", leak)
    graph.add_path(START, "leak", END)
    async with Runner() as runner:
        with pytest.raises(RunFailed, match="secret"):
            await runner.start(graph, Login(token=SecretStr("hunter2-hunter2"))).result()
    assert await memory.list() == []


async def test_an_agent_remembers_for_each_user(place: str | None) -> None:
    """What one run remembers, a later one recalls, and never that of another user."""
    heard: list[Request] = []
    said = [calls(("remember", {"subject": "drink", "text": "Likes green tea."})), "Noted."]
    asked = [calls(("recall", {"query": "tea or coffee?"})), "Tea."]

    async with Memory(place) as memory:
        agent = Agent("host", prompt="{question}", tools=memory.tools("users", of="user"))
        for user, script in (("ada", said), ("ada", asked), ("bob", asked)):
            model = ScriptedModel(script)
            async with Runner(place, models=model) as runner:
                await runner.run(agent, question="Hello", user=user)
            heard.append(model.requests[-1])
        assert keys(await memory.list()) == ["users/ada:drink"]
        async with Runner(models=ScriptedModel(said)) as runner:
            await runner.run(agent, question="Hello", user="ada/food")
        assert keys(await memory.list()) == ["users/ada:drink"]
        shared = Agent("shared", tools=memory.tools("team"))
        async with Runner(models=ScriptedModel(said)) as runner:
            await runner.run(shared, question="Hello")
        assert keys(await memory.list("team")) == ["team:drink"]
    texts = [str(request.messages[-1]) for request in heard]
    assert "Remembered." in texts[0]
    assert "drink: Likes green tea." in texts[1]
    assert "Nothing that is remembered fits." in texts[2]


WRITER = """
import asyncio, sys
from graphengine.memory import Memory

async def main(place, name):
    async with Memory(place) as memory:
        for number in range(50):
            await memory.put("shared", str(number), {"by": name}, text=f"tea of {name}")
            await memory.put(name, str(number), number)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_two_processes_write_at_once(place: str | None, memory: Memory) -> None:
    """Nothing is lost, also of a table that both create, and each key has one value that is found once."""
    if place is None:
        pytest.skip("a process has its own")
    assert await asyncio.gather(*(execute(WRITER, place, name) for name in ("ann", "bob"))) == [0, 0]
    assert len(await memory.list("ann")) == len(await memory.list("bob")) == len(await memory.list("shared")) == 50
    found = await memory.search("shared", "tea", limit=100)
    assert len({entry.key for entry in found}) == len(found) == 50


CRASHER = """
import asyncio, sys
from graphengine import Runner
from tests.memory.crashing import Seen, crashing

async def main(place):
    async with Runner(place) as runner:
        await runner.start(crashing(place), Seen(), run_id="r").result()

asyncio.run(main(sys.argv[1]))
"""


async def test_a_node_sees_after_a_crash_what_it_saw_before(place: str | None) -> None:
    """The process dies right after the read and the put: the resumed node gets what was recorded."""
    if place is None:
        pytest.skip("it dies with its process")
    async with Memory(place) as memory:
        await memory.put("users/ada", "drink", "tea")
        assert await execute(CRASHER, place, DIES="1") == 9
        await memory.put("users/ada", "drink", "coffee")
        await memory.put("users/ada", "seen", "changed by another")
        async with Runner(place) as runner:
            result = await runner.resume("r", crashing(place)).result()
        entry = await memory.get("users/ada", "seen")
    assert isinstance(result.state, Seen)
    assert (result.state.text, entry and entry.value) == ("tea", "changed by another")


def test_a_memory_works_in_one_event_loop_after_another(place: str | None) -> None:
    """A memory of a module outlives the loop of each `asyncio.run`."""
    memory = Memory(place)
    asyncio.run(memory.put("n", "k", 1))

    async def read() -> tuple[object, int]:
        found = await memory.get("n", "k")
        owners = 1
        if place is not None:
            other = store_at(place)
            await other.open()
            owners = len(await other.owners()) - 1
            await other.close()
        await memory.close()
        return found and found.value, owners

    assert asyncio.run(read()) == (1, 1)  # what the first loop had open is closed


async def test_the_first_uses_at_the_same_time_create_one_table(place: str | None) -> None:
    """Also of processes that have the database open already."""
    if place is None:
        pytest.skip("a process has its own")
    stores = [cast("SQLiteStore", store_at(place)) for _ in range(6)]
    for store in stores:
        await store.open()
    await asyncio.gather(*(Memory(store).put("n", str(number), number) for number, store in enumerate(stores)))
    assert len(await Memory(stores[0]).list("n")) == 6
    for store in stores:
        await store.close()


async def test_a_memory_shares_the_store_of_a_runner(tmp_path: Path) -> None:
    """It opens no second one, and leaves it open."""
    store = SQLiteStore(tmp_path / "runs.db")
    async with Runner(store), Memory(store) as memory:
        await memory.put("n", "k", 1)
        await memory.close()
        assert keys(await memory.list()) == ["n:k"]
        assert len(await store.owners()) == 1


async def test_runs_without_memories_have_no_table_of_them(tmp_path: Path) -> None:
    """It is created by the first use of a memory."""
    async with Runner(tmp_path / "runs.db"), Memory(tmp_path / "runs.db"):
        pass
    async with Runner(tmp_path / "runs.db") as runner:
        await runner.runs()
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'memor%'").fetchone() == (0,)


async def test_the_doctor_finds_nothing_wrong_and_saves_memories(tmp_path: Path) -> None:
    """The additional tables pass its check and that of opening, and a copy of what can be read has them."""
    path, new = tmp_path / "runs.db", tmp_path / "new.db"
    async with Memory(path, embed=letters) as memory, Runner(path) as runner:
        await memory.put("n", "k", {"a": 1}, text="green tea")
        await memory.put("n", "gone", 1, text="green tea")
        await memory.delete("n", "gone")
        await runner.start(visits(memory), Visit()).result()
        await runner.store.vacuum()
    assert examine(path).is_sound
    with closing(sqlite3.connect(path)) as damaged:
        rebuild(damaged, new)
    assert examine(new).is_sound
    async with Memory(path, embed=letters) as one, Memory(new, embed=letters) as other:
        assert await one.list() == await other.list() != []
        assert keys(await other.search("n", "tea")) == keys(await other.search("n", "tea", by="meaning")) == ["n:k"]
        await other.delete("n", "k")
        assert await other.search("n", "tea") == []


async def test_a_locked_and_a_full_database_say_so(tmp_path: Path) -> None:
    """As for runs: the error names the file and the repair, and the memory works once that is over."""
    store = SQLiteStore(tmp_path / "runs.db", busy_timeout_seconds=0)
    await store.open()
    memory = Memory(store)
    await memory.put("n", "k", 1)
    with closing(sqlite3.connect(tmp_path / "runs.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLocked, match="lock"):
            await memory.put("n", "k", 2)
        other.execute("ROLLBACK")
    await store.write(lambda connection: connection.execute("PRAGMA max_page_count = 1").fetchone())
    with pytest.raises(StoreFull, match="full"):
        await memory.put("n", "k", "x" * 400_000)
    await store.write(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchone())
    found = await memory.get("n", "k")
    assert found is not None
    assert found.value == 1
    await store.close()


async def test_a_node_that_runs_elsewhere_cannot_use_a_memory() -> None:
    """Nothing would be recorded there."""
    before = CURRENT.set(object())
    try:
        with pytest.raises(DefinitionError, match="runs on an executor"):
            await Memory().get("n", "k")
    finally:
        CURRENT.reset(before)


def test_a_memory_that_nobody_closes_does_not_keep_the_process(tmp_path: Path) -> None:
    """The program ends, and the next one finds what was kept."""
    program = "import asyncio, sys; from graphengine.memory import Memory; m = Memory(sys.argv[1])\n"
    program += "asyncio.run(m.put('n', 'k', 1))"
    subprocess.run([sys.executable, "-c", program, tmp_path / "runs.db"], check=True, timeout=60)
    assert examine(tmp_path / "runs.db").is_sound


async def test_sqlite_vec_agrees(tmp_path: Path) -> None:
    """With the extension of SQLite the order and the scores are the same."""
    pytest.importorskip("sqlite_vec")
    if not hasattr(sqlite3.Connection, "enable_load_extension"):
        pytest.skip("this Python cannot load extensions of SQLite")
    from graphengine.databases.sqlite import memories  # noqa: PLC0415

    async with Memory(tmp_path / "runs.db", embed=letters) as memory:
        for number, text in enumerate(("aae", "xyz", "aaxx aaee", "iou")):
            await memory.put("n", str(number), text)
        by_vec = await memory.search("n", "aaaaee", by="meaning")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(memories, "_loads_vec", lambda _: False)
            by_hand = await memory.search("n", "aaaaee", by="meaning")
    assert keys(by_vec) == keys(by_hand)
    assert [entry.score for entry in by_vec] == pytest.approx([entry.score for entry in by_hand], abs=1e-5)


async def test_pgvector_agrees(postgres: str) -> None:
    """With the extension of the server, in another schema than the runs, the order and the scores are the same."""
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres.partition("?")[0], autocommit=True) as connection:
        if not connection.execute("SELECT FROM pg_available_extensions WHERE name = 'vector'").fetchall():
            pytest.skip("the server has no pgvector")
        async with Memory(postgres, embed=letters) as memory:
            for number, text in enumerate(("aae", "xyz", "aaxx aaee", "iou")):
                await memory.put("n", str(number), text)
            by_hand = await memory.search("n", "aaaaee", by="meaning")
            connection.execute('CREATE SCHEMA "of Vectors"; CREATE EXTENSION vector SCHEMA "of Vectors"')
            try:
                by_vector = await memory.search("n", "aaaaee", by="meaning")
            finally:
                connection.execute('DROP SCHEMA "of Vectors" CASCADE')
    assert keys(by_vector) == keys(by_hand)
    assert [entry.score for entry in by_vector] == pytest.approx([entry.score for entry in by_hand], abs=1e-5)
