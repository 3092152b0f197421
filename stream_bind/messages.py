"""The nouns that travel: stream specs, chunks, windows, clips, embeddings and events.

Plain frozen data, no behaviour beyond small derived values. Times are int64 UNIX nanoseconds throughout. Nothing here
knows about sockets, threads, torch or clocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "IMU_AXES",
    "MODALITIES",
    "Chunk",
    "Clip",
    "ClockInfo",
    "Embedding",
    "Event",
    "Gap",
    "Intrinsics",
    "Missing",
    "Notice",
    "Raw",
    "StreamSpec",
    "Window",
]

MODALITIES = ("vision", "audio", "depth", "thermal", "imu", "text")
"""Modality names, the same in both model families."""

IMU_AXES = ("accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z")
"""Column order of a full IMU stream: acceleration in m/s^2 (gravity included), then angular rate in rad/s."""

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ClockInfo:
    """Where a time stamp came from and how far it may be off."""

    domain: str = "host"
    """host (stamped on arrival), kernel, device (fitted device ticks), file (recorded), simulated."""
    err_ns: int = 0
    """Estimated error of the stamp, one sigma; 0 where the source defines time."""


@dataclass(frozen=True, slots=True)
class Intrinsics:
    """Pinhole model of a camera, in pixels of the frames as the sensor delivers them (before rotate_deg and flip).

    Names as in ROS sensor_msgs/CameraInfo: K = [[fx, 0, cx], [0, fy, cy], [0, 0, 1]].
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    model: str = ""
    """Distortion model, such as brown_conrady, rational_polynomial or kannala_brandt4; empty: none."""
    coeffs: tuple[float, ...] = ()
    """Its coefficients, in the model's own order."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """What a device delivers, known before it opens.

    vision: uint8 RGB (H, W, 3), unit "rgb8". audio: float32 (channels,), unit "full_scale" in [-1, 1].
    depth: float32 (H, W), unit "m", invalid is NaN. thermal: float32 (H, W), unit "K", or uint8 (H, W), unit "grey8".
    imu: float32 (len(axes),), unit "si": m/s^2 and rad/s, columns named by `axes`.
    """

    id: str
    modality: str
    rate_hz: float
    """Nominal samples per second, > 0."""
    shape: tuple[int, ...]
    """Shape of one sample; -1 for an axis known only once the device is open."""
    dtype: str
    unit: str
    axes: tuple[str, ...] = ()
    """IMU: the columns' names, a subset of IMU_AXES; audio: channel names where known; else empty."""
    live: bool = True
    """Event time follows host time. False for recordings, whose stamps may lie anywhere."""
    max_delay_s: float = 1.0
    """A live source silent for longer than this has its windows closed by host time."""
    lateness_s: float = 0.05
    """How far out of order samples of this source may arrive."""
    domain: str = "host"
    """Clock domain of the stamps, see ClockInfo.domain."""
    intrinsics: Intrinsics | None = None
    """Cameras: the calibration the device carries, known once it is open."""

    @property
    def period_ns(self) -> int:
        return round(1e9 / self.rate_hz)


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """What the device itself delivered for the samples of a chunk; recordings keep this, models never see it.

    samples: (n, ...) device counts or native sound samples, or a sequence of n byte strings (encoded frames).
    """

    samples: NDArray[Any] | Sequence[bytes]
    encoding: str
    """16UC1, mono16, yuyv, jpeg, pcm_s16le ...: ROS image encodings and FFmpeg's names for the rest."""
    scale: float = 1.0
    """Physical value = samples * scale + offset, in the stream's unit; 0 counts of depth are no measurement."""
    offset: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Consecutive samples of one read.

    data: (n, *shape) of the stream's spec; t_ns: (n,) int64 event times, in arrival order (they may step back where
    the source reorders). gap_before: samples are known to be missing right before the first one.
    """

    data: NDArray[Any]
    t_ns: IntArray
    gap_before: bool = False
    clock: ClockInfo = field(default_factory=ClockInfo)
    ticks: IntArray | None = None
    """(n,) int64: the device's own time of each sample as it sent it (wrapping counter, sequence in ns ...)."""
    raw: Raw | None = None

    def __post_init__(self) -> None:
        if len(self.data) != len(self.t_ns):
            raise ValueError(f"chunk of {len(self.data)} samples with {len(self.t_ns)} time stamps")

    def __len__(self) -> int:
        return len(self.t_ns)


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch [start_ns, end_ns) of a window for which no samples exist."""

    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """All samples of one stream in [t_start_ns, t_end_ns), native rate, plus context before t_start_ns.

    Window `index` covers [index*hop - length, index*hop). `data` is (n, *shape), or for image modalities a tuple of n
    frames; `t_ns` (n,) int64 strictly increasing. The first `n_context` rows lie before t_start_ns.
    Image streams may keep only the first and last frame of every hop cell: `n_samples` counts all that arrived inside
    the window, kept or not. `status` is "ok", "starting" (begins before the stream's first sample), "ending" (ends
    after its last), or "gap" (coverage below 1 for another reason).
    """

    stream: str
    index: int
    t_start_ns: int
    t_end_ns: int
    data: NDArray[Any] | Sequence[NDArray[Any]]
    t_ns: IntArray
    n_context: int
    n_samples: int
    coverage: float
    """Share of the window's length for which samples exist, 0..1."""
    gaps: tuple[Gap, ...] = ()
    status: str = "ok"
    clock: ClockInfo = field(default_factory=ClockInfo)


