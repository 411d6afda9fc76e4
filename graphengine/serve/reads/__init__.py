"""The requests that read runs, for the HTTP service and for the inspector's page. `views.Views` has a method for each.

Each method returns a document of `serve.read_documents`. The other modules of this package compute parts of the
documents: `run_cache` keeps recently read runs in memory, `pictures` draws graphs, `moments` follows a run step by
step, `asked` and `about` find questions and their context, `results` searches the states of runs, `today` and `retried`
compare recent runs, and `why_not` explains why a run did not take an edge. `held` keeps slow results for a while.
"""
