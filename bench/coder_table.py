"""The same weight indices through every coder: sizes with everything counted, and seconds.

    python -m bench.coder_table LABEL=SOURCE [LABEL=SOURCE …] --output DIR

A source is a .sqz file, the folder of a finished run, BUILT_IN_MODEL:state.safetensors, or deep:alexnet (61
million made-up weights as Deep Compression would leave them); its weights must be shared. NNCodec runs in its
own environment (bench/peers/README.md).
"""

import gzip
import json
import lzma
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from bench.index_sizes import IndexSizes, index_sizes
from bench.networks import Network, bias_bytes, indexed_weights, load_network, network_source
from bench.nncodec import NNCODEC_PYTHON, NncodecPoint, NncodecRun, run_nncodec
from bench.reporting import Result, note, table
from edgesqueeze.errors import CodecError
from edgesqueeze.formats.sqz.file import emit_sqz
from edgesqueeze.formats.tflite.writing.emit import emit_tflite

RUNS = 3
"""Of each coder on each network, for its seconds."""


@dataclass(frozen=True)
class Seconds:
    """One coder on one network: encoding, decoding, and the process's largest memory.

    ``idle_rss_bytes`` is what the process held with its libraries and the tensors loaded.
    """

    coder: str
    encode_s: float
    decode_s: float
    peak_rss_bytes: int
    idle_rss_bytes: int


@dataclass(frozen=True)
class CodedNetwork:
    """One line of the table, in bytes. Codebooks and biases (float32) are not in the first four."""

    label: str
    num_weights: int
    num_nonzero: int
    sizes: IndexSizes
    nncodec_bytes: int
    codebook_bytes: int
    bias_bytes: int
    sqz_bytes: int
    sqz_with_int8_bytes: int | None
    int8_tflite_bytes: int | None
    gzip_bytes: int | None
    xz_bytes: int | None
    seconds: tuple[Seconds, ...]

    @property
    def side_bytes(self) -> int:
        """What any coder of indices has to store besides them."""
        return self.codebook_bytes + self.bias_bytes


