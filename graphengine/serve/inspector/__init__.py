"""The inspector: a local page that shows the runs of a database live, and answers, sends, stops and tags.

It is a view: runs are read through the store, folded by `graphengine.records.visits`, drawn by `graphengine.render`,
and changed through a `Runner`. `guard` decides which requests are served, `feed` watches the database, `books` keeps
the runs that are open in pages, `views` answers reads, `acts` writes, `server` serves. The page is in `static`.

It needs the extra `inspect`.
"""