@dataclass(frozen=True, slots=True)
class Missing:
    """Windows [from_window, to_window) of a stream hold no sample at all."""

    stream: str
    from_window: int
    to_window: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about a stream that a person should hear of and that is no window's fate (a refused clock jump,
    late samples, a device lost and back). `reason` is a short fixed word, `detail` a sentence, `t_ns` the event time
    it concerns."""

    stream: str
    reason: str
    detail: str
    t_ns: int = 0
    t_end_ns: int = 0
    """End of the stretch it concerns, such as the hole an unplugged device left; 0: a moment."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One window in the shape its encoder wants; what crosses from capture to encoder."""

    stream: str
    encoder: str
    modality: str
    window: int
    t_start_ns: int
    t_end_ns: int
    array: NDArray[Any]
    coverage: float = 1.0
    status: str = "ok"
    gaps: tuple[Gap, ...] = ()
    clock: ClockInfo = field(default_factory=ClockInfo)
    closed_ns: int = 0
    """Host time (UNIX ns) of the call that closed the window: the zero of every latency figure."""


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """One vector and its provenance. Field names are those of the wire header (docs/protocol.md)."""

    rig: str
    stream: str
    encoder: str
    modality: str
    window: int
    t_start: int
    t_end: int
    vector: NDArray[np.float32]
    """(d,) float32, unit norm."""
    model: str = ""
    """`name@digest` of model and weights; vectors compare only within one model."""
    coverage: float = 1.0
    status: str = "ok"
    gaps: tuple[tuple[int, int], ...] = ()
    scale: float = 1.0
    """The model's own logit scale of this modality, by which the reference multiplies the unit vector."""
    trained: bool = True
    """False for seeded random weights: the vector means nothing, and every display says so."""
    seq: int = -1
    epoch: int = 0
    t_pub: int = 0
    clock: ClockInfo = field(default_factory=ClockInfo)
    timing: dict[str, int] = field(default_factory=dict)
    """Host UNIX ns of the stages: closed, sent, received, batched, encoded."""

    @property
    def kind(self) -> str:
        return "emb"


@dataclass(frozen=True, slots=True)
class Event:
    """Why windows [window, to_window) of a stream have no vector, or (window None) a notice about the stream.

    reason, for windows: starting, ending, low_coverage, clip_error, outage, dropped, failed, lost.
    An outage still going on is announced with to_window None and closed later by one with both ends.
    """

    rig: str
    stream: str
    encoder: str
    reason: str
    detail: str = ""
    window: int | None = None
    to_window: int | None = None
    t_start: int = 0
    t_end: int = 0
    coverage: float = 0.0
    seq: int = -1
    epoch: int = 0
    t_pub: int = 0

    @property
    def kind(self) -> str:
        return "evt"
