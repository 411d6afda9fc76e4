"""Digests of arbitrary values, to detect changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from pydantic import BaseModel
from pydantic_core import to_jsonable_python


def digest_of(content: object) -> str:
    """Return a short digest of any value. Equal sets and dicts have equal digests, whatever their order."""
    body = json.dumps(_canonical(content), sort_keys=True).encode()
    return hashlib.blake2b(body, digest_size=12).hexdigest()


def _canonical(content: object) -> object:
    if isinstance(content, BaseModel):
        return {name: _canonical(getattr(content, name)) for name in type(content).model_fields}
    if isinstance(content, Mapping):
        return {str(_canonical(key)): _canonical(item) for key, item in content.items()}
    if isinstance(content, (set, frozenset)):
        return sorted(json.dumps(_canonical(item), sort_keys=True) for item in content)
    if isinstance(content, (list, tuple)):
        return [_canonical(item) for item in content]
    return to_jsonable_python(content, fallback=repr, inf_nan_mode="strings", bytes_mode="base64")
