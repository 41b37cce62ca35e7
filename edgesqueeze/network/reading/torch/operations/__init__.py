"""How torch's operations are written as nodes: one file for each family."""
