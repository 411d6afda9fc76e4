"""The review loop with slow agents, so that there is time to kill it. See kill_review_loop.py."""

import functools
import os
import time
from collections.abc import Callable
from typing import TypeVar

from graphengine import Agent
from graphs.review_loop import example, review_loop
from nodes.review.offline import researcher, reviewer, writer

T = TypeVar("T")
SECONDS = float(os.environ.get("SLOW_SECONDS", "0.4"))


def slowly(function: Callable[..., object]) -> Callable[..., object]:
    """Return a function that waits a moment and then calls the given function."""

    @functools.wraps(function)
    def later(**inputs: object) -> object:
        time.sleep(SECONDS)
        return function(**inputs)

    return later


def slowed(agent: Agent[T]) -> Agent[T]:
    """Return a copy of the agent that waits a moment before its rules answer."""
    return agent.but(by_rules=slowly(agent.by_rules)) if agent.by_rules is not None else agent


graph = review_loop(slowed(researcher), slowed(writer), slowed(reviewer))
__all__ = ["example", "graph"]
