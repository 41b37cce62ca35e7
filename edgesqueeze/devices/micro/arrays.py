"""An int8 TFLite file as C arrays, what TensorFlow Lite Micro has to know of it, a program to check it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesqueeze.devices.bundle import archive_of, facts_of, json_of, manifest_of
from edgesqueeze.devices.chosen import Chosen, choose
from edgesqueeze.devices.golden import GoldenModel
from edgesqueeze.devices.micro.memory import live_peak
from edgesqueeze.devices.micro.operators import resolver_methods
from edgesqueeze.devices.targets import Target
from edgesqueeze.errors import ExportError, OutputError
from edgesqueeze.files import make_directory, write_atomically
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.run.rundir import RunDir

GOLDEN = 2
"""Inputs with answers: a microcontroller has little memory."""
_MAIN = Path(__file__).parent / "main.cc"


@dataclass(frozen=True)
class CArrays:
    """What was written.

    ``tensor_bytes`` is what the activations alive at once take, the least of an arena. ``operators`` are
    the methods of a ``MicroMutableOpResolver`` that have to be called.
    """

    path: Path
    files: Mapping[str, int]
    operators: tuple[str, ...]
    tensor_bytes: int


def write_c_arrays(run: Path, output: Path, names: Sequence[str] = ()) -> CArrays:
    """Write an int8 TFLite file of a finished run for TensorFlow Lite Micro.

    Args:
        run: its directory.
        output: a directory, or an archive to write if the name ends in ``.zip``.
        names: the file of its ``artifacts``; of none given the smallest int8 TFLite file.

    Raises:
        OutputError: the run is not finished or has no such file, or nothing can be written there.
        ExportError: the file is another one, or has something that TensorFlow Lite Micro has not.
        ParityError: the runner answers otherwise than the run's runtimes.
    """
    if len(names) > 1:
        raise ExportError(f"a C array is of one file, found {len(names)}: {', '.join(names)}")
    chosen = choose(run, names, _smallest_int8)
    model = chosen.models[0]
    _check(model)
    operators, peak = resolver_methods(list(model.file.operators)), live_peak(model.path)
    entries = _entries(chosen, operators, peak)
    if output.suffix == ".zip":
        write_atomically(output, archive_of(entries))
    else:
        make_directory(output)
        for name, content in entries.items():
            write_atomically(output / name, content)
    return CArrays(output, {name: len(data) for name, data in entries.items()}, tuple(operators), peak)


def _smallest_int8(folder: RunDir) -> str:
    files = [path for path in folder.artifacts.glob("*.tflite") if read_model_file(path).precision == "int8"]
    if not files:
        raise OutputError(f"{folder.path} has no int8 .tflite file")
    return min(files, key=lambda path: (path.stat().st_size, path.name)).name


def _check(model: GoldenModel) -> None:
    if model.file.format != FileFormat.TFLITE or model.file.precision != "int8":
        found = f"{model.path.name} is {model.file.precision} {model.file.format}"
        raise ExportError(f"{found}; a C array is of an int8 .tflite file")
    for fact in (*model.file.inputs, *model.file.outputs):
        if fact.dtype not in ("int8", "uint8"):
            raise ExportError(f"{model.path.name}: {fact.name} is {fact.dtype}; int8 and uint8 are allowed")


def _entries(chosen: Chosen, operators: Sequence[str], peak: int) -> dict[str, bytes]:
    model = chosen.models[0]
    content = model.path.read_bytes()
    texts = {
        "model.h": _MODEL_H.format(bytes=len(content), sha256=facts_of(content)["sha256"], peak=peak),
        "model.cc": _MODEL_CC.format(name=model.path.name, values=_numbers(content)),
        "golden.h": _GOLDEN_H.format(images=GOLDEN, outputs=len(model.outputs)),
        "golden.cc": _golden(model),
        "operators.h": _OPERATORS_H.format(
            number=len(operators),
            calls=" &&\n         ".join(f"r.{name}() == kTfLiteOk" for name in operators),
        ),
        "main.cc": _MAIN.read_text(encoding="utf-8"),
        "labels.txt": "".join(f"{name}\n" for name in chosen.task.classes),
        "README.md": _README.format(
            name=chosen.report.recipe["name"], file=model.path.name, operators=", ".join(operators), peak=peak
        ),
    }
    entries = {name: text.encode() for name, text in texts.items()}
    entries["manifest.json"] = json_of(manifest_of(chosen, Target.C_ARRAY, entries))
    return entries


def _golden(model: GoldenModel) -> str:
    """Inputs and answers as arrays of bytes."""
    parts, names = [_GOLDEN_CC], []
    for number, values in enumerate(model.outputs):
        name = f"kOutput{number}"
        parts.append(_array(name, values[:GOLDEN]))
        is_signed = "true" if values.dtype == "int8" else "false"
        names.append(f"    {{{values[0].size}u, {is_signed}, {name}}},")
    inputs = model.inputs[:GOLDEN]
    parts += [
        _array("kInput", inputs),
        "}  // namespace",
        f"const Golden kGoldenInput = {{{inputs[0].size}u, {str(inputs.dtype == 'int8').lower()}, kInput}};",
        "\n".join(["const Golden kGoldenOutputs[kGoldenOutputsCount] = {", *names, "};"]),
    ]
    return "\n\n".join(parts) + "\n"


def _array(name: str, values: Any) -> str:
    return f"const unsigned char {name}[] = {{\n{_numbers(values.tobytes())}\n}};"


def _numbers(content: bytes) -> str:
    lines = (content[start : start + 20] for start in range(0, len(content), 20))
    return "\n".join("    " + ", ".join(f"{byte}" for byte in line) + "," for line in lines)


_MODEL_H = """\
#ifndef MODEL_H_
#define MODEL_H_

