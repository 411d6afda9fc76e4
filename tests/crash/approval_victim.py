"""A process whose agent pays with a person's approval: `approval_victim.py DATABASE EFFECTS [DIE]`.

It notes `model 1`, `asked` when there is a question, `answered 1` between the first answer of a process and the call,
`begins 3` and `key …` in the call, and `pay 3` as its effect. The first payment is approved with another amount.
"""

import asyncio
import sys
from pathlib import Path

from graphengine import END, START, Agent, Context, Graph, Runner, tool
from graphengine.agents import Edit
from graphengine.errors import RunExists
from graphengine.models import Request, Response
from tests.crash.agents_life import State, note, paid, turn_of


class Paying:
    """A model that pays twice and then reports the results."""

    name = "paying"

    async def answer(self, request: Request) -> Response:
        """Return the next turn."""
        turn = turn_of(request)
        note(f"model {turn}")
        return paid("", ("pay", {"amount": 5})) if turn < 3 else paid("done")


async def pay(ctx: Context, amount: int) -> str:
    """Pay."""
    note(f"begins {amount}")
    note(f"key {ctx.idempotency_key}")
    note(f"pay {amount}")
    return str(amount)


def ruled(amount: int) -> bool:
    """Return whether a person is asked; noted, since it must not decide about a call that was made."""
    note(f"ruled {amount}")
    return True


graph = Graph("paying", State)
graph.add_node("pay", Agent("payer", prompt="Pay.", model=Paying(), tools=[tool(pay, approve=ruled)]), writes="said")
graph.add_path(START, "pay", END)


async def main() -> None:
    """Start or resume the run, answer its questions, and print its result."""
    async with Runner(Path(sys.argv[1])) as runner:
        try:
            result = await runner.start(graph, run_id="r").result()
        except RunExists:
            result = await runner.resume("r", graph).result()
        answers = 0
        while result.waits:
            note("asked")
            is_first = not any(line.startswith("pay") for line in Path(sys.argv[2]).read_text("utf-8").splitlines())
            await runner.answer("r", Edit({"amount": 3}) if is_first else True)
            answers += 1
            note(f"answered {answers}")
            result = await runner.resume("r", graph).result()
        sys.stdout.write(f"{result.status} {result.usage.calls} {result.state.said}\n")


if __name__ == "__main__":
    asyncio.run(main())
