"""The simulator on every commit: programs in the pure engine, a Runner, stores and processes, and the kept pages."""

import ast
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from tests.kit import forks
from tests.sim import program as p
from tests.sim.commands import Command, Create
from tests.sim.faults import FAULTS
from tests.sim.hunt import Hunt, HuntAll, Medium, kept, play
from tests.sim.killed import Killed
from tests.sim.program import Event, Program, draw, read, shrunk, written
from tests.sim.runner import Running
from tests.sim.world import Loss

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PACKAGE = ROOT / "graphengine"


def hunted(hunt: Hunt | HuntAll, programs: int) -> None:
    """Play so many programs."""
    while hunt.played < programs:
        found = hunt.next()
        assert not found.page, found.page


@pytest.mark.parametrize("seed", [1, 2])
def test_the_engine_allows_what_the_model_allows(seed: int) -> None:
    """Each step of each run is one that the program allows, and what should be running is."""
    hunted(Hunt(seed, "engine"), 300)


def test_a_runner_does_what_the_model_allows() -> None:
    """So it is with real node functions, in processes that die at writes, and nothing acts beyond its promise.

    A store in memory answers to any commands as it should, too.
    """
    hunted(Hunt(1, "runner"), 160)


def test_nothing_is_kept_of_runs_that_are_over() -> None:
    """A process that lives long does not grow with what it has driven, however that ended."""
    found = forks.run("tests.sim.left", "60", "over", folder=ROOT)  # here pytest keeps what a node saw
    assert (found.stdout, found.stderr) == ("{}\n", "")


def test_a_given_seed() -> None:
    """What is searched for longer, in all media but killed processes: `make soak` gives each turn a seed of its own."""
    seed, programs = os.environ.get("SEED", "3"), int(os.environ.get("PROGRAMS", "100"))
    print(f"python -m tests.sim --medium all --seed {seed}: {programs} programs played")  # noqa: T201 - it is counted
    hunted(HuntAll(seed), programs)


def test_a_runner_on_a_file_does_what_the_model_allows() -> None:
    """So it is in a SQLite file, where a process can also stall, and go on when another one has its run.

    Stores on a file answer to any commands of several owners as they should, too.
    """
    hunted(Hunt(1, "sqlite"), 90)


NODES = (
    p.Node("n0", ("total", "log"), does=(p.Call(), p.Ask()), fails=1, attempts=2),
    p.Node("n1", ("items",), each="items", concurrency=1),
    p.Node("n2", ("log",), does=(p.Call("once"),)),
)
EDGES = (p.Edge(p.START, "n0"), p.Edge("n0", "n1"), p.Edge("n1", "n2"), p.Edge("n2", p.END))
SMALL = Program(p.Graph(NODES, EDGES), begins=(("items", [1, 2]),))
"""A program with a call, an effect, a question, a map and a failure."""


@pytest.mark.parametrize("loss", ["before", "after", "stall"])
def test_a_process_can_be_lost_at_each_commit(loss: Loss) -> None:
    """The run ends as if nothing had happened, wherever that is."""
    undisturbed = Running(SMALL, on_disk=True)
    undisturbed.play()
    for at in range(1, undisturbed.world.writes + 1):
        running = Running(SMALL, on_disk=True, losses={at: loss})
        assert (running.play().status, running.world.lost) == ("finished", 1), f"{loss} {at}"


@pytest.mark.parametrize("order", [1, 2, 3])
def test_real_processes_are_killed(order: int) -> None:
    """Each of four processes is killed at another point, and a fifth one ends the run."""
    kills = tuple(Event(at, "crash") for at in (2, 4 + order, 10, 15))
    killed = Killed(replace(SMALL, events=kills, order=order))
    assert (killed.play().status, killed.world.lost) == ("finished", 4)


@pytest.mark.parametrize(("program", "medium"), [pytest.param(*rest, id=stem) for stem, *rest in kept()])
def test_a_kept_page(program: Program, medium: Medium) -> None:
    """Each page says in its first line what was wrong, and has the smallest program that showed it."""
    play(program, medium)


