"""The host's side of the test guest: a kernel to boot, a machine that runs the checks, a host that plugs and unplugs.

Knows nothing of pytest. QEMU emulates everything (TCG): it needs neither root nor /dev/kvm. The guest sees this
machine's root directory read-only with a layer in memory over it, so the same Python environment and working tree.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import platform
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
BOOT_S = 120.0
SENSOR_RATE_HZ = 100
ADAPTERS = ("IMU0", "IMU1")
"""Serial numbers of the USB serial adapters; the first is plugged in at boot, the second comes when asked for."""


class Unavailable(Exception):  # noqa: N818 - a reason, often no fault
    """There can be no guest on this machine, with the reason and what would mend it."""


def image(cache: Path) -> Path:
    """The folder with vmlinuz, initrd.zst and tree under `cache`; made at the first call, by image.sh (some 70 MB from
    the Debian mirror). Raises Unavailable."""
    if platform.machine() != "x86_64":
        raise Unavailable(
            f"the guest runs this machine's own programs and is built for x86_64, not {platform.machine()}"
        )
    recipe = HERE / "image.sh"
    folder = cache / hashlib.sha256(recipe.read_bytes()).hexdigest()[:12]
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / "lock").open("w")
    except OSError as error:
        raise Unavailable(
            f"the guest's kernel cannot be kept in {cache}: {error}; set STREAM_BIND_GUEST_DIR"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        if shutil.which("apt-get") is None:
            raise Unavailable("the guest's kernel is Debian's and there is no apt-get here to fetch it")
        with tempfile.TemporaryDirectory(dir=cache, prefix="new-") as made:
            try:
                done = subprocess.run(
                    [str(recipe), f"{made}/image"], capture_output=True, text=True, timeout=300, check=False
                )
            except subprocess.TimeoutExpired as error:
                raise Unavailable("the guest's kernel could not be fetched and unpacked within 300 s") from error
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no word"])[-1]
                raise Unavailable(f"the guest's kernel could not be made: {last}")
            Path(made, "image").rename(folder)
    return folder


class Qmp:
    """QEMU's control socket."""

    def __init__(self, path: Path, timeout_s: float = 20.0) -> None:
        end = time.monotonic() + timeout_s
        self._socket = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self._socket.connect(str(path))
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        self._socket.settimeout(timeout_s)
        self._lines = self._socket.makefile("r")
        self._events: list[dict[str, Any]] = []
        self._lines.readline()
        self.call("qmp_capabilities")

    def _next(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise OSError("QEMU has gone")
        told: dict[str, Any] = json.loads(line)
        return told

    def call(self, command: str, **arguments: Any) -> None:
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            told = self._next()
            if "event" in told:
                self._events.append(told)
            elif "error" in told:
                raise OSError(f"QEMU: {command}: {told['error']['desc']}")
            else:
                return

    def wait_deleted(self, device: str) -> None:
        while True:
            for event in self._events:
                if event["event"] == "DEVICE_DELETED" and event.get("data", {}).get("device") == device:
                    self._events.remove(event)
                    return
            self._events.append(self._next())

    def close(self) -> None:
        self._socket.close()


def witmotion_packets(number: int) -> bytes:
    """One sample as a WT901 sends it: acceleration (0, 0, 1 g), angular rate (number as int16, 0, 0) in raw counts,
    angles, field; 11 bytes each, `55 TT`, four int16 LE, sum of the first ten. 25 degrees C."""
    number = (number + 32768) % 65536 - 32768
    made = b""
    for kind, values in (
        (0x51, (0, 0, 2048)),
        (0x52, (number, 0, 0)),
        (0x53, (0, 0, 0)),
        (0x54, (100, 0, -300)),
    ):
        body = struct.pack("<BBhhhh", 0x55, kind, *values, 2500)
        made += body + bytes([sum(body) & 255])
    return made


class Sensor:
    """A 100 Hz motion sensor behind a USB serial adapter. Plugged in means: QEMU has the device, and we its far end.

    Sample k is due at k / 100 Hz since the start, whether anybody listens or not: the numbers that did come tell how
    long the line was away.
    """

    def __init__(self, name: str, path: Path, qmp: Qmp) -> None:
        self._name = name
        self._path = path
        self._qmp = qmp
        self._pouring = threading.Event()
        self._leave = threading.Event()
        self._thread: threading.Thread | None = None
        self._began = time.monotonic()

    @property
    def plugged(self) -> bool:
        return self._thread is not None

    def plug(self, *, present: bool = False) -> None:
        """present: QEMU was started with the device."""
        line = socket.socket(socket.AF_UNIX)
        line.connect(str(self._path))
        line.setblocking(False)
        if not present:
            self._qmp.call(
                "device_add", driver="usb-serial", id=self._name, chardev=self._name, bus="xhci.0", serial=self._name
            )
        self._pouring.set()
        self._leave.clear()
        self._thread = threading.Thread(target=self._speak, args=(line,), daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Silence first: what would be written now would wait in the socket and pour out at the next plugging in."""
        self.leave()
        self._qmp.call("device_del", id=self._name)
        self._qmp.wait_deleted(self._name)

    def pour(self, on: bool) -> None:
        self._pouring.set() if on else self._pouring.clear()

    def leave(self) -> None:
        self._leave.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _speak(self, line: socket.socket) -> None:
        with line:
            number = int((time.monotonic() - self._began) * SENSOR_RATE_HZ)
            while not self._leave.is_set():
                number += 1
                if self._leave.wait(max(0.0, self._began + number / SENSOR_RATE_HZ - time.monotonic())):
                    return
                try:
                    readable, writable, _ = select.select([line], [line], [], 0)
                    # A terminal echoes until it is set raw, and all of QEMU waits while nobody reads what it writes.
                    if readable and not line.recv(65536):
                        return
                    # A sensor does not wait for a reader either: what has no room is lost.
                    if writable and self._pouring.is_set():
                        line.send(witmotion_packets(number))
                except BlockingIOError:
                    continue
                except OSError:
                    return


class Host:
    """Does what checks ask for: {"what": "plug" | "unplug" | "pour" | "rest", "name": serial number, "on": bool}."""

    def __init__(self, folder: Path, sensors: dict[str, Sensor]) -> None:
        self._asks, self._answers = folder / "asks", folder / "answers"
        self._sensors = sensors
        self._known: dict[str, Callable[..., Any]] = {
            "plug": lambda name: self._sensors[name].plug(),
            "unplug": lambda name: self._sensors[name].unplug(),
            "pour": lambda name, on: self._sensors[name].pour(on),
            "rest": self._rest,
        }

    def _rest(self) -> None:
        first, *others = (self._sensors[name] for name in ADAPTERS)
        for sensor in others:
            if sensor.plugged:
                sensor.unplug()
        if not first.plugged:
            first.plug()
        first.pour(True)

    def serve(self) -> None:
        """Answer what has been asked since the last call."""
        for ask in sorted(self._asks.glob("*.json")):
            told = json.loads(ask.read_text())
            ask.unlink()
            try:
                answer = {"done": self._known[told.pop("what")](**told)}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            part = self._answers / f"{ask.stem}.part"
            part.write_text(json.dumps(answer))
            part.rename(self._answers / ask.name)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Guest:
    """One boot that runs `checks` ("file.check" names) in order and powers off."""

    def __init__(self, kernel: Path, checks: Sequence[str], limit_s: float) -> None:
        # Not under pytest's folder: a unix socket's path holds 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="sb-guest-"))
        self.out = self.folder / "out"
        for folder in (self.out, self.out / "asks", self.out / "answers"):
            folder.mkdir()
        shutil.copy(HERE / "init.sh", self.out / "init")
        settings = {"REPOSITORY": REPOSITORY, "PYTHON": sys.executable, "DEADLINE_S": round(limit_s)}
        (self.out / "settings").write_text("".join(f"{k}={shlex.quote(str(v))}\n" for k, v in settings.items()))
        (self.out / "plan.json").write_text(json.dumps(list(checks)))
        (self.out / "results.jsonl").touch()
        self._end = time.monotonic() + limit_s
        self._limit_s = limit_s
        self._results: dict[str, dict[str, Any]] = {}
        self.notes: list[dict[str, Any]] = []
        self._read_to = 0
        self._began = time.monotonic()
        with (self.folder / "qemu.log").open("w") as log:
            self._process = subprocess.Popen(
                self._command(kernel),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one libc call
            )
        self._stop = threading.Event()
        self._attendant = threading.Thread(target=self._attend, daemon=True)
        self._attendant.start()

    def _command(self, kernel: Path) -> list[str]:
        def share(tag: str, path: Path | str, *options: str) -> list[str]:
            words = ["local", f"path={path}", f"mount_tag={tag}", "security_model=none", *options]
            return ["-virtfs", ",".join(words)]

        command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"]
        command += ["-nodefaults", "-no-reboot", "-display", "none", "-serial", f"file:{self.folder}/console"]
        command += ["-kernel", str(kernel / "vmlinuz"), "-initrd", str(kernel / "initrd.zst")]
        command += ["-append", "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on tsc=reliable"]
        command += share("host", "/", "readonly=on", "multidevs=remap")
        command += share("kernel", kernel / "tree", "readonly=on", "multidevs=remap")
        command += share("out", self.out, "multidevs=remap")
        command += ["-device", "virtio-rng-pci", "-qmp", f"unix:{self.folder}/qmp,server=on,wait=off"]
        command += ["-device", "qemu-xhci,id=xhci"]
        for name in ADAPTERS:
            command += ["-chardev", f"socket,id={name},path={self.folder}/{name},server=on,wait=off"]
        first = ADAPTERS[0]
        return [*command, "-device", f"usb-serial,id={first},chardev={first},bus=xhci.0,serial={first}"]

    def _attend(self) -> None:
        try:
            qmp = Qmp(self.folder / "qmp")
        except OSError:
            return
        sensors = {name: Sensor(name, self.folder / name, qmp) for name in ADAPTERS}
        try:
            sensors[ADAPTERS[0]].plug(present=True)
            host = Host(self.out, sensors)
            while not self._stop.wait(0.02) and self.running():
                host.serve()
        finally:
            for sensor in sensors.values():
                sensor.leave()
            qmp.close()

    def running(self) -> bool:
        return self._process.poll() is None

    def _read_results(self) -> None:
        with (self.out / "results.jsonl").open("rb") as file:
            file.seek(self._read_to)
            lines = file.read()
        lines = lines[: lines.rfind(b"\n") + 1]
        self._read_to += len(lines)
        for line in lines.splitlines():
            told = json.loads(line)
            if "check" in told:
                self._results[told["check"]] = told
            else:
                self.notes.append(told)

    def result(self, check: str) -> dict[str, Any]:
        """The line about `check` as soon as it is there; a failure that says why if it will never come."""
        while True:
            ended = not self.running()
            self._read_results()
            if check in self._results:
                return self._results[check]
            if not ended and not self._up() and time.monotonic() - self._began > BOOT_S:
                self._process.kill()
                return self._lost(check, f"the guest did not come up within {BOOT_S:.0f} s")
            if not ended and time.monotonic() > self._end:
                self._process.kill()
                return self._lost(check, f"the guest was still busy after {self._limit_s:.0f} s and was stopped")
            if ended:
                return self._lost(check, "the guest ended before it had done this check")
            time.sleep(0.1)

    def _up(self) -> bool:
        return (self.out / "up").exists()

    def _lost(self, check: str, why: str) -> dict[str, Any]:
        told = {name: _tail(path) for name, path in self.logs().items()}
        output = "\n".join(f"--- {name}\n{text}" for name, text in told.items() if text)
        return {"check": check, "outcome": "failed", "seconds": 0.0, "report": why, "output": output, "kernel": ""}

    def logs(self) -> dict[str, Path]:
        return {"checks": self.out / "log", "console": self.folder / "console", "QEMU": self.folder / "qemu.log"}

    def stop(self, patience_s: float = 15.0) -> float:
        """Let it power off, kill it if it does not, drop its folder. Returns the seconds from its start to its end."""
        try:
            self._process.wait(patience_s if self._up() else 0.1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        took = time.monotonic() - self._began
        self._stop.set()
        self._attendant.join(30)
        shutil.rmtree(self.folder, ignore_errors=True)
        return took


def _tail(path: Path) -> str:
    try:
        return path.read_text(errors="replace")[-3000:]
    except OSError:
        return ""
