"""The body of an HTTP answer as a socket of our own, which can be asked whether anything waits and given up in time."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import re
import secrets
import select
import socket
import ssl
import time
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from devices.protocols.multipart import Dechunker
from stream_bind.errors import DeviceError

__all__ = ["HttpBody"]

_HEAD_BYTES = 64 << 10
_REDIRECTS = 5
_CONNECT_S = 1.5
"""A host that is away is asked again after 1 s, then 2, then 4; a new attempt finds one that is back sooner."""
_RECV_BYTES = 256 << 10
_DIGESTS = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


class HttpBody:
    """An open GET: `content_type` and the body's bytes as they come, transfer chunks taken off."""

    def __init__(self, name: str, url: str, timeout_s: float, *, verify_tls: bool = True) -> None:
        """Ask for `url`, with the user and password in it if the server wants them (basic or digest), and follow
        redirects. name: what messages begin with. Raises DeviceError within timeout_s, name look-up apart."""
        self._name = name
        self._end = time.monotonic() + timeout_s
        self._verify_tls = verify_tls
        self._timeout_s = timeout_s
        self._rest = b""
        self._chunks: Dechunker | None = None
        self.content_type = ""
        first = self._split(url)
        self._user, self._password = unquote(first.username or ""), unquote(first.password or "")
        self._origin = (first.scheme, first.hostname, first.port)
        try:
            self._follow(url)
        except OSError as error:
            raise DeviceError(f"{name}: cannot be opened: {self._words(error)}") from error

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> bytes | None:
        """What has come by now, b"" if nothing; None when the server has ended it. Raises OSError, BodyError."""
        while self._chunks is None or not self._chunks.ended:
            data, self._rest = self._rest, b""
            if not data:
                try:
                    data = self._socket.recv(_RECV_BYTES)
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    return b""
                if not data:
                    return None
            if self._chunks is not None:
                data = self._chunks.feed(data)
            if data:
                return data
        return None

    def wait(self, timeout_s: float) -> bool:
        """Whether something can be received, within timeout_s."""
        return bool(self._rest) or bool(select.select([self._socket], [], [], max(0.0, timeout_s))[0])

    def close(self) -> None:
        self._socket.close()

    def _follow(self, url: str) -> None:
        authorization = ""
        for _ in range(_REDIRECTS + 2):
            parts = self._split(url)
            status, reason, headers = self._ask(parts, authorization)
            if status == 200:
                self.content_type = headers.get("Content-Type", "")
                if "chunked" in headers.get("Transfer-Encoding", "").lower():
                    self._chunks = Dechunker()
                self._socket.settimeout(0)
                return
            self._socket.close()
            if status in {301, 302, 303, 307, 308} and headers.get("Location"):
                url, authorization = urljoin(url, headers["Location"]), ""
                if self._split(url).scheme not in {"http", "https"}:
                    raise DeviceError(f"{self._name}: sends on to {_shown(url)}; wanted http or https")
                continue
            same = (parts.scheme, parts.hostname, parts.port) == self._origin
            if status == 401 and not authorization and self._user and same:
                authorization = self._answer(headers.get_all("WWW-Authenticate") or [], parts)
                continue
            raise DeviceError(f"{self._name}: cannot be opened: {self._refusal(status, reason, parts)}")
        raise DeviceError(f"{self._name}: cannot be opened: it sends on and on, at last to {_shown(url)}")

    def _split(self, url: str) -> SplitResult:
        """The address's parts. DeviceError where it is none, which no second try mends."""
        try:
            parts = urlsplit(url)
            if parts.port != 0 and parts.hostname:
                return parts
            why = "it has no host" if parts.port != 0 else "port 0"
        except ValueError as error:
            why = str(error).split(" value as")[0]
        raise DeviceError(
            f"{self._name}: {_shown(url)} is no address ({why}); wanted http://user:password@host:port/path, with "
            f"special characters of user and password written as %40, %2F and the like",
            permanent=True,
        )

    def _refusal(self, status: int, reason: str, parts: SplitResult) -> str:
        if status == 401:
            if not self._user:
                return "it wants a user and a password (401); write them as http://user:password@host/..."
            return "it refuses user or password (401); check them, special characters written as %40 and the like"
        if status == 403:
            return "it forbids this (403); check the user's rights on the camera"
        if status == 404:
            return f"it has no {parts.path or '/'} (404); check the path in the camera's manual"
        return f"it answered {status} {reason}".rstrip() + "; check the address, and that the camera is free"

    def _ask(self, parts: SplitResult, authorization: str) -> tuple[int, str, http.client.HTTPMessage]:
        host = parts.hostname or ""
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        self._socket = socket.create_connection((host, port), min(self._left_s(), _CONNECT_S))
        try:
            if secure:
                self._socket = self._tls().wrap_socket(self._socket, server_hostname=host)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            netloc = parts.netloc.rpartition("@")[2]
            lines = [f"GET {target} HTTP/1.1", f"Host: {netloc}", "User-Agent: stream-bind", "Accept: */*"]
            lines += ["Connection: close", *([f"Authorization: {authorization}"] if authorization else []), "", ""]
            self._socket.settimeout(self._left_s())
            self._socket.sendall("\r\n".join(lines).encode("latin-1", "replace"))
            return self._head()
        except BaseException:
            self._socket.close()
            raise

    def _head(self) -> tuple[int, str, http.client.HTTPMessage]:
        """Status, reason and headers; what came of the body behind them is kept."""
        data = b""
        while (blank := re.search(rb"\r?\n\r?\n", data)) is None:
            self._socket.settimeout(self._left_s())
            more = self._socket.recv(16 << 10)
            if not more:
                raise DeviceError(f"{self._name}: cannot be opened: it hung up without an answer")
            data += more
            if len(data) > _HEAD_BYTES:
                raise DeviceError(f"{self._name}: cannot be opened: its answer's headers have no end")
        line, _, rest = data[: blank.end()].partition(b"\n")
        found = re.match(rb"(?:HTTP/\d\.\d|ICY) (\d{3}) ?([^\r]*)", line)
        if found is None:
            raise DeviceError(f"{self._name}: cannot be opened: no HTTP answer: {line[:40]!r}")
        self._rest = data[blank.end() :]
        headers = http.client.parse_headers(io.BytesIO(rest))
        return int(found.group(1)), found.group(2).decode("latin-1"), headers

    def _left_s(self) -> float:
        left_s = self._end - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if not self._verify_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _words(self, error: OSError) -> str:
        if isinstance(error, ssl.SSLCertVerificationError):
            why = error.verify_message
            return f"its certificate is not trusted ({why}); if the camera made it itself, set verify_tls: false"
        if isinstance(error, TimeoutError):
            return f"no answer for {self._timeout_s:g} s; check the address, and that the camera is on"
        why = error.strerror or type(error).__name__
        return f"{why}; check the address, and that the camera is on"

    def _answer(self, challenges: list[str], parts: SplitResult) -> str:
        """The Authorization header for what the server asks."""
        asked = [one for text in challenges for one in re.split(r",\s*(?=(?:Basic|Digest)\b)", text)]
        digests = [_parameters(one) for one in asked if one.lower().startswith("digest")]
        for parameters in digests:
            name = parameters.get("algorithm", "MD5").upper()
            if name.removesuffix("-SESS") in _DIGESTS:
                return self._digest(parameters, name, parts)
        if any(one.lower().startswith("basic") for one in asked):
            pair = f"{self._user}:{self._password}".encode()
            return "Basic " + base64.b64encode(pair).decode()
        wanted = ", ".join(one.split(" ")[0] for one in asked) or "nothing it names"
        raise DeviceError(f"{self._name}: wants {wanted} for authorization; basic and digest are known")

    def _digest(self, asked: dict[str, str], algorithm: str, parts: SplitResult) -> str:
        """Source: RFC 7616; without qop, RFC 2069."""
        new = _DIGESTS[algorithm.removesuffix("-SESS")]

        def h(text: str) -> str:
            return new(text.encode()).hexdigest()

        realm, nonce = asked.get("realm", ""), asked.get("nonce", "")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        client, count = secrets.token_hex(8), "00000001"
        ha1 = h(f"{self._user}:{realm}:{self._password}")
        if algorithm.endswith("-SESS"):
            ha1 = h(f"{ha1}:{nonce}:{client}")
        ha2 = h(f"GET:{target}")
        said = {"username": self._user, "realm": realm, "nonce": nonce, "uri": target}
        qop = "auth" in re.split(r"[,\s]+", asked.get("qop", ""))
        said["response"] = h(f"{ha1}:{nonce}:{count}:{client}:auth:{ha2}" if qop else f"{ha1}:{nonce}:{ha2}")
        if "opaque" in asked:
            said["opaque"] = asked["opaque"]
        text = ", ".join(f'{name}="{_quoted(value)}"' for name, value in said.items())
        if "algorithm" in asked:
            text += f", algorithm={asked['algorithm']}"
        return f"Digest {text}" + (f', qop=auth, nc={count}, cnonce="{client}"' if qop else "")


def _parameters(challenge: str) -> dict[str, str]:
    pairs = re.findall(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))', challenge)
    return {name.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare for name, quoted, bare in pairs}


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _shown(url: str) -> str:
    return re.sub(r"//.*@", "//***@", url)
