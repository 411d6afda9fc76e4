"""Published values: recorded work with which a node shows values to watchers while the run continues (`ctx.publish`).

The log contains each published value as a step of recorded work whose name begins with `PUBLISH`. The snapshot keeps
the newest value of each name and item as the only message of a topic of its own. No node receives messages of such a
topic, so the message stays until the next value replaces it, as a retained message of a message broker does. Therefore
a reader needs no older step, and a branch contains the values that were published before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from graphengine.engine.steps import Recorded, path_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import Step
    from graphengine.state.json_values import JsonValue

ENGINES_OWN: Final = "ge:"
"""The beginning of names under which only the engine publishes."""
PUBLISH: Final = "ge:publish "
"""The beginning of the name of recorded work that publishes a value. The name of the value follows."""
PUBLISHED: Final = "ge:published "
"""The beginning of a topic that keeps a published value."""


class Publication(NamedTuple):
    """A value that a node showed to watchers of the run with `ctx.publish`.

    Attributes:
        name: The name of the value.
        item: The item of a map in which the value was published, such as `research[3]`; "" outside of maps.
        path: The path of the node.
        seq: The number of the step that published the value.
        at: When the value was published, in epoch seconds.
        value: The value, as recorded.
    """

    name: str
    item: str
    path: str
    seq: int
    at: float
    value: JsonValue


def publication_in(step: Step) -> Publication | None:
    """Return the value that a node published with `ctx.publish` in this step; None for other steps."""
    facts = step.data
    if not isinstance(facts, Recorded) or not facts.name.startswith(PUBLISH):
        return None
    item = path_of(step.frame, "")
    item = item[: item.rfind("]") + 1]
    return Publication(facts.name.removeprefix(PUBLISH), item, step.path, step.seq, step.at, facts.value)


def keep_published(snapshot: Snapshot, step: Step) -> bool:
    """Keep the value that a step publishes with `ctx.publish`, so that watchers of the run can read it later.

    The value replaces the one that was published earlier under the same name. Each item of a map has values of its own.

    Returns:
        Whether the step publishes a value.
    """
    found = publication_in(step)
    if found is None:
        return False
    snapshot.mailbox[_topic(found.name, found.item)] = [found._asdict()]
    return True


def find_published(snapshot: Snapshot, name: str | None = None, item: str | None = None) -> Sequence[Publication]:
    """Return the newest value that a run has published under each name, the oldest value first.

    Args:
        snapshot: The run.
        name: If given, only values with this name are returned.
        item: If given, only values of this map item are returned.
    """
    each = [_find_last_publication(snapshot, topic) for topic in _topics(snapshot)]
    found = [one for one in each if name in (None, one.name) and item in (None, one.item)]
    return sorted(found, key=lambda one: one.seq)


def rename_published(snapshot: Snapshot, renamed: Mapping[str, Mapping[str, str]]) -> None:
    """Change the stored paths of published values after a changed graph renamed nodes.

    Values that were published in items of a map are found by the path of the map, so they would otherwise be lost.
    """
    inner_first = sorted(
        renamed, key=lambda at: path_of(at, "x").count("/"), reverse=True
    )  # The paths contain the old names of outer nodes, so inner names are replaced first.
    pairs = [[(path_of(at, was), path_of(at, new)) for was, new in renamed[at].items()] for at in inner_first]
    publications = {topic: _find_last_publication(snapshot, topic) for topic in _topics(snapshot)}
    for topic in publications:
        # All are deleted before the first is stored again, because two nodes can exchange their names.
        del snapshot.mailbox[topic]
    for each in publications.values():
        found = each._replace(item=_rename_path(each.item, pairs), path=_rename_path(each.path, pairs))
        snapshot.mailbox[_topic(found.name, found.item)] = [found._asdict()]


def _topics(snapshot: Snapshot) -> Sequence[str]:
    return [topic for topic in snapshot.mailbox if topic.startswith(PUBLISHED)]


def _find_last_publication(snapshot: Snapshot, topic: str) -> Publication:
    return Publication(**cast("dict[str, Any]", snapshot.mailbox[topic][-1]))


def _rename_path(path: str, pairs: Sequence[Sequence[tuple[str, str]]]) -> str:
    """Return the path of a node under the new names of a changed graph.

    Each part of the path is renamed at most once, because a new name can also be the old name of another node.
    """
    for of_graph in pairs:
        for was, new in of_graph:
            if path == was or path.startswith((f"{was}[", f"{was}/")):
                path = new + path.removeprefix(was)
                break
    return path


def _topic(name: str, item: str) -> str:
    # The length of the item comes first, because both the item and the name are arbitrary texts.
    return f"{PUBLISHED}{len(item)} {item}{name}"
