"""Text on terminals and elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from stream_bind.cli.finding import Finding, finding_json, put_finding
from stream_bind.cli.page import Page

LONG = "a sentence of many words that goes on and on " * 4


def terminal(columns):
    out = io.StringIO()
    page = Page(out)
    page._console = Console(file=out, width=columns, force_terminal=True, color_system=None, highlight=False)
    page.width = columns
    return page, out


def test_without_a_terminal_lines_are_not_cut(capsys):
    Page().labelled("label ", LONG)
    assert capsys.readouterr().out == f"label {LONG}\n"


def test_on_a_terminal_text_is_wrapped_under_itself():
    page, out = terminal(60)
    page.labelled("label ", LONG)
    first, *rest = out.getvalue().splitlines()
    assert first.startswith("label a sentence")
    assert rest
    assert all(line.startswith(" " * 6) and line[6] != " " and len(line) <= 60 for line in rest)


def test_paths_and_yaml_stay_whole():
    page, out = terminal(60)
    path = "/dev/v4l/by-id/usb-" + "x" * 80
    page.labelled("label ", path)
    page.put(f"  - device: {path}", wrap=False)
    assert out.getvalue().splitlines() == [f"label {path}", f"  - device: {path}"]


def test_what_looks_like_markup_is_text():
    page, out = terminal(80)
    page.put("[bold]Cam[/bold] :smile:")
    assert out.getvalue() == "[bold]Cam[/bold] :smile:\n"


def test_a_remedy_that_does_not_fit_moves_to_the_left():
    page, out = terminal(80)
    put_finding(page, Finding("cam rate", "note", "slow", "short remedy"))
    put_finding(page, Finding("cam rate", "note", "slow", "x" * 60))
    lines = out.getvalue().splitlines()
    assert lines[1] == " " * 30 + "-> short remedy"
    assert lines[3] == " " * 9 + "-> " + "x" * 60


def test_json_has_the_figures_as_keys_and_null_for_what_is_no_number():
    line = finding_json(Finding("cam rate", "ok", "fine", figures={"rate_hz": 1 / 3, "jitter_ms": float("nan")}))
    assert '"rate_hz": 0.3333333' in line
    assert '"jitter_ms": null' in line
    assert '"figures"' not in line
