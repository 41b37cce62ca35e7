"""What was written on a command line, as told from what is so by default."""

from collections.abc import Sequence

import typer


def options_given(context: typer.Context, names: Sequence[str]) -> list[str]:
    """Those of a command's options that its user gave, as ``--name``."""
    sources = {name: context.get_parameter_source(name) for name in names}
    given = [name for name, source in sources.items() if source is not None and source.name != "DEFAULT"]
    return [f"--{name.replace('_', '-')}" for name in given]
