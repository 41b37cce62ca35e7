"""Our coder alone in a process, as the peer is in its own: python -m bench.sqz_run MODEL.sqz FACTS.json.

Decodes the file and encodes what came out again, which must give the same bytes. Imports no torch.
"""

import json
import sys
import time
from pathlib import Path

from edgesqueeze.emit.sqz import emit_sqz, read_sqz


def main() -> None:
    """Time one decoding and one encoding.

    Raises:
        ValueError: the file came back with other bytes.
    """
    data = Path(sys.argv[1]).read_bytes()
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


def peak_rss_bytes() -> int:
    """The largest resident set of this process since it was started (Linux: VmHWM, in KiB).

    Not ru_maxrss, which a child takes over from the process that started it.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


if __name__ == "__main__":
    main()
