"""Checks of single options of nodes and graphs. They run before anything else uses the options."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphengine.errors import Problem
from graphengine.kernel.extension import START, Choose, Limits, Migration, Retention, Retry, did_you_mean, is_seconds
from graphengine.kernel.inside import HasBody, is_async, wrong_effect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.kernel.extension import GraphDefinition
    from graphengine.kernel.inside import Declared


def node_problems(declared: Declared) -> Iterator[tuple[str, str]]:
    """Yield problems in single options of a node, such as an invalid timeout, each as a message and a repair."""
    options, runnable = declared.options, declared.runnable
    if options.retry is not None and not isinstance(options.retry, Retry):
        attempts = options.retry if type(options.retry) is int else 3
        yield f"retry={options.retry!r} is not a Retry", f"write retry=Retry(attempts={attempts})"
    if not _are_inputs(options.inputs):
        repair = "give a mapping of parameter to path: inputs={'text': 'draft'}, or names of fields: inputs=['text']"
        yield f"inputs={options.inputs!r} is neither a mapping nor a list of fields", repair
    yield from _text_problems(declared)
    if options.writes is not None and not isinstance(options.writes, (str, Mapping, list, tuple)):
        repair = "give a field's name, a tuple of names, or a mapping"
        yield f"writes={options.writes!r} does not name fields", repair
    seconds = options.timeout_seconds
    if seconds is not None and not is_seconds(seconds):
        text = f"timeout_seconds={seconds!r} is not a number of seconds above 0"
        yield text, "give seconds above 0, or None for no limit"
    is_other = isinstance(runnable, (HasBody, Choose))
    plain = callable(runnable) and not is_other
    named = getattr(runnable, "__name__", "") != "<lambda>"  # a lambda may return a coroutine
    if seconds is not None and options.thread is False and plain and named and not is_async(runnable):
        yield (
            "timeout_seconds cannot work with thread=False: a sync function on the event loop cannot be interrupted",
            "remove thread=False",
        )
    yield from _map_problems(declared)
    wrong = wrong_effect(options.effect)
    if wrong is not None:
        yield wrong
    if options.thread is not None and isinstance(runnable, HasBody):
        yield f"thread={options.thread} applies only to functions", "remove thread="
    if options.on is not None:
        yield from _executor_problems(declared, options.on)
    called = runnable if inspect.isroutine(runnable) else getattr(type(runnable), "__call__", None)  # noqa: B004
    if inspect.isasyncgenfunction(called) or inspect.isgeneratorfunction(called):
        text = "the function is a generator, because it contains yield, but a node must return its result"
        yield text, "return the result; to show progress, call ctx.emit(…)"


def _are_inputs(given: object) -> bool:
    names = given if isinstance(given, (list, tuple)) else ()
    return given is None or (isinstance(given, (Mapping, list, tuple)) and all(isinstance(each, str) for each in names))


def _text_problems(declared: Declared) -> Iterator[tuple[str, str]]:
    options = declared.options
    if not isinstance(options.title, str | None):
        yield f"title={options.title!r} is not a text", "write title='…'"
    for what, sources in (("inputs", options.inputs), ("each", options.each)):
        for name, source in sources.items() if isinstance(sources, Mapping) else ():
            if not (isinstance(source, str) or callable(source)):
                constant = repr(source) if source is None or isinstance(source, (int, float)) else "…"
                repair = f"name a field, or give a function: {what}={{{name!r}: lambda: {constant}}}"
                yield f"{what}={{{name!r}: {source!r}}} does not name a field", repair


def _executor_problems(declared: Declared, on: object) -> Iterator[tuple[str, str]]:
    thread, runnable = declared.options.thread, declared.runnable
    if not (isinstance(on, str) and on):
        yield f"on={on!r} is not the name of an executor", "give a name: on='gpu', and Runner(executors={'gpu': …})"
    elif thread is not None:
        yield f"thread={thread} is given, but on={on!r} already decides where the node runs", "remove one of them"
    elif runnable is None or isinstance(runnable, HasBody):
        yield f"on={on!r} applies only to functions", "remove on=, or set it on a node whose work is a function"


def _map_problems(declared: Declared) -> Iterator[tuple[str, str]]:
    options = declared.options
    each: object = options.each
    if each is not None and not (isinstance(each, Mapping) and each):
        text = f"each={options.each!r} is not a mapping of item names to lists"
        yield text, "give a mapping, as in each={'source': 'sources'}"
    if options.each is not None and declared.runnable is None:
        text = f"each={options.each!r} is given, but the node has nothing to run for each item"
        yield text, "give the node a runnable, such as a function or an Agent"
    bounds = ("concurrency", options.concurrency, "run at a time"), ("max_open", options.max_open, "are open at a time")
    for name, wanted, doing in bounds:
        if wanted is not None and not (type(wanted) is int and wanted > 0):
            yield f"{name}={wanted!r} is not a whole number of items", "give a whole number above 0"
        if wanted is not None and options.each is None:
            text = f"{name}={wanted!r} is given without each=, so it has no effect"
            yield text, f"add each={{…}}; {name} limits the items that {doing}"
    if options.on_item_error not in (None, "fail", "keep"):
        yield f"on_item_error={options.on_item_error!r} is neither 'fail' nor 'keep'", "give 'fail' or 'keep'"
    elif options.on_item_error is not None and options.each is None:
        text = f"on_item_error={options.on_item_error!r} is given without each=, so it has no effect"
        yield text, "add each={…}, or give the node a fallback"


def graph_problems(graph: GraphDefinition[Any]) -> Iterator[tuple[str, str]]:
    """Yield problems in single options of a graph, such as an invalid version, each as a message and a repair."""
    if not isinstance(graph.limits, Limits):
        yield f"limits={graph.limits!r} is not a Limits", "write limits=Limits(visits=…)"
    if not isinstance(graph.retention, Retention | None):
        yield f"retention={graph.retention!r} is not a Retention", "write retention=Retention(keep_days=…)"
    if not isinstance(graph.title, str):
        yield f"title={graph.title!r} is not a text", "write title='…'"
    if not isinstance(graph.collect_errors, str | None):
        yield f"collect_errors={graph.collect_errors!r} is not a text", "name a field: collect_errors='errors'"
    yield from _part_problems(graph)
    if type(graph.version) is not int or graph.version < 1:
        yield f"version={graph.version!r} is not a whole number of 1 or more", "give a whole number, as in version=2"
    else:
        yield from _version_problems(graph)


def _part_problems(graph: GraphDefinition[Any]) -> Iterator[tuple[str, str]]:
    """Find problems in the declared resources of a graph, and in the labels of its edges."""
    for name, factory in graph.resources.items():
        if not callable(factory):
            text = f"the resource {name!r} is of type {type(factory).__name__}, but must be a function that makes it"
            yield text, f"write resources={{{name!r}: lambda: …}}, or pass a finished object to Runner(resources=…)"
        elif inspect.isgeneratorfunction(factory) or inspect.isasyncgenfunction(factory):
            manager = "asynccontextmanager" if inspect.isasyncgenfunction(factory) else "contextmanager"
            text = f"the resource {name!r} is made by a generator function, so nodes would get the generator itself"
            yield text, f"decorate the function with contextlib.{manager}; then nodes get the value that it yields"
    for edge in graph.edges:
        label: object = getattr(edge, "label", "")
        if not isinstance(label, str):
            yield f"label={label!r} of an edge is not a text", "write label='…'"


def _version_problems(graph: GraphDefinition[Any]) -> Iterator[tuple[str, str]]:
    for version, migration in graph.migrate.items():
        name = f"migrate={{{version!r}: …}}"
        if type(version) is not int or not 1 <= version < graph.version:
            yield (
                f"{name} does not name an older version, because the graph has version {graph.version}",
                f"name versions from 1 to {graph.version - 1}" if graph.version > 1 else "raise version= of the graph",
            )
        if isinstance(migration, Migration):
            yield from _migration_problems(migration, name)
        elif not callable(migration):
            repair = "give a function of the old fields, or a Migration(…)"
            yield f"{name} is of type {type(migration).__name__}, not a migration", repair


def _migration_problems(given: Migration, name: str) -> Iterator[tuple[str, str]]:
    state: object = given.state
    if state is not None and not callable(state):
        yield f"{name}: state={given.state!r} is not a function", "give a function of the old fields"
    for word in ("renamed", "moved"):
        names: object = getattr(given, word)
        if not isinstance(names, Mapping) or not all(isinstance(n, str) for pair in names.items() for n in pair):
            text = f"{name}: {word}={names!r} is not a mapping of node names"
            yield text, f"give a mapping of names: {word}={{'old': 'new'}}"


def migration_problems(graph: GraphDefinition[Any]) -> Iterator[Problem]:
    """Find problems in the migrations of a graph, such as gaps between versions and unsuitable node names."""
    where = f"graph {graph.name}"
    versions = sorted(graph.migrate)
    for version in range(versions[0], graph.version) if versions else ():
        if version not in graph.migrate:
            step = f"the step from version {version} to {version + 1}"
            text = f"migrate= covers {', '.join(map(str, versions))}, but not {step}"
            repair = f"add {version}: function to migrate=, or {version}: Migration() if nothing has to change"
            yield Problem("migration_missing", where, text, repair)
    nodes = [declared.name for declared in graph.nodes]
    for version, migration in sorted(graph.migrate.items()):
        if not isinstance(migration, Migration):
            continue
        at = f"{where}, migrate={{{version}: …}}"
        twice = sorted(
            new for new in set(migration.renamed.values()) if list(migration.renamed.values()).count(new) > 1
        )
        for new in twice:
            text = f"two nodes are renamed to {new!r}, but only one node can have this name"
            yield Problem("bad_migration", at, text, "rename one; `moved` sets where runs at the other node continue")
        for old in sorted(set(migration.renamed) & set(migration.moved)):
            text = f"the node {old!r} is both in `renamed` and in `moved`"
            yield Problem(
                "bad_migration", at, text, "keep only one of them: `renamed` is for the same node under another name"
            )
        targets = (*migration.renamed.values(), *migration.moved.values()) if version == graph.version - 1 else ()
        for new in dict.fromkeys(targets):
            if new not in nodes:
                yield Problem("unknown_node", at, f"unknown node {new!r}", did_you_mean(new, nodes))
        if START in migration.renamed:
            text = "START cannot be renamed, because every graph has START"
            yield Problem("bad_migration", at, text, "remove START from `renamed`; only `moved` can name START")
