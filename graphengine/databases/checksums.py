"""Checksums of database rows, which reveal rows that a disk, a program or a person changed after they were written.

A CRC-32 detects every single damaged byte and nearly every other accident. It does not protect against deliberate
changes, since a program that changes a row can also write a new checksum. The checksum also covers what identifies the
row, so that a row that was moved to another place is detected.
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
    """Return what identifies a message, for its checksum: the key or id of its run, its kind and its own key."""
    return f"{run} {kind} {key}"


def sum_of(place: int | str, body: bytes) -> int:
    """Return the checksum that is stored with a row, to detect that the row was changed or damaged later.

    Args:
        place: A text or number that identifies the row: the id of a step or snapshot, a fingerprint, or the result of
            `message_place` for a message. It is part of the checksum, so that a row that was moved to another place is
            detected.
        body: The content of the row, as it is stored.
    """
    seed = crc32(place.encode()) if isinstance(place, str) else place % _PRIME
    return crc32(body, seed)


def read_steps(
    run_id: str, rows: Iterable[tuple[int, Sequence[Any]]], whole: Callable[..., bytes], after: int, upto: int
) -> list[Step]:
    """Decode the steps of a run with the numbers `after + 1` to `upto`, and check that none is missing or damaged.

    Args:
        run_id: The id of the run, for errors.
        rows: The number of each step and the values of its row, which are passed to `whole`.
        whole: Called with the values of a row. Returns the complete JSON of the step; raises ValueError if the row is
            damaged.
        after: The last step before the wanted steps.
        upto: The last wanted step.

    Raises:
        StoreCorrupt: A step is missing or damaged.
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
            raise damaged_error(f"step {seq}", why, run_id=run_id) from error
    if expected <= upto:
        raise damaged_error(f"step {expected}", "its row in the database is missing", run_id=run_id)
    return found


def read_json(what: str, place: int | str, body: bytes | None, recorded: int) -> Any:  # noqa: ANN401 - JSON of any shape
    """Check the checksum of a row that contains JSON, and return the JSON value.

    `recorded` is the checksum that was stored with the row. It may be negative, because PostgreSQL has no unsigned
    integers.

    Raises:
        StoreCorrupt: The row was changed since it was written, or it is not JSON.
    """
    if body is None or sum_of(place, body) != recorded & _LARGEST:
        raise damaged_error(what, CHANGED)
    try:
        return from_json(body)
    except ValueError as error:
        raise damaged_error(what, str(error)) from error


def read_object(what: str, place: str, body: bytes | None, recorded: int) -> Any:  # noqa: ANN401 - JSON of any shape
    """Check the checksum of a row that contains a JSON object, and return the object; see `read_json`.

    A row with another kind of JSON value counts as damaged.
    """
    found = read_json(what, place, body, recorded)
    if not isinstance(found, dict):
        raise damaged_error(what, "it is not a JSON object")
    return found
