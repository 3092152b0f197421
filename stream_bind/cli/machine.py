"""What this machine has and lacks, each with the command that mends it."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from stream_bind.cli.finding import Finding
from stream_bind.cli.sensor_needs import sensor_needs

__all__ = ["endpoint_finding", "machine_findings"]

MIN_MEMORY_GB = 2.0
"""A simulated headset takes about 1 GB with Ray."""
MIN_SHM_MB = 100
"""Ray's smallest object store, 75 MB, lies in /dev/shm."""


def machine_findings() -> Iterator[Finding]:
    """Everything worth knowing about this machine that no configuration is needed for."""
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield from _packages()
    yield _cores_and_memory()
    yield _shared_memory()
    yield _gpu()
    yield from sensor_needs()
    yield from _serial_ports()


def _packages() -> Iterator[Finding]:
    for package, purpose in (
        ("ray", "actors"),
        ("torch", "encoders"),
        ("pyzmq", "the wire"),
        ("av", "video, brings its own ffmpeg"),
        ("soundfile", "sound files"),
        ("pyserial", "serial sensors"),
    ):
        try:
            yield Finding(package, "ok", f"{version(package)} ({purpose})")
        except PackageNotFoundError:
            yield Finding(package, "lacking", f"not installed ({purpose})", f"pip install {package}")


def _cores_and_memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    total, free = memory.total / 1e9, memory.available / 1e9
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    detail = f"{n} cores, {total:.1f} GB of memory, {free:.1f} GB free"
    if free < MIN_MEMORY_GB:
        return Finding(
            "machine", "note", detail, f"{MIN_MEMORY_GB:g} GB free are advised; `--local` needs half of that"
        )
    return Finding("machine", "ok", detail)


def _shared_memory() -> Finding:
    path = Path("/dev/shm")
    if not path.is_dir():
        return Finding("shared memory", "note", "this system has no /dev/shm; Ray uses /tmp instead")
    free = shutil.disk_usage(path).free / 1e6
    if free < MIN_SHM_MB:
        return Finding(
            "shared memory", "note", f"{free:.0f} MB free in /dev/shm", "in Docker: --shm-size=256m; or `run --local`"
        )
    return Finding("shared memory", "ok", f"{free:.0f} MB free in /dev/shm")


def _gpu() -> Finding:
    if shutil.which("nvidia-smi") is None:
        return Finding("gpu", "note", "no NVIDIA GPU found; encoders run on the CPU")
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("gpu", "note", f"nvidia-smi fails ({error}); encoders run on the CPU", "nvidia-smi")
    try:
        cpu_only = "+cpu" in version("torch")
    except PackageNotFoundError:
        cpu_only = False
    if cpu_only:
        return Finding(
            "gpu",
            "note",
            f"{'; '.join(lines)}, but this torch is built for CPUs only",
            "pip install --force-reinstall torch",
        )
    return Finding("gpu", "ok", "; ".join(lines))


def _serial_ports() -> Iterator[Finding]:
    from serial.tools import list_ports

    ports = sorted(port.device for port in list_ports.comports())
    if not ports:
        yield Finding("serial ports", "note", "none attached")
        return
    shut = [port for port in ports if not os.access(port, os.R_OK | os.W_OK)]
    if shut:
        yield Finding(
            "serial ports",
            "note",
            f"no permission to use {', '.join(shut)}",
            "sudo usermod -aG dialout $USER, then log in again",
        )
    usable = [port for port in ports if port not in shut]
    if usable:
        yield Finding("serial ports", "ok", ", ".join(usable[:6]) + (" ..." if len(usable) > 6 else ""))


def endpoint_finding(endpoint: str) -> Finding:
    """Whether a publisher could bind `endpoint` now."""
    if not endpoint.startswith("tcp://"):
        return Finding("data port", "ok", endpoint)
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    if not port.isdigit():
        return Finding("data port", "ok", endpoint)
    host = "" if host == "*" else host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            remedy = f"ss -ltnp 'sport = :{port}' names who has it; or --set publish.endpoint=tcp://127.0.0.1:PORT"
            return Finding("data port", "lacking", f"{endpoint}: {error.strerror}", remedy)
    return Finding("data port", "ok", f"{endpoint} is free")
