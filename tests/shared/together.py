"""Processes that stand where torchrun would have put them.

They are forked from a process that has imported everything and computed nothing: torch does not let one that
has run backward be forked, and a process for each would import everything once more.
"""

import contextlib
import gc
import importlib.util
import json
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROCESSES = 2


@dataclass(frozen=True)
class Job:
    """A function of a test file, called with the rank and these texts; what RANK prints is folder/RANK.txt."""

    function: str
    arguments: tuple[str, ...]
    folder: Path


def run_together(file: str, jobs: Sequence[Job]) -> list[list[int]]:
    """The exit codes of every job's processes, one job after the other."""
    told = json.dumps([[job.function, job.arguments, str(job.folder)] for job in jobs])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, __file__, file, told]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _main(file: str, told: str) -> None:
    gc.disable()  # what is imported stays, in every process
    import lightning_fabric  # noqa: F401 (once for all processes)

    import edgesqueeze.baseline
    import edgesqueeze.pipeline  # noqa: F401 (likewise)

    spec = importlib.util.spec_from_file_location("work", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    codes = []
    for function, arguments, folder in json.loads(told):
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            port = held.getsockname()[1]
        work = getattr(module, function)
        children = [_forked(work, rank, arguments, (port, Path(folder))) for rank in range(PROCESSES)]
        codes.append([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
    sys.stdout.write(f"{json.dumps(codes)}\n")


def _forked(work, rank: int, arguments: Sequence[str], where: tuple[int, Path]) -> int:
    child = os.fork()
    if child:
        return child
    port, folder = where
    code = 1
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "test",
        "WORLD_SIZE": str(PROCESSES), "LOCAL_WORLD_SIZE": str(PROCESSES),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    out = (folder / f"{rank}.txt").open("w")
    with out, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            work(rank, *arguments)
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        except BaseException:
            traceback.print_exc()
    os._exit(code)


if __name__ == "__main__":
    _main(*sys.argv[1:])
