"""The description of a service, and what its answers leave out."""

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
