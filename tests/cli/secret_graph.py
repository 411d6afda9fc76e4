"""A graph whose secrets go everywhere that secrets can go; `CANARY` must never be visible."""

import base64
import logging
import os
from typing import Annotated, Any

from pydantic import BaseModel, SecretBytes, SecretStr, field_validator

from graphengine import END, START, Context, Graph, Retry, Secret, failed, value

KEY = "k3y-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz"
CANARY = os.environ.get("CANARY", "canary-s3cr3t-'\"\\-wörd")


class Login(BaseModel):
    user: str
    password: str


class Vault(BaseModel):
    token: SecretStr = SecretStr("none yet")
    maybe: SecretStr | None = None
    raw: SecretBytes = SecretBytes(b"\xff\x00none")
    keys: list[SecretStr] = []
    by_name: dict[str, SecretStr] = {}
    word: Annotated[str, Secret] = "none yet"
    login: Annotated[Login | None, Secret] = None
    tries: int = 0
    done: str = ""
    fine: bool = False

    @field_validator("word")
    @classmethod
    def _no_bad_word(cls, given: str) -> str:
        if given.startswith("bad"):
            raise ValueError(f"the word {given} is bad")
        return given


class Broken(Exception):
    pass


def fetch() -> dict[str, Any]:
    """Return every secret, in every form."""
    return {
        "token": CANARY,
        "maybe": SecretStr(CANARY + "-2"),
        "raw": CANARY.encode() + b"\xff",
        "keys": [CANARY, SecretStr("other")],
        "by_name": {"a": CANARY},
        "word": CANARY,
        "login": {"user": "me", "password": CANARY},
    }


def use(  # noqa: PLR0913 - each form of the secret
    token: SecretStr, word: str, login: Login | None, raw: SecretBytes, keys: list[SecretStr], tries: int
) -> str:
    """Fail first, with the secret in the message, then succeed."""
    logging.getLogger("tests").debug("using it")
    clear = token.get_secret_value()
    assert clear == word == keys[0].get_secret_value() == CANARY
    assert login is not None
    assert login.password == CANARY
    assert raw.get_secret_value() == CANARY.encode() + b"\xff"
    if tries < 0:
        raise Broken(f"bad: {clear} {clear!r} {raw.get_secret_value()!r} {base64.b64encode(clear.encode()).decode()}")
    raise Broken(f"refused {clear}, {word!r}, {login!r}, {login.password}")


def spare(error: Any) -> str:
    """Return a value in place of what `use` failed to return."""
    return "by fallback"


async def mismatch(word: str, tries: int) -> dict[str, Any]:
    """Return an invalid value that contains the secret."""
    return {"word": "bad" + word, "token": 7 if tries else None}


def again() -> dict[str, int]:
    """Continue."""
    return {"tries": 1}


async def question(ctx: Context, token: SecretStr) -> bool:
    """Wait for an answer."""
    return await ctx.ask("go on?", bool)


def has_token(token: SecretStr) -> bool:
    """Read a secret and return only true or false."""
    return token.get_secret_value() == CANARY


def made() -> Graph[Vault]:
    """Return the graph."""
    graph = Graph("vault", Vault, secret_key=lambda: KEY)
    graph.add_node("fetch", fetch, thread=False)
    graph.add_node(
        "use", use, writes="done", retry=Retry(2, initial_seconds=0, max_seconds=0), fallback=spare, thread=False
    )
    graph.add_node("mismatch", mismatch)
    graph.add_node("again", again, thread=False)
    graph.add_node("question", question, writes="fine")
    graph.add_node("last", use, writes="done", thread=False, inputs={"keys": "keys"})
    graph.add_path(START, "fetch", "use", "mismatch")
    graph.add_edge("mismatch", "again", when=failed(Exception))
    graph.add_edge("mismatch", END)
    graph.add_edge("again", END, when=value("token").is_none(), label="none")
    graph.add_edge("again", "question", when=has_token)
    graph.add_edge("again", END)
    graph.add_edge("question", "last")
    graph.add_edge("last", END)
    return graph


graph = made()
