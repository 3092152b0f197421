"""Logging of the command line: to stderr, for people or as JSON Lines."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

__all__ = ["FORMATS", "LEVELS", "JsonFormatter", "setup_logging"]

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("pretty", "json")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts (UNIX seconds), level, component (the logger), event, and stream where given."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": round(record.created, 6),
            "level": record.levelname.lower(),
            "component": record.name,
            "event": record.getMessage(),
        }
        stream = getattr(record, "stream", None)
        if stream is not None:
            line["stream"] = stream
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def setup_logging(level: str = "info", log_format: str = "pretty") -> None:
    """Send all logs of at least `level` to stderr. Calling it again replaces what was set."""
    handler = logging.StreamHandler(sys.stderr)
    if log_format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        pretty = logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
        pretty.converter = time.localtime
        handler.setFormatter(pretty)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
