"""The press: from findings to a post that is published."""
