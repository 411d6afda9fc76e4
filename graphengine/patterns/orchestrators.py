"""Orchestrator and workers: a plan of steps with dependencies, done in waves, and one answer made from all results.

Source: the pattern of this name in Anthropic, "Building effective agents" (2024). Validation of the plan and
dependencies between steps are additions.
"""

from collections.abc import Callable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Annotated

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.kernel.extension import END, FAIL, START, Failure, Runnable, iterations, value
from graphengine.patterns.outcomes import Outcome, outcome, surviving
from graphengine.patterns.parts import called, check_names, checked, part, validating
from graphengine.reducers import merge


class Step(BaseModel):
    """A step of a plan.

    Attributes:
        id: The name by which other steps refer to it.
        role: The worker that does it.
        input: The work to do.
        needs: The steps whose results it needs; each comes before it in the plan.
    """

    id: str
    role: str
    input: str
    needs: list[str] = []


class Job(BaseModel):
    """The state of a graph that plans steps and lets workers do them.

    Attributes:
        task: The task.
        plan: The steps.
        batch: The steps that can be done now.
        results: The outcome of each step that was done or skipped, by its id.
        output: The answer.
    """

    task: str
    plan: list[Step] = []
    batch: list[Step] = []
    results: Annotated[dict[str, Outcome], merge] = {}
    output: str = ""


S = TypeVar("S", bound=Job, default=Job)
_OWN = Job.model_fields.keys() - {"task"}


def orchestrator_workers(  # noqa: PLR0913 - the runnables and their bounds
    planner: Runnable,
    workers: Mapping[str, Runnable],
    synthesiser: Runnable,
    *,
    most_steps: int = 20,
    concurrency: int = 8,
    may_fail: bool = False,
    state: type[S] = Job,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """Make a graph that plans steps, lets workers do them in waves, and then writes an answer from their results.

    Args:
        planner: Returns a list of `Step`. It reads `task` and `workers` (their names). If the plan is invalid (see
            `problems_of`), an agent gets the problems and plans again; a function or graph fails the run.
        workers: The workers that do the steps, by role. A worker reads the input of its step as `task`. It reads the
            results of the steps that it needs as `needed`, which contains texts by the ids of these steps. A failing
            step does not stop the others; the steps that need it are skipped.
        synthesiser: Reads `task`, `plan` and `results`, including failures, and returns the answer. If no step
            succeeds, the synthesiser is not called, and the run fails with the label `every step failed`.
        most_steps: The maximum length of a plan.
        concurrency: How many steps of one role are done at a time.
        may_fail: Whether to call the synthesiser even if no step succeeds; then the caller sees why each failed.
        state: `Job`, or a subclass with more fields for the agents to read.

    Raises:
        DefinitionError: There is no worker, or a worker has the name of a node of the pattern.

    Example:
        >>> plan = lambda task: [Step(id="a", role="add", input="2"), Step(id="b", role="add", input="3", needs=["a"])]
        >>> add = lambda task, needed: int(task) + sum(int(text) for text in needed.values())
        >>> graph = orchestrator_workers(plan, {"add": add}, lambda results: results["b"].text)
        >>> graph.run_sync({"task": "2 + 3"}).output
        '5'
    """
    check_names("orchestrator_workers(workers", workers, {"make_plan", "schedule", "synthesise"})

    def sound(plan: list[Step]) -> None:
        problems = problems_of(plan, list(workers), most_steps)
        if problems:
            raise ValueError("; ".join(problems))

    graph = Graph("orchestrator_workers", state, result="output")
    asked = part(checked(planner, sound), state, _OWN, {"workers": lambda: list(workers)})
    graph.add_node("make_plan", asked, writes={"plan": validating(list[Step], sound)})
    graph.add_node("schedule", schedule, writes=("batch", "results"), thread=False)
    for role, worker in workers.items():
        doer = surviving(part(worker, state, _OWN, {"task": "step.input", "needed": _needed}))
        writes = {"results[{step.id}]": outcome}
        graph.add_node(role, doer, each={"step": _take_due_steps(role)}, concurrency=concurrency, writes=writes)
        graph.add_edge(role, "schedule")
    graph.add_node("synthesise", part(synthesiser, state, _OWN), writes="output")
    graph.add_path(START, "make_plan", "schedule")
    over = value("batch").length() == 0
    if not may_fail:
        graph.add_edge("schedule", FAIL, when=over & (value(successes) == 0), label="every step failed")
    graph.add_edge("schedule", "synthesise", when=over, label="all done")
    graph.add_edge("schedule", "synthesise", when=iterations("schedule") > most_steps, label="out of waves")
    due = [(role, value(_take_due_steps(role)).length() > 0) for role in workers]
    graph.add_fork("schedule", due, join="schedule")
    graph.add_edge("synthesise", END)
    return graph


def problems_of(plan: Sequence[Step], workers: Sequence[str], most_steps: int) -> list[str]:
    """List what is wrong with a plan, in sentences for its author; an empty list if the plan is valid.

    Args:
        plan: The steps, in order.
        workers: The roles of the workers.
        most_steps: The maximum length of the plan.

    >>> problems_of([Step(id="a", role="cook", input="", needs=["b"])], ["clerk"], 9)
    ["a: there is no worker 'cook', only clerk", "a: needs 'b', which is not a step"]
    """
    ids = [step.id for step in plan]
    problems = [] if plan else ["the plan has no steps"]
    if len(plan) > most_steps:
        problems.append(f"the plan has {len(plan)} steps, more than {most_steps}")
    problems += [f"{name!r} is the id of several steps" for name in dict.fromkeys(ids) if ids.count(name) > 1]
    for number, step in enumerate(plan):
        if step.role not in workers:
            problems.append(f"{step.id}: there is no worker {step.role!r}, only {', '.join(workers)}")
        for need in step.needs:
            if need not in ids:
                problems.append(f"{step.id}: needs {need!r}, which is not a step")
            elif need not in ids[:number]:
                problems.append(f"{step.id}: needs {need!r}, which does not come before it")
    try:
        TopologicalSorter({step.id: step.needs for step in plan}).prepare()
    except CycleError as error:
        problems.append(f"circular needs: {' → '.join(reversed(error.args[1]))}")
    return problems


def schedule(plan: list[Step], results: dict[str, Outcome]) -> dict[str, object]:
    """Choose the steps of a plan for the next wave: all steps for which the results of the needed steps are known.

    Returns these steps as `batch`. Steps that need a failed step are returned as `results` with the failure `skipped`.
    """
    outcomes, skipped, batch = dict(results), dict[str, Outcome](), list[Step]()
    for step in plan:
        if step.id in outcomes:
            continue
        lost = [need for need in step.needs if need in outcomes and outcomes[need].failure is not None]
        if lost:
            message = f"the step needs {', '.join(map(repr, lost))}, which failed"
            outcomes[step.id] = skipped[step.id] = Outcome(
                failure=Failure(path=step.id, kind="skipped", message=message)
            )
        elif all(need in outcomes for need in step.needs):
            batch.append(step)
    return {"batch": batch, "results": skipped}


def successes(results: dict[str, Outcome]) -> int:
    return sum(each.failure is None for each in results.values())


def _take_due_steps(role: str) -> Callable[..., list[Step]]:
    def due(batch: list[Step]) -> list[Step]:
        return [step for step in batch if step.role == role]

    return called(f"steps of {role}", due)


def _needed(step: Step, results: dict[str, Outcome]) -> dict[str, str]:
    return {need: results[need].text for need in step.needs}
