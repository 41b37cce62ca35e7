"""Arithmetic that knows no model: clustering and schedules."""
