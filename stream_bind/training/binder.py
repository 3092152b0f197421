"""From a bind file to a model directory: take the data, check the split, train, measure, write."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from devices.simulated import SimulatedConfig
from devices.simulated.twin import twin
from stream_bind.clock import SystemClock
from stream_bind.config.schema import StreamConfig
from stream_bind.encoders.base import ClipMaker
from stream_bind.encoders.imagebind.directory import CARD_FILE, save_directory
from stream_bind.encoders.imagebind.encoder import ImageBindEncoder
from stream_bind.encoders.imagebind.model import ImageBind
from stream_bind.encoders.imagebind.settings import ImageBindEncoderConfig
from stream_bind.errors import ConfigError, DeviceError
from stream_bind.messages import StreamSpec
from stream_bind.registry import DEVICES, ENCODERS
from stream_bind.retrieval.labels import LabelSet
from stream_bind.training.binding import LoadedBinding, TakeConfig, take_streams
from stream_bind.training.card import card_text
from stream_bind.training.checkpoint import write_whole
from stream_bind.training.collect import Take, collected, file_digests, read_captions
from stream_bind.training.curves import save_curves
from stream_bind.training.evaluation import Figure, by_label, by_moment, clusters_of, to_captions
from stream_bind.training.pairs import Pairs, PairWriter
from stream_bind.training.splits import check_files, check_split
from stream_bind.training.trainer import Progress, Trainer, TrainResult, fresh_branches

__all__ = ["Binder", "Bound", "Watch"]

log = logging.getLogger(__name__)

"""Of the base, and as true of what is bound to it."""
DONE = "complete.json"

Watch = Callable[[Progress], None]


@dataclass
class Bound:
    """What came of a binding."""

    directory: Path
    result: TrainResult
    figures: list[Figure] = field(default_factory=list)
    clusters: str = ""
    """What the intervals are taken over: sources or minutes."""
    n_train: int = 0
    n_held_out: int = 0
    sources: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


class Binder:
    """Carries one binding out. Everything it has finished is kept in `<output>.run` and taken up again.

    watch: told the progress; phases `collect` (seconds of signal), `anchor` (clips), `train` (steps).
    """

    def __init__(
        self,
        loaded: LoadedBinding,
        *,
        output: Path | None = None,
        fresh: bool = False,
        watch: Watch | None = None,
        command: str = "stream-bind bind",
    ) -> None:
        self.loaded, self.config = loaded, loaded.config
        self.output = output or self.config.output
        self.run_dir = self.output.with_name(self.output.name + ".run")
        self._watch = watch or (lambda progress: None)
        self._fresh = fresh
        self._trainer: Trainer | None = None
        self._stop = False
        self.modality = self.config.modality
        self.command = command
        self.threads = self.config.settings().threads or torch.get_num_threads()
        self._section, self.base = _base(self.config.base, loaded)
        self._check_base()
        self._raw = self._extended()
        self.final = self._raw
        """The encoder's settings of the model that comes out; known once the data are there."""

    def request_stop(self) -> None:
        """End soon, with everything kept. From a signal handler."""
        self._stop = True
        if self._trainer is not None:
            self._trainer.request_stop()

    def run(self, *, evaluate_only: bool = False) -> Bound | None:
        """The whole of it; None if it was asked to stop before the end.

        evaluate_only: measure the model directory that an earlier run wrote, and train nothing.
        """
        if self._fresh and self.run_dir.exists():
            shutil.rmtree(self.run_dir)
        sides = self._sides()
        if sides is None:
            return None
        train, held_out = sides
        wanted = [self.modality, *([] if self.config.anchor == "text" else [self.config.anchor])]
        check_split(train, held_out, wanted)
        train, held_out = self._scaled(train, held_out)
        if evaluate_only:
            return self._measured(train, held_out, TrainResult(True, 0, 0, 0.0))
        model = self._model()
        tokenize = self._tokenizer() if self.config.anchor == "text" else None
        self._trainer = Trainer(
            model,
            train,
            held_out,
            self.config.settings(),
            self.run_dir,
            encoder=self.final,
            tokenize=tokenize,
            watch=self._watch,
        )
        if self._stop:
            return None
        result = self._trainer.run()
        if not result.finished:
            return None
        self._write(model.cpu(), result)
        bound = self._measured(train, held_out, result)
        write_whole(self.output / CARD_FILE, card_text(self, bound).encode())
        figures = [figure.as_dict() for figure in bound.figures]
        write_whole(self.output / "figures.json", (json.dumps(figures, indent=1) + "\n").encode())
        return bound

    # -- the model ----------------------------------------------------------------------------------------------------

    def _check_base(self) -> None:
        config, has = self.config, self.base.modalities
        place = self.loaded.document.where
        if config.signal is not None and config.signal.name in has:
            raise ConfigError(
                f"{place(('signal', 'name')).text}: signal.name: the base {config.base_name} already has "
                f"{config.signal.name}; to train it further write `sensor: {config.signal.name}` instead of `signal:`"
            )
        if config.sensor is not None and (config.sensor not in has or config.sensor == "text"):
            sensed = ", ".join(m for m in has if m != "text")
            raise ConfigError(
                f"{place(('sensor',)).text}: sensor: the base {config.base_name} has no {config.sensor} (it has "
                f"{sensed}); declare a new sensor type under `signal:`"
            )

    def _extended(self, mean: Sequence[float] = (), std: Sequence[float] = ()) -> ImageBindEncoderConfig:
        """The base's settings with the new signal declared, its clips scaled by these figures."""
        signal = self.config.signal
        if signal is None:
            return self.base
        signals = [*(asdict(s) for s in self.base.signals), signal.arguments(mean, std)]
        body = {**self._section, "signals": signals, "modalities": [*self.base.modalities, signal.name]}
        try:
            return type(self.base).model_validate(body)
        except ValueError as error:
            raise ConfigError(f"{self.loaded.document.where(('signal',)).text}: signal: {_said(error)}") from error

    def _model(self) -> Any:
        """The base's weights, and fresh ones for what is new. Only what takes part is built."""
        anchor, modality = self.config.anchor, self.modality
        model = ImageBind(replace(self.final.architecture(), modalities=(modality, anchor)))
        known = [m for m in (modality, anchor) if m in self.base.modalities]
        encoder = self._loaded_base(known)
        state = model.state_dict()
        with torch.no_grad():
            for name in known:
                for key, value in encoder.branch(name).state_dict().items():
                    state[key].copy_(value)
        encoder.close()
        if modality not in known:
            fresh_branches(model, [modality], self.config.settings().seed)
        return model

    def _loaded_base(self, modalities: Sequence[str]) -> ImageBindEncoder:
        config = self.base.model_copy(update={"device": "cpu", "dtype": "float32"})
        encoder: ImageBindEncoder = ENCODERS.get(config.model).cls("base", config)
        encoder.load(modalities)
        return encoder

    def _tokenizer(self) -> Callable[[Sequence[str]], NDArray[Any]]:
        return self._loaded_base(["text"]).tokenize

    # -- the data -----------------------------------------------------------------------------------------------------

    def _sides(self) -> tuple[Pairs, Pairs] | None:
        """Both sides' moments, collected or taken from an earlier collecting."""
        problems: list[str] = []
        takes: dict[str, list[Take]] = {"train": [], "held_out": []}
        section = self._raw.model_dump(mode="json", include={*self._section, "signals", "modalities"})
        for side in takes:
            for index, told in enumerate(getattr(self.config.data, side)):
                try:
                    streams = take_streams(self.loaded, side, index, section)
                    takes[side] += self._takes(told, streams)
                except ConfigError as error:
                    problems += error.problems
        if problems:
            raise ConfigError("\n".join(problems), tuple(dict.fromkeys(problems)))
        files = {side: {p: d for take in some for p, d in take.files.items()} for side, some in takes.items()}
        check_files(files["train"], files["held_out"])
        found = {}
        for side, some in takes.items():
            directories = []
            for take in some:
                directory = self._collect(side, take)
                if directory is None:
                    return None
                directories.append(directory)
            found[side] = Pairs.open(directories)
        return found["train"], found["held_out"]

    def _takes(self, told: TakeConfig, streams: tuple[StreamConfig, ...]) -> Iterator[Take]:
        if told.simulate:
            streams = tuple(_twin(stream) for stream in streams)
        captions = () if told.captions is None else read_captions(told.captions)
        makers: dict[str, ClipMaker] = {
            s.modality: ImageBindEncoder.clip_maker(self._raw, s.modality, s.window.length_s) for s in streams
        }
        wanted = (self.modality, self.config.anchor)
        files = file_digests(streams)
        simulated = all(s.device.type == "simulated" for s in streams)
        if told.seeds and not simulated:
            raise ConfigError("data: `seeds` are for simulated sensors; set `simulate: true`, or take them out")
        for seed in told.seeds or (None,):
            here = streams if seed is None else tuple(_seeded(stream, seed) for stream in streams)
            if simulated:
                seeds = sorted({s.device.settings.seed for s in here})
                source = "world:" + "+".join(str(s) for s in seeds)
            elif files:
                whole = hashlib.sha256("".join(sorted(files.values())).encode()).hexdigest()[:12]
                source = f"file:{'+'.join(Path(p).name for p in files)}:{whole}"
            else:
                source = f"live:{'+'.join(s.id for s in here)}"
            yield Take(source, here, makers, told.start, told.duration, captions, wanted, files, self._check_stream)

    def _check_stream(self, spec: StreamSpec) -> None:
        ImageBindEncoder.check_stream(self._raw, spec)

    def _collect(self, side: str, take: Take) -> Path | None:
        """The directory that holds the take's moments; None if asked to stop on the way."""
        plain = {
            "source": take.source,
            "streams": [_plain(s) for s in take.streams],
            "start_s": take.start_s,
            "duration_s": take.duration_s,
            "captions": [asdict(c) for c in take.captions],
            "wanted": take.wanted,
            "files": dict(take.files),
            "encoder": self._raw.model_dump(mode="json"),
        }
        key = hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]
        directory = self.run_dir / "data" / f"{side}-{key}"
        if (directory / DONE).exists():
            return directory
        if directory.exists():
            shutil.rmtree(directory)  # half a take: devices cannot be set going in the middle of one
        total = round(take.duration_s or 0)

        def watch(done_s: float) -> None:
            self._watch(Progress("collect", round(done_s), total))

        with PairWriter(directory, {m: maker.spec for m, maker in take.makers.items()}) as writer:
            for moment, clips in collected(take, watch):
                writer.add(moment, clips)
                if self._stop:
                    return None
            n = writer.n_moments
        if not n:
            raise ConfigError(
                f"data: {take.source} has no moment with {' and '.join(take.wanted)}; look whether both streams cover "
                "the same time, at the windows' min_coverage, and for text at the captions"
            )
        (directory / DONE).write_text(json.dumps({"moments": n, "source": take.source}) + "\n")
        return directory

    def _scaled(self, train: Pairs, held_out: Pairs) -> tuple[Pairs, Pairs]:
        """A new signal's clips brought to the training data's own mean and deviation, where the file gives none."""
        signal = self.config.signal
        if signal is None or (signal.mean is not None and signal.std is not None):
            return train, held_out
        rows = np.flatnonzero(train.has(self.modality))
        clips = train.packed(self.modality, rows).astype(np.float64)
        # The file's figures, where it gives one of both, were applied as the clips were made.
        mean = np.zeros(signal.channels) if signal.mean is not None else _digits(clips.mean(axis=(0, 2)))
        std = np.ones(signal.channels) if signal.std is not None else _digits(clips.std(axis=(0, 2)))
        std = np.where(std > 0, std, 1.0)
        # The clip maker subtracts first and divides then; what was divided already has its mean in those units.
        scale = np.ones(signal.channels) if signal.std is None else np.asarray(signal.std)
        self.final = self._extended((mean * scale).tolist(), std.tolist())
        affine = mean[:, None], std[:, None]
        return train.scaled(self.modality, *affine), held_out.scaled(self.modality, *affine)

    # -- the outcome --------------------------------------------------------------------------------------------------

    def _write(self, model: Any, result: TrainResult) -> None:
        state = model.state_dict()
        if self.base.weights == "random":
            whole = self._loaded_base(self.base.modalities)
            for name in self.base.modalities:
                state = {**whole.branch(name).state_dict(), **state}
        elif self.config.anchor != self.modality:
            state = {key: value for key, value in state.items() if key.split(".")[1] == self.modality}
        settings = self.config.settings()
        save_directory(
            self.output,
            config=self.final,
            state=state,
            name=re.sub(r"[^a-z0-9_.-]+", "-", self.output.name.lower()).strip("-.") or "bound",
            licence="Apache-2.0" if self.base.weights == "random" else "",
            provenance={
                "command": self.command,
                "base": self.config.base_name,
                "sensor": self.modality,
                "anchor": self.config.anchor,
                "steps": result.steps,
                "seconds": round(result.seconds),
                "training": settings.model_dump(mode="json"),
            },
        )
        save_curves(
            self.output / "curves.png",
            result.losses,
            result.evaluations,
            title=f"{self.modality} bound to {self.config.base_name} through {self.config.anchor}",
            kept_step=result.kept_step,
        )

    def _measured(self, train: Pairs, held_out: Pairs, result: TrainResult) -> Bound:
        """Figures of the written directory on the held-out moments, through the encoder that `run` uses."""
        encoder = ImageBindEncoder("bound", ImageBindEncoderConfig(weights=str(self.output)))
        anchor = self.config.anchor
        encoder.load([self.modality, anchor])
        rows = np.flatnonzero(held_out.has(self.modality) & held_out.has(anchor))
        moments = [held_out.moments[r] for r in rows.tolist()]
        left = _embedded(encoder, self.modality, held_out, rows)
        if anchor == "text":
            right = encoder.embed_text([m.captions[i % len(m.captions)] for i, m in enumerate(moments)])
        else:
            right = _embedded(encoder, anchor, held_out, rows)
        labels = self._labels(encoder)
        encoder.close()
        names = (self.modality, anchor)
        figures = [*by_moment(names, left, right, moments), *by_label(names, left, right, moments)]
        figures += by_label(names, left, right, moments, group=True)
        if labels is not None:
            figures += to_captions(self.modality, left, labels, moments)
        sources = tuple(tuple(sorted({m.source for m in p.moments})) for p in (train, held_out))
        return Bound(
            self.output, result, figures, clusters_of(moments)[1], len(train), len(held_out), (sources[0], sources[1])
        )

    def _labels(self, encoder: ImageBindEncoder) -> LabelSet | None:
        """The base's labels as this model's, written beside it: other weights have another name, and say so."""
        under = self.base.directory()
        labels = LabelSet.load(under.path) if under is not None else None
        if labels is None:
            return None
        encoder.load(["text"])
        vectors = encoder.embed_text(labels.texts)
        labels = replace(labels, vectors=vectors, model=encoder.model, scale=encoder.scale("text"))
        labels.save(self.output)
        return labels


