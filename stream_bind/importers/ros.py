"""ROS bags: ROS 1 files; ROS 2 folders and files in SQLite or MCAP, split, compressed, with or without metadata."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from stream_bind.errors import LogError
from stream_bind.importers.base import ImportOptions, check_readable
from stream_bind.importers.mcap import ZSTD, McapReader, unpacked
from stream_bind.importers.message_log import LoggedTopic, MessageReader, MessageSource, open_messages
from stream_bind.importers.records import Record, decoder
from stream_bind.importers.ros_types import Decode, ros_decoder
from stream_bind.importers.rosbag1_scan import VERSION, Rosbag1Scan
from stream_bind.log.scan import MAGIC

__all__ = ["BagReader", "open_source"]

ROS1 = b"#ROSBAG V"
SQLITE = b"SQLite format 3\0"
BAG_SUFFIXES = {".db3", ".mcap", ".bag"}
SETTINGS = "metadata.yaml"
PIECE = 1 << 20


def open_source(path: Path, head: bytes, options: ImportOptions) -> MessageSource | None:
    """A bag; None if `path` is none. LogError where it cannot be read."""
    if path.is_dir():
        files = _files_of(path)
        return None if not files else open_messages(_of_files(path, files), options)
    if head.startswith(ROS1):
        return open_messages(_of_files(path, [path]), options)
    if head.startswith(SQLITE):
        return open_messages(_of_files(path, [path]), options)
    if head.startswith(ZSTD) and Path(path.stem).suffix in BAG_SUFFIXES:
        return open_messages(_of_files(path, [path]), options)
    return None


def _files_of(folder: Path) -> list[Path]:
    """The parts of a bag in their order, by their names' numbers: metadata may be missing, old, or of other names."""
    found = [each for each in folder.iterdir() if each.is_file() and _suffix(each) in BAG_SUFFIXES]
    return sorted(found, key=lambda each: [int(n) if n.isdigit() else n for n in re.split(r"(\d+)", each.name)])


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix in {".zstd", ".zst"} else path.suffix


def _of_files(path: Path, files: list[Path]) -> MessageReader:
    """One reader for the parts of a bag."""
    plain = Unpacked()
    try:
        parts = [plain.file(each) for each in files]
        heads = [check_readable(each) for each in parts]
        if all(head.startswith(MAGIC[:5]) for head in heads):
            reader: MessageReader = Several(path, "ROS 2 bag (MCAP)", [McapReader(parts)], plain)
        else:
            reader = Several(path, "", [_part(each, head) for each, head in zip(parts, heads, strict=True)], plain)
    except BaseException:
        plain.close()
        raise
    return reader


def _part(path: Path, head: bytes) -> MessageReader:
    if head.startswith(MAGIC[:5]):
        return McapReader([path], "ROS 2 bag (MCAP)")
    if head.startswith(ROS1):
        return BagReader(path, "ROS 1 bag", _open_ros1)
    if head.startswith(SQLITE):
        return BagReader(path, "ROS 2 bag (SQLite)", _open_ros2)
    raise LogError(f"{path}: is no ROS bag; it begins {head[:8].hex(' ')}")


@dataclass(slots=True)
class Unpacked:
    """Files as they were before rosbag2 compressed them; held until `close`."""

    losses: list[str] = field(default_factory=list)
    _folder: Path | None = None

    def file(self, path: Path) -> Path:
        """`path` itself, or what it holds when unpacked. LogError where that cannot be had."""
        if path.suffix not in {".zstd", ".zst"}:
            return path
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="stream-bind-bag-"))
        target = self._folder / path.stem
        unpacker = zstandard.ZstdDecompressor().decompressobj()
        try:
            with path.open("rb") as packed, target.open("wb") as plain:
                while piece := packed.read(PIECE):
                    plain.write(unpacker.decompress(piece))
        except (zstandard.ZstdError, OSError) as error:
            raise LogError(f"{path}: cannot be unpacked ({error})") from error
        if not target.stat().st_size:
            raise LogError(f"{path}: cannot be unpacked (it is cut short)")
        if not unpacker.eof:
            self.losses.append(f"{path}: is cut short")
        return target

    def close(self) -> None:
        """Delete them."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


@dataclass(slots=True)
class Several:
    """The parts of a bag, one after the other."""

    path: Path
    format: str
    parts: list[MessageReader]
    unpacked: Unpacked
    topics: dict[str, LoggedTopic] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    _own: int = 0
    """Losses that are not of a part."""

    def __post_init__(self) -> None:
        self.format = self.format or self.parts[0].format
        for part in self.parts:
            for topic, about in part.topics.items():
                before = self.topics.get(topic)
                n = None if about.n_messages is None else about.n_messages + ((before and before.n_messages) or 0)
                self.topics[topic] = LoggedTopic(about.type if before is None else before.type, n)
        if not any(about.n_messages for about in self.topics.values()):
            raise LogError(f"{self.path}: a {self.format} without a single message; there is nothing to import")
        self.losses.extend(self.unpacked.losses)
        self._check_metadata()
        self._own = len(self.losses)

    def _check_metadata(self) -> None:
        """Say where the bag's own summary counts other than its files: they are what is read."""
        settings = self.path / SETTINGS
        if not self.path.is_dir():
            return
        if not settings.exists():
            self.doubts.append(f"{self.path}: has no {SETTINGS}; its {len(self.parts)} files are read by their names")
            return
        found = re.search(r"^\s*message_count:\s*(\d+)", settings.read_text(errors="replace"), re.MULTILINE)
        n = sum(about.n_messages or 0 for about in self.topics.values())
        if found is not None and int(found.group(1)) != n:
            self.losses.append(f"{settings}: counts {int(found.group(1)):,} messages, its files hold {n:,}")

    def records(self, topics: Collection[str]) -> Iterator[tuple[str, Record | None, int]]:
        """See MessageReader."""
        own = self.losses[: self._own]
        for part in self.parts:
            yield from part.records([topic for topic in topics if topic in part.topics])
            own += [loss for loss in part.losses if loss not in own]
        self.losses = own

    def close(self) -> None:
        """Let go of the files."""
        for part in self.parts:
            part.close()
        self.unpacked.close()


