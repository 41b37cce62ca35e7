"""From a framework's program to a graph."""
