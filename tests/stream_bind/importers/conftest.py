"""A recording read whole, and through a log and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stream_bind.importers.base import ImportOptions, Source
from stream_bind.importers.find import open_source
from stream_bind.importers.job import import_log
from stream_bind.log.reader import StreamReader, open_log
from stream_bind.log.writer import LogWriter
from stream_bind.messages import Chunk


def _joined(chunks: list[Chunk]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([chunk.t_ns for chunk in chunks]), np.concatenate([chunk.data for chunk in chunks])


@pytest.fixture
def read() -> Callable[..., tuple[Source, dict[str, tuple[np.ndarray, np.ndarray]]]]:
    """The source at a path, and (t_ns, data) of each of its streams; it is read twice and must be the same twice."""

    def of(path: Path, **options: object) -> tuple[Source, dict[str, tuple[np.ndarray, np.ndarray]]]:
        source = open_source(path, ImportOptions(**options))  # type: ignore[arg-type]
        passes = []
        for _ in range(2):
            held: dict[str, list[Chunk]] = {name: [] for name in source.specs}
            for piece in source.pieces():
                spec = source.specs[piece.stream]
                assert piece.chunk.data.shape[1:] == spec.shape
                assert piece.chunk.data.dtype == np.dtype(spec.dtype)
                held[piece.stream].append(piece.chunk)
            passes.append({name: _joined(chunks) for name, chunks in held.items() if chunks})
        for name, (t_ns, data) in passes[0].items():
            assert np.array_equal(t_ns, passes[1][name][0])
            assert np.array_equal(data, passes[1][name][1], equal_nan=data.dtype.kind == "f")
        source.close()
        return source, passes[0]

    return of


@pytest.fixture
def through_log(tmp_path: Path) -> Callable[..., dict[str, tuple[np.ndarray, np.ndarray]]]:
    """What replay would feed the pipeline after an import."""

    def of(path: Path, **options: object) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        target = tmp_path / "imported.mcap"
        target.unlink(missing_ok=True)
        source = open_source(path, ImportOptions(**options))  # type: ignore[arg-type]
        import_log(source, LogWriter(target, {"kind": "import"}, sync=False), colour="lossless")
        source.close()
        log = open_log(target)
        return {
            name: _joined([found.item for found in StreamReader([target], part) if type(found.item) is Chunk])
            for name, part in log.streams.items()
        }

    return of
