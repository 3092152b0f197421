"""Cameras on loopback, processes of their own that can be killed, frozen and started again; all die with the test."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

HERE = Path(__file__).parent


class Server:
    """A camera's process. `start` returns once it listens, and gives the time it did."""

    def __init__(self, kind: str, **settings: object) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        # Only the system's Python has GStreamer's bindings.
        python = "/usr/bin/python3" if kind == "rtsp" else sys.executable
        self._command = [python, str(HERE / f"{kind}_camera.py"), str(self.port), json.dumps(settings)]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> int:
        # With the pipe to its stdin it ends when this process does, however that ends.
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        deadline = threading.Timer(30.0, self._process.kill)
        deadline.start()
        said = self._process.stdout.readline()
        deadline.cancel()
        assert said == b"ready\n", f"{self._command[1]} did not start"
        return time.time_ns()

    def _signal(self, number: signal.Signals) -> int:
        assert self._process is not None
        os.kill(self._process.pid, number)
        return time.time_ns()

    def freeze(self) -> int:
        return self._signal(signal.SIGSTOP)

    def thaw(self) -> int:
        return self._signal(signal.SIGCONT)

    def kill(self) -> int:
        """As `kill -9`; returns when."""
        now_ns = time.time_ns()
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None
        return now_ns


def read_code(picture: np.ndarray) -> tuple[int, int]:
    """When the camera drew this picture, UNIX ns, and its number; picture: (H, W, 3) uint8."""
    centres = picture[8:64:16, 8:320:16, 1] > 128
    code = sum(int(bit) << k for k, bit in enumerate(centres.ravel()))
    return (code >> 20) * 1_000_000, code & 0xFFFFF


@pytest.fixture
def cameras() -> Iterator[Callable[..., Server]]:
    """Start a camera: kind mjpeg or rtsp, and its settings."""
    started: list[Server] = []

    def start(kind: str, **settings: object) -> Server:
        started.append(Server(kind, **settings))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def drawn() -> SimpleNamespace:
    """What is drawn into the pictures."""
    return SimpleNamespace(code=read_code)


class Scripted:
    """A server that answers each connection with the next of its scripts, and keeps what it was asked."""

    def __init__(self, *scripts: Callable[[socket.socket], None] | bytes) -> None:
        self.requests: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._scripts = scripts
        self._peers: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        for script in self._scripts:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self._peers.append(peer)
            asked = b""
            while not asked.endswith(b"\r\n\r\n"):
                more = peer.recv(4096)
                if not more:
                    break
                asked += more
            self.requests.append(asked.decode("latin-1"))
            try:
                if isinstance(script, bytes):
                    peer.sendall(script)
                else:
                    script(peer)
            except OSError:
                pass

    def close(self) -> None:
        self._listener.close()
        for peer in self._peers:
            peer.close()


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    """Start a server with what it answers to one connection after the other."""
    started: list[Scripted] = []

    def start(*scripts: Callable[[socket.socket], None] | bytes) -> Scripted:
        started.append(Scripted(*scripts))
        return started[-1]

    yield start
    for server in started:
        server.close()
