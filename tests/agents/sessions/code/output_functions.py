from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from graphengine import Agent, Context
from graphengine.agents import result_of

if TYPE_CHECKING:
    from tests.kit.given import model

CALLED = []


class Refund(BaseModel):
    customer: str
    cents: int


def refund(customer: str, euros: int = 1) -> Refund:
    """Refund a customer.

    Args:
        customer: Their name.
        euros: How much.
    """
    CALLED.append(euros)
    if euros > 10:
        raise ValueError("at most 10 euros")
    return Refund(customer=customer, cents=100 * euros)


def cashier(*answers, **more):
    return Agent("cashier", prompt="{task}", output=result_of(refund), model=model(*answers), **more)


def odd(answer: Refund):
    if answer.cents % 200 == 0:
        raise ValueError("not an odd number of euros")


CHECKED = []


def once(answer: Refund):
    CHECKED.append(answer.cents)
    if len(CHECKED) == 1:
        raise OSError("cut off")


async def pay(euros: int, db: list, ctx: Context | None = None) -> str:
    db.append(euros)
    return f"{db}, {'in a run' if ctx else 'alone'}"


PAYER = Agent("payer", prompt="Pay.", output=result_of(pay))
ADA = {"customer": "Ada", "euros": 11}
