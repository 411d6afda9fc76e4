"""The table of the machine, as a type checker sees it."""

import re
from pathlib import Path

from tests.kit.type_checks import run_mypy

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "graphengine" / "engine"


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
        ("../graph/options.py", 'limits["unknown_cost"]', 'limits["unknown_costs"]'),
        ("../records/spending.py", 'by.get("agent", "")', 'by.get("agnet", "")'),
        ("../state/amounts.py", 'usage.get("cost_usd", 0.0)', 'usage.get("cost_usds", 0.0)'),
        ("phases.py", "Phase: TypeAlias = Ready", f"{new_phase}Phase: TypeAlias = Asleep | Ready"),
        ("events.py", "Event: TypeAlias = FrameEvent", f"{new_event}Event: TypeAlias = Nudged | FrameEvent"),
        ("rules/visit.py", "more.unawaited", "more.unawated"),
        ("redaction.py", "_hide_in_tests(facts.tests, secrets)", "_hide_in_tests(facts.tets, secrets)"),
    ]
    shadows: list[str] = []
    for number, (name, old, text) in enumerate(patches):
        file = (ENGINE / name).resolve()
        source = file.read_text(encoding="utf-8")
        assert source.count(old) == 1, name
        shadow = tmp_path / f"{number}.py"
        shadow.write_text(source.replace(old, text), encoding="utf-8")
        shadows += ["--shadow-file", str(file.relative_to(ROOT)), str(shadow)]
    parts = ("engine", "history", "records/replay", "records/spending.py", "graph", "state")
    folders = [f"graphengine/{part}" for part in parts]
    ended = run_mypy(ROOT, tmp_path / "mypy", *shadows, *folders)
    unhandled = re.findall(r'(\S+)\.py:\d+: error: .*incompatible type "(\w+)"; expected "Never"', ended.stdout)
    assert {*unhandled} == {
        ("graphengine/engine/fold", "Paused"),
        ("graphengine/history/event_of_step", "Paused"),
        ("graphengine/engine/stored", "Asleep"),
        ("graphengine/engine/machine", "Nudged"),
    }, ended.stdout
    for record, name in (("Joined", "canceled"), ("Node", "unawated"), ("Outcome", "tets")):
        assert f'"{record}" has no attribute "{name}"' in ended.stdout, ended.stdout
    misspelt = (("NodeSpec", "raeds"), ("Usage", "priced_uds"), ("LimitsRecord", "unknown_costs"))
    for record, key in misspelt:
        assert f'TypedDict "{record}" has no key "{key}"' in ended.stdout
    # `get` returns an object for a key that a record does not have.
    for part in ("engine/ready", "records/spending", "state/amounts"):
        assert re.search(rf"{part}\.py:\d+: error: .*object", ended.stdout), ended.stdout
