"""Counting, timing and running the files that were written."""
