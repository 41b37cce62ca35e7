"""Graphs as TFLite models, in every precision."""
