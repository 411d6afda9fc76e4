"""Checks of the arguments of a Runner, and their conversion to the form in which they are used."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from graphengine.errors import DefinitionError, InputError
from graphengine.graph.definition import GraphDefinition
from graphengine.graph.options import LONGEST_TAG, Limits, Sizes, is_tag
from graphengine.runner.attempt import Attempt
from graphengine.runner.ids import OwnId, check_unreserved
from graphengine.runner.opening import InQueue
from graphengine.runner.scope import CURRENT
from graphengine.state.path import did_you_mean
from graphengine.stores.base import LARGEST_PRIORITY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.plan import Plan
    from graphengine.state.amounts import LimitsRecord
    from graphengine.stores.base import Store
    from graphengine.stores.memory import InMemoryStore

_SIZES: Final = Sizes()


def place_in(queue: str | None, priority: int, tenant: str | None, user: str | None = None) -> InQueue | None:
    """Check the queue, priority, tenant and user with which a run is started, and return them as one object.

    Return None if no queue, tenant or user is given.

    Raises:
        InputError: One of the values is not valid.
    """
    if queue is None:
        if priority:
            text = f"priority={priority!r} is given without a queue, and only queued runs have a priority"
            raise InputError(text, where="start", repair='give queue="default" too')
        if tenant is None and user is None:
            return None
    for name, given in (("queue", queue), ("tenant", tenant), ("user", user)):
        if given is not None and not is_tag(given):
            repair = "use 1 to 100 printable characters, not only blanks"
            raise InputError(f"{name}={given!r} cannot be the name of a {name}", where="start", repair=repair)
    if type(priority) is not int or abs(priority) > LARGEST_PRIORITY:
        raise InputError(
            f"priority={priority!r} is not an integer", where="start", repair="give an integer, such as 10 or -10"
        )
    return InQueue(queue, priority, tenant, user)


@functools.cache
def _memory_class() -> type[InMemoryStore]:
    """Return the class of the in-memory store, which is imported when it is first needed.

    The class is cached, because an `import` in a function takes 7,000 instructions each time.
    """
    from graphengine.stores.memory import InMemoryStore  # noqa: PLC0415 - see above

    return InMemoryStore


def store_of(given: Store | None) -> Store:
    """Return the store that the caller gave, or a new in-memory store if the caller gave None.

    Raises:
        DefinitionError: The argument is the name of a database, which only `graphengine.Runner` opens.
    """
    if given is None:
        return _memory_class()()
    if isinstance(given, (str, os.PathLike)):
        raise DefinitionError(
            f"this Runner cannot open {given!r}, because it needs a Store",
            repair="use graphengine.Runner, which also takes a path or an address, or give the Store itself",
        )
    return given


def sizes_of(given: object) -> Sizes:
    """Return the size limits that the caller of the Runner gave, or the default limits if there are none.

    Raises:
        DefinitionError: The argument is not a `Sizes` object.
    """
    if given is not None and not isinstance(given, Sizes):
        text = f"Runner(sizes={given!r}) is not a Sizes"
        raise DefinitionError(text, repair="write sizes=Sizes(update_bytes=…)")
    return given or _SIZES


def check_tags(tags: object, where: str) -> tuple[str, ...]:
    """Check the tags of a new run. Returns them sorted, without duplicates.

    Raises:
        InputError: The argument is not a list of tags.
        NotRecordable: The caller is a node, and a tag contains a secret of its run.
    """
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        example = [tags] if isinstance(tags, str) and is_tag(tags) else ["a-tag"]  # a list that would be accepted
        raise InputError(f"{where}{tags!r} is not a list of tags", repair=f"give a list: {where}{example!r}")
    found = set()
    for tag in tags:
        if not is_tag(tag):
            repair = f"use 1 to {LONGEST_TAG} printable characters, not only blanks"
            raise InputError(f"{tag!r} cannot be a tag", where=where.rstrip("="), repair=repair)
        if not isinstance(tag, OwnId):
            check_unreserved(tag, "tag")
        found.add(tag)
    here = CURRENT.get()
    if isinstance(here, Attempt):
        here.refuse_secrets([*found], "a tag")
    return tuple(sorted(found))


def graphs_by_name(graphs: Sequence[GraphDefinition[Any]], call: str) -> dict[str, GraphDefinition[Any]]:
    """Return graphs by their names, after checking that each argument is a graph and that the names are distinct.

    Raises:
        DefinitionError: An argument is not a graph, but for example a list of graphs, or two graphs have the same name.
    """
    for each in graphs:
        given: object = each
        if not isinstance(given, GraphDefinition):
            repair = f"give the graphs one by one: {call}graph, other), or {call}*graphs)"
            raise DefinitionError(f"{given!r} is not a Graph", where=f"{call}…)", repair=repair)
    found = {graph.name: graph for graph in graphs}
    if len(found) < len(graphs):
        text = f"two of the graphs have the same name: {', '.join(graph.name for graph in graphs)}"
        raise DefinitionError(text, where=f"{call}…)", repair="give each graph another name")
    return found


def as_limits(limits: Limits) -> LimitsRecord:
    """Check the `Limits` that the caller gave for a run, and convert them to the form in which they are recorded.

    Limits that the caller has not set are left out.

    Raises:
        DefinitionError: The argument is not a `Limits` object.
    """
    given: object = limits
    if not isinstance(given, Limits):
        raise DefinitionError(f"limits={limits!r} is not a Limits", repair="write limits=Limits(visits=…)")
    return limits.given()


def pauses_of(plan: Plan[Any], paths: Sequence[str]) -> Sequence[str]:
    """Check that the graph has the nodes before which a run should pause, and return their paths.

    Raises:
        InputError: The graph has no such node.
    """
    if isinstance(paths, str):
        raise InputError(
            f"pause_before={paths!r} is not a list of nodes",
            repair=f"give a list: pause_before=[{paths or 'a node'!r}]",
        )
    nodes = set(plan.paths())
    for path in paths:
        if path not in nodes:
            raise InputError(f"unknown node {path!r}", where="pause_before=", repair=did_you_mean(path, nodes))
    return list(paths)
