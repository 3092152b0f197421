"""Embeddings of a log as a table: Parquet or Arrow for data frames and databases, NumPy for arithmetic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stream_bind.errors import LogError
from stream_bind.log.reader import log_parts
from stream_bind.log.scan import LogMessage, Scan
from stream_bind.log.vectors import EMBEDDING, embedding_of
from stream_bind.messages import Embedding

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SUFFIXES", "embeddings", "export"]

SUFFIXES = (".parquet", ".arrow", ".npz")
BATCH = 4096
"""Vectors held in memory at a time: 16 MB at 1,024 dimensions."""


def embeddings(path: Path) -> Iterator[Embedding]:
    """Every vector of the log, in the order in which it was recorded; one that was recorded twice comes once."""
    newest: dict[tuple[str, str], tuple[int, int]] = {}
    for part in log_parts(path):
        for found in Scan(part):
            if isinstance(found, LogMessage) and found.schema is not None and found.schema.name == EMBEDDING:
                vector = embedding_of(found.data)
                key, number = (vector.stream, vector.encoder), (vector.epoch, vector.seq)
                # A recorder that died and came back may have written the last ones again.
                if number > newest.get(key, (-1, -1)):
                    newest[key] = number
                    yield vector


def export(path: Path, target: Path) -> int:
    """Write the vectors of the log at `path` to the new file `target`, by its suffix; how many there were.

    Columns: rig, stream, encoder, modality, window, t_start_ns, t_end_ns, t_pub_ns, model, coverage, status, scale,
    trained, gaps (JSON), vector (float32). Vectors of several models differ in length, so NumPy's .npz has one array
    of vectors for each (stream, encoder), `STREAM/ENCODER/vector` (n, d), beside its other columns.
    LogError where there is no vector, the suffix is unknown, or the file cannot be written.
    """
    if target.suffix not in SUFFIXES:
        raise LogError(f"{target}: exports end in {', '.join(SUFFIXES)}; found {target.suffix or 'no suffix'!r}")
    if target.exists():
        raise LogError(f"{target}: is there already; name another file")
    vectors = embeddings(path)
    first = next(vectors, None)
    if first is None:
        raise LogError(
            f"{path}: holds no vector; `run --record` records them, and `replay {path} --record NEW.mcap` embeds a log"
        )
    part = target.with_name(target.name + ".part")
    try:
        n = _numpy(part, first, vectors) if target.suffix == ".npz" else _arrow(part, target.suffix, first, vectors)
        part.replace(target)
    except OSError as error:
        raise LogError(f"{target}: cannot be written ({error.strerror or error})") from error
    finally:
        part.unlink(missing_ok=True)
    return n


def _row(found: Embedding) -> dict[str, Any]:
    return {
        "rig": found.rig,
        "stream": found.stream,
        "encoder": found.encoder,
        "modality": found.modality,
        "window": found.window,
        "t_start_ns": found.t_start,
        "t_end_ns": found.t_end,
        "t_pub_ns": found.t_pub,
        "model": found.model,
        "coverage": found.coverage,
        "status": found.status,
        "scale": found.scale,
        "trained": found.trained,
        "gaps": json.dumps(found.gaps),
        "vector": found.vector,
    }


def _arrow(part: Path, suffix: str, first: Embedding, rest: Iterator[Embedding]) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise LogError('Parquet and Arrow need pyarrow: `pip install "stream-bind[export]"`, or name a .npz') from error
    schema = _schema()
    n = 0
    with part.open("wb") as file:
        writer: Any = (
            pq.ParquetWriter(file, schema, compression="zstd")
            if suffix == ".parquet"
            else pa.ipc.new_file(file, schema)
        )
        with writer:
            for rows in _batches(first, rest):
                writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))
                n += len(rows)
    return n


def _schema() -> pa.Schema:
    import pyarrow as pa

    texts = ("rig", "stream", "encoder", "modality", "model", "status", "gaps")
    numbers = {"window": pa.int64(), "coverage": pa.float64(), "scale": pa.float64(), "trained": pa.bool_()}
    times = {name: pa.timestamp("ns", tz="UTC") for name in ("t_start_ns", "t_end_ns", "t_pub_ns")}
    kinds = {**dict.fromkeys(texts, pa.string()), **numbers, **times, "vector": pa.list_(pa.float32())}
    order = ("rig", "stream", "encoder", "modality", "window", "t_start_ns", "t_end_ns", "t_pub_ns", "model")
    more = ("coverage", "status", "scale", "trained", "gaps", "vector")
    return pa.schema([(name, kinds[name]) for name in (*order, *more)])


def _batches(first: Embedding, rest: Iterator[Embedding]) -> Iterator[list[dict[str, Any]]]:
    rows = [_row(first)]
    for found in rest:
        if len(rows) == BATCH:
            yield rows
            rows = []
        rows.append(_row(found))
    yield rows


def _numpy(part: Path, first: Embedding, rest: Iterator[Embedding]) -> int:
    lanes: dict[str, list[dict[str, Any]]] = {}
    n = 0
    for rows in _batches(first, rest):
        for row in rows:
            lanes.setdefault(f"{row['stream']}/{row['encoder']}", []).append(row)
            n += 1
    columns: dict[str, Any] = {
        f"{lane}/{name}": np.stack([row[name] for row in rows])
        if name == "vector"
        else np.array([r[name] for r in rows])
        for lane, rows in lanes.items()
        for name in rows[0]
    }
    with part.open("wb") as file:
        np.savez_compressed(file, **columns)
    return n
