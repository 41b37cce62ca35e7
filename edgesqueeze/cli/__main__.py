"""``python -m edgesqueeze.cli``."""

from edgesqueeze.cli.main import main

main()
