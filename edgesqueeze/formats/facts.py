"""What an ONNX or TFLite file on disk holds: bytes, parameters, multiply-accumulates, operators.

Works on any such file, whoever wrote it. Nothing is guessed: multiply-accumulates that cannot be known
from the file are None.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from edgesqueeze.formats.names import Batch
from edgesqueeze.normalization import Normalization
from edgesqueeze.text.digits import limit

PRECISIONS = {
    "float32": "fp32",
    "float16": "fp16",
    "float64": "fp64",
    "bfloat16": "bf16",
    "int8": "int8",
    "uint8": "int8",
    "int4": "int4",
    "uint4": "int4",
}
"""Data type of the weights to the label of the whole file."""


@dataclass(frozen=True)
class TensorFact:
    """An input or output; a dimension that is only known at run time is None.

    ``scale`` and ``zero_point`` are those of integers that stand for scale × (q - zero_point).
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class WeightFact:
    """One tensor of parameters as stored.

    ``is_bias`` for vectors that are added or that scale channels, ``is_indices`` for places in a table of
    values; ``nonzero`` then counts the values.
    """

    name: str
    dtype: str
    size: int
    nonzero: int
    is_bias: bool
    is_indices: bool = False


@dataclass(frozen=True)
class FileFacts:
    """What a model file holds.

    ``num_bytes`` counts the file and, for ONNX, the external data files it names. ``params`` leaves out
    scales, zero points, shapes, running statistics and single constants of element-wise operations.
    ``macs`` are the multiply-accumulates of one run with a dynamic batch taken as 1, ``effective_macs``
    those on weights that are not zero; None where an operator or a shape does not tell, and then
    ``macs_unknown`` says which. ``operators`` maps an operator to how often it occurs, ``weight_dtypes`` a
    data type to the number of parameters stored so. ``float_weights`` names the weights that are kept in
    float in a file whose other weights are integers. ``precision`` is fp32, fp16, int8 (integer weights and
    integer arithmetic), dynamic (integer weights, and activations that become integers at run time),
    int8_weights (integer weights that become floats before use), int4 (likewise), codebook (weights that are
    taken from tables) or mixed. ``normalization`` is how pixels become the input, where the file says so, as
    ours do.
    """

    path: Path
    format: str
    num_bytes: int
    params: int
    nonzero_params: int
    macs: int | None
    effective_macs: int | None
    inputs: tuple[TensorFact, ...]
    outputs: tuple[TensorFact, ...]
    operators: dict[str, int]
    weight_dtypes: dict[str, int]
    float_weights: tuple[str, ...]
    precision: str
    normalization: Normalization | None = None
    macs_unknown: str | None = None

    @property
    def takes_pixels(self) -> bool:
        """Whether the input is pixels as they are, whose mean and std are in the file."""
        return self.normalization is not None and [t.dtype for t in self.inputs] == ["uint8"]

    @property
    def input_lines(self) -> tuple[str, ...]:
        """What each input expects, in one line."""
        layout = {"onnx": "NCHW", "tflite": "NHWC"}[self.format]
        return tuple(input_line(tensor, layout, self.normalization) for tensor in self.inputs)

    @property
    def flops(self) -> int | None:
        """Floating-point operations: a multiply-accumulate is two."""
        return None if self.macs is None else 2 * self.macs

    @property
    def batch(self) -> Batch:
        """How many inputs the file takes at once; 1 where its inputs do not agree."""
        firsts = {entry.shape[0] if len(entry.shape) > 1 else 1 for entry in self.inputs}
        first = firsts.pop() if len(firsts) == 1 else 1
        return "open" if first is None else first

    def to_json(self) -> dict[str, object]:
        """All facts as plain JSON values."""
        return {**asdict(self), "path": str(self.path), "flops": self.flops}


