"""Collect the context that a person needs to answer a question of a run.

The context consists of the last message, the results that the agent has found, the tool call that the person must
approve, and the fields that distinguish questions which look alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import structs
from pydantic_core import to_json

from graphengine.agents.pending import pending
from graphengine.kernel.extension import clipped
from graphengine.kernel.inside import is_sealed
from graphengine.serve.read_documents import About, Found

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from graphengine.kernel.reader import Snapshot
    from graphengine.records.json_document import ListedRun

ASKS: Final = ("ask", "pause", "unknown")
"""The kinds of waits that a person ends. Messages are not answers, and `tool` waits are ended by another program."""
_DIFFER: Final = 3
_TEXT: Final = 1200


def about(snapshot: Snapshot) -> list[About]:
    """Return the context of each open question in a run that a person can answer.

    The context tells the person why the question is asked, such as the last tool calls of the agent that asks.
    """
    found: list[About] = []
    for frame in snapshot.frames.values():
        for wait in frame.waits.values():
            if wait.kind not in ASKS or wait.id in snapshot.posted:
                continue
            call_context = pending(frame, wait)
            if call_context is None:
                said = last_message(frame.values) or last_message(snapshot.root.values)
                found.append(About(wait.id, said=said))
                continue
            before = [Found(each.tool, each.arguments, each.text, each.is_error) for each in call_context.found]
            found.append(
                About(
                    wait.id,
                    call_context.agent,
                    call_context.said,
                    call_context.writes,
                    before,
                    call_context.tool,
                    call_context.arguments,
                    call_context.words,
                )
            )
    return found


def last_message(values: Mapping[str, Any], roles: Collection[str] = ("user",)) -> str:
    """Return the last message of a user, or of other roles, in the conversations that a state contains.

    The result is "" if there is no such message. A long message is cut.
    """
    for each in values.values():
        said = [message for message in each if isinstance(message, dict)] if isinstance(each, list) else []
        texts = [str(message["text"]) for message in said if message.get("role") in roles and message.get("text")]
        if texts:
            return clipped(texts[-1], _TEXT)
    return ""


def is_chat(values: Mapping[str, Any]) -> bool:
    """Return whether a state contains a conversation: a list that begins with a message."""
    firsts = [each[0] for each in values.values() if isinstance(each, list) and each]
    return any(isinstance(each, dict) and each.get("role") in ("user", "summary") for each in firsts)


def told_apart(
    asking: Iterable[tuple[ListedRun, Snapshot]], known: Mapping[str, Sequence[About]]
) -> Mapping[str, Sequence[About]]:
    """Add facts to questions of different runs that read the same, so that a person can tell the questions apart.

    Example: two runs of a graph ask "Refund this order?". The added facts are then the numbers of the orders, because
    these values differ between the runs.

    Args:
        asking: The runs with open questions, and their snapshots.
        known: The context of each run's questions, by the id of the run. The facts are added to it.
    """
    alike: dict[bytes, list[tuple[ListedRun, Snapshot]]] = {}
    for run, snapshot in asking:
        looks = [structs.replace(each, id="") for each in known[run.run_id]]
        asked = [(each.question, each.facts, each.proposed, each.old) for each in run.waits]
        key = to_json([run.graph, run.title, [*map(structs.astuple, looks)], asked], fallback=str)
        alike.setdefault(key, []).append((run, snapshot))
    found = dict(known)
    for group in alike.values():
        names = _find_differing_fields([snapshot.root.values for _, snapshot in group]) if len(group) > 1 else ()
        for run, snapshot in group if names else ():
            differs = {name: snapshot.root.values.get(name) for name in names}
            found[run.run_id] = [structs.replace(each, differs=differs) for each in known[run.run_id]]
    return found


def _find_differing_fields(states: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """Return the names of the state fields whose values differ between several runs, to tell the runs apart.

    At most three names are returned, those with the shortest values first. Fields with secrets are left out.
    """
    sizes: dict[str, int] = {}
    for name in dict.fromkeys(name for state in states for name in state):
        if any(is_sealed(state.get(name)) for state in states):
            continue
        texts = {to_json(state.get(name), fallback=str) for state in states}
        if len(texts) > 1:
            sizes[name] = max(map(len, texts))
    shortest = sorted((size, name) for name, size in sizes.items() if size <= _TEXT)
    return [name for _, name in shortest[:_DIFFER]]


__all__ = ["ASKS", "about", "is_chat", "told_apart"]
