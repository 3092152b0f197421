"""An MCAP file read forwards, record by record, whatever became of its end. Every checksum is compared.

This is the reader for files that a crash left without an index, or that were damaged; it takes what is right and says
what is not. Layout of the container: the MCAP specification, https://mcap.dev/spec.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import lz4.frame
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Chunk, ChunkIndex, Footer, Header, Metadata, Schema

from stream_bind.errors import LogError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FAULTS", "MAGIC", "LogMessage", "Loss", "Scan", "check_magic"]

MAGIC = b"\x89MCAP0\r\n"
HEAD = struct.Struct("<BQ")
"""Opcode and length of a record."""
CHUNK_HEAD = struct.Struct("<QQQII")
"""Of a chunk: first and last log time, size and CRC of the records when unpacked, length of the compression's name."""
MESSAGE_HEAD = struct.Struct("<HIQQ")
"""Of a message: channel, sequence, log time, publish time."""
COMPRESSIONS = ("zstd", "lz4", "")
OPCODES = frozenset(int(opcode) for opcode in Opcode)
LENGTHS = {int(Opcode.DATA_END): 4, int(Opcode.FOOTER): 20}
"""Of the records that have only one."""
PRIVATE = 0x80
"""Opcodes from here on are for anybody's own use."""
PIECE = 1 << 14
LARGEST_CHUNK = 1 << 32
"""Bytes of one unpacked chunk that we believe in; ours have one MiB, or one picture."""
_LFS_POINTER = b"version https://git-lfs"
FAULTS = (
    McapError,
    zstandard.ZstdError,
    RuntimeError,
    struct.error,
    UnicodeDecodeError,
    ValueError,
    MemoryError,
    OverflowError,
    KeyError,
    EOFError,
)
"""What damaged bytes bring the libraries to."""

_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class LogMessage:
    """One message as it stands in the log. Times are UNIX ns."""

    channel: Channel
    schema: Schema | None
    log_time: int
    """When it was recorded."""
    publish_time: int
    """When it happened."""
    data: bytes
    sequence: int = 0

    @property
    def topic(self) -> str:
        return str(self.channel.topic)


@dataclass(frozen=True, slots=True)
class Loss:
    """A stretch of a file whose content could not be had."""

    offset: int
    n_bytes: int
    reason: str


