"""Onto a device that can be reached: a bundle is sent there, tests itself, and is timed."""
