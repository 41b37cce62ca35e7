"""The Markdown report of the networks: pure data."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from bench.reporting import table

Row = dict[str, Any]
PARTS = ("convolutional", "hybrids and transformers", "keras.applications")
_FAIR = 1e-3
_HEADER = [
    *(
        "network",
        "model file",
        "input",
        "params",
        "read",
        "to Keras",
        "fp32 ONNX",
        "fp32 TFLite",
        "int8",
        "ONNX ≠ TFLite",
    ),
    *("SQNR dB, ONNX", "TFLite", "float, ONNX", "float, TFLite", "what ended it"),
]


def report(rows: Sequence[Row]) -> list[str]:
    """The parts of the report: a count, a table and the reasons, for each part of the list."""
    parts = [
        "# Networks of torchvision, timm and Keras\n\nOne small variant of every model file, a classifier of "
        "10 classes with seeded random weights, layer by layer scaled so that activations have the size of "
        "trained ones.",
        "To Keras: largest difference to Keras's own answers as a fraction of their range. "
        "fp32: largest difference to torch as a fraction of the largest answer. int8: min-max ranges of 12 "
        "pictures "
        "of 1/f noise; what the parity gate says of both files on 4 others, and how many answers differ "
        "between them. "
        "SQNR: of those answers against torch. Float: operators of an int8 file that compute in float.",
    ]
    for part in PARTS:
        found = [row for row in rows if row["part"] == part]
        if found:
            parts += [f"## {part.capitalize()}", counts(found), table(_HEADER, [_cells(r) for r in found])]
            parts += _reasons(found)
    return parts


def counts(rows: Sequence[Row]) -> str:
    """One sentence: how many came how far."""
    read = sum(row["nodes"] is not None for row in rows)
    float_right = sum(_fair(row) for row in rows)
    equal = sum((row["gate"] or "").startswith("equal") for row in rows)
    wrong = sum(_wrong(row) for row in rows)
    return (
        f"Of {len(rows)} networks {read} are read, {float_right} are right in fp32 in both formats, {equal} "
        f"have int8 files that the gate finds equal ({100 * equal / len(rows):.0f} %), {wrong} are wrong."
    )


def reasons(rows: Sequence[Row]) -> list[tuple[str, list[str]]]:
    """What ended how many networks, most first: the operation or the exception, and the networks' names."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row["failure"] is not None:
            found[kind_of_failure(row["failure"])].append(row["name"])
    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))


def kind_of_failure(text: str) -> str:
    """A failure without the names, numbers and places of one network."""
    line = text.strip().splitlines()[0] if text.strip() else "no message"
    line = re.sub(r" \([^()]*line \d+[^()]*\)| \(\w+\.py:\d+\)", "", line)
    line = re.sub(r"'[\w.$/-]*'", "'…'", line)
    return re.sub(r"\d[\d,.]*", "n", line)[:160]


def _fair(row: Row) -> bool:
    errors = row["float_error"]
    return errors is not None and all(error < _FAIR for error in errors.values())


def _wrong(row: Row) -> bool:
    """Whether a file was written that answers otherwise than it should."""
    bad_float = row["float_error"] is not None and not _fair(row)
    return bad_float or (row["gate"] is not None and not row["gate"].startswith("equal"))


def _reasons(rows: Sequence[Row]) -> list[str]:
    found = reasons(rows)
    if not found:
        return []
    body = [[kind, str(len(names)), ", ".join(names)] for kind, names in found]
    return ["What ended how many:", table(["reason", "networks", "which"], body)]


def _cells(row: Row) -> list[str]:
    errors, islands = row["float_error"] or {}, row["islands"] or {}
    ratios, apart = row["sqnr_db"] or {}, row["differing"]
    failure = (row["failure"] or "").strip().splitlines() or [""]
    return [
        row["name"],
        row["file"],
        f"{row['image_size']}²",
        "–" if row["params"] is None else f"{row['params']:,}",
        "no" if row["nodes"] is None else f"{row['nodes']} nodes",
        "–" if row.get("source_error") is None else f"{row['source_error']:.1e}",
        *(f"{errors[kind]:.1e}" if kind in errors else "–" for kind in ("onnx", "tflite")),
        row["gate"] or "–",
        "–" if apart is None else f"{apart['onnx and tflite']} of {apart['of']}",
        *(f"{ratios[kind]:.1f}" if kind in ratios else "–" for kind in ("onnx", "tflite")),
        *(str(islands[kind]) if kind in islands else "–" for kind in ("onnx", "tflite")),
        f"{row['step']}: {failure[0]}".replace("|", "\\|") if row["failure"] else "",
    ]
