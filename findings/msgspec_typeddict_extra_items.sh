#!/bin/sh
# msgspec 0.22.0 reads a TypedDict whose type declares further items (PEP 728, `extra_items=int`) and silently drops them:
# decode and convert return only the declared keys, also for a class that inherits from such a TypedDict. pydantic 2.14.4
# keeps and checks them. So a value that both type-check and that goes through msgspec comes back smaller, without an error.
# Seen on Python 3.11 with typing_extensions 4.16.0. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check msgspec==0.22.0 pydantic==2.14.4 typing_extensions==4.16.0
"$folder/venv/bin/python" - <<'PY'
import msgspec
import pydantic
from typing_extensions import TypedDict


class Prices(TypedDict, extra_items=int):
    currency: str


class Listed(Prices):
    shop: str


body = b'{"currency":"EUR","tea":3}'
read = msgspec.json.decode(body, type=Prices)
converted = msgspec.convert({"currency": "EUR", "shop": "a", "tea": 3}, Listed)
kept = pydantic.TypeAdapter(Prices).validate_json(body)
print("msgspec:", read, converted)
print("pydantic:", kept)
assert read == {"currency": "EUR"}
assert converted == {"currency": "EUR", "shop": "a"}
assert kept == {"currency": "EUR", "tea": 3}
PY
