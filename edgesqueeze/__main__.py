"""``python -m edgesqueeze``."""

from edgesqueeze.cli.process import run

run()
