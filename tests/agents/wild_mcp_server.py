"""An MCP server whose tools and answers a test writes into a file, which is read anew for each request.

`wild_mcp_server.py FILE`, over stdio, of the revision 2025-06-18. The file is a JSON object: `tools` is the list,
`answers` has for a tool's name the result of a call as a JSON text, which is sent as it is, and `lines`, for that name
or another method, the whole message, in which `ID` stands for the id of the request. The answer to any other call is a
text with the name and the arguments. `FILE.log` gets the name of each tool that is called, and `initialize` with the
capabilities of the client.
"""

import json
import sys
from pathlib import Path


class Wild:
    """The server, without a transport."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def answer(self, line: str) -> str:
        """Return the message that answers a request; "" for a notification."""
        request = json.loads(line)
        if "id" not in request:
            return ""
        given, identity = json.loads(self._file.read_text(encoding="utf-8")), json.dumps(request["id"])
        params = request.get("params") or {}
        is_call = request["method"] == "tools/call"
        name = params["name"] if is_call else request["method"]
        if name in given.get("lines", {}):
            if is_call:
                self._log(name)
            return str(given["lines"][name]).replace("ID", identity)
        found = self._result(request["method"], params, given)
        unknown = '"error": {"code": -32601, "message": "there is no such method"}'
        part = unknown if found is None else f'"result": {found}'
        return f'{{"jsonrpc": "2.0", "id": {identity}, {part}}}'

    def _result(self, method: str, params: dict[str, object], given: dict[str, dict[str, str]]) -> str | None:
        """Return the result of a request as JSON; None for a method that the server does not know."""
        if method == "initialize":
            self._log(f"initialize {json.dumps(params['capabilities'])}")
            info = {"name": "wild", "version": "1"}
            return json.dumps({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info})
        if method == "tools/list":
            return json.dumps({"tools": given["tools"]})
        if method == "tools/call":
            name = str(params["name"])
            self._log(name)
            echo = {"content": [{"type": "text", "text": f"{name} {json.dumps(params.get('arguments'))}"}]}
            return given.get("answers", {}).get(name, json.dumps(echo))
        if method == "resources/list":
            return json.dumps({"resources": [{"uri": "a:b", "name": "b"}]})
        if method == "resources/read":
            return json.dumps({"contents": [{"uri": params["uri"], "text": "it"}]})
        return None

    def _log(self, text: str) -> None:
        with Path(f"{self._file}.log").open("a", encoding="utf-8") as log:
            log.write(f"{text}\n")


if __name__ == "__main__":
    wild = Wild(Path(sys.argv[1]))
    for line in sys.stdin:
        if answered := wild.answer(line):
            sys.stdout.write(f"{answered}\n")
            sys.stdout.flush()
