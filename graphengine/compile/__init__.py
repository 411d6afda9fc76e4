"""From a declared graph to a plan: every problem with its place and its repair, or the compiled plan."""
