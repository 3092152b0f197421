"""The Luxonis SDK (depthai 3, an extra) as one stream of depth frames: found, built, started, read from its queue."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from devices.closing import close_within
from stream_bind.errors import DeviceError
from stream_bind.messages import Intrinsics

__all__ = ["OakFrame", "Running", "Wanted", "attached", "choose", "load_sdk", "start", "unit_m"]

logger = logging.getLogger(__name__)

_QUEUE_FRAMES = 4
"""Frames kept while nobody reads; the oldest give way, and are missed in the numbering."""
_CLOSE_S = 5.0
_US = timedelta(microseconds=1)
_USB_ERR_NS, _NET_ERR_NS = 200_000, 500_000
"""One sigma of the SDK's device-to-host clock (Luxonis: below 200 us by USB, below 500 us by network)."""
_METRES = {"METER": 1.0, "CENTIMETER": 0.01, "MILLIMETER": 0.001, "INCH": 0.0254, "FOOT": 0.3048}
_RULE = (
    """echo 'SUBSYSTEM=="usb", ATTRS{idVendor}=="03e7", MODE="0666"' | sudo tee /etc/udev/rules.d/80-movidius.rules """
    "&& sudo udevadm control --reload-rules && sudo udevadm trigger"
)


class Wanted(NamedTuple):
    """What to build on the camera."""

    source: str
    """stereo or tof."""
    width: int
    height: int
    rate_hz: float
    left: str
    """Sockets of the stereo pair, such as CAM_B and CAM_C."""
    right: str
    preset: str | None


class OakFrame(NamedTuple):
    """One depth frame, out of the SDK's hands."""

    counts: NDArray[np.uint16]
    """(H, W)."""
    number: int
    steady_ns: int
    """Middle of the exposure in host monotonic time, as the SDK maps it."""
    device_us: int
    """The device's own stamp."""


def load_sdk() -> Any:
    """The depthai module. Raises DeviceError(permanent) with the command that brings it."""
    # It logs to standard output, which belongs to data, and puts handlers of its own on fatal signals.
    os.environ.setdefault("DEPTHAI_LEVEL", "off")
    os.environ.setdefault("DEPTHAI_INSTALL_SIGNAL_HANDLER", "0")
    mend = "pip install 'stream-bind[oak]'"
    try:
        dai: Any = importlib.import_module("depthai")
    except ImportError as error:
        raise DeviceError(f"oak_depth: its SDK cannot be loaded: {error}; {mend}", permanent=True) from error
    if not hasattr(dai.node, "Camera"):
        raise DeviceError(f"oak_depth: wanted depthai 3, found {dai.__version__}; {mend}", permanent=True)
    return dai


def attached(dai: Any) -> list[Any]:
    """The SDK's DeviceInfo of every camera on USB and in the local network, in use or not, by their ids. Raises
    DeviceError."""
    try:
        return sorted(dai.Device.getAllConnectedDevices(), key=lambda info: str(info.deviceId))
    except Exception as error:  # RuntimeError, XLinkError
        raise DeviceError(f"oak_depth: its SDK cannot look for cameras: {error}; check USB permissions") from error


def choose(found: Sequence[Any], serial: str | None, name: str) -> Any:
    """The camera that is meant, by id, network address or USB path. Raises DeviceError naming those there are."""
    there = ", ".join(f"{info.deviceId} ({info.name})" for info in found)
    fits = [info for info in found if serial is None or serial in {str(info.deviceId), str(info.name)}]
    if len(fits) > 1:
        raise DeviceError(f"{name}: {len(fits)} cameras are attached; name one by its serial: {there}", permanent=True)
    if not fits and found:
        raise DeviceError(f"{name}: not attached; found {there}; plug it in, or name another serial")
    if not fits:
        raise DeviceError(
            f"{name}: no OAK camera is attached; plug it in (lsusb shows 03e7:2485), and if only root sees it: {_RULE}"
        )
    (info,) = fits
    if info.status.name == "X_LINK_INSUFFICIENT_PERMISSIONS":
        raise DeviceError(f"{name}: may not be opened; {_RULE}; then plug it in again")
    if info.state.name == "X_LINK_BOOTED":
        raise DeviceError(f"{name}: is in use by another program; end that one, or wait for it to let go")
    return info


def unit_m(config: Any) -> float:
    """Metres per count of a StereoDepthConfig."""
    unit = config.getDepthUnit().name
    if unit == "CUSTOM":
        # "Custom depth unit multiplier relative to 1 meter": counts per metre.
        return 1.0 / float(config.getCustomDepthUnitMultiplier())
    return _METRES[unit]


