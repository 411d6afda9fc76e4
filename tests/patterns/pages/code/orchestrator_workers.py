from graphengine.patterns import Job, Step, orchestrator_workers
from tests.patterns.scripted import named

PLANNER = named("planner", "{task} {workers}", list[Step])
FINISH = named("end", "{plan} {results}")


class Toned(Job):
    tone: str = "plain"


def step(name, *needs, role="do"):
    return Step(id=name, role=role, input=name, needs=list(needs))


def fragile(task, needed):
    if task == "bad":
        raise ValueError("cannot do bad")
    return f"{task}({','.join(needed.values())})"


JOB = orchestrator_workers(PLANNER, {"do": fragile}, FINISH)
STRICT = orchestrator_workers(PLANNER, {"do": fragile, "write": fragile}, FINISH, most_steps=5)
OK = [step("ok")]
LOWER = PLANNER.but(name="sub", prompt="{task} {results}")
SUB = orchestrator_workers(LOWER, {"do": named("do", "{tone} {task}")}, named("last", "{results}"), state=Toned)
