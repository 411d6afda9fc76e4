"""Data sets and scorers for the bundled workflows; `graphengine eval` runs them."""
