"""Readers of many sources, and the merger of their notes."""
