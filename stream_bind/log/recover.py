"""A log that a crash or a bad disk left behind, written anew with all that is right in it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from mcap.records import Attachment, Metadata
from mcap.writer import CompressionType, Writer

from stream_bind.errors import LogError
from stream_bind.log.scan import LogMessage, Loss, Scan
from stream_bind.log.writer import CHUNK_BYTES

__all__ = ["RECOVERED", "Recovery", "recover"]

RECOVERED = "stream_bind.recovered"
"""Metadata record of a recovered file: what it was made of and what is missing."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a file held."""

    n_messages: int
    losses: tuple[Loss, ...]
    closed: bool
    """The recorder came to its end; else what it had not flushed is missing besides."""
    indexed: bool

    @property
    def whole(self) -> bool:
        """Nothing to mend."""
        return self.closed and self.indexed and not self.losses

    @property
    def lost_bytes(self) -> int:
        return sum(loss.n_bytes for loss in self.losses)


def recover(source: Path, target: Path) -> Recovery:
    """Write what can be read of `source` to the new file `target`, which appears whole or not at all.

    `source` is left alone. LogError if it is no MCAP file, holds no message, or `target` is there already.
    """
    if target.exists():
        raise LogError(f"{target}: is there already; name another file with --output")
    part = target.with_name(target.name + ".part")
    scan = Scan(source)
    try:
        with part.open("wb") as file:
            writer = Writer(file, chunk_size=CHUNK_BYTES, compression=CompressionType.ZSTD)
            copy = _Copy(writer)
            for found in scan:
                if not copy.begun:
                    copy.begin(scan)
                copy.take(found)
            if not scan.n_messages:
                raise LogError(f"{source}: holds no message that can be read; {_told(scan)}")
            recovery = Recovery(scan.n_messages, tuple(scan.losses), scan.closed, scan.indexed)
            reasons = "; ".join(loss.reason for loss in scan.losses[:10]) or "it had no index"
            about = {"source_sha256": _sha256(source), "lost_bytes": str(recovery.lost_bytes), "reason": reasons}
            writer.add_metadata(RECOVERED, about)
            writer.finish()  # type: ignore[no-untyped-call]
        part.replace(target)
    except OSError as error:
        raise LogError(f"{target}: cannot be written ({error.strerror or error})") from error
    finally:
        part.unlink(missing_ok=True)
    return recovery


class _Copy:
    """Records into a new file, with numbers of its own for schemas and channels."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._schemas: dict[tuple[str, str, bytes], int] = {}
        self._channels: dict[int, int] = {}
        self.begun = False

    def begin(self, scan: Scan) -> None:
        self.begun = True
        profile = scan.header.profile if scan.header is not None else ""
        self._writer.start(profile, scan.header.library if scan.header is not None else "")

    def take(self, found: LogMessage | Attachment | Metadata) -> None:
        if isinstance(found, Attachment):
            self._writer.add_attachment(found.create_time, found.log_time, found.name, found.media_type, found.data)
        elif isinstance(found, Metadata):
            self._writer.add_metadata(found.name, found.metadata)
        else:
            channel = self._channel(found)
            self._writer.add_message(channel, found.log_time, found.data, found.publish_time, found.sequence)

    def _channel(self, found: LogMessage) -> int:
        channel = found.channel
        if channel.id not in self._channels:
            schema_id = 0
            if found.schema is not None:
                key = (found.schema.name, found.schema.encoding, found.schema.data)
                if key not in self._schemas:
                    self._schemas[key] = self._writer.register_schema(*key)
                schema_id = self._schemas[key]
            self._channels[channel.id] = self._writer.register_channel(
                channel.topic, channel.message_encoding, schema_id, channel.metadata
            )
        return self._channels[channel.id]


def _told(scan: Scan) -> str:
    return scan.losses[0].reason if scan.losses else "nothing was recorded"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
