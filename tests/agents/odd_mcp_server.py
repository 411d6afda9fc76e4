"""An MCP server for situations that correct servers do not cause; quick to start, since it imports no MCP package.

`odd_mcp_server.py KIND [FILE]`. A call returns the id of its process, and writes to standard error. The kinds:

    plain    nothing more, with the tool `act`, which the others have too unless stated otherwise
    pages    lists three tools in three pages
    circle   lists a page that links to itself
    names    lists names that no provider accepts
    clash    lists two names that become the same
    again    lists a tool twice, in the same words
    twice    lists two different tools of one name
    many     lists 2,000 tools
    long     lists a name that is just short enough
    silent   never answers
    deaf     ignores methods that it does not know
    rubbish  writes invalid lines before each answer
    closing  ends when it is called
    once     ends when it is called, and starts only while FILE is missing, which it makes
    number   answers a call with an error that has the client's code for a closed connection
"""

import json
import os
import sys
from pathlib import Path

KIND = sys.argv[1]
NAMES = {
    "names": ["read.file", "größe", "plain"],
    "clash": ["read.file", "read_file"],
    "again": ["act", "act"],
    "twice": ["act", "look", "act"],
    "many": [f"tool_{number}" for number in range(2_000)],
    "long": ["x" * 64],
}
PAGES = {None: (["one"], "b"), "b": (["two"], "c"), "c": (["three"], None)}


def spec_of(name: str) -> dict[str, object]:
    """Return a tool as the list has it."""
    return {"name": name, "title": f"The {name}", "inputSchema": {"type": "object"}}


def listed(cursor: str | None) -> dict[str, object]:
    """Return a page of the list."""
    if KIND == "circle":
        return {"tools": [spec_of(f"after-{cursor}")], "nextCursor": "again"}
    names, following = PAGES[cursor] if KIND == "pages" else (NAMES.get(KIND, ["act"]), None)
    specs = [spec_of(name) for name in names]
    if KIND == "twice":
        specs[-1]["title"] = "Another"
    page: dict[str, object] = {"tools": specs}
    return page | ({"nextCursor": following} if following is not None else {})


def answered(method: str, params: dict[str, str]) -> dict[str, object]:
    """Return the result of a request."""
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "odd", "version": "1"},
        }
    if method == "tools/list":
        return listed(params.get("cursor"))
    if KIND in ("closing", "once"):
        sys.exit(3)
    sys.stderr.write(f"called with ODD_TOKEN={os.environ.get('ODD_TOKEN')}\n")
    sys.stderr.flush()
    return {"content": [{"type": "text", "text": str(os.getpid())}]}


def main() -> None:
    """Answer requests until the input ends."""
    if KIND == "once":
        if Path(sys.argv[2]).exists():
            sys.exit("it is there already")
        Path(sys.argv[2]).touch()
    for line in sys.stdin:
        asked = json.loads(line)
        if KIND == "silent" or "id" not in asked or (KIND == "deaf" and asked["method"] == "server/discover"):
            continue
        reply: dict[str, object] = {"jsonrpc": "2.0", "id": asked["id"]}
        if asked["method"] == "server/discover":
            reply["error"] = {"code": -32601, "message": "no such method"}
        elif KIND == "number" and asked["method"] == "tools/call":
            reply["error"] = {"code": -32000, "message": "the shelf is locked"}
        else:
            reply["result"] = answered(asked["method"], asked.get("params") or {})
        if KIND == "rubbish":
            os.write(1, b"plain words\n\xff\xfe\n{}\n")
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
