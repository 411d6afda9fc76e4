#!/bin/sh
# With the default durability of langgraph, nodes that finished before the one that was killed run again.
#
# A graph runs a, b and c in a row, with SqliteSaver. The process is killed (SIGKILL) in c, after a and b have returned,
# and another process resumes it with invoke(None). With durability="sync" c alone runs again. With the default, "async",
# the checkpoint of a step is written while the next one runs, and c began before that of b was on the disk: b runs again
# too, sometimes a. With "exit" nothing at all is there, and the resume raises EmptyInputError.
#
# So a node whose effect must not happen twice is not protected by the node after it, only by durability="sync".
#
# Seen with Python 3.11, langgraph 1.2.24, langgraph-checkpoint-sqlite 3.1.2.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check langgraph==1.2.24 langgraph-checkpoint-sqlite==3.1.2 2>/dev/null
cat >program.py <<'PY'
import os, signal, sqlite3, sys
from typing import TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph


class State(TypedDict):
    n: int


def node(name):
    def run(state):
        with open("log", "a") as log:
            log.write(name)
        if name == "c" and sys.argv[1] == "start":
            os.kill(os.getpid(), signal.SIGKILL)
        return {"n": state["n"] + 1}

    return run


graph = StateGraph(State)
for name in "abc":
    graph.add_node(name, node(name))
for edge in ((START, "a"), ("a", "b"), ("b", "c"), ("c", END)):
    graph.add_edge(*edge)
app = graph.compile(checkpointer=SqliteSaver(sqlite3.connect("runs.db", check_same_thread=False)))
options = {"durability": sys.argv[2]} if len(sys.argv) > 2 else {}
app.invoke({"n": 0} if sys.argv[1] == "start" else None, {"configurable": {"thread_id": "t"}}, **options)
PY
again() {
  rm -f log runs.db*
  venv/bin/python program.py start $1 >/dev/null 2>&1 || true
  : >log
  venv/bin/python program.py resume $1 >/dev/null 2>&1 || echo -n "raises" >>log
  cat log
}
default=""
for _ in 1 2 3 4 5; do default="$default $(again "" 2>/dev/null)"; done
sync=$(again sync 2>/dev/null)
left=$(again exit 2>/dev/null)
echo "what a resume ran, five times by default:$default; sync: $sync; exit: $left"
case "$default" in *bc*) ;; *) echo "changed: by default nothing that had finished ran again" >&2; exit 1 ;; esac
[ "$sync" = c ] || { echo "changed: with sync more than c ran again" >&2; exit 1; }
[ "$left" = raises ] || { echo "changed: with exit there was something to resume" >&2; exit 1; }
