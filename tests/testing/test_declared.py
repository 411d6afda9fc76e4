"""States that are declared as a TypedDict or a dataclass: they work as pydantic models do, and users get their own."""

from graphengine.testing import run_node, walk
from tests.state.test_declared import Values, of_keys, of_values


async def test_nodes_and_paths_are_tested_alone() -> None:
    """`run_node` and `walk` take an instance, or fields by name."""
    graph = of_values()
    assert (await run_node(graph, "louder", Values("a"))).update == {"text": "a!", "items": "a!"}
    assert (await run_node(graph, "louder", {"text": "b"})).state == Values("b!", items=["b!"])
    walked = await walk(graph, {"louder": [{"text": "x"}, {"text": "y"}]}, Values("a"))
    walked.assert_path("seen louder seen louder END")
    assert (await run_node(of_keys(), "louder", {"text": "b"})).update == {"text": "b!"}
