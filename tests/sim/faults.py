"""Known faults: repairs of the engine, the claim, the runner and the stores, undone one by one.

What it is for
    `proof` puts them into a copy of the package, one by one, and counts which a machine finds. A fault is a small edit
    of today's text (`has`) that brings back what the code did before it was repaired (`had`), with what that did.

Invariants
    - The list was made of the history of repairs before any machine had played these faults, and grows only. What no
      machine finds stays here: it says what programs should do that no program does.
    - Each edit applies to today's text, at one place, and leaves valid code (`test_sim`). Who changes such a place
      changes the edit with it, or drops the fault if the code that had it is gone.
    - Those of `_DRAWN` somebody else drew of the same history after the simulator was frozen. `_AGAIN` came with the
      event `again`, `_BESIDE` with peers and workers, `_BRANCHED` with branches, full stores and deployments of child
      runs, `_MIGRATED` with migrations, and `_TRANSACTED` with transactions.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Fault(NamedTuple):
    """A fault: what it did, and its edits: the file in the package, what it has there, and what it had."""

    what: str
    edits: tuple[tuple[str, str, str], ...]


def _fault(what: str, file: str, has: str, had: str) -> Fault:
    return Fault(what, ((file, has, had),))


_BEGAN_AGAIN: Final = """\
    frame.crashes = 0
    if not any(each.key.startswith(f"{UNKNOWN}|") for each in facts.waits.values()):
        frame.recorded_results.pop(BEGUN, None)
    if facts.withdrawn:"""
_NO_TEXT: Final = 'given: list[object] = [[] if name == "ask" else [*args], dict(kwargs)]'
_ONE_MARK: Final = """\
    # The mark comes first: while something is read, a node could start a further child run.
    await store.mark_stop(run_id, "cancel" if asked.final else "stop")
    top = await store.info(run_id)
    await _stop_one(shared, top, asked)
    asked = stopped_with(run_id, asked)
    level, found = {run_id: top.nonce}, {run_id}
    while below := [
        info
        for info in await store.started([*level])
        if info.id not in found and info.starter_nonce == level[info.starter or ""]
    ]:
        level = {info.id: info.nonce for info in below}
        found.update(level)
        for info in below:
            try:
                with contextlib.suppress(UnknownRun):  # the run was removed meanwhile
                    await _stop_one(shared, info, asked)
            except UNREADABLE as error:
                log.warning("run %s below run %s is not stopped with it: %s", info.id, run_id, error)
"""
_DEEPEST_FIRST: Final = """\
    await stop_started(shared, run_id, asked)
    await _stop_one(shared, await store.info(run_id), asked)


async def stop_started(shared: Shared[Any], run_id: str, asked: Stop) -> None:
    asked = stopped_with(run_id, asked)
    for info in await shared.store.started([run_id]):
        if info.status in ("running", "waiting"):
            await stop_tree(shared, info.id, asked)
