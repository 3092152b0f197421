"""A real RTSP camera on loopback: appsrc, x264 and gst-rtsp-server. Needs the system's python3 with gi, no numpy.

Arguments: port, JSON {"rate_hz", "width", "height", "codec": h264 | h264_b | h265 | jpeg, "key": frames between key
frames}. Every picture has its own UNIX time in ms (44 bits) and its number (20 bits) drawn into it, one bit a block of
16 x 16 pixels, 20 blocks a row. Prints "ready" when it listens. Ends when stdin does.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

port = sys.argv[1]
asked = {"rate_hz": 30, "width": 640, "height": 480, "codec": "h264", "key": 15, **json.loads(sys.argv[2])}
width, height, rate_hz, key = asked["width"], asked["height"], asked["rate_hz"], asked["key"]
x264 = f"x264enc speed-preset=ultrafast key-int-max={key} bitrate=2000 threads=1"
ENCODERS = {
    "h264": f"{x264} tune=zerolatency ! rtph264pay name=pay0 pt=96 config-interval=1",
    "h264_b": f"{x264} b-adapt=false bframes=2 rc-lookahead=2 ! video/x-h264,profile=main "
    "! rtph264pay name=pay0 pt=96 config-interval=1",
    "h265": f"x265enc tune=zerolatency speed-preset=ultrafast key-int-max={key} "
    "option-string=pools=none:frame-threads=1 ! rtph265pay name=pay0 pt=96 config-interval=1",
    "jpeg": "jpegenc ! rtpjpegpay name=pay0 pt=26",
}
texture = bytes(127 + round(60 * math.sin(k / 9) + 40 * math.sin(k / 1013)) for k in range(width * 9))


def draw(taken_ms: int, number: int) -> bytes:
    """One I420 picture."""
    code = taken_ms << 20 | number
    bits = [235 if code >> k & 1 else 16 for k in range(80)]
    rows = [b"".join(bytes((level,)) * 16 for level in bits[row * 20 : row * 20 + 20]) for row in range(4)]
    lines = b"".join((row + bytes(width - 320)) * 16 for row in rows)
    # A texture that moves, so that the encoder has something to do.
    at = number * 3 % 256
    below = (texture[at : at + width * 8] * (height // 8))[: width * (height - 64)]
    return lines + below + b"\x80" * (width * height // 2)


def feed(media: GstRtspServer.RTSPMedia) -> None:
    source = media.get_element().get_child_by_name("camera")
    while source.get_clock() is None or not source.get_base_time():  # not playing yet: no running time
        time.sleep(0.005)
    began, number = time.monotonic(), 0
    while True:
        time.sleep(max(0.0, began + number / rate_hz - time.monotonic()))
        # Both times at one moment: whatever delays this process afterwards, the stamps are right.
        taken_ns, running_ns = time.time_ns(), source.get_clock().get_time() - source.get_base_time()
        picture = Gst.Buffer.new_wrapped(draw(taken_ns // 1_000_000, number))
        picture.pts = running_ns
        if source.emit("push-buffer", picture) == Gst.FlowReturn.FLUSHING and number > 50:
            return
        number += 1


def main() -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    caps = f"video/x-raw,format=I420,width={width},height={height},framerate={rate_hz}/1"
    source = f"appsrc name=camera is-live=true format=time max-buffers=4 leaky-type=downstream caps={caps}"
    factory.set_launch(f"( {source} ! {ENCODERS[asked['codec']]} )")
    factory.connect(
        "media-configure", lambda _, media: threading.Thread(target=feed, args=(media,), daemon=True).start()
    )
    server.get_mount_points().add_factory("/cam", factory)
    if server.attach(None) == 0:
        sys.exit(f"port {port} is taken")
    print("ready", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    GLib.MainLoop().run()


main()
