"""What a training run may be told. Imports no torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["AugmentSettings", "LoraSettings", "NegativesSettings", "TrainSettings"]

_CLOSED = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class AugmentSettings(BaseModel):
    """How clips are varied while training. Held-out clips and cached vectors of a frozen anchor never are."""

    model_config = _CLOSED

    enabled: bool = True
    """Vary clips at all."""
    brightness: float = Field(default=0.15, ge=0, le=1)
    """Vision: largest offset, as a share of the full range."""
    contrast: float = Field(default=0.25, ge=0, lt=1)
    """Vision: largest relative change of contrast about the middle grey; also of each colour by a third of it."""
    shift: float = Field(default=0.06, ge=0, le=0.5)
    """Vision, depth, thermal: largest shift as a share of the side; the edge is repeated into what comes free."""
    mirror: bool = False
    """Vision, depth, thermal: mirror left and right half of the time; wrong where a side means something."""
    plane_gain: float = Field(default=0.1, ge=0, lt=1)
    """Depth, thermal: largest relative change of all values of a picture."""
    plane_offset: float = Field(default=0.03, ge=0)
    """Depth, thermal: largest offset, in the clip's units (grey 0..1 for thermal, disparity for depth)."""
    plane_noise: float = Field(default=0.01, ge=0)
    """Depth, thermal: standard deviation of the noise added to every pixel, in the clip's units."""
    audio_gain_db: float = Field(default=6.0, ge=0)
    """Audio: largest change of loudness."""
    time_mask: float = Field(default=0.15, ge=0, le=1)
    """Audio: widest stretch of frames that is set to the clip's mean, as a share of all."""
    mel_mask: float = Field(default=0.1, ge=0, le=1)
    """Audio: widest band of mels that is set to the clip's mean, as a share of all."""
    signal_gain: float = Field(default=0.1, ge=0, lt=1)
    """IMU and other signals: largest relative change of all values."""
    rotation_deg: float = Field(default=8.0, ge=0, le=180)
    """IMU: largest angle by which all three axes are turned, as if the sensor sat a little differently."""
    signal_shift: float = Field(default=0.05, ge=0, le=0.5)
    """IMU and other signals: largest shift in time as a share of the window; the edge is repeated."""
    signal_noise: float = Field(default=0.02, ge=0)
    """IMU and other signals: standard deviation of added noise, as a share of each channel's own in the clip."""


class LoraSettings(BaseModel):
    """Low-rank updates of a trunk's attention and MLP weights, for `method: lora`."""

    model_config = _CLOSED

    rank: int = Field(default=8, ge=1)
    """Rank of every update."""
    alpha: float = Field(default=16.0, gt=0)
    """The update counts alpha / rank times."""
    train_head: bool = True
    """Also train the branch's head (its norm and projection)."""
    train_norms: bool = True
    """Also train the norms of stem and trunk."""


class NegativesSettings(BaseModel):
    """Which other moments of a batch are no negatives of a moment."""

    model_config = _CLOSED

    overlap: bool = True
    """Leave out moments of the same source whose windows overlap in time: they show the same thing."""
    captions: bool = True
    """Where one side is text, leave out moments with the very same caption."""
    labels: bool = False
    """Leave out moments with the same label (needs labels, and then learns them)."""


class TrainSettings(BaseModel):
    """One training run."""

    model_config = _CLOSED

    train: tuple[str, ...] = Field(min_length=1)
    """Branches to train: one or several sensors against the anchor, or, without an anchor, two or more branches of
    which the first is paired with every other."""
    anchor: str | None = "vision"
    """The frozen branch that the others are bound to: vision (as ImageBind does) or text (as LanguageBind does); null
    trains all of `train` together."""
    method: Literal["full", "lora"] = "full"
    """Train every weight of a branch, or low-rank updates of its trunk."""
    lora: LoraSettings = LoraSettings()
    """Settings of `method: lora`."""
    steps: int | None = Field(default=None, ge=1)
    """Steps to train; give this or `epochs`."""
    epochs: float | None = Field(default=None, gt=0)
    """Times every moment is seen; 30 if neither this nor `steps` is given."""
    batch: int = Field(default=128, ge=2)
    """Pairs of one step and branch; smaller where the data hold fewer distinct moments."""
    lr: float = Field(default=1e-3, gt=0)
    """Highest learning rate (AdamW)."""
    final_lr: float = Field(default=0.01, ge=0, le=1)
    """Where the cosine ends, as a share of `lr`."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps over which the learning rate rises."""
    weight_decay: float = Field(default=0.1, ge=0)
    """Decay of weight matrices; norms, biases, positions, single tokens and the temperature have none."""
    betas: tuple[float, float] = (0.9, 0.98)
    """AdamW's averages."""
    grad_clip: float = Field(default=1.0, ge=0)
    """Largest norm of the gradient; 0: not clipped."""
    temperature: float = Field(default=0.07, gt=0.01, le=1)
    """Initial temperature of the softmax; its inverse may not exceed 100."""
    learn_temperature: bool = True
    """Train the temperature, one a pair of branches."""
    negatives: NegativesSettings = NegativesSettings()
    """What is no negative."""
    per_span: int = Field(default=1, ge=1)
    """A batch holds at most this many moments of one source within `span_s`."""
    span_s: float = Field(default=10.0, gt=0)
    """See `per_span`."""
    augment: AugmentSettings = AugmentSettings()
    """How clips are varied."""
    seed: int = Field(default=0, ge=0)
    """Fixes the order of the data, captions, augmentation, dropout and fresh weights."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """auto takes a CUDA GPU if there is one."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto is bfloat16 where the processor multiplies it in hardware (CUDA, AMX), float32 elsewhere."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of CPU arithmetic; null: torch's own choice. Another number gives other last bits."""
    evaluate_every: int = Field(default=200, ge=1)
    """Steps between two evaluations on held-out moments."""
    evaluate_batch: int = Field(default=256, ge=2, le=4096)
    """Held-out moments that are told apart at once."""
    evaluate_max: int = Field(default=1024, ge=2)
    """Held-out moments of one evaluation."""
    keep: Literal["last", "best"] = "last"
    """Which weights come out: the last, or those with the best held-out recall (which the held-out data then chose)."""
    checkpoint_every_s: float = Field(default=30.0, ge=0)
    """Seconds between checkpoints; changes nothing about the result."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give steps or epochs, not both")
        if len(set(self.train)) != len(self.train):
            raise ValueError(f"train names a branch twice: {', '.join(self.train)}")
        if self.anchor is None and len(self.train) < 2:
            raise ValueError("without an anchor, train names two branches or more")
        if self.anchor in self.train:
            raise ValueError(f"{self.anchor} cannot be trained and be the frozen anchor at once")
        return self

    @property
    def bindings(self) -> tuple[tuple[str, str], ...]:
        """(trained branch, what it is paired with) of every loss."""
        if self.anchor is not None:
            return tuple((modality, self.anchor) for modality in self.train)
        return tuple((modality, self.train[0]) for modality in self.train[1:])
