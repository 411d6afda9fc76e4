"""Reading the values that a run publishes while it is running, in whichever process it is driven.

The newest values are in the snapshot of the run, so no steps are read to find these values. Later values are found in
the same way as all changes of a run: see `graphengine.history.changes`.
"""

from __future__ import annotations

import asyncio
import functools
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pydantic import ValidationError

from graphengine.engine.published import find_published, publication_in
from graphengine.engine.steps import OVER, Removed
from graphengine.engine.stored import decode_snapshot
from graphengine.errors import DefinitionError, InputError, NotPublished, NotPublishedYet
from graphengine.graph.options import is_seconds
from graphengine.graph.question import Answers
from graphengine.history.changes import polled
from graphengine.history.load import load_snapshot, snapshot_of
from graphengine.history.published import Published
from graphengine.state.field import explain, type_name
from graphengine.state.path import did_you_mean

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from graphengine.engine.published import Publication
    from graphengine.engine.steps import Step
    from graphengine.stores.base import RunInfo, Store

T = TypeVar("T")

_LISTED: Final = 20


class Reader(Generic[T]):
    """Reads the values that the nodes of a run publish under one name.

    Args:
        store: The store of the run.
        run_id: The id of the run.
        name: The name of the values.
        output: The type of the values.
        item: The item of a map; None for any item, "" for values that are published outside of maps.

    Raises:
        DefinitionError: `output` cannot be the type of a value.
    """

    def __init__(self, store: Store, run_id: str, name: str, output: Any, item: str | None) -> None:  # noqa: ANN401
        self._store = store
        self._run_id = run_id
        self._name = name
        self._output, self._answers = output, _answers_of(output)
        self._item = item

    async def newest(self, cursor: int | str, timeout_seconds: float | None) -> Published[T]:
        """Return the newest published value if the reader has not seen it yet; otherwise wait for the next value.

        `cursor` says which value the reader has seen last. Errors are raised as by `Run.published`.
        """
        if timeout_seconds is not None and timeout_seconds != 0 and not is_seconds(timeout_seconds):
            repair = "give seconds, 0 for a value that was published already, or None for no limit"
            text = f"timeout_seconds={timeout_seconds!r} is not a number of seconds"
            raise DefinitionError(text, where=self._where, repair=repair)
        loaded = await self._store.load(self._run_id)
        info, snapshot = loaded.info, snapshot_of(loaded, self._run_id)
        after = info.seq_in(cursor)
        found = find_published(snapshot, self._name, self._item)
        if found and found[-1].seq > after:
            return self._read_as_type(found[-1], info)
        try:
            last = max(after, snapshot.seq)
            async with asyncio.timeout(timeout_seconds or None), aclosing(self._poll_published(info, last)) as news:
                async for info, publications in news:
                    if publications:
                        return self._read_as_type(publications[-1], info)
                    if info.status in OVER:
                        raise await self._explain_never_published(info, after)
                    if timeout_seconds == 0:
                        break
        except TimeoutError as error:
            if isinstance(error, NotPublished):
                raise
        in_time = f" in {timeout_seconds:g} s" if timeout_seconds else " yet"
        text = f"run {self._run_id} has published nothing {self._describe_search(after)}{in_time}"
        repair = "wait longer, or look at the status of the run, which says whether the run continues"
        raise NotPublishedYet(text, where=self._where, repair=repair)

    async def each(self, cursor: int | str | None) -> AsyncGenerator[Published[T], None]:
        """Yield published values until the run is over, beginning with the newest value.

        If a cursor is given, begin with the first value after it instead.
        """
        if cursor is None:
            loaded = await self._store.load(self._run_id)
            info, snapshot = loaded.info, snapshot_of(loaded, self._run_id)
            last = snapshot.seq
            if found := find_published(snapshot, self._name, self._item):
                yield self._read_as_type(found[-1], info)
        else:
            info = await self._store.info(self._run_id)
            last = info.seq_in(cursor)
        async with aclosing(self._poll_published(info, last)) as news:
            async for info, publications in news:
                for each in publications:
                    yield self._read_as_type(each, info)

    async def _poll_published(self, info: RunInfo, seq: int) -> AsyncGenerator[tuple[RunInfo, list[Publication]], None]:
        """Poll the store, and after each change of the run yield its row with the newly published values.

        The first pair is yielded at once, and the last one when the run is over.
        """
        async with aclosing(polled(self._store, info, seq, wants_posted=False)) as polls:
            async for row, steps, _ in polls:
                found = list(self._find_in(steps, seq))
                yield row, found
                seq = found[-1].seq if found else seq
                if row.status in OVER:
                    return

    def _find_in(self, steps: Sequence[Step], after: int) -> Iterator[Publication]:
        """Yield the values that these steps published after the step `after`, under the name and item of this reader.

        If retention has trimmed steps from the log, only the newest value of each item among them is yielded.
        """
        for step in steps:
            if isinstance(step.data, Removed):
                kept = bytes(step.data.snapshot)
                found = find_published(decode_snapshot(kept), self._name, self._item) if kept else ()
            else:
                one = publication_in(step)
                found = [one] if one and one.name == self._name and self._item in (None, one.item) else ()
            for each in found:
                if each.seq > after:
                    after = each.seq
                    yield each

    @property
    def _where(self) -> str:
        return f"run {self._run_id}"

    def _describe_search(self, after: int) -> str:
        item = "" if not self._item else f" in {self._item}"
        return f"as {self._name!r}{item}" + (f" after step {after}" if after else "")

    def _read_as_type(self, found: Publication, info: RunInfo) -> Published[T]:
        """Convert a published value to the type that the reader asked for.

        Raises:
            InputError: The value has another type.
        """
        try:
            value = self._answers.read(found.value)
        except ValidationError as error:
            kind = type_name(self._output)
            text = f"the value that run {self._run_id} published as {found.name!r} is not of type {kind}: "
            text += explain(error)
            repair = f"read the value as the type that node {found.path!r} publishes, or without a type"
            raise InputError(text, where=f"step {found.seq}", repair=repair) from error
        cursor = info.cursor_at(found.seq)
        return Published(found.name, value, found.seq, found.at, found.path, found.item, cursor)

    async def _explain_never_published(self, info: RunInfo, after: int) -> NotPublished:
        known = find_published(await load_snapshot(self._store, self._run_id, info.seq))
        text = f"run {self._run_id} is {info.status}, and has published nothing {self._describe_search(after)}"
        names = sorted({each.name for each in known})
        if self._name in names:
            here = [each for each in known if each.name == self._name]
            places = ", ".join(f"step {each.seq}{f' in {each.item}' if each.item else ''}" for each in here[-_LISTED:])
            repair = f"read an earlier value; the newest ones are of {places}"
        elif names:
            repair = did_you_mean(self._name, names)
        else:
            repair = "let a node publish a value with await ctx.publish(name, value); this run has published none"
        return NotPublished(text, where=self._where, repair=repair)


def _answers_of(output: Any) -> Answers:  # noqa: ANN401 - a type
    try:
        return _make_answers(output)
    except TypeError:  # a type that cannot be hashed
        return Answers(output, strict=True)


@functools.lru_cache(maxsize=128)
def _make_answers(output: Any) -> Answers:  # noqa: ANN401 - a type
    return Answers(output, strict=True)
