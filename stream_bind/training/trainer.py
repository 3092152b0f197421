"""The training loop: a function of settings, data and start weights, wherever it is interrupted.

Order of the data, captions, augmentation and dropout depend on seed and step alone; a checkpoint holds everything else
(weights, optimiser, temperature, history), so that a run that was killed and taken up again ends bit for bit where an
undisturbed one does, on the same machine with the same number of threads.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stream_bind.encoders.imagebind.model import ImageBind, LogitScale
from stream_bind.encoders.imagebind.settings import ImageBindEncoderConfig
from stream_bind.errors import ConfigError
from stream_bind.training.anchors import AnchorVectors, state_digest
from stream_bind.training.augment import Augmenter
from stream_bind.training.batches import BatchPlan, Feed, rng_of
from stream_bind.training.captions import Captions, Tokenize
from stream_bind.training.checkpoint import CHECKPOINT, differences, load_checkpoint, save_checkpoint
from stream_bind.training.lora import add_lora, merge_lora
from stream_bind.training.loss import Temperature, info_nce, overlapping, same
from stream_bind.training.pairs import Pairs
from stream_bind.training.settings import TrainSettings
from stream_bind.training.towers import Towers, keep_freed_memory, pick_device, pick_precision

__all__ = ["Progress", "TrainResult", "Trainer", "fresh_branches"]

log = logging.getLogger(__name__)

DEFAULT_EPOCHS = 30.0
REPORT_EVERY_S = 0.25
HARMLESS = ("checkpoint_every_s", "threads")
"""Settings that a run may be taken up with another value of."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands; told a few times a second."""

    phase: str
    """`anchor` (vectors of the frozen branch are computed; steps count clips), `train` or `evaluate`."""
    step: int
    steps: int
    loss: float = math.nan
    """Mean over the last fifty steps."""
    recall: float = math.nan
    """Held-out recall@1 of the last evaluation, mean over bindings and both directions."""
    clips_per_s: float = 0.0
    left_s: float = math.nan


@dataclass(slots=True)
class TrainResult:
    """What a run came to. The model holds the weights."""

    finished: bool
    """False after a stop that was asked for; run it again to go on."""
    step: int
    steps: int
    seconds: float
    """Time spent in all, before and after interruptions."""
    losses: list[float] = field(default_factory=list)
    """One a step, mean over bindings."""
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    """{step, loss, recall, bindings: {"audio-vision": {loss, to, back, n, batch}}} of every evaluation."""
    kept_step: int = 0
    """The step whose weights were kept."""


@dataclass(slots=True)
class _Side:
    """One side of a binding in one batch: clips for a tower, or finished vectors."""

    modality: str
    clips: Tensor | None = None
    vectors: Tensor | None = None


@dataclass(slots=True)
class _Batch:
    left: _Side
    right: _Side
    excluded: Tensor | None
    n: int


