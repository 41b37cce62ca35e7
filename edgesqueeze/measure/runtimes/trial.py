"""A file that a user names runs once in a process of its own: damaged, it may bring native code down."""

import json
import signal
import subprocess
import sys
from math import prod
from pathlib import Path

import numpy as np

from edgesqueeze.errors import EdgeSqueezeError, ExportError
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.facts import FileFacts, TensorFact
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.network.graph.check import MAX_ELEMENTS
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.trees import Tree

_SEED = 0
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from edgesqueeze.measure.runtimes.trial import run_once; run_once(sys.argv[2])"
)


def check_survives(path: Path) -> None:
    """Refuse a file that ends the process which loads and runs it.

    A file that is refused in any other way passes: whoever loads it then says why.

    Raises:
        ExportError: the process was ended by a signal.
    """
    command = [sys.executable, "-c", _CHILD, json.dumps(sys.path), str(path)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ExportError(f"{path} cannot be run: it ends its runtime's process ({name})")


def run_once(path: str) -> None:
    """What the process of its own does."""
    try:
        example = example_input(read_model_file(Path(path)))
        load_model(Path(path)).prepare(example)()
    except EdgeSqueezeError:
        pass  # said by whoever loads it next


def example_input(fact: FileFacts) -> Tree:
    """Seeded noise in the shapes the file asks for, a dynamic batch taken as 1; of several inputs a tuple.

    Raises:
        ExportError: an input has an open shape, or is larger than a network here may have.
    """
    found = tuple(_noise(fact, entry) for entry in fact.inputs)
    return found[0] if len(found) == 1 else found


def _noise(fact: FileFacts, entry: TensorFact) -> Floats:
    shown = "×".join("?" if n is None else str(n) for n in entry.shape)
    if not entry.shape or None in entry.shape[1:]:
        raise ExportError(
            f"{fact.path} has an input of shape {shown}; only the batch may be open to be timed"
        )
    known = [1 if n is None else n for n in entry.shape]
    if not 0 < prod(known) <= MAX_ELEMENTS:
        raise ExportError(f"{fact.path} has an input of shape {shown}; allowed are 1 to 2^28 values")
    noise = np.random.default_rng(_SEED).standard_normal(prod(known), dtype=np.float32)
    return noise.reshape(known)
