"""What the page writes: answers, messages, stops and tags, through a `Runner`, as the command line does.

None needs a graph's code. What does, resuming, branching and starting, is left to a worker or to the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphengine.errors import InputError
from graphengine.history.selection import status_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from graphengine.runner import Runner
    from graphengine.stores.base import Store

_ID_LENGTH: Final = 500
_TAGS: Final = 50


class Acts:
    """Writes to one database. A store is opened for each, so that the inspector holds no lease meanwhile."""

    def __init__(self, database: Path | str, reader: Store) -> None:
        self._database = database
        self._reader = reader

    def _runner(self) -> Runner:
        from graphengine.runner import Runner  # noqa: PLC0415 - the page opens without it

        return Runner(self._database)

    async def answer(self, body: Mapping[str, Any]) -> None:
        """Answer a question of a run."""
        async with self._runner() as runner:
            await runner.answer(_text(body, "id"), body.get("value"), question=_text(body, "wait"))

    async def send(self, body: Mapping[str, Any]) -> None:
        """Send a message to a run; with the same key it is sent once."""
        async with self._runner() as runner:
            await runner.send(_text(body, "id"), _text(body, "topic"), body.get("payload"), key=_text(body, "key"))

    async def stop(self, body: Mapping[str, Any]) -> None:
        """Stop a run that waits, or ask its driver to stop it."""
        info = await self._reader.info(_text(body, "id"))
        if status_of(info) not in ("running", "waiting"):
            message = f"run {info.id} is {status_of(info)}, so there is nothing to stop"
            raise InputError(message, where=f"run {info.id}", repair="resume it if it is to continue")
        async with self._runner() as runner:
            await runner.stop(info.id)

    async def tag(self, body: Mapping[str, Any]) -> None:
        """Add and remove tags of a run."""
        async with self._runner() as runner:
            await runner.tag(_text(body, "id"), add=_texts(body, "add"), remove=_texts(body, "remove"))


def _text(body: Mapping[str, Any], name: str) -> str:
    found = body.get(name)
    if not isinstance(found, str) or not 0 < len(found) <= _ID_LENGTH:
        raise InputError(f"{name} is not a text of 1 to {_ID_LENGTH} characters", where=name)
    return found


def _texts(body: Mapping[str, Any], name: str) -> list[str]:
    found = body.get(name, [])
    if not isinstance(found, list) or len(found) > _TAGS:
        raise InputError(f"{name} is not a list of at most {_TAGS} texts", where=name)
    return [_text({name: each}, name) for each in found]


__all__ = ["Acts"]
