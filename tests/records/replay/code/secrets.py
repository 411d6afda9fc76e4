from typing import Annotated

from pydantic import BaseModel, SecretStr

from graphengine import END, START, Graph, Runner, Secret
from graphengine.records.export import export_run, parse, to_json_text
from graphengine.records.replay.replay import replay
from graphengine.testing import FakeClock

KEYS = [f"{number}-0123456789-abcdefghijklmnopqrstuvwxyz" for number in range(2)]
CANARY = "canary-s3cret"


class Vault(BaseModel):
    token: SecretStr = SecretStr("none yet")
    word: Annotated[str, Secret] = CANARY
    other: Annotated[str, Secret] = f"{CANARY}-other"
    pin: Annotated[str, Secret] = "7"
    n: int = 0


class Inner(BaseModel):
    token: SecretStr
    m: int = 0


def fetch():
    """Return secrets."""
    return {"token": CANARY, "word": f"{CANARY}!"}


def look(word: str) -> int:
    """Read a secret."""
    return len(word)


def inside(token: SecretStr) -> int:
    """Read a secret in a subgraph."""
    return len(token.get_secret_value())


def vault(state=Vault, key=KEYS[0], **inputs):
    """Return a graph whose nodes write and read secrets, one in a subgraph."""
    inner = Graph("inner", Inner, result="m", secret_key=key)
    inner.add_node("inside", inside, writes="m", thread=False)
    inner.add_path(START, "inside", END)
    graph = Graph("vault", state, secret_key=key)
    graph.add_node("fetch", fetch, writes=("token", "word"), thread=False)
    graph.add_node("look", look, writes="n", thread=False, inputs=inputs)
    graph.add_node("deep", inner, writes="n")
    graph.add_path(START, "fetch", "look", "deep", END)
    return graph


async def recorded(state=Vault, **update):
    """Run, or branch with other values, and export the run."""
    async with Runner(clock=FakeClock()) as runner:
        await runner.start(vault(state), {"n": 1}, run_id="r").result()
        if update:
            await runner.branch("r", vault(state), 2, update=update, run_id="b").result()
        text = to_json_text(await export_run(runner.store, "b" if update else "r"), "1")
    assert CANARY not in text
    return parse(text, "r.json")


def told(graph, run):
    """Return what a replay says, without the values in it."""
    found = replay(graph, run)
    assert CANARY not in repr(found)
    return "\n".join([str(found), *(f"  {one.recorded} / {one.today}" for one in found.differences[:1])])
