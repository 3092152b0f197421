"""What a person sees of a run: every stream by its whole name, on narrow and wide terminals and in a log."""

from __future__ import annotations

import io
import logging
import sys
from collections import Counter
from typing import Any

import pytest
from rich.console import Console

from actors.order import Account
from actors.supervise import RunResult, Snapshot
from stream_bind.cli.view import RunView, account_table

STREAMS = ("headset-camera-left", "headset-camera-right", "microphone", "depth", "thermal", "wrist-imu")


def snapshot(*, encoders: tuple[str, ...] = ("imagebind",), trained: bool = False, **out: Any) -> Snapshot:
    """A rig in full swing, with figures as wide as they get."""
    keys = [(s, e) for s in STREAMS for e in encoders]
    captured = [
        {"stream": s, "encoder": e, "modality": "thermal", "coverage": 0.97, "samples": 480_000, "queue": 16}
        for s, e in keys
    ]
    events = {"starting": 3, "dropped": 12, "failed": 1}
    published = [
        {"stream": s, "encoder": e, "vectors": 123_456, "events": events, "latency_p50_s": 0.0123,
         "latency_p99_s": 0.1234, "model": "m@1", "trained": trained, **out}
        for s, e in keys
    ]  # fmt: skip
    health = [
        {"encoder": e, "state": "busy", "encode_p50_s": 0.0456, "waiting": 2, "trained": trained} for e in encoders
    ]
    publisher = {"endpoint": "tcp://127.0.0.1:5556", "subscribers": 2, "lanes": published}
    return Snapshot([{"name": "capture", "lanes": captured}], health, publisher)


def table(width: int, shown: Snapshot, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The words of every printed line of the table on a terminal of this width."""
    monkeypatch.setenv("COLUMNS", str(width))
    view = RunView("headset", live=False)
    rows = list(view._rows(shown))
    for row in rows:
        row |= {"rate_hz": 48_000.0, "vectors_hz": 2.0}
    console = Console(width=width, file=io.StringIO())
    console.print(view._table(shown, rows))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert all(len(line) <= width for line in lines)
    assert "…" not in "".join(lines)
    return [line.split() for line in lines]


@pytest.mark.parametrize("width", [80, 100, 160])
def test_every_stream_has_its_row_with_all_its_figures(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = table(width, snapshot(), monkeypatch)
    text = [" ".join(line) for line in lines]
    rows = [line for line in lines if "48,000" in line]
    assert len(rows) == len(STREAMS)
    figures = ["thermal", "48,000", "97%", "12.3", "123.4", "16", "13", "16", "123456", "2.0"]
    if width < 90:
        figures = ["48,000", "97%", "12.3", "16", "13", "123456", "2.0"]
    assert all(row[1:] == figures for row in rows)
    # A name that does not fit goes on in the next line.
    names = "".join(line[0] for line in lines if line and (line in rows or len(line) == 1))
    for stream in STREAMS:
        assert stream in names, text
    assert "tcp://127.0.0.1:5556 2 listening" in " ".join(text)


def test_at_160_columns_nothing_is_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [line for line in table(160, snapshot(), monkeypatch) if "48,000" in line]
    assert [row[0] for row in rows] == list(STREAMS)


def test_a_stream_of_two_encoders_has_two_rows_that_can_be_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = table(160, snapshot(encoders=("small", "huge")), monkeypatch)
    assert [line[:3] for line in lines if "48,000" in line][:2] == [
        ["headset-camera-left", "→", "small"],
        ["headset-camera-left", "→", "huge"],
    ]


@pytest.mark.parametrize("trained", [True, False])
def test_untrained_weights_are_said_so_everywhere(
    trained: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = snapshot(trained=trained)
    words = " ".join(" ".join(line) for line in table(100, shown, monkeypatch))
    assert ("untrained (random weights)" in words) is not trained
    with RunView("headset", live=False) as view:
        view(shown)
    assert ("vectors are untrained" in capsys.readouterr().err) is not trained


def test_without_a_terminal_a_line_names_every_stream_and_comes_seldom(capsys: pytest.CaptureFixture[str]) -> None:
    with RunView("headset", live=False) as view:
        for _ in range(20):
            view(snapshot())
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    for stream in STREAMS:
        assert f"{stream} 123456 vectors 97% 12.3 ms 13 dropped" in line
    assert "imagebind: busy, 45.6 ms a batch, 2 waiting" in line


def test_a_rig_that_only_starts_has_a_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    with RunView("headset", live=False) as view:
        view(Snapshot([{"name": "capture-cam"}], [{"name": "encode-imagebind-0", "away": True}], {"name": "publish"}))
    assert "encode-imagebind-0: away" in capsys.readouterr().err


def test_rates_are_of_the_time_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("stream_bind.cli.view.time.monotonic", lambda: now[0])
    view = RunView("headset", live=False)
    shown = snapshot()
    assert next(iter(view._rows(shown)))["rate_hz"] is None
    now[0] += 2.0
    shown.captures[0]["lanes"][0]["samples"] += 500
    assert next(iter(view._rows(shown)))["rate_hz"] == 250.0


def test_a_live_table_is_drawn_and_left_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    with RunView("headset", live=True) as view:
        view(snapshot())
    assert "headset" in capsys.readouterr().err


def test_the_account_adds_up_and_names_every_reason() -> None:
    result = RunResult({
        ("cam", "ib"): Account(10, Counter(starting=3, dropped=2)),
        ("audio", "ib"): Account(4, Counter()),
    })  # fmt: skip
    assert account_table(result).splitlines() == [
        "account: 19 windows due, 14 vectors, 5 in events",
        "  audio → ib: 4 windows due = 4 vectors + 0 in events",
        "  cam → ib: 15 windows due = 10 vectors + 5 in events (2 dropped, 3 starting)",
    ]


def test_a_device_that_is_away_and_what_drivers_counted_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = snapshot()
    shown.captures[0]["lanes"][2]["device"] = {"away": True, "counters": {}}
    shown.captures[0]["lanes"][5]["device"] = {"away": False, "counters": {"bad_packets": 1203, "lost_samples": 7}}
    text = [" ".join(line) for line in table(100, shown, monkeypatch)]
    assert sum("away" in line for line in text) == 1
    assert text[-1] == "wrist-imu: 1,203 bad packets, 7 lost samples"
    RunView("headset", live=False)(shown)
    assert "microphone 123456 vectors away" in capsys.readouterr().err


def test_what_is_logged_goes_above_the_live_table_not_into_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    handler = logging.StreamHandler(terminal)
    logging.getLogger().addHandler(handler)
    try:
        with RunView("headset", live=True):
            assert handler.stream is not terminal
            logging.getLogger("devices").warning("unplugged")
        assert handler.stream is terminal
    finally:
        logging.getLogger().removeHandler(handler)
    assert "unplugged" in terminal.getvalue()
