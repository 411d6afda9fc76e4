"""A plugin of pytest: the kit of A2A sends no token, so that each of its clients gets the one of these suites."""

import os
from typing import Any

import httpx

_INIT = httpx.Client.__init__


def _with_token(self: httpx.Client, *given: Any, **more: Any) -> None:
    _INIT(self, *given, **more)
    self.headers["authorization"] = f"Bearer {os.environ['GRAPHENGINE_TOKEN']}"


httpx.Client.__init__ = _with_token  # type: ignore[method-assign]
