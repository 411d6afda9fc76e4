#!/bin/sh
# litellm repeats a request that the server refused for good, but only where another package happens to be installed.
#
# A server answers 422 with `x-should-retry: false`: the request itself is wrong, and the official client of OpenAI sends
# it once. `litellm.completion(num_retries=2)` catches the error of that client, whatever its status, and asks for the
# whole completion again: three requests, three times the work. That needs tenacity, which litellm does not require;
# without it, the same line of code sends one request, and what the server said is lost behind "tenacity import failed".
#
# Found where a test said "a failed run is made once", and was green since tenacity was missing. So a test of retries has
# to show that they happen at all, and a server that must not act twice cannot trust a status: it needs a key.
#
# Seen with Python 3.11, litellm 1.108.7, openai 3.57.0, tenacity 9.2.1.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check litellm==1.108.7 openai==3.57.0 2>/dev/null
cat >"$folder/ask.py" <<'PY'
import json, os, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
count = 0


class Refuses(BaseHTTPRequestHandler):
    def do_POST(self):
        global count
        count += 1
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"error": {"message": "it failed for good", "type": "invalid_request_error"}}).encode()
        self.send_response(422)
        for name, value in (("x-should-retry", "false"), ("content-type", "application/json"), ("content-length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Refuses)
threading.Thread(target=server.serve_forever, daemon=True).start()
import litellm

words = {"api_base": f"http://127.0.0.1:{server.server_port}/v1", "api_key": "none", "messages": [{"role": "user", "content": "Hi"}]}
found = []
for more in ({}, {"num_retries": 2}):
    count = 0
    try:
        litellm.completion(model="openai/x", **words, **more)
    except Exception as error:
        found.append((count, type(error).__name__))
print(found)
PY
without=$("$folder/venv/bin/python" "$folder/ask.py" 2>/dev/null | tail -n 1)
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tenacity==9.2.1 2>/dev/null
with=$("$folder/venv/bin/python" "$folder/ask.py" 2>/dev/null | tail -n 1)
echo "without tenacity: requests and error, by default and with num_retries=2: $without"
echo "with tenacity:    $with"
case "$without" in "[(1, "*", (1, "*) ;; *) echo "changed: without tenacity it was one request" >&2; exit 1 ;; esac
case "$with" in "[(1, "*", (3, "*) ;; *) echo "changed: with tenacity it was three requests" >&2; exit 1 ;; esac
