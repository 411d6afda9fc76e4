"""The review loop with agents that take their time, so that there is something to kill. See kill_review_loop.py."""

import functools
import os
import time
from collections.abc import Callable
from typing import TypeVar

from graphengine import Agent
from graphs.review_loop import example, review_loop
from nodes.review.agents import researcher, reviewer, sceptic, writer

T = TypeVar("T")
SECONDS = float(os.environ.get("SLOW_SECONDS", "0.4"))


def slowly(function: Callable[..., object]) -> Callable[..., object]:
    """The same function, later."""

    @functools.wraps(function)
    def later(**inputs: object) -> object:
        time.sleep(SECONDS)
        return function(**inputs)

    return later


def slowed(agent: Agent[T]) -> Agent[T]:
    """The same agent, slower."""
    return agent.but(offline=slowly(agent.offline)) if agent.offline is not None else agent


graph = review_loop(slowed(researcher), slowed(writer), slowed(reviewer), sceptic=slowed(sceptic))
__all__ = ["example", "graph"]
