"""The command line: the program `graphengine` and its commands.

`main.py` lists the commands and contains the frame around each of them. Each command is a module of its own, which is
imported when the command is used. These modules are shared by several commands:

- `context.py` contains `CommandContext`, the object that every command gets first: the output, the options and the
  database of this call.
- `options.py` contains the options of several commands, the help, and completions.
- `project.py` finds graphs by file or name, and `places.py` finds projects and databases.
- `driving.py` drives one run and stops it on a signal, `progress.py` shows a run while it is driven, and `report.py`
  shows its outcome.
- `documents.py` contains the documents that commands write under `--json`.

Some words have a fixed meaning in these modules:

- To *drive* a run is to execute its nodes in this process. Only one process drives a run at a time.
- A *visit* is one execution of a node. A *snapshot* is the state of a run after one of its steps.
- A *reference* is the user's name of a graph: FILE, FILE:NAME or NAME.
- The *place* of a run is its database, with the option `--store` by which suggested commands find the database.
- A *job* is what a command needs to drive one run. A *fleet* is what a command needs to drive runs of many graphs.
- A *channel* is stdout or stderr. Its *transient line* shows progress at the bottom of a terminal, until the next
  output replaces the line.
- A *wing* is a part of the package, or of another package, that adds commands; see `graphengine.wings`.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
