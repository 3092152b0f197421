"""Message types of our logs: ROS 2's own where there is one, `foxglove_msgs` for sound, and ours for the rest.

Everything is CDR, so that ROS tools, rosbags, Foxglove and Rerun read a log without us. Our types are documented in
docs/log.md.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

__all__ = [
    "OWN",
    "RAW_AUDIO",
    "ROS_TIMES_NS",
    "deserialize",
    "message",
    "opening",
    "ros_time",
    "schema_text",
    "serialize",
    "time_ns",
    "typestore",
]

_making = threading.Lock()
ROS_TIMES_NS = (-(2**31) * 1_000_000_000, 2**31 * 1_000_000_000 - 1)
"""First and last UNIX ns that builtin_interfaces/Time can say: in 1901 and 2038."""
RAW_AUDIO = "foxglove_msgs/msg/RawAudio"
OWN: dict[str, str] = {
    "stream_bind_msgs/msg/Samples": """\
# What one read of a driver gave of one stream: replay feeds these, in the order of `order`, to the pipeline.
std_msgs/Header header      # stamp: event time of the first sample; frame_id: the stream
uint64 order                # place among the Samples and Marks of this stream, from 0; after a restart of the
                            # sensor's actor from the UNIX ns of that. What comes twice has the same one.
int64[] t_ns                # event time of each sample, UNIX ns
int64[] ticks               # the device's own time of each sample; empty: it has none
bool gap_before             # samples are known to be missing before the first one
string clock_domain         # host, kernel, device, file or simulated
int64 clock_err_ns          # one sigma
string payload              # topic whose messages, written just before this one, hold the samples; empty: data does
string encoding             # 16UC1, jpeg, png, pcm_s16le ..., or a numpy dtype (<f4)
uint32[] shape              # of one sample
float64 scale               # physical value = data * scale + offset, in the stream's unit
float64 offset
uint8[] data                # little-endian, row by row
""",
    "stream_bind_msgs/msg/Mark": """\
# Something that is no sample and that the windows depend on.
std_msgs/Header header      # stamp: event time; frame_id: the stream
uint64 order                # place among the Samples and Marks of this stream
string reason               # idle, end, device_lost, device_back ...
int64 t_ns                  # idle: windows that end at or before this event time were closed by host time
int64 t_end_ns
string detail
""",
    "stream_bind_msgs/msg/Embedding": """\
# One vector and its provenance; the fields of the wire header (docs/protocol.md).
std_msgs/Header header      # stamp: end of the window; frame_id: the stream
string rig
string stream
string encoder
string modality
int64 window
int64 t_start_ns
int64 t_end_ns
int64 t_pub_ns
uint64 seq
uint64 epoch
string model
float64 coverage
string status
int64[] gaps                # start and end of each, UNIX ns
float64 scale
bool trained
string clock_domain
int64 clock_err_ns
float32[] vector
""",
    "stream_bind_msgs/msg/Event": """\
# Why windows of a stream have no vector, or something about it that a person should hear of (docs/protocol.md).
std_msgs/Header header      # stamp: t_start; frame_id: the stream
string rig
string stream
string encoder
string reason
string detail
int64 window                # -1: about the stream, not about windows
int64 to_window             # exclusive; -1: still going on, or about the stream
int64 t_start_ns
int64 t_end_ns
float64 coverage
uint64 seq
uint64 epoch
""",
    "foxglove_msgs/msg/CompressedVideo": """\
# One picture of a video without B frames, as Foxglove plays it.
builtin_interfaces/Time timestamp
string frame_id
uint8[] data                # H.264: Annex B, parameter sets before every key frame
string format               # h264
""",
    RAW_AUDIO: """\
# A block of sound, as Foxglove plays it.
builtin_interfaces/Time timestamp
uint8[] data                # interleaved
string format               # pcm-s16
uint32 sample_rate
uint32 number_of_channels
""",
}


def typestore() -> Typestore:
    """The types of ROS 2 Humble and ours."""
    # The cache alone would let threads that come at once make one each, a fifth of a second of CPU.
    with _making:
        return _typestore()


@functools.cache
def _typestore() -> Typestore:
    store = get_typestore(Stores.ROS2_HUMBLE)
    for name, text in OWN.items():
        store.register(get_types_from_msg(text, name))
    return store


def message(name: str, **fields: Any) -> Any:
    """A message of type `name`, every field given."""
    return typestore().types[name](**fields)


def serialize(name: str, value: Any) -> bytes:
    """CDR, little-endian, of a message."""
    return bytes(typestore().serialize_cdr(value, name))


def opening(name: str, value: Any, n_bytes: int) -> bytes:
    """CDR of a message that ends with a uint8[], empty in `value`, up to where its n_bytes bytes follow."""
    return serialize(name, value)[:-4] + n_bytes.to_bytes(4, "little")


def deserialize(name: str, data: bytes) -> Any:
    """The message that CDR bytes hold; its arrays are views of them."""
    return typestore().deserialize_cdr(data, name)


@functools.cache
def schema_text(name: str) -> str:
    """A type and all it is made of, as MCAP's encoding `ros2msg` wants them."""
    text, _ = typestore().generate_msgdef(name, ros_version=2)
    _, mark, parts = text.partition("=" * 80)
    # rosbags leaves comments out; a log should say what its fields mean.
    return f"{OWN[name]}{mark}{parts}" if name in OWN else str(text)


def ros_time(t_ns: int) -> Any:
    """builtin_interfaces/Time of UNIX ns; what lies beyond its first or last moment becomes that."""
    first_ns, last_ns = ROS_TIMES_NS
    seconds, nanoseconds = divmod(min(max(t_ns, first_ns), last_ns), 1_000_000_000)
    return message("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)


def time_ns(time: Any) -> int:
    """UNIX ns of a builtin_interfaces/Time."""
    return int(time.sec) * 1_000_000_000 + int(time.nanosec)
