"""`graphengine show RUN_ID --as-test NODE`: a pytest file made from a node's recorded step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graphengine.errors import GraphEngineError, UnknownStep
from graphengine.state.path import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.cli.places import Place
    from graphengine.cli.project import Found
    from graphengine.cli.session import Session
    from graphengine.engine.steps import Step


class NotImportable(GraphEngineError):
    """A graph is in a file that no test can import."""

    code = "not_importable"


class TestUnwritable(GraphEngineError):
    """The file for a test exists already, or cannot be written."""

    __test__ = False  # pytest collects every class with such a name
    code = "test_unwritable"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to make a test of, and where to write it.

    Attributes:
        node: The node's path, for its last visit unless a step is given; "" for the node of that step.
        seq: The step.
        reference: Where the graph is, as given to `--graph`.
        output: The file; None for stdout.
    """

    node: str
    seq: int | None
    reference: str | None
    output: str | None


def show_test(session: Session, place: Place, run_id: str, wanted: Wanted) -> None:
    """Print a test of a recorded step, or write it to a file.

    Args:
        session: The call.
        place: Where the run is recorded.
        run_id: The run.
        wanted: What to make the test of, and where to write it.

    Raises:
        UnknownStep: The node has no step in the run, or not that one. NoTest: No test can be made of the step.
        NotImportable: A test could not import the graph. TestUnwritable: The file cannot be written.
    """
    from graphengine.cli.project import graph_of
    from graphengine.cli.recorded import read, read_run
    from graphengine.cli.terminal import clean
    from graphengine.history.json_document import SCHEMA
    from graphengine.testing import make_test

    recorded = read_run(place, run_id)
    step = _step(recorded.steps, run_id, wanted.node, wanted.seq)
    found = graph_of(recorded.info.graph, wanted.reference)
    source = source_of(found)
    text = read(place, lambda store: make_test(store, run_id, step.seq, found.graph, source=source))
    file = wanted.output
    if file is not None:
        _write(Path(file), text)
        session.err.line(f"a test of step {step.seq} ({step.path}) is in {file}; run it: ", (f"pytest {file}", "bold"))
    if session.json:
        facts = {"run_id": run_id, "seq": step.seq, "node": step.path, "file": file, "test": text}
        session.document({"schema": SCHEMA, **facts})
    elif file is None:
        session.out.write(clean(text))


def _write(file: Path, text: str) -> None:
    """Write a new file; never overwrite one, since it may have been edited by hand.

    Raises:
        TestUnwritable: The file exists, or cannot be written.
    """
    try:
        with file.open("x", encoding="utf-8", newline="\n") as made:
            made.write(text)
    except FileExistsError as error:
        message = f"the file {file} exists already"
        raise TestUnwritable(message, where=str(file), repair="name another file, or remove this one") from error
    except OSError as error:
        message = f"{file} cannot be written: {error.strerror or error}"
        raise TestUnwritable(message, where=str(file), repair="name a file in a folder that exists") from error


def _step(steps: Sequence[Step], run_id: str, node: str, seq: int | None) -> Step:
    """Return the step to make a test of.

    Raises:
        UnknownStep: There is no such step.
    """
    where = f"run {run_id}"
    if seq is not None:
        step = next((step for step in steps if step.seq == seq), None)
        if step is None:
            raise UnknownStep(
                f"run {run_id} has no step {seq}", where=where, repair=f"its steps are 1 to {steps[-1].seq}"
            )
        if node and node != step.path:
            repair = f"leave --step out, or name the node of that step: --as-test {step.path}" if step.path else ""
            raise UnknownStep(f"step {seq} is of {step.path or 'the run'}, not of {node}", where=where, repair=repair)
        return step
    done = [step for step in steps if step.kind in ("node", "item", "failed", "attempt") and step.path == node]
    if not done:
        known = dict.fromkeys(step.path for step in steps if step.kind in ("node", "item"))
        raise UnknownStep(f"run {run_id} has no step of a node {node!r}", where=where, repair=did_you_mean(node, known))
    return done[-1]


def source_of(found: Found) -> str:
    """Return where a test imports a graph from, as `graphs.review_loop:graph`.

    Raises:
        NotImportable: Its file has a name that cannot be imported, or no variable of the file holds it.
    """
    from graphengine.cli.folders import project_of
    from graphengine.cli.project import graphs_of

    file = found.file.resolve()
    root = project_of(file.parent) or file.parent
    parts = file.relative_to(root).with_suffix("").parts
    name = next((name for name, graph in graphs_of(found.module) if graph is found.graph), "")
    if not name or not all(part.isidentifier() for part in parts):
        message = f"a test cannot import the graph from {found.file}"
        repair = "give the file a name that Python can import, and the graph a variable of its own"
        raise NotImportable(message, where=str(found.file), repair=repair)
    return f"{'.'.join(parts)}:{name}"
