"""`Memory`: values that agents and nodes keep across runs.

In a node or a tool, each operation is a recorded call: a node that runs again receives the recorded results, and does
not write a second time. Outside of a run, every operation is executed.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, is_dataclass
from enum import Enum
from functools import partial, wraps
from itertools import starmap
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Final, Literal, ParamSpec, TypeAlias, TypeVar, cast

from pydantic import BaseModel, JsonValue
from pydantic_core import from_json, to_json

from graphengine.api.places import store_at
from graphengine.databases.memories import scope_of
from graphengine.databases.sql import SQLStore
from graphengine.databases.sqlite.in_process import InProcess
from graphengine.errors import DefinitionError, InputError
from graphengine.kernel.extension import CURRENT, Context, signature_of, utf8_text
from graphengine.kernel.inside import RESERVED, as_record, check_stored_name, digest_of_call
from graphengine.kernel.store import words_of
from graphengine.memory.tools import tools_of
from graphengine.runner.attempt import Attempt

if TYPE_CHECKING:
    from os import PathLike
    from typing import Self

    from graphengine.agents.tools import Tool
    from graphengine.databases.memories import Memories, Scope
    from graphengine.databases.postgres import PostgresStore
    from graphengine.databases.sqlite import SQLiteStore
    from graphengine.kernel.inside import Effect

P = ParamSpec("P")
T = TypeVar("T")

Embed: TypeAlias = Callable[[list[str]], Awaitable[Sequence[Sequence[float]]]]
"""Returns the vector of each text. All vectors have the same length."""

MOST_BYTES: Final = 1_000_000
"""The maximum size of a value together with its text, as JSON."""
_RESERVED: Final = (RESERVED, "\U0010ffff")
"""The forbidden beginnings of namespaces: the engine's own prefix, and the character at which every scope ends."""


@dataclass(frozen=True, slots=True)
class MemoryEntry:
    """An entry of a memory.

    Attributes:
        namespace: The namespace of the entry.
        key: The key of the entry.
        value: The value, as JSON.
        text: The text that `search` reads.
        updated_at: When the entry was last put, in epoch seconds.
        score: How well the entry fits the search that found it: higher is better, and 0 means that no search found it.
            In a search by meaning, this is the cosine of the angle between the vectors. In a search by words, scores
            are only comparable within one search.
    """

    namespace: str
    key: str
    value: JsonValue
    text: str
    updated_at: float
    score: float = 0.0


AnyStore: TypeAlias = "SQLStore[Any, Any, Any] | InProcess"
_READY: Final[weakref.WeakSet[object]] = weakref.WeakSet()
"""The stores of this process whose databases have the table of memories."""
_Method: TypeAlias = "Callable[Concatenate[Memory, P], Coroutine[Any, Any, T]]"


