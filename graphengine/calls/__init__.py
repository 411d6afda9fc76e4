"""Calls of user functions: interrupts, time limits, and the guard against runs at import."""
