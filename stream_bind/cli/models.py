"""`stream-bind models`: published weights, their licence and whether they are what they should be."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stream_bind.encoders.catalogue import PublishedModel
    from stream_bind.encoders.pull import FileState

__all__ = ["models_app"]

models_app = typer.Typer(
    help="Published weights: what is here, fetch, check.", add_completion=False, rich_markup_mode=None
)

NAME = 31
"""Width of the longest name."""

AsJson = Annotated[bool, typer.Option("--json", help="JSON Lines, one file each.")]


@models_app.command("list")
def list_command(as_json: AsJson = False) -> None:
    """Say what is here, how large, and its licence."""
    from stream_bind.encoders.cache import model_cache
    from stream_bind.encoders.catalogue import MODELS, SHIPPED, VOCABULARY_FILE
    from stream_bind.encoders.pull import states

    for model in MODELS.values():
        found = states(model)
        if as_json:
            for state in found:
                print(json.dumps(_row(model, state)))
            continue
        # Several models share the vocabulary: one of them being here says nothing of the others.
        own = [state.status for state in found if state.name != VOCABULARY_FILE or len(found) == 1]
        if set(own) == {"absent"}:
            print(f"{model.name:<{NAME}} {'absent':<8} {_size(found[-1]):>13}  {_about(model)}")
            continue
        whole = all(state.status == "present" for state in found)
        print(f"{model.name:<{NAME}} {'present' if whole else 'partial':<8} {'':>13}  {_about(model)}")
        for state in found:
            detail = f"  ({state.detail})" if state.detail else ""
            print(f"  {'':<{NAME - 2}} {state.status:<8} {_size(state):>13}  {state.path}{detail}")
    for name, folder in SHIPPED.items():
        _list_shipped(name, folder, as_json=as_json)
    if not as_json:
        print(f"\nin {model_cache()}; fetch with `stream-bind models pull NAME`", file=sys.stderr)


@models_app.command("pull")
def pull_command(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME",
            help="The models, as `models list` calls them; `languagebind`: the four that its encoder takes unasked.",
        ),
    ],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", "--accept-license", help="Agree to the model's licence unasked.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(
            envvar="STREAM_BIND_MODELS_URL",
            help="A folder (https, http or file) that holds the files under the names they have in the cache, such as "
            "languagebind-depth/pytorch_model.bin; absent: the publishers'.",
        ),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option(
            help="Branch, tag or commit of a model on the Hugging Face hub; absent: what was fetched before, or the "
            "newest."
        ),
    ] = None,
    keep_original: Annotated[
        bool, typer.Option("--keep-original", help="Keep a checkpoint after it is converted to .safetensors.")
    ] = False,
) -> None:
    """Fetch a model, or what is missing of it.

    Goes on where the last call broke off, checks what came, and converts it to .safetensors.
    """
    from stream_bind.cli.progress import StepView
    from stream_bind.encoders.cache import model_cache
    from stream_bind.encoders.catalogue import named
    from stream_bind.encoders.pull import pull

    models = named(names)
    for model in models:
        _agree(model, unasked=accept_licence)
    for model in models:
        with StepView() as view:
            pull(model, mirror=url, keep_original=keep_original, tell=view.tell, watch=view.watch, revision=revision)
        print(f"{model.name}: ready in {model_cache()}", flush=True)


@models_app.command("verify")
def verify_command(
    name: Annotated[str | None, typer.Argument(help="The model; absent: all that are here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read the files anew and compare their digests. Exit code 1 if one is wrong, or a named model is not whole."""
    from stream_bind.cli.progress import StepView
    from stream_bind.encoders.cache import model_cache
    from stream_bind.encoders.catalogue import MODELS, SHIPPED, published
    from stream_bind.encoders.pull import verify

    checked, bad = set(), False
    for shipped, folder in SHIPPED.items():
        if name == shipped or (name is None and folder.is_dir()):
            bad |= not _verify_shipped(shipped, folder, as_json=as_json)
    models = list(MODELS.values()) if name is None else [] if name in SHIPPED else [published(name)]
    with StepView() as view:
        for model in models:
            for state in verify(model, view.watch):
                missing = state.status in {"absent", "partial"}
                if state.path in checked or (missing and name is None):
                    continue
                checked.add(state.path)
                bad |= missing or state.status == "wrong"
                print(json.dumps(_row(model, state)) if as_json else _verdict(model, state), flush=True)
    if not checked and name not in SHIPPED:
        print(f"stream-bind: no published model is in {model_cache()}", file=sys.stderr)
    if bad:
        raise typer.Exit(1)


