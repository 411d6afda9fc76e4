"""Specialists at a shared board."""
