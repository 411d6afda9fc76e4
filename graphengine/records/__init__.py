"""What is recorded, for people and programs: lists, documents, exports, replays, comparisons, and removal.

    records                              what `Runner.records` offers: begin here
    search, selection, run_waits, now    which runs are meant; what they wait for; where one is now
    visits, visit_tree, account, words   a log read by visits; a step in words; amounts and times for people
    base_documents, step_document, json_document, event_json, json_schema    the JSON of `--json`, the service, the page
    states, run_diff, graph_spec_diff, spending, trends      a run's states, comparisons, costs, sums over runs
    export, replay                       a run as a file; a run decided again from its records
    retention, kept_children, bulk       what is removed, and what is done to many runs
    again, begun                         a start with an id that may exist: start, resume or join it; compare its input

Only `again`, `bulk`, `retention`, and `answer_all` of `now` change runs, by what they are given to do so.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
