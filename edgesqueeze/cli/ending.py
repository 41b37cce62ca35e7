"""How SIGINT and SIGTERM end the process: with one line that says how to go on, and exit code 128 + signal.

A handler can do no more than raise an exception in whatever runs. Python drops one that is raised while an
object is finalized or a callback of C runs, and a library may catch it: then the work would go on as if there
had been no signal. So it is raised again until it is being handled.
"""

import multiprocessing
import os
import shlex
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import FrameType, TracebackType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AGAIN_S = 0.1
"""How often it is looked whether the exception was dropped."""
_PATIENCE_S = 10.0
"""How long cleaning up may take, and then the end of a worker."""
NOTHING_WRITTEN = "nothing was written"
_SHOW_CURSOR = b"\x1b[?25h"


class Stopped(BaseException):
    """A signal has come. It is no :class:`Exception`: what catches those to go on must not catch this."""


class Ending:
    """What a signal does, and what is said then. ``signal`` is the number of the one that has come."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._advice: Callable[[], str] = lambda: NOTHING_WRITTEN
        self._process = os.getpid()
        self._deadline = 0.0
        self._is_over = False

    def listen(self) -> None:
        """Take the signals over for as long as the process lives, even where they were ignored before."""
        for number in SIGNALS:
            signal.signal(number, self._come)
        signal.signal(signal.SIGALRM, self._look_again)
        sys.excepthook = self._uncaught
        sys.unraisablehook = self._dropped

    def conclude(self) -> None:
        """End the process if a signal has come; from now on the next one ends it where it stands."""
        self._is_over = True
        if self.signal is not None:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):  # a pipe that nobody reads any more, a closed stream
                    stream.flush()
            self._leave(self.signal)

    def works_in(self, command: str, directory: Path) -> None:
        """From now on a command writes into the directory of a run, which can be continued."""
        resume = f"continue with: edgesqueeze {command} --resume {shlex.quote(str(directory))}"
        recipe = directory / "recipe.yaml"
        self._advice = lambda: resume if recipe.is_file() else NOTHING_WRITTEN

    def writes_files(self) -> None:
        """From now on a command writes files, each of them whole or not at all."""
        self._advice = lambda: "run the command again"

    def _come(self, number: int, _: FrameType | None) -> None:
        if os.getpid() != self._process:  # a forked worker: its parent says the line
            os._exit(128 + number)
        if self._is_over or self.signal is not None:
            self._leave(number)
        self.signal, self._deadline = number, monotonic() + _PATIENCE_S
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S, _AGAIN_S)
        raise Stopped

    def _look_again(self, _: int, __: FrameType | None) -> None:
        if self.signal is None:
            return
        if monotonic() > self._deadline:
            self._leave(self.signal)
        if not (self._is_over or _is_handled(sys.exception())):
            raise Stopped

    def _uncaught(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if self.signal is not None:
            self._leave(self.signal)
        sys.__excepthook__(kind, error, trace)

    def _dropped(self, found: "sys.UnraisableHookArgs") -> None:
        if not isinstance(found.exc_value, Stopped):
            sys.__unraisablehook__(found)

    def _leave(self, number: int) -> NoReturn:
        """End the process here: no line of Python runs after this one."""
        for child in multiprocessing.active_children():
            child.kill()
            child.join(_PATIENCE_S)
        shown = _SHOW_CURSOR if os.isatty(2) else b""
        line = f"stopped by {signal.Signals(number).name}; {self._advice()}\n"
        with suppress(OSError):  # nobody reads standard error any more
            os.write(2, shown + os.fsencode(line))
        os._exit(128 + number)


def _is_handled(error: BaseException | None) -> bool:
    """Whether the exception is on its way up: something cleans up because of it."""
    while error is not None:
        if isinstance(error, Stopped):
            return True
        error = error.__context__
    return False