class Trainer:
    """Trains branches of `model` in place.

    Trainer(model, pairs, held_out, settings, run_dir, encoder=config, tokenize=...).run()

    encoder: the preprocessing settings of the encoder that will run the model. tokenize: needed where text takes part.
    run_dir: checkpoints; an unfinished run of the same meaning in it is taken up, one of another meaning is refused by
    name (`fresh` starts over). cache_dir: vectors of frozen anchors, by default in run_dir. watch: told the progress.
    held_out may be None. Building it checks that the data suit the settings; ConfigError where they do not.
    """

    def __init__(
        self,
        model: ImageBind,
        pairs: Pairs,
        held_out: Pairs | None,
        settings: TrainSettings,
        run_dir: str | os.PathLike[str],
        *,
        encoder: ImageBindEncoderConfig,
        tokenize: Tokenize | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        watch: Callable[[Progress], None] | None = None,
        fresh: bool = False,
    ) -> None:
        self.model, self.pairs, self.held_out, self.settings = model, pairs, held_out, settings
        self.run_dir = Path(run_dir)
        self._cache = Path(cache_dir) if cache_dir is not None else self.run_dir / "anchors"
        self._watch = watch or (lambda progress: None)
        self._fresh = fresh
        self._stop = False
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        device = pick_device(settings.device)
        self._towers = Towers(model, encoder, device, pick_precision(settings.precision, device))
        self._device = device
        self._bindings = settings.bindings
        _check_data(pairs, held_out, settings, model, tokenize)
        needs_text = any("text" in binding for binding in self._bindings)
        self._captions = Captions(pairs.moments, tokenize) if needs_text and tokenize else None
        self._held_captions = (
            Captions(held_out.moments, tokenize) if needs_text and tokenize and held_out is not None else None
        )
        self._augment = Augmenter(settings.augment, encoder.imu)
        self._plans = {left: _plan(pairs, (left, right), settings.batch, settings) for left, right in self._bindings}
        self.steps = _steps(settings, self._plans.values())
        self._sources = _numbers(m.source for m in pairs.moments)
        self._labels = _numbers(m.label for m in pairs.moments)
        self._times = np.array([(m.t_start_ns, m.t_end_ns) for m in pairs.moments], np.int64).reshape(-1, 2)
        preprocessing = encoder.model_dump(mode="json", exclude={"weights", "vocab", "device", "dtype"})
        self._start = {m: state_digest(self._state([m])) for m in self._branches()}
        self._meaning: dict[str, Any] = {
            "settings": settings.model_dump(mode="json", exclude=set(HARMLESS)),
            "data": {"train": _fingerprint(pairs, settings), "held out": _fingerprint(held_out, settings)},
            "start weights": self._start,
            "preprocessing": _digest_of(preprocessing),
            "precision": str(self._towers.dtype),
        }

    def request_stop(self) -> None:
        """End after the step at work, with a checkpoint. From any thread or signal handler."""
        self._stop = True

    def run(self) -> TrainResult:
        """Train to the end, or until `request_stop`. The model is left in eval mode, its weights merged and kept."""
        keep_freed_memory()
        self.run_dir.mkdir(parents=True, exist_ok=True)
        found = None if self._fresh else load_checkpoint(self.run_dir / CHECKPOINT)
        if found is not None and (told := differences(found["meaning"], self._meaning)):
            raise ConfigError(
                f"{self.run_dir}: holds a run that meant something else ({'; '.join(told[:6])}); go on with what it "
                "was, name another directory, or start over with --fresh"
            )
        with _repeatable(self._device):
            return self._run(found)

    # -- set-up -----------------------------------------------------------------------------------------------------

    def _run(self, found: dict[str, Any] | None) -> TrainResult:
        settings = self.settings
        self.model.to(self._device)
        self.model.requires_grad_(False).eval()
        self._anchors, self._held_anchors = self._frozen()
        parameters = self._prepare()
        self._temperatures = nn.ModuleDict(
            {
                left: Temperature(settings.temperature, learnable=settings.learn_temperature)
                for left, _ in self._bindings
            }
        ).to(self._device)
        decayed = [p for name, p in parameters if _decays(name, p)]
        plain = [p for name, p in parameters if not _decays(name, p)]
        groups = [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": [*plain, *self._temperatures.parameters()], "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas, fused=True)
        self._clipped = [p for _, p in parameters]
        self._result = TrainResult(False, 0, self.steps, 0.0)
        self._best: tuple[float, dict[str, Tensor]] | None = None
        if found is not None:
            self._restore(found)
            log.info("going on at step %d of %d in %s", self._result.step, self.steps, self.run_dir)
        with self._towers.patches_by_products(settings.train):
            finished = self._loop()
        if finished:
            self._take_best()
        self._conclude()
        return self._result

    def _frozen(self) -> tuple[AnchorVectors | None, AnchorVectors | None]:
        anchor = self.settings.anchor
        if anchor is None:
            return None, None

        def watch(done: int, total: int) -> None:
            self._watch(Progress("anchor", done, total))

        identity = {"weights": self._start[anchor], "preprocessing": self._meaning["preprocessing"]}
        ours = AnchorVectors(self._towers, anchor, self.pairs, self._captions, identity, self._cache, watch)
        if self.held_out is None:
            return ours, None
        return ours, AnchorVectors(
            self._towers, anchor, self.held_out, self._held_captions, identity, self._cache, watch
        )

    def _prepare(self) -> list[tuple[str, nn.Parameter]]:
        """Unfreeze what is trained; names and parameters in a fixed order."""
        settings = self.settings
        for modality in settings.train:
            parts = _parts(self.model, modality)
            for part in parts.values():
                part.train()
                if settings.method == "full":
                    part.requires_grad_(True)
            if settings.method == "lora":
                lora = settings.lora
                try:
                    add_lora(parts["trunks"], rank=lora.rank, alpha=lora.alpha, seed=settings.seed)
                except ValueError as error:
                    raise ConfigError(f"{modality}: {error}") from error
                if lora.train_head:
                    parts["heads"].requires_grad_(True)
                if lora.train_norms:
                    for part in parts.values():
                        for module in part.modules():
                            if isinstance(module, nn.LayerNorm):
                                module.requires_grad_(True)
        wanted = tuple(settings.train)
        return [
            (name, parameter)
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad and name.split(".")[1] in wanted
        ]

    # -- the loop ---------------------------------------------------------------------------------------------------

    def _loop(self) -> bool:
        """Train on from where the run stands; False if it was asked to stop before the end."""
        result, settings = self._result, self.settings
        started_s = saved_s = time.monotonic()
        spent_s = result.seconds
        told_s, pace = 0.0, deque([(started_s, result.step, 0)], maxlen=40)
        clips = 0
        with Feed(self._make, range(result.step, self.steps)) as feed:
            for batches in feed:
                if self._stop:  # set from a signal handler or another thread
                    break
                result.losses.append(self._step(result.step, batches))
                result.step += 1
                clips += sum(batch.n for batch in batches)
                now_s = time.monotonic()
                result.seconds = spent_s + now_s - started_s
                if self.held_out is not None and (
                    result.step % settings.evaluate_every == 0 or result.step == self.steps
                ):
                    self._evaluate()
                if now_s - told_s >= REPORT_EVERY_S or result.step == self.steps:
                    told_s = now_s
                    since_s, since_step, since_clips = pace[0]
                    pace.append((now_s, result.step, clips))
                    steps_per_s = (result.step - since_step) / max(now_s - since_s, 1e-9)
                    left_s = (self.steps - result.step) / steps_per_s
                    self._tell("train", (clips - since_clips) / max(now_s - since_s, 1e-9), left_s)
                if now_s - saved_s >= settings.checkpoint_every_s:
                    self._save()
                    saved_s = time.monotonic()
        result.seconds = spent_s + time.monotonic() - started_s
        result.finished = result.step >= self.steps
        self._save()
        return result.finished

    def _step(self, step: int, batches: Sequence[_Batch]) -> float:
        settings = self.settings
        # Dropout and drop path: the same numbers whenever this step is taken.
        torch.manual_seed(int(rng_of(settings.seed, "dropout", step).integers(2**62)))
        for group in self._optimizer.param_groups:
            group["lr"] = settings.lr * _schedule(step, self.steps, settings.warmup, settings.final_lr)
        self._optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for batch in batches:
            left, right = (self._vectors(side) for side in (batch.left, batch.right))
            loss = info_nce(left, right, self._temperature(batch.left.modality)(), batch.excluded)
            (loss / len(batches)).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach()) / len(batches)
        if not math.isfinite(total):
            raise ConfigError(
                f"training step {step}: the loss is not a number; lower lr (now {settings.lr:g}), or set "
                "`precision: float32`, and look for clips that are not finite"
            )
        if settings.grad_clip:
            nn.utils.clip_grad_norm_(self._clipped, settings.grad_clip)
        self._optimizer.step()
        for temperature in self._temperatures.values():
            assert isinstance(temperature, Temperature)
            temperature.clamp()
        return total

    def _vectors(self, side: _Side) -> Tensor:
        if side.vectors is not None:
            return side.vectors.to(self._device, non_blocking=True)
        assert side.clips is not None
        return self._towers.unit(side.modality, side.clips)

    def _temperature(self, left: str) -> Temperature:
        found = self._temperatures[left]
        assert isinstance(found, Temperature)
        return found

    # -- batches, in the reading thread --------------------------------------------------------------------------------

    def _make(self, step: int) -> list[_Batch]:
        return [
            self._batch(self.pairs, self._captions, self._anchors, self._plans[binding[0]].of_step(step), binding, step)
            for binding in self._bindings
        ]

    def _batch(
        self,
        pairs: Pairs,
        captions: Captions | None,
        anchors: AnchorVectors | None,
        rows: NDArray[np.intp],
        binding: tuple[str, str],
        step: int | None,
    ) -> _Batch:
        """step None: held out, nothing is varied."""
        settings, negatives = self.settings, self.settings.negatives
        kind: Sequence[int | str] = ("held out",) if step is None else (binding[0], step)
        texts: NDArray[np.intp] | None = None
        if "text" in binding:
            assert captions is not None
            texts = captions.draw(rows, rng_of(settings.seed, "caption", *kind))
        sides = []
        for modality in binding:
            if anchors is not None and modality == settings.anchor:
                vectors = anchors.of_captions(texts) if texts is not None and modality == "text" else None
                found = anchors.of_moments(rows) if vectors is None else vectors
                sides.append(_Side(modality, vectors=torch.from_numpy(found)))
            elif modality == "text":
                assert captions is not None
                sides.append(_Side(modality, clips=self._towers.hand_over("text", captions.ids[texts])))
            else:
                clips = pairs.packed(modality, rows)
                if step is not None:
                    clips = self._augment(modality, clips, rng_of(settings.seed, "augment", modality, *kind))
                sides.append(_Side(modality, clips=self._towers.hand_over(modality, clips)))
        excluded = []
        if negatives.overlap or step is None:
            moments = [pairs.moments[r] for r in rows]
            source = torch.from_numpy(_numbers(m.source for m in moments))
            times = torch.tensor([(m.t_start_ns, m.t_end_ns) for m in moments], dtype=torch.int64).view(-1, 2)
            excluded.append(overlapping(source, times[:, 0], times[:, 1]))
        if texts is not None and (negatives.captions or step is None):
            excluded.append(same(torch.from_numpy(texts)))
        if negatives.labels and step is not None:
            excluded.append(same(torch.from_numpy(self._labels[rows])))
        mask = torch.stack(excluded).any(dim=0).to(self._device) if excluded else None
        return _Batch(sides[0], sides[1], mask, len(rows))

    # -- held-out evaluation ----------------------------------------------------------------------------------------

    @torch.no_grad()
    def _evaluate(self) -> None:
        assert self.held_out is not None
        settings, result = self.settings, self._result
        for modality in settings.train:
            for part in _parts(self.model, modality).values():
                part.eval()
        told = {}
        for left, right in self._bindings:
            plan = _plan(self.held_out, (left, right), settings.evaluate_batch, settings)
            n_batches = min(plan.per_epoch, max(1, settings.evaluate_max // plan.batch))
            sums = np.zeros(3)
            for number in range(n_batches):
                batch = self._batch(
                    self.held_out, self._held_captions, self._held_anchors, plan.of_step(number), (left, right), None
                )
                one, other = self._vectors(batch.left).float(), self._vectors(batch.right).float()
                scale = self._temperature(left)()
                hits = _hits(one, other, batch.excluded)
                sums += (float(info_nce(one, other, scale, batch.excluded)), *hits)
            loss, to, back = (sums / n_batches).tolist()
            told[f"{left}-{right}"] = {
                "loss": loss,
                "to": to,
                "back": back,
                "n": n_batches * plan.batch,
                "batch": plan.batch,
            }
        for modality in settings.train:
            for part in _parts(self.model, modality).values():
                part.train()
        recall = float(np.mean([(t["to"] + t["back"]) / 2 for t in told.values()]))
        loss = float(np.mean([t["loss"] for t in told.values()]))
        result.evaluations.append({"step": result.step, "loss": loss, "recall": recall, "bindings": told})
        if settings.keep == "best" and (self._best is None or recall > self._best[0]):
            self._best = recall, {name: value.clone() for name, value in self._trained().items()}
            result.kept_step = result.step

    # -- state ------------------------------------------------------------------------------------------------------

    def _branches(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*self.settings.train, *([self.settings.anchor] if self.settings.anchor else [])]))

    def _state(self, modalities: Sequence[str]) -> dict[str, Tensor]:
        return {name: v for name, v in self.model.state_dict().items() if name.split(".")[1] in modalities}

    def _trained(self) -> dict[str, Tensor]:
        """What training changes, and the updates of LoRA under their own names."""
        return {name: value.detach() for name, value in self._state(self.settings.train).items()}

    def _save(self) -> None:
        result = self._result
        body: dict[str, Any] = {
            "meaning": self._meaning,
            "threads": torch.get_num_threads(),
            "step": result.step,
            "seconds": result.seconds,
            "losses": result.losses,
            "evaluations": result.evaluations,
            "kept_step": result.kept_step,
            "model": {name: value.cpu() for name, value in self._trained().items()},
            "temperatures": self._temperatures.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        if self._best is not None:
            body["best"] = {"recall": self._best[0], "model": {k: v.cpu() for k, v in self._best[1].items()}}
        save_checkpoint(self.run_dir / CHECKPOINT, body)

    def _restore(self, found: Mapping[str, Any]) -> None:
        result = self._result
        result.step, result.seconds = found["step"], found["seconds"]
        result.losses, result.evaluations = list(found["losses"]), list(found["evaluations"])
        result.kept_step = found["kept_step"]
        self._load(found["model"])
        self._temperatures.load_state_dict(found["temperatures"])
        self._optimizer.load_state_dict(found["optimizer"])
        if "best" in found:
            best = found["best"]
            self._best = best["recall"], {k: v.to(self._device) for k, v in best["model"].items()}
        if found["threads"] != torch.get_num_threads():
            log.warning(
                "the run in %s was begun with %d threads and goes on with %d: its last bits will differ",
                self.run_dir,
                found["threads"],
                torch.get_num_threads(),
            )

    def _load(self, state: Mapping[str, Tensor]) -> None:
        own = self.model.state_dict()
        with torch.no_grad():
            for name, value in state.items():
                own[name].copy_(value)

    def _take_best(self) -> None:
        if self.settings.keep == "best" and self._best is not None:
            self._load(self._best[1])

    def _conclude(self) -> None:
        """Merge LoRA, write the temperature into the branch's own scale, and leave everything frozen."""
        if self.settings.method == "lora":
            for modality in self.settings.train:
                merge_lora(_parts(self.model, modality)["trunks"])
        for left, _ in self._bindings:
            *_, scale = self.model.modality_postprocessors[left].children()
            if isinstance(scale, LogitScale):
                with torch.no_grad():
                    scale.log_logit_scale.copy_(self._temperature(left)().log())
        if self._result.finished and self.settings.keep == "last":
            self._result.kept_step = self._result.step
        self.model.requires_grad_(False).eval()

    def _tell(self, phase: str, clips_per_s: float, left_s: float) -> None:
        result = self._result
        recent = result.losses[-50:]
        recall = result.evaluations[-1]["recall"] if result.evaluations else math.nan
        loss = sum(recent) / len(recent) if recent else math.nan
        self._watch(Progress(phase, result.step, self.steps, loss, recall, clips_per_s, left_s))


def fresh_branches(model: ImageBind, modalities: Sequence[str], seed: int) -> None:
    """Give these branches new weights, drawn from `seed` alone (torch's usual initial distributions)."""
    own = model.state_dict()
    for modality in modalities:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng_of(seed, "fresh", modality).integers(2**62)))
            new = ImageBind(replace(model.config, modalities=(modality,)))
        with torch.no_grad():
            for name, value in new.state_dict().items():
                own[name].copy_(value)


