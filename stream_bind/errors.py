"""Errors a user can cause or meet. Each message names the thing, what was wanted, what was found and the next step.

Programming errors stay plain ValueError or TypeError. Nothing here imports anything of ours.
"""

from __future__ import annotations

__all__ = [
    "ClipError",
    "ConfigError",
    "DeviceError",
    "EncoderError",
    "EndOfStream",
    "LinkError",
    "LogError",
    "SinkError",
    "StreamBindError",
    "WeightsError",
    "WireError",
]


class StreamBindError(Exception):
    """Base of every error that is shown to a user as one line. `exit_code` is what the CLI ends with."""

    exit_code = 1


class ConfigError(StreamBindError):
    """The configuration cannot be used. `problems` holds one line per fault, each with its place."""

    exit_code = 2

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems or (message,)


class DeviceError(StreamBindError):
    """A device could not be opened, or broke while it was read. Reopening it may mend that.

    `permanent` is True where trying again cannot help (no such file, a file of the wrong kind).
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class EndOfStream(Exception):  # noqa: N818 - like StopIteration, not a fault
    """Raised by `Device.read` when a recording has been delivered to its end. Not a fault."""


class ClipError(StreamBindError):
    """One window cannot be made into the clip its encoder wants. It becomes an event."""


class WeightsError(StreamBindError):
    """Weights are missing, damaged, or do not fit the model."""

    exit_code = 1


class EncoderError(StreamBindError):
    """An encoder cannot be loaded or cannot embed what it was given."""


class WireError(StreamBindError):
    """A message does not follow docs/protocol.md, or a socket cannot be bound or reached."""


class SinkError(StreamBindError):
    """A sink cannot be opened, or could not take a message."""


class LinkError(StreamBindError):
    """Two actors do not agree on the protocol between them."""


class LogError(StreamBindError):
    """A log cannot be read, written or recovered."""
