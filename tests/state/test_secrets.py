"""Secret fields: which keys decrypt them, and where they are hidden. `secrets.txt` has what compile refuses."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, SecretStr

from graphengine import (
    END,
    START,
    Graph,
    Limits,
    Runner,
    Secret,
    ask,
    plateau,
)
from graphengine.errors import GraphEngineError, SecretKeyWrong
from graphengine.runner import Run, StepRecorded
from graphengine.runner.result import RunFailed

pytest.importorskip("cryptography")

KEYS = [f"{number}-0123456789-abcdefghijklmnopqrstuvwxyz" for number in range(3)]


class State(BaseModel):
    token: SecretStr = SecretStr("t0p")
    word: Annotated[str, Secret] = "w0rd"
    keys: list[SecretStr] = []
    plain: str = ""
    words: list[str] = []
    found: dict[str, str] = {}


def graph(state: type[BaseModel] = State, key: Any = KEYS[0], **options: Any) -> Graph[Any]:
    """Return a graph of one node, to extend."""
    made: Graph[Any] = Graph("g", state, secret_key=key, **options)
    made.add_node("a", dict, writes=(), thread=False)
    made.add_edge(START, "a")
    return made


def test_a_missing_package_is_repaired_by_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The repair is the command that installs the package, and no advice on the key."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    made = graph()
    made.add_edge("a", END)
    (problem,) = made.check()
    assert problem.code == "secret_key"
    assert problem.message == "secrets need the package cryptography, which is not installed"
    assert problem.repair == 'pip install "durable-graphengine[secrets]"'


def keyed(key: Any, seen: list[str]) -> Graph[Any]:
    """Return a graph of three nodes that read the secret."""

    def look(token: SecretStr, word: str) -> dict[str, object]:
        seen.append(token.get_secret_value() + word)
        return {"token": token.get_secret_value() + "!", "word": word + "!"}

    made: Graph[Any] = Graph("g", State, secret_key=key)
    for name in "abc":
        made.add_node(name, look, thread=False)
    made.add_path(START, "a", "b", "c", END)
    return made


async def test_a_wrong_key_is_reported_and_changes_nothing(tmp_path: Path) -> None:
    """Resume and branch with another key raise `secret_key`, and the run is unchanged."""
    path = tmp_path / "runs.db"
    seen: list[str] = []
    async with Runner(path) as runner:
        await runner.start(keyed(KEYS[0], seen), run_id="r", limits=Limits(visits=1)).result()
        before = await runner.history("r")
        wrong = keyed(KEYS[1], seen)
        starts: list[Callable[[], Run[Any]]] = [
            lambda: runner.resume("r", wrong, limits=Limits()),
            lambda: runner.branch("r", wrong, 2),
            lambda: runner.start(wrong, {}, after="r"),
        ]
        for start in starts:
            with pytest.raises(GraphEngineError) as caught:
                await start().result()
            assert isinstance(caught.value, SecretKeyWrong), caught.value
            assert "secret_key=[new, old]" in caught.value.repair
        assert await runner.history("r") == before
        assert (await runner.store.info("r")).driver is None
        assert len(seen) == 1


async def test_keys_may_be_changed(tmp_path: Path) -> None:
    """With the old key after the new one, old records are read; new records need the new key."""
    path = tmp_path / "runs.db"
    seen: list[str] = []
    async with Runner(path) as runner:
        await runner.start(keyed(KEYS[0], seen), run_id="r", limits=Limits(visits=1)).result()
        both = keyed([KEYS[1], KEYS[0]], seen)
        await runner.resume("r", both, limits=Limits(visits=2)).result()
        for alone in KEYS[:2]:  # later records need the new key, and the field `keys` still the old one
            with pytest.raises(SecretKeyWrong):
                await runner.resume("r", keyed(alone, seen), limits=Limits()).result()
        result = await runner.resume("r", keyed(lambda: [KEYS[2], *KEYS[1::-1]], seen), limits=Limits()).result()
        assert result.state.token.get_secret_value() == "t0p!!!"
        assert result.state.word == "w0rd!!!"
        assert seen == ["t0pw0rd", "t0p!w0rd!", "t0p!!w0rd!!"]


async def test_a_record_belongs_to_its_field_and_graph(tmp_path: Path) -> None:
    """The record of one field is not valid for another, and equal values of one field have equal records."""
    made = keyed(KEYS[0], [])
    cipher = made.compile().state.fields["token"].cipher
    assert cipher is not None
    sealed = cipher.seal("token", b'"x"')
    assert sealed == cipher.seal("token", b'"x"')
    assert cipher.unseal("token", sealed) == b'"x"'
    with pytest.raises(SecretKeyWrong):
        cipher.unseal("word", sealed)
    for bad in ({"$secret": "no base64!"}, {"$secret": ""}, {"$secret": 7}, {"$secret": None}):
        with pytest.raises(SecretKeyWrong):
            cipher.unseal("token", bad)


async def test_a_watcher_sees_no_secret() -> None:
    """The events of a run that is watched from its start hold no clear text."""
    async with Runner() as runner:
        run = runner.start(keyed(KEYS[0], []), {"word": "cl3ar"})
        events = [event async for event in run.events()]
        assert any(isinstance(event, StepRecorded) for event in events)
        assert "cl3ar" not in repr(events)
        assert "cl3ar" not in repr(await run.result())


async def test_a_secret_that_an_error_quotes_in_part_is_hidden() -> None:
    """Pydantic cuts the middle out of a long value, so the error has its beginning and its end."""
    long = "canary-" + "0123456789" * 6 + "-yranac"
    made = graph()
    made.add_node("reject", lambda word: State(found=word), writes="plain", thread=False)
    made.add_path("a", "reject", END)
    async with Runner() as runner:
        with pytest.raises(RunFailed) as caught:
            await runner.start(made, {"word": long}).result()
    assert "input_value='**********...**********" in str(caught.value)
    assert "canary" not in str(caught.value.result)
    assert "yranac" not in str(caught.value.result)


async def test_a_secret_may_move_to_another_secret_field() -> None:
    """A secret that moves to another secret field is encrypted there."""
    made = graph()
    made.add_node("move", lambda token: token.get_secret_value(), writes="word", thread=False)
    made.add_path("a", "move", END)
    async with Runner() as runner:
        assert (await runner.start(made, {"token": "a clear token"}).result()).state.word == "a clear token"


class Deep(BaseModel):
    word: Annotated[str, Secret] = ""
    score: int = 5


async def test_a_graph_inside_may_have_secrets_and_a_condition_on_the_past() -> None:
    """The mark that its entry keeps for a plateau is searched for that graph's secrets, with its own cipher."""
    inner: Graph[Any] = Graph("inner", Deep, secret_key=KEYS[0], result="score")
    inner.add_node("b", lambda: None, writes=(), thread=False)
    inner.add_edge(START, "b")
    inner.add_edge("b", END, when=plateau("score", patience=1))
    inner.add_edge("b", "b")
    made: Graph[Any] = Graph("g", State, secret_key=KEYS[0])
    made.add_node("deep", inner, writes=())
    made.add_path(START, "deep", END)
    async with Runner() as runner:
        result = await runner.start(made, limits=Limits(visits=5)).result()
    assert result.status in ("finished", "stopped")


class Unversioned(BaseModel):
    token: SecretStr = SecretStr("cl3ar-token")
    plain: str = "seen"


def asking(state: type[BaseModel], key: Any = KEYS[0], **versions: Any) -> Graph[Any]:
    """Return a waiting graph, to be migrated while it waits."""
    made: Graph[Any] = Graph("desk", state, secret_key=key, **versions)
    made.add_node("a", ask("Go on?", str), writes="plain")
    made.add_path(START, "a", END)
    return made


async def test_a_run_that_follows_one_of_another_graph_takes_its_secrets_along() -> None:
    """Both graphs have the key; the record is encrypted again for the new graph."""
    first, second = asking(Unversioned), Graph("second", Unversioned, secret_key=KEYS[0])
    second.add_node("a", lambda: None, writes=(), thread=False)
    second.add_path(START, "a", END)
    async with Runner() as runner:
        await runner.start(first, {"token": "cl3ar-other"}, run_id="r").result()
        await runner.answer("r", "yes")
        await runner.resume("r", first).result()
        result = await runner.start(second, after="r").result()
        assert result.state.token.get_secret_value() == "cl3ar-other"
        assert "cl3ar" not in repr(await runner.history(result.run_id))
