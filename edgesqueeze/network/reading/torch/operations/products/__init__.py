"""Products of two tensors, and of one with a stored matrix along a dimension."""
