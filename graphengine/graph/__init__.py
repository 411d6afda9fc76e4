"""Declarations of a graph: nodes, edges, conditions, prompts and questions."""