def main() -> None:
    """Code every network in every way, write the result."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", type=network_source, metavar="LABEL=SOURCE")
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    parser.add_argument("--peer-python", type=Path, default=NNCODEC_PYTHON, help="Python that has nncodec")
    arguments = parser.parse_args()
    result = Result(arguments.output)
    rows = []
    for label, source in arguments.networks:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(code_network(load_network(label, source), arguments.peer_python, Path(folder)))
    result.write({"networks": [asdict(row) for row in rows]}, report(rows))


def code_network(network: Network, peer_python: Path, folder: Path) -> CodedNetwork:
    """All sizes and seconds of one network."""
    note(f"{network.label}: our coders")
    layers = indexed_weights(network)
    (folder / "model.sqz").write_bytes(emit_sqz(network.graph, None))
    with_int8 = None if network.spec is None else len(emit_sqz(network.graph, network.spec))
    sizes = IndexSizes(0, 0, 0)
    for layer in layers:
        sizes += index_sizes(layer.indices)
    indices = {layer.name: layer.indices for layer in layers}
    ours, theirs = [], []
    for turn in range(RUNS):
        note(f"{network.label}: run {turn + 1} of {RUNS} of both coders")
        ours.append(_time_ours(folder / "model.sqz", folder / "ours.json"))
        theirs.append(run_nncodec(peer_python, "lossless", indices, folder / f"nncodec{turn}"))
    best = [min(run.coded, key=lambda point: point.num_bytes) for run in theirs]
    note(f"{network.label}: gzip and xz")
    tflite = None if network.spec is None else emit_tflite(network.graph, network.spec)
    return CodedNetwork(
        label=network.label,
        num_weights=sum(layer.indices.size for layer in layers),
        num_nonzero=sum(layer.num_nonzero for layer in layers),
        sizes=sizes,
        nncodec_bytes=best[0].num_bytes,
        codebook_bytes=sum(layer.codebook.nbytes for layer in layers),
        bias_bytes=bias_bytes(network.graph),
        sqz_bytes=(folder / "model.sqz").stat().st_size,
        sqz_with_int8_bytes=with_int8,
        int8_tflite_bytes=None if tflite is None else len(tflite),
        gzip_bytes=None if tflite is None else len(gzip.compress(tflite, 9, mtime=0)),
        xz_bytes=None if tflite is None else len(lzma.compress(tflite, preset=9 | lzma.PRESET_EXTREME)),
        seconds=(
            _median(ours),
            _median([_seconds(run, point) for run, point in zip(theirs, best, strict=True)]),
        ),
    )


def _seconds(run: NncodecRun, point: NncodecPoint) -> Seconds:
    return Seconds(run.tool, point.encode_s, point.decode_s, run.peak_rss_bytes, run.idle_rss_bytes)


def _median(runs: Sequence[Seconds]) -> Seconds:
    return replace(
        runs[0],
        encode_s=median(run.encode_s for run in runs),
        decode_s=median(run.decode_s for run in runs),
        peak_rss_bytes=max(run.peak_rss_bytes for run in runs),
    )


def _time_ours(path: Path, output: Path) -> Seconds:
    """Our coder in a process of its own, as the peer has one.

    Raises:
        CodecError: it failed there.
    """
    command = [sys.executable, "-m", "bench.sqz_run", str(path), str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CodecError(f"{path.name}: {done.stderr.strip().splitlines()[-1]}")
    return Seconds(**json.loads(output.read_text()))


def report(rows: Sequence[CodedNetwork]) -> list[str]:
    """The parts of the Markdown report."""
    header = ["network", "weights", "non-zero", "fixed length", "Huffman", "zeroth-order bound", "nncodec"]
    header += ["gzip of int8 TFLite", "xz of int8 TFLite", ".sqz", ".sqz / nncodec", ".sqz / bound"]
    header.append(".sqz with int8 form")
    body = [
        [
            row.label,
            f"{row.num_weights:,}",
            f"{100 * row.num_nonzero / row.num_weights:.1f} %",
            *(
                f"{n + row.side_bytes:,.0f}"
                for n in (
                    row.sizes.fixed_bytes,
                    row.sizes.huffman_bytes,
                    row.sizes.bound_bytes,
                    row.nncodec_bytes,
                )
            ),
            "–" if row.gzip_bytes is None else f"{row.gzip_bytes:,}",
            "–" if row.xz_bytes is None else f"{row.xz_bytes:,}",
            f"{row.sqz_bytes:,}",
            f"{row.sqz_bytes / (row.nncodec_bytes + row.side_bytes):.3f}",
            f"{row.sqz_bytes / (row.sizes.bound_bytes + row.side_bytes):.3f}",
            "–" if row.sqz_with_int8_bytes is None else f"{row.sqz_with_int8_bytes:,}",
        ]
        for row in rows
    ]
    text = (
        "Bytes. Fixed length: relative indices of r bits and codebook indices of whole bits, no entropy "
        "coding (Han et al. 2016, pruning and quantization). Huffman: both in canonical Huffman codes, with "
        "their tables. Either with the best r per layer, or dense where that is smaller. Zeroth-order bound: "
        "the entropy of each layer's indices, zeros included. nncodec: lossless, the smaller of with and "
        "without row skipping. To these four the same side information is added: codebooks and biases as "
        "float32. .sqz: the whole file of the float network, with structure, codebooks, biases, checksums; "
        "with the int8 form, which the others do not hold, in the last column. gzip -9, xz -9e."
    )
    speeds = [
        [
            row.label,
            s.coder,
            f"{s.encode_s:.2f}",
            f"{s.decode_s:.2f}",
            f"{row.num_weights / s.encode_s / 1e6:.1f}",
            f"{row.num_weights / s.decode_s / 1e6:.1f}",
            f"{s.peak_rss_bytes / 1e6:,.0f}",
            f"{s.idle_rss_bytes / 1e6:,.0f}",
        ]
        for row in rows
        for s in row.seconds
    ]
    speed_header = ["network", "coder", "encode s", "decode s", "encode M weights/s", "decode M weights/s"]
    speed_header += ["peak RSS MB", "RSS before MB"]
    speed_text = (
        f"Each coder in a process of its own, in turns; medians of {RUNS} runs, largest memory. Ours has all "
        "cores, as it does by default, and includes structure and checksums; nncodec has one thread. RSS "
        "before is with libraries and tensors loaded."
    )
    parts = ["# Coders on the same indices", table(header, body), text]
    return [*parts, table(speed_header, speeds), speed_text]


if __name__ == "__main__":
    main()
