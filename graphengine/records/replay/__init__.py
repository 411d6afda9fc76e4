"""Decide a recorded run again with today's graph, and report the differences.

`replay` returns a `Replayed`, which lists each step that today's graph decides differently as an `Otherwise`. Users
replay runs before they deploy a changed graph, to see which recorded runs would have taken another path.
"""
