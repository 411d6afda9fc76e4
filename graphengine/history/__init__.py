"""Reading recorded runs: states at a step, usage, export, JSON documents, replay."""
