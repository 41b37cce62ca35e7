"""What all int8 peers do around their quantizer: time it, and record how it went."""

import json
import time
from collections.abc import Callable
from pathlib import Path


def write_variants(
    tool: str,
    settings: dict[str, str],
    quantize: Callable[[str, Path], None],
    directory: Path,
    suffix: str = ".onnx",
) -> None:
    """Write DIRECTORY/LABEL.onnx (or another suffix) for every label, and DIRECTORY/variants.json.

    A variant that the tool fails at is recorded with its error, so that a table can say so.

    Args:
        tool: name and version.
        settings: label to a description of the settings.
        quantize: writes the variant of a label to a path.
        directory: must exist.
        suffix: of the files.
    """
    facts = []
    for label, described in settings.items():
        start, error = time.perf_counter(), None
        try:
            quantize(label, directory / f"{label}{suffix}")
        except Exception as failure:  # whatever a peer raises is a result of its own
            lines = str(failure).strip().splitlines()
            error = f"{type(failure).__name__}: {lines[0] if lines else ''}"
        facts.append(
            {
                "label": label,
                "tool": tool,
                "settings": described,
                "seconds": time.perf_counter() - start,
                "error": error,
            }
        )
    (directory / "variants.json").write_text(json.dumps(facts))
