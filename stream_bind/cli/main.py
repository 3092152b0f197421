"""The `stream-bind` command: finds the verb, turns errors into one line and an exit code.

Verbs load when they are named, so that `stream-bind version` does not wait for those it does not run.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_command_from_info
from typer.models import CommandInfo

from stream_bind.cli.logs import FORMATS, LEVELS, setup_logging
from stream_bind.errors import ConfigError, StreamBindError

__all__ = ["VERBS", "build", "main"]

VERBS = {
    "run": "stream_bind.cli.run:run_command",
    "validate": "stream_bind.cli.validate:validate_command",
    "subscribe": "stream_bind.cli.subscribe:subscribe_command",
    "record": "stream_bind.cli.record:record_command",
    "replay": "stream_bind.cli.replay:replay_command",
    "info": "stream_bind.cli.info:info_command",
    "import": "stream_bind.cli.imports:import_command",
    "export": "stream_bind.cli.export:export_command",
    "recover": "stream_bind.cli.recover:recover_command",
    "embed": "stream_bind.cli.embed:embed_command",
    "bind": "stream_bind.cli.bind:bind_command",
    "models": "stream_bind.cli.models:models_app",
    "devices": "stream_bind.cli.devices:devices_command",
    "doctor": "stream_bind.cli.doctor:doctor_command",
    "version": "stream_bind.cli.version:version_command",
}
"""Verb to the function that is its command, or to the typer app that holds its own verbs.

Modules are light at import and load the heavy things when called.
"""

INTERRUPTED = 130

# typer carries its own copy of click, under a private name; its public exception leads to the base class of all.
UsageError: type[Any] = typer.BadParameter.__bases__[0]
ClickException: type[Any] = UsageError.__bases__[0]


class LazyGroup(TyperGroup):
    """A group that imports a verb when it is asked for by name."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in VERBS:
            return None
        module, _, function = VERBS[cmd_name].partition(":")
        callback = getattr(importlib.import_module(module), function)
        if isinstance(callback, typer.Typer):
            group = get_command(callback)
            group.name = cmd_name
            return group
        info = CommandInfo(name=cmd_name, callback=callback)
        return get_command_from_info(info, pretty_exceptions_short=True, rich_markup_mode=None)


def build() -> Any:
    """The whole command with all its verbs."""
    app = typer.Typer(cls=LazyGroup, rich_markup_mode=None, pretty_exceptions_enable=False)

    @app.callback(help="Live sensor streams to joint embeddings, published over ZeroMQ.")
    def options(
        log_level: Annotated[str, typer.Option(help=f"Least level logged: {', '.join(LEVELS)}.")] = "info",
        log_format: Annotated[str, typer.Option(help=f"How logs look on stderr: {', '.join(FORMATS)}.")] = "pretty",
        debug: Annotated[bool, typer.Option("--debug", help="Log everything and show tracebacks.")] = False,
    ) -> None:
        if log_level not in LEVELS:
            raise typer.BadParameter(f"{log_level!r} is none of {', '.join(LEVELS)}", param_hint="--log-level")
        if log_format not in FORMATS:
            raise typer.BadParameter(f"{log_format!r} is none of {', '.join(FORMATS)}", param_hint="--log-format")
        setup_logging("debug" if debug else log_level, log_format)

    return get_command(app)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line. Returns the exit code: 0 ok, 1 failure, 2 usage or config, 3 data lost, 130 interrupted."""
    args = hoist(list(sys.argv[1:] if argv is None else argv))
    asked = bool(args)
    try:
        result = build().main(args=args or ["--help"], prog_name="stream-bind", standalone_mode=False)
    except ClickException as error:
        return _usage(error)
    except (KeyboardInterrupt, typer.Abort):
        print("stream-bind: interrupted", file=sys.stderr)
        return INTERRUPTED
    except StreamBindError as error:
        if "--debug" in args:
            raise
        return _fail(error)
    except SystemExit as error:
        # Whoever read our output (head, less) has gone, which typer turns into a failure; it is none of ours.
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if "--debug" in args:
            raise
        place = f"{error.filename}: " if error.filename is not None else ""
        print(f"stream-bind: {place}{error.strerror or error}", file=sys.stderr)
        return 1
    if not asked:
        return 2
    return result if isinstance(result, int) else 0


def hoist(args: list[str]) -> list[str]:
    """`args` with the options of the whole command moved in front of the verb, where the parser wants them."""
    front, rest = [], []
    words = iter(args)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == "--debug" or word.startswith(("--log-level=", "--log-format=")):
            front.append(word)
        elif word in {"--log-level", "--log-format"}:
            front += [word, *[value for value in [next(words, None)] if value is not None]]
        else:
            rest.append(word)
    return front + rest


def _usage(error: Any) -> int:
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "stream-bind"
    print(f"stream-bind: {message} (see `{path} --help`)", file=sys.stderr)
    return int(error.exit_code)


def _fail(error: StreamBindError) -> int:
    lines = error.problems if isinstance(error, ConfigError) else (str(error),)
    for line in lines:
        print(f"stream-bind: {' '.join(line.split())}", file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
