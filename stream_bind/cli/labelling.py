"""Nearest captions of a run's vectors, and how often they are right where the world is simulated.

No torch here: the captions' vectors come with the model's directory.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stream_bind.errors import StreamBindError
from stream_bind.messages import Embedding

if TYPE_CHECKING:
    from stream_bind.config.schema import RigConfig
    from stream_bind.retrieval.labels import LabelSet

__all__ = ["Caption", "Labelling", "Tally", "marked", "short"]


@dataclass(frozen=True, slots=True)
class Caption:
    """What one vector was told as."""

    text: str
    right: bool | None
    """None where the truth is not known: a real sensor, or a window that spans two scenes."""


@dataclass(slots=True)
class Tally:
    """How one stream did with one encoder so far."""

    modality: str
    last: Caption | None = None
    right: int = 0
    judged: int = 0
    by_group: bool = False
    """Judged by the motion group: sitting by a fire and typing feel alike."""
    chance: float = 0.0

    @property
    def share(self) -> str:
        return f"{self.right / self.judged:.0%}" if self.judged else "–"


class Labelling:
    """Captions for the encoders that bring labels. Fed from one thread, read from another."""

    def __init__(self, labels: Mapping[str, LabelSet], worlds: Mapping[str, int]) -> None:
        """labels: encoder name to its labels; worlds: stream to the seed of the simulated world it looks at."""
        self._labels, self._worlds = dict(labels), dict(worlds)
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._strange: set[str] = set()
        self._lock = threading.Lock()
        self._newest_ns = 0

    @classmethod
    def of(cls, config: RigConfig, simulated: bool | Collection[str]) -> Labelling:
        """Those of a rig. simulated: streams swapped for their twins (True: all), besides those that are simulated."""
        from stream_bind.retrieval.labels import LabelSet

        labels = {}
        for name, encoder in config.encoders.items():
            directory = getattr(encoder.settings, "directory", None)
            found = directory() if directory is not None else None
            own = LabelSet.load(found.path) if found is not None else None
            if own is not None:
                labels[name] = own
        worlds = {}
        for stream in config.streams:
            if stream.device.type == "simulated":
                worlds[stream.id] = int(getattr(stream.device.settings, "seed", 0))
            elif simulated is True or (simulated and stream.id in simulated):
                worlds[stream.id] = 0
        return cls(labels, worlds)

    def __bool__(self) -> bool:
        return bool(self._labels)

    def add(self, message: Embedding) -> Caption | None:
        """Caption one vector and count it; None where its encoder brings no labels, or labels of other weights."""
        labels = self._labels.get(message.encoder)
        if labels is None:
            return None
        try:
            labels.check_model(message.model)
        except StreamBindError:
            self._strange.add(message.encoder)
            return None
        told = labels.nearest(message.vector)[0]
        right, by_group = self._judged(message, told.text, told.group)
        caption = Caption(told.text, right)
        with self._lock:
            self._newest_ns = max(self._newest_ns, message.t_end)
            tally = self._tallies.setdefault((message.stream, message.encoder), Tally(message.modality))
            tally.last, tally.by_group = caption, by_group
            kinds = set(labels.groups) if by_group else set(labels.texts)
            tally.chance = 1.0 / len(kinds)
            if right is not None:
                tally.judged += 1
                tally.right += right
        return caption

    def tally(self, stream: str, encoder: str) -> Tally | None:
        """How this lane does; None before its first vector."""
        with self._lock:
            return self._tallies.get((stream, encoder))

    def scene(self) -> str:
        """What is being simulated, in words; empty where nothing is."""
        seeds = set(self._worlds.values())
        if len(seeds) != 1 or not self._newest_ns:
            return ""
        from devices.simulated.world import World

        scene = World(seeds.pop()).scene_at(self._newest_ns)
        return f"{scene.scenario.label} {scene.place}, {scene.light_name}"

    def summary(self) -> str:
        """A line for every stream at the end of a run; empty where nothing could be judged."""
        with self._lock:
            judged = {key: tally for key, tally in sorted(self._tallies.items()) if tally.judged}
        if not judged:
            return ""
        lines = ["nearest caption right, of the windows that lie within one scene:"]
        for (stream, encoder), tally in judged.items():
            what = ", by motion group" if tally.by_group else ""
            lines.append(
                f"  {stream} → {encoder}: {tally.right} of {tally.judged}"
                f" ({tally.share}{what}; chance {tally.chance:.0%})"
            )
        return "\n".join(lines)

    def _judged(self, message: Embedding, text: str, group: str) -> tuple[bool | None, bool]:
        from devices.simulated.scenarios import FELT, LABELS

        by_group = message.modality in FELT and bool(group)
        seed = self._worlds.get(message.stream)
        if seed is None or text not in LABELS:
            return None, by_group
        from devices.simulated.world import World

        world = World(seed)
        scene = world.scene_at(message.t_start)
        if scene.index != world.scene_at(message.t_end - 1).index:
            return None, by_group
        return (group == scene.scenario.group if by_group else text == scene.scenario.label), by_group


def short(text: str) -> str:
    """A caption without the person that all of them begin with."""
    return text.removeprefix("a person ")


def marked(caption: Caption, tally: Tally | None) -> str:
    """A caption behind a vector's line: the words, whether they are right, and how often they have been."""
    if caption.right is None:
        return f'"{caption.text}"'
    counts: Any = "" if tally is None else f"  {tally.share} of {tally.judged}"
    return f'"{caption.text}" {"✓" if caption.right else "✗"}{counts}'
