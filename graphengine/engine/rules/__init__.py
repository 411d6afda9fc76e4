"""The rules of movement, one subject in each module."""
