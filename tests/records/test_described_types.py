"""What is inside a type of the same name is part of the graph: a change of it is one, and its words are not."""

import enum
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, create_model, field_validator
from pydantic.fields import FieldInfo
from typing_extensions import TypedDict

from graphengine import END, START, Graph, ask
from graphengine.kernel.extension import Plan
from graphengine.records.graph_spec_diff import differences


def plan_of(kind: Any, default: object = None) -> Plan[Any]:
    """Return the plan of a graph with a field of this type."""
    graph = Graph("types", create_model("State", x=(kind, default)))
    graph.add_path(START, "work", END)
    graph.add_node("work", lambda: None)
    return graph.compile()


def inside(**fields: Any) -> type[BaseModel]:
    """Return a model of one name with these fields."""
    return create_model("Part", **fields)


def of(annotation: Any, default: object = ...) -> Any:
    """Return a list of models with such a field."""
    return list[inside(n=(annotation, default))]  # type: ignore[misc]


def even(n: int) -> int:
    """Refuse nothing."""
    return n


def odd(n: int) -> int:
    """Refuse nothing either."""
    return n


class Strict(BaseModel):
    """A model with another configuration."""

    model_config = ConfigDict(title="Part", extra="forbid")
    n: int


class Checked(BaseModel):
    """A model with a validator."""

    n: int

    @field_validator("n")
    @classmethod
    def checked(cls, n: int) -> int:
        """Refuse nothing."""
        return n


DICT: Any = TypedDict
Strict.__name__ = Checked.__name__ = "Part"
CHANGES: dict[str, tuple[Any, Any, str]] = {
    "a type": (of(int), of(str), "type Part: n: int → str"),
    "a field": (of(int), list[inside(n=(int, ...), m=(str, ""))], "type Part: m is new: str, default ''"),  # type: ignore[misc]
    "a field that is gone": (list[inside(n=(int, ...), m=(str, ""))], of(int), "type Part: m is gone: str, default ''"),  # type: ignore[misc]
    "a default": (of(int, 1), of(int, 2), "type Part: n: 'int, default 1' → 'int, default 2'"),
    "whether it is required": (of(int), of(int, 2), "type Part: n: 'int' → 'int, default 2'"),
    "a bound": (of(int), of(Annotated[int, Field(ge=1)]), "type Part: n: 'int' → 'int, ge=1'"),
    "a pattern": (
        of(str),
        of(Annotated[str, StringConstraints(pattern="a+")]),
        "type Part: n: 'str' → \"str, pattern='a+'\"",
    ),
    "an inner bound": (
        *(of(list[int]), of(list[Annotated[int, Field(ge=1)]])),
        "type Part: n: 'list[int]' → 'list[Annotated[int, ge=1]]'",
    ),
    "a function": (
        *(of(Annotated[int, AfterValidator(even)]), of(Annotated[int, AfterValidator(odd)])),
        "type Part: n: 'int, AfterValidator(func=even)' → 'int, AfterValidator(func=odd)'",
    ),
    "a configuration": (of(int), list[Strict], "type Part: rules none → extra=forbid"),
    "a validator": (of(int), list[Checked], "type Part: rules none → checked()"),
    "a Literal": (of(Literal["a"]), of(Literal["b"]), "type Part: n: Literal['a'] → Literal['b']"),
    "a member": (enum.Enum("E", {"A": 1}), enum.Enum("E", {"A": 1, "B": 2}), "type E: B is new: 2"),
    "a member's value": (enum.Enum("E", {"A": 1}), enum.Enum("E", {"A": 2}), "type E: A: 1 → 2"),
    "a key": (
        *(DICT("T", {"a": int}), DICT("T", {"a": NotRequired[int]})),
        "type T: a: 'int' → 'int, not required'",
    ),
    "a place": (NamedTuple("P", [("a", int)]), NamedTuple("P", [("a", str)]), "type P: a: int → str"),
    "deep inside": (
        *(list[inside(p=(dict[str, of(int)], {}))], list[inside(p=(dict[str, of(str)], {}))]),  # type: ignore[misc]
        "type Part: n: int → str",
    ),
}


