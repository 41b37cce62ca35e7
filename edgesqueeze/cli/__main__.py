"""``python -m edgesqueeze.cli``."""

from edgesqueeze.cli.process import run

run()
