"""The cost of a step, a run and a start, compared with LangGraph, raw SQLite and bare Python.

`python -m benchmarks [NAME …]` runs the programs and prints the results. Each program is one function whose docstring
defines exactly what it measures. Read `measure.py` first (how two sides are compared), then the programs: `memory.py`,
`durable.py`, `stored.py`, `startup.py`, `drawing.py`, `wide.py` (maps, forks, graphs as nodes) and `held.py` (memory
of runs). `ours.py` and `langgraph_side.py` contain the same small graphs, each as its own users would write them.
"""
