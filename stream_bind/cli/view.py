"""What `run` shows: a live table on a terminal, one line per interval otherwise, and the account at the end."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from actors.order import Account
from actors.supervise import RunResult, Snapshot
from stream_bind.cli.labelling import Labelling, short

__all__ = ["RunView", "account_table"]

COLUMNS = (
    "stream", "modality", "samples/s", "coverage", "p50 ms", "p99 ms", "queue", "drops", "events", "vectors", "per s",
    "caption", "right",
)  # fmt: skip
WIDE = 90
"""Terminal columns from which on all of them are shown."""
ONLY_WIDE = {"modality", "p99 ms", "events"}
LABELLED = {"caption", "right"}
"""Columns for models that bring captions; in their favour others stand back."""
NOT_BESIDE_CAPTIONS = {"modality", "p99 ms", "events", "per s"}
UNEMBEDDED: dict[str, Any] = {
    "encoder": "", "coverage": None, "queue": "", "vectors": "", "vectors_hz": None, "events": "", "p50_s": None,
    "p99_s": None, "trained": True, "lost": 0,
}  # fmt: skip
"""Of a sensor that is only recorded."""
LINE_INTERVAL_S = 5.0
"""Without a terminal: seconds between status lines."""


class _Rates:
    """Per-second rates of counters between looks."""

    def __init__(self) -> None:
        self._last: dict[Any, tuple[float, float]] = {}
        self._rate: dict[Any, float] = {}

    def of(self, key: Any, count: float, now_s: float) -> float | None:
        before = self._last.get(key)
        if before is None:
            self._last[key] = (now_s, count)
        elif now_s - before[0] >= 0.9:
            rate = max(0.0, (count - before[1]) / (now_s - before[0]))
            old = self._rate.get(key)
            # Hops of 2.5 s come in steps; half of the old rate keeps the figure readable.
            self._rate[key] = rate if old is None else 0.5 * (rate + old)
            self._last[key] = (now_s, count)
        return self._rate.get(key)


class RunView:
    """Shows snapshots on stderr. Use as a context manager; call it with each snapshot."""

    def __init__(
        self,
        rig: str,
        *,
        live: bool | None = None,
        labelling: Labelling | None = None,
        note: Callable[[], str] = str,
    ) -> None:
        """live: a table that is drawn again and again; None: if stderr is a terminal. note: what stands above it."""
        self._note = note
        self._labelling = labelling or None
        self._console = Console(stderr=True)
        self._rig = rig
        self._rates = _Rates()
        self._live: Live | None = None
        self._moved: list[tuple[Any, Any]] = []
        self._started_s = time.monotonic()
        self._next_line_s = 0.0
        if self._console.is_terminal if live is None else live:
            self._live = Live(console=self._console, refresh_per_second=4, transient=False)

    def __enter__(self) -> RunView:
        if self._live is not None:
            logs = [h for h in logging.getLogger().handlers if isinstance(h, logging.StreamHandler)]
            logs = [h for h in logs if h.stream is sys.stderr]
            self._live.start()
            # The table stands where stderr is written: what is logged must take rich's way, above it.
            for handler in logs:
                self._moved.append((handler, handler.setStream(sys.stderr)))
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            for handler, stream in self._moved:
                handler.setStream(stream)
            self._moved.clear()

    def __call__(self, snapshot: Snapshot) -> None:
        rows = list(self._rows(snapshot))
        if self._live is not None:
            self._live.update(self._table(snapshot, rows), refresh=True)
            return
        now_s = time.monotonic()
        if now_s >= self._next_line_s:
            self._next_line_s = now_s + LINE_INTERVAL_S - 0.5
            print(self._line(snapshot, rows), file=sys.stderr, flush=True)

    def _rows(self, snapshot: Snapshot) -> Iterable[dict[str, Any]]:
        now_s = time.monotonic()
        published = {(p["stream"], p["encoder"]): p for p in snapshot.publisher.get("lanes", ())}
        encoders: dict[str, set[str]] = {}
        for capture in snapshot.captures:
            for lane in capture.get("lanes", ()):
                encoders.setdefault(lane["stream"], set()).add(lane["encoder"])
        for capture in snapshot.captures:
            for sensor in capture.get("sensors", ()):
                if sensor["stream"] not in encoders:
                    yield {**UNEMBEDDED, **sensor, "name": sensor["stream"]} | {
                        "rate_hz": self._rates.of(("s", sensor["stream"]), sensor["samples"], now_s)
                    }
            for lane in capture.get("lanes", ()):
                key = (lane["stream"], lane["encoder"])
                out = published.get(key, {})
                yield {
                    **lane,
                    "name": lane["stream"] + (f" → {lane['encoder']}" if len(encoders[lane["stream"]]) > 1 else ""),
                    "rate_hz": self._rates.of(("s", *key), lane["samples"], now_s),
                    "vectors": out.get("vectors", 0),
                    "vectors_hz": self._rates.of(("v", *key), out.get("vectors", 0), now_s),
                    "events": sum(out.get("events", {}).values()),
                    "p50_s": out.get("latency_p50_s"),
                    "p99_s": out.get("latency_p99_s"),
                    "trained": out.get("trained", True) or not out.get("model"),
                    "lost": sum(out.get("events", {}).get(r, 0) for r in ("dropped", "failed", "lost")),
                }

    def _table(self, snapshot: Snapshot, rows: list[dict[str, Any]]) -> Table:
        encoder = ", ".join(_encoder_state(e) for e in snapshot.encoders)
        troubles = "\n".join([*_recording(snapshot), *_troubles(rows)])
        scene = self._labelling.scene() if self._labelling is not None else ""
        if self._note():
            encoder = f"{self._note()}\n{encoder}"
        if scene:
            encoder = f"scene: {scene}\n{encoder}"
        listening = snapshot.publisher.get("subscribers", 0)
        elapsed_s = time.monotonic() - self._started_s
        where = snapshot.publisher.get("endpoint", "starting")
        table = Table(
            title=f"stream-bind  {self._rig}  {elapsed_s:5.0f} s   {where}   {listening} listening",
            caption=f"{encoder}\n{troubles}" if troubles else encoder,
            title_justify="left",
            caption_justify="left",
            expand=False,
            # Lines between ten columns of figures would take what 100 columns have for the streams' names.
            box=box.SIMPLE_HEAD,
            collapse_padding=True,
            pad_edge=False,
        )
        shown = [name for name in COLUMNS if name not in self._hidden()]
        for name in shown:
            folds = {"overflow": "fold", "min_width": 8} if name == "stream" else {"no_wrap": True}
            folds = {"overflow": "ellipsis", "no_wrap": True, "max_width": 34} if name == "caption" else folds
            justify = "left" if name in {"stream", "modality", "caption"} else "right"
            table.add_column(name, justify=justify, **folds)  # type: ignore[arg-type]
        for row in rows:
            whole = row["coverage"]
            away = row.get("device", {}).get("away", False)
            cells = {
                "stream": row["name"],
                "modality": row["modality"],
                "samples/s": Text("away", style="red") if away else _number(row["rate_hz"], "{:,.0f}"),
                "coverage": "" if whole is None else Text(f"{whole:.0%}", style="yellow" if whole < 0.99 else "green"),
                "p50 ms": _number(row["p50_s"], "{:.1f}", 1e3),
                "p99 ms": _number(row["p99_s"], "{:.1f}", 1e3),
                "queue": str(row["queue"]),
                "drops": Text(str(row["lost"] if row["encoder"] else ""), style="red" if row["lost"] else ""),
                "events": str(row["events"]),
                "vectors": Text(str(row["vectors"]), style="" if row["trained"] else "dim"),
                "per s": _number(row["vectors_hz"], "{:.1f}"),
                **self._captioned(row),
            }
            table.add_row(*(cells[name] for name in shown))
        return table

    def _told(self, row: Mapping[str, Any]) -> str:
        """Behind a status line's figures: the last caption and how often it has been right."""
        tally = self._labelling.tally(row["stream"], row["encoder"]) if self._labelling is not None else None
        if tally is None or tally.last is None:
            return ""
        return f' "{short(tally.last.text)}"' + (f" {tally.share} right" if tally.judged else "")

    def _hidden(self) -> set[str]:
        """Columns that this terminal has no room for, or this run no use."""
        width = self._console.width
        if self._labelling is None:
            return LABELLED | (ONLY_WIDE if width < WIDE else set())
        hidden = NOT_BESIDE_CAPTIONS if width < WIDE + 40 else set()
        return hidden | ({"p50 ms", "queue"} if width < WIDE else set())

    def _captioned(self, row: Mapping[str, Any]) -> dict[str, Any]:
        tally = self._labelling.tally(row["stream"], row["encoder"]) if self._labelling is not None else None
        if tally is None or tally.last is None:
            return {"caption": "", "right": "–"}
        style = {True: "green", False: "red", None: ""}[tally.last.right]
        return {"caption": Text(short(tally.last.text), style=style), "right": tally.share}

    def _line(self, snapshot: Snapshot, rows: list[dict[str, Any]]) -> str:
        elapsed_s = time.monotonic() - self._started_s
        parts = [
            (f"{r['name']} {r['vectors']} vectors" if r["encoder"] else str(r["name"]))
            + (" away" if r.get("device", {}).get("away") else "")
            + (f" {r['rate_hz']:,.0f}/s" if r["rate_hz"] is not None else "")
            + (f" {r['coverage']:.0%}" if r["coverage"] is not None else "")
            + (f" {r['p50_s'] * 1e3:.1f} ms" if r["p50_s"] is not None else "")
            + (f" {r['lost']} dropped" if r["lost"] else "")
            + self._told(r)
            for r in rows
        ]
        untrained = any(not r["trained"] for r in rows)
        state = ", ".join(_encoder_state(e) for e in snapshot.encoders)
        more = [state] if state else []
        more += _recording(snapshot)
        more += ["vectors are untrained"] if untrained else []
        return f"[{elapsed_s:5.1f} s] {' | '.join([*parts, *more])}"