def _list_shipped(name: str, folder: Path, *, as_json: bool) -> None:
    from stream_bind.encoders.download import human_size
    from stream_bind.encoders.imagebind.directory import read_directory
    from stream_bind.errors import WeightsError

    row: dict[str, object] = {"model": name, "file": folder.name, "path": str(folder), "sha256": None}
    try:
        directory = read_directory(folder)
        directory.check()
    except WeightsError as error:
        row |= {"status": "absent", "size": 0, "licence": "", "detail": str(error)}
    else:
        about = f"small, for the simulated world: {', '.join(directory.architecture.modalities)}"
        size, licence = directory.weights_bytes, directory.licence
        row |= {"status": "shipped", "size": size, "licence": licence, "detail": about}
    if as_json:
        print(json.dumps(row))
        return
    licence = f"; licence {row['licence']}" if row["licence"] else ""
    told = human_size(int(str(row["size"]))) if row["status"] == "shipped" else ""
    print(f"{name:<{NAME}} {row['status']:<8} {told:>13}  {row['detail']}{licence}")
    if row["status"] == "shipped":
        print(f"  {'':<{NAME - 2}} {'':<8} {'':>13}  {folder}")


def _verify_shipped(name: str, folder: Path, *, as_json: bool) -> bool:
    """Whether the model that comes with the package is whole."""
    from stream_bind.encoders.imagebind.directory import read_directory
    from stream_bind.errors import WeightsError

    row: dict[str, object] = {"model": name, "file": folder.name, "path": str(folder), "status": "ok", "detail": ""}
    try:
        directory = read_directory(folder)
        directory.check(digest=True)
        row |= {"size": directory.weights_bytes, "sha256": directory.weights_sha256, "licence": directory.licence}
        line = f"{'ok':<10} {folder}  sha256 {directory.weights_sha256}  (as in its config.json)"
    except WeightsError as error:
        row |= {"status": "wrong", "detail": str(error)}
        line = f"{'wrong':<10} {error}"
    print(json.dumps(row) if as_json else line, flush=True)
    return row["status"] == "ok"


def _agree(model: PublishedModel, *, unasked: bool) -> None:
    """Show the licence; go on only if it was accepted, now or before."""
    from stream_bind.encoders.pull import accept_licence, licence_is_accepted

    print(f"{model.licence.summary}: {model.licence.url}", file=sys.stderr)
    if not model.licence.must_accept:
        accept_licence(model, "shown, no consent is asked for")
        return
    if licence_is_accepted(model):
        return
    if not unasked:
        if not sys.stdin.isatty():
            raise typer.BadParameter(
                f"nothing is fetched before the licence of {model.name} is accepted, and there is no terminal to ask "
                "on; give --accept-licence",
                param_hint="--accept-licence",
            )
        # Not typer.confirm: it writes a blank to stdout.
        print(f"Accept this licence and fetch {model.name}? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            print(f"stream-bind: {model.name}: not accepted, nothing is fetched", file=sys.stderr)
            raise typer.Exit(1)
    accept_licence(model, "--accept-licence" if unasked else "asked on a terminal")


def _row(model: PublishedModel, state: FileState) -> dict[str, object]:
    return {
        "model": model.name,
        "file": state.name,
        "path": str(state.path),
        "status": state.status,
        "size": state.size,
        "sha256": state.sha256,
        "licence": model.licence.name,
        "detail": state.detail,
    }


def _about(model: PublishedModel) -> str:
    return f"{model.about}; licence {model.licence.name}"


def _size(state: FileState) -> str:
    from stream_bind.encoders.download import human_size

    return f"{'about ' if state.status == 'absent' else ''}{human_size(state.size)}"


def _verdict(model: PublishedModel, state: FileState) -> str:
    if state.status in {"absent", "partial"}:
        return f"{state.status:<10} {state.path}; `stream-bind models pull {model.name}`"
    remedy = f"; `stream-bind models pull {model.name}` fetches it anew" if state.status == "wrong" else ""
    return f"{state.status:<10} {state.path}  sha256 {state.sha256}  ({state.detail}){remedy}"