@dataclass(slots=True)
class BagReader:
    """One file through `rosbags`."""

    path: Path
    format: str
    open_bag: Callable[[Path], Any]
    topics: dict[str, LoggedTopic] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    _bag: Any = None
    _decoders: dict[tuple[str, str], Decode | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._bag = self.open_bag(self.path)
        for each in self._bag.connections:
            before = self.topics.get(each.topic)
            n = each.msgcount + ((before and before.n_messages) or 0)
            self.topics[each.topic] = LoggedTopic(each.msgtype, n)

    def records(self, topics: Collection[str]) -> Iterator[tuple[str, Record | None, int]]:
        """See MessageReader."""
        self.losses = _cut_short(self.path)
        if isinstance(self._bag, Rosbag1Scan):
            lost = f"{self._bag.lost_bytes:,} bytes at its end are lost"
            self.losses.append(f"{self.path.name}: was never finished or is damaged; {lost}")
        chosen = [each for each in self._bag.connections if each.topic in topics]
        if not chosen:
            return
        n = 0
        try:
            for connection, t_ns, data in self._bag.messages(chosen):
                n += 1
                yield connection.topic, self._record(connection, bytes(data)), t_ns
        except GeneratorExit:
            raise
        except Exception as error:
            wanted = sum(each.msgcount for each in chosen)
            self.losses.append(f"{self.path.name}: {n:,} of {wanted:,} messages could be read ({_told(error)})")

    def close(self) -> None:
        """Let go of the file."""
        if self._bag is not None:
            self._bag.close()
            self._bag = None

    def _record(self, connection: Any, data: bytes) -> Record | None:
        read = decoder(connection.msgtype)
        if read is None:
            return None
        key = connection.msgtype, connection.msgdef.data
        if key not in self._decoders:
            serialization = "ros1" if self.format == "ROS 1 bag" else "cdr"
            idl = getattr(connection.msgdef.format, "name", "") == "IDL"
            self._decoders[key] = ros_decoder(*key, serialization=serialization, idl=idl)
        decode = self._decoders[key]
        if decode is None:
            return None
        try:
            return read(decode(unpacked(data)))
        except Exception:
            # Whatever damaged bytes bring rosbags to: the message is lost, and counted.
            return None


def _open_ros1(path: Path) -> Any:
    """By its index; where that is missing or damaged, record by record."""
    from rosbags.rosbag1 import Reader

    bag = Reader(path)
    try:
        bag.open()
    except Exception as error:
        with path.open("rb") as file:
            if file.read(len(VERSION)) != VERSION:
                raise LogError(f"{path}: is a ROS 1 bag of another version than 2.0; run `rosbag fix`") from error
        found = Rosbag1Scan(path)
        if not any(each.msgcount for each in found.connections):
            raise LogError(f"{path}: is a damaged ROS 1 bag without a whole message ({_told(error)})") from error
        return found
    return bag


def _open_ros2(path: Path) -> Any:
    from rosbags.rosbag2 import Reader, ReaderError

    try:
        bag = Reader(path)
        bag.open()
    except ReaderError as error:
        raise LogError(f"{path}: is an SQLite file that is no ROS 2 bag, or damaged ({_told(error)})") from error
    except Exception as error:
        raise LogError(f"{path}: is a damaged ROS 2 bag ({_told(error)}); `sqlite3 .recover` may mend it") from error
    return bag


def _cut_short(path: Path) -> list[str]:
    """An SQLite file that is shorter than its header says (sqlite.org/fileformat.html, 1.3)."""
    with path.open("rb") as file:
        head = file.read(100)
    if not head.startswith(SQLITE) or len(head) < 100:
        return []
    page = int.from_bytes(head[16:18], "big")
    wanted = (65536 if page == 1 else page) * int.from_bytes(head[28:32], "big")
    found = path.stat().st_size
    return [f"{path.name}: is cut short: {found:,} of {wanted:,} bytes"] if found < wanted else []


def _told(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text[:160].rstrip(".")