def _embedded(encoder: ImageBindEncoder, modality: str, pairs: Pairs, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    return np.concatenate(
        [encoder.embed(modality, pairs.clips(modality, rows[i : i + 64])) for i in range(0, len(rows), 64)]
    )


def _base(base: str | Mapping[str, Any], loaded: LoadedBinding) -> tuple[dict[str, Any], ImageBindEncoderConfig]:
    """The base as an encoder's section and its settings: a registered model's name, or a model directory's path."""
    if isinstance(base, Mapping):
        section = dict(base)
    else:
        section = {"model": base} if base in ENCODERS.names() else {"model": "imagebind", "weights": base}
    place = loaded.document.where(("base",)).text
    try:
        config = ENCODERS.get(str(section.get("model"))).config(**section)
    except ValueError as error:
        raise ConfigError(f"{place}: base: {_said(error)}") from error
    except ConfigError as error:
        raise ConfigError(f"{place}: base: {error}") from error
    if not isinstance(config, ImageBindEncoderConfig):
        raise ConfigError(
            f"{place}: base: {base} is no ImageBind; binding is for imagebind-tiny, imagebind and model directories"
        )
    return section, config


def _said(error: ValueError) -> str:
    """What pydantic has to say, without its frame."""
    if isinstance(error, ValidationError):
        return "; ".join(str(e["msg"]).removeprefix("Value error, ") for e in error.errors(include_url=False))
    return str(error)


def _twin(stream: StreamConfig) -> StreamConfig:
    """The stream with its simulated twin as the device."""
    if stream.device.type == "simulated":
        return stream
    try:
        spec = DEVICES.get(stream.device.type).cls(stream.device.settings, stream.id, SystemClock()).spec
    except DeviceError:  # a file that is not here: its twin needs no more than the modality
        spec = StreamSpec(stream.id, stream.modality, 0.0, (-1,), "", "")
    settings = SimulatedConfig(**twin(spec))
    return stream.model_copy(
        update={"device": stream.device.model_copy(update={"type": "simulated", "settings": settings})}
    )


def _seeded(stream: StreamConfig, seed: int) -> StreamConfig:
    settings = stream.device.settings.model_copy(update={"seed": seed})
    return stream.model_copy(update={"device": stream.device.model_copy(update={"settings": settings})})


def _plain(stream: StreamConfig) -> dict[str, Any]:
    body = stream.model_dump(mode="json", exclude={"device", "queue_policy", "queue_depth", "queue_bytes", "restart"})
    return body | {"device": {"type": stream.device.type, **stream.device.settings_dict()}}


def _digits(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Six digits: enough, and readable in a file."""
    return np.array([float(f"{v:.6g}") for v in values])
