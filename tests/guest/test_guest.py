"""Our drivers against the kernel's own: V4L2 (vivid), ALSA (snd-aloop) and USB serial (ftdi_sio), in a guest.

What is checked stands in `checks/*_checks.py` and runs inside; here is one test for each, so that each has its name in
the report and each can be chosen with -k. `-m "not guest"` leaves them out.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

CHECKS = Path(__file__).parent / "checks"


def names() -> list[str]:
    """Every check as "file.check", read from the source: the files import only where the kernel has their drivers."""
    return [
        f"{path.stem}.{node.name}"
        for path in sorted(CHECKS.glob("*_checks.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("check_")
    ]


@pytest.mark.guest
@pytest.mark.requires("qemu")
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("check", names())
def test_in_the_guest(check: str, guest: Any) -> None:
    result = guest.result(check)
    if result["outcome"] == "skipped":
        pytest.skip(result["report"])
    if result["outcome"] == "failed":
        parts = [f"{check}, after {result['seconds']} s in the guest", result["report"].rstrip()]
        parts += [f"--- its output\n{result['output'].rstrip()}"] if result["output"].strip() else []
        parts += [f"--- the guest's kernel\n{result['kernel']}"] if result["kernel"] else []
        pytest.fail("\n".join(parts), pytrace=False)
