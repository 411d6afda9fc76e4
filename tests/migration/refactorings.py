"""The refactorings of the table in `docs/use/nothing-acts-twice.md`, each of which a test makes under a waiting run.

A program does one piece of recorded work (a call that is an effect, a plain call, a child run, or a conversation of an
agent whose tool is an effect), asks a person, and then begins another effect. While the run waits for the person, a
deployment refactors the program.

    python -m tests.migration.refactorings --runs 1000

prints, for each row and column of the table, how many questions a deployment over so many waiting runs asks.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from graphengine import RunFailed, Runner
from graphengine.errors import GraphChanged
from tests.migration.edits import World, loaded

PAGE: Final = Path(__file__).parents[2] / "docs" / "use" / "nothing-acts-twice.md"
COLUMNS: Final = ("an effect", "a plain call", "a child run", "a conversation")
WORK: Final = {
    "an effect": 'await ctx.call(pay, order, 5, effect="once")',
    "a plain call": "await ctx.call(pay, order, 5)",
    "a child run": '(await (await ctx.start(parcels, {"order": order})).result()).state.done',
    "a conversation": "await clerk.run(what=order)",
}
PROGRAM: Final = '''\
from pydantic import BaseModel
from graphengine import END, START, Agent, Context, Graph, Migration, ScriptedModel, tool


AMOUNT = 5


class Order(BaseModel):
    ref: str = ""
    total: int = 5


class State(BaseModel):
    order: Order = Order(ref="r01")
    out: str = ""


class Parcel(BaseModel):
    order: Order = Order()
    done: str = ""


async def pay(what: Order, amount: int = 5) -> str:
    return await world.act("pay", what, amount)


async def mail(text: str) -> str:
    return "sent"


async def deliver(order: Order, ctx: Context) -> str:
    return await ctx.call(pay, order, effect="once")  # the same call as in the node


parcels = Graph("parcels", Parcel)
parcels.add_node("deliver", deliver, writes="done")
parcels.add_path(START, "deliver", END)


@tool(effect="once")
async def pay_out(what: Order) -> str:
    """Pay."""
    return await world.act("pay", what, 5)


def brain(request):
    return world.answer("t01", [[("pay_out", {"what": {"ref": "r01"}})]], request)


clerk = Agent("clerk", model=ScriptedModel(brain), prompt="Pay {what}", tools=[pay_out])


async def work(order: Order, ctx: Context) -> str:
    out = WORK
    await ctx.ask("Go on?")
    await ctx.call(mail, "paid", effect="once")
    return out


graph = Graph("program", State)
graph.add_node("work", work, writes="out")
graph.add_path(START, "work", END)
'''
NO_CELL: Final = "-"
CONSTANT: Final = "a constant of the module changed"
Changes = Sequence[tuple[str, str]]
CALLS: Final = COLUMNS[:2]
HELPERS: Final = {
    "a helper function": """\
async def helper(order, ctx):
    return WORK


async def work""",
    "another `ctx.call`": """\
async def helper(order, ctx):
    async def inner() -> str:
        return WORK

    return await ctx.call(inner)


async def work""",
    "a tool": """\
@tool
async def do_it(ctx: Context) -> str:
    "Do it."
    order = Order(ref="r01")
    return WORK


def helped(request):
    return world.answer("t02", [[("do_it", {})]], request)


agent = Agent("helped", model=ScriptedModel(helped), prompt="Do {what}", tools=[do_it])


async def helper(order, ctx):
    return await agent.run(what="it")


async def work""",
    "a child run": """\
async def helper(order, ctx):
    return (await (await ctx.start(parcels, {"order": order})).result()).state.done


async def work""",
}
"""The code that contains a call that has moved, and the beginning of the node's function."""
INNER: Final = """\
inner = Graph("inner", State, result="out")
inner.add_node("within", work, writes="out")
inner.add_path(START, "within", END)

graph = Graph("program\""""


def of_calls(old: str, new: str, *more: tuple[str, str]) -> dict[str, Changes]:
    """Return a change of both kinds of calls."""
    return {column: [(old, new), *more] for column in CALLS}


def of_all(*changes: tuple[str, str]) -> dict[str, Changes]:
    """Return a change of the rest of the program, which is the same for all kinds of work."""
    return dict.fromkeys(COLUMNS, changes)


def moved_into(where: str, columns: Sequence[str] = CALLS) -> dict[str, Changes]:
    """Return a change that moves the work into a helper."""
    return {
        column: [(f"out = {WORK[column]}", "out = await helper(order, ctx)"), ("async def work", HELPERS[where])]
        for column in columns
    }


