"""Any name and any schema of a tool is sent in a form that each provider accepts, and comes back as it was declared."""

import json
import logging
import string
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine import Agent, Runner, mcp
from graphengine.agents.tools import Tool
from graphengine.errors import DefinitionError
from graphengine.models import ToolCall
from graphengine.models.base import Message, Request, ToolSpec
from graphengine.models.errors import BadRequest, ModelError, ModelOverloaded
from graphengine.models.limiter import limited
from graphengine.models.tool_schemas import fitting_names, sent_schema, simple_schema
from tests.conformance.model_scenes import Says
from tests.models import wire_schemas
from tests.models.acts import Raw
from tests.models.adapters import PATHS, Made, adapter
from tests.models.edge_server import EdgeServer
from tests.models.wire import Event

SERVER = Path(__file__).parents[1] / "agents" / "wild_mcp_server.py"
TEXT = {"type": "string"}
PAIR = {"properties": {"a": TEXT}, "required": ["a"]}, {"properties": {"b": TEXT}, "required": ["b"]}
NODE = {"type": "object", "properties": {"name": TEXT, "next": {"$ref": "#/definitions/node"}}}

FITTING: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "no properties": ({"type": "object"}, {"any": 1}),
    "null in places": ({"type": "object", "properties": None, "required": None}, {"any": 1}),
    "no type": ({"properties": {"a": {}}}, {"a": 1}),
    "an object or null": ({"type": ["object", "null"], "properties": {"a": TEXT}}, {"a": "x"}),
    "alternatives": ({"type": "object", "oneOf": [*PAIR]}, {"b": "x"}),
    "alternatives of required": ({"properties": {"a": TEXT, "b": TEXT}, "anyOf": [{"required": ["a"]}]}, {"a": "x"}),
    "alternatives and null": ({"anyOf": [*PAIR, {"type": "null"}]}, {"a": "x"}),
    "all of": ({"allOf": [*PAIR]}, {"a": "x", "b": "y"}),
    "variants": (
        {"oneOf": [{"properties": {"kind": {"const": kind}}, "required": ["kind"]} for kind in ("tea", "milk")]},
        {"kind": "milk"},
    ),
    "a condition": (
        {"properties": {"a": TEXT}, "if": PAIR[0], "then": PAIR[1], "not": {"required": ["c"]}},
        {"b": "x"},
    ),
    "all by reference": ({"$ref": "#/$defs/args", "$defs": {"args": {"type": "object", **PAIR[0]}}}, {"a": "x"}),
    "a recursive type": (
        {"type": "object", "properties": {"n": {"$ref": "#/definitions/node"}}, "definitions": {"node": NODE}},
        {"n": {"name": "x", "next": {"name": "y"}}},
    ),
    "itself": ({"type": "object", "properties": {"child": {"$ref": "#"}, "name": TEXT}}, {"child": {"name": "x"}}),
    "a place in itself": (
        {"type": "object", "properties": {"from": NODE["properties"]["name"], "to": {"$ref": "#/properties/from"}}},  # type: ignore[index]
        {"from": "x", "to": "y"},
    ),
    "a list of anything": ({"type": "object", "properties": {"ids": {"type": "array"}}}, {"ids": [1, "x"]}),
    "a list or null": ({"properties": {"ids": {"type": ["array", "null"]}}}, {"ids": None}),
    "draft 7": (
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "$id": "https://example.org/pair",
            "type": "object",
            "properties": {"pair": {"type": "array", "items": [TEXT, TEXT], "additionalItems": False}},
        },
        {"pair": ["x", "y"]},
    ),
    "an enum without a type": ({"properties": {"size": {"enum": ["S", 1, None]}}}, {"size": None}),
    "free keys": ({"type": "object", "additionalProperties": TEXT, "patternProperties": {"^x": {}}}, {"x": "y"}),
    "odd properties": (
        {
            "properties": {"user id": TEXT, "user_id": TEXT, "": TEXT, "$f": TEXT, "ß" * 80: TEXT},
            "required": ["user id"],
        },
        {"user id": "a", "user_id": "b", "": "c", "$f": "d", "ß" * 80: "e"},
    ),
    "an optional property of zod": (
        {"properties": {"a": {"anyOf": [{"not": {}}, TEXT], "description": "A."}, "b": {"anyOf": [{"not": {}}]}}},
        {"a": "x"},
    ),
    "a property that nothing fits": ({"properties": {"a": False, "b": {"not": {}}, "c": TEXT}}, {"c": "x"}),
    "a record of anything": ({"type": "object", "additionalProperties": {}}, {"x": [1]}),
    "required and undeclared inside": (
        {"properties": {"a": {"type": "object", "properties": {"b": TEXT}, "required": ["b", "c"]}}},
        {"a": {"b": "x", "c": 1}},
    ),
    "required and undeclared": ({"type": "object", "required": ["a"]}, {"a": 1}),
}
"""Schemas as servers declare them, each with arguments that fit."""

