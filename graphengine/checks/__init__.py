"""Checks of a declared graph, one subject per module."""