def migrated(how: str, columns: Sequence[str] = COLUMNS) -> dict[str, Changes]:
    """Return a change of the name of the node, with a migration."""
    options = f', version=2, migrate={{1: Migration({how}={{"work": "act"}})}}'
    changes = [
        ('graph = Graph("program", State', f'graph = Graph("program", State{options}'),
        ('add_node("work"', 'add_node("act"'),
        ('add_path(START, "work"', 'add_path(START, "act"'),
    ]
    return dict.fromkeys(columns, changes)


FIELD: Final = "    total: int = 5"
REFACTORINGS: Final[Mapping[str, Mapping[str, Changes]]] = {
    "nothing": of_all(),
    "a comment, a docstring, another node": of_all(('"""Pay."""', '"""Pay out."""  # by wire')),
    "an argument by keyword": {
        **of_calls("pay, order, 5", "pay, amount=5, what=order"),
        "a child run": [('{"order": order}', "Parcel(order=order)")],
    },
    "a default written out or left out": of_calls("pay, order, 5", "pay, order"),
    "a new parameter with a default": {
        **of_calls("amount: int = 5", "amount: int = 5, urgent: bool = False"),
        "a conversation": [("pay_out(what: Order)", "pay_out(what: Order, urgent: bool = False)")],
    },
    "a new field with a default": of_all((FIELD, f'{FIELD}\n    note: str = ""')),
    "a new field of a `Literal` or enum type": of_all(
        (FIELD, f'{FIELD}\n    kind: Literal["a", "b"] = "a"'),
        ("from pydantic", "from typing import Literal\nfrom pydantic"),
    ),
    "a class renamed": of_all(("Order", "Purchase")),
    "an inserted wait": of_all(("    out = ", '    await ctx.ask("First?")\n    out = ')),
    "`key=` added": of_calls("pay, order, 5", 'pay, order, 5, key="pay"'),
    "`effect=` taken away": {
        "an effect": [(', 5, effect="once")', ", 5)")],
        "a conversation": [('@tool(effect="once")', "@tool")],
    },
    "`effect=` added": {"a plain call": [("pay, order, 5)", 'pay, order, 5, effect="once")')]},
    "another value or type": {
        **of_calls("pay, order, 5", "pay, order, 5.0"),
        "a child run": [('{"order": order}', '{"order": order.model_copy(update={"total": 6})}')],
        "a conversation": [("what=order)", 'what=order.model_copy(update={"total": 6}))')],
    },
    CONSTANT: {
        **of_calls("pay, order, 5", "pay, order, AMOUNT"),
        "a child run": [('{"order": order}', '{"order": order.model_copy(update={"total": AMOUNT})}')],
        "a conversation": [("what=order)", 'what=order.model_copy(update={"total": AMOUNT}))')],
    },
    "the function, graph or agent renamed": {
        **of_calls("call(pay,", "call(pay_all,", ("async def pay(", "async def pay_all(")),
        "a child run": [('Graph("parcels"', 'Graph("boxes"')],
        "a conversation": [('Agent("clerk"', 'Agent("teller"')],
    },
    "wrapped in a `lambda`": of_calls("pay, order, 5", "lambda: pay(order, 5)"),
    "moved into a helper function": moved_into("a helper function", COLUMNS),
    "moved into another `ctx.call`": moved_into("another `ctx.call`"),
    "moved into a tool": moved_into("a tool"),
    "moved into a child run": moved_into("a child run"),
    "a call without `ctx.call`": {column: [(WORK[column], "await pay(order, 5)")] for column in CALLS},
    "taken away": {column: [(WORK[column], '"nothing"')] for column in COLUMNS},
    "the node renamed, with `renamed=`": migrated("renamed"),
    "the node renamed, with `moved=`": migrated("moved", [*CALLS, "a conversation"]),
    "the node becomes a graph": of_all(
        ('graph = Graph("program"', INNER), ('_node("work", work', '_node("work", inner, inputs={"order": "order"}')
    ),
}
"""By the name of each row: for each column, what is replaced by what in the program. A column without it has a dash."""


def source_of(column: str, name: str, *, is_after: bool) -> str:
    """Return the text of the program with a kind of work, before or after a refactoring."""
    if not is_after and name != CONSTANT:
        name = "nothing"
    made = PROGRAM.replace("WORK", WORK[column])
    if name == CONSTANT:
        made = made.replace("AMOUNT = 5", f"AMOUNT = {6 if is_after else 5}")
    for old, new in REFACTORINGS[name][column]:
        assert old in made, (name, column, old)
        made = made.replace(old, new.replace("WORK", WORK[column]))
    return made


