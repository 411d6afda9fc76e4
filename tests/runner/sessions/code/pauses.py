import datetime

from pydantic import BaseModel, ConfigDict, Field

from graphengine import ask
from tests.kit.runs import alone, row
from tests.kit.waiting import State

letters = row(State, *((name, (lambda name: lambda: name)(name), "log") for name in "abc"))


async def look(item: str) -> bool:
    return item == "a"


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    day: datetime.date


class Alias(BaseModel):
    number: int = Field(alias="theNumber")


def asking(kind, **options):
    return alone(State, ask("Well?", kind, **options), {"word": repr_of})


def repr_of(result: object) -> str:
    return repr(result)
