from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Retry

ledger: list[str] = []


class State(BaseModel):
    paid: int = 0
    sent: str = ""


async def pay(ctx: Context) -> int:
    ledger.append("pay")
    await ctx.ask("Was it enough?", bool)
    return 1


async def ask_a_person(ctx: Context) -> str:
    return f"{await ctx.ask('How was it sent?')}, {len(ledger)}"


def send() -> str:
    ledger.append("send")
    raise OSError("the line broke")


graph = Graph("careful", State)
graph.add_node("pay", pay, writes="paid", effect="once", retry=Retry(attempts=2, initial_seconds=0))
graph.add_node("send", send, writes="sent", effect="once", fallback=ask_a_person)
graph.add_path(START, "pay", "send", END)
