"""Secret fields: which keys decrypt them, and where they are hidden. `secrets.txt` has what compile refuses."""

import traceback
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, SecretStr, model_validator

from graphengine import (
    Runner,
    Secret,
)
from graphengine.errors import GraphChanged, MigrationFailed, SecretKeyWrong
from tests.kit.facts import said
from tests.state.test_secrets import KEYS, Unversioned, asking


class Renamed(BaseModel):
    api_key: Annotated[str, Secret]
    extra: SecretStr = SecretStr("")
    plain: str = ""


async def test_a_migration_renames_and_sets_secrets() -> None:
    """Its function sees them in clear; the values that it returns for secret fields are encrypted in the log."""
    seen: list[Any] = []

    def rename(old: dict[str, Any]) -> dict[str, Any]:
        seen.append(dict(old))
        return {"api_key": old["token"], "extra": "cl3ar-extra", "plain": old["plain"]}

    async with Runner() as runner:
        await runner.start(asking(Unversioned), run_id="r").result()
        await runner.answer("r", "yes")
        newer = asking(Renamed, version=2, migrate={1: rename})
        result = await runner.resume("r", newer).result()
        history = await runner.history("r")
        assert result.state.api_key == "cl3ar-token"
        assert result.state.extra.get_secret_value() == "cl3ar-extra"
        assert seen[0] == {"token": "cl3ar-token", "plain": "seen"}
        assert "cl3ar" not in repr(history)
        branch = await runner.branch("r", newer, 2).result()
        assert branch.status == "waiting"
        assert "cl3ar" not in repr(await runner.history(branch.run_id))


class Tightened(Unversioned):
    more: str = ""

    @model_validator(mode="before")
    @classmethod
    def refuse(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Reject everything, with the value in the message."""
        message = f"refused: {given}"
        raise ValueError(message)


async def test_a_validator_that_rejects_a_record_reveals_no_secret() -> None:
    """A validator that rejects a record reveals no secret, neither by its own message nor by its input."""
    async with Runner() as runner:
        await runner.start(asking(Unversioned), run_id="r").result()
        await runner.answer("r", "yes")
        with pytest.raises(GraphChanged, match="a validator rejected it") as caught:
            await runner.resume("r", asking(Tightened)).result()
    assert "cl3ar" not in "".join(traceback.format_exception(caught.value))


async def test_a_migration_leaves_records_of_secrets_that_it_does_not_change() -> None:
    """A secret that a function returns unchanged needs no new record."""
    async with Runner() as runner:
        await runner.start(asking(Unversioned), run_id="r").result()
        await runner.answer("r", "yes")
        newer = asking(Unversioned, version=2, migrate={1: lambda old: {**old, "plain": "other"}})
        await runner.resume("r", newer).result()
        resumed = next(step for step in await runner.history("r") if step.kind == "resumed")
        assert [op[1] for op in said(resumed)["field_changes"][""]] == ["plain"]


def _raises(old: dict[str, Any]) -> dict[str, Any]:
    raise ValueError(f"bad: {old}")


MIGRATIONS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "raises": _raises,
    "gives no fields": lambda old: list(old.values()),
    "gives an unknown field": lambda old: {"api_key": "cl3ar-new", "tokn": old["token"]},
    "gives another type": lambda old: {"api_key": [old["token"]], "plain": ""},
    "gives what JSON cannot carry": lambda old: {"api_key": {"cl3ar-new", old["token"]}},
}


@pytest.mark.parametrize("name", MIGRATIONS)
async def test_a_migration_that_fails_shows_no_secret(name: str) -> None:
    """A failing migration shows no secret in its message or its cause; the run is unchanged."""
    async with Runner() as runner:
        await runner.start(asking(Unversioned), run_id="r").result()
        before = await runner.history("r")
        await runner.answer("r", "yes")
        with pytest.raises(MigrationFailed) as caught:
            await runner.resume("r", asking(Renamed, version=2, migrate={1: MIGRATIONS[name]})).result()
        text = "".join(traceback.format_exception(caught.value))
        assert "cl3ar-token" not in text
        assert await runner.history("r") == before


async def test_a_migration_with_a_wrong_key_is_reported() -> None:
    """A migration with a wrong key is reported, also if the secret has another name today."""
    async with Runner() as runner:
        await runner.start(asking(Unversioned), run_id="r").result()
        await runner.answer("r", "yes")
        newer = asking(Renamed, KEYS[1], version=2, migrate={1: lambda old: {"api_key": old["token"]}})
        with pytest.raises(SecretKeyWrong):
            await runner.resume("r", newer).result()
