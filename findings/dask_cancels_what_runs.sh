#!/bin/sh
# The executor of dask's distributed says that it cancelled a call, which runs on to its end.
#
# `concurrent.futures.Future.cancel()` returns False for a call that runs: then whoever asked knows that it has to wait.
# The future of `Client.get_executor()` is never set running, so `cancel()` returns True at any time, `running()` is
# False while the call runs, and the worker finishes it. The one of `ThreadPoolExecutor` beside it returns False.
#
# Found where the next attempt of a node began beside the last one, whose time was over. So an executor over another
# engine sets its futures running at once, and waits for what cannot be ended.
#
# Seen with Python 3.11, dask and distributed 2026.8.0.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check distributed==2026.8.0 dask==2026.8.0 2>/dev/null
cat >"$folder/cancel.py" <<'PY'
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from distributed import Client


def work(folder, name):
    Path(folder, f"{name}-begun").touch()
    time.sleep(1)
    Path(folder, f"{name}-ended").touch()


if __name__ == "__main__":
    folder, found = sys.argv[1], []
    with Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client, ThreadPoolExecutor(1) as threads:
        for name, executor in (("dask", client.get_executor(pure=False)), ("threads", threads)):
            future = executor.submit(work, folder, name)
            while not Path(folder, f"{name}-begun").exists():
                time.sleep(0.05)
            said = future.running(), future.cancel()
            until = time.monotonic() + 10
            while not Path(folder, f"{name}-ended").exists() and time.monotonic() < until:
                time.sleep(0.05)
            found.append((name, *said, Path(folder, f"{name}-ended").exists()))
    print(found)
PY
found=$("$folder/venv/bin/python" "$folder/cancel.py" "$folder" 2>/dev/null | tail -n 1)
echo "executor, running(), cancel(), whether it ran to its end: $found"
[ "$found" = "[('dask', False, True, True), ('threads', True, False, True)]" ] || { echo "changed" >&2; exit 1; }