@pytest.mark.parametrize(("before", "after", "line"), CHANGES.values(), ids=CHANGES)
def test_a_change_inside_a_type_changes_the_graph(before: Any, after: Any, line: str) -> None:
    """The fingerprint is another one, and the change has a line that names the type."""
    old, new = plan_of(before), plan_of(after)
    assert old.fingerprint != new.fingerprint
    assert line in differences(old.graph_spec, new.graph_spec)


def test_constraints_and_defaults_of_a_field_of_the_state_are_the_graphs() -> None:
    """They are told by field."""
    old, new = plan_of(int, 1), plan_of(Annotated[int, Field(ge=1)], 2)
    assert differences(old.graph_spec, new.graph_spec) == ["field x: rules 'default 1' → 'ge=1, default 2'"]


def asking(kind: Any) -> Plan[Any]:
    """Return the plan of a graph that asks a person for such an answer."""
    graph = Graph("types", create_model("State", x=(Any, None)))
    graph.add_path(START, "ask", END)
    graph.add_node("ask", ask("?", kind), writes="x")
    return graph.compile()


def test_a_change_inside_the_type_of_an_answer_changes_the_graph() -> None:
    """Also where no field has that type."""
    old, new = asking(of(int)), asking(of(str))
    assert differences(old.graph_spec, new.graph_spec) == ["type Part: n: int → str"]


def documented(n: int, **words: Any) -> type[BaseModel]:
    """Return a model with other words, and perhaps other orders."""
    pairs = [("a", (int, Field(n, **words))), ("b", (Annotated[str, Field(min_length=1)], Field("b", **words)))]
    fields: Any = dict(sorted(pairs, reverse="title" in words))
    model = inside(**fields)
    model.__doc__, model.model_config["title"] = str(words), str(words)
    return model


def test_words_and_orders_change_no_graph() -> None:
    """Titles, descriptions, examples and the order of fields are none of its behaviour."""
    plain, told = documented(1), documented(1, title="A", description="a", examples=[1], deprecated="so")
    assert plan_of(plain).fingerprint == plan_of(told).fingerprint
    assert plan_of(plain).fingerprint != plan_of(documented(2)).fingerprint


def test_a_release_of_pydantic_that_prints_otherwise_changes_no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """No text of it is part of a graph spec."""
    kind = of(list[Annotated[int, Field(ge=1)]])
    before = plan_of(kind).fingerprint

    def shown(self: object) -> str:
        return "as another release shows it"

    def written(*args: object, **kwargs: object) -> dict[str, object]:
        return {"type": "as another release describes it"}

    monkeypatch.setattr(FieldInfo, "__repr__", shown)
    monkeypatch.setattr(BaseModel, "model_json_schema", written)
    assert plan_of(kind).fingerprint == before


def test_what_others_make_is_described_by_its_name() -> None:
    """A new release of Python or of this package, with other members of a type, changes no graph."""
    from http import HTTPStatus  # noqa: PLC0415 - a type that has grown

    from graphengine import Failure  # noqa: PLC0415 - as above

    spec = plan_of(dict[str, HTTPStatus | Failure]).graph_spec
    assert (spec["state"]["x"], spec.get("types")) == ("dict[str, HTTPStatus | Failure]", None)


def drawn(seed: str, file: Path) -> list[str]:
    """Return what a process with this hash seed prints."""
    command = [sys.executable, "-m", "tests.kit.drawn_types"]
    done = subprocess.run(
        command, env={"PYTHONHASHSEED": seed, "PATH": str(file)}, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_random_types_and_conditions_have_one_fingerprint_in_each_process(tmp_path: Path) -> None:
    """Nothing depends on the order of hashes: fingerprints, records, what is read back; `tests/kit/drawn_types.py`."""
    one, other = map(partial(drawn, file=tmp_path), ("1", "2"))
    assert len(one) == len(other) > 100
    differ = [(a, b) for a, b in zip(one, other, strict=True) if a != b]
    assert not differ
