"""The search budget of the state machines in this folder: that of `make test`, unless the environment sets more.

EXAMPLES=5000 COMMANDS=80 pytest tests/stateful --hypothesis-seed=7

Without a seed, the cases are the same each time. `make soak` sets all three, and prints the seed of every turn. It also
sets SHRINK=0, since shrinking a failing example takes minutes, in which nothing else is searched.
"""

from __future__ import annotations

import gc
import os
import sys

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

EXAMPLES = int(os.environ.get("EXAMPLES", "0"))
COMMANDS = int(os.environ.get("COMMANDS", "40"))
SHRINKS = os.environ.get("SHRINK", "1") != "0"


def search(machine: type[RuleBasedStateMachine], examples: int, commands: int = COMMANDS) -> None:
    """Run this many examples of a machine, or more if the environment says so, and print how many ran.

    Args:
        machine: The machine.
        examples: How many examples to run by default.
        commands: The maximum length of an example.
    """
    wanted = EXAMPLES or examples
    limits = settings(
        max_examples=wanted,
        stateful_step_count=commands,
        phases=[phase for phase in Phase if SHRINKS or phase not in (Phase.shrink, Phase.explain)],
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    gc.collect()  # else coroutines of killed runs are closed while the machine's source is parsed, which 3.11 refuses
    run_state_machine_as_test(machine, settings=limits)
    sys.stdout.write(f"{wanted} examples of {machine.__name__}\n")
