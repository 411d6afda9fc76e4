"""The initial state of a run: what is recorded reads back equal, whatever the model does when it is read."""

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, PrivateAttr, model_serializer

from graphengine.errors import InputError
from graphengine.state.schema import StateType


class Plain(BaseModel):
    n: int = 0
    text: str = ""
    ratio: float = 0.0
    done: bool = False


class Counting(Plain):
    def model_post_init(self, _: Any, /) -> None:
        """Change a field whenever an instance is made."""
        self.n += 1


class Private(Plain):
    _seen: int = PrivateAttr(default=0)


class Dumped(Plain):
    @model_serializer
    def dump(self) -> dict[str, object]:
        """Record another value."""
        return {"n": 7}


class Open(Plain):
    model_config = ConfigDict(extra="allow")


class Made(Plain):
    def __init__(self, **given: Any) -> None:
        super().__init__(**{**given, "n": given.get("n", 0) * 2})


def private() -> Private:
    """Return a state whose private attribute is not recorded."""
    made = Private(n=1)
    made._seen = 5  # noqa: SLF001 - a private attribute of the test's own model
    return made


@pytest.mark.parametrize(
    "state",
    [Counting(), private(), Dumped(), Open.model_validate({"n": 1, "more": object()}), Made(n=3)],
    ids=lambda s: type(s).__name__,
)
def test_a_state_that_would_read_back_different_is_refused(state: BaseModel) -> None:
    """Code of the model takes part in reading it back, although all its fields are plain."""
    with pytest.raises(InputError):
        StateType.of(type(state)).initial(state, "here")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "1"])
def test_a_value_that_its_field_cannot_record_is_refused(value: Any) -> None:
    """An instance that was made without validation is checked too."""
    name = "ratio" if isinstance(value, float) else "n"
    with pytest.raises(InputError):
        StateType.of(Plain).initial(Plain().model_copy(update={name: value}), "here")


def test_plain_values_are_their_own_records() -> None:
    """The records are not the instance's own dict, and the size is that of the JSON."""
    state = Plain(n=1, text="ä")
    begun = StateType.of(Plain).initial(state, "here")
    assert begun.values == begun.typed == {"n": 1, "text": "ä", "ratio": 0.0, "done": False}
    assert begun.given == ["n", "text"]
    assert begun.size_bytes == len(state.model_dump_json().encode())
    assert StateType.of(Plain).initial(Plain(n=2**70), "here").values["n"] == 2**70
    state.n = 9
    assert (begun.values["n"], begun.typed["n"]) == (1, 1)


def again(text: str) -> type[BaseModel]:
    """Return a class of the name of `Plain`, as a cell that runs twice defines it."""
    return type("Plain", (BaseModel,), {"__annotations__": {"text": str}, "text": text})


def test_a_state_whose_class_was_defined_again_is_told_apart() -> None:
    """The class has the same name, so the name alone would say nothing; that of a part is told apart too."""
    with pytest.raises(InputError) as refused:
        StateType.of(Plain).initial(again("a")(), "here")
    assert refused.value.message.startswith("the state is of another class Plain: one that is defined again")
    assert refused.value.repair == "make the graph after the last definition of Plain, or pass a mapping of its fields"

    class Nest(BaseModel):
        parts: list[Plain]

    with pytest.raises(InputError, match=r"instance of Plain \(got Plain\(text='a'\): of another class Plain: one"):
        StateType.of(Nest).initial({"parts": [again("a")()]}, "here")
