"""A bound on what a decoder may claim, without a clock: what would take long claims much first."""

import resource
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def memory_limit(num_bytes):
    """Whatever is run here gets a ``MemoryError`` where it wants more than ``num_bytes`` on top of what there is."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