def _encoder_state(health: Mapping[str, Any]) -> str:
    name = health.get("encoder", health.get("name", "encoder"))
    if health.get("away"):
        return f"{name}: away"
    state = health.get("state", "starting")
    if health.get("encode_p50_s") is None:
        return f"{name}: {state}"
    untrained = "" if health.get("trained") else ", untrained (random weights)"
    return (
        f"{name}: {state}, {health['encode_p50_s'] * 1e3:.1f} ms a batch, {health.get('waiting', 0)} waiting{untrained}"
    )


def _recording(snapshot: Snapshot) -> list[str]:
    """That this run is recorded, how much, and what is wrong with that; nobody should have to guess it."""
    recorder = snapshot.recorder
    if recorder is None:
        return []
    if recorder.get("problem"):
        return [f"NOT RECORDED: {recorder['problem']}"]
    if recorder.get("away"):
        return ["recording: its actor is away"]
    size_mb = recorder.get("bytes", 0) / 1e6
    states = {"waiting": "○ recording waits for an event", "recording": f"● recording {size_mb:,.1f} MB"}
    dropped = sum(r["dropped"] for c in snapshot.captures for r in c.get("recorded", {}).values())
    told = f"{states.get(recorder.get('state', ''), '● recording starts')} to {recorder.get('path', '')}"
    return [told + (f", {dropped:,} chunks dropped" if dropped else "")]


def _troubles(rows: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """A line for every stream whose device counted something, such as "imu: 3 bad_packets"."""
    told = {row["stream"]: row.get("device", {}).get("counters", {}) for row in rows}
    for stream, counters in told.items():
        if counters:
            yield f"{stream}: " + ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in counters.items())


def _number(value: float | None, form: str, factor: float = 1.0) -> str:
    return "–" if value is None else form.format(value * factor)


def account_table(result: RunResult) -> str:
    """The account as text: for every lane, what became of each due window."""
    lines = []
    for (stream, encoder), account in sorted(result.accounts.items()):
        events = ", ".join(f"{n} {reason}" for reason, n in sorted(account.events.items()))
        lines.append(
            f"  {stream} → {encoder}: {account.due} windows due = {account.vectors} vectors"
            f" + {sum(account.events.values())} in events" + (f" ({events})" if events else "")
        )
    total = Account()
    for account in result.accounts.values():
        total.add(account)
    head = f"account: {total.due} windows due, {total.vectors} vectors, {sum(total.events.values())} in events"
    return "\n".join([head, *lines])
