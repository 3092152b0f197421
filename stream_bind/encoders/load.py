"""A loaded encoder in one call, for Python users; the pipeline builds its encoders from the configuration instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from stream_bind.encoders.base import Encoder
from stream_bind.errors import ConfigError
from stream_bind.registry import ENCODERS

__all__ = ["load_encoder"]


def load_encoder(
    name: str,
    weights: str | None = None,
    modalities: Sequence[str] | Mapping[str, str] | None = None,
    device: str = "auto",
    dtype: str = "auto",
    **settings: Any,
) -> Encoder:
    """The encoder registered as `name`, with its weights loaded.

    weights: a checkpoint's path, "random" for seeded untrained weights, None for the pulled ones; modalities: branches
    to load, None for all; of languagebind also a table of modality and model, which loads these and text. Further
    settings are those of the encoder's configuration (docs/encoders.md).
    `.embed(modality, clips)` and `.embed_text(texts)` give (n, d) float32 unit vectors; `.scale(modality)` is the
    factor by which the reference multiplies them.
    ConfigError, WeightsError or EncoderError say what is wrong and what to do.
    """
    entry = ENCODERS.get(name)
    given = {"model": name, "weights": weights, "device": device, "dtype": dtype, **settings}
    branches = None if modalities is None else list(modalities)
    if getattr(entry.config, "model_for_each_modality", False) and set(branches or ()) - {"text"}:
        # What is not asked for need not be there.
        given["modalities"] = modalities
        branches = [*(branches or ()), "text"] if isinstance(modalities, Mapping) else branches
    try:
        config = entry.config.model_validate(given)  # type: ignore[attr-defined]
    except ValidationError as error:
        problems = tuple(
            f"{'.'.join(str(part) for part in e['loc']) or name}: {e['msg']}" for e in error.errors(include_url=False)
        )
        raise ConfigError(f"encoder {name}: {'; '.join(problems)}", problems) from error
    encoder: Encoder = entry.cls(name, config)
    encoder.load(branches)
    return encoder
