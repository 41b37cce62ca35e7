"""Graphs as ONNX models, in every precision."""
