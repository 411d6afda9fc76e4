"""Tools for testing nodes and graphs with pytest or any other test runner.

The main tools, from the smallest test to the largest:

- `run_node` (in `alone.py`) runs one node without a store or the rest of the graph, and returns a `Done`.
- `walk` (in `walks.py`) follows the real edges of a graph with stubs in place of its nodes, and returns a `Walked`.
- The pytest plugin (`plugin.py` and `fixtures.py`) provides the fixtures `runner`, `store`, `clock`, `scripted_model`
  and `recordings`, runs async tests, and describes failed nodes below a failed test.
- `EdgeCoverage` reports which edges and conditions of graphs the tests never took.
- `replay` checks that today's graph decides a recorded run in the same way. `preflight` checks before a deploy whether
  all unfinished runs of a database can continue under today's graphs.
- `bounds` computes the most that a run can cost, and `forecast` predicts costs and times from recorded runs.
- `ExecutorConformance` contains the tests that every executor must pass.
- `evaluation` runs a graph on a data set and scores the results, and `suites.py` tests one component in several ways.

Words that this package uses in its own sense:

- A *stub* is the update that a node writes in a walk instead of running. A *script* is the list of stubs for one node.
- A *stage* is a run that was built to stop just before one node, so that the node can be run alone.
- A *trail* is the path of a run as one line of text, such as `write review write review END`.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
