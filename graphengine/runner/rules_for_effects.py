"""Rules that answer questions about effects of earlier code in advance, for one version of the code.

After a deployment, a run asks a person whether an effect that is about to begin was already done by the earlier code.
If a thousand runs wait, the same answer is needed a thousand times. Therefore `graphengine check --accept same` sends a
rule to each run: a message on a topic that only the engine uses. The run records the message with its next step, and
keeps the rule in its mailbox. When the run asks such a question under exactly the code that the rule names, the process
that drives the run answers the question by the rule, in the place of a person. The question and the answer are recorded
like any other, and the answer names the rule as its author.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast
from zlib import crc32

from graphengine.compile.code import code_of
from graphengine.engine.phases import UNKNOWN
from graphengine.runner.ids import RESERVED
from graphengine.schemas.words import whats_wrong
from graphengine.stores.base import InboxMessage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Snapshot

EffectAnswer: TypeAlias = Literal["same", "another", "fail"]

RULES: Final = f"{RESERVED}rules"
"""The topic of the messages."""


def answers_by_rules(snapshot: Snapshot, plan: Plan[Any], now: float) -> Iterator[InboxMessage]:
    """Answer, by rules that people have recorded, open questions of a run about effects of earlier code.

    Each answer is yielded in the form of a message in the inbox of the run. The number of the message is negative, so
    that it cannot be mistaken for a message in the store. The same question always gets the same number.
    """
    kept = cast("Sequence[Mapping[str, Any]]", snapshot.mailbox[RULES])
    rules = [rule for rule in kept if rule["code"] == code_of(plan).id]
    for frame in snapshot.frames.values() if rules else ():
        for name, wait in frame.waits.items():
            if not (wait.key or "").startswith(f"{UNKNOWN}left|"):
                continue
            seen: Mapping[str, Any] = wait.seen
            listed = [frame.recorded_results[key].name for key in seen["left"] if key in frame.recorded_results]
            kind = seen.get("kind", "")
            functions = (None, kind or None, *(() if kind else listed))
            fits = [rule for rule in rules if rule["function"] in functions]
            rule = next((each for each in reversed(fits) if not whats_wrong(wait.schema or {}, each["answer"])), None)
            if rule is not None:
                author = f"the rule of {rule['by']}" if rule["by"] else "a rule"
                given = {"value": rule["answer"], "by": author, "through": "check", "at": now, "id": wait.id}
                number = -1 - crc32(wait.id.encode())
                yield InboxMessage(number, snapshot.run_id, "answer", {"wait": name, **given})


__all__ = ["RULES", "EffectAnswer", "answers_by_rules"]
