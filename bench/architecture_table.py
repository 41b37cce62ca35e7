"""The Markdown report of the architectures: pure data."""

from collections.abc import Sequence
from typing import Any

from bench.reporting import table

Row = dict[str, Any]
_LOOSE = ("RELU", "RELU6", "Relu", "Clip")
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE", "QuantizeLinear", "DequantizeLinear")


def report(rows: Sequence[Row], images: int) -> list[str]:
    """The parts of the report: answers, operators, sizes and times."""
    answers = (
        f"## Answers\n\n{images} pictures of 1/f noise. fp32: largest difference to torch in float64, as a "
        "fraction of the largest answer; beside it that of torch's own float32. int8: answers that differ "
        "(by how much at most) between ONNX Runtime and LiteRT, and between each and the integer reference "
        "by its rule; the two round bilinear resizes differently. At layer norms a runtime may differ by "
        "one, and what is behind follows: the gate compares every such node by itself, from the same "
        "integers (excused: how many values differ there, in both files), and all others exactly. Stored: "
        "int8 weights, int32 biases, scales and zero points that are equal in both int8 files."
    )
    operators = (
        "## Operators\n\nOperators of the files, conversions between integers and floats aside. Loose: a "
        "ReLU or ReLU6 that is an operator of its own. Float: computed in float in an int8 file, in TFLite "
        "as the file says, in ONNX as ONNX Runtime has optimized it. Not XNNPACK's: run by LiteRT's kernels."
    )
    sizes = (
        "## Sizes and times\n\nBytes of the files, and how many times smaller int8 is. Seconds of one core: "
        "for the graph (tracing by torch.export, folding, fusing), for calibration and integers, and for "
        "writing each file."
    )
    return [
        "# torchvision's convolutional architectures\n\nRandom weights, layer by layer scaled so that "
        "activations have the size of trained ones.",
        answers,
        table(_ANSWERS, [_answers(row) for row in rows]),
        operators,
        table(_OPERATORS, [_operators(row) for row in rows]),
        sizes,
        table(_SIZES, [_sizes(row) for row in rows]),
    ]


_ANSWERS = [
    *("model", "input", "params", "fp32 ONNX", "fp32 TFLite", "torch", "int8 answers", "ONNX ≠ TFLite"),
    *("ONNX ≠ reference", "TFLite ≠ reference", "gate", "excused ±1", "stored"),
]


def _answers(row: Row) -> list[str]:
    between, of_onnx, of_tflite = row["integers"]
    off = sum(node["differing"] for node in row["excused"])
    excused = f"{off:,} of {sum(n['values'] for n in row['excused']):,}" if row["excused"] else "–"
    return [
        row["model"],
        f"{row['image_size']}²",
        f"{row['params']:,}",
        *(f"{row['float_error'][name]:.1e}" for name in ("fp32.onnx", "fp32.tflite", "torch")),
        f"{between['values']:,}",
        *(_differing(entry) for entry in (between, of_onnx, of_tflite)),
        row["gate"],
        excused,
        "differ" if row["stored_equal"] is None else f"{row['stored_equal']:,}",
    ]


def _differing(entry: Row) -> str:
    return f"{entry['differing']:,} (≤ {entry['largest']})" if entry["differing"] else "0"


_OPERATORS = [
    *("model", "fp32 ONNX", "fp32 TFLite", "int8 ONNX", "int8 TFLite", "TRANSPOSE", "loose", "float, ONNX"),
    *("float, TFLite", "not XNNPACK's"),
]


def _operators(row: Row) -> list[str]:
    files = row["files"]
    return [
        row["model"],
        *(str(_total(files[name]["operators"])) for name in files),
        _per_file(files, ("TRANSPOSE",)),
        _per_file(files, _LOOSE[:2]),
        _named(files["int8.onnx"]["float_operators"]),
        _named(files["int8.tflite"]["float_operators"]),
        _named(_merged(files["fp32.tflite"]["undelegated"], files["int8.tflite"]["undelegated"])),
    ]


def _total(operators: dict[str, int]) -> int:
    return sum(count for name, count in operators.items() if name not in _CONVERSIONS)


def _per_file(files: Row, names: Sequence[str]) -> str:
    """How often some operators occur in the fp32 and in the int8 TFLite file."""
    counts = [
        sum(files[name]["operators"].get(operator, 0) for operator in names)
        for name in ("fp32.tflite", "int8.tflite")
    ]
    return str(counts[0]) if counts[0] == counts[1] else f"{counts[0]}, {counts[1]}"


def _merged(one: dict[str, int] | None, other: dict[str, int] | None) -> dict[str, int] | None:
    """The larger count of each."""
    if one is None or other is None:
        return None
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}


def _named(operators: dict[str, int] | None) -> str:
    if operators is None:
        return "?"
    return ", ".join(f"{count} {name}" for name, count in sorted(operators.items())) or "0"


_SIZES = [
    *("model", "fp32 ONNX", "fp32 TFLite", "int8 ONNX", "smaller", "int8 TFLite", "smaller", "graph s"),
    *("calibration s", "fp32 ONNX s", "fp32 TFLite s", "int8 ONNX s", "int8 TFLite s"),
]


def _sizes(row: Row) -> list[str]:
    files = row["files"]
    size = {name: entry["num_bytes"] for name, entry in files.items()}
    return [
        row["model"],
        f"{size['fp32.onnx']:,}",
        f"{size['fp32.tflite']:,}",
        *(
            cell
            for kind in ("onnx", "tflite")
            for cell in (f"{size[f'int8.{kind}']:,}", f"{size[f'fp32.{kind}'] / size[f'int8.{kind}']:.2f}×")
        ),
        f"{row['graph_seconds']:.1f}",
        f"{row['spec_seconds']:.1f}",
        *(f"{entry['seconds']:.1f}" for entry in files.values()),
    ]
