#!/bin/sh
# One `ray.init()` on a machine keeps programs from connecting to every cluster that `ray start` begins there later.
#
# `ray.init()` without an address writes a token to ~/.ray/auth_token, for its own cluster, and leaves it there. From then
# on `ray start --head` finds it and asks for it. `ray.init(address=…)` does not look there unless RAY_AUTH_MODE=token is
# set: it fails after 20 seconds with "ConnectionError: Failed to connect to Ray cluster", on the machine and as the user
# that have the token. Before the first call, the same two commands connect.
#
# Found where a test that began a cluster of its own broke those that ran after it. So tests keep HOME apart, and an error
# about a cluster that does not answer says why.
#
# Seen with Python 3.11, ray 2.60.0.
set -eu
folder=$(mktemp -d /tmp/rXXXX)
clean() {
  for each in /proc/[0-9]*; do # only what was started here: its libraries or its arguments are in the folder
    { cat "$each/maps" "$each/cmdline" | grep -aq "$folder"; } 2>/dev/null && [ "${each#/proc/}" != $$ ] && kill -9 "${each#/proc/}" 2>/dev/null
  done
  rm -rf "$folder"
}
trap 'clean || true' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ray==2.60.0 2>/dev/null
mkdir "$folder/home"
export HOME="$folder/home" RAY_USAGE_STATS_ENABLED=0
unset RAY_ADDRESS RAY_AUTH_MODE 2>/dev/null || true
small="--num-cpus 1 --object-store-memory 80000000 --include-dashboard=false"
connect() { # port
  "$folder/venv/bin/ray" start --head --port "$1" --temp-dir "$folder/$1" $small >/dev/null 2>&1 </dev/null
  "$folder/venv/bin/python" - "$1" 2>/dev/null <<'PY' || true
import sys
import ray

try:
    ray.init(address=f"127.0.0.1:{sys.argv[1]}", log_to_driver=False)
    print("connected")
except Exception as error:
    print(type(error).__name__)
PY
}
before=$(connect 6481)
"$folder/venv/bin/python" -c "import ray; ray.init(num_cpus=1, include_dashboard=False, _temp_dir='$folder/own')" >/dev/null 2>&1
after=$(connect 6482)
echo "ray.init(address=…) to a new cluster, before and after one ray.init() without an address: $before, $after"
[ "$before, $after" = "connected, ConnectionError" ] || { echo "changed" >&2; exit 1; }
