from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from graphengine import END, START, Graph
from graphengine.reducers import append, extend, maximum, merge


class BuiltPrice(BaseModel):
    price: int = 1
    total: int = 0

    def model_post_init(self, context: object, /) -> None:
        self.total = self.price * 2


class Inherited(BuiltPrice):
    note: str = ""


class Kept(BaseModel):
    price: int = 1
    _seen: int = PrivateAttr(0)


class Both(BuiltPrice):
    _seen: int = PrivateAttr(0)

    @model_serializer
    def dumped(self) -> dict[str, int]:
        """Hide the fields."""
        return {}


class Price(BaseModel):
    price: int = 1
    total: int = 0

    @model_validator(mode="after")
    def summed(self) -> Self:
        """Twice the price."""
        self.total = self.price * 2
        return self


class Hidden(BaseModel):
    secret: str = Field(default="", exclude=True)


class Bytes(BaseModel):
    raw: bytes = b""


class Base64(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    raw: bytes = b""


class Thing:
    pass


class Arbitrary(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    thing: object = None
    other: Annotated[Any, ...] = None
    made: Thing | None = None


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")

    n: int = 0


class TwoReducers(BaseModel):
    n: Annotated[list[int], append, extend] = []


class WrongReducer(BaseModel):
    n: Annotated[int, append] = 0
    m: Annotated[list[int], merge] = []


async def late(old: int, new: int) -> int:
    return old + new


class AsyncReducer(BaseModel):
    n: Annotated[int, late] = 0


class GoodReducers(BaseModel):
    best: Annotated[float, maximum] = 0.0
    views: Annotated[dict[str, int], merge] = {}


def below(value: int, info: ValidationInfo) -> int:
    """Return the value, or the most that a context has."""
    assert info.context
    return min(value, info.context["most"])


class Bounded(BaseModel):
    n: Annotated[int, AfterValidator(below)] = 0


def of(state):
    graph = Graph("g", state)
    graph.add_node("a")
    graph.add_path(START, "a", END)
    return graph


class Unfit(BaseModel):
    n: int = "many"
    note: str = None
    size: Annotated[int, Field(ge=1)] = 0
