"""`stream-bind embed`: files and text to vectors, without a pipeline."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_bind.cli.durations import parse_duration
from stream_bind.errors import ConfigError

if TYPE_CHECKING:
    from stream_bind.retrieval.labels import LabelSet

__all__ = ["embed_command"]


def embed_command(
    files: Annotated[list[Path] | None, typer.Argument(help="Pictures, videos, sound files, IMU tables (CSV).")] = None,
    text: Annotated[list[str] | None, typer.Option(help="A text; repeat for more.")] = None,
    model: Annotated[str, typer.Option(help="The encoder's type.")] = "imagebind",
    weights: Annotated[
        str | None, typer.Option(help="A weights file, or `random` for untrained ones; absent: the pulled weights.")
    ] = None,
    modality: Annotated[
        str | None, typer.Option(help="What the files hold, where the suffix leaves it open: vision, audio, depth, ...")
    ] = None,
    hop: Annotated[
        float | None,
        typer.Option(
            parser=parse_duration,
            metavar="TIME",
            help="A vector every TIME, such as 2s; absent: the first window alone.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, of the encoder's settings.")] = None,
    driver: Annotated[
        list[str] | None,
        typer.Option(help="key=value, of the files' drivers, such as accel_unit=g or depth_unit_m=0.001."),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            help="A caption to choose among; repeat, or name a file of lines, or `model` for the model's own."
        ),
    ] = None,
    query: Annotated[
        list[str] | None,
        typer.Option(help="Rank by nearness to a text or file; repeat to add up, '-' or '0.5*' in front weighs."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the vectors here as .npy, (n, d) float32, one row a line."),
    ] = None,
) -> None:
    """Embed files or text: JSON Lines with one vector each, files after texts; with --query the nearest first."""
    from stream_bind.cli.clips_of_files import clips_of, modality_of
    from stream_bind.cli.ranking import captions_of, label_texts, parse_part, ranked

    if not files and not text:
        raise typer.BadParameter("name files, or give --text", param_hint="FILES")
    if output is not None and output.suffix != ".npy":
        raise typer.BadParameter(f"{output} should end in .npy", param_hint="--output")
    config = _encoder_config(model, weights, device, settings or [])
    # Clips are small and weights are not: what is wrong with a file shows before anything is loaded.
    own = _driver_settings(driver or [])
    held = [(path, modality_of(path, modality, config)) for path in files or ()]
    clips = [clip for path, kind in held for clip in clips_of(path, kind, model, config, hop, own)]
    rows: list[dict[str, Any]] = [{"source": "text", "modality": "text", "text": words} for words in text or ()]
    rows += [
        {"source": c.source, "modality": c.modality, "start_s": c.start_s, "end_s": c.end_s, "coverage": c.coverage}
        for c in clips
    ]
    texts = list(text or ())
    wanted = label_texts(labels) if labels else None
    parts = [parse_part(word) for word in query or ()]
    asked = [
        next(iter(clips_of(p.path, modality_of(p.path, None, config), model, config, None, own))) if p.path else None
        for p in parts
    ]
    sensed = {clip.modality for clip in [*clips, *asked] if clip is not None}
    worded = bool(texts or wanted or any(part.text is not None for part in parts))
    with _loaded(model, config, sorted(sensed | ({"text"} if worded else set()))) as encoder:
        vectors = _vectors(encoder, texts, clips)
        if not encoder.trained:
            print("stream-bind: untrained: these are random weights, and the vectors mean nothing", file=sys.stderr)
        told = _label_set(encoder, config, wanted) if labels else None
        if parts:
            weighted = [
                (_vectors(encoder, [part.text or ""], [])[0] if clip is None else _vectors(encoder, [], [clip])[0])
                for part, clip in zip(parts, asked, strict=True)
            ]
            rows, vectors = ranked(rows, vectors, [(v, p.weight) for v, p in zip(weighted, parts, strict=True)])
    if output is not None:
        import numpy as np

        np.save(output, vectors)
    for row, vector in zip(rows, vectors, strict=True):
        row |= {"model": encoder.model, "trained": encoder.trained, "dim": len(vector)}
        if told is not None:
            row["labels"] = captions_of(told, vector)
        if output is None:
            row["vector"] = [float(f"{value:.9g}") for value in vector.tolist()]
        print(json.dumps(row, ensure_ascii=False))


def _encoder_config(model: str, weights: str | None, device: str, settings: list[str]) -> Any:
    from stream_bind.cli.clips_of_files import checked
    from stream_bind.registry import ENCODERS

    config: Any = ENCODERS.get(model).config
    given = {"model": model, "weights": weights, "device": device}
    known = {key: value for key, value in given.items() if key in config.model_fields and value is not None}
    return checked(config, known, f"encoder {model}", settings)


def _driver_settings(words: list[str]) -> dict[str, Any]:
    from stream_bind.config.document import parse_scalar

    settings = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected KEY=VALUE, found {word!r}", param_hint="--driver")
        settings[key.strip()] = parse_scalar(value)
    return settings


@contextlib.contextmanager
def _loaded(model: str, config: Any, modalities: list[str]) -> Iterator[Any]:
    from stream_bind.registry import ENCODERS

    if hasattr(config, "only"):
        config = config.only(modalities)
    encoder: Any = ENCODERS.get(model).cls(model, config)
    try:
        encoder.load(modalities)
        yield encoder
    finally:
        encoder.close()


def _vectors(encoder: Any, texts: list[str], clips: list[Any]) -> Any:
    import numpy as np

    rows = [encoder.embed_text(texts)] if texts else []
    rows += [encoder.embed(clip.modality, clip.array[None]) for clip in clips]
    return np.concatenate(rows)


def _label_set(encoder: Any, config: Any, texts: list[str] | None) -> LabelSet:
    """The captions to choose among; without texts those that the model's directory brings."""
    from stream_bind.retrieval.labels import LabelSet

    if texts is not None:
        scale = encoder.label_scale() if hasattr(encoder, "label_scale") else encoder.scale("text")
        return LabelSet(tuple(texts), encoder.embed_text(texts), (), encoder.model, scale)
    directory = getattr(config, "directory", lambda: None)()
    own = LabelSet.load(directory.path) if directory is not None else None
    if own is None:
        raise ConfigError("--labels model: this model brings no labels; give captions, or a file with one a line")
    own.check_model(encoder.model)
    return own
