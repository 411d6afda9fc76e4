"""Readers of many sources, and the one that merges their notes."""