"""
_OLD: Final = {
    # Those of the crossing, a simulator before this one. Who finds each: its page, if no other test is named.
    "waits in an effect": Fault(
        "a node with an effect that must not be repeated acted, asked, and acted again once it was answered",
        (
            ("runner/recorded_work.py", "return not (self._acts or self.is_inside)", "return not self.is_inside"),
            ("engine/fold.py", "    frame.crashes = 0\n    if facts.withdrawn:", _BEGAN_AGAIN),
        ),
    ),
    "turns that fail for good": Fault(
        "a turn of a chat that failed for good was the answer to every later message",
        (
            (
                "agents/chats.py",
                "failed(BaseException) & ~failed(*_PASS)",
                "failed(BaseException) & ~failed(BaseException)",
            ),
        ),
    ),
    "calls after the limit": Fault(
        "a call of a model began after the limit of its run was reached",
        (
            ("agents/budget.py", "any(used >= limit for _, _, limit, used in limits)", "False"),
            ("agents/budget.py", "is call and all(self._fits(", "is call or all(self._fits("),
        ),
    ),
    "items that wait": Fault(
        "items of a map that waited for answers held its concurrency, so the others were never asked",
        (("engine/map_items.py", "    for frame in frames:\n        map_ =", "    for frame in ():\n        map_ ="),),
    ),
    # Found by tests/worker/test_run_trees.py.
    "trees that are stopped": Fault(
        "a chain of 500 child runs that waited could not be stopped",
        (("runner/opening.py", _ONE_MARK, _DEEPEST_FIRST),),
    ),
    "children that are needed": _fault(
        "a finished child run was removed before the run that waited for it had read its end",
        "records/kept_children.py",
        "        return any(name in visit",
        "        return False and any(name in visit",
    ),
    "effects by their record": Fault(
        "an effect acted again, since the code that came after its process died promised nothing",
        (
            ("runner/once_effects.py", "return self._strip_run(key) in keys or name in names", "return False"),
        ),
    ),
    "decisions by their record": Fault(
        "a call that a person had refused was made, since the tool needed no approval any more",
        (
            (
                "agents/approval.py",
                "if self.tool.approval is None and not (self.why or runtime.was_asked(self.identity)):",
                "if self.tool.approval is None:",
            ),
        ),
    ),
    # Found by tests/agents/runs/test_decisions_kept.py, as no program asks about several calls at once.
    "questions by their record": Fault(
        "so was one whose answer had come and whose question was not asked again before the deployment",
        (
            (
                "agents/approval.py",
                "not (self.why or runtime.was_asked(self.identity))",
                "not (self.why or runtime.answered_to(self.identity) is not None)",
            ),
        ),
    ),
    "conversations by what they are given": Fault(
        "recorded calls were made again under new keys, since a word of the instructions had changed",
        (
            ("agents/runtime.py", "to_json([given, *instructed])", "to_json([inputs, str(agent.system), *instructed])"),
            ("agents/runtime.py", "elif self.is_node_of(agent) and _agree(", "elif not other and _agree("),
            ("runner/once_effects.py", "self._list_left_behind(effect) if beginning is None else ()", "()"),
        ),
    ),
    "edges by the spec in force": Fault(
        "steps before a deployment were read in the graph of after it: their edges were those of others",
        (
            (
                "engine/reasons.py",
                "self.fingerprint = fingerprint_after(step) or self.fingerprint\n        return ways_of(",
                "self.fingerprint = self.fingerprint or fingerprint_after(step)\n        return ways_of(",
            ),
        ),
    ),
    "answers by the id of their question": Fault(
        "an answer to a question was taken for one to the question that had taken its place",
        (("runner/call_records.py", "given: list[object] = [[*args], dict(kwargs)]", _NO_TEXT),),
    ),
}  # fmt: skip
_NEW: Final = {
    # --- maps and items -----------------------------------------------------------------------------------------------
    "maps that are given up": _fault(
        "a map that was in flight at three crashes was given the fallback of an item in place of all items",
        "engine/rules/visit.py",
        '    if node.each is not None and frame.kind != "item":\n',
        "    if False:\n",
    ),
    "items that were settled": _fault(
        "a resume ran the failed items of a map again that keeps those that succeeded",
        "engine/fold.py",
        "        if child_id(frame.id, frame.at) not in settled:",
        "        if True:",
    ),
    "questions of items": _fault(
        "an item that failed and began again asked its question under another id",
        "engine/map_items.py",
        "item.attempt, item.recorded_results, item.asks = earlier.attempt, earlier.recorded_results, earlier.asks",
        "item.attempt, item.recorded_results = earlier.attempt, earlier.recorded_results",
    ),
    "answers without a slot": _fault(
        "an answer was refused because the item that had asked had given its slot up",
        "engine/rules/wait.py",
        "        is_ready = isinstance(frame.phase, (Ready, Fallback)) and frame.failing is None",
        "        is_ready = False",
    ),
    # --- graphs, limits and failures ----------------------------------------------------------------------------------
    "attempts of inner starts": _fault(
        "a graph that failed at its START in the second attempt of its node was recorded with the first",
        "engine/rules/subgraph.py",
        "    begins.sub = begins\n",
        "    begins.sub = None\n",
    ),
    "inputs that a start changes": _fault(
        "a condition at START that changed its input changed the recorded state",
        "engine/rules/run.py",
        "typed=dict(event.typed))",
        "typed=event.typed)",
    ),
    "waits at a limit": _fault(
        "a run at its limit was called waiting, and not stopped",
        "engine/fold.py",
        "waits = snapshot.runnable is None and not (snapshot.limits and limit_reached(snapshot))",
        "waits = snapshot.runnable is None",
    ),
    "outermost limits": _fault(
        "of two graphs over their limits the inner one failed, and the outer one went on",
        "engine/ready.py",
        "return over[-1] if over else None",
        "return over[0] if over else None",
    ),
    "mistakes that are repeated": _fault(
        "a mistake in the code was repeated under a retry of any exception",
        "engine/rules/visit.py",
        "repeated = [kind for kind in retry.on if not is_mistake or issubclass(kind, MISTAKES)]",
        "repeated = [*retry.on]",
    ),
    "work over failures": _fault(
        "a failed attempt forgot its recorded work, and the next one did it again",
        "engine/rules/visit.py",
        "        facts.keep_results, facts.refused = True, event.refused or ()\n\n\ndef record_note",
        "        facts.refused = event.refused or ()\n\n\ndef record_note",
    ),
    "parts that failed": _fault(
        "a resume retried failed arms and items although other parts could move",
        "runner/opening.py",
        "shift, is_idle and life.claim.asked, retry_failed)",
        "shift, life.claim.asked, retry_failed)",
    ),
    # --- effects ------------------------------------------------------------------------------------------------------
    "fallbacks over effects": _fault(
        "a resume ran the fallback of a graph in which an effect had begun, and the graph repeated it",
        "engine/fold.py",
        "goes_on = frame.cause is not None and any(m.begun and not m.id for m in frame.recorded_results.values())",
        "goes_on = False",
    ),
    "effects in graphs": _fault(
        "a retry of a graph repeated an effect that had begun in it",
        "engine/rules/visit.py",
        "    if not is_own and any(memo.begun for memo in frame.recorded_results.values()):",
        "    if False:",
    ),
    "graphs around effects": _fault(
        "the nodes around an effect did not keep that it had begun",
        "engine/fold.py",
        "        around.recorded_results[BEGUN + facts.idempotency_key] = RecordedResult(begun=step.seq)",
        "        pass",
    ),
    "answers about beginnings": _fault(
        "what a person had said of one beginning of an effect was taken for the next one",
        "engine/fold.py",
        "    for key in [key for key in frame.recorded_results if key.startswith(earlier)]:\n        del",
        "    for key in [*()]:\n        del",
    ),
    "effects that did nothing": _fault(
        "an effect that had said that it did nothing was asked about",
        "engine/fold.py",
        "    if facts.not_done:",
        "    if False:",
    ),
    "effects under other keys": _fault(
        "an effect that had begun under the key of another graph was not taken back by its own",
        "engine/fold.py",
        "pop(key if key in frame.recorded_results else next(kept, key), _NO_RESULT)",
        "pop(key, _NO_RESULT)",
    ),
    "effects by their name": _fault(
        "the result of an effect did not say which effect it was, and one under new code did it again",
        "engine/fold.py",
        "named = begun.name if begun.begun else None",
        "named = None",
    ),
    "effects inside effects": _fault(
        "an effect began again before anybody was asked about the one inside of it",
        "runner/once_effects.py",
        "        for key, beginning in [*self._frame.recorded_results.items()]:\n            if key.startswith(above)",
        "        for key, beginning in [*()]:\n            if key.startswith(above)",
    ),
    "results that do not fit": _fault(
        "a result that a person gave for an effect failed its node because it did not fit",
        "engine/rules/visit.py",
        "any(key.startswith(UNKNOWN) for key in event.refused):",
        "False:",
    ),
    "effects of cancelled runs": _fault(
        "a run that was cancelled did not say which effects had no end",
        "engine/rules/run.py",
        "facts.unknown = _list_unended_effects(snapshot) if event.final else ()",
        "facts.unknown = ()",
    ),
    "committed nodes": _fault(
        "a node in a transaction was done a second time after a change of its code",
        "runner/attempt.py",
        "values, OF_NODE + key, TRANSACTION)",
        "values, key, TRANSACTION)",
    ),
    # --- questions and messages ---------------------------------------------------------------------------------------
    "questions that are withdrawn": _fault(
        "a question that a node had ceased to ask could still be answered",
        "engine/fold.py",
        "    if facts.withdrawn:",
        "    if False:",
    ),
    "questions of the last visit": _fault(
        "a question of a later visit had the id of the earlier one",
        "engine/fold.py",
        "    if frame.asks:\n        frame.asks.clear()",
        "    if False:\n        frame.asks.clear()",
    ),
    "questions under way": _fault(
        "a question that was open was listed a second time, as one that would be asked again",
        "runner/answers.py",
        "is_under_way = not frame.waits and frame.failing is None",
        "is_under_way = frame.failing is None",
    ),
    "answers at the last moment": _fault(
        "a default won against an answer that was in the inbox before the time was over",
        "runner/driving.py",
        "        while needs_look and not (",
        "        while False and not (",
    ),
    "messages with a resume": _fault(
        "a message that a run had waited for was recorded in a commit of its own after the resume",
        "runner/opening.py",
        'driving.arrived(() if life.claim.stop else takewhile(lambda each: each.kind == "message", news))',
        "driving.arrived(())",
    ),
    "nodes that waited": _fault(
        "a node that had waited for a message was not taken for one that runs again",
        "runner/driving.py",
        'self._has_waited = self._has_waited or task.mode == "deliver"',
        "self._has_waited = self._has_waited or False",
    ),
    "messages at one place": _fault(
        "a message that was to come once at a place of a run came from each server",
        "databases/sqlite/writes.py",
        'if message.alone and connection.execute(SQL["has_messages"]',
        'if False and connection.execute(SQL["has_messages"]',
    ),
    "newest keys": _fault(
        "all keys of messages of a run were read in place of the newest",
        "databases/sqlite/reads.py",
        "(rows if newest is None else rows[-newest:])",
        "rows",
    ),
    # --- stops and the claim ------------------------------------------------------------------------------------------
    "times of stops": _fault(
        "a stop from outside was recorded at an earlier time than the step before it",
        "runner/opening.py",
        "StopAsked(max(shared.clock.now(), snapshot.now),",
        "StopAsked(shared.clock.now(),",
    ),
    "final stops without a process": _fault(
        "a run whose process had died was not cancelled before somebody resumed it",
        "runner/opening.py",
        'at_rest = ("waiting", "stopped", "failed", "running") if asked.final',
        'at_rest = ("waiting", "stopped", "failed") if asked.final',
    ),
    "stops in between": _fault(
        "a stop that came while the step was recorded after which a run waits was lost",
        "engine/claim.py",
        "    if given.status in halted and claim.stop is not None and not claim.owned:",
        "    if False:",
    ),
    "stops of dead processes": _fault(
        "a stop that a process had not seen before it died was lost",
        "runner/opening.py",
        'each.kind == "stop" and life.claim.asked and not stop_in(each).final]',
        'each.kind == "stop" and not stop_in(each).final]',
    ),
    "final stops before others": _fault(
        "a stop that came after a final one took its place, and the run could be resumed",
        "engine/claim.py",
        "consume, final = (*earlier.consume, *given.consume), earlier.final or given.final",
        "consume, final = (*earlier.consume, *given.consume), given.final",
    ),
    "stops from above": _fault(
        "a run that was stopped with the one above it said that it was asked itself",
        "runner/driving.py",
        "reason, text = (asked.reason, asked.why) if asked",
        'reason, text = ("asked", asked.why) if asked',
    ),
    "crashes beside others": _fault(
        "a node was given up for crashes of a process that drove other runs too",
        "engine/fold.py",
        "counts = frame.crashes < CRASHES - 1 or not snapshot.shared_process",
        "counts = True",
    ),
    "crashes in between": _fault(
        "a crash did not count if another process had claimed the run meanwhile and died too",
        "engine/claim.py",
        "claim.was_held = (given.held or claim.was_held) and given.resumed",
        "claim.was_held = False",
    ),
    "runs that should be alone": _fault(
        "a run that was in flight at two crashes began beside others",
        "engine/claim.py",
        "claim.held_back = claim.gives_way and given.beside",
        "claim.held_back = False",
    ),
    "callers of workers' runs": _fault(
        "a caller that had sent a worker's run a message was told that it waits, with the message unread",
        "engine/claim.py",
        "        claim.of_worker = claim.waits_out = False",
        "        pass",
    ),
    "claims after a wait": _fault(
        "a run that had slept was driven on under the claim that it had given back",
        "engine/claim.py",
        '    claim.owned = True\n    claim.enter("opening")',
        '    claim.enter("opening")',
    ),
    "processes that are cut off": _fault(
        "a run did not keep until when a process that was cut off might still act",
        "engine/fold.py",
        "    if facts.cut_until:",
        "    if False:",
    ),
    # --- the store ----------------------------------------------------------------------------------------------------
    "reads that stay open": _fault(
        "a short read left its transaction open, which refused the next one",
        "databases/sqlite/direct.py",
        "        finally:\n            _leave_transaction(connection)\n\n    def write",
        "        finally:\n            pass\n\n    def write",
    ),
    "leases that are over": _fault(
        "a process that had been suspended past its lease lost at once what it claimed",
        "databases/sqlite/writes.py",
        "    lease.register(connection)  #",
        "    pass  #",
    ),
    "releases that are owed": _fault(
        "a process could not claim a run that it had released while the disk was full",
        "databases/sqlite/writes.py",
        "    if found.driver is not None and not (found.driver == lease.id and (run_id, found.fence) in lease.owed):",
        "    if found.driver is not None:",
    ),
    "places of branches": _fault(
        "a branch was put into the default queue, whatever the queue of its run",
        "runner/opening.py",
        "place = InQueue(above.queue, above.priority, above.tenant, user)",
        "place = InQueue(None, 0, above.tenant, user)",
    ),
    "looks that are left": _fault(
        "a retried node waited for ever for a child whose end it had been told, since a message to look at it was left",
        "runner/children.py",
        "if any(_reports_end(each, run_id, seq) for each in messages):",
        "if messages:",
    ),
    "crashes in a kept fallback": _fault(
        "a fallback that was given up after three crashes, and kept for an effect, was given up again at each resume",
        "engine/fold.py",
        "isinstance(frame.phase, Fallback) and failed:",
        "False:",
    ),
}
_DRAWN: Final = {
    # Drawn of the history by somebody else, after the simulator was frozen, and before any was measured.
    "states of children": _fault(
        "the end of a child within one process was told with a state that was not decoded",
        "runner/starters.py",
        "{k: opened(v) for k, v in snapshot.root.values.items()} if",
        "dict(snapshot.root.values) if",
    ),
    "children of resumed runs": _fault(
        "a resumed run that had other mail did not look after the children that it waits for",
        "runner/opening.py",
        "    if life.claim.asked and await looks_after(store, snapshot):",
        "    if False:",
    ),
    "children that were told before": _fault(
        "a graph that was tried again waited for ever for a child whose end its node had received before",
        "runner/children.py",
        "elif not await self._post_end(post) and not await self._has_end_message(run_id, snapshot.seq):",
        "elif not await self._post_end(post) and False:",
    ),
    "children under another input": _fault(
        "another attempt did not get the child that the first had begun under a chosen id, as it gave something else",
        "runner/children.py",
        "return is_known and bool(await",
        "return bool(await",
    ),
    "children that were trimmed": _fault(
        "a run failed at a child whose end was trimmed before it looked",
        "runner/children.py",
        "        except UnknownStep:\n            return _as_step_result(end)",
        "        except UnknownStep:\n            raise",
    ),
    "doubts about earlier claims": _fault(
        "an answer that an earlier claim on a run is lost ended the run under the claim that it has now",
        "runner/driving.py",
        "            if here is not None and here.driving is self and self.claim.owned:",
        "            if True:",
    ),
    "times that come before sleep": _fault(
        "a run whose time came while it fell asleep was not driven, although a caller wanted it",
        "runner/life.py",
        "elif not (alarm.done() or first <= shared.clock.now()):",
        "elif not alarm.done():",
    ),
    "inboxes that cannot be read": _fault(
        "a default won against an answer in time, as the inbox could not be read for a moment",
        "runner/driving.py",
        "                await asyncio.sleep(INBOX_SECONDS)\n        self._asleep",
        "                break\n        self._asleep",
    ),
    "times that come beside mail": _fault(
        "a time that came while mail was being recorded was lost, and the wait never ended",
        "runner/driving.py",
        "            self.session.changed.append(job.task.frame)\n",
        "",
    ),
    "effects of branches": _fault(
        "a branch with other arguments took an effect that had begun before it for its own",
        "runner/once_effects.py",
        "or beginning.value == self._journal.show_arguments(effect.arguments)",
        "or True",
    ),
    "messages of ended nodes": _fault(
        "a message that code sent after its node had ended was lost without an error",
        "runner/context.py",
        '        self._attempt.check_not_over("ctx.send")\n',
        "",
    ),
    "cancelled claims": _fault(
        "a run whose claim was cancelled was still claimed when its caller went on",
        "databases/sql.py",
        "                await self.release(run_id, (await asyncio.shield(pending)).fence)",
        "                await asyncio.shield(pending)",
    ),
    "hand-overs that failed": _fault(
        "agents that had handed a message on which failed for good were remembered with it",
        "agents/chats.py",
        "kept = messages[: turn.remembered]",
        "kept = messages[:]",
    ),
    "known keys of ended chats": _fault(
        "a message of a chat that had ended was sent again in place of being answered as before",
        "agents/chats.py",
        "        if known is not None and known.status in FINAL:",
        '        if known is not None and known.status == "cancelled":',
    ),
    "nodes that cancel themselves": _fault(
        "a node that cancelled its own task cut its run off in place of failing",
        "runner/driving.py",
        "        if is_own and (not run.cancelling() or (within is run and self._was_cancelled_inside())):",
        "        if is_own and not run.cancelling():",
    ),
    "time limits after a wait": _fault(
        "the time that a node had waited for a child counted for its time limit",
        "runner/recorded_work.py",
        "                limit.restart()",
        "                pass",
    ),
    "effects whose node is a graph now": _fault(
        "an effect that had begun was not asked about where its node is a graph now",
        "runner/attempt.py",
        "not (frame.recorded_results and self._has_left_effects())",
        "True",
    ),
    "crashes under a limit": _fault(
        "a crash counted for nodes that a limit had held back",
        "engine/rules/run.py",
        "facts.crashed = facts.crashed and bool(ready(snapshot))",
        "facts.crashed = bool(facts.crashed)",
    ),
    "visits of several arms": _fault(
        "visits since a count that several arms had marked were counted as of one arm",
        "engine/rules/fork.py",
        "sample_arm(plan, view, arm, counted)",
        "sample_arm(plan, view, arm, {})",
    ),
    "stops of what has ended": _fault(
        "a stop that came with the last step of a run took the place of its end",
        "engine/claim.py",
        'claim.stop is not None and given.status in ("running", "waiting")',
        "claim.stop is not None",
    ),
    "effects of renamed nodes": _fault(
        "a renamed node began its effect again, under another key",
        "engine/frame_tree.py",
        '    own = f"{frame.named or frame.at}:{frame.visit}"',
        '    own = f"{frame.at}:{frame.visit}"',
    ),
    "limits beside waits": _fault(
        "a graph at its limit went on waiting for the times in it",
        "runner/driving.py",
        "                for key in [key for key in self._asleep if key.startswith(frame)]:\n",
        "                for key in [*()]:\n",
    ),
    "slots of failed items": _fault(
        "an item that was resumed in its graph, and only waited there, kept its slot",
        "engine/map_items.py",
        "        update_slots(snapshot, (kept,))  #",
        "        pass  #",
    ),
    "nodes of lost runs": _fault(
        "a process that had been suspended began a node of a run that another one had taken",
        "runner/scope.py",
        "return self.is_shared and abs(self.wall() - self.host.wrote_at) > _RECENT_SECONDS",
        "return False",
    ),
    "tasks that fall asleep": _fault(
        "a run whose last node ended just when a wait began was not let go",
        "runner/driving.py",
        "                self._asleep[frame] = task\n            elif",
        "                pass\n            elif",
    ),
}
_AGAIN: Final = {
    # Only a run that has the id of one that was removed shows these.
    "ids of children of later runs": _fault(
        "a run with the id of one that was removed met the children of that one, as its own would have had their ids",
        "runner/children.py",
        'record.run_id = _derive_child_id(name, f"{key} {self.starter.nonce}") if self.starter.nonce else key_base',
        "record.run_id = key_base",
    ),
    "keys of later runs": _fault(
        "a run that was removed and started again did what it had done outside under other idempotency keys",
        "runner/scope.py",
        "{self.services.run.snapshot.key_base or self.services.run_id}/",
        "{self.services.run.snapshot.key_base or self.services.run_id}.{self.services.run.snapshot.nonce}/",
    ),
    "keys of children of later runs": _fault(
        "so did its child runs, as their keys began with their ids",
        "runner/children.py",
        'await self._create(record.run_id, parent, "" if key_base == record.run_id else key_base, is_known',
        'await self._create(record.run_id, parent, "", is_known',
    ),
    "questions of earlier runs": _fault(
        "the link to a question of a run that was removed answered the same question of a later run with its id",
        "history/ended_questions.py",
        "if found[3] not in (None, snapshot.nonce):",
        "if False:",
    ),
    "ends of children of earlier runs": _fault(
        "a run was told of the ends of children that an earlier run with its id had started (a page has it)",
        "runner/starters.py",
        'return Post(starter.run_id, "message", payload, key, starter.nonce)',
        'return Post(starter.run_id, "message", payload, key)',
    ),
    "cursors of earlier runs": _fault(
        "a watcher of a run that was removed went on in a later one with its id, and missed its first steps",
        "stores/base.py",
        'if nonce not in ("", self.nonce):',
        "if False:",
    ),
}
_BESIDE: Final = {
    # Only programs with peers, messages between runs, or workers show these.
    "messages that are sent again": _fault(
        "a message that was sent again with its idempotency key was received twice",
        "runner/run.py",
        'key = f"message {topic} {idempotency_key}" if idempotency_key else f"once {secrets.token_hex(8)}"',
        'key = f"once {secrets.token_hex(8)}"',
    ),
    "messages to runs that failed": _fault(
        "a run that failed or was stopped refused messages, though it can be resumed",
        "runner/run.py",
        'if info.status == "finished":\n            text = f"run {self.id} has ended',
        'if info.status not in ("running", "waiting"):\n            text = f"run {self.id} has ended',
    ),
    "starts after a run that goes on": _fault(
        "a run began after another one that was still running, with the state that this one had then",
        "runner/opening.py",
        'if left.status in ("running", "waiting"):',
        'if left.status == "waiting":',
    ),
    "updates of a last state": _fault(
        "what a start gave replaced fields of the last state of the other run, in place of being reduced into them",
        "runner/opening.py",
        "if name not in base and field.info.is_required() and name in update:",
        "if name in update:",
    ),
    "fields that an earlier run lacks": _fault(
        "a start after a run of a graph with fewer fields failed if another field could be None (a page has it)",
        "runner/opening.py",
        "name: records[name] if name in records and value is encoded[name] else value",
        "name: records[name] if value is encoded.get(name) else value",
    ),
    "failed runs that a worker resumes": _fault(
        "a worker that came too late resumed a run that had failed with another worker meanwhile",
        "worker/worker.py",
        "Claim(asked=False, of_worker=True",
        "Claim(asked=True, of_worker=True",
    ),
    "crashes that are not recorded": _fault(
        "who took the run of a process that had died did not record the crash, so that no node was ever given up",
        "runner/opening.py",
        'crashed = snapshot.status == "running" and look.held',
        "crashed = False",
    ),
}
_BRANCHED: Final = {
    # Only branches, full stores and deployments of child runs show these.
    "children of branches": _fault(
        "a branch took the child run of the run that it left for its own",
        "runner/children.py",
        "if record.by == attempt.services.run_id or _has_result(attempt, record.run_id):",
        "if True:",
    ),
    "branches that wait for children": _fault(
        "a branch waited for ever for the end of a child run that tells it only to the run that the branch left",
        "runner/starters.py",
        "        or (info.starter, info.starter_nonce) != (snapshot.run_id, snapshot.nonce)\n",
        "",
    ),
    "keys of branches": _fault(
        "what a branch did outside had the idempotency keys of the run that it left",
        "engine/fold.py",
        'snapshot.run_id, snapshot.key_base, snapshot.starter = facts.run_id, "", None',
        "snapshot.key_base, snapshot.run_id, snapshot.starter = snapshot.run_id, facts.run_id, None",
    ),
    "resumes of children that are refused": _fault(
        "a run waited for ever for its failed child, as the store had no room for the child's resume (a page has it)",
        "runner/children.py",
        "if not life.seq and isinstance(error, StoreError):",
        "if False:",
    ),
    "children of earlier visits that are pruned": _fault(
        "a node failed with unknown_run, as a prune had removed a child run of its visit before (a page has it)",
        "runner/children.py",
        "            except UnknownRun:\n                continue\n            if is_alike",
        "            except StoreError:\n                continue\n            if is_alike",
    ),
    "effects of branches": _fault(
        "a branch did again what the run that it left had begun, and asked nobody",
        "engine/rules/run.py",
        "    facts = copy(event.facts)\n    there =",
        "    facts = copy(event.facts)\n    snapshot.root.recorded_results.clear()\n    there =",
    ),
}
_MIGRATED: Final = {
    # Only the next version of a graph shows these; pages have them.
    "counts of renamed nodes": _fault(
        "a node that a migration renamed was counted from one again",
        "engine/graph_migration.py",
        "new = names.get(node, node)\n        counts[new]",
        "new = node\n        counts[new]",
    ),
    "arms to renamed nodes": _fault(
        "an arm of a fork kept its name in a migration, and its join did not find it",
        "engine/graph_migration.py",
        'return f"{up.id}~{names.get(target, target)}"',
        'return f"{up.id}~{target}"',
    ),
    "keys of renamed nodes": _fault(
        "an effect that began again after a migration had another idempotency key",
        "engine/graph_migration.py",
        "frame.named, frame.at = frame.named or frame.at, names[frame.at]",
        'frame.named, frame.at = "", names[frame.at]',
    ),
}
_TRANSACTED: Final = {
    # Only transactions show these; a page has them.
    "ends of transactions": _fault(
        "what acted in a transaction had the record of its end after the transaction, in a commit of its own",
        "runner/recorded_work.py",
        "            return Noted(self._task, 0.0, done.now, begun), done\n",
        "            return (Noted(self._task, 0.0, done.now, begun),)\n",
    ),
}
FAULTS: Final = {**_OLD, **_NEW, **_DRAWN, **_AGAIN, **_BESIDE, **_BRANCHED, **_MIGRATED, **_TRANSACTED}
