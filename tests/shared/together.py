"""Processes that stand where torchrun would have put them, forked so that none has to import anything again."""

import contextlib
import os
import socket
import traceback
from collections.abc import Callable
from pathlib import Path

PROCESSES = 2


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def run_together(work: Callable[[int], None], folder: Path) -> list[int]:
    """Call ``work`` with each rank in a process of its own: their exit codes. What they print is in RANK.txt."""
    port, children = free_port(), []
    for rank in range(PROCESSES):
        child = os.fork()
        if child == 0:
            _in_child(work, rank, port, folder / f"{rank}.txt")
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _in_child(work: Callable[[int], None], rank: int, port: int, printed: Path) -> None:
    code = 1
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "test",
        "WORLD_SIZE": str(PROCESSES), "LOCAL_WORLD_SIZE": str(PROCESSES),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    with printed.open("w") as out, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            work(rank)
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        except BaseException:
            traceback.print_exc()
    os._exit(code)
