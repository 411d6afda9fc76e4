"""An MCP server whose tools and answers a test writes into a file, which is read anew for each request.

`wild_mcp_server.py FILE`, over stdio, of the revision 2025-06-18. The file is a JSON object: `tools` is the list, and
`answers` has for a tool's name the result of a call as a JSON text, which is sent as it is. The answer to any other
call is a text with the name and the arguments. `FILE.log` gets the name of each tool that is called.
"""

import json
import sys
from pathlib import Path

FILE = Path(sys.argv[1])


def result_of(method: str, params: dict[str, object]) -> str | None:
    """Return the result of a request as JSON; None for a method that the server does not know."""
    given = json.loads(FILE.read_text(encoding="utf-8"))
    if method == "initialize":
        info = {"name": "wild", "version": "1"}
        return json.dumps({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info})
    if method == "tools/list":
        return json.dumps({"tools": given["tools"]})
    if method == "tools/call":
        name = str(params["name"])
        with Path(f"{FILE}.log").open("a", encoding="utf-8") as log:
            log.write(f"{name}\n")
        echo = {"content": [{"type": "text", "text": f"{name} {json.dumps(params.get('arguments'))}"}]}
        return str(given.get("answers", {}).get(name, json.dumps(echo)))
    return None


for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    found = result_of(request["method"], request.get("params") or {})
    unknown = '"error": {"code": -32601, "message": "there is no such method"}'
    part = unknown if found is None else f'"result": {found}'
    sys.stdout.write(f'{{"jsonrpc": "2.0", "id": {json.dumps(request["id"])}, {part}}}\n')
    sys.stdout.flush()
