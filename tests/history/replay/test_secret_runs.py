"""Replays of runs with secrets: they need the key, report when it is missing, and never show a clear text."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, SecretStr, model_validator

from graphengine import END, START, Graph, Runner, Secret
from graphengine.errors import SecretKeyWrong
from graphengine.records.export import export_run, parse, to_json_text
from graphengine.records.replay.replay import replay
from graphengine.testing import FakeClock
from tests.kit.replays import first_difference, recorded

pytest.importorskip("cryptography")

KEYS = [f"{number}-0123456789-abcdefghijklmnopqrstuvwxyz" for number in range(2)]
CANARY = "canary-s3cret"


class Vault(BaseModel):
    token: SecretStr = SecretStr("none yet")
    word: Annotated[str, Secret] = CANARY
    other: Annotated[str, Secret] = f"{CANARY}-other"
    pin: Annotated[str, Secret] = "7"
    n: int = 0


class Whole(Vault):
    """The same with a validator of the whole state."""

    @model_validator(mode="after")
    def _fine(self) -> "Whole":
        return self


class Inner(BaseModel):
    token: SecretStr
    m: int = 0


def fetch() -> dict[str, Any]:
    """Return secrets."""
    return {"token": CANARY, "word": f"{CANARY}!"}


def look(word: str) -> int:
    """Read a secret."""
    return len(word)


def inside(token: SecretStr) -> int:
    """Read a secret in a subgraph."""
    return len(token.get_secret_value())


def vault(state: type[BaseModel] = Vault, key: Any = KEYS[0], **inputs: str) -> Graph[Any]:
    """Return a graph whose nodes write and read secrets, one in a subgraph."""
    inner = Graph("inner", Inner, result="m", secret_key=key)
    inner.add_node("inside", inside, writes="m", thread=False)
    inner.add_path(START, "inside", END)
    graph: Graph[Any] = Graph("vault", state, secret_key=key)
    graph.add_node("fetch", fetch, thread=False)
    graph.add_node("look", look, writes="n", thread=False, inputs=inputs)
    graph.add_node("deep", inner, writes="n")
    graph.add_path(START, "fetch", "look", "deep", END)
    return graph


@pytest.mark.parametrize("state", [Vault, Whole])
async def test_a_run_with_secrets_replays(state: type[BaseModel]) -> None:
    """Initial states, updates and subgraphs with secrets are the same under the key they were recorded with."""
    run = await recorded(vault(state), {"n": 1})
    found = replay(vault(state), parse(to_json_text(run, "1"), "r.json"))
    assert found.same, found
    assert dict(found.unchecked) == {}


async def test_a_branch_that_sets_a_secret_replays() -> None:
    """The update of a branch can be a secret."""
    async with Runner(clock=FakeClock()) as runner:
        await runner.start(vault(), run_id="r").result()
        await runner.branch("r", vault(), 2, update={"word": f"{CANARY}?"}, run_id="b").result()
        run = await export_run(runner.store, "b")
    assert CANARY not in to_json_text(run, "1")
    assert replay(vault(), run).same


async def test_a_run_replays_under_a_new_key() -> None:
    """The same values encrypted with another key do not count as different."""
    run = await recorded(vault())
    assert replay(vault(key=KEYS[::-1]), run).same


async def test_without_the_key_nothing_is_replayed() -> None:
    """Another key is reported as such, and not as differences of the graph."""
    run = await recorded(vault())
    with pytest.raises(SecretKeyWrong):
        replay(vault(key=KEYS[1]), run)


@pytest.mark.parametrize("field", ["other", "pin"])
async def test_a_difference_shows_no_secret(field: str) -> None:
    """The old and new inputs of a node are reported only by the names of fields."""
    run = await recorded(vault())
    found = replay(vault(word=field), run)
    assert first_difference(found) == (3, "inputs")
    assert CANARY not in repr(found)
    assert "= 7" not in repr(found)


async def test_a_state_that_no_longer_fits_is_reported_without_its_secrets() -> None:
    """A validator that quotes the state does not bring a secret into the report."""

    class Strict(Vault):
        @model_validator(mode="after")
        def _never(self) -> "Strict":
            raise ValueError(f"the word {self.word} is bad")

    found = replay(vault(Strict), await recorded(vault()))
    assert not found.same
    assert CANARY not in repr(found)
