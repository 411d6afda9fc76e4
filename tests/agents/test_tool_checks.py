"""The compiler looks into an agent's tools: before anything is paid, it reports what only a call would show."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, CompileError, Graph, Once, tool
from graphengine.agents import Approval
from graphengine.agents.tools import Tool


class State(BaseModel):
    """A customer's order."""

    task: str = ""
    customer: str = ""
    said: str = ""


class Database:
    """A class that JSON Schema does not have."""


def compiled(*tools: Any, effects: bool = False, **resources: Any) -> list[tuple[str, str, str, bool]]:
    """Return code, message, repair, and whether it is a warning, of each problem of an agent with these tools."""
    graph = Graph("shop", State, result="said", resources={name: lambda: None for name in resources})
    graph.add_node("sell", Agent("clerk", prompt="{task}", tools=tools, by_rules=lambda task: task), writes="said")
    graph.add_path(START, "sell", END)
    try:
        problems = graph.compile().warnings
    except CompileError as error:
        problems = error.problems
    return [
        (each.code, each.message, each.repair, each.warning)
        for each in problems
        if each.code != "unsaid_effect" or effects
    ]


def pay(amount: int, api_kye: str) -> str:
    """Pay."""
    return f"{amount} {api_kye}"


def look(db: Database, item: str) -> str:
    """Look an item up."""
    return f"{db} {item}"


def refund(customer: str, amount: int) -> str:
    """Refund."""
    return f"{customer} {amount}"


def test_a_misspelt_resource_is_named() -> None:
    """Else the model would fill it in."""
    ((code, message, repair, is_warning),) = compiled(pay, api_key=1)
    assert (code, is_warning) == ("misspelt_resource", True)
    assert message == "the model fills in 'api_kye' of the tool pay, and there is a resource 'api_key'"
    assert repair.startswith("did you mean the resource 'api_key'?")


def test_a_parameter_that_is_a_field_is_named_unless_it_is_read_from_the_state() -> None:
    """The repair reads it from the state."""
    ((code, message, repair, is_warning),) = compiled(refund)
    assert (code, is_warning) == ("model_fills_field", True)
    assert "'customer' of the tool refund" in message
    assert "tool(refund, inputs=['customer'])" in repair
    assert compiled(tool(refund, inputs=["customer"])) == []


def test_what_no_model_can_fill_in_is_an_error_before_the_run() -> None:
    """A class of the program's own must be a resource."""
    ((code, message, repair, is_warning),) = compiled(look)
    assert (code, is_warning) == ("bad_tool", False)
    assert message.startswith("tool look: its parameter 'db' has no JSON Schema")
    assert "make it a resource of the graph" in repair
    assert compiled(look, db=1) == []


@pytest.mark.parametrize("option", ["when", "show"])
def test_a_function_of_an_approval_takes_what_a_call_has(option: str) -> None:
    """Arguments, what the tool reads of the state, resources and ctx; anything else fails before paid turns."""
    functions: dict[str, Any] = {option: lambda amout: amout > 1}
    ((code, message, repair, is_warning),) = compiled(tool(pay, approve=Approval(**functions)))
    assert (code, is_warning) == ("bad_tool", False)
    assert "of approve= of the tool pay, takes 'amout', which no call has" in message
    assert repair == "did you mean 'amount'?"
    functions = {option: lambda amount, api_kye, db, ctx, more=1: (amount, api_kye, db, ctx, more)}
    assert compiled(tool(pay, approve=Approval(**functions)), db=1) == []


def test_a_tool_with_a_schema_has_its_arguments() -> None:
    """As its properties."""
    schema: Any = {"type": "object", "properties": {"amount": {"type": "integer"}}}
    sent = Tool(_sent, name="send", schema=schema, approve=lambda amount: amount > 1)
    assert compiled(sent) == []
    assert [code for code, *_ in compiled(tool(sent, approve=lambda sum_: sum_))] == ["bad_tool"]


def _sent(arguments: dict[str, Any]) -> str:
    return str(arguments)


def test_a_tool_that_looks_like_an_effect_is_named() -> None:
    """By the first word of its name, unless its author has said what it does."""
    ((code, message, repair, is_warning),) = compiled(tool(refund, inputs=["customer"]), effects=True)
    assert (code, is_warning) == ("unsaid_effect", True)
    assert message == "refund seems to do something outside the run, and a call in flight at a crash is repeated"
    assert repair.startswith('tool(refund, effect="once")')
    for effect in ("read", "idempotent", "once", Once()):
        assert compiled(tool(refund, inputs=["customer"], effect=effect), effects=True) == []


def test_a_reconcile_takes_what_a_call_has() -> None:
    """Arguments of the tool, resources, and the key of the call."""

    def find(customr: str, idempotency_key: str) -> str:
        return f"{customr} {idempotency_key}"

    ((code, message, repair, is_warning),) = compiled(tool(refund, inputs=["customer"], effect=Once(reconcile=find)))
    assert (code, is_warning) == ("bad_tool", False)
    assert "find, of effect=Once(reconcile=…) of the tool refund, takes 'customr'" in message
    assert repair == "did you mean 'customer'?"
    assert (
        compiled(tool(refund, inputs=["customer"], effect=Once(reconcile=lambda idempotency_key: idempotency_key)))
        == []
    )
