"""Checksums of rows, which show what a disk, a program or a person changed after it was recorded; reading such rows.

A CRC-32 detects every single damaged byte and nearly every other accident. It does not protect against deliberate
changes, since a program that changes a row can also write a new checksum. It covers the row's place too, so that a
row that moved to another place is detected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from pydantic_core import from_json

from graphengine.databases.refusals import damaged_error
from graphengine.kernel.reader import decode_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from graphengine.kernel.reader import Step

CHANGED: Final = "its checksum shows that it was changed since it was written"
_LARGEST: Final = (1 << 32) - 1
_PRIME: Final = 4_294_967_291  # the largest below 2**32


def message_place(run: int | str, kind: str, key: str) -> str:
    """Return the place of a message for its checksum: its run's key or id, its kind and its own key."""
    return f"{run} {kind} {key}"


def sum_of(place: int | str, body: bytes) -> int:
    """Return the checksum of a row.

    Args:
        place: What identifies the row: the id of a step or snapshot, a fingerprint, a `message_place`.
        body: Its text as stored.
    """
    seed = crc32(place.encode()) if isinstance(place, str) else place % _PRIME
    return crc32(body, seed)


def read_steps(
    run_id: str, rows: Iterable[tuple[int, Sequence[Any]]], whole: Callable[..., bytes], after: int, upto: int
) -> list[Step]:
    """Return the steps with `after < seq <= upto`.

    Args:
        run_id: The run.
        rows: Of each row its seq, and what `whole` is called with.
        whole: Returns the body of a row, or raises ValueError if that is damaged.
        after: The last step before them.
        upto: The last of them.

    Raises:
        StoreCorrupt: One is missing or damaged.
    """
    found: list[Step] = []
    expected = after + 1
    for seq, row in rows:
        if seq != expected:
            break
        expected += 1
        try:
            found.append(decode_step(seq, whole(*row)))
        except (ValueError, KeyError, TypeError) as error:
            why = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
            raise damaged_error(f"step {seq} of run {run_id}", why) from error
    if expected <= upto:
        raise damaged_error(f"step {expected} of run {run_id}", "its row is missing")
    return found


def read_json(what: str, place: int | str, body: bytes | None, recorded: int) -> Any:  # noqa: ANN401 - JSON of any shape
    """Return the value of a row, given its place and its recorded checksum, which can be stored as a signed number.

    Raises:
        StoreCorrupt: It was changed since it was written, or is not JSON.
    """
    if body is None or sum_of(place, body) != recorded & _LARGEST:
        raise damaged_error(what, CHANGED)
    try:
        return from_json(body)
    except ValueError as error:
        raise damaged_error(what, str(error)) from error


def read_object(what: str, place: str, body: bytes | None, recorded: int) -> Any:  # noqa: ANN401 - JSON of any shape
    """Return the JSON object of a row; see `read_json`."""
    found = read_json(what, place, body, recorded)
    if not isinstance(found, dict):
        raise damaged_error(what, "it is not a JSON object")
    return found
