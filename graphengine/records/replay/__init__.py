"""Replay: decide a recorded run again with today's graph, and report what differs."""
