"""Compilation of a declared graph: either a plan, or every problem with its place and repair."""
