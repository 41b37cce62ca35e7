"""What the inputs of a .sqz file's network expect, and those of the files that it has templates of."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgesqueeze.coding.decoder.templates import Template
from edgesqueeze.formats.facts import TensorFact, input_line
from edgesqueeze.formats.names import RUNNABLE, FileFormat
from edgesqueeze.network.graph.nodes import Graph


def network_input_lines(graph: Graph) -> tuple[str, ...]:
    """What each input of a network expects, in one line."""
    return tuple(
        input_line(TensorFact(node.name, node.shape, "float32"), "NCHW", graph.normalization)
        for node in graph.inputs
    )


def template_input_lines(templates: Sequence[Template]) -> tuple[str, ...]:
    """The same of each model file, behind its name; weights do not matter, so they are left zero.

    Raises:
        ExportError: a template is of no such file as its name says.
    """
    from edgesqueeze.formats.any_file import read_model_file

    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for template in templates:
            path = Path(folder) / template.name
            if FileFormat.known(path) in RUNNABLE:
                with path.open("wb") as file:
                    file.truncate(template.num_bytes)
                    for offset, literal in template.skeleton():
                        file.seek(offset)
                        file.write(literal)
                lines += [f"{template.name}: {line}" for line in read_model_file(path).input_lines]
                path.unlink()
    return tuple(lines)
