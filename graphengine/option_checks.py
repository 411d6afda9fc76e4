"""Whether the options of nodes and graphs are what they should be, before anything is made of them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graphengine.body import is_async
from graphengine.graph import Choose
from graphengine.options import Limits, Retry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.graph import Declared, Graph


def node_problems(declared: Declared) -> Iterator[tuple[str, str]]:
    """What is wrong with a node's options by themselves, as (message, repair)."""
    options, runnable = declared.options, declared.runnable
    if options.retry is not None and not isinstance(options.retry, Retry):
        yield f"retry={options.retry!r}", f"write retry=Retry(attempts={options.retry!r})"
    if options.inputs is not None and not isinstance(options.inputs, Mapping):
        yield f"inputs={options.inputs!r}", "write a mapping of parameter to path: inputs={'text': 'draft'}"
    if options.writes is not None and not isinstance(options.writes, (str, Mapping, Sequence)):
        yield f"writes={options.writes!r}", "write a field's name, a tuple of names, or a mapping"
    seconds = options.timeout_seconds
    if seconds is not None and not (type(seconds) in (int, float) and seconds > 0):
        yield f"timeout_seconds={seconds!r}", "give seconds above 0"
    plain = callable(runnable) and not hasattr(runnable, "body") and not isinstance(runnable, Choose)
    named = getattr(runnable, "__name__", "") != "<lambda>"  # a lambda may well give a coroutine
    if seconds is not None and options.thread is False and plain and named and not is_async(runnable):
        yield (
            "timeout_seconds with thread=False: a sync function on the event loop cannot be timed",
            "drop thread=False",
        )
    yield from _map_problems(declared)
    if options.on_resume not in (None, "rerun", "ask"):
        yield f"on_resume={options.on_resume!r}", "write 'rerun' or 'ask'"
    if options.thread is not None and hasattr(runnable, "body"):
        yield f"thread={options.thread} on what is no function", "leave thread out"
    called = runnable if inspect.isroutine(runnable) else getattr(type(runnable), "__call__", None)  # noqa: B004
    if inspect.isasyncgenfunction(called) or inspect.isgeneratorfunction(called):
        yield "it yields, and a node returns", "return the value; ctx.emit(…) shows progress"


def _map_problems(declared: Declared) -> Iterator[tuple[str, str]]:
    options = declared.options
    each: object = options.each
    if each is not None and not (isinstance(each, Mapping) and each):
        yield f"each={options.each!r}", "write a mapping of name to list: each={'source': 'sources'}"
    if options.each is not None and declared.runnable is None:
        yield "each on a node that runs nothing", "give it a runnable"
    wanted = options.concurrency
    if wanted is not None and not (type(wanted) is int and wanted > 0):
        yield f"concurrency={wanted!r}", "give a whole number above 0"
    if wanted is not None and options.each is None:
        yield f"concurrency={wanted!r} without each", "concurrency is how many items run at a time: add each={…}"


def graph_problems(graph: Graph[Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with a graph's own options by themselves, as (message, repair)."""
    if not isinstance(graph.limits, Limits):
        yield f"limits={graph.limits!r}", "write limits=Limits(steps=…)"
    for name, factory in graph.resources.items():
        if not callable(factory):
            text = f"the resource {name!r} is a {type(factory).__name__}, not a factory of one"
            yield text, f"write resources={{{name!r}: lambda: …}}; Runner(resources=…) takes ready-made ones"
