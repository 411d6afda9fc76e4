"""Python for a model, in the sandbox of pydantic-monty.

Monty is an interpreter for a subset of Python. It is written in Rust and runs in a separate process. The code has no
access to files, the network, the environment or subprocesses, and can import only a few modules of the standard
library, because the interpreter does not implement anything else. This avoids the difficult task of confining CPython.
The remaining risk is an error in the interpreter itself: if hostile people write the prompts, run it in a container.
"""

from __future__ import annotations

from typing import Final

from graphengine.errors import DefinitionError
from graphengine.kernel.extension import clipped
from graphengine.kernel.inside import install_command

SECONDS: Final = 5.0
_GRACE_SECONDS: Final = 5.0
"""The additional time after which the interpreter's process is killed, if it does not end by itself."""
MEMORY_BYTES: Final = 200_000_000
MOST_CHARACTERS: Final = 20_000


async def run_python(code: str) -> str:
    """Run Python code, and return what it prints and the value of its last expression.

    There are no files, no network and no third-party packages; math, re, json and datetime can be imported.

    Args:
        code: The code. Each call starts with nothing defined.

    Raises:
        DefinitionError: pydantic-monty is not installed.
        ValueError: The code fails, or takes more than 5 seconds or 200 MB; the message is for the model.
    """
    try:
        from pydantic_monty import AsyncMonty, CollectString, MontyError  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        text = f"run_python needs a package that is not installed: {error}"
        raise DefinitionError(text, repair=install_command("sandbox")) from error
    printed = CollectString()
    try:
        async with (
            AsyncMonty(max_processes=1, request_timeout=SECONDS + _GRACE_SECONDS) as pool,
            pool.checkout(limits={"max_feed_duration_secs": SECONDS, "max_memory": MEMORY_BYTES}) as session,
        ):
            value = await session.feed_run(code, print_callback=printed)
    except MontyError as error:
        raise ValueError(f"the code failed: {error}") from error
    text = printed.output + ("" if value is None else repr(value))
    return clipped(text, MOST_CHARACTERS)


__all__ = ["run_python"]