BROKEN: dict[str, dict[str, Any]] = {
    "draft 4": {"type": "object", "properties": {"n": {"type": "number", "minimum": 0, "exclusiveMinimum": True}}},
    "types of other languages": {"properties": {"a": {"type": "str"}, "b": {"type": "any"}, "c": {"type": None}}},
    "required at the property": {"properties": {"a": {"type": "string", "required": True}}, "required": True},
    "empty lists": {"properties": {"a": {"enum": [], "anyOf": [], "type": []}, "b": {"type": "array", "items": []}}},
    "a pattern of another language": {"properties": {"a": {"type": "string", "pattern": "(?<year>\\p{Nd}+)"}}},
    "numbers as texts": {"properties": {"a": {"type": "integer", "minimum": "1", "maxLength": -1, "multipleOf": 0}}},
    "no schemas": {"properties": {"a": "string", "b": None, "c": [1]}, "additionalProperties": None},
    "a reference by name": {"properties": {"a": {"$ref": "Range"}}, "$defs": {"Range": TEXT}},
    "a type beside the properties": {"properties": {"a": TEXT, "type": "object"}, "required": ["a", "type"]},
    "elsewhere": {"properties": {"a": {"$ref": "https://example.org/a.json"}, "b": {"$ref": "#/$defs/gone"}}},
    "texts that are none": {"properties": {"a": {"type": "string", "description": ["x"], "title": 1, "format": {}}}},
}
"""What is no JSON Schema: the provider must not see that, and it checks no arguments."""


NOT_REFUSED = {"an optional property of zod", "a property that nothing fits", "required and undeclared inside"}
REFUSED = (
    {*FITTING, *BROKEN}
    - NOT_REFUSED
    - {"no type", "a recursive type", "an enum without a type", "required and undeclared"}
)
"""Those that a provider refuses as they are, so that the test can fail."""


@pytest.mark.parametrize("name", [*FITTING, *BROKEN])
def test_each_provider_accepts_it(name: str) -> None:
    """Whatever was declared."""
    schema = FITTING[name][0] if name in FITTING else BROKEN[name]
    sent = sent_schema(schema).schema
    assert [wire_schemas.not_arguments("t", sent, api=api) for api in ("messages", "responses", "chat")] == [""] * 3
    assert sent_schema(sent).schema == sent
    plain = {"type": "object", **schema}
    if name in REFUSED:
        assert any(wire_schemas.not_arguments("t", plain, api=api) for api in ("messages", "responses", "chat"))


@pytest.mark.parametrize("name", FITTING)
def test_arguments_that_fit_the_declared_schema_fit_the_sent_one(name: str) -> None:
    """So that a model can write them; and they come back under the declared names."""
    schema, arguments = FITTING[name]
    valid = {key: value for key, value in schema.items() if value is not None}
    jsonschema.validate(arguments, valid)
    sent = sent_schema(schema)
    theirs = {declared: short for short, declared in sent.names.items()}
    written = {theirs.get(name, name): value for name, value in arguments.items()}
    jsonschema.Draft202012Validator(sent.schema).validate(written)
    assert sent.declared(written) == arguments


@pytest.mark.parametrize("schema", [{"type": "string"}, {"type": ["array", "null"]}])
def test_arguments_that_are_no_object_cannot_be_asked_for(schema: Any) -> None:
    """They are refused where the tool is made."""
    with pytest.raises(DefinitionError, match="must describe an object"):
        Tool(print, schema=schema)