@pytest.mark.parametrize("name", FAULTS)
def test_a_known_fault_can_be_put_in(name: str) -> None:
    """What undoes a repair is in today's code at one place, and leaves code that can be read."""
    for file, has, had in FAULTS[name].edits:
        text = (PACKAGE / file).read_text(encoding="utf-8")
        assert text.count(has) == 1, f"{file} has no longer, or more than once: {has}"
        ast.parse(text.replace(has, had))


def test_the_model_knows_nothing_of_the_engine() -> None:
    """Neither the models nor the programs import it, or any other second opinion."""
    for name in ("model.py", "program.py", "commands.py", "rows.py"):
        tree = ast.parse((HERE / name).read_text(encoding="utf-8"))
        froms = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        imports = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        ours = {name for name in froms | imports if name.split(".")[0] not in sys.stdlib_module_names}
        assert ours <= {"tests.sim", "tests.sim.commands", "tests.sim.model"}


def test_a_page_reads_back() -> None:
    """What is written is read as the same program."""
    for number in range(40):
        for in_runner, commanded, wide in ((False, 0.0, 0.0), (True, 0.0, 0.0), (True, 1.0, 0.0), (True, 0.0, 1.0)):
            more = 0.3 * in_runner
            program = draw("pages", number, in_runner=in_runner, commanded=commanded, wide=wide, more=more)
            assert read(written(program)) == program


def test_every_shape_is_drawn() -> None:
    """Programs of a Runner have every kind of operation, event and change."""
    programs = [
        draw("shapes", number, in_runner=True, again=0.1, more=0.2, transacts=True) for number in range(0, 600, 3)
    ]
    nodes = [node for program in programs for node in program.graph.nodes]
    assert {type(op) for node in nodes for op in node.does} == {*get_args(p.Op)}
    assert any("effect='transaction'" in written(program) for program in programs)
    events = [event for program in programs for event in program.events]
    whats = {"crash", "stop", "cancel", "deploy", "prune", "again", "branch", "full"}
    assert {event.what for event in events} == whats
    assert {change for event in events for change in event.changes} == {*p.CHANGES}
    assert any(program.budget and program.quarters for program in programs)
    assert any(program.graph.talks for program in programs)
    assert {op.how for node in nodes for op in node.does if isinstance(op, p.Talk)} == {"", "bad", "refused", "busy"}
    wide = [draw("shapes", number, in_runner=True, wide=1.0) for number in range(0, 600, 3)]
    assert {program.workers for program in wide} == {0, 1, 2}
    peers = [peer for program in wide for peer in program.peers]
    assert {(peer.after, peer.queued) for peer in peers} >= {("", False), ("run", True), ("peer0", False)}
    ops = [op for program in wide for node in program.graph.nodes for op in node.does]
    assert {op.to for op in ops if isinstance(op, p.Call)} == {"", "run", "peer0", "peer1"}
    assert any(op.queued for op in ops if isinstance(op, p.Start))
    assert any(event.what == "message" for program in wide for event in program.events)
    commanded = [draw("shapes", number, in_runner=True, commanded=1.0) for number in range(100)]
    assert {type(command) for program in commanded for command in program.commands} == {*get_args(Command)}


def test_what_fails_gets_small() -> None:
    """A program that fails because of one node becomes one with nothing else."""

    def fails(program: Program) -> bool:
        return any(node.fallback == "value" for node in program.graph.nodes)

    program = next(found for number in range(0, 600, 6) if fails(found := draw("small", number)))
    assert len(shrunk(program, fails).graph.nodes) == 1
    commanded = draw("small", 0, in_runner=True, commanded=1.0)
    smaller = shrunk(commanded, lambda program: any(isinstance(each, Create) for each in program.commands))
    assert smaller.commands == (Create(run=smaller.commands[0].run),)  # type: ignore[union-attr]
