"""The running pipeline: workers with open, step and close, the credit protocol between them, and two launchers."""

from __future__ import annotations

from pathlib import Path

import devices
import stream_bind

_here = Path(__file__).resolve().parent.parent
for _package in (devices, stream_bind):
    _theirs = Path(str(_package.__file__)).resolve().parent.parent
    if _theirs != _here:
        # Mixing two checkouts (a Ray working_dir copy beside an editable install) runs half of each version.
        raise ImportError(
            f"stream_bind, actors and devices must come from one place: actors is in {_here}, "
            f"{_package.__name__} in {_theirs}; remove one from PYTHONPATH or reinstall"
        )
