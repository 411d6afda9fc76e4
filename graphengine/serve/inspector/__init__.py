"""The inspector: a local web page that shows the runs of a database live, answers questions and controls runs.

The inspector's server and the HTTP service share their code: both read runs by `serve.reads`, and change runs by
`serve.callers_runner`. `serve.routes` lists the requests. The module `guard` of `serve` decides which requests are
served. In this package, `streams` follows the database and sends changes to pages, `driving` drives runs if the option
`--drive` was given, and `server` starts and stops the server. The folder `static` contains the built page.

The inspector needs the extra `inspect`.
"""
