"""Checks of a declared graph, one subject in each module."""
