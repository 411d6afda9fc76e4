"""The table of the machine: it is complete, the scenario pages follow it, and the docs draw it."""

import re
from pathlib import Path
from typing import get_args

from graphengine.engine.events import Event
from graphengine.engine.machine import AFTER, TABLE
from graphengine.engine.steps import AnyFacts, Continued, Message, Removed, Stopped
from tests.kit.scenario import Scenario, pages, played
from tests.kit.type_checks import run_mypy

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "graphengine" / "engine"
UNSEEN = {f"LimitMet in {name}" for name in ("Fallback", "Leaving", "Collecting", "Waiting", "GivenUp", "Ended")} | {
    f"AnswerRefused in {name}" for name in ("Ready", "Fallback")
}
"""Rows that no page takes yet."""


def test_every_event_has_a_row() -> None:
    """Every event has a row in the table."""
    assert {row.event for row in TABLE} == set(get_args(Event))


def test_every_kind_of_step_comes_from_an_event() -> None:
    """Each kind that moves a frame has a phase after it. A store removes steps, and no event does."""
    kinds = set(get_args(AnyFacts)) - {Removed}
    assert {kind for row in TABLE for kind in row.steps} == kinds
    of_runs = {kind for kind in kinds if issubclass(kind, (Continued, Stopped, Message))}
    assert set(AFTER) == kinds - of_runs


def test_the_pages_take_every_row_and_have_every_kind_of_step() -> None:
    """Each event is taken in each of its phases on some scenario page, or this lists it; `UNSEEN` only gets shorter.

    Every session checks that the steps follow the table.
    """
    sessions = [played(Scenario.read(page), page.stem)[1] for page in pages()]
    assert {type(step.data) for session in sessions for step in session.log} == {*get_args(AnyFacts)} - {Removed}
    taken = {each for session in sessions for each in session.taken}
    rows = [(row.event, phase) for row in TABLE for phase in row.phases]
    unseen = {f"{event.__name__} in {phase.__name__}" for event, phase in rows if (event, phase) not in taken}
    assert unseen == UNSEEN, "\n  ".join(["rows that no page takes:", *sorted(unseen)])


def test_the_type_checker_finds_unhandled_kinds_and_misspelt_names(tmp_path: Path) -> None:
    """Mypy reports a kind of step, an event or a phase that nothing handles, and fields and keys that no record has."""
    kind = "AnyFacts: TypeAlias = (\n    Started\n"
    new = f'class Paused(Facts):\n    """A new kind."""\n\n\n{kind.replace("Started", "Paused | Started")}'
    new_phase = 'class Asleep(Struct, frozen=True):\n    """A new phase."""\n\n\n'
    new_event = 'class Nudged(NamedTuple):\n    """A new event."""\n\n    now: float\n\n\n'
    patches = [
        ("steps.py", kind, new),
        ("rules/fork.py", "facts.cancelled = ", "facts.canceled = "),
        ("../records/replay/node_diff.py", 'graph_spec["reads"]', 'graph_spec["raeds"]'),
        ("frame_tree.py", 'joined["priced_usd"]', 'joined["priced_uds"]'),
        ("ready.py", 'usage.get("unknown_calls", 0)', 'usage.get("unknown_cals", 0)'),
        ("../graph/options.py", 'given["unknown_cost"]', 'given["unknown_costs"]'),
        ("../records/spending.py", 'by.get("agent", "")', 'by.get("agnet", "")'),
        ("../state/amounts.py", 'usage.get("cost_usd", 0.0)', 'usage.get("cost_usds", 0.0)'),
        ("phases.py", "Phase: TypeAlias = Ready", f"{new_phase}Phase: TypeAlias = Asleep | Ready"),
        ("events.py", "Event: TypeAlias = FrameEvent", f"{new_event}Event: TypeAlias = Nudged | FrameEvent"),
        ("rules/visit.py", "more.unawaited", "more.unawated"),
        ("redaction.py", "hide(facts.why)", "hide(facts.wy)"),
    ]
    shadows: list[str] = []
    for number, (name, old, text) in enumerate(patches):
        file = (ENGINE / name).resolve()
        source = file.read_text(encoding="utf-8")
        assert source.count(old) == 1, name
        shadow = tmp_path / f"{number}.py"
        shadow.write_text(source.replace(old, text), encoding="utf-8")
        shadows += ["--shadow-file", str(file.relative_to(ROOT)), str(shadow)]
    parts = ("engine", "records/replay", "records/spending.py", "graph", "state")
    folders = [f"graphengine/{part}" for part in parts]
    ended = run_mypy(ROOT, tmp_path / "mypy", *shadows, *folders)
    unhandled = re.findall(r'(\S+)\.py:\d+: error: .*incompatible type "(\w+)"; expected "Never"', ended.stdout)
    assert {*unhandled} == {
        ("graphengine/engine/fold", "Paused"),
        ("graphengine/records/replay/event_of_step", "Paused"),
        ("graphengine/engine/stored", "Asleep"),
        ("graphengine/engine/machine", "Nudged"),
    }, ended.stdout
    for record, name in (("Joined", "canceled"), ("Node", "unawated"), ("Outcome", "wy")):
        assert f'"{record}" has no attribute "{name}"' in ended.stdout, ended.stdout
    misspelt = (("NodeSpec", "raeds"), ("Usage", "priced_uds"), ("LimitsRecord", "unknown_costs"))
    for record, key in misspelt:
        assert f'TypedDict "{record}" has no key "{key}"' in ended.stdout
    # `get` returns an object for a key that a record does not have.
    for part in ("engine/ready", "records/spending", "state/amounts"):
        assert re.search(rf"{part}\.py:\d+: error: .*object", ended.stdout), ended.stdout
