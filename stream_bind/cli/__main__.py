"""`python -m stream_bind.cli`: the same as `stream-bind`."""

from __future__ import annotations

import sys

from stream_bind.cli.main import main

sys.exit(main())
