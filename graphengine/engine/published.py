"""Published values: recorded work by which a node shows something of its run while the run goes on.

The log has each as a step of recorded work, whose name begins with `PUBLISH`. The snapshot keeps the newest of each
name and item as the one message of a topic of its own, which nothing receives: it stands until the next one, as a
retained message of a broker does. So a reader needs no older step, and a branch has what was published before it.
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
"""How names begin that only the engine publishes under."""
PUBLISH: Final = "ge:publish "
"""How the name of recorded work begins that publishes a value, which ends with the name of the value."""
PUBLISHED: Final = "ge:published "
"""How a topic begins that keeps a value."""


class Publication(NamedTuple):
    """A value that a node published.

    Attributes:
        name: Its name.
        item: The item of a map in which it was published, as `research[3]`; "" outside of maps.
        path: The node's path.
        seq: The step that has it.
        at: When, epoch seconds.
        value: The value, as recorded.
    """

    name: str
    item: str
    path: str
    seq: int
    at: float
    value: JsonValue


def publication_in(step: Step) -> Publication | None:
    """Return what a step publishes."""
    facts = step.data
    if not isinstance(facts, Recorded) or not facts.name.startswith(PUBLISH):
        return None
    item = path_of(step.frame, "")
    item = item[: item.rfind("]") + 1]
    return Publication(facts.name.removeprefix(PUBLISH), item, step.path, step.seq, step.at, facts.value)


def keep_published(snapshot: Snapshot, step: Step) -> bool:
    """Keep what a step publishes as the newest of its name and item, and return whether it publishes something."""
    found = publication_in(step)
    if found is None:
        return False
    snapshot.mailbox[_topic(found.name, found.item)] = [found._asdict()]
    return True


def find_published(snapshot: Snapshot, name: str | None = None, item: str | None = None) -> Sequence[Publication]:
    """Return the newest value of each name and item, the oldest first; of one name or item, if that is given."""
    each = [_find_last_publication(snapshot, topic) for topic in _topics(snapshot)]
    found = [one for one in each if name in (None, one.name) and item in (None, one.item)]
    return sorted(found, key=lambda one: one.seq)


def rename_published(snapshot: Snapshot, renamed: Mapping[str, Mapping[str, str]]) -> None:
    """Keep the values of items under the new names of their nodes."""
    inner_first = sorted(
        renamed, key=lambda at: path_of(at, "x").count("/"), reverse=True
    )  # paths have old outer names
    pairs = [[(path_of(at, was), path_of(at, new)) for was, new in renamed[at].items()] for at in inner_first]
    known = {topic: _find_last_publication(snapshot, topic) for topic in _topics(snapshot)}
    for topic in known:
        del snapshot.mailbox[topic]  # all, before any is kept: two nodes can take each other's name
    for each in known.values():
        found = each._replace(item=_rename_path(each.item, pairs), path=_rename_path(each.path, pairs))
        snapshot.mailbox[_topic(found.name, found.item)] = [found._asdict()]


def _topics(snapshot: Snapshot) -> Sequence[str]:
    return [topic for topic in snapshot.mailbox if topic.startswith(PUBLISHED)]


def _find_last_publication(snapshot: Snapshot, topic: str) -> Publication:
    return Publication(**cast("dict[str, Any]", snapshot.mailbox[topic][-1]))


def _rename_path(path: str, pairs: Sequence[Sequence[tuple[str, str]]]) -> str:
    """Return a path under the new names, of each graph at most one: a new name can be the old one of another node."""
    for of_graph in pairs:
        for was, new in of_graph:
            if path == was or path.startswith((f"{was}[", f"{was}/")):
                path = new + path.removeprefix(was)
                break
    return path


def _topic(name: str, item: str) -> str:
    return f"{PUBLISHED}{len(item)} {item}{name}"  # with its length, as both are anybody's texts
