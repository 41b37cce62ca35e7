"""A stand-in for the daemon of an Android device, for the real adb client: loopback_adbd.py FOLDER [MOOD].

It speaks the transport protocol (CNXN, AUTH, OPEN, OKAY, WRTE, CLSE) and the services shell, shell,v2 and sync
(STAT, SEND, RECV). Commands run here, by sh, with FOLDER in the place of /data/local/tmp and the programs of
FOLDER/bin found first. It prints its port. MOOD is ``locked`` (the computer's key is never accepted) or
``leaving`` (the connection breaks when a command names ``decode``). It is a test of the client's side, not of Android.
"""

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

PLACE = "/data/local/tmp"
LARGEST = 1 << 18
COMMANDS = {
    name: int.from_bytes(name.encode(), "little") for name in ("CNXN", "AUTH", "OPEN", "OKAY", "WRTE", "CLSE")
}
NAMES = {number: name for name, number in COMMANDS.items()}
BANNER = b"device::ro.product.name=stand_in;ro.product.model=stand_in;ro.product.device=stand_in;features=shell_v2,cmd"


class Connection:
    """One client: frames are read here, every stream has a thread of its own."""

    def __init__(self, client, folder, mood):
        self.client, self.folder, self.mood = client, folder, mood
        self.streams, self.lock, self.last = {}, threading.Lock(), 0

    def send(self, name, first, second, data=b""):
        number = COMMANDS[name]
        head = struct.pack(
            "<6I", number, first, second, len(data), sum(data) & 0xFFFFFFFF, number ^ 0xFFFFFFFF
        )
        with self.lock:
            self.client.sendall(head + data)

    def read(self, size):
        data = b""
        while len(data) < size:
            part = self.client.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def serve(self):
        with contextlib.suppress(EOFError, OSError):
            while True:
                number, first, second, size, _, _ = struct.unpack("<6I", self.read(24))
                self.take(NAMES[number], first, second, self.read(size))
        for stream in self.streams.values():
            stream.feed(None)

    def take(self, name, first, second, data):
        if name in ("CNXN", "AUTH"):
            if self.mood == "locked":
                if name == "CNXN" or first == 2:  # a token to sign, again after each signature that is wrong
                    self.send("AUTH", 1, 0, bytes(20))
                return
            self.send("CNXN", 0x01000001, LARGEST, BANNER)
        elif name == "OPEN":
            self.last += 1
            self.streams[self.last] = Stream(self, self.last, first, data.rstrip(b"\0").decode())
            self.streams[self.last].start()
        elif second in self.streams:
            stream = self.streams[second]
            if name == "OKAY":
                stream.taken.set()
            elif name == "WRTE":
                stream.feed(data)
                self.send("OKAY", second, first)
            elif name == "CLSE":
                stream.feed(None)


class Stream(threading.Thread):
    """One service that a client opened."""

    def __init__(self, connection, here, there, service):
        super().__init__(daemon=True)
        self.connection, self.here, self.there, self.service = connection, here, there, service
        self.taken, self.arrived = threading.Event(), threading.Condition()
        self.buffer, self.ended = b"", False

    def feed(self, data):
        with self.arrived:
            if data is None:
                self.ended = True
            else:
                self.buffer += data
            self.arrived.notify_all()

    def read(self, size):
        with self.arrived:
            while len(self.buffer) < size:
                if self.ended:
                    raise EOFError
                self.arrived.wait()
            data, self.buffer = self.buffer[:size], self.buffer[size:]
            return data

    def write(self, data):
        for place in range(0, len(data), LARGEST):
            self.taken.clear()
            self.connection.send("WRTE", self.here, self.there, data[place : place + LARGEST])
            self.taken.wait(60)

    def run(self):
        self.connection.send("OKAY", self.here, self.there)
        with contextlib.suppress(EOFError):
            if self.service.startswith("shell"):
                self.shell(*self.service.split(":", 1))
            elif self.service.startswith("sync"):
                self.sync()
        with contextlib.suppress(OSError):
            self.connection.send("CLSE", self.here, self.there)

    def shell(self, kind, command):
        folder, versioned = self.connection.folder, ",v2" in kind
        if self.connection.mood == "leaving" and "decode" in command:
            self.connection.client.shutdown(socket.SHUT_RDWR)
            return
        environment = {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", "-c", command.replace(PLACE, str(folder / "tmp"))],
            capture_output=True, stdin=subprocess.DEVNULL, env=environment, check=False,
        )  # fmt: skip
        if not versioned:
            self.write(done.stdout + done.stderr)
            return
        for which, text in ((1, done.stdout), (2, done.stderr)):
            if text:
                self.write(struct.pack("<BI", which, len(text)) + text)
        code = done.returncode if done.returncode >= 0 else 128 - done.returncode
        self.write(struct.pack("<BIB", 3, 1, code))

    def here_of(self, path):
        return Path(path.replace(PLACE, str(self.connection.folder / "tmp"), 1))

    def sync(self):
        while True:
            kind, size = struct.unpack("<4sI", self.read(8))
            if kind == b"QUIT":
                return
            name = self.read(size).decode()
            {b"STAT": self.stat, b"SEND": self.receive, b"RECV": self.give}[kind](name)

    def stat(self, name):
        try:
            found = self.here_of(name).lstat()
            self.write(struct.pack("<4s3I", b"STAT", found.st_mode, found.st_size, int(found.st_mtime)))
        except OSError:
            self.write(struct.pack("<4s3I", b"STAT", 0, 0, 0))

    def receive(self, name):
        path, _, mode = name.rpartition(",")
        content = b""
        while True:
            kind, size = struct.unpack("<4sI", self.read(8))
            if kind == b"DONE":  # its size is the time of the file
                break
            content += self.read(size)
        try:
            self.here_of(path).write_bytes(content)
            self.here_of(path).chmod(int(mode) & 0o777)
            self.write(struct.pack("<4sI", b"OKAY", 0))
        except OSError as error:
            self.fail(error)

    def give(self, name):
        try:
            content = self.here_of(name).read_bytes()
        except OSError as error:
            self.fail(error)
            return
        for place in range(0, len(content), 1 << 16):
            part = content[place : place + (1 << 16)]
            self.write(struct.pack("<4sI", b"DATA", len(part)) + part)
        self.write(struct.pack("<4sI", b"DONE", 0))

    def fail(self, error):
        text = (error.strerror or "failed").encode()
        self.write(struct.pack("<4sI", b"FAIL", len(text)) + text)


def main(folder, mood=""):
    with socket.create_server(("127.0.0.1", 0)) as server:
        sys.stdout.write(f"{server.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            client, _ = server.accept()
            connection = Connection(client, Path(folder), mood)
            threading.Thread(target=connection.serve, daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
