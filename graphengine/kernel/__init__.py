"""What extensions, stores and other wings import of the core: three tiers of names, each loaded on its first use.

- `graphengine.kernel.reader`: what has happened in runs, for everything that only reads.
- `graphengine.kernel.store`: what stores are given, return and refuse.
- `graphengine.kernel.extension`: what acts in runs, checks graphs, or makes them.

A name of a tier is public: the page says since when, and what stays. `graphengine.kernel.inside` has what our own wings
need besides; those names change without notice, and each is there for want of a better place. Errors are in
`graphengine.errors`, reducers in `graphengine.reducers`. Programs that define and run graphs need none of these.

A page is the stub beside its module, which type checkers read too.
"""
