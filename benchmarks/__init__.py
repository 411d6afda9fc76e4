"""The cost of a step, a run and a start, compared with LangGraph, raw SQLite and bare Python.

`python -m benchmarks [NAME …]` runs the programs and prints the results. Each program is one function whose docstring
says exactly what the program measures. Some words have a fixed meaning in these modules:

- A *side* is one of the things that a program compares, such as graphengine or LangGraph.
- A *round* is one measurement of a side. The sides take turns, so that other work on the machine affects all of them.
- A *figure* is what was measured of one side: its median, and the range of its rounds.
- A *workload* is a graph and its input that several libraries can express.

Read `measure.py` first, which compares the sides, and then the programs: `memory.py`, `durable.py`, `stored.py`,
`startup.py`, `drawing.py`, `wide.py` (maps, forks, graphs as nodes) and `held.py` (memory of runs). `ours.py` and
`langgraph_side.py` contain the same small graphs, each as the users of the library would write them.
"""
