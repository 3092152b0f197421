"""How the rig's processes run: launcher, links between actors, logging."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["RuntimeConfig"]


class RuntimeConfig(BaseModel):
    """Launcher and process settings; none of them changes a vector beyond its last bits."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    launcher: Literal["ray", "local"] = "ray"
    """ray: one process per actor, restarted when it dies; local: threads of one process."""
    address: str | None = None
    """An existing Ray cluster (`auto` or HOST:PORT); absent: a private one for this run."""
    transport: Literal["auto", "inproc", "ipc", "tcp"] = "auto"
    """What carries clips between actors; auto: inproc in one process, ipc on one host, tcp between hosts."""
    object_store_mb: int = Field(default=80, ge=75, le=1 << 20)
    """Ray's object store, which this pipeline barely uses; 75 is Ray's least."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged."""
    deterministic: bool = False
    """Embed clips one by one, in one worker on one thread: the same clip then gives the same vector to the last bit."""
    health_interval_s: float = Field(default=1.0, gt=0, le=60)
    """Seconds between looks at every actor."""
