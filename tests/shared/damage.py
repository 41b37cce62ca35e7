"""Damaged and hostile .sqz files of version 2, and both decoders in one process each."""

import os
import struct
import subprocess
import sys
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from threading import Timer

import numpy as np

from edgesqueeze.coding.byte_reader import encode_varint
from edgesqueeze.coding.coders import HUFFMAN, decode_tensor, encode_tensor, pack_bytes, unpack_bytes
from edgesqueeze.coding.decoder.bundle import archive
from edgesqueeze.coding.decoder.container import read_container, write_container
from edgesqueeze.coding.decoder.layers import BIASES, SCALES, WEIGHTS
from edgesqueeze.coding.decoder.meta import MAX_META_BYTES, encode_sections
from edgesqueeze.coding.decoder.unsqueeze import fill_templates, open_squeezed
from edgesqueeze.errors import CodecError, UnsupportedVersionError
from edgesqueeze.formats.sqz.file import decode_sqz

SOURCES = Path(__file__).parents[2] / "edgesqueeze" / "coding" / "decoder"
HARNESS = Path(__file__).parent / "fuzz_harness.c"
OK, CORRUPT, VERSION, UNSUPPORTED = range(4)
"""As in unsqueeze.h."""
LARGEST_OUTPUT = 1 << 24
TOO_LARGE = 99
HANGS_AFTER_S = 600
"""A decoder that gives no answer for so long never will; every file here takes milliseconds."""
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-O1", "-g")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True)
class Outcome:
    """What a decoder made of a file; both decoders must agree on everything but the peak."""

    status: int
    num_files: int
    digest: int


