"""The typed state of a run: its fields, their values and records, and what reads and writes them."""
