"""Parameters, bytes, MACs and latency of models and files side by side."""
