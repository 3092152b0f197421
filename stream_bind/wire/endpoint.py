"""Endpoints: which may be bound without encryption, and what to say when one cannot be bound. No socket is opened here
but the probe of a Unix socket path."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from urllib.parse import unquote

from stream_bind.errors import WireError

__all__ = ["bindable", "explain_bind", "is_ipv6", "refuse_open_bind"]

_TCP = re.compile(r"tcp://(?P<host>\[[^\]]*\]|[^:\[\]/]+):(?P<port>\d{1,5}|\*)")


def bindable(endpoint: str, setting: str = "publish.endpoint") -> str:
    """`endpoint` in the form libzmq binds, `localhost` put into numbers. WireError if it is no tcp, ipc or inproc
    endpoint, or an ipc path that another program is serving (libzmq itself would silently take the path away)."""
    scheme, _, rest = endpoint.partition("://")
    if scheme not in {"tcp", "ipc", "inproc"} or not rest:
        raise WireError(f"{setting}: {endpoint!r} is no endpoint; write tcp://HOST:PORT, ipc://PATH or inproc://NAME")
    if scheme == "ipc" and _is_served(unquote(rest)):
        raise WireError(f"{setting}: {endpoint} is in use by another program; stop it or set {setting} to another path")
    if scheme != "tcp":
        return endpoint
    host, port = _host_port(endpoint, setting)
    return f"tcp://127.0.0.1:{port}" if host == "localhost" else endpoint


def refuse_open_bind(endpoint: str, *, encrypted: bool, insecure: bool, setting: str = "publish.endpoint") -> None:
    """WireError if others on the network could connect to `endpoint` and neither encryption nor consent covers that."""
    if not endpoint.startswith("tcp://") or encrypted or insecure:
        return
    host, port = _host_port(endpoint, setting)
    if _is_loopback(host):
        return
    raise WireError(
        f"{setting}: {endpoint} would let anyone on the network read the vectors; bind to tcp://127.0.0.1:{port}, "
        "or set publish.insecure: true if this network is trusted"
    )


def is_ipv6(endpoint: str) -> bool:
    return endpoint.startswith("tcp://[")


def explain_bind(endpoint: str, code: int, reason: str, setting: str = "publish.endpoint") -> str:
    """One line for an endpoint that could not be bound."""
    if code == errno.EADDRINUSE:
        return f"{setting}: {endpoint} is in use by another program; stop it or set {setting} to another port"
    if code in {errno.ENODEV, errno.EADDRNOTAVAIL}:
        return f"{setting}: {endpoint}: this machine has no such address; `ip address` lists those it has"
    if code in {errno.EACCES, errno.EPERM}:
        return f"{setting}: {endpoint}: no permission to bind it; use a port above 1023 or a directory you may write to"
    if code == errno.ENOENT:
        return f"{setting}: {endpoint}: its directory does not exist; make it or set {setting} to another path"
    return f"{setting}: {endpoint} cannot be bound: {reason}; set {setting} to another endpoint"


def _host_port(endpoint: str, setting: str) -> tuple[str, str]:
    match = _TCP.fullmatch(endpoint)
    if match is None or (match["port"] != "*" and int(match["port"]) > 65535):
        raise WireError(f"{setting}: {endpoint!r} is no tcp endpoint; write tcp://HOST:PORT, port 1 to 65535 or *")
    return match["host"].strip("[]"), match["port"]


def _is_loopback(host: str) -> bool:
    """Numbers of the loopback net and `localhost` only: any other name may resolve to anything tomorrow."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_served(path: str) -> bool:
    if path.startswith(("@", "*")):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
