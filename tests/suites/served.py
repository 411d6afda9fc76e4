"""Serve graphs for suites that send no token: `python -m tests.suites.served DATABASE FILE DOOR...`.

All else is as `graphengine serve` has it, the check of where pages come from too. Prints the addresses as one line.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import Scope

from graphengine import Graph, __version__
from graphengine.cli.project import load
from graphengine.serve.callers import Caller
from graphengine.serve.guard import TokenAccess
from graphengine.serve.service.server import Serving, Settings


class WithToken(TokenAccess):
    """Lets in whoever sends no token."""

    async def check(self, scope: Scope, headers: Headers) -> Caller:
        """Check a request as if it had the token."""
        given = {"authorization": f"Bearer {self.token}", **headers}
        return await super().check(scope, Headers(given))


def opened(urls: Mapping[str, str]) -> None:
    """Print where the doors are."""
    print(json.dumps(dict(urls)), flush=True)


async def main(database: str, file: str, *doors: str) -> None:
    """Serve until the process is ended."""
    graphs = {each.name: each for each in vars(load(Path(file))).values() if isinstance(each, Graph)}
    await Serving(Settings(database, graphs, WithToken("t"), __version__, doors=doors)).run(opened)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
