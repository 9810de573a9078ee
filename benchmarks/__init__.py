"""Speed and memory against plain alternatives."""
