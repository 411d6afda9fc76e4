"""Proof that the crossing finds what it is for: repairs are undone one by one, and the hunt has to notice.

    python -m tests.crossing.reverts [SEED…]

copies the package, undoes one repair in the copy, and prints for each seed after how many programs the hunt fails
there, and how; before them, whether the page of the fault, with the smallest program, fails. At 0.1 s of CPU time for a
program, with seeds 1 and 2:

    waits in an effect                     24       4
    turns that fail for good                8      27
    calls after the limit                  14      37
    items that wait                         1       3
    trees that are stopped                 32      48
    children that are needed               71      69
    effects by their record               113       4
    decisions by their record             139   > 400
    conversations by what they are given   65      17
    edges by the spec in force              1       4
    answers by the id of their question    14      21

`test_deployments.py` finds the five at the end at once: it tries deployments at each write of small programs.
Every sixteenth program is a tree of child runs that is stopped, and every fourteenth one spends under a limit and a
budget, so the second and the first of them found these faults.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
MOST: Final = 400
"""How many programs are played at most."""
_BEGAN_AGAIN: Final = """\
    frame.crashes = 0
    if not any(each.key.startswith(f"{UNKNOWN}|") for each in facts.waits.values()):
        frame.recorded_results.pop(BEGUN, None)
    if facts.withdrawn:"""
_NO_TEXT: Final = 'given: list[object] = [[] if name == "ask" else [*args], dict(kwargs)]'
_ONE_MARK: Final = """\
    await store.mark_stop(run_id, "cancel" if asked.final else "stop")  # nothing is read before: a node could begin
    top = await store.info(run_id)
    await _stop_one(shared, top, asked)
    asked = stopped_with(run_id, asked)
    level, seen = {run_id: top.nonce}, {run_id}
    while below := [
        info
        for info in await store.started([*level])
        if info.id not in seen and info.starter_nonce == level[info.starter or ""]
    ]:
        level = {info.id: info.nonce for info in below}
        seen.update(level)
        for info in below:
            try:
                with contextlib.suppress(UnknownRun):  # it was removed meanwhile
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
_HUNT: Final = """
import sys
from tests.crossing.hunt import Hunt
hunt = Hunt(int(sys.argv[1]), shrinks=False)
while hunt.played < int(sys.argv[2]):
    try:
        hunt.play(hunt.played)
    except Exception as error:
        print(f"{hunt.played} programs: {str(error).splitlines()[0][:110]}")
        break
else:
    print(f"not within {hunt.played} programs")
"""
_PAGE: Final = """
import sys
from pathlib import Path
from tests.crossing.drive import Play
from tests.crossing.program import read
try:
    Play(read(Path(sys.argv[1]).read_text().partition("\\n\\n")[2])).run()
    print("the page passes")
except Exception as error:
    print(f"the page fails: {str(error).splitlines()[0][:110]}")
"""


class Revert(NamedTuple):
    """A repair: the page of the fault, and what is undone: the file, what it has there, and what it had before."""

    page: str
    edits: tuple[tuple[str, str, str], ...]


REVERTS: Final = {
    "waits in an effect": Revert("once_then_ask", (
        ("runner/recorded_work.py", "return not (self._acts or self.is_inside)", "return not self.is_inside"),
        ("engine/fold.py", "    frame.crashes = 0\n    if facts.withdrawn:", _BEGAN_AGAIN),
    )),
    "turns that fail for good": Revert("turn_that_fails_for_good", (
        (
            "agents/chats.py",
            "failed(BaseException) & ~failed(*_PASS)",
            "failed(BaseException) & ~failed(BaseException)",
        ),
    )),
    "calls after the limit": Revert("call_after_the_limit", (
        ("agents/budget.py", "any(used >= limit for _, _, limit, used in limits)", "False"),
        ("agents/budget.py", "is call and all(self._fits(", "is call or all(self._fits("),
    )),
    "items that wait": Revert("items_that_wait", (
        ("engine/map_items.py", "    for frame in frames:\n        map_ =", "    for frame in ():\n        map_ ="),
    )),
    "trees that are stopped": Revert("deep_tree_stopped", (
        ("runner/opening.py", _ONE_MARK, _DEEPEST_FIRST),
    )),
    "children that are needed": Revert("child_pruned_before_its_end_is_read", (
        ("records/kept_children.py", "        return any(name in visit", "        return False and any(name in visit"),
    )),
    "effects by their record": Revert("effect_taken_back", (
        ("runner/once_effects.py", "return self._at(key) in keys or name in names", "return False"),
    )),
    "decisions by their record": Revert("no_taken_back", (
        (
            "agents/approval.py",
            "if self.tool.approval is None and not (self.why or runtime.was_asked(self.identity)):",
            "if self.tool.approval is None:",
        ),
    )),
    "questions by their record": Revert("no_before_a_deployment", (
        (
            "agents/approval.py",
            "not (self.why or runtime.was_asked(self.identity))",
            "not (self.why or runtime.answered_to(self.identity) is not None)",
        ),
    )),
    "conversations by what they are given": Revert("prompt_reworded", (
        ("agents/runtime.py", "to_json([given, *instructed])", "to_json([inputs, str(agent.system), *instructed])"),
        ("agents/runtime.py", "elif self.is_node_of(agent) and _agree(", "elif not other and _agree("),
        ("runner/once_effects.py", "left = self._list_left_behind(effect) if begun is None else ()", "left = ()"),
    )),
    "edges by the spec in force": Revert("edges_inserted", (
        (
            "engine/reasons.py",
            "self.fingerprint = fingerprint_after(step) or self.fingerprint\n        return ways_of(",
            "self.fingerprint = self.fingerprint or fingerprint_after(step)\n        return ways_of(",
        ),
    )),
    "answers by the id of their question": Revert("question_reworded", (
        ("runner/call_records.py", "given: list[object] = [[*args], dict(kwargs)]", _NO_TEXT),
    )),
}  # fmt: skip


def main() -> None:
    """Undo each repair, and print when it is noticed."""
    seeds = sys.argv[1:] or ["1", "2", "3"]
    for name, revert in REVERTS.items():
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder)
            shutil.copytree(ROOT / "graphengine", copy / "graphengine", ignore=shutil.ignore_patterns("node_modules"))
            (copy / "tests").symlink_to(ROOT / "tests")
            for name_of_file, has, had in revert.edits:
                file = copy / "graphengine" / name_of_file
                text = file.read_text(encoding="utf-8")
                if text.count(has) != 1:
                    message = f"{name_of_file} has no longer what undoes {name!r}: {has}"
                    raise ValueError(message)
                file.write_text(text.replace(has, had), encoding="utf-8")
            page = str(ROOT / "tests" / "crossing" / "pages" / f"{revert.page}.txt")
            said = [_said(copy, _PAGE, page), *(_said(copy, _HUNT, seed, str(MOST)) for seed in seeds)]
        sys.stdout.write("\n  ".join([name, *said]) + "\n")
        sys.stdout.flush()


def _said(folder: Path, code: str, *given: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", code, *given]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


if __name__ == "__main__":
    main()
