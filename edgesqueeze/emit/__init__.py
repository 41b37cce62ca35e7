"""Writing a graph as a runnable file: bytes in, no torch and no runtime needed."""