@dataclass(slots=True)
class Scan:
    """The records of one file in the order they were written. Iterate once; then `losses` and the flags are complete.

    LogError where the file is no MCAP file at all.
    """

    path: Path
    topics: frozenset[str] | None = None
    """Only messages of these; None: all."""
    start_ns: int | None = None
    """Only messages recorded at or after this UNIX ns ..."""
    end_ns: int | None = None
    """... and before this."""
    header: Header | None = None
    losses: list[Loss] = field(default_factory=list)
    closed: bool = False
    """The writer came to its end: nothing that was recorded is missing behind the last record."""
    indexed: bool = False
    """A summary follows, so that a reader can seek."""
    n_messages: int = 0
    n_orphans: int = 0
    """Messages of channels whose description was in a part that is lost."""
    _chunks: list[ChunkIndex] = field(default_factory=list)
    _schemas: dict[int, Schema] = field(default_factory=dict)
    _channels: dict[int, Channel] = field(default_factory=dict)

    def __iter__(self) -> Iterator[LogMessage | Attachment | Metadata]:
        size = check_magic(self.path)
        with self.path.open("rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
            self._read_summary(data, size)
            if self.filtered and self._chunks:
                yield from self._of_index(data, size)
            else:
                yield from self._records(data, size)

    @property
    def filtered(self) -> bool:
        """Part of the messages is asked for; attachments and metadata then do not come."""
        return (self.topics, self.start_ns, self.end_ns) != (None, None, None)

    def _of_index(self, data: mmap.mmap, size: int) -> Iterator[LogMessage]:
        """The chunks that may hold what is asked for, in the order of the file."""
        self.closed = self.indexed = True
        wanted = {i for i, channel in self._channels.items() if self.topics is None or channel.topic in self.topics}
        for index in sorted(self._chunks, key=lambda index: index.chunk_start_offset):
            early = self.start_ns is not None and index.message_end_time < self.start_ns
            late = self.end_ns is not None and index.message_start_time >= self.end_ns
            # A writer may leave the message index out: then every chunk may hold every channel.
            other = index.message_index_offsets and not wanted & index.message_index_offsets.keys()
            if early or late or other:
                continue
            position = index.chunk_start_offset
            if not _plausible(data, position, size) or data[position] != Opcode.CHUNK:
                self._lose(position, index.chunk_length, "chunk: is not where the index says")
                continue
            length = HEAD.unpack_from(data, position)[1]
            start = position + HEAD.size
            for found in self._record(Opcode.CHUNK, data, start, start + length):
                if isinstance(found, LogMessage):
                    yield found

    def _records(self, data: mmap.mmap, size: int) -> Iterator[LogMessage | Attachment | Metadata]:
        position = len(MAGIC)
        while position < size:
            if not _plausible(data, position, size):
                following = _next_chunk(data, position + 1, size)
                yield from self._salvaged(data, position, following or size)
                if following is None:
                    return
                position = following
                continue
            opcode, length = HEAD.unpack_from(data, position)
            start, end = position + HEAD.size, position + HEAD.size + length
            if opcode == Opcode.DATA_END:
                self.closed = True
                self.indexed = self._has_footer(data, size)
                return
            yield from self._record(opcode, data, start, end)
            position = end

    def _record(
        self, opcode: int, data: mmap.mmap, start: int, end: int
    ) -> Iterator[LogMessage | Attachment | Metadata]:
        try:
            if opcode == Opcode.CHUNK:
                yield from self._of_chunk(data[start:end], start)
            elif opcode == Opcode.MESSAGE:
                yield from self._message(data[start:end], start)
            elif opcode == Opcode.ATTACHMENT:
                attachment = _parsed(Attachment.read, data[start:end])
                checked = zlib.crc32(data[start : end - 4])
                if int.from_bytes(data[end - 4 : end], "little") not in {0, checked}:
                    raise ValueError("the checksum is wrong")
                yield attachment
            elif opcode == Opcode.METADATA:
                yield _parsed(Metadata.read, data[start:end])
            elif opcode == Opcode.HEADER:
                self.header = _parsed(Header.read, data[start:end])
            else:
                self._learn(opcode, data[start:end])
        except FAULTS as error:
            self._lose(start - HEAD.size, end - start + HEAD.size, f"{_name(opcode)}: {_words(error)}")

    def _learn(self, opcode: int, body: bytes) -> None:
        if opcode == Opcode.SCHEMA:
            schema = _parsed(Schema.read, body)
            self._schemas[schema.id] = schema
        elif opcode == Opcode.CHANNEL:
            channel = _parsed(Channel.read, body)
            self._channels[channel.id] = channel

    def _of_chunk(self, body: bytes, offset: int) -> Iterator[LogMessage]:
        chunk = _parsed(Chunk.read, body)
        if len(chunk.data) + CHUNK_HEAD.size + len(chunk.compression) + 8 != len(body):
            raise ValueError("its lengths do not add up")
        if chunk.uncompressed_size > LARGEST_CHUNK:
            raise ValueError(f"{chunk.uncompressed_size:,} bytes unpacked")
        records = _unpacked(chunk)
        if len(records) != chunk.uncompressed_size:
            raise ValueError(f"{chunk.uncompressed_size:,} bytes unpacked are wanted, found {len(records):,}")
        if chunk.uncompressed_crc and zlib.crc32(records) != chunk.uncompressed_crc:
            raise ValueError("the checksum is wrong")
        yield from self._inner(records, offset, whole=True)

    def _inner(self, records: bytes, offset: int, *, whole: bool) -> Iterator[LogMessage]:
        """The records in an unpacked chunk; `whole`: bytes that make no record at its end are a loss."""
        position, size = 0, len(records)
        while position + HEAD.size <= size:
            opcode, length = HEAD.unpack_from(records, position)
            end = position + HEAD.size + length
            if end > size:
                break
            body = records[position + HEAD.size : end]
            if opcode == Opcode.MESSAGE:
                yield from self._message(body, offset)
            else:
                try:
                    self._learn(opcode, body)
                except FAULTS as error:
                    self._lose(offset, length, f"{_name(opcode)}: {_words(error)}")
            position = end
        if whole and position != size:
            self._lose(offset, size - position, "chunk: its records do not fill it")

    def _message(self, body: bytes, offset: int) -> Iterator[LogMessage]:
        if len(body) < MESSAGE_HEAD.size:
            self._lose(offset, len(body), "message: too short")
            return
        channel_id, sequence, log_time, publish_time = MESSAGE_HEAD.unpack_from(body)
        channel = self._channels.get(channel_id)
        if channel is None:
            self.n_orphans += 1
            if self.n_orphans == 1:
                self._lose(offset, len(body), "message: of a channel that was described in a part that is lost")
            return
        self.n_messages += 1
        if (
            (self.start_ns is not None and log_time < self.start_ns)
            or (self.end_ns is not None and log_time >= self.end_ns)
            or (self.topics is not None and channel.topic not in self.topics)
        ):
            return
        schema = self._schemas.get(channel.schema_id)
        yield LogMessage(channel, schema, log_time, publish_time, body[MESSAGE_HEAD.size :], sequence)

    def _salvaged(self, data: mmap.mmap, position: int, end: int) -> Iterator[LogMessage]:
        """What can be had of data[position:end], which begins with a record that is broken or cut.

        Of a chunk that the file ends in, the messages that are whole: bytes that are there are taken to be right,
        though their checksum cannot be compared. A broken one in the middle is not believed.
        """
        recovered = self.n_messages
        cut = end == len(data)
        if cut and end - position > HEAD.size + CHUNK_HEAD.size and data[position] == Opcode.CHUNK:
            try:
                records = _unpacked_so_far(data[position + HEAD.size : end])
            except FAULTS:
                records = b""
            yield from self._inner(records, position, whole=False)
        n_found = self.n_messages - recovered
        found = f"; {n_found} messages of it were whole" if n_found else ""
        name = _name(data[position])
        reason = f"the file ends inside this {name}" if cut else f"a broken {name}"
        self._lose(position, end - position, reason + found)

    def _read_summary(self, data: mmap.mmap, size: int) -> None:
        """Schemas and channels are repeated behind the data: they help where the first chunk is lost."""
        start = size - len(MAGIC) - HEAD.size - 20
        if start < len(MAGIC) or data[size - len(MAGIC) :] != MAGIC or data[start] != Opcode.FOOTER:
            return
        try:
            position = _parsed(Footer.read, data[start + HEAD.size : size - len(MAGIC)]).summary_start
        except FAULTS:
            return
        while 0 < position < start:
            opcode, length = HEAD.unpack_from(data, position)
            end = position + HEAD.size + length
            if end > start:
                return
            try:
                body = data[position + HEAD.size : end]
                self._learn(opcode, body)
                if opcode == Opcode.CHUNK_INDEX:
                    self._chunks.append(_parsed(ChunkIndex.read, body))
            except FAULTS:
                self._chunks.clear()
                return
            position = end

    def _has_footer(self, data: mmap.mmap, size: int) -> bool:
        start = size - len(MAGIC) - HEAD.size - 20
        if data[size - len(MAGIC) :] != MAGIC or data[start] != Opcode.FOOTER:
            return False
        return bool(_parsed(Footer.read, data[start + HEAD.size : size - len(MAGIC)]).summary_start)

    def _lose(self, offset: int, n_bytes: int, reason: str) -> None:
        self.losses.append(Loss(offset, n_bytes, reason))


def check_magic(path: Path) -> int:
    """Size of an MCAP file in bytes; LogError saying what else it is."""
    try:
        with path.open("rb") as file:
            head = file.read(256)
            size = path.stat().st_size
    except OSError as error:
        raise LogError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not head:
        raise LogError(f"{path}: is empty; a recording that was cut off before its first half second leaves this")
    if head.startswith(_LFS_POINTER):
        raise LogError(f"{path}: is a Git LFS pointer, not the file; run `git lfs pull`")
    if not head.startswith(MAGIC):
        raise LogError(f"{path}: is no MCAP file: it begins with {head[:8].hex(' ')}, {MAGIC.hex(' ')} is wanted")
    return size


def _plausible(data: mmap.mmap, position: int, size: int) -> bool:
    """Whether a record can begin here: an opcode that there is, and a length that fits into the file."""
    if position + HEAD.size > size:
        return False
    opcode, length = HEAD.unpack_from(data, position)
    if opcode in LENGTHS and length != LENGTHS[opcode]:
        return False
    return bool((opcode in OPCODES or opcode >= PRIVATE) and position + HEAD.size + length <= size)


def _next_chunk(data: mmap.mmap, position: int, size: int) -> int | None:
    """Where the next chunk begins whose head makes sense; None if there is none."""
    found = []
    for name in COMPRESSIONS[:2]:
        marked = len(name).to_bytes(4, "little") + name.encode()
        # The name lies behind opcode, length and the chunk's own head.
        back = HEAD.size + CHUNK_HEAD.size - 4
        at = data.find(marked, position + back)
        while at >= 0:
            start = at - back
            if data[start] == Opcode.CHUNK and _plausible(data, start, size):
                length = HEAD.unpack_from(data, start)[1]
                inner = int.from_bytes(data[at + len(marked) : at + len(marked) + 8], "little")
                if inner + CHUNK_HEAD.size + len(name) + 8 == length:
                    found.append(start)
                    break
            at = data.find(marked, at + 1)
    return min(found, default=None)


def _parsed(read: Callable[[ReadDataStream], _Record], body: bytes) -> _Record:
    return read(ReadDataStream(BytesIO(body)))


def _unpacked(chunk: Chunk) -> bytes:
    data: bytes = chunk.data
    size: int = chunk.uncompressed_size
    if chunk.compression == "":
        return data
    if chunk.compression == "zstd":
        # The frame's own word for its size is what would be allocated.
        if zstandard.frame_content_size(data) not in {size, -1}:
            raise ValueError("its lengths do not add up")
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=max(size, 1))
    if chunk.compression == "lz4":
        unpacked: bytes = lz4.frame.LZ4FrameDecompressor().decompress(data, max_length=size + 1)
        return unpacked
    raise ValueError(f"compression {chunk.compression!r} is unknown")


def _unpacked_so_far(body: bytes) -> bytes:
    """The records that the beginning of a chunk holds, the last of them perhaps in part."""
    *_, length = CHUNK_HEAD.unpack_from(body)
    start = CHUNK_HEAD.size + length + 8
    if length > max(map(len, COMPRESSIONS)) or start > len(body):
        return b""
    name, data = body[CHUNK_HEAD.size : CHUNK_HEAD.size + length], body[start:]
    if name == b"":
        return data
    unpacker: Any = {b"zstd": zstandard.ZstdDecompressor().decompressobj, b"lz4": lz4.frame.LZ4FrameDecompressor}[
        name
    ]()
    unpacked = bytearray()
    try:
        # In pieces: what comes before the broken one counts.
        for at in range(0, len(data), PIECE):
            unpacked += unpacker.decompress(data[at : at + PIECE])
            if len(unpacked) > LARGEST_CHUNK or unpacker.eof:
                break
    except FAULTS:
        pass
    return bytes(unpacked)


def _name(opcode: int) -> str:
    return Opcode(opcode).name.lower().replace("_", " ") if opcode in OPCODES else "record"


def _words(error: Any) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:120]
