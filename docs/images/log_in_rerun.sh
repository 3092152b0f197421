#!/usr/bin/env bash
# Makes log_in_rerun.jpg: the simulated headset recorded, opened in Rerun's own viewer, and what it shows saved.
# Wants `rerun` and its Python package (pip install rerun-sdk, in an environment of its own: RERUN=path/to/bin), and
# without a screen or a GPU: apt-get install xvfb xauth xdotool mesa-vulkan-drivers
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
rerun="${RERUN:-$(dirname "$(command -v rerun)")}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
.venv/bin/stream-bind record configs/headset.yaml --simulate --local --duration 25s -o "$work/walk.mcap"
"$rerun/rerun" mcap convert "$work/walk.mcap" -o "$work/walk.rrd" --application-id stream-bind
"$rerun/python" - "$work/layout.rbl" <<'PY'
import sys

import rerun.blueprint as rrb

views = [
    rrb.Spatial2DView(origin="/cam/image/compressed", name="camera"),
    rrb.Spatial2DView(origin="/depth/image", name="depth"),
    rrb.Spatial2DView(origin="/thermal/image", name="thermal, °C"),
    rrb.TimeSeriesView(origin="/imu/imu", name="IMU"),
]
panels = rrb.TimePanel(state="collapsed"), rrb.SelectionPanel(state="hidden"), rrb.BlueprintPanel(state="hidden")
rrb.Blueprint(rrb.Grid(*views), *panels).save("stream-bind", sys.argv[1])
PY
# The pointer would show a pixel's value in the middle of the picture.
timeout 180 xvfb-run -a -s "-screen 0 1600x1000x24" bash -c "(sleep 3; xdotool mousemove 0 0) &
    exec '$rerun/rerun' --window-size 1280x800 --screenshot-to '$work/shot.png' '$work/walk.rrd' '$work/layout.rbl'"
.venv/bin/python - "$work/shot.png" docs/images/log_in_rerun.jpg <<'PY'
import sys

from PIL import Image

shot = Image.open(sys.argv[1]).convert("RGB")
shot.resize((1280, 800), Image.Resampling.LANCZOS).save(sys.argv[2], quality=85)
PY
