"""``edgesqueeze deploy``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from edgesqueeze.cli.ending import Ending
from edgesqueeze.cli.printing import say
from edgesqueeze.devices.targets import Target
from edgesqueeze.errors import RecipeError


def deploy(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="The directory of a finished run.")],
    target: Annotated[Target, typer.Option(help="Whom it is for; android: no Python programs.")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="The archive to write, a .zip; of c-array also a directory."),
    ],
    files: Annotated[
        list[str] | None,
        typer.Option("--file", help="A file of the run's artifacts; again for more. Default: the smallest."),
    ] = None,
    sign: Annotated[
        Path | None, typer.Option(metavar="KEY.pem", help="Sign the manifest with this private Ed25519 key.")
    ] = None,
) -> None:
    """Bundle a run's files for a device: models, manifest, golden answers, programs that need numpy alone.

    A run whose recipe has its own code is a program: deploy only those you trust.
    """
    if target is Target.C_ARRAY:
        if sign is not None:
            raise RecipeError("nothing on a microcontroller reads a signature; leave --sign out")
        context.ensure_object(Ending).writes_files()
        _write_c_arrays(run, output, files or ())
        return
    from edgesqueeze.devices.bundle import write_bundle

    if output.suffix != ".zip":
        raise RecipeError(f"a bundle is a .zip file, found {output}")
    context.ensure_object(Ending).writes_files()
    bundle = write_bundle(run, target, output, files or (), sign)
    _list(bundle.files)
    say(f"{bundle.path}  {bundle.path.stat().st_size:,} bytes, sha256 {bundle.sha256}")
    if bundle.public_key is not None:
        say(f"signed; on the device: python selftest.py --key {bundle.public_key}")


def _write_c_arrays(run: Path, output: Path, files: Sequence[str]) -> None:
    from edgesqueeze.devices.micro.arrays import write_c_arrays

    written = write_c_arrays(run, output, files)
    _list(written.files)
    say(f"operators: {', '.join(written.operators)}")
    say(
        f"activations alive at once: {written.tensor_bytes:,} bytes; the arena needs this and what "
        "TensorFlow Lite Micro keeps beside them"
    )


def _list(files: Mapping[str, int]) -> None:
    for name, size in sorted(files.items()):
        say(f"{size:>12,}  {name}")
