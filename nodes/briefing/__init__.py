"""Agents and functions of the bundled workflows, each usable and testable on its own, without a graph."""
