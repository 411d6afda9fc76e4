"""Replay: decide a recorded run again with the graph of today, and report what differs."""