class Running:
    """A pipeline that runs, and the queue its depth comes out of. `device`: None where frames are made on the host."""

    def __init__(
        self,
        dai: Any,
        pipeline: Any,
        queue: Any,
        name: str,
        unit: float = 0.001,
        device: Any = None,
        calibrated: Callable[[int, int], Intrinsics | None] = lambda width, height: None,
    ) -> None:
        """calibrated: the calibration for a width and height, asked where the frames carry none."""
        self._middle = dai.CameraExposureOffset.MIDDLE
        self._pipeline = pipeline
        self._queue = queue
        self._name = name
        self._device = device
        self._calibrated = calibrated
        self.unit_m = unit
        networked = device is not None and "TCP" in device.getDeviceInfo().protocol.name
        self.err_ns = _NET_ERR_NS if networked else _USB_ERR_NS
        self.intrinsics: Intrinsics | None = None
        """Known from the first frame on."""
        self._seen = False

    def next(self, timeout_s: float) -> OakFrame | None:
        """The next frame, or None after timeout_s. Raises DeviceError when the queue is closed or the link broke."""
        try:
            frame = self._queue.get(timedelta(seconds=max(0.0, timeout_s)))
        except Exception as error:  # QueueException, XLinkError and RuntimeError all tell of one unplug
            words = " ".join(str(error).split())
            raise DeviceError(f"{self._name}: was lost: {words}; it will be opened again") from error
        if frame is None:
            return None
        counts = frame.getFrame()
        if counts.dtype != np.uint16 or counts.ndim != 2:
            raise DeviceError(
                f"{self._name}: wanted 16-bit depth, found {frame.getType().name} of {counts.dtype}", permanent=True
            )
        if not self._seen:
            self._seen = True
            height, width = counts.shape
            self.intrinsics = _intrinsics(frame.getTransformation(), width, height) or self._calibrated(width, height)
        return OakFrame(
            # A copy, which the queue's message does not keep alive.
            np.array(counts, np.uint16),
            int(frame.getSequenceNum()),
            # The SDK's stamp is the end of the exposure; its offsets subtract the exposure time that the frame carries.
            (frame.getTimestamp(self._middle) // _US) * 1000,
            frame.getTimestampDevice() // _US,
        )

    def is_attached(self) -> bool:
        """Whether the pipeline runs and the camera is there."""
        try:
            return bool(self._pipeline.isRunning()) and not (self._device is not None and self._device.isClosed())
        except Exception:  # asked of a device that is gone
            return False

    def stop(self) -> None:
        """Never raises, never takes longer than a few seconds."""
        # Threads have to be waited for here: dropped while one runs, a pipeline does so under the GIL, for ever.
        steps = [self._pipeline.stop, self._pipeline.wait]
        if self._device is not None:
            steps.append(self._device.close)
        close_within(_CLOSE_S, self._name, *steps)


def start(info: Any, wanted: Wanted, name: str) -> Running:
    """Boot the camera, build what is wanted, start it. Takes seconds. Raises DeviceError."""
    dai = load_sdk()
    device = None
    try:
        device = dai.Device(info)
        # By itself the SDK opens a lost camera again, and says nothing of the hole.
        device.setMaxReconnectionAttempts(0)
        pipeline = dai.Pipeline(device)
        depth, unit = build(dai, pipeline, wanted, name)
        queue = depth.createOutputQueue(maxSize=_QUEUE_FRAMES, blocking=False)
        pipeline.start()
    except DeviceError:
        _let_go(device, name)
        raise
    except Exception as error:  # RuntimeError, XLinkError, EepromError
        _let_go(device, name)
        words = " ".join(str(error).split())
        raise DeviceError(f"{name}: cannot be started: {words}; unplug it and plug it in again") from error

    def calibrated(width: int, height: int) -> Intrinsics | None:
        # Stereo depth is seen from the right camera, rectified.
        socket = getattr(dai.CameraBoardSocket, wanted.right)
        return None if wanted.source == "tof" else from_calibration(device.readCalibration(), socket, width, height)

    return Running(dai, pipeline, queue, name, unit, device, calibrated)


def build(dai: Any, pipeline: Any, wanted: Wanted, name: str) -> tuple[Any, float]:
    """The depth output of a pipeline on a device, and its metres per count."""
    if wanted.source == "tof":
        # Millimetres, as the SDK's ToF node delivers them.
        return pipeline.create(dai.node.ToF).build(fps=wanted.rate_hz).depth, 0.001
    stereo = pipeline.create(dai.node.StereoDepth)
    if wanted.preset is not None:
        stereo.setDefaultProfilePreset(getattr(dai.node.StereoDepth.PresetMode, wanted.preset.upper()))
    there = {socket.name for socket in pipeline.getDefaultDevice().getConnectedCameras()}
    for socket, into in ((wanted.left, stereo.left), (wanted.right, stereo.right)):
        if socket not in there:
            raise DeviceError(
                f"{name}: has no camera at {socket}; it has {', '.join(sorted(there)) or 'none'}; set left and right, "
                f"or source: tof",
                permanent=True,
            )
        camera = pipeline.create(dai.node.Camera).build(getattr(dai.CameraBoardSocket, socket))
        camera.requestOutput((wanted.width, wanted.height), fps=wanted.rate_hz).link(into)
    return stereo.depth, unit_m(stereo.initialConfig)


def from_calibration(calibration: Any, socket: Any, width: int, height: int) -> Intrinsics | None:
    """Of the camera's stored calibration; rectified pictures have no distortion left. None where it has none."""
    try:
        matrix = calibration.getCameraIntrinsics(socket, width, height)
    except Exception as error:  # the SDK raises on an empty EEPROM
        logger.debug("no calibration of %s: %s", socket, error)
        return None
    return Intrinsics(width, height, matrix[0][0], matrix[1][1], matrix[0][2], matrix[1][2])


def _intrinsics(told: Any, width: int, height: int) -> Intrinsics | None:
    """Of what a frame carries, None where it carries nothing for its size."""
    if not told.isValid() or tuple(told.getSize()) != (width, height):
        return None
    matrix = told.getIntrinsicMatrix()
    if matrix[0][0] <= 1.0:
        # The identity: nobody set it.
        return None
    coeffs = tuple(float(str(np.float32(one))) for one in told.getDistortionCoefficients())
    model = {"Perspective": "rational_polynomial", "Fisheye": "kannala_brandt4"}.get(told.getDistortionModel().name, "")
    distorted = any(coeffs) and bool(model)
    return Intrinsics(
        width,
        height,
        matrix[0][0],
        matrix[1][1],
        matrix[0][2],
        matrix[1][2],
        model if distorted else "",
        coeffs if distorted else (),
    )


def _let_go(device: Any, name: str) -> None:
    if device is not None:
        close_within(_CLOSE_S, name, device.close)
