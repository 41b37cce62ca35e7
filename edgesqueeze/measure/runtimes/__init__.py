"""Loading, running and timing model files."""