def mutate(data, rng):
    """One or a few changes of the kinds that files suffer, and that attackers make."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(0, len(out) + 1))
        size = int(rng.integers(1, 9))
        match rng.integers(0, 7):
            case 0:
                out[place : place + 1] = rng.bytes(1)
            case 1 if place < len(out):
                out[place] ^= 1 << int(rng.integers(0, 8))
            case 2:
                del out[place : place + size]
            case 3:
                out[place:place] = rng.bytes(size)
            case 4:
                source = int(rng.integers(0, len(out) + 1))
                out[place : place + size] = out[source : source + size]
            case 5:
                out[place : place + size] = bytes([int(rng.choice([0, 0x7F, 0x80, 0xFF]))]) * size
            case 6 if rng.random() < 0.3:
                del out[place:]
    return bytes(out)


def damaged(data, rng):
    """A damaged file: as a whole, or in a block with the checksum made right, so that deeper checks are reached."""
    meta, tensors = (bytes(block.payload) for block in read_container(data))
    match rng.integers(0, 6):
        case 0:
            return mutate(data, rng)
        case 1:
            return data[: int(rng.integers(0, len(data)))]
        case 2:
            return write_container(mutate(meta, rng), tensors)
        case 3:
            return write_container(meta, mutate(tensors, rng))
        case 4:  # the head of block T, where its lengths are
            return write_container(meta, mutate(tensors[:40], rng) + tensors[40:])
        case _:
            plain = unpack_bytes(memoryview(meta), MAX_META_BYTES)
            return write_container(pack_bytes(mutate(plain, rng)), tensors)


SECTIONS = ("graph", "grids", "layers", "files")
PLACES = ("frame", *SECTIONS, "payload", "values")
"""Where :func:`rewritten` changes a file: anywhere without a new checksum, in a section of block M, in the bytes of
a coded tensor, in the values that these hold."""


def rewritten(data, rng, place):
    """A file changed inside, at one of the PLACES: all around it is coded again, with its checksums."""
    squeezed = open_squeezed(data)
    if place == "frame":
        return mutate(data[:9], rng) + data[9:] if rng.random() < 0.5 else mutate(data, rng)
    if place in SECTIONS:
        sections = encode_sections(squeezed.meta)
        # A third of the time few bytes at the front, where counts and numbers are.
        ahead = len(sections[place]) if rng.random() < 0.67 else 12
        sections[place] = mutate(sections[place][:ahead], rng) + sections[place][ahead:]
        meta = pack_bytes(b"".join(sections.values()))
        return write_container(meta, bytes(squeezed.tensors_block.payload))
    parts = [[bytes(part.payload) for part in layer] for layer in squeezed.parts]
    _change_part(squeezed, parts, rng, place)
    tensors = b"".join(encode_varint(len(part)) + part for layer in parts for part in layer)
    return write_container(bytes(squeezed.meta_block.payload), tensors)


def _change_part(squeezed, parts, rng, place):
    number = int(rng.integers(0, len(parts)))
    layer, found = squeezed.meta.layers[number], parts[number]
    shapes = {0: layer.shape, 1: (layer.num_channels,)}
    kinds = [flag for flag in (SCALES, WEIGHTS, BIASES) if layer.flags & flag]
    shapes |= {2 + i: (layer.num_scales,) if flag == SCALES else layer.shape for i, flag in enumerate(kinds)}
    part = int(rng.integers(0, len(found)))
    is_steps = part > 1 and kinds[part - 2] == BIASES
    if place == "payload":
        found[part] = mutate(found[part], rng)
    elif is_steps:
        steps = unpack_bytes(memoryview(found[part]), 5 * layer.num_channels)
        found[part] = pack_bytes(mutate(steps, rng))
    else:
        values = decode_tensor(squeezed.meta.coder, memoryview(found[part]), shapes[part]).copy()
        strange = [
            np.nan,
            np.inf,
            -np.inf,
            1e38,
            -1e-44,
            0.0,
            0.5,
            -255,
            255,
            1e-12,
            2.0**-40,
            float(rng.normal()),
        ]
        for _ in range(rng.integers(1, 4)):
            values.reshape(-1)[int(rng.integers(0, values.size))] = rng.choice(strange)
        found[part] = encode_tensor(squeezed.meta.coder, values)


def hostile():
    """Small files that claim much: dimensions, counts, runs, lengths."""
    empty_graph = bytes([1, 0])

    def file(*numbers, tail=b"", tensors=b""):
        plain = empty_graph + b"".join(encode_varint(n) for n in numbers) + tail
        return write_container(pack_bytes(plain), tensors)

    yield file(0, 0, 0)
    yield file(1 << 30, 0, 0)
    yield file(0, 1 << 30)
    for shape in (
        (2, 1 << 14, 1 << 14),
        (2, 2**32 - 1, 2**32 - 1),
        (4, 1 << 16, 1 << 16, 1 << 16, 1 << 16),
        (2, 0, 1),
    ):
        yield file(0, 1, *shape, 0, tensors=b"\x01\x00\x01\x00")
        yield file(0, 1, *shape, 1, 1, tail=b"f" + bytes([0, 2, 0, 0, 0]), tensors=b"\x01\x00\x01\x00")
    run = b"".join(encode_varint(n) for n in (1, 1, 1, 2**32 - 2, 0, 0))
    yield file(0, 0, 64, tail=b"".join(b"\x01" + bytes([65 + i]) + run for i in range(20)) + b"x" * 64)
    yield file(0, 0, 1, tail=b"\x01f" + run + b"x")
    head = b"ESQZ\x02\x00"
    for length in (2**32 - 1, 1 << 20):
        block = b"M" + encode_varint(length)
        yield head + block + struct.pack("<I", zlib.crc32(block))
    for length in (2**32 - 1, 1 << 24, (1 << 24) + 1, 1 << 12):
        yield write_container(encode_varint(length) + b"\x00" * 8, b"")
        yield write_container(encode_varint(length) + b"\xff" * 64, b"")


class _Digest(BytesIO):
    """A file in memory, and the harness's digest of it."""

    def digest(self, number):
        data = np.frombuffer(self.getvalue(), np.uint8).astype(np.uint64)
        places = np.arange(len(data), dtype=np.uint64) * np.uint64(256)
        x = places + data + np.uint64(number << 48)
        with np.errstate(over="ignore"):
            x = (x ^ (x >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
            return int((x ^ (x >> np.uint64(29))).sum(dtype=np.uint64))


def python_outcome(data):
    """What the Python decoder makes of a file; anything else than a CodecError escapes."""
    try:
        squeezed = open_squeezed(data)
        if squeezed.meta.coder == HUFFMAN or not squeezed.meta.files:
            return Outcome(UNSUPPORTED, 0, 0)
        if sum(template.num_bytes for template in squeezed.meta.files) > LARGEST_OUTPUT:
            return Outcome(OK, TOO_LARGE, 0)
        outputs = {template.name: _Digest() for template in squeezed.meta.files}
        fill_templates(squeezed, outputs)
    except UnsupportedVersionError:
        return Outcome(VERSION, 0, 0)
    except CodecError:
        return Outcome(CORRUPT, 0, 0)
    digest = sum(output.digest(number) for number, output in enumerate(outputs.values()))
    return Outcome(OK, len(outputs), digest % 2**64)


def package_outcome(data, folder):
    """What ``edgesqueeze decode`` makes of a file, written into a folder that is empty again afterwards."""
    path = folder / "model.sqz"
    path.write_bytes(data)
    try:
        squeezed = open_squeezed(data)
        if squeezed.meta.coder == HUFFMAN or not squeezed.meta.files:
            return Outcome(UNSUPPORTED, 0, 0)
        if sum(template.num_bytes for template in squeezed.meta.files) > LARGEST_OUTPUT:
            return Outcome(OK, TOO_LARGE, 0)
        written = decode_sqz(path, folder / "out", everything=False)
    except UnsupportedVersionError:
        return Outcome(VERSION, 0, 0)
    except CodecError:
        return Outcome(CORRUPT, 0, 0)
    names = [template.name for template in squeezed.meta.files]
    return Outcome(OK, len(names), _digest_of(folder / "out", names, written))


def _digest_of(directory, names, written):
    digest = 0
    for number, name in enumerate(names):
        digest += _Digest((directory / name).read_bytes()).digest(number)
    for path in written:
        path.unlink()
    return digest % 2**64


class Archive:
    """unsqueeze.pyz in a process of its own, file by file."""

    _LOOP = """
import sys
sys.path.insert(0, sys.argv[1])
from edgesqueeze.coding.decoder.unsqueeze import main
assert "unsqueeze.pyz" in sys.modules[main.__module__].__file__
out = sys.stdout
sys.stdout = sys.stderr = open('/dev/null', 'w')
for line in sys.stdin:
    out.write(f"{main(line.split())}\\n")
    out.flush()
"""

    def __init__(self, folder):
        self._folder = folder
        (folder / "unsqueeze.pyz").write_bytes(archive())
        command = [sys.executable, "-c", self._LOOP, str(folder / "unsqueeze.pyz")]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)

    def send(self, data, number):
        """Let it decode a file while something else is done; ``number`` names it."""
        path = self._folder / f"carried{number}.sqz"
        path.write_bytes(data)
        self._process.stdin.write(f"{path} {path.with_suffix('')}\n")
        self._process.stdin.flush()

    def receive(self, data, number, expected):
        """The outcome of a file; one that is refused is refused as ``expected``, for it says no more.

        It reads Huffman-coded files, too, and has no limit to what it writes: then ``expected`` is given back.
        """
        code, folder = self._process.stdout.readline().strip(), self._folder / f"carried{number}"
        if code not in ("0", "2"):
            raise AssertionError(f"unsqueeze.pyz ended: {code!r}")
        written = list(folder.iterdir()) if folder.is_dir() else []
        if expected.num_files == TOO_LARGE or expected.status == UNSUPPORTED:
            for path in written:
                path.unlink()
            return expected
        if code == "2":
            return expected if expected.status != OK else Outcome(CORRUPT, 0, 0)
        names = [template.name for template in open_squeezed(data).meta.files]
        return Outcome(OK, len(names), _digest_of(folder, names, written))

    def close(self):
        """End it."""
        with self._process as process:
            process.stdin.close()


def compile_c(target, *arguments, compiler="gcc"):
    """Compile the decoder or the harness, warnings being errors."""
    command = [compiler, *FLAGS, "-I", str(SOURCES), *map(str, arguments), "-o", str(target), "-lm"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return target


class CDecoder:
    """The harness as a process that is fed file by file."""

    def __init__(self, program):
        self._process = subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def outcome(self, data):
        """The outcome, the peak of its memory in bytes, and the seconds of CPU it took."""
        self.send(data)
        return self.receive()

    def send(self, data):
        """Let it decode a file while something else is done."""
        self._process.stdin.write(struct.pack("<I", len(data)) + data)
        self._process.stdin.flush()

    def receive(self):
        """The outcome of the file that was sent longest ago."""
        watchdog = Timer(HANGS_AFTER_S, self._process.kill)
        watchdog.start()
        line = self._process.stdout.readline().split()
        watchdog.cancel()
        if len(line) != 5:
            raise AssertionError(f"the C decoder ended with code {self._process.wait()}")
        status, num_files, peak = (int(word) for word in line[:3])
        return Outcome(status, num_files, int(line[3], 16)), peak, float(line[4])

    def close(self):
        """The exit code: 0 unless memory was lost."""
        with self._process as process:
            process.stdin.close()
        return process.returncode
