"""One thing that `doctor` found out, and how it is shown."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from stream_bind.cli.page import Page

__all__ = ["Finding", "Status", "finding_json", "put_finding"]

Status = Literal["ok", "note", "lacking"]

_MARKS = {"ok": "ok     ", "note": "note   ", "lacking": "LACKING"}
_STYLES = {"ok": "green", "note": "yellow", "lacking": "bold red"}
_REMEDY_AT = 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    status: Status
    """ok; note (matters for some rigs only, or a run works but badly); lacking (a run will fail)."""
    detail: str
    remedy: str = ""
    """The command that mends it."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """What was measured, for programs: further keys of the JSON."""


def finding_json(finding: Finding) -> str:
    """One line of JSON: name, status, detail, remedy and the figures; what could not be measured is null."""
    line = dataclasses.asdict(finding)
    figures = line.pop("figures")
    return json.dumps(_plain(line | figures), allow_nan=False)


def put_finding(page: Page, finding: Finding) -> None:
    """For people: mark, name and detail, the remedy below."""
    label = f"{_MARKS[finding.status]}  {finding.name:<20} "
    page.labelled(label, finding.detail, _STYLES[finding.status])
    if finding.remedy:
        wide = f"{'':{_REMEDY_AT}}-> "
        narrow = f"{'':9}-> "
        page.labelled(wide if page.fits(wide, finding.remedy) else narrow, finding.remedy, "cyan", "cyan")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        # More digits than were measured only look exact.
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value
