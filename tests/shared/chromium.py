"""Headless Chromium as a test needs it: a page opened from its file, what it asks for, what it complains about.

It is spoken to over two pipes in the Chrome DevTools Protocol, so nothing but the browser has to be installed.
"""

import fcntl
import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from importlib.resources import files
from importlib.util import find_spec

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)


def found():
    """The program, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def axe():
    """The source of axe-core, which looks for what keeps people from reading a page; None if it is not installed."""
    if find_spec("axe_core_python") is None:
        return None
    return (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")


class Tab:
    """One page. ``requests`` are all URLs it has asked for, ``complaints`` all its console has."""

    def __init__(self, send, session):
        self._send, self._session = send, session
        self.requests, self.complaints = [], []

    def call(self, method, **params):
        """A command of the protocol, and its result; what happens meanwhile is noted."""
        return self._send(method, params, self._session, self._note)

    def evaluate(self, script):
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, path, width=1280, theme="light"):
        """Open a file, and wait until it has been drawn."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call("Page.navigate", url=path.as_uri())
        self.evaluate(
            "new Promise(r => document.readyState === 'complete' ? r() : addEventListener('load', r))"
        )
        self.evaluate("new Promise(r => requestAnimationFrame(() => setTimeout(r, 50)))")

    def broken_rules(self):
        """What axe-core finds wrong: rule, how grave, and the first element."""
        self.evaluate(f"{axe()};0")
        return self.evaluate(
            "axe.run({resultTypes: ['violations']}).then(r => r.violations.map(v => `${v.id}, ${v.impact}: ${v.nodes[0].html}`))"
        )

    def press(self, key):
        """Press and release a key."""
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def _note(self, event):
        if event["method"] == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])
        elif event["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            self.complaints.append(event["params"])


@contextmanager
def browser(folder):
    """A function that makes a new tab; ``folder`` is for the browser's own files."""
    (to_read, to_write), (from_read, from_write) = os.pipe(), os.pipe()
    theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_read, from_write)]

    def as_expected():  # the browser reads from 3 and writes to 4
        os.dup2(theirs[0], 3)
        os.dup2(theirs[1], 4)

    command = [found(), *ARGUMENTS, f"--user-data-dir={folder}", "about:blank"]
    process = subprocess.Popen(
        command, preexec_fn=as_expected, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for end in (to_read, from_write, *theirs):
        os.close(end)
    with os.fdopen(to_write, "wb", 0) as out, os.fdopen(from_read, "rb", 0) as back:
        link = _Link(out, back)
        yield lambda: Tab(link.send, link.new_session())
        link.send("Browser.close", {})
        process.wait(20)


class _Link:
    def __init__(self, out, back):
        self._out, self._back, self._number, self._rest = out, back, 0, b""

    def send(self, method, params, session=None, note=None):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        message |= {"sessionId": session} if session else {}
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            if note is not None and "method" in answer and answer.get("sessionId") == session:
                note(answer)

    def new_session(self):
        target = self.send("Target.createTarget", {"url": "about:blank"})["targetId"]
        return self.send("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]

    def _next(self):
        while b"\0" not in self._rest:
            part = self._back.read(1 << 16)
            assert part, "the browser has ended"
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        return json.loads(text)
