"""What users call on a graph: it compiles, runs and draws itself with the packages below."""
