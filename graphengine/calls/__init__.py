"""Calling the functions of users: what counts as an interrupt, and limits of time."""