def input_line(tensor: TensorFact, layout: str, normalization: Normalization | None) -> str:
    """What an input expects: layout, type, range of values, and the mean and std of its pixels.

    Args:
        tensor: the input.
        layout: of images, ``NCHW`` or ``NHWC``.
        normalization: how pixels become it, if that is known.
    """
    open_size = ["N", *"?" * len(tensor.shape)]  # the first dimension is the batch
    shape = ", ".join(
        other if size is None else str(size) for size, other in zip(tensor.shape, open_size, strict=False)
    )
    start = f"input {tensor.name!r}: {tensor.dtype}"
    if normalization is None:
        return f"{start} [{shape}], not said how pixels become it"
    start = f"{start} {layout} [{shape}]"
    if tensor.dtype == "uint8":
        return f"{start}, pixels 0 to 255 as they are, {normalization.summary()} are inside"
    if tensor.scale is not None and tensor.zero_point is not None:
        steps = (
            f"round(x / {tensor.scale:.6g}) {'-' if tensor.zero_point < 0 else '+'} {abs(tensor.zero_point)}"
        )
        return f"{start}, -128 to 127: {steps}, x = {normalization.formula()}"
    low, high = normalization.limits()
    return f"{start}, {limit(low)} to {limit(high)}: {normalization.formula()}"


Arithmetic = Literal["float", "integer", "dynamic"]
"""What an operation with weights computes in; dynamic quantizes its input at run time."""
Macs = tuple[int, int]
"""Multiply-accumulates, all of them and those on non-zero weights."""


def effective(macs: int, weight: WeightFact | None) -> int:
    """How many of an operator's multiply-accumulates are on non-zero weights.

    Every weight is used equally often. Of a product of two activations all of them count.
    """
    return macs if weight is None or weight.size == 0 else macs * weight.nonzero // weight.size


@dataclass(frozen=True)
class MacCount:
    """Multiply-accumulates of a file, all and those on non-zero weights; or why they cannot be known."""

    macs: int | None
    effective_macs: int | None
    unknown: str | None = None

    @classmethod
    def of(cls, counted: Sequence[Macs | str]) -> "MacCount":
        """The sums of what parts have; a part that cannot be known is the reason."""
        reasons = [part for part in counted if isinstance(part, str)]
        if reasons:
            return cls(None, None, reasons[0])
        known = [part for part in counted if not isinstance(part, str)]
        return cls(sum(macs for macs, _ in known), sum(useful for _, useful in known))


def dtype_totals(weights: Sequence[WeightFact]) -> dict[str, int]:
    """Data type to the number of parameters stored so."""
    totals: dict[str, int] = {}
    for weight in weights:
        totals[weight.dtype] = totals.get(weight.dtype, 0) + weight.size
    return totals


def float_weights(weights: Sequence[WeightFact]) -> tuple[str, ...]:
    """The weights that are kept in float in a file whose other weights are integers."""
    kernels = [w for w in weights if not w.is_bias]
    floats = tuple(w.name for w in kernels if "float" in w.dtype)
    return floats if len(floats) < len(kernels) else ()


def precision_label(
    weights: Sequence[WeightFact], arithmetic: Collection[Arithmetic], *, on_grids: bool
) -> str:
    """One label for a file, from its weights and what its operations with weights compute in.

    Biases do not count, since int8 networks keep them in 32 bits. int8 weights that are turned into floats
    make a network of int8_weights, or a dynamic one if some are multiplied as they are, even if it has
    float32 weights as well; likewise int4 and codebook. Other integers, or integer layers beside float ones,
    make a mixed one. A file without weights is int8 if its tensors are on 8-bit grids (``on_grids``), else
    fp32, what its runtime computes in.
    """
    kernels = {
        "codebook" if w.is_indices else PRECISIONS.get(w.dtype, w.dtype) for w in weights if not w.is_bias
    }
    if not weights and on_grids:
        return "int8"
    if not kernels:
        kernels = {PRECISIONS.get(w.dtype, w.dtype) for w in weights} or {"fp32"}
    kinds = set(arithmetic)
    if "int8" in kernels and kernels <= {"int8", "fp32"} and kinds and "integer" not in kinds:
        return "dynamic" if "dynamic" in kinds else "int8_weights"
    for label in ("int4", "codebook"):
        if label in kernels and kernels <= {label, "fp32"} and kinds == {"float"}:
            return label
    label = kernels.pop() if len(kernels) == 1 else "mixed"
    return "mixed" if label.startswith("int") and not kinds <= {"integer"} else label
