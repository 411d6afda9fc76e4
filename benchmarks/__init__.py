"""What a step, a run and a start cost, beside LangGraph, raw SQLite and bare Python.

`python -m benchmarks [NAME …]` runs the programs and prints what they found; each program is one function that tells
in its docstring exactly what it measures. Read `measure.py` first (how two sides are compared), then the programs:
`memory.py`, `durable.py`, `stored.py`, `startup.py`, `drawing.py`, `wide.py` (maps, forks, graphs as nodes) and
`held.py` (what runs hold in memory). `ours.py` and `langgraph_side.py` hold the same small graphs,
each as its own users would write them.
"""
