"""The names of the core that extensions, stores and other wings may import. Each name is loaded on first use.

A *wing* is everything that one package adds to graphengine. The names are listed on three pages, one for each kind of
package:

- `graphengine.kernel.reader`: for packages that only read what has happened in runs.
- `graphengine.kernel.store`: for stores.
- `graphengine.kernel.extension`: for packages that act in runs, check graphs, or make graphs.

These names are public. The documentation says since when, and what stays. `graphengine.kernel.inside` lists what
graphengine's own wings need in addition; those names can change without notice. Errors are in `graphengine.errors`,
reducers in `graphengine.reducers`. Programs that define and run graphs need none of these.

A page consists of a short module and a stub file beside it, which type checkers read, too.
"""
