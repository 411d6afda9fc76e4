"""The requests that read runs, for the HTTP service and for the inspector's page. `views.Views` has a method for each.

Each method returns a document of `serve.read_documents`. The other modules of this package compute parts of the
documents: `run_cache` keeps recently read runs in memory, `results` and `about` read single facts of a run, `asked`
lists open questions, `today` summarizes recent runs, and `why_not` explains why a run does not continue.
"""
