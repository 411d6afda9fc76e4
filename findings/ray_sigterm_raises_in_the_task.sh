#!/bin/sh
# Ray tells a worker to end by an exception in the middle of the task that runs there, which the task can keep.
#
# The worker's handler of SIGTERM raises SystemExit. A plain task that ends so fails as WorkerCrashedError. But whoever
# wraps tasks, and makes values of all their exceptions, gets SystemExit as a result of the task's own code: a machine
# that goes away, and what a task said by `sys.exit(1)`, look alike.
#
# Found where a cluster was restarted, and a run failed for good as if its node had called `sys.exit(1)`. It was seldom:
# most often the worker was gone before its answer came. So the traceback is asked whether a signal handler raised it.
#
# Seen with Python 3.11, ray 2.60.0.
set -eu
folder=$(mktemp -d /tmp/rXXXX)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ray==2.60.0 2>/dev/null
mkdir "$folder/home"
export HOME="$folder/home" RAY_USAGE_STATS_ENABLED=0
unset RAY_ADDRESS RAY_AUTH_MODE 2>/dev/null || true
seen=$("$folder/venv/bin/python" - "$folder" 2>/dev/null <<'PY' | grep "^SystemExit" # Ray prints that a worker died
import os
import signal
import sys
import time

import ray


def is_told_to_end():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def kept():
    try:
        is_told_to_end()
    except BaseException as error:
        return f"{type(error).__name__}({error})"


ray.init(num_cpus=1, include_dashboard=False, object_store_memory=80_000_000, log_to_driver=False,
         _temp_dir=f"{sys.argv[1]}/ray")
found = ray.get(ray.remote(max_retries=0)(kept).remote())
try:
    ray.get(ray.remote(max_retries=0)(is_told_to_end).remote())
except Exception as error:
    found += f" {type(error).__name__}"
print(found)
PY
)
echo "SIGTERM to the worker of a task that makes values of exceptions, and of a plain one: $seen"
[ "$seen" = "SystemExit(1) WorkerCrashedError" ] || { echo "changed" >&2; exit 1; }