// The .tflite file, byte for byte. const keeps it in flash.
extern const unsigned char kModel[];
constexpr unsigned kModelBytes = {bytes}u;
constexpr char kModelSha256[] = "{sha256}";

// Activations that are alive at once. A tensor arena cannot be smaller: what TensorFlow Lite Micro keeps of
// tensors and operators, and the scratch buffers of its kernels, come on top
// (MicroInterpreter::arena_used_bytes).
constexpr unsigned kTensorBytes = {peak}u;

#endif  // MODEL_H_
"""
_MODEL_CC = """\
// {name}
#include "model.h"

alignas(16) const unsigned char kModel[kModelBytes] = {{
{values}
}};
"""
_GOLDEN_H = """\
#ifndef GOLDEN_H_
#define GOLDEN_H_

constexpr unsigned kGoldenImages = {images}u;
constexpr unsigned kGoldenOutputsCount = {outputs}u;

// One tensor for every image, one behind the other, as the model has it.
struct Golden {{
  unsigned bytes;  // of one image
  bool is_signed;  // int8, or else uint8
  const unsigned char* values;
}};

extern const Golden kGoldenInput;
extern const Golden kGoldenOutputs[kGoldenOutputsCount];

#endif  // GOLDEN_H_
"""
_GOLDEN_CC = '// Inputs, and what the model answered to them on the host.\n#include "golden.h"\n\nnamespace {'
_OPERATORS_H = """\
#ifndef OPERATORS_H_
#define OPERATORS_H_

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

constexpr unsigned kOperators = {number}u;

// Registers the operators of the model; false if there was no place for one.
inline bool AddOperators(tflite::MicroMutableOpResolver<kOperators>& r) {{
  return {calls};
}}

#endif  // OPERATORS_H_
"""
_README = """\
# {name} for TensorFlow Lite Micro

`model.cc` is `{file}`, byte for byte. It needs these operators: {operators}. `operators.h` registers them.

The activations that are alive at once take {peak:,} bytes (`kTensorBytes`). This is a lower bound of the
tensor arena, computed from the file: it leaves out what TensorFlow Lite Micro keeps of tensors and operators,
the scratch buffers of its kernels, and what its planner cannot place better. `main.cc` prints
`arena_used_bytes()`.

Is the array whole, and where it has to be:

```
g++ -std=c++17 main.cc model.cc golden.cc -o check && ./check
```

With TensorFlow Lite Micro, does it answer as on the host:

```
g++ -std=c++17 -DHAVE_TFLM -I tflite-micro … main.cc model.cc golden.cc -ltensorflow-microlite -o check
./check
```

`-DARENA_BYTES=…` is the size of the arena. Its kernels may round otherwise than LiteRT's: `-DTOLERANCE=1` is
how many steps an answer may be off. `manifest.json` says layout, scale and zero point of input and outputs.
"""
