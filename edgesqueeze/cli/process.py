"""The process of the command line. Signals are taken over first: everything else takes longer to import."""

from edgesqueeze.cli.ending import Ending


def run() -> None:
    """Entry point of ``edgesqueeze`` and ``python -m edgesqueeze``."""
    ending = Ending()
    ending.listen()
    try:
        from edgesqueeze.cli.main import main

        main(ending)
    finally:
        ending.conclude()
