"""Optimal Brain Surgeon on whole layers: second moments of inputs, and rounding that makes up for errors."""
