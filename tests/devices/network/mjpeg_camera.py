"""A motion-JPEG camera in a process of its own, which can be killed, frozen and started again on the same port.

Arguments: port, JSON {"rate_hz", "width", "height"}. Every picture has its own UNIX time in ms (44 bits) and its number
(20 bits) drawn into it, one bit a block of 16 x 16 pixels, 20 blocks a row. The path says how it is sent: /plain with
Content-Length, /bare without, /chunked in transfer chunks, as microcontrollers do. Prints "ready" when it listens; ends
when stdin does.
"""

from __future__ import annotations

import http.server
import io
import json
import os
import sys
import threading
import time

import numpy as np
from PIL import Image

asked = {"rate_hz": 30, "width": 640, "height": 480, **json.loads(sys.argv[2])}
height, width = asked["height"], asked["width"]
rng = np.random.default_rng(0)
scene = np.kron(rng.integers(0, 255, (height // 16, width // 16), np.uint8), np.ones((16, 16), np.uint8))


def draw(taken_ms: int, number: int) -> bytes:
    code = taken_ms << 20 | number
    picture = scene.copy()
    bits = np.array([255 * (code >> k & 1) for k in range(80)], np.uint8).reshape(4, 20)
    picture[:64, :320] = np.kron(bits, np.ones((16, 16), np.uint8))
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=85)
    return out.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        chunked = self.path == "/chunked"
        self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Connection", "close")))
        self.end_headers()

        def send(data: bytes) -> None:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)

        began, number = time.monotonic(), 0
        try:
            while True:
                taken_ns = time.time_ns()
                jpeg = draw(taken_ns // 1_000_000, number)
                length = b"" if self.path == "/bare" else b"Content-Length: %d\r\n" % len(jpeg)
                stamp = b"X-Timestamp: %d.%06d\r\n" % divmod(taken_ns // 1000, 1_000_000)
                send(b"\r\n--frame\r\nContent-Type: image/jpeg\r\n" + length + stamp + b"\r\n")
                send(jpeg)
                number += 1
                # Pictures it could not send in time are lost, as in a camera, and not made up for.
                late = int((time.monotonic() - began) * asked["rate_hz"])
                number = max(number, late)
                time.sleep(max(0.0, began + number / asked["rate_hz"] - time.monotonic()))
        except OSError:
            return


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
server.daemon_threads = True
print("ready", flush=True)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve_forever(0.02)
