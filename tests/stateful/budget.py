"""How long the machines of this folder search: as `make test` does it, unless the environment asks for more.

EXAMPLES=5000 COMMANDS=80 pytest tests/stateful --hypothesis-seed=7

`make soak` sets both, and prints the seed of every turn, so that a failure can be had again. It also sets SHRINK=0: to
make a failing example small takes minutes, in which nothing else is searched.
"""

from __future__ import annotations

import os
import sys

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

EXAMPLES = int(os.environ.get("EXAMPLES", "0"))
COMMANDS = int(os.environ.get("COMMANDS", "40"))
SHRINKS = os.environ.get("SHRINK", "1") != "0"


def search(machine: type[RuleBasedStateMachine], examples: int, commands: int = COMMANDS) -> None:
    """Let a machine run so many examples, more if the environment says so, and tell how many it ran.

    Args:
        machine: The machine.
        examples: How many where the environment asks for none.
        commands: How long an example is at most.
    """
    wanted = EXAMPLES or examples
    limits = settings(
        max_examples=wanted,
        stateful_step_count=commands,
        deadline=None,
        phases=[phase for phase in Phase if SHRINKS or phase not in (Phase.shrink, Phase.explain)],
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=limits)
    sys.stdout.write(f"{wanted} examples of {machine.__name__}\n")
