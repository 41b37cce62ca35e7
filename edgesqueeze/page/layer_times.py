"""What each layer of a run's ONNX files takes on this machine, measured while its page is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from edgesqueeze.errors import OutputError
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.bench.bench import profile_layers
from edgesqueeze.measure.bench.layer_times import LayerProfile
from edgesqueeze.measure.bench.suite import Suite
from edgesqueeze.measure.runtimes.host import host_facts
from edgesqueeze.measure.runtimes.runtime import RuntimeName
from edgesqueeze.run.report import Report


@dataclass(frozen=True)
class LayerTimes:
    """Profiles by the labels of their rows, and the processor that they were measured on."""

    cpu: str
    profiles: dict[str, LayerProfile]


def layer_times_of(directory: Path, report: Report, files: Sequence[str]) -> LayerTimes:
    """Profile a run's ONNX files, with as many threads as its recipe has its times measured with.

    Args:
        directory: the run's.
        report: its report.
        files: paths of its rows whose files are those that were measured.

    Raises:
        OutputError: there is no ONNX file among them, of whose layers anybody could tell times.
        ExportError: a file cannot be run.
    """
    labels = {
        str(directory / row.path): row.label
        for row in report.files
        if row.path is not None and row.path in files and FileFormat.known(Path(row.path)) is FileFormat.ONNX
    }
    if not labels:
        raise OutputError(
            f"{directory} holds no ONNX file that was measured; ONNX Runtime alone tells what layers take"
        )
    suite = Suite(
        version=1,
        name="layers",
        models=tuple(labels),
        runtimes=(RuntimeName.ONNXRUNTIME,),
        threads=(int(report.recipe.get("threads", 1)),),
        baseline=None,
    )
    with TemporaryDirectory(prefix="edgesqueeze-") as folder:
        profiles = profile_layers(suite, Path(folder))
    found = dict(zip(labels.values(), profiles, strict=True))
    return LayerTimes(host_facts().cpu_model, found)
