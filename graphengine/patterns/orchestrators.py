"""Orchestrator and workers: a plan of steps that need one another, done in waves, and one who makes a whole of them.

Source: the pattern of this name in Anthropic, "Building effective agents" (2024). That the plan is validated, and that
steps wait for those they need, is added here.
"""

from collections.abc import Callable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Annotated

from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypeVar

from graphengine.errors import DefinitionError
from graphengine.graph.conditions import iterations, value
from graphengine.graph.graph import END, FAIL, START, Graph, Runnable
from graphengine.patterns.outcomes import Outcome, outcome, surviving
from graphengine.patterns.parts import called, checked, part
from graphengine.reducers import merge
from graphengine.state.failure import Failure

_NODES = {"make_plan", "schedule", "synthesise"}


class Step(BaseModel):
    """A step of a plan.

    Attributes:
        id: What other steps call it.
        role: The worker who does it.
        input: What is to be done.
        needs: The steps whose results it needs; each stands before it in the plan.
    """

    id: str
    role: str
    input: str
    needs: list[str] = []


class Job(BaseModel):
    """The state of an orchestrated job.

    Attributes:
        task: What was asked.
        plan: The steps.
        batch: Those that can be done now.
        results: What came of each step that was done, or could not be, by its id.
        output: What was made of them.
    """

    task: str
    plan: list[Step] = []
    batch: list[Step] = []
    results: Annotated[dict[str, Outcome], merge] = {}
    output: str = ""


S = TypeVar("S", bound=Job, default=Job)
_OWN = Job.model_fields.keys() - {"task"}


def orchestrator_workers(  # noqa: PLR0913 - who plans, works and concludes, and within what bounds
    planner: Runnable,
    workers: Mapping[str, Runnable],
    synthesiser: Runnable,
    *,
    most_steps: int = 20,
    concurrency: int = 8,
    may_fail: bool = False,
    state: type[S] = Job,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """A graph that plans, does what can be done side by side until all is done, and makes a whole of it.

    Args:
        planner: Gives a list of `Step`. It reads `task` and `workers` (their names). A plan that makes no sense (see
            `problems_of`) goes back to an agent with what is wrong; that of a function or graph fails the run.
        workers: Who does the steps, by role. Each reads its step's input as `task`, and as `needed` the texts of the
            steps that it needs, by id. A step that fails leaves the others; those that need it are not done.
        synthesiser: Reads `task`, `plan` and `results`, failures among them, and gives the answer. Where no step
            succeeded it is not asked, and the run fails as `every step failed`.
        most_steps: How long a plan may be.
        concurrency: How many steps of one role are done at a time.
        may_fail: Whether the synthesiser is asked where no step succeeded, too; then the caller sees why each failed.
        state: `Job`, or a subclass with fields that the agents read besides.

    Raises:
        DefinitionError: There is no worker, or one has the name of a node of the pattern.

    Example:
        >>> plan = lambda task: [Step(id="a", role="add", input="2"), Step(id="b", role="add", input="3", needs=["a"])]
        >>> add = lambda task, needed: int(task) + sum(int(text) for text in needed.values())
        >>> graph = orchestrator_workers(plan, {"add": add}, lambda results: results["b"].text)
        >>> graph.run_sync({"task": "2 + 3"}).output
        '5'
    """
    if not workers or _NODES & workers.keys():
        told = f"orchestrator_workers(workers={sorted(workers)})"
        raise DefinitionError(told, repair=f"name one at least, and none of them {', '.join(sorted(_NODES))}")

    def sound(plan: list[Step]) -> None:
        problems = problems_of(plan, list(workers), most_steps)
        if problems:
            raise ValueError("; ".join(problems))

    def planned(result: object) -> list[Step]:
        plan = TypeAdapter(list[Step]).validate_python(result)
        sound(plan)
        return plan

    graph = Graph("orchestrator_workers", state, result="output")
    asked = part(checked(planner, sound), state, _OWN, {"workers": lambda: list(workers)})
    graph.add_node("make_plan", asked, writes={"plan": planned})
    graph.add_node("schedule", schedule, writes=("batch", "results"), thread=False)
    for role, worker in workers.items():
        doer = surviving(part(worker, state, _OWN, {"task": "step.input", "needed": _needed}))
        writes = {"results[{step.id}]": outcome}
        graph.add_node(role, doer, each={"step": _steps_of(role)}, concurrency=concurrency, writes=writes)
        graph.add_edge(role, "schedule")
    graph.add_node("synthesise", part(synthesiser, state, _OWN), writes="output")
    graph.add_path(START, "make_plan", "schedule")
    over = value("batch").length() == 0
    if not may_fail:
        graph.add_edge("schedule", FAIL, when=over & (value(successes) == 0), label="every step failed")
    graph.add_edge("schedule", "synthesise", when=over, label="all done")
    graph.add_edge("schedule", "synthesise", when=iterations("schedule") > most_steps, label="out of waves")
    due = [(role, value(_steps_of(role)).length() > 0) for role in workers]
    graph.add_fork("schedule", due, join="schedule")
    graph.add_edge("synthesise", END)
    return graph


def problems_of(plan: Sequence[Step], workers: Sequence[str], most_steps: int) -> list[str]:
    """What is wrong with a plan, in sentences that whoever made it can act on; nothing where it is sound.

    Args:
        plan: The steps, in order.
        workers: The roles that there are.
        most_steps: How long it may be.

    >>> problems_of([Step(id="a", role="cook", input="", needs=["b"])], ["clerk"], 9)
    ["a: there is no worker 'cook', only clerk", "a: needs 'b', which is no step"]
    """
    ids = [step.id for step in plan]
    problems = [] if plan else ["the plan has no steps"]
    if len(plan) > most_steps:
        problems.append(f"the plan has {len(plan)} steps, and {most_steps} is the most")
    problems += [f"{name!r} is the id of several steps" for name in dict.fromkeys(ids) if ids.count(name) > 1]
    for number, step in enumerate(plan):
        if step.role not in workers:
            problems.append(f"{step.id}: there is no worker {step.role!r}, only {', '.join(workers)}")
        for need in step.needs:
            if need not in ids:
                problems.append(f"{step.id}: needs {need!r}, which is no step")
            elif need not in ids[:number]:
                problems.append(f"{step.id}: needs {need!r}, which does not stand before it")
    try:
        TopologicalSorter({step.id: step.needs for step in plan}).prepare()
    except CycleError as error:
        problems.append(f"these need one another: {' → '.join(reversed(error.args[1]))}")
    return problems


def schedule(plan: list[Step], results: dict[str, Outcome]) -> dict[str, object]:
    """What can be done now, and what never can, since a step that it needs failed."""
    known, skipped, batch = dict(results), dict[str, Outcome](), list[Step]()
    for step in plan:
        if step.id in known:
            continue
        lost = [need for need in step.needs if need in known and known[need].failure is not None]
        if lost:
            told = f"it needs {', '.join(lost)}, which failed"
            known[step.id] = skipped[step.id] = Outcome(failure=Failure(path=step.id, kind="skipped", message=told))
        elif all(need in known for need in step.needs):
            batch.append(step)
    return {"batch": batch, "results": skipped}


def successes(results: dict[str, Outcome]) -> int:
    """How many steps succeeded."""
    return sum(each.failure is None for each in results.values())


def _steps_of(role: str) -> Callable[..., list[Step]]:
    def due(batch: list[Step]) -> list[Step]:
        return [step for step in batch if step.role == role]

    return called(f"steps of {role}", due)


def _needed(step: Step, results: dict[str, Outcome]) -> dict[str, str]:
    return {need: results[need].text for need in step.needs}
