"""Agents: nodes that ask a model."""

from graphengine.agents.agent import Agent

__all__ = ["Agent"]