def _record_calls(effect: Effect) -> Callable[[_Method[P, T]], _Method[P, T]]:
    """Return a decorator that makes a method of `Memory` record its calls if it is called in a run.

    A node that runs again then receives the recorded results instead of reading or writing the memory a second time.
    """

    def of(method: _Method[P, T]) -> _Method[P, T]:
        signature = signature_of(method)

        @wraps(method)
        def recorded(memory: Memory, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
            here = CURRENT.get()
            if here is None:
                return method(memory, *args, **kwargs)
            if not isinstance(here, Attempt):
                raise DefinitionError(
                    "a memory was used in a node that runs on an executor (on=), where its calls cannot be recorded",
                    repair="read and write the memory in a node without on=, and pass the entries through the state",
                )
            # `call` also has a parameter named `key`.
            _, *given = (bound := signature.bind(memory, *args, **kwargs)).args
            if effect != "read":
                here.refuse_secrets(as_record([given, bound.kwargs], "a memory"), "what is kept in a memory")
            # The key depends only on the arguments, as in `call`. If two memories in a node are called with the same
            # arguments, the order of the calls tells them apart.
            key = digest_of_call(method.__qualname__, given, bound.kwargs)
            return Context(here).call(MethodType(method, memory), *given, key=key, effect=effect, **bound.kwargs)

        return recorded

    return of


class Memory:
    """Values by namespace and key, kept across runs in the database of the runs, and found by words or by meaning.

    A `Memory` keeps each value in a namespace, which is a path such as `users/ada`. A search in the namespace
    `users/ada` also covers the namespaces below it, such as `users/ada/diet`, and so does a list of its entries. Other
    namespaces are not covered.

    Use a `Memory` as an async context manager, or declare it as a resource of a graph. A `Memory` that is a resource is
    closed together with the resources of the graph.

    Args:
        store: The path of a SQLite database, the address of a PostgreSQL database, the store that a Runner has, or None
            for the memory of this process.
        embed: Returns the vectors of texts. `put` then calls it for each text, and `search(…, by="meaning")` works.

    Example:
        >>> async def main() -> None:
        ...     async with Memory() as memory:
        ...         await memory.put("users/ada", "diet", {"likes": "tea"}, text="Ada drinks green tea.")
        ...         for entry in await memory.search("users/ada", "Which tea?"):
        ...             print(entry.key, entry.value)
        >>> asyncio.run(main())
        diet {'likes': 'tea'}
    """

    def __init__(
        self, store: str | PathLike[str] | SQLiteStore | PostgresStore | None = None, *, embed: Embed | None = None
    ) -> None:
        self._at = store if isinstance(store, (str, os.PathLike)) else None
        self._shared: AnyStore | None = None
        if self._at is None:
            self._shared = InProcess() if store is None else cast("SQLStore[Any, Any, Any]", store)
            if not isinstance(self._shared, SQLStore | InProcess):
                text = f"Memory({store!r}): a memory needs the path of a database, a store in a database, or nothing"
                raise DefinitionError(text, where="Memory", repair='write Memory("runs.db")')
        self._embed = embed
        self._stores: dict[asyncio.AbstractEventLoop, SQLStore[Any, Any, Any]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the store that this memory has opened. The next use opens it again.

        A store that was given as `store` stays open.
        """
        store = self._stores.pop(asyncio.get_running_loop(), None)
        if store is not None:
            await store.close()

    @_record_calls("idempotent")
    async def put(self, namespace: str, key: str, value: object, *, text: str | None = None) -> None:
        """Put a value under a key, and replace the earlier value.

        Args:
            namespace: The namespace of the entry.
            key: The key in this namespace.
            value: A JSON value, or a pydantic model or dataclass, which becomes JSON; of at most 1 MB.
            text: The text that `search` reads, of up to 200,000 characters. The default is the value if it is a text,
                otherwise the value as JSON. With "", searches do not find the entry.

        Raises:
            InputError: JSON cannot represent the value or would change it (a tuple, for example), the value is too
                large, or a name is not valid.
            NotRecordable: The value contains a secret of the graph.
            StoreError: The database cannot be written.
        """
        _check_entry_names(namespace, key)
        record = as_record(value, "a memory")
        if changed := _find_changed(value, "value"):
            repair = "convert the value first, such as list(…) or str(…), or put a pydantic model"
            raise InputError(
                f"the memory would not store the value unchanged, because JSON changes {changed}",
                where=f"{namespace} {key}",
                repair=repair,
            )
        if text is None:
            text = record if isinstance(record, str) else to_json(record).decode()
        text = utf8_text(text)
        body = to_json(as_record({"value": record, "text": text}, "a memory"))
        if len(body) > MOST_BYTES:
            message = (
                f"the value takes {len(body):,} bytes, but a memory stores at most {MOST_BYTES:,} bytes under a key"
            )
            repair = "keep the value in a file or a table of your own, and put its name into the memory"
            raise InputError(message, where=f"{namespace} {key}", repair=repair, code="too_large")
        words = words_of(text)
        vector = await self._vector_of(text) if self._embed is not None and words else None
        values = {"namespace": namespace, "key": key, "body": body.decode(), "words": " ".join(words)}
        store, memories = await self._open()
        work = partial(memories.put, values={**values, "updated_at": time.time()}, vector=vector)
        await store.write(work, 2 * len(body) + 4 * len(vector or ()))

    @_record_calls("read")
    async def get(self, namespace: str, key: str) -> MemoryEntry | None:
        """Return the entry under a key; None if the key has no entry."""
        _check_entry_names(namespace, key)
        store, memories = await self._open()
        return next(iter(_entries(await store.read(lambda c, _: memories.get(c, namespace, key)))), None)

    @_record_calls("idempotent")
    async def delete(self, namespace: str, key: str) -> None:
        """Delete the entry under a key, if there is one."""
        _check_entry_names(namespace, key)
        store, memories = await self._open()
        await store.write(partial(memories.delete, namespace=namespace, key=key))

    @_record_calls("idempotent")
    async def clear(self, namespace: str) -> None:
        """Delete all entries in a namespace and in the namespaces below it, for example everything about one person."""
        store, memories = await self._open()
        await store.write(partial(memories.clear, scope=_scope(namespace)))

    @_record_calls("read")
    async def search(
        self, namespace: str, query: str, *, limit: int = 5, by: Literal["words", "meaning"] = "words"
    ) -> Sequence[MemoryEntry]:
        """Return the entries that fit a text best, the best entry first.

        `search` covers the entries of the namespace and of the namespaces below it.

        Args:
            namespace: The namespace; "" for all namespaces.
            query: Any text. A search by words finds entries that contain at least one of its words. Case and accents do
                not matter, but the form of the word does: "teas" does not find "tea". Entries with more of the words
                come first, and in SQLite also entries with rarer words.
            limit: The maximum number of entries.
            by: `"meaning"` compares the vector of the text with the vectors of the entries. Only entries that were put
                with an `embed=` function for vectors of the same length are found.

        Raises:
            DefinitionError: The search is by meaning, but the memory has no `embed=` function.
        """
        scope, most = _scope(namespace), _positive(limit)
        if by == "words":
            store, memories = await self._open()
            return _entries(await store.read(lambda c, _: memories.by_words(c, scope, query, most)))
        vector = await self._vector_of(query) if words_of(query) else None
        if vector is None:
            return []
        store, memories = await self._open()
        return _entries(await store.read(lambda c, _: memories.by_meaning(c, scope, vector, most)))

    @_record_calls("read")
    async def list(
        self, namespace: str = "", *, limit: int = 100, after: MemoryEntry | None = None
    ) -> Sequence[MemoryEntry]:
        """Return the entries in a namespace and the namespaces below it, ordered by namespace and key.

        Args:
            namespace: The namespace; "" for all namespaces.
            limit: The maximum number of entries.
            after: The last entry of the previous page.
        """
        scope, most = _scope(namespace), _positive(limit)
        last = ("", "") if after is None else (after.namespace, after.key)
        store, memories = await self._open()
        return _entries(await store.read(lambda c, _: memories.page(c, scope, last, most)))

    def tools(self, namespace: str, *, of: str = "", limit: int = 5) -> Sequence[Tool[..., Any]]:
        """Return two tools for an agent: `remember` keeps a text about a subject, and `recall` searches for texts.

        The tool `recall` searches by meaning if the `Memory` was created with a function `embed=`. Otherwise it
        searches by words.

        Args:
            namespace: The namespace that the tools read and write. The model cannot choose another one.
            of: A path in the state whose value is the last part of the namespace. With `tools("users", of="user")`,
                each user has a separate memory.
            limit: The maximum number of entries that `recall` returns.
        """
        _scope(namespace)
        by: Literal["words", "meaning"] = "words" if self._embed is None else "meaning"
        return tools_of(self.put, partial(self.search, limit=limit, by=by), namespace, of)

    async def _vector_of(self, text: str) -> Sequence[float] | None:
        """Compute the vector of a text with `embed=`, and scale it to length 1; None if all its numbers are 0."""
        if self._embed is None:
            repair = "write Memory(…, embed=function), or search by words: search(…, by='words')"
            text = "search(by='meaning') needs the vectors of texts, but the memory was created without embed="
            raise DefinitionError(text, where="memory.search", repair=repair)
        found = await self._embed([text])
        if len(found) != 1 or not len(found[0]) or not all(map(math.isfinite, found[0])):
            shown = f"{len(found)} vectors" if len(found) != 1 else f"a vector of {len(found[0])} numbers"
            message = f"the function of embed= returned {shown} for one text, or numbers that are not finite"
            raise DefinitionError(
                message, where="Memory(embed=…)", repair="return one list of finite numbers for each text: [[0.1, 0.7]]"
            )
        length = math.hypot(*found[0])
        return [number / length for number in found[0]] if length else None

    async def _open(self) -> tuple[AnyStore, Memories[Any]]:
        """Return the opened store with the table of memories, and the SQL statements for its kind of database."""
        return await table_of(self._shared or await self._own())

    async def _own(self) -> SQLStore[Any, Any, Any]:
        """Return the store that this memory has opened for the running event loop, and open it if necessary.

        A memory opens one store for each event loop. The stores of event loops that have been closed are abandoned.
        """
        for ended in [loop for loop in self._stores if loop.is_closed()]:
            await asyncio.to_thread(self._stores.pop(ended).abandon)
        here = asyncio.get_running_loop()
        if here not in self._stores:
            self._stores[here] = cast("SQLStore[Any, Any, Any]", store_at(self._at or ""))
        return self._stores[here]


async def table_of(store: AnyStore) -> tuple[AnyStore, Memories[Any]]:
    """Open a store and create its table of memories if the table does not exist.

    Returns the store and the SQL statements for this table.
    """
    await store.open()
    memories = statements_for(store)
    if store not in _READY:
        if not await store.read(lambda connection, _: memories.exist(connection)):
            await store.write(memories.create)
        _READY.add(store)
    return store, memories


def statements_for(store: object) -> Memories[Any]:
    """Return the SQL statements that read and write the table of memories, for a store's kind of database."""
    if isinstance(store, InProcess) or store.__class__.__module__.startswith("graphengine.databases.sqlite."):
        from graphengine.databases.sqlite.memories import MEMORIES as OF_SQLITE  # noqa: PLC0415

        return OF_SQLITE
    from graphengine.databases.postgres.memories import MEMORIES as OF_POSTGRES  # noqa: PLC0415

    return OF_POSTGRES


def _find_changed(value: object, place: str) -> str:
    """Describe the first part of a value that JSON cannot keep as it is, such as a tuple, which would become a list.

    For example, the result for `{"at": (1, 2)}` contains `['at'], a tuple`. It is "" if every part stays the same.
    """
    if isinstance(value, dict):
        key = next((key for key in value if not isinstance(key, str)), None)
        parts = ((part, f"{place}[{name!r}]") for name, part in value.items())
        return next(filter(None, starmap(_find_changed, parts)), "") if key is None else f"the key {key!r} of {place}"
    if isinstance(value, list):
        return next(filter(None, (_find_changed(part, f"{place}[{at}]") for at, part in enumerate(value))), "")
    is_kept = value is None or isinstance(value, str | int | float | BaseModel) or is_dataclass(value)
    return "" if is_kept and not isinstance(value, Enum) else f"{place}, a {type(value).__name__}"


def _entries(rows: Sequence[tuple[Any, ...]]) -> Sequence[MemoryEntry]:
    bodies = [from_json(body) for _, _, body, _, _ in rows]
    return [
        MemoryEntry(namespace, key, body["value"], body["text"], updated_at, score)
        for (namespace, key, _, updated_at, score), body in zip(rows, bodies, strict=True)
    ]


def _scope(namespace: str) -> Scope:
    if namespace:
        _check_entry_names(namespace)
    return scope_of(namespace)


def _check_entry_names(namespace: str, key: str = "key") -> None:
    for name, what in ((namespace, "a namespace"), (key, "a key")):
        check_stored_name(name, what, "memory")
        if not name:
            raise InputError(f"{what} of a memory is empty", where="memory", repair="give a text, such as 'users/ada'")
    if namespace.startswith(_RESERVED):
        text = f"the namespace {namespace!r} of a memory is reserved for the engine"
        repair = "choose a namespace with another beginning, such as 'users/ada'"
        raise InputError(text, where="memory", repair=repair)
    if not all(namespace.split("/")):
        repair = "write a text between all slashes, such as 'users/ada'"
        text = f"{namespace!r} cannot be the namespace of a memory, because a part between the slashes is empty"
        raise InputError(text, where="memory", repair=repair)


def _positive(limit: int) -> int:
    if type(limit) is not int or limit < 1:
        text = f"limit={limit!r}: the number of entries that a memory returns must be a whole number of at least 1"
        raise InputError(text, where="memory", repair="write limit=10")
    return limit
