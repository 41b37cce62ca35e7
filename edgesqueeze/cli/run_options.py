"""Options of more than one command that runs a recipe."""

from pathlib import Path
from typing import Annotated

import typer

from edgesqueeze.cli.completing import recipe_names

RecipeName = Annotated[
    str | None,
    typer.Option(help="A YAML file, or the name of a bundled recipe.", autocompletion=recipe_names),
]
RedoFrom = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="STAGE",
        help="With --resume: do this stage again and all behind it; a name, or a folder's, as in 02-prune.",
    ),
]
TensorBoardPlace = Annotated[
    Path | None,
    typer.Option("--tensorboard", help="Also write TensorBoard's event files into this directory."),
]
MLflowPlace = Annotated[
    str | None,
    typer.Option(
        "--mlflow", metavar="URI", help="Also tell MLflow; a tracking URI, as in sqlite:///mlflow.db."
    ),
]