@contextlib.contextmanager
def _repeatable(device: torch.device) -> Iterator[None]:
    """The same bits every time: a GPU may otherwise add up in any order. Nobody else's random numbers are touched."""
    was = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        if device.type == "cuda":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(was[0], warn_only=was[1])


def _parts(model: ImageBind, modality: str) -> dict[str, nn.Module]:
    return {
        "preprocessors": model.modality_preprocessors[modality],
        "trunks": model.modality_trunks[modality],
        "heads": model.modality_heads[modality],
    }


def _decays(name: str, parameter: nn.Parameter) -> bool:
    """Weight matrices and kernels do; biases, norms, positions and single tokens do not."""
    last = name.rsplit(".", 1)[-1]
    return parameter.ndim >= 2 and last not in {"pos_embed", "cls_token", "bias_k", "bias_v"}


def _schedule(step: int, steps: int, warmup: float, final: float) -> float:
    """Share of the highest rate at `step`: a linear rise, then half a cosine."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    along = (step - rise) / max(1, steps - rise)
    return final + (1 - final) * (1 + math.cos(math.pi * along)) / 2


def _plan(pairs: Pairs, binding: tuple[str, str], batch: int, settings: TrainSettings) -> BatchPlan:
    rows = np.flatnonzero(pairs.has(binding[0]) & pairs.has(binding[1]))
    return BatchPlan(pairs.moments, rows, batch, settings.per_span, settings.span_s, settings.seed)


def _steps(settings: TrainSettings, plans: Iterable[BatchPlan]) -> int:
    if settings.steps is not None:
        return settings.steps
    epochs = DEFAULT_EPOCHS if settings.epochs is None else settings.epochs
    return max(1, round(epochs * max(plan.per_epoch for plan in plans)))


def _numbers(names: Iterable[str]) -> NDArray[np.int64]:
    """A number a name, in the order of their coming; -1 for the empty name."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(name, len(known)) if name else -1 for name in names], np.int64)


