"""The orchestrator and its workers."""
