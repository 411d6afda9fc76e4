"""The tools `remember` and `recall`, with which an agent uses a memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from graphengine.agents.tools import Tool, tool
from graphengine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from graphengine.memory.kept import MemoryEntry

_NOTHING: Final = "Nothing that is remembered fits."


def tools_of(
    put: Callable[[str, str, str], Awaitable[None]],
    search: Callable[[str, str], Awaitable[Sequence[MemoryEntry]]],
    namespace: str,
    of: str,
) -> Sequence[Tool[..., Any]]:
    """Make the tools `remember` and `recall`, which write and search a namespace of a memory; see `Memory.tools`."""

    def place(owner: object) -> str:
        if not of:
            return namespace
        if owner is None or "/" in f"{owner}":  # such an owner would be below the namespace of another owner
            text = f"the field {of!r} is {owner!r}, which cannot be the last part of the namespace of a memory"
            raise InputError(text, where="memory.tools(of=…)", repair=f"set {of!r} to a text without a slash")
        return f"{namespace}/{owner}"

    async def remember(owner: object, subject: str, text: str, idempotency_key: str) -> str:
        """Keep a text for later conversations, in place of what was remembered about the same subject.

        Args:
            owner: The last part of the namespace, which no model chooses.
            subject: What it is about, in a few words.
            text: What to remember, in whole sentences.
            idempotency_key: Not needed: a call that is repeated replaces what it kept.
        """
        del idempotency_key
        await put(place(owner), subject, text)
        return "Remembered."

    async def recall(owner: object, query: str) -> str:
        """Search what was remembered in earlier conversations.

        Args:
            owner: The last part of the namespace, which no model chooses.
            query: What to look for: the words that it may have.
        """
        found = await search(place(owner), query)
        return "\n".join(f"{entry.key}: {entry.text}" for entry in found) or _NOTHING

    if of:
        inputs = {"owner": of}
        return [tool(remember, effect="idempotent", inputs=inputs), tool(recall, effect="read", inputs=inputs)]
    shared = [partial(remember, ""), partial(recall, "")]
    for each, whole in zip(shared, (remember, recall), strict=True):
        each.__doc__ = whole.__doc__
    return [
        tool(shared[0], name="remember", effect="idempotent"),
        tool(shared[1], name="recall", effect="read"),
    ]
