"""The inspector: a local page that shows the runs of a database live, and lets one answer, send, stop and tag.

It is a view: runs are read through the store, folded by `graphengine.history.visits`, drawn by `graphengine.render`,
and acted on through a `Runner`. `guard` decides which requests are served, `feed` watches the database, `books` keeps
the runs that are looked at, `views` answers reads, `acts` writes, `server` serves. The page is in `static`.

It needs the extra `inspect`.
"""
