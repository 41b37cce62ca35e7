"""A signal ends the process with one line and its exit code, whatever stands in its way."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

BEGIN = """
import ctypes, multiprocessing, os, signal, sys, time
from pathlib import Path
from edgesqueeze.cli.ending import Ending

ending = Ending()
ending.listen()
ending.works_in("compress", Path("a run"))
raised = lambda: os.kill(os.getpid(), signal.SIGINT)
try:
"""
END = """
finally:
    ending.conclude()
"""
CONTINUE = "continue with: edgesqueeze compress --resume 'a run'"
IN_THE_WAY = {
    "nothing": "raised()\ntime.sleep(60)",
    "callback_of_c": "ctypes.CFUNCTYPE(None)(raised)()\ntime.sleep(60)",
    "finalizer": "type('Gone', (), {'__del__': lambda self: raised()})()\ntime.sleep(60)",
    "caught": "try: raised()\nexcept BaseException: pass\ntime.sleep(60)",
    "made_into_another": "try: raised()\nexcept BaseException: raise ValueError('a library says')",
    "made_into_an_exit": "try: raised()\nexcept BaseException: sys.exit(0)",
}


def started(body, folder):
    """A process that listens for signals and then does what ``body`` says."""
    code = BEGIN + textwrap.indent(body, "    ") + END
    (folder / "a run").mkdir()
    (folder / "a run" / "recipe.yaml").touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("body", IN_THE_WAY.values(), ids=IN_THE_WAY)
def test_a_signal_is_never_dropped(body, tmp_path):
    with started(body, tmp_path) as process:
        assert process.communicate(timeout=30)[1] == f"stopped by SIGINT; {CONTINUE}\n"
    assert process.returncode == 130


def test_the_second_signal_does_not_wait_for_what_the_first_has_set_going(tmp_path):
    body = "print('ready', flush=True)\n    time.sleep(60)\nfinally:\n    print('cleaning', flush=True)\n    time.sleep(60)"
    with started(f"try:\n    {body}", tmp_path) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "cleaning\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1] == f"stopped by SIGINT; {CONTINUE}\n"
    assert process.returncode == 130


WORKER = (  # which says itself that it runs: a signal while it is being forked is lost
    "work = lambda: (print(os.getpid(), flush=True), time.sleep(60))\n"
    "worker = multiprocessing.get_context('fork').Process(target=work)\n"
    "worker.start()\nworker.join()\nprint(worker.exitcode)"
)


def test_workers_end_with_their_parent(tmp_path):
    with started(WORKER, tmp_path) as process:
        worker = int(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=30)[1] == f"stopped by SIGTERM; {CONTINUE}\n"
    assert process.returncode == 143
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_a_worker_that_gets_the_signal_too_says_nothing(tmp_path):
    with started(WORKER, tmp_path) as process:
        os.kill(int(process.stdout.readline()), signal.SIGINT)
        assert process.communicate(timeout=30) == ("130\n", "")
    assert process.returncode == 0


def test_before_there_is_a_run_nothing_was_written(tmp_path):
    command = [sys.executable, "-m", "edgesqueeze", "compress", "--recipe", "lenet5", "--output", "out"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        while not _listens(process.pid):
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=30)[1] == "stopped by SIGTERM; nothing was written\n"
    assert process.returncode == 143
    assert not list(tmp_path.iterdir())


def _listens(pid):
    """Whether a process has a handler for SIGTERM; Linux tells."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)
