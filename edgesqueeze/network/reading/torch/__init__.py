"""From torch.export's program to a graph."""
