"""Sealed answers that a provider refused to read back in its own form, because another key or region sealed them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

if TYPE_CHECKING:
    from graphengine.models.base import Request

_MOST: Final = 1_000


class RefusedSeals:
    """The sealed answers that one model was refused, so that a repeated call leaves them out at once.

    This matters for a call that is repeated because it also failed for another reason. Once there is an answer, the
    answer itself states the refusal (`Message.unsealed`).
    """

    def __init__(self) -> None:
        self._refused: dict[bytes, None] = {}

    def add(self, request: Request) -> None:
        """Remember that the sealed answers of a request were refused."""
        if len(self._refused) >= _MOST:
            del self._refused[next(iter(self._refused))]
        self._refused[_digest_newest_seal(request)] = None

    def __contains__(self, request: Request) -> bool:
        return _digest_newest_seal(request) in self._refused


def _digest_newest_seal(request: Request) -> bytes:
    """Return a digest of the newest sealed answer in a request; b"" if there is none."""
    native = next((message.native for message in reversed(request.messages) if message.native), None)
    return b"" if native is None else hashlib.blake2b(to_json(native), digest_size=16).digest()


__all__ = ["RefusedSeals"]
