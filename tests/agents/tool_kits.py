"""Helpers for tests of tools: types, functions to make tools from, and a call as an agent makes it."""

import enum
import json
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel

from graphengine.agents.runtime import StandaloneRuntime
from graphengine.agents.tools import Tool, ToolOutcome, tool


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
