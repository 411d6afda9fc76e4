"""Sealed answers that a provider refused to read back in its own form, because another key or region sealed them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

if TYPE_CHECKING:
    from graphengine.models.base import Request

_MOST: Final = 1_000


class RefusedSeals:
    """Remembers the encrypted answers that a provider refused to read back, so that they are not sent to it again.

    A model that thinks encrypts its thinking, and expects it back with the next request. A provider refuses thinking
    that another key or region has encrypted. Once a call succeeds, the answer records the refusal (`Message.unsealed`).
    This object is needed until then, when the call is repeated because it also failed for another reason.
    """

    def __init__(self) -> None:
        self._refused: dict[bytes, None] = {}

    def add(self, request: Request) -> None:
        """Remember that the provider refused the encrypted answers in this request."""
        if len(self._refused) >= _MOST:
            del self._refused[next(iter(self._refused))]
        self._refused[_digest_newest_seal(request)] = None

    def __contains__(self, request: Request) -> bool:
        return _digest_newest_seal(request) in self._refused


def _digest_newest_seal(request: Request) -> bytes:
    """Return a digest of the newest answer in the request that is kept in the provider's JSON; b"" if there is none."""
    native = next((message.native for message in reversed(request.messages) if message.native), None)
    return b"" if native is None else hashlib.blake2b(to_json(native), digest_size=16).digest()


__all__ = ["RefusedSeals"]
