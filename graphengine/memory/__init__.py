"""Memory across runs: values by namespace and key, found by words or by meaning, in the database of the runs.

`kept.py` has the class, `tools.py` what an agent gets of it. The table is a part of each dialect:
`graphengine.databases.memories`.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