def test_a_schema_that_is_too_deep_cannot_be_asked_for() -> None:
    """Rather than to end in Python's limit of recursion at a call."""
    with pytest.raises(ValueError, match="nested more than"):
        sent_schema(_deep())


def _deep() -> Any:
    schema: Any = {}
    for _ in range(70):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@given(st.lists(st.text(string.printable + "ß\ud83d", max_size=70), unique=True, max_size=12))
def test_names_fit_and_are_never_alike(names: list[str]) -> None:
    """Also those that differ in unfit characters alone; a name that fits stays."""
    found = fitting_names(names)
    assert len(set(found.values())) == len(names)
    for name, short in found.items():
        assert 0 < len(short) <= 64
        assert set(short) <= set(string.ascii_letters + string.digits + "_.-")
        assert short == name or name not in found.values()


def test_a_name_that_looks_like_a_digest_is_another_one() -> None:
    """Somebody may choose the name that another one gets."""
    chosen = fitting_names(["b c", "b/c"])["b c"]
    again = fitting_names(["b c", "b/c", chosen])
    assert len(set(again.values())) == 3
    assert again[chosen] == chosen


async def test_a_server_with_any_tools_takes_no_call_down(
    tmp_path: Path, edge: EdgeServer, model: Made, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is called back under its own name with its own properties; what no model can call is left out by name."""
    file = tmp_path / "tools.json"
    declared = {name: {**schema, "type": "object"} for name, (schema, _) in FITTING.items() if name != "null in places"}
    names = ["a.b", "a/b", "a_b", "Get File", "", "x" * 100, *declared]
    schemas = [{"type": "object"}] * 6 + [*declared.values()]
    tools = [{"name": n, "inputSchema": s} for n, s in zip(names, schemas, strict=True)]
    tools += [{"name": "deep", "inputSchema": _deep()}]
    tools += [{"name": "twin", "inputSchema": {"type": "object"}, "title": title} for title in "ab"]
    file.write_text(json.dumps({"tools": tools}))
    source = mcp([sys.executable, "-S", str(SERVER), str(file)])
    sent = {each.origin: each.name for each in await source.open()}
    await source.close()
    theirs = {declared: short for short, declared in sent_schema(FITTING["odd properties"][0]).names.items()}
    written = {theirs.get(name, name): value for name, value in FITTING["odd properties"][1].items()}
    calls = [
        ToolCall(id=f"c{n}", name=short, arguments="{}") for n, short in enumerate(sent[name] for name in names[:6])
    ]
    calls += [ToolCall(id="c7", name=sent["odd properties"], arguments=json.dumps(written))]
    calls += [ToolCall(id="c8", name="alternatives", arguments='{"a": "x", "b": "y"}')]
    edge.play(Says(calls=tuple(calls)), Says("done"))
    with caplog.at_level(logging.WARNING):
        async with Runner() as runner:
            assert await runner.run(Agent("a", model=model, tools=[source]), question="go") == "done"
    results = [turn.text for turn in edge.received()[1].turns if turn.role == "tool"]
    assert [text.rpartition(" ")[0] for text in results[:6]] == names[:6]
    assert json.loads(results[6].partition(" ")[2].partition(" ")[2]) == FITTING["odd properties"][1]
    assert "is valid under each of" in results[7]  # as declared; the server was not called
    assert "alternatives" not in Path(f"{file}.log").read_text().splitlines()
    left = [record.getMessage() for record in caplog.records]
    assert [text.partition(" of ")[0] for text in left] == ["the tool 'twin'", "the tool 'deep'"]
    assert await source.left_out() == {
        "twin": "the server lists two different tools of this name",
        "deep": "the schema of the arguments is nested more than 60 levels deep",
    }
    assert all(source.name in text for text in left)


@pytest.mark.parametrize("name", FITTING)
def test_the_simpler_form_accepts_at_least_as_much(name: str) -> None:
    """Arguments that fit what is sent fit the simpler form, which has only the keywords that all servers know."""
    schema, arguments = FITTING[name]
    form = sent_schema(schema)
    theirs = {declared: short for short, declared in form.names.items()}
    simple = simple_schema(form.schema)
    jsonschema.validate({theirs.get(key, key): value for key, value in arguments.items() if value is not None}, simple)
    known = {"type", "properties", "required", "items", "enum", "description", "additionalProperties"}
    assert _keywords(simple) <= known


def test_the_simpler_form_stays_small() -> None:
    """Definitions that refer to each other many times do not make it grow without bound, and chains are followed."""
    chain: dict[str, Any] = {
        f"d{n}": {"type": "object", "properties": {name: {"$ref": f"#/$defs/d{n + 1}"} for name in "ab"}}
        for n in range(30)
    }
    chain["d30"] = {"$ref": "#/$defs/text"}
    chain["text"] = TEXT
    first: dict[str, Any] = {"type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": chain}
    schema = sent_schema(first).schema
    assert len(json.dumps(simple_schema(schema))) < 30_000
    last: dict[str, Any] = {"type": "object", "properties": {"x": {"$ref": "#/$defs/d30"}}, "$defs": chain}
    assert simple_schema(sent_schema(last).schema)["properties"] == {"x": TEXT}


def test_a_grammar_of_the_simpler_form_allows_what_the_schema_allows() -> None:
    """Grammars of llama.cpp forbid properties that a schema neither names nor allows by additionalProperties."""
    declared: dict[str, Any] = {
        "type": "object",
        "properties": {
            "counts": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
            "any": {"type": "object"},
            "note": {"anyOf": [TEXT, {"type": "null"}]},
            "way": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "integer"}]},
        },
        "$defs": {"a": {"type": "object", "properties": {"b": TEXT}}},
    }
    simple = simple_schema(sent_schema(declared).schema)["properties"]
    assert simple["counts"]["additionalProperties"] == {"type": "integer", "description": '{"minimum": 0}'}  # type: ignore[index,call-overload]
    assert simple["any"]["additionalProperties"] is True  # type: ignore[index,call-overload]
    assert "type" not in simple["note"]  # type: ignore[index,call-overload,operator]
    assert '"$defs": {"a": ' in simple["way"]["description"]  # type: ignore[index,call-overload,operator]


@pytest.mark.parametrize(
    "words",
    [
        "reasoning_effort: value is not a valid enum member",
        "json_schema is not supported: response_format",
        "guided_json schema invalid",
        "messages.3.content: Input does not match schema",
        "Tool call validation failed: parameters for tool f did not match schema: errors: [a is missing]",
        "Invalid schema for response_format 'answer': In context=(), 'minItems' is not permitted.",
        "litellm.UnsupportedParamsError: bedrock does not support parameters: ['tools'], for model=m",
        "bedrock does not support parameters: {'tool_choice': {'type': 'function'}}, for model=m",
        "Unsupported parameter: 'parallel_tool_calls' is not supported with this model",
        "tool_choice: value is not a valid enumeration member; permitted: 'auto', 'none'",
        "registry.ollama.ai/library/gemma does not support tools",
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.",
        "messages.8: `tool_use` ids were found without `tool_result` blocks immediately after: c1.",
        "Invalid 'messages[1].content': array too long. Expected an array with maximum length 1 for anyOf",
        "temperature: range: must be in [0, 2]",
    ],
)
@pytest.mark.parametrize("path", PATHS)
async def test_other_refusals_leave_tools_as_they_are(edge: EdgeServer, words: str, path: str) -> None:
    """What is about the answer, a setting, or a call that the model wrote asks for no simpler tools."""
    edge.always(Raw(400, {"error": {"message": words}}))
    model = adapter(path, edge.url, native_schema=False)
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
    tool = ToolSpec("use", "Use it.", schema)
    with pytest.raises(ModelError):
        await model.answer(Request("a", "", [Message(role="user", text="go")], tools=[tool], schema=schema))
    assert len(edge.calls) == 1
    await model.close()


REFUSALS = {
    "llama.cpp": "Failed to initialize samplers: failed to parse grammar",
    "LM Studio": "Error in tools[0]: the grammar of its JSON schema cannot be compiled",
    "Moonshot": "tools.function.parameters is not a valid moonshot flavored json schema: <At path 'properties.a'>",
    "Gemini": "Invalid value at 'tools[0].function_declarations[0].parameters.properties[0].value.enum[0]'",
    "vLLM": "The provided JSON schema contains features not supported by xgrammar.",
    "OpenAI": "Invalid schema for function 'use': In context=('properties', 'a'), 'minLength' is not permitted.",
}
OTHER_REFUSALS = {
    "llama.cpp, conversion": "JSON schema conversion failed:\nUnrecognized schema: {}",
    "llama.cpp, parser": "Unable to generate parser for this template. Automatic parser generation failed: JSON schema "
    "conversion failed:\nPattern must start with '^' and end with '$'",
    "Bedrock, value": "The value at toolConfig.tools.0.toolSpec.inputSchema.json is invalid",
    "Bedrock, type": "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: "
    "object.",
    "Bedrock, definition": "The json schema definition at toolConfig.tools.0.toolSpec.inputSchema is invalid. Fix the "
    "following errors and try again: $.properties: null found, object expected",
    "Bedrock, key": "Malformed input request: #/toolConfig/tools/0/toolSpec/inputSchema/json: extraneous key [$defs] "
    "is not permitted, please reformat your input and try again.",
    "Cerebras": "Unsupported JSON schema fields: {'minItems', 'items'}",
    "Cerebras, by a gateway": """Error from provider(cerebras,qwen: 400): {"message":"Unsupported JSON schema """
    """fields: {'minItems'}","type":"invalid_request_error","param":"response_format","code":"wrong_api_format"}""",
    "Fireworks": "JSON Schema not supported: could not understand the instance `{'required': ['criteria']}`.",
    "Fireworks, conflict": "Conflict in schema definitions for key 'pattern'",
    "Groq": "invalid JSON schema for tool use, tools[0].function.parameters: 'required' present but 'properties' is "
    "missing",
    "DeepSeek": """Invalid schema for function 'use': schema must be a JSON Schema of 'type: "object"', """
    "got 'type: null'.",
    "Anthropic": "tools.0.custom.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12",
    "Vertex": "Unable to submit request because `use` functionDeclaration `parameters.a` schema specified other fields "
    "alongside any_of. When using any_of, it must be the only field set.",
    "Gemini, unknown": """Invalid JSON payload received. Unknown name "additionalProperties" at """
    "'tools[0].function_declarations[0].parameters': Cannot find field.",
    "Gemini, object": "* GenerateContentRequest.tools[0].function_declarations[0].parameters.properties[a].properties: "
    "should be non-empty for OBJECT type",
    "Moonshot, reference": "Invalid request: tools.function.parameters is not a valid moonshot flavored json schema, "
    "details: <At path 'properties.a': conflicting keywords found after $ref expansion: description>",
    "a keyword alone": "'oneOf' is not supported",
    "a keyword of a tool": "Unsupported keyword 'pattern' in tool 'use'",
    "a grammar by its form": "EBNF parser error at line 3",
}
"""Further texts, mostly from public issues. Several of them do not name the tools."""
KEYWORDS: dict[str, Any] = {
    "pattern": {"type": "string", "pattern": "^a"},
    "maxLength": {"type": "string", "maxLength": 65536},
    "minLength": {"type": "string", "minLength": 1},
    "format": {"type": "string", "format": "date"},
    "minimum": {"type": "integer", "minimum": 1},
    "multipleOf": {"type": "number", "multipleOf": 2},
    "minItems": {"type": "array", "items": TEXT, "minItems": 1},
    "uniqueItems": {"type": "array", "items": TEXT, "uniqueItems": True},
    "prefixItems": {"type": "array", "prefixItems": [TEXT]},
    "anyOf": {"anyOf": [TEXT, {"type": "integer"}]},
    "oneOf": {"oneOf": [TEXT, {"type": "integer"}]},
    "allOf": {"allOf": [{"type": "string"}, {"maxLength": 3}]},
    "not": {"type": "string", "not": {"const": "x"}},
    "const": {"const": "x"},
    "enum": {"type": "string", "enum": ["x", "y"]},
    "additionalProperties": {"type": "object", "properties": {}, "additionalProperties": TEXT},
    "patternProperties": {"type": "object", "patternProperties": {"^a": TEXT}},
    "propertyNames": {"type": "object", "propertyNames": {"pattern": "^a"}},
    "default": {"type": "string", "default": "x"},
    "examples": {"type": "string", "examples": ["x"]},
    "title": {"type": "string", "title": "A"},
    "$ref": {"$ref": "#/$defs/a"},
    "items": {"type": "array", "items": TEXT},
    "required": {"type": "object", "properties": {"b": TEXT}, "required": ["b"]},
}


def _keywords(schema: Any) -> set[str]:
    """Return the keywords of a schema, without the names of properties."""
    found = set(schema) if isinstance(schema, dict) else set()
    below = [*schema.get("properties", {}).values()] if isinstance(schema, dict) else []
    for key in found - {"properties", "enum", "description", "default", "examples", "const", "required"}:
        below += schema[key] if isinstance(schema[key], list) else [schema[key]]
    return found.union(*(_keywords(each) for each in below if isinstance(each, dict)))


def _schemas_in(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the schemas of arguments in the form of any API."""
    return [each.get("input_schema") or each.get("parameters") or each["function"]["parameters"] for each in tools]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("server", REFUSALS)
async def test_a_server_that_refuses_a_keyword_gets_simpler_tools(edge: EdgeServer, server: str, path: str) -> None:
    """The call is made, whichever keyword a server refuses, and each model of this server begins with what it took."""
    call = ToolCall(id="c1", name="use", arguments="{}")
    for keyword, part in KEYWORDS.items():
        declared: dict[str, Any] = {"type": "object", "properties": {"a": part}, "$defs": {"a": TEXT}}

        def answer(_: object, keyword: str = keyword) -> Says | Raw:
            refused = any(keyword in _keywords(each) for each in _schemas_in(edge.calls[-1].body["tools"]))
            return Raw(400, {"error": {"message": REFUSALS[server]}}) if refused else Says(calls=(call,))

        edge.answer(answer)
        tool = ToolSpec("use", "Use it.", sent_schema(declared).schema)
        request = Request("a", "", [Message(role="user", text="go")], tools=[tool])
        numbers, key = [], f"sk-{server}-{keyword}-12345678".replace(" ", "-")
        for _ in range(2):
            model, before = adapter(path, edge.url, api_key=key), len(edge.calls)
            (made,) = (await model.answer(request)).calls
            assert made.name == "use", keyword
            numbers.append(len(edge.calls) - before)
            await model.close()
        assert (numbers[0] in (2, 3, 4), numbers[1]) == (True, 1), (keyword, numbers)
        described = json.dumps(edge.calls[-1].body["tools"])
        assert keyword in described or keyword in ("title", "additionalProperties", "$ref", "allOf"), keyword


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("way", ["400", "500", "stream"])
async def test_a_refusal_is_recognized_in_other_words(edge: EdgeServer, path: str, way: str) -> None:
    """Also with the status 500, and as an event of a stream that began with the status 200."""
    words = OTHER_REFUSALS | REFUSALS
    if way != "400":  # without the status, only a text that says what failed is a refusal
        names = ("llama.cpp", "LM Studio", "Bedrock, value", "Fireworks", "Cerebras", "Groq", *[*OTHER_REFUSALS][:2])
        words = {name: words[name] for name in names}
    for server, message in words.items():

        def answer(_: object, message: str = message) -> Says | Raw:
            if "pattern" not in _keywords(_schemas_in(edge.calls[-1].body["tools"])[0]):
                return Says("done")
            if way == "stream":
                error = {"type": "error", "error": {"message": message, "code": "server_error", "type": "server_error"}}
                return Raw(events=(Event(error | error["error"] if path == PATHS[1] else error, "error"),))  # type: ignore[operator]
            return Raw(int(way), {"error": {"message": message, "type": "server_error" if way == "500" else ""}})

        edge.answer(answer)
        schema = sent_schema({"properties": {"a": {"type": "string", "pattern": "^a"}}}).schema
        tools, key = [ToolSpec("use", "Use it.", schema)], f"sk-{server}-{way}-12345678".replace(" ", "-")
        heard: list[str] = []
        model = adapter(path, edge.url, api_key=key)
        request = Request("a", "", [Message(role="user", text="go")], tools=tools, on_text=heard.append)
        before = len(edge.calls)
        assert (await model.answer(request)).content == "done", server
        assert len(edge.calls) - before == 2, server
        await model.close()


@pytest.mark.parametrize("words", ["the database schema is being rebuilt", "Engine died", "tool server is restarting"])
async def test_a_failure_of_the_server_stays_one(edge: EdgeServer, words: str) -> None:
    """It may pass, and simpler tools would not help."""
    edge.always(Raw(500, {"error": {"message": words, "type": "server_error"}}))
    model = adapter(PATHS[2], edge.url)
    tool = ToolSpec("use", "Use it.", {"type": "object", "properties": {}})
    with pytest.raises(ModelOverloaded):
        await model.answer(Request("a", "", [Message(role="user", text="go")], tools=[tool]))
    assert len(edge.calls) == 1
    await model.close()


@pytest.mark.parametrize("path", PATHS)
async def test_only_the_tool_that_a_refusal_names_is_changed(
    edge: EdgeServer, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Other tools of the call, and of further calls, keep their schemas; further calls know the form of the one."""

    def answer(_: object) -> Says | Raw:
        sent = json.dumps(edge.calls[-1].body["tools"])
        message = "Invalid schema for function 'use-bad': 'pattern' is not permitted."
        return Raw(400, {"error": {"message": message}}) if '"pattern": "^b"' in sent else Says("done")

    edge.answer(answer)
    tools = [
        ToolSpec(name, "Use it.", sent_schema({"properties": {"a": {"type": "string", "pattern": pattern}}}).schema)
        for name, pattern in (("use", "^a"), ("use-bad", "^b"))
    ]
    counts = []
    for offered in (tools, tools, tools[:1]):
        model, before = adapter(path, edge.url, api_key=f"sk-named-{path}-12345678".replace("/", "-")), len(edge.calls)
        await model.answer(Request("a", "", [Message(role="user", text="go")], tools=offered))
        counts.append(len(edge.calls) - before)
        assert _schemas_in(edge.calls[-1].body["tools"])[0] == _schemas_in(edge.calls[0].body["tools"])[0]
        await model.close()
    assert counts == [2, 1, 1]
    assert "the tool use-bad is now described with simpler schemas" in caplog.text


async def test_a_refusal_that_seems_to_name_a_tool_changes_all_of_them_in_the_end(edge: EdgeServer) -> None:
    """A tool may have the name of a word in the refusal."""

    def answer(_: object) -> Says | Raw:
        refused = any("pattern" in _keywords(each) for each in _schemas_in(edge.calls[-1].body["tools"]))
        return Raw(400, {"error": {"message": REFUSALS["LM Studio"]}}) if refused else Says("done")

    edge.answer(answer)
    schema = sent_schema({"properties": {"a": {"type": "string", "pattern": "^b"}}}).schema
    tools = [ToolSpec("tools", "Use it.", {"type": "object", "properties": {}}), ToolSpec("bad", "Use it.", schema)]
    model = adapter(PATHS[0], edge.url)
    response = await model.answer(Request("a", "", [Message(role="user", text="go")], tools=tools))
    assert response.content == "done"
    await model.close()


async def test_a_tool_in_words_is_not_strict(edge: EdgeServer) -> None:
    """A strict schema without properties would forbid each argument."""

    def answer(_: object) -> Says | Raw:
        (sent,) = _schemas_in(edge.calls[-1].body["tools"])
        refused = sent["properties"] or sent.get("additionalProperties")
        return Raw(400, {"error": {"message": REFUSALS["OpenAI"]}}) if refused else Says("done")

    edge.answer(answer)
    schema: dict[str, Any] = {"type": "object", "properties": {"a": TEXT}, "required": ["a"]}
    tool = ToolSpec("use", "Use it.", schema)
    for path in PATHS[1:]:
        model = adapter(path, edge.url)
        await model.answer(Request("a", "", [Message(role="user", text="go")], tools=[tool]))
        (sent,) = edge.calls[-1].body["tools"]
        assert not {**sent, **sent.get("function", {})}.get("strict")
        await model.close()


def test_what_some_providers_do_not_know_is_left_out() -> None:
    """`not` of an optional property, an empty schema of further ones, and what is required and not declared."""
    schema, _ = FITTING["an optional property of zod"]
    assert sent_schema(schema).schema["properties"] == {
        "a": {"type": "string", "description": "A."},
        "b": {"anyOf": [{"not": {}}]},
    }
    assert sent_schema(FITTING["a property that nothing fits"][0]).schema["properties"] == {"c": TEXT}
    assert sent_schema(FITTING["a record of anything"][0]).schema["additionalProperties"] is True
    inside = sent_schema(FITTING["required and undeclared inside"][0]).schema["properties"]
    assert inside["a"]["properties"] == {"b": TEXT, "c": {}}  # type: ignore[index,call-overload]
    assert sent_schema(BROKEN["a reference by name"]).schema["$defs"] == {"Range": TEXT}


@pytest.mark.parametrize(
    "words",
    [
        "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        "Bedrock doesn't support tool calling without `tools=` param specified. Pass `tools=` param.",
        "litellm.UnsupportedParamsError: Anthropic doesn't support tool calling without `tools=` param specified.",
        "Requests which include `tool_use` or `tool_result` blocks must define tools",
        "Assistant message uses tools, but tools are not declared",
        "'messages[3]' has a tool call, but the request is missing tool definitions in the 'tools' field.",
        "Tool 'look' was called in the history but is not defined in tools",
        "messages.1: unknown tool: look",
        "tools: at least one tool is needed when messages have tool calls",
        "Function look is not found in the function declarations",
        "tool_calls in history require the tools field",
        "The conversation has tool calls, but no tools were given",
        "history has tool calls: resend the tools",
        "Tool 'look' referenced in messages was never declared",
        "Converse: toolConfig is null",
        "No tool definition found for function call look",
        "Tool calls in messages must have corresponding tools",
        "tools must be specified if preceding messages contain tool calls",
        "`tools` cannot be empty if a message has the role `tool`",
    ],
)
async def test_a_conversation_goes_on_without_its_tools(edge: EdgeServer, model: Made, words: str) -> None:
    """A server that wants a description of each tool that the conversation names gets one, also in the next turn."""

    def answer(_: object) -> Says | Raw:
        return Says("done") if edge.calls[-1].body.get("tools") else Raw(400, {"error": {"message": words}})

    call = ToolCall(id="c1", name="look", arguments="{}")
    messages = [
        Message(role="user", text="go"),
        Message(role="assistant", calls=(call,)),
        Message(role="tool", text="found", call_id="c1"),
    ]
    edge.answer(answer)
    for number in (2, 1):
        before = len(edge.calls)
        assert (await limited(model, Request("a", "", messages))).content == "done"
        assert len(edge.calls) - before == number
    assert [*edge.received()[-1].tools] == ["look"]


@pytest.mark.parametrize(
    "words",
    [
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: c1.",
        "Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.",
        "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
        "No tool output found for function call call_abc.",
        "Did not find 1 `tool_result` block(s) at the beginning of this message.",
        "No tool call found for function call output with call_id call_abc.",
        "max_tokens must be at least 1",
        "registry.ollama.ai/library/gemma does not support tools",
    ],
)
async def test_another_refusal_adds_no_tools(edge: EdgeServer, model: Made, words: str) -> None:
    """One about the pairs of calls and results, or about something else, is reported at once."""
    call = ToolCall(id="c1", name="look", arguments="{}")
    messages = [
        Message(role="user", text="go"),
        Message(role="assistant", calls=(call,)),
        Message(role="tool", text="found", call_id="c1"),
    ]
    edge.always(Raw(400, {"error": {"message": words}}))
    with pytest.raises(BadRequest, match="does not accept the request"):
        await limited(model, Request("a", "", messages))
    assert len(edge.calls) == 1


async def test_a_refusal_that_tools_do_not_change_is_reported(edge: EdgeServer, model: Made) -> None:
    """The error is the one of the call without the descriptions, which is the call that the agent wanted to make."""
    call = ToolCall(id="c1", name="look", arguments="{}")
    messages = [
        Message(role="user", text="go"),
        Message(role="assistant", calls=(call,)),
        Message(role="tool", text="found", call_id="c1"),
    ]
    edge.play(
        Raw(400, {"error": {"message": "This model needs a license for tools."}}),
        Raw(400, {"error": {"message": "second"}}),
    )
    with pytest.raises(BadRequest, match="license"):
        await limited(model, Request("a", "", messages))
    assert len(edge.calls) == 2
