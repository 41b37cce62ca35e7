"""Our coder alone in a process, as the peer is in its own: python -m bench.sqz_run MODEL.sqz FACTS.json.

Decodes the file and encodes what came out again, which must give the same bytes. Compiled functions are
loaded before, as the peer's are with its import. Imports no torch.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from edgesqueeze.coding.byte_strings import decode_bytes, encode_bytes
from edgesqueeze.coding.levels import MAX_DISTINCT
from edgesqueeze.coding.weight_tensor import decode_weights, encode_weights
from edgesqueeze.formats.sqz.file import emit_sqz, read_sqz


def main() -> None:
    """Time one decoding and one encoding.

    Raises:
        ValueError: the file came back with other bytes.
    """
    data = Path(sys.argv[1]).read_bytes()
    _load_compiled()
    idle = peak_rss_bytes()
    start = time.perf_counter()
    graph, spec = read_sqz(data)
    decoded = time.perf_counter()
    again = emit_sqz(graph, spec)
    end = time.perf_counter()
    if again != data:
        raise ValueError(f"{sys.argv[1]} came back with other bytes")
    facts = {
        "coder": ".sqz",
        "encode_s": end - decoded,
        "decode_s": decoded - start,
        "peak_rss_bytes": peak_rss_bytes(),
        "idle_rss_bytes": idle,
    }
    Path(sys.argv[2]).write_text(json.dumps(facts))


def _load_compiled() -> None:
    few, many = np.array([0, 1, 2, 0], np.float32), np.linspace(1, 2, MAX_DISTINCT + 2, dtype=np.float32)
    for tensor in (few, np.tile(few, MAX_DISTINCT), many):
        decode_weights(encode_weights(tensor), tensor.shape)
    decode_bytes(encode_bytes(b"structure"))


def peak_rss_bytes() -> int:
    """The largest resident set of this process since it was started (Linux: VmHWM, in KiB).

    Not ru_maxrss, which a child takes over from the process that started it.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


if __name__ == "__main__":
    main()
