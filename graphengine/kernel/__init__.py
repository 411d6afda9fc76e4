"""What extensions and other wings import of the core: three pages of names, each loaded when it is first used.

This one has what runs are made of: steps, events, snapshots, statuses, errors, extensions, handles.
`graphengine.kernel.definitions` is for checks, pictures and patterns, which read and make graphs;
`graphengine.kernel.stores` is for authors of stores. Provisional: a name can change with a minor version. Programs that
define and run graphs need none of them. A page is the stub beside its module, which type checkers read too.
"""

from graphengine.kernel.pages import page_at

__getattr__, __dir__ = page_at(__name__, __file__)
