"""Helpers for tests of tools: types, functions to make tools from, and a call as an agent makes it."""

import enum
import json
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from graphengine.agents.runtime import StandaloneRuntime
from graphengine.agents.tools import Tool, ToolOutcome, tool
from tests.kit import golden


class Point(BaseModel):
    x: int
    y: float = 0.0


@dataclass
class Size:
    width: int


class Colour(enum.Enum):
    RED = "red"


class Client:
    """A value that a run provides and no model could make."""


def rest(text: str) -> None:
    """Find it.

    :param text: What is looked for.
    """


def numpy(text: str) -> None:
    """Find it.

    Parameters
    ----------
    text : str
        What is looked for.
    """


def yielding() -> Any:
    """Yield several results."""
    yield 1


async def in_thread(function: Callable[[], object], threads: Executor | None = None) -> object:
    """Call a blocking function as an agent outside a run does."""
    return await StandaloneRuntime({}).blocking(function, threads)


async def called(function: object, arguments: object = "", **given: object) -> ToolOutcome:
    """Return a tool's outcome for these arguments."""
    made = function if isinstance(function, Tool) else tool(cast("Callable[..., object]", function))
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return await made.call(text, given, in_thread)


async def check_readings(
    path: Path, names: Mapping[str, object], read: Callable[[Any, Any], Awaitable[str]] | None = None
) -> None:
    """Fail if what is read of the lines of a page is not what follows each; with `UPDATE_PAGES=1`, write that.

    A line is a text, or Python after `= `, and is read as what the last line after `> ` says; or else is shown itself.
    """
    shown, what = [], None
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            continue
        shown.append(line)
        if line.startswith("> "):
            what = eval(line.removeprefix("> "), dict(names))  # noqa: S307 - our own page
        elif line and not line.startswith(("#", "==")):
            given = eval(line.removeprefix("= "), dict(names)) if line.startswith("= ") else line  # noqa: S307
            found = given if read is None else await read(what, given)
            found = found.removesuffix(": inf")  # which not all versions of Python say
            shown += [f"    {each or '(a blank line)'}" for each in found.split("\n")]
    golden.check(path, "\n".join([*shown, ""]))
