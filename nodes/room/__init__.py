"""The writers' room."""
