"""Write the types of what the inspector's page reads, in TypeScript, from the OpenAPI description of its routes.

    python -m scripts.page_types

`tests/serve/inspector/test_static.py` compares the file with what this would write.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from graphengine.records.json_schema import schemas_of
from graphengine.records.story import Story
from graphengine.serve.read_documents import Doing
from graphengine.serve.routes import DRIVES, PREFIX, READS, WRITES
from graphengine.serve.service.openapi import described

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE: Final = Path(__file__).resolve().parents[1] / "graphengine" / "serve" / "inspector" / "page" / "src" / "types.ts"
_WIDTH: Final = 120
_HEAD: Final = """\
// What the server answers, by the route of the read. `python -m scripts.page_types` writes this file.

"""
_SIMPLE: Final = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def types() -> str:
    """Return the text of the generated TypeScript file."""
    paths, schemas = described([*READS, *WRITES, *DRIVES])
    schemas |= schemas_of([Story, Doing], "#/components/schemas/{name}")[1]
    answers: dict[str, Any] = {}
    for row in sorted((row for row in (*READS, *DRIVES) if row.body is None), key=lambda row: row.path):
        answer = paths[row.path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        answers[f'"{row.path.removeprefix(f"{PREFIX}/")}"'] = answer
    parts = [_interface(name, schema) for name, schema in sorted(schemas.items())]
    parts.append(_interface("Answers", {"properties": answers, "required": [*answers]}))
    return _HEAD + "\n".join(parts)


def _interface(name: str, schema: Mapping[str, Any]) -> str:
    """Convert the JSON Schema of a document to a TypeScript interface."""
    if "properties" not in schema:
        return f"export type {name} = {_type(schema)};\n"
    required = schema.get("required", ())
    lines = [f"export interface {name} {{"]
    for key, each in schema["properties"].items():
        about = each.get("description", "")
        if about and len(about) + 10 <= _WIDTH:
            lines.append(f"  /** {about} */")
        lines.append(f"  {key}{'' if key in required else '?'}: {_type(each)};")
    return "\n".join([*lines, "}", ""])


def _type(schema: Mapping[str, Any]) -> str:  # noqa: PLR0911 - one for each kind of schema
    """Convert the JSON Schema of a value to a TypeScript type."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(f'"{each}"' if isinstance(each, str) else str(each) for each in schema["enum"])
    if "prefixItems" in schema:
        return f"[{', '.join(_type(each) for each in schema['prefixItems'])}]"
    match schema.get("type"):
        case "array":
            inner = _type(schema.get("items", {}))
            return f"({inner})[]" if "|" in inner else f"{inner}[]"
        case "object":
            more = schema.get("additionalProperties", {})
            return f"Record<string, {_type(more) if isinstance(more, dict) else 'unknown'}>"
        case kind:
            return _SIMPLE.get(str(kind), "unknown")


if __name__ == "__main__":
    FILE.write_text(types(), encoding="utf-8")
    print(FILE)
