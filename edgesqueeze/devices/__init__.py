"""Onto the device: bundles that need neither torch nor this package."""
