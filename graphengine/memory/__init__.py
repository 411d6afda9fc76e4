"""Memory: values that agents and nodes keep across runs, in the database of the runs.

`Memory` puts, gets, lists, searches and deletes entries, and makes the tools `remember` and `recall` for an agent
(`tools.py`). Each `MemoryEntry` has a *namespace*, which is a path such as `users/ada`, and a *key* that is unique in
the namespace. A search by *words* finds entries whose texts contain the words. A search by *meaning* compares vectors,
which an `embed=` function computes from texts. The statements for the table of entries differ between databases
(`graphengine.databases.memories`).

`erase` deletes all data of a user: memories, runs and accounts of budgets. The command `graphengine erase` calls it,
and writes the document in `documents.py`.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
