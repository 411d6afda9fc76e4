"""The description of a service, and what its answers leave out."""

import re
from typing import Any

import pytest

from graphengine.serve.service.openapi import description
from tests.serve.service import mcp_flows
from tests.serve.service.client import Service
from tests.serve.service.conftest import Services

FLOWS = {graph.name: graph for graph in (mcp_flows.publish, mcp_flows.nested, mcp_flows.each)}


def parts(schema: object) -> Any:
    """Yield all parts of a schema."""
    if isinstance(schema, dict):
        yield schema
        for each in schema.values():
            yield from parts(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from parts(each)


def test_generators_of_clients_can_read_it() -> None:
    """Lists say what they have, parameters are not null, and what a request may leave out is not required."""
    found = description(FLOWS, "1", takes_webhooks=False)
    schemas = found["components"]["schemas"]
    assert all("items" in each for each in parts(found) if each.get("type") == "array")
    parameters = [each for path in found["paths"].values() for call in path.values() for each in call["parameters"]]
    assert not [each["name"] for each in parameters if "null" in str(each["schema"])]
    assert {name: schemas[name]["required"] for name in ("Answer", "SentMessage", "StopRequest")} == {
        "Answer": ["id", "value"],
        "SentMessage": ["topic", "payload"],
        "StopRequest": [],
    }
    assert {"$ref": "#/components/schemas/Trouble"} in schemas["Event"]["anyOf"]


def test_numbers_have_a_format_of_64_bits() -> None:
    """Without one, generators of clients choose 32 bits, with which times are a minute out."""
    found = description(FLOWS, "1", takes_webhooks=False)
    numbers = [each for each in parts(found) if each.get("type") in ("integer", "number") and "enum" not in each]
    assert numbers
    assert {(each["type"], each.get("format")) for each in numbers} == {("integer", "int64"), ("number", "double")}
    assert not [each for each in parts(found) if {} in each.get("anyOf", ())]  # what is anything says nothing more


def test_no_type_of_a_generated_client_has_two_owners() -> None:
    """Generators name types after an operation and a parameter, or after a schema and a property."""
    found = description(FLOWS, "1", takes_webhooks=False)
    calls = [call for path in found["paths"].values() for call in path.values()]
    assert len({call["operationId"] for call in calls}) == len(calls)
    owners = [(call["operationId"], [each["name"] for each in call["parameters"]]) for call in calls]
    owners += [(name, list(each.get("properties", ()))) for name, each in found["components"]["schemas"].items()]

    def joined(*words: str) -> str:
        return "".join(part for word in words for part in re.split(r"[^a-z0-9]+", word.lower()))

    names = [joined(owner, part) for owner, each in owners for part in ("", *each)]
    names += [joined(call["operationId"], end) for call in calls for end in ("params", "request", "response", "data")]
    assert [name for name in set(names) if names.count(name) > 1] == []


def test_operations_begin_with_a_verb() -> None:
    """No operation has the name of a document that it answers with."""
    found = description(FLOWS, "1", takes_webhooks=False)
    verbs = {call["operationId"].partition("_")[0] for path in found["paths"].values() for call in path.values()}
    does = "answer branch change compare follow get list preview read resume send start stop tag"
    assert verbs <= set(does.split())


@pytest.fixture
def service(services: Services, tmp_path: Any) -> Service:
    """Start a server."""
    return services("", tmp_path / "runs.db", graphs=str(mcp_flows.__file__))


def test_a_method_that_is_not_allowed(service: Service) -> None:
    """The answer has those that are."""
    found = service.answer("DELETE", "/runs/r", None, None)
    assert (found.status, set(found.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})


def test_clients_do_not_see_where_the_program_is(service: Service) -> None:
    """A failure has its kind and its message; the traceback and the module are for those who run the program."""
    service.start("broken", {"file": "x"}, "?run_id=r")
    run = service.call("GET", "/runs/r?wait=30")[1]
    assert (run["error"]["code"], run["error"]["message"], "traceback" in run["error"]) == ("ValueError", "no x", False)
    assert service.call("POST", "/runs/r/stop", {"now": None})[0] == 202
    assert "Traceback" not in service.answer("GET", "/runs/r/events", None, None).text
