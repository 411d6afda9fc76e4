"""Read recorded runs: list, search, describe, compare, export and replay runs, and remove old ones.

The engine writes a log of steps for each run. This package reads those logs for the command line, the service, the
inspector's page and programs. Begin with `records.py`, whose class `Records` adds `runs()`, `rows()`, `waits()` and
`tag()` to the runner.

The modules by subject:

- Finding runs: `search` and `selection` choose the runs that a user asks for, `run_waits` lists the questions and
  messages that runs wait for, and `now` loads the present state of one run.
- Describing a run: `visits` and `visit_tree` turn a log into visits of nodes, `account` describes one step in words,
  `story` tells a whole run, and `words` and `readable` format amounts, times, names and values for people.
- JSON documents: `base_documents`, `step_document`, `json_document`, `event_json` and `json_schema` define the JSON
  that `--json`, the service and the page use.
- Comparing: `states`, `run_diff`, `graph_spec_diff` and `word_diff` compare states, runs, graphs and texts. `spending`
  adds up costs of one run, and `trends` and `sums` add up numbers over many runs.
- Moving and checking: `export` writes a run to a file. `replay` decides a recorded run again with today's graph.
- Changing many runs: `retention` and `kept_children` remove old runs, and `bulk` applies one action to many runs.
- Starting again: `same_start` checks whether a start with the id of a recorded run asks for the same run.

Most modules only read. Runs are changed by `Records.tag`, `bulk`, `retention`, and `answer_all` in `now`.

Words that this package uses in its own sense:

- A *step* is one entry of a run's log. Its *facts* are the data of the step, such as the edge that was taken.
- A *visit* is one stay of a run at a node, from the arrival to the departure. A visit can contain several attempts.
- A *frame* is one position of a run in a graph. The run itself, an arm of a fork, an item of a map and a graph inside a
  node each have a frame. A *track* is the history of a frame: the list of its visits.
- An *account* is the description of one step for people.
- A *document* is a complete JSON object with a version number, and a *part* is an object inside a document.
- A *loss* is something that went wrong although the run continued, such as a failed item, a retry or a fallback.
- A *mark* is a value that a condition on the past remembers, such as the best score so far.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
