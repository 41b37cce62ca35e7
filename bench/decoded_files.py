"""Whether the files that come out of a .sqz file are the exported ones, from every decoder there is.

    python -m bench.decoded_files LABEL=RUN [LABEL=RUN …] --output DIR

Each run's ``model.sqz`` is decoded by ``edgesqueeze decode``, by ``unsqueeze.pyz`` and by ``unsqueeze.c``
(needs gcc), each in a process of its own, and every file is compared with the run's export by SHA-256. The
last two give the files that the .sqz file has templates for.
"""

import json
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.networks import network_source
from bench.reporting import Result, note, table
from edgesqueeze.coding.decoder.bundle import write_bundle
from edgesqueeze.errors import CodecError, OutputError
from edgesqueeze.files import sha256_of

_FILE, _DIRECTORY = "FILE.sqz", "DIRECTORY"
_TIMED = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run(sys.argv[2:], capture_output=True, text=True)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
open(sys.argv[1], "w").write(json.dumps([seconds, peak, done.returncode, done.stderr[-2000:]]))
"""
"""Run in a small process, because a child's largest memory starts with that of whoever started it."""


@dataclass(frozen=True)
class Decoding:
    """One .sqz file through one decoder; ``equal`` and ``different`` name the files it gave."""

    label: str
    decoder: str
    sqz_bytes: int
    sqz_sha256: str
    seconds: float
    peak_rss_bytes: int
    equal: dict[str, str]
    different: dict[str, str]


def main() -> None:
    """Decode every run's file in every way, write the result.

    Raises:
        CodecError: a file differs from the exported one.
    """
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=network_source, metavar="LABEL=RUN")
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    arguments = parser.parse_args()
    result = Result(arguments.output)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        decoders = all_decoders(Path(folder))
        for label, run in arguments.runs:
            note(label)
            rows += [decode(label, Path(run), name, decoders) for name in decoders]
    result.write({"decodings": [asdict(row) for row in rows]}, report(rows))
    wrong = [f"{row.label}: {name} from {row.decoder}" for row in rows for name in row.different]
    if wrong:
        raise CodecError(f"not the exported file: {', '.join(wrong)}")


def all_decoders(folder: Path) -> dict[str, list[str]]:
    """{name: command}, where _FILE and _DIRECTORY stand for the arguments; built in ``folder``."""
    write_bundle(folder)
    program = folder / "unsqueeze"
    subprocess.run(["gcc", "-O2", "-o", program, folder / "unsqueeze.c", "-lm"], check=True)
    return {
        "edgesqueeze decode": [sys.executable, "-m", "edgesqueeze.cli", "decode", _FILE, "-o", _DIRECTORY],
        "unsqueeze.pyz": [sys.executable, str(folder / "unsqueeze.pyz"), _FILE, _DIRECTORY],
        "unsqueeze.c": [str(program), _FILE, _DIRECTORY],
    }


def decode(label: str, run: Path, decoder: str, decoders: Mapping[str, Sequence[str]]) -> Decoding:
    """One file through one decoder.

    Raises:
        OutputError: the run has no model.sqz.
        CodecError: the decoder failed.
    """
    exported = {path.name: sha256_of(path) for path in (run / "artifacts").glob("model*")}
    source = run / "artifacts" / "model.sqz"
    if source.name not in exported:
        raise OutputError(f"{run} has no artifacts/model.sqz; its recipe needs the export 'squeezed'")
    with tempfile.TemporaryDirectory() as folder:
        facts, output = Path(folder) / "facts.json", Path(folder) / "decoded"
        output.mkdir()
        given = {_FILE: str(source.absolute()), _DIRECTORY: str(output)}
        command = [given.get(word, word) for word in decoders[decoder]]
        subprocess.run([sys.executable, "-I", "-S", "-c", _TIMED, str(facts), *command], check=True)
        seconds, peak, code, message = json.loads(facts.read_text())
        if code:
            raise CodecError(f"{label}: {decoder} failed: {(message.splitlines() or ['no message'])[-1]}")
        decoded = {path.name: sha256_of(path) for path in sorted(output.iterdir())}
    equal = {name: found for name, found in decoded.items() if exported.get(name) == found}
    different = {name: found for name, found in decoded.items() if name in exported and name not in equal}
    sha256 = exported[source.name]
    return Decoding(label, decoder, source.stat().st_size, sha256, seconds, peak, equal, different)


def report(rows: Sequence[Decoding]) -> list[str]:
    """The parts of the Markdown report."""
    header = ["network", "decoder", ".sqz bytes", "files equal to the exported", "different"]
    header += ["seconds", "peak RSS MB"]
    body = [
        [
            row.label,
            row.decoder,
            f"{row.sqz_bytes:,}",
            ", ".join(row.equal) or "–",
            ", ".join(row.different) or "none",
            f"{row.seconds:.2f}",
            f"{row.peak_rss_bytes / 1e6:,.0f}",
        ]
        for row in rows
    ]
    hashes = {(row.label, name): found for row in rows for name, found in row.equal.items()}
    hash_rows = [[label, name, found] for (label, name), found in sorted(hashes.items())]
    text = (
        "Seconds and memory are of the whole process: its libraries, decoding, building and writing the "
        "files. edgesqueeze builds every file, the others those that the .sqz file has a template for."
    )
    parts = ["# Decoded files against exported ones", table(header, body), text]
    return [*parts, table(["network", "file", "SHA-256"], hash_rows)]


if __name__ == "__main__":
    main()