@dataclass
class Outcome:
    """What happened to runs that waited.

    Attributes:
        questions: How many questions about effects were asked.
        done: How often the work was done, in all runs.
        failed: How many runs were refused or failed.
        hangs: How many runs wait for what never comes.
        found: How many runs ended with a result of the work.
        warned: The texts of the warnings in the log.
    """

    runs: int
    questions: int = 0
    done: int = 0
    failed: int = 0
    hangs: int = 0
    found: int = 0
    warned: list[str] = field(default_factory=list)

    @property
    def word(self) -> str:
        """The cell of the table."""
        if self.hangs or self.questions:
            again = "done again, " * (self.done > self.runs)
            return "hangs" if self.hangs else again + {self.runs: "one question"}.get(self.questions, "questions")
        if self.failed:
            return "refused"
        if self.done > self.runs:
            return "done again"
        return "found again" if self.found else "left out"


class Warnings(logging.Handler):
    """Keeps the texts of warnings."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(logging.WARNING)
        self._outcome = outcome

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a text."""
        self._outcome.warned.append(record.getMessage())


async def deploy(column: str, name: str, store: Any = None, runs: int = 1, *, breaks: bool = False) -> Outcome:
    """Let runs wait for a person, refactor the program, and answer until each run has ended.

    With `breaks`, the runs do not wait: they fail in the work, after it was done and before its end is recorded.
    """
    outcome, world = Outcome(runs), World(breaks=breaks)
    handler, log = Warnings(outcome), logging.getLogger("graphengine")
    async with Runner(store) as runner:
        before = loaded(source_of(column, name, is_after=False))
        before.__dict__["world"] = world
        for number in range(runs):
            with suppress(RunFailed):
                await runner.start(before.__dict__["graph"], run_id=f"r{number}").result()
        world.breaks = False
        after = loaded(source_of(column, name, is_after=True))
        after.__dict__["world"] = world
        log.addHandler(handler)
        try:
            for number in range(runs):
                try:
                    await _end(runner, f"r{number}", after.__dict__["graph"], outcome)
                except (RunFailed, GraphChanged) as error:
                    outcome.failed += 1
                    outcome.warned.append(str(error))
        finally:
            log.removeHandler(handler)
    outcome.done = sum(verb == "pay" for verb, *_ in world.acts)
    return outcome


async def _end(runner: Runner, run_id: str, graph: Any, outcome: Outcome) -> None:
    """Answer the questions of a run until it has ended."""
    result = await runner.resume(run_id, graph).result()
    while result.status == "waiting" and outcome.questions < 10 * outcome.runs:
        (wait,) = result.waits
        if wait.kind not in ("ask", "unknown"):
            outcome.hangs += 1
            return
        outcome.questions += wait.kind == "unknown"
        answer: object = "yes" if wait.kind == "ask" else _compare(wait.question)
        result = await (await runner.answer(run_id, answer, graph)).result()
    outcome.found += "done" in result.state.out


def _compare(question: str) -> object:
    """Return the true answer to a question about what the earlier code did."""
    if "The current code is about" not in question:
        return {"result": "done r01"}
    earlier, _, now = question.rpartition("The current code is about")
    if "- ctx.start(" in now and "- start a run" not in earlier:
        return "fail"  # the child run would do again what the call did
    return "another" if "- mail" in now else "same"


def rows() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of the table in the page: the name, and the cell of each column."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    first = lines.index("| refactoring | " + " | ".join(COLUMNS) + " |") + 2
    for line in lines[first:]:
        if not line.startswith("|"):
            return
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        yield name, dict(zip(COLUMNS, cells, strict=True))


def main() -> None:
    """Print how many questions a deployment asks, for each row and column."""
    parser = argparse.ArgumentParser(prog="python -m tests.migration.refactorings")
    parser.add_argument("--runs", type=int, default=1000, help="how many runs wait for a person")
    given = parser.parse_args()
    logging.getLogger("graphengine").propagate = False
    questions: Counter[str] = Counter()
    for name, columns in REFACTORINGS.items():
        for column in columns:
            outcome = asyncio.run(deploy(column, name, runs=given.runs))
            questions[name] += outcome.questions
            told = f"{outcome.word}: {outcome.questions} questions, done {outcome.done} times, {outcome.failed} refused"
            sys.stdout.write(f"{name} | {column} | {told} | {outcome.warned[:1]}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
