"""The inspector: a local page that shows the runs of a database live, and answers, sends, stops and tags.

It is a client of what the HTTP service has, too: runs are read by `serve.reads`, and changed by `serve.callers_runner`;
`serve.routes` lists what can be requested. `guard` decides which requests are served, `streams` follows the database,
`driving` drives runs with `--drive`, `server` serves. The page is in `static`.

It needs the extra `inspect`.
"""
