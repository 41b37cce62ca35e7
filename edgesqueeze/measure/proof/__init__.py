"""Proof that a file computes what its network computes, and where it does not."""
