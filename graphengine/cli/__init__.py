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

A *wing* is a part of the package, or of another package, that adds commands; see `graphengine.wings`.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
