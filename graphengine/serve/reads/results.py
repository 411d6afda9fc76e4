"""Search for words in the results of runs.

The store's index of words contains the inputs of runs and the reasons of their ends, but not their results. Therefore
the states of the newest runs are searched too, for at most a third of a second. The answer says how many runs were
searched. A word such as `country:CH` finds the runs whose field `country` is `CH`.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from graphengine.errors import StoreError
from graphengine.kernel.inside import is_sealed
from graphengine.kernel.reader import load_snapshot
from graphengine.kernel.store import has_all, sought_words
from graphengine.records.json_document import runs_document
from graphengine.records.result_fields import find_value
from graphengine.serve.read_documents import InResult, InResults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.kernel.store import Store
    from graphengine.records.selection import Wanted

NEWEST: Final = 1000
"""The number of newest runs whose states are searched."""
_SECONDS: Final = 0.35
"""The time limit of this search, so that the whole search is answered within half a second."""
_MOST: Final = 20
_TEXT: Final = 20_000
"""The maximum number of characters of a field that are searched."""
_AROUND: Final = 60
_FIELD: Final = re.compile(r"([A-Za-z_][\w.]*):(?!//)(\S+)")


async def in_results(store: Store, wanted: Wanted) -> InResults:
    """Return the newest runs whose state contains the words of a search, for example in the result of the run.

    Runs that the store's own index of words finds are left out, because the list of runs already shows them.
    """
    fields, words = _split_fields(wanted.text or "")
    sought, until = sought_words(words), time.perf_counter() + _SECONDS
    if not sought and not fields:
        return InResults(0, [], is_cut=False)
    page = await store.runs(
        **replace(wanted, text=None).page(NEWEST, None)
    )  # limited to the newest, because every run may match
    infos = [info for info in page if wanted.fits(info, time.time())]
    found_by_index = {info.id for info in await store.runs(**wanted.page(NEWEST, None))} if infos else set[str]()
    found, looked_at = list[InResult](), 0
    for info in infos:
        if time.perf_counter() > until or len(found) == _MOST:
            break
        looked_at += 1
        if info.id in found_by_index:
            continue
        with suppress(StoreError, ValueError):  # the run was removed in the meantime, or cannot be read
            snapshot = await load_snapshot(store, info.id, None)
            values = snapshot.root.values if snapshot.frames else {}
            texts = {name: "\n".join(_leaves(value))[:_TEXT] for name, value in values.items() if not is_sealed(value)}
            if has_all(sought, texts.values()) and all(_has_field(values, texts, *field) for field in fields):
                name, word = _find_best_field(texts, sought) if sought else fields[0]
                (run,) = runs_document([info]).runs
                found.append(InResult(run, name, _excerpt(texts.get(name, word), word)))
    return InResults(looked_at, found, is_cut=looked_at < len(infos) or len(page) == NEWEST)


def _split_fields(text: str) -> tuple[Sequence[tuple[str, str]], str]:
    """Split a search such as `country:CH tax` into fields with their values, and the remaining words."""
    parts = [(word, _FIELD.fullmatch(word)) for word in text.split()]
    return [(found[1], found[2]) for _, found in parts if found], " ".join(word for word, found in parts if not found)


def _has_field(values: Mapping[str, Any], texts: Mapping[str, str], path: str, text: str) -> bool:
    """Return whether the state of a run matches one filter of a search, such as `order.city:Paris`.

    A filter has the form `path:text`, and the value at the path must be equal to the text. If there is no text or
    number at the path, the user did not mean a field. The words of `path:text` are then searched for in all fields.

    Args:
        values: The state of the run.
        texts: The text of each field.
        path: The part of the filter before the colon.
        text: The part of the filter after the colon.
    """
    found, value = find_value(dict(values), path)
    if not found or not isinstance(value, (str, int, float)):
        return has_all(sought_words(f"{path}:{text}"), texts.values())
    sought = text.casefold()
    if isinstance(value, bool):
        return sought in (("yes", "true") if value else ("no", "false"))
    if isinstance(value, str):
        return value.casefold() == sought
    try:
        return float(text) == value
    except ValueError:
        return False


def _find_best_field(texts: Mapping[str, str], sought: Sequence[str]) -> tuple[str, str]:
    """Return the name of the state field that contains the most of the searched words, with the first of these words.

    If several fields contain the same number of words, the last of them is returned.
    """
    has = {name: [word for word in sought if has_all([word], [text])] for name, text in texts.items()}
    name = max(reversed(has), key=lambda each: len(has[each]))
    return name, has[name][0] if has[name] else sought[0]


def _leaves(value: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    left: list[Any] = [value]
    while left:
        each = left.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, (int, float)) and not isinstance(each, bool):
            yield str(each)
        elif isinstance(each, dict):
            left += [item for name, item in reversed(each.items()) if name != "__fields_set__"]
        elif isinstance(each, (list, tuple)):
            left += reversed(each)


def _excerpt(text: str, word: str) -> str:
    """Return the part of a text around a word, for a list of the runs that a search has found.

    If the text contains only another form of the word, the beginning of the text is returned.
    """
    line = " ".join(text.split())
    at = max(0, line.casefold().find(word))
    begin = max(0, at - _AROUND)
    cut: Sequence[str] = ("…" if begin else "", "…" if len(line) > at + 2 * _AROUND else "")
    return f"{cut[0]}{line[begin : at + 2 * _AROUND]}{cut[1]}"


__all__ = ["NEWEST", "in_results"]
