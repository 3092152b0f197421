"""Motion JPEG over HTTP: a body of parts, each a picture, as cameras write it rather than as RFC 2046 says.

    --boundary CRLF  header: value CRLF ...  CRLF  JPEG bytes  CRLF  --boundary CRLF ...

Met in the field and understood: no Content-Length, or a wrong one; a boundary declared with quotes, with its dashes, or
not the one that is sent; bare LF; blank lines and comments between parts; parts that are no picture; chunked transfer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["BodyError", "Dechunker", "MultipartDecoder", "Part"]

MOST_BYTES = 32 << 20
"""A picture beyond this is none: an 8K JPEG at best quality has 20 MiB."""
_HEADER_BYTES = 16 << 10
_MARK = re.compile(rb"(?:^|\n)(--[^\r\n]+?)[ \t]*\r?\n")
_BLANK = re.compile(rb"\r?\n\r?\n")


class BodyError(Exception):
    """The body is not what it says it is; the connection is of no more use."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the body."""

    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    at: int
    """Offset of the body's first byte in all that was fed."""

    @property
    def is_jpeg(self) -> bool:
        """By its first bytes: cameras mislabel their pictures."""
        return self.body.startswith(b"\xff\xd8")


class MultipartDecoder:
    """Bytes in, parts out. A part is complete with its last byte where Content-Length is right, else with the boundary
    behind it. The boundary is the first line that begins with two dashes, whatever the answer's header declares."""

    def __init__(self) -> None:
        self.ended = False
        """The camera sent the closing boundary."""
        self._mark = b""  # dashes and boundary as they are sent
        self._buffer = bytearray()
        self._at = 0  # offset of the buffer's first byte
        self._headers: dict[str, str] | None = None
        self._searched = 0

    def feed(self, data: bytes) -> list[Part]:
        """The parts these bytes complete. Raises BodyError where no boundary comes for too long."""
        self._buffer += data
        parts: list[Part] = []
        while not self.ended:
            if not self._mark and not self._learn():
                break
            if self._headers is None and not self._head():
                break
            if self._headers is None:
                continue
            part = self._body()
            if part is None:
                break
            if part.body:
                parts.append(part)
        if len(self._buffer) > MOST_BYTES:
            raise BodyError(f"{len(self._buffer)} bytes without a boundary; wanted a picture of at most {MOST_BYTES}")
        return parts

    def _learn(self) -> bool:
        """Find the first boundary, and with it how it is written."""
        found = _MARK.search(self._buffer)
        if found is None:
            if len(self._buffer) > _HEADER_BYTES:
                raise BodyError(f"no boundary in the first {len(self._buffer)} bytes")
            return False
        self._mark = bytes(found.group(1))
        self._forget(found.start(1))
        return True

    def _head(self) -> bool:
        """Go over a boundary and the headers behind it; False if they are not there yet."""
        start = self._buffer.find(self._mark)
        if start < 0:
            self._forget(max(0, len(self._buffer) - len(self._mark) + 1))
            return False
        self._forget(start)
        end = len(self._mark)
        if self._buffer[end : end + 2] == b"--":
            self.ended = True
            return False
        blank = _BLANK.search(self._buffer, end)
        # A boundary among the headers: the part was cut off there, and another begins.
        anew = self._buffer.rfind(b"\n" + self._mark, end, blank.start() if blank else len(self._buffer))
        if anew >= 0:
            self._forget(anew + 1)
            return True
        if blank is None:
            if len(self._buffer) > _HEADER_BYTES:
                raise BodyError(f"a part's headers have no end in {_HEADER_BYTES} bytes")
            return False
        lines = self._buffer[end : blank.start()].decode("latin-1").splitlines()
        pairs = (line.split(":", 1) for line in lines if ":" in line)
        self._headers = {name.strip().lower(): value.strip() for name, value in pairs}
        self._forget(blank.end())
        self._searched = 0
        return True

    def _body(self) -> Part | None:
        assert self._headers is not None
        said = self._headers.get("content-length", "")
        length = int(said) if said.isdecimal() and int(said) <= MOST_BYTES else None
        if length is not None:
            if len(self._buffer) < length:
                return None
            cut_off = self._buffer.startswith(self._mark) or b"\n" + self._mark in self._buffer[:length]
            if not cut_off and self._is_whole(length):
                return self._take(length)
        # The boundary ends it.
        found = self._buffer.find(self._mark, self._searched)
        if found < 0:
            self._searched = max(0, len(self._buffer) - len(self._mark) + 1)
            return None
        return self._take(found - self._line_end(found))

    def _is_whole(self, length: int) -> bool:
        """Whether a body of this length ends where its picture does, as far as can be seen by now."""
        picture = self._buffer.startswith(b"\xff\xd8")
        return not picture or b"\xff\xd9" in self._buffer[max(0, length - 4096) : length]

    def _line_end(self, found: int) -> int:
        """Bytes of the line end before a boundary at `found`: it belongs to the boundary."""
        if self._buffer[max(0, found - 2) : found] == b"\r\n":
            return 2
        return 1 if self._buffer[max(0, found - 1) : found] == b"\n" else 0

    def _take(self, length: int) -> Part:
        assert self._headers is not None
        part = Part(self._headers, bytes(self._buffer[:length]), self._at)
        self._headers = None
        self._forget(length)
        return part

    def _forget(self, n: int) -> None:
        del self._buffer[:n]
        self._at += n


class Dechunker:
    """Takes the transfer's chunks off a body: hexadecimal length, CRLF, so many bytes, CRLF; a length of 0 ends it.

    Microcontroller cameras (ESP32) send every piece of every picture as a chunk. Source: RFC 9112, section 7.1.
    """

    def __init__(self) -> None:
        self.ended = False
        self._buffer = bytearray()
        self._left = 0  # of the chunk we are in
        self._line_due = False  # the line end behind a chunk

    def feed(self, data: bytes) -> bytes:
        """The body's bytes among these. Raises BodyError where a chunk's length is none."""
        self._buffer += data
        out = bytearray()
        while self._buffer and not self.ended:
            if self._left:
                piece = self._buffer[: self._left]
                out += piece
                self._left -= len(piece)
                del self._buffer[: len(piece)]
                self._line_due = not self._left
                continue
            end = self._buffer.find(b"\n")
            if end < 0:
                if len(self._buffer) > _HEADER_BYTES:
                    raise BodyError("a chunk's length has no line end")
                break
            line = bytes(self._buffer[:end]).split(b";")[0].strip()
            del self._buffer[: end + 1]
            if self._line_due and not line:
                self._line_due = False
                continue
            try:
                self._left = int(line, 16)
            except ValueError:
                raise BodyError(f"wanted a chunk's length, found {line[:20]!r}") from None
            if not 0 <= self._left <= MOST_BYTES:
                raise BodyError(f"a chunk of {self._left} bytes")
            self._line_due = False
            self.ended = self._left == 0
        return bytes(out)