def _hits(left: Tensor, right: Tensor, excluded: Tensor | None) -> tuple[float, float]:
    """recall@1 both ways within one batch; what is no negative is no wrong answer either."""
    cosines = left @ right.T
    if excluded is not None:
        eye = torch.eye(len(cosines), dtype=torch.bool, device=cosines.device)
        cosines = cosines.masked_fill(excluded & ~eye, -math.inf)
    wanted = torch.arange(len(cosines), device=cosines.device)
    to, back = (float((c.argmax(dim=1) == wanted).float().mean()) for c in (cosines, cosines.T))
    return to, back


def _fingerprint(pairs: Pairs | None, settings: TrainSettings) -> str:
    if pairs is None:
        return "none"
    return pairs.fingerprint({m for binding in settings.bindings for m in binding} - {"text"})


def _digest_of(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def _check_data(
    pairs: Pairs, held_out: Pairs | None, settings: TrainSettings, model: ImageBind, tokenize: Tokenize | None
) -> None:
    problems = []
    for modality in dict.fromkeys(m for binding in settings.bindings for m in binding):
        if modality not in model.modality_trunks:
            built = ", ".join(model.config.modalities)
            problems.append(f"training: the model has no branch {modality!r}; it has {built}")
        if modality == "text" and tokenize is None:
            problems.append("training: text takes part, so the model's vocabulary is wanted and none was given")
    for name, data in (("training", pairs), ("held-out", held_out)):
        for left, right in settings.bindings if data is not None else ():
            assert data is not None
            n = int((data.has(left) & data.has(right)).sum())
            spans = _plan(data, (left, right), 2, settings).batch if n else 0
            if spans < 2:
                problems.append(
                    f"{name} data: at least 2 moments with both {left} and {right}, {settings.span_s:g} s apart, are "
                    f"wanted; of {len(data)} moments {n} have both"
                )
    if problems:
        raise ConfigError("\n".join(problems), tuple(problems))
