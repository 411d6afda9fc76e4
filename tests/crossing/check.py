"""What must hold once a program has ended, whatever happened on the way."""

from __future__ import annotations

import re
from collections.abc import Sequence

from graphengine import testing
from graphengine.engine.fold import fold
from graphengine.engine.graph_spec import EdgeSpec
from graphengine.engine.reasons import InForce
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.steps import Answered, Message, Refused, Step, is_removed, outcome_of
from graphengine.history.load import load_snapshot
from graphengine.history.reasons import load_specs
from graphengine.records.export import export_run
from graphengine.state.encoded import opened
from graphengine.stores.base import RunInfo
from tests.crossing import program as p
from tests.crossing.drive import Play
from tests.crossing.expect import pattern
from tests.crossing.world import COST_USD, Wrong

CUTS = {"kill", "full", "close", "stop"}
"""What can cut off a call of a model, whose answer is then paid and not recorded."""


async def check(play: Play) -> None:
    """Raise Wrong for the first promise that was broken."""
    infos = {info.id: info for info in await play.infos()}
    for run_id in play.accepted:
        if run_id not in infos and run_id not in play.world.pruned:
            raise Wrong(f"an accepted start is lost: {run_id}")
    for info in infos.values():
        await _run(play, info)
    _costs(play)
    await play.medium.close()
    for finding in await play.medium.findings():
        raise Wrong(f"doctor finds {finding.code}: {finding.run_id}: {finding.what}")


async def _run(play: Play, info: RunInfo) -> None:
    """Check one run."""
    steps = await play.medium.view.steps(info.id)
    snapshot = await load_snapshot(play.medium.view, info.id, None)
    if [step.seq for step in steps] != list(range(1, info.seq + 1)):
        raise Wrong(f"the log is not dense: {info.id}")
    if not any(map(is_removed, steps)):
        folded = fold(steps, Snapshot())
        if opened(folded.root.values) != opened(snapshot.root.values) or folded.usage != snapshot.usage:
            raise Wrong(f"the log folds to another state than the snapshot: {info.id}")
        graph = play.current.by_name.get(info.graph)
        if graph is not None and not promises_less(play):
            try:
                testing.replay(graph, await export_run(play.medium.view, info.id))
            except AssertionError as error:
                raise Wrong(f"replay decides otherwise: {info.id}: {error}") from error
        await _accepted(play, info, steps)
        await _edges(play, info, steps)
    if info.status == "finished":
        _state(play, info, snapshot)


async def _edges(play: Play, info: RunInfo, steps: Sequence[Step]) -> None:
    """Check that each recorded edge is one out of the step's node, and to where it led, in the spec in force."""
    in_force = InForce(await load_specs(play.medium.view, steps))
    for step in steps:
        ways, outcome = in_force.ways(step), outcome_of(step)
        if outcome.way >= 0:
            way = ways[outcome.way] if outcome.way < len(ways) else EdgeSpec({"from": ""})
            ends = {way.get("to"), *(arm["to"] for arm in way.get("arms", ()))}
            if way["from"] not in (step.node, "START") or not ends.issuperset(outcome.to):
                raise Wrong(f"a step names another edge: {info.id}: step {step.seq} of {step.path}: {way}")


async def _accepted(play: Play, info: RunInfo, steps: Sequence[Step]) -> None:
    """Check that every message and answer that was accepted is in the log, or in the inbox, once."""
    inbox = await play.medium.view.inbox([info.id])
    said = [step.data.payload for step in steps if isinstance(step.data, Message)]
    said += [message.payload["payload"] for message in inbox if message.kind == "message"]
    answered = [step.data.wait for step in steps if isinstance(step.data, Answered) and step.data.by == "answer"]
    answered += [step.data.wait for step in steps if isinstance(step.data, Refused)]
    answered += [message.payload["wait"].replace("n", "m") for message in inbox if message.kind == "answer"]
    for kind, what in play.world.given[info.id]:
        there = (said if kind == "message" else [name.replace("n", "m") for name in answered]).count(what)
        if kind == "message" and there != 1:
            raise Wrong(f"an accepted message is there {there} times: {info.id}: {what}: {said}")
        if kind == "answer" and not there and not cancels(play) and not asks_otherwise(play):
            raise Wrong(f"an accepted answer is lost: {info.id}: {what}: {answered}")


def promises_less(play: Play) -> bool:
    """Return whether a deployment promises other effects, of which a replay says that they differ."""
    return any(isinstance(each, p.Deploy) and "effects" in each.changes for each in play.program.events)


def asks_otherwise(play: Play) -> bool:
    """Return whether a deployment asks other questions: an answer to an earlier one is dropped with that."""
    return any(isinstance(each, p.Deploy) for each in play.program.events)


def cancels(play: Play) -> bool:
    """Return whether arms of a program can be cancelled, with what was said to them."""
    return any(isinstance(part, p.Fork) and part.need for part in p.parts(play.program))


def _state(play: Play, info: RunInfo, snapshot: Snapshot) -> None:
    """Check that the state is one that the program can have."""
    spec = next((spec for (spec, _), graph in play.current.graphs.items() if graph.name == info.graph), None)
    if spec is None:
        return
    log = "".join(f"{said} " for said in opened(snapshot.root.values)["log"])
    if not re.fullmatch(pattern(spec), log):
        raise Wrong(f"the state is none that can be: {info.id}: {log}; {pattern(spec)}")


def _costs(play: Play) -> None:
    """Check that what runs recorded is what was paid, but for calls that were cut off."""
    world = play.world
    paid, recorded = COST_USD * len(world.calls), sum(world.spent.values())
    cut = CUTS & world.happened or cancels(play)
    if recorded > paid or (recorded < paid and not cut):
        raise Wrong(f"costs differ: models were paid {paid}, runs recorded {recorded}")
