"""The real ssh to a real sshd on this machine, and ways to cut what lies between them."""

import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))


def started(folder):
    """A port of this machine at which an sshd lets this user in with a key, for as long as it is not thrown away."""
    if SSHD is None or shutil.which("ssh-keygen") is None:
        pytest.skip("there is no sshd here")
    (folder / "tmp").mkdir()
    for name in ("host", "user", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "user.pub",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "SetEnv": f"TMPDIR={folder / 'tmp'} XDG_CACHE_HOME={folder / 'cache'}",
    }
    (folder / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    (folder / "known").write_text("device " + (folder / "host.pub").read_text())
    process = subprocess.Popen([SSHD, "-D", "-f", folder / "sshd_config", "-E", folder / "log"])
    for _ in range(200):
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    else:
        process.kill()
        pytest.skip(f"sshd does not start here: {(folder / 'log').read_text()}")
    yield folder, port
    process.terminate()
    process.wait()


def client(server, tmp_path, monkeypatch, key="user", known="known"):
    """The real ssh, set up for this server alone."""
    folder, port = server
    real = shutil.which("ssh")
    lines = ["HostKeyAlias device", f"UserKnownHostsFile {folder / known}", "GlobalKnownHostsFile none"]
    lines += [f"IdentityFile {folder / key}", "IdentitiesOnly yes"]
    (tmp_path / "ssh_config").write_text("\n".join(lines) + "\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ssh").write_text(f'#!/bin/sh\nexec {real} -F {tmp_path / "ssh_config"} "$@"\n')
    (tmp_path / "bin" / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return folder / "tmp", port


def user():
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()


def cut_after(port, most, skip=0):
    """A port that leads to another one, and is cut when so many bytes have gone there, the first connections apart."""
    listener = socket.create_server(("127.0.0.1", 0))

    def forward(source, target, left):
        with source, target:
            while left > 0 and (data := source.recv(min(4096, left))):
                target.sendall(data)
                left -= len(data)
            for end in (source, target):
                end.shutdown(socket.SHUT_RDWR)

    def serve():
        with listener:
            for left in [1 << 40] * skip + [most]:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                for way in ((far, near, 1 << 40), (near, far, left)):
                    threading.Thread(target=quietly, args=(forward, *way), daemon=True).start()

    def quietly(function, *arguments):
        try:
            function(*arguments)
        except OSError:
            return

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def emptied(folder):
    """Whether a folder is empty, or becomes so within ten seconds."""
    for _ in range(100):
        if not list(Path(folder).iterdir()):
            return True
        time.sleep(0.1)
    return False
