"""Where a file comes from: one request (https, http, file), from a given byte on, and what the answer is worth.

Knows no disk: `download.py` keeps what arrives. Proxies are those of the environment (https_proxy, no_proxy).
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, build_opener

import stream_bind
from stream_bind.errors import WeightsError

__all__ = ["Answer", "BrokenConnectionError", "ask", "is_there"]

TIMEOUT_S = 30.0
"""To connect, and for the next byte."""
SCHEMES = ("https", "http", "file")


class NotThereError(WeightsError):
    """The server answers, and says that it has no such file."""


class BrokenConnectionError(Exception):
    """The connection ended before the file did, or the server is busy: worth another try."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A body that is about to arrive. Close it, or use it as a context manager."""

    start: int
    """Byte of the file the body begins with: the one asked for, or 0 where the server cannot go on from there."""
    size: int | None
    """Of the whole file; None where the server does not say."""
    version: Mapping[str, Any]
    """What identifies this version of the file: etag, last_modified, size."""
    _response: Any

    def read(self, n_bytes: int) -> bytes:
        """The next bytes, empty at the end. BrokenConnectionError."""
        try:
            block: bytes = self._response.read(n_bytes)
        except (http.client.HTTPException, OSError) as error:
            raise BrokenConnectionError(_reason(error)) from error
        return block

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *exc: object) -> None:
        self._response.close()


def ask(url: str, start: int, version: Mapping[str, Any], *, patient: bool) -> Answer:
    """The file at `url` from byte `start` on, if it is still `version`; else from its beginning.

    patient: a server that cannot be reached is a BrokenConnectionError, not a WeightsError. A busy one always is.
    """
    if urlsplit(url).scheme not in SCHEMES:
        raise WeightsError(f"{url} is no address to fetch from; wanted one of {', '.join(SCHEMES)}://")
    try:
        # A new opener each time: urllib's shared one keeps the proxies of its first use.
        response = build_opener().open(Request(url, headers=_headers(start, version)), timeout=TIMEOUT_S)
    except HTTPError as error:
        with error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
                return ask(url, 0, {}, patient=patient)
            if error.code >= 500 or error.code == http.HTTPStatus.TOO_MANY_REQUESTS:
                raise BrokenConnectionError(f"the server answers {error.code} {error.reason}") from error
            raise _refused(url, error) from error
    except (http.client.HTTPException, OSError, ValueError) as error:
        if patient:
            raise BrokenConnectionError(_reason(error)) from error
        raise _unreachable(url, error) from error
    try:
        _check(url, response)
    except WeightsError:
        response.close()
        raise
    found = {"etag": response.headers.get("ETag"), "last_modified": response.headers.get("Last-Modified")}
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        length = response.headers.get("Content-Length") or ""
        size = int(length) if length.isdigit() else None
        return Answer(0, size, {**found, "size": size}, response)
    first, size = _content_range(response)
    if first != start or not _same(version, {**found, "size": size}):
        response.close()
        return ask(url, 0, {}, patient=patient)
    return Answer(start, size, version, response)


def is_there(url: str) -> bool:
    """Whether a file is at `url`, of which nothing is read. WeightsError where that cannot be found out."""
    try:
        with ask(url, 0, {}, patient=False):
            return True
    except NotThereError:
        return False
    except BrokenConnectionError as error:
        raise WeightsError(f"{url}: {error}; run the same command again later") from error


def _headers(start: int, version: Mapping[str, Any]) -> dict[str, str]:
    headers = {"User-Agent": f"stream-bind/{stream_bind.__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        validator = version.get("etag") or version.get("last_modified")
        if validator and not validator.startswith("W/"):
            headers["If-Range"] = validator
    return headers


def _same(known: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether two answers are about the same bytes. Servers that ignore If-Range are caught by tag and size."""
    tags_agree = known.get("etag") == found["etag"] if known.get("etag") and found["etag"] else None
    return known.get("size") == found["size"] and (tags_agree or (tags_agree is None and found["size"] is not None))


def _content_range(response: Any) -> tuple[int | None, int | None]:
    """First byte and size of the whole file, of `bytes 100-199/200`; None for what is not said."""
    unit, _, rest = (response.headers.get("Content-Range") or "").partition(" ")
    span, _, total = rest.partition("/")
    first = span.partition("-")[0]
    if unit != "bytes":
        return None, None
    return int(first) if first.isdigit() else None, int(total) if total.isdigit() else None


def _check(url: str, response: Any) -> None:
    if urlsplit(url).scheme == "https" and urlsplit(response.url).scheme != "https":
        raise WeightsError(f"{url}: leads to {response.url}, which is not encrypted; name another source with --url")
    if response.headers.get_content_type() == "text/html":
        raise WeightsError(
            f"{url}: a web page came instead of the file; log in to the network if it asks for that, or name another "
            "source with --url"
        )


def _refused(url: str, error: HTTPError) -> WeightsError:
    if error.code in {http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE}:
        why = "there is no such file, the publisher may have moved it"
        return NotThereError(f"{url}: {error.code}: {why}; name another source with --url")
    return WeightsError(f"{url}: {error.code}: the server refuses it ({error.reason}); name another source with --url")


def _unreachable(url: str, error: Exception) -> WeightsError:
    parts = urlsplit(url)
    reason = error.reason if isinstance(error, URLError) else error
    if parts.scheme == "file":
        kind = NotThereError if isinstance(reason, FileNotFoundError) else WeightsError
        return kind(f"{url}: cannot be read ({_reason(error)}); name a folder that holds it with --url")
    if isinstance(reason, ssl.SSLCertVerificationError):
        step = "name the certificate authority of your network with SSL_CERT_FILE"
    else:
        step = "check the network and the proxy (https_proxy), or name another source with --url"
    return WeightsError(f"{url}: cannot reach {parts.netloc} ({_reason(error)}); {step}")


def _reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, URLError) else error
    text = str(getattr(inner, "strerror", None) or inner) or type(inner).__name__
    return text.splitlines()[0][:160]
