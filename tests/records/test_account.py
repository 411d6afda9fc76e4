"""The account of a step: what it says of recorded runs adds up to what the fold knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from graphengine.engine.fold import fold
from graphengine.engine.frame_tree import add_usage
from graphengine.engine.steps import Branched, usage_of
from graphengine.records.account import TROUBLES, account_of
from graphengine.records.export import read_file
from graphengine.records.visits import Visits
from graphengine.state.amounts import LOSSES, losses_of
from tests.kit.record import FOLDER, RECORDED
from tests.kit.scenario import pages
from tests.records.test_visit_trees import run_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.graph_spec import GraphSpec
    from graphengine.engine.steps import Step
    from graphengine.state.amounts import Usage

FILES = sorted([*RECORDED.glob("*.json"), *FOLDER.glob("gallery/*.json"), *FOLDER.glob("kept_*/runs/*.json")])
BLANKS = "\n\r\t"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER).with_suffix("")))
def test_accounts_of_recorded_runs_add_up(file: Path) -> None:
    """What was lost and spent with each step is what the run lost and spent."""
    run = read_file(file)
    adds_up(run.steps, run.graph_specs)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_accounts_of_all_scenarios_add_up(page: Path) -> None:
    """The scenarios have each kind of step, and each rule."""
    session = run_of(page)
    adds_up(session.log, session.specs)


def adds_up(steps: Sequence[Step], specs: Mapping[str, GraphSpec]) -> None:
    """Compare the accounts of a run with its fold and with its steps."""
    visits, losses = Visits.of(steps, specs=specs), dict.fromkeys(LOSSES, 0)
    spent: Usage = {}
    for entry in visits.entries:
        account, step = account_of(entry), entry.step
        for name, count in account.losses.items():
            losses[name] += count
        spent = add_usage(spent, account.usage) if account.usage else spent
        assert (account.kind, account.path, account.visit) == (step.kind, step.path, step.visit)
        assert account.usage == usage_of(step)
        assert bool(account.error) == (step.data.error is not None and step.data.error.kind != "fail")
        assert account.error == "" or account.is_trouble
        assert account.is_trouble == (account.tone in TROUBLES)
        texts = [account.text, account.said, account.changes, account.error, account.why, account.sent_back]
        for line in (*texts, *account.lines, *account.shifts):
            assert not any(blank in line for blank in BLANKS), line
    if not any(isinstance(step.data, Branched) for step in steps):  # a branch has the losses of its parent besides
        found = fold(steps)
        assert {name: count for name, count in losses.items() if count} == losses_of(found.usage, found.losses)
        assert spent == found.usage


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER).with_suffix("")))
def test_a_shorter_account_says_the_same(file: Path) -> None:
    """How long texts may be changes only how much of them is shown."""
    run = read_file(file)
    for entry in Visits.of(run.steps, specs=run.graph_specs).entries:
        short, long = account_of(entry, limit=110, why_limit=110), account_of(entry, limit=100_000, why_limit=100_000)
        assert [short.tone, short.agent, short.model, short.by, short.child, short.targets, short.edge] == [
            *[long.tone, long.agent, long.model, long.by, long.child, long.targets, long.edge]
        ]
        for one, other in ((short.said, long.said), (short.why, long.why), (short.error, long.error)):
            assert len(one) <= 150
            assert other.startswith(one.split("…")[0].rstrip())
