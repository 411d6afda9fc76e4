"""The research board and its specialists."""
