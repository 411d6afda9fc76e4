"""An MCP server whose tools are the names in a file: `listing_mcp_server.py FILE KIND`, over stdio.

Each `tools/list` is a line in `FILE.log`. A call of `grow` adds the tool `grown`, one of `quit` adds `b`
and ends the server; a call of `work` reports progress every tenth of a second, as often as its
argument `times` says. The kinds:

    tells    of the revision 2025-06-18, says that it notifies of changed lists, and does
    mute     of that revision, says nothing
    stale    of the revision 2026-07-28, allows to keep no list
    kept     of that revision, allows to keep a list for an hour
"""

import json
import sys
import time
from pathlib import Path

FILE, KIND = Path(sys.argv[1]), sys.argv[2]
IS_NEW = KIND in ("stale", "kept")
ABOUT = {"capabilities": {"tools": {"listChanged": KIND == "tells"}}, "serverInfo": {"name": "list", "version": "1"}}
DONE = {"resultType": "complete", "cacheScope": "private", "ttlMs": 3_600_000 if KIND == "kept" else 0}


def send(**message: object) -> None:
    """Write a message."""
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def called(params: dict[str, dict[str, str]]) -> str:
    """Do what a call asks for, and return its text."""
    if str(params["name"]) == "grow":
        FILE.write_text(f"{FILE.read_text()} grown")
        if KIND == "tells":
            send(method="notifications/tools/list_changed")
    if str(params["name"]) == "quit":
        FILE.write_text("quit b")
        sys.exit(3)
    for number in range(int(params["arguments"].get("times", 0))):
        time.sleep(0.1)
        send(
            method="notifications/progress",
            params={"progressToken": params["_meta"]["progressToken"], "progress": number},
        )
    return f"{params['name']} is done"


def answered(method: str, params: dict[str, dict[str, str]]) -> dict[str, object] | None:
    """Return the result of a request; None for a method that it does not know."""
    if method == "server/discover" and IS_NEW:
        return {"supportedVersions": ["2026-07-28"], **ABOUT}
    if method == "initialize" and not IS_NEW:
        return {"protocolVersion": "2025-06-18", **ABOUT}
    if method == "tools/list":
        with Path(f"{FILE}.log").open("a", encoding="utf-8") as log:
            log.write("listed\n")
        return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in FILE.read_text().split()]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": called(params)}]}
    return None


for line in sys.stdin:
    request = json.loads(line)
    if "id" in request:
        result = answered(request["method"], request.get("params") or {})
        if result is None:
            send(id=request["id"], error={"code": -32601, "message": "there is no such method"})
        else:
            send(id=request["id"], result={**result, **(DONE if IS_NEW else {})})
