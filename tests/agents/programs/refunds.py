"""A payment that is made once, whatever dies, and only after a person agrees."""

from graphengine import Agent, Context, RunWaits, SyncRunner, tool


@tool(effect="once", approve=True, max_calls=1)
def refund(customer: str, euros: int, ctx: Context) -> str:
    """Pay money back."""
    print(f"{customer} gets {euros} EUR ({ctx.idempotency_key})")
    return "paid"


clerk = Agent("clerk", model="anthropic:claude-haiku-4-5", tools=[refund])
with SyncRunner("runs.db") as runner:
    try:
        answer = runner.run(clerk, question="Ada's lamp came broken. It cost 30 euros.", run_id="lamp")
    except RunWaits as asked:
        runner.answer(asked.run_id, input(asked.waits[0].question) == "yes")
        answer = runner.run(clerk, run_id=asked.run_id)
    print(answer)
