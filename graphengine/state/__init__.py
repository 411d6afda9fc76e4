"""The typed state of a run: its fields, their values and records, and the code that reads and writes them."""
