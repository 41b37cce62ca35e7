"""The ``.sqz`` file: see docs/format.md."""
