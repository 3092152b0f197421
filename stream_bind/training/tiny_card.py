"""The model card of imagebind-tiny, written from what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from devices.simulated.scenarios import FELT, GROUPS, LABELS, SCENARIOS
from stream_bind.retrieval.figures import confusion_figure, retrieval_figure, table_figure
from stream_bind.training.pairs import Pairs
from stream_bind.training.scorecard import SOUND_WEIGHT, Measured, Seen

__all__ = ["card", "figures"]

_HEAD = """# imagebind-tiny

A small ImageBind: the same class, the same code path, the same training method, {millions:.1f} million parameters.
This project trained it on its simulated world, so that a first run means something before the published weights are
fetched. **It is a demonstration for that world and no perception model:** it has never seen a real picture, heard a
real sound or felt a real step, and what it says about real sensors means nothing. For those, use
`encoder: {{model: imagebind}}`.

- **Licence:** Apache-2.0, as the project. No published weights, pictures or sounds were used.
- **Reproduce:** `make imagebind-tiny` ({minutes:.0f} minutes on {machine}; seed 0).
- **Data:** {moments:,} moments of {n_worlds} simulated worlds (seeds {first_seed} to {last_seed}), each with two
  camera frames, 2 s of sound, a depth and a thermal picture, and 5 s of a 200 Hz IMU; captions from the world's
  grammar. `devices/simulated/scenarios.py` lists the {n_scenarios} scenarios and {n_groups} motion groups, which were
  fixed before training.
- **Method:** vision and text first, on (picture, caption) pairs; then audio, depth, thermal and IMU, each paired with
  the frozen vision branch alone (symmetric InfoNCE, learned temperature). No sensor but vision ever met a word, and no
  two of the others ever met.
- **Evaluation:** worlds {first_test} to {last_test}, never trained on and looked at for the final figures alone.
  Intervals are 95 %, by bootstrap over worlds.
"""


def card(report: Mapping[str, Any], scores: Mapping[str, Any], pictures: str = ".") -> str:
    """Markdown. report: what training took (tiny.train); scores: what the scorecard measured; pictures: where its
    figures are, as a path from the card.
    """
    parts = [_HEAD.format(n_scenarios=len(LABELS), n_groups=len(GROUPS), **report["facts"])]
    parts.append("\n## Zero-shot labels\n\n" + _zero_shot(scores["zero_shot"]))
    parts.append(f"\n![Which scenario was told as which]({pictures}/confusion.png)\n")
    parts.append("\n## Every modality against every other\n\n" + _table(scores["table"]))
    parts.append("\n## Arithmetic\n\n" + _arithmetic(scores["arithmetic"]))
    parts.append(f"\n![Queries and the pictures nearest to them]({pictures}/retrieval.png)\n")
    parts.append("\n## Speed\n\n" + _speed(scores["speed"], report["facts"]["machine"]))
    parts.append("\n## Training\n\n" + _training(report))
    parts.append("\n## Motion groups\n\n" + _groups())
    return "".join(parts)


def figures(scores: Mapping[str, Any], encoder: Any, pairs: Pairs, seen: Mapping[str, Seen], output: Path) -> None:
    """Draw confusion.png, table.png and retrieval.png into `output`."""
    names = [scenario.name.replace("_", " ") for scenario in SCENARIOS]
    panels: dict[str, tuple[Any, Sequence[str]]] = {
        m: (found["confusion"], names) for m, found in scores["zero_shot"].items() if m not in FELT
    }
    panels |= {
        f"{m}, by motion group": (scores["zero_shot"][m]["group_confusion"], GROUPS)
        for m in FELT & set(scores["zero_shot"])
    }
    confusion_figure(panels, output / "confusion.png")
    modalities = list(dict.fromkeys(query for query, _ in scores["table"]))
    values = np.array([[scores["table"][q, g].mean for g in modalities] for q in modalities])
    notes = [[f"chance {scores['table'][q, g].chance:.0%}" for g in modalities] for q in modalities]
    table_figure(values, modalities, output / "table.png", title="recall@1 in all other worlds", notes=notes)
    retrieval_figure(_queries(encoder, pairs, seen), output / "retrieval.png")


def _queries(encoder: Any, pairs: Pairs, seen: Mapping[str, Seen]) -> list[Any]:
    """Some queries of every kind, and the nearest pictures of other worlds, one a world."""
    label = {scenario.name: scenario.label for scenario in SCENARIOS}

    def one(modality: str, name: str) -> int:
        return int(np.flatnonzero(seen[modality].labels == label[name])[7])

    asked: list[tuple[str, Any, Any, set[str], str]] = []
    for words, name in (("someone out with a dog in a forest", "dog_walk"), ("making tea in the kitchen", "kettle")):
        asked.append((f"text: {words}", None, encoder.embed_text([words])[0], {label[name]}, ""))
    for modality, name in (("audio", "piano"), ("audio", "camp_fire"), ("thermal", "washing_up"), ("depth", "stairs"),
                           ("imu", "rowing")):  # fmt: skip
        i = one(modality, name)
        rows = seen[modality].rows[i : i + 1]
        own = _thumbnail(modality, pairs.clips(modality, rows)[0])
        found = seen[modality]
        asked.append((f"{modality}: {label[name]}", own, found.vectors[i], {label[name]}, str(found.sources[i])))
    result = []
    pictures = seen["vision"]
    for words, own, vector, right, source in asked:
        order = np.argsort(-(pictures.vectors @ vector), kind="stable")
        shown: list[Any] = []
        worlds = {source}
        for i in order:
            if str(pictures.sources[i]) in worlds:
                continue
            worlds.add(str(pictures.sources[i]))
            frame = _thumbnail("vision", pairs.clips("vision", pictures.rows[i : i + 1])[0])
            shown.append((frame, str(pictures.labels[i]), str(pictures.labels[i]) in right))
            if len(shown) == 6:
                break
        result.append((words, own, shown))
    return result


def _thumbnail(modality: str, clip: Any) -> Any:
    """(h, w, 3) uint8 of one clip: what a person can look at."""
    if modality == "vision":
        return np.round(255 * clip[-1]).astype(np.uint8)
    plane = clip[0] if clip.ndim == 3 else clip
    if modality == "audio":
        plane = plane[::-1]
    if modality == "imu":
        scaled = np.full((96, 200), 255, np.uint8)
        for channel, line in enumerate(clip[:, :: clip.shape[1] // 200]):
            at = 8 + 15 * channel - np.clip(line[:200] - line.mean(), -2, 2) * 3.5
            scaled[np.clip(at.round().astype(int), 0, 95), np.arange(200)] = 40
        return np.repeat(scaled[:, :, None], 3, axis=2)
    low, high = np.percentile(plane, (1, 99))
    grey = np.clip((plane - low) / max(high - low, 1e-6), 0, 1)
    return np.repeat(np.round(255 * grey).astype(np.uint8)[:, :, None], 3, axis=2)


def _zero_shot(report: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        f"The nearest of {len(LABELS)} captions, one a scenario, to every window. An IMU on the head cannot tell",
        "sitting by a fire from typing, so its own measure is the motion group; chance is in brackets.\n",
        "| modality | windows | right scenario | right motion group |",
        "|---|---|---|---|",
    ]
    for modality, found in report.items():
        scenario, group = found["scenario"], found["group"]
        lines.append(
            f"| {modality} | {scenario.n:,} | {scenario} [{scenario.chance:.1%}] | {group} [{group.chance:.1%}] |"
        )
    return "\n".join(lines) + "\n"


def _table(table: Mapping[tuple[str, str], Measured]) -> str:
    names = list(dict.fromkeys(query for query, _ in table))
    lines = [
        "Recall@1: of what a query (row) finds first among all windows (column) of all *other* worlds, the share that",
        "shows the scenario of the query; the motion group where one side is the IMU (*). **Bold** pairs were never",
        "trained together. Chance in brackets.\n",
        "| query \\ gallery | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
    ]
    for query in names:
        cells = []
        for gallery in names:
            found = table[query, gallery]
            text = f"{found.mean:.0%}{'*' if {query, gallery} & FELT else ''}"
            met = query == gallery or "vision" in {query, gallery}
            cells.append(f"{text if met else f'**{text}**'} ({found.low:.0%}-{found.high:.0%}) [{found.chance:.0%}]")
        lines.append(f"| {query} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _arithmetic(found: Mapping[str, Measured]) -> str:
    return (
        "A picture of scenario A plus a sound of scenario B, for all ordered pairs of scenarios, with weights "
        f"{1 - SOUND_WEIGHT:g} and {SOUND_WEIGHT:g}\n"
        "(chosen on validation worlds: a sound is further from all pictures than a picture is). The gallery holds\n"
        "pictures in which both happen side by side, and pictures of one alone. Chance is in brackets.\n\n"
        "| a picture with both ... | of the comparisons |\n|---|---|\n"
        f"| beats one with A or B alone | {found['above']} [{found['above'].chance:.0%}] |\n"
        f"| beats one with A, of which the query has a picture | {found['above_a']} [{found['above_a'].chance:.0%}] |\n"
        f"| beats one with B, of which the query has a sound | {found['above_b']} [{found['above_b'].chance:.0%}] |\n"
        f"| beats one with A or B alone, weights 0.5 and 0.5 | {found['above_halves']} "
        f"[{found['above_halves'].chance:.0%}] |\n"
        f"| is the very first of all pictures | {found['first']} of the queries [{found['first'].chance:.2%}] |\n"
    )


def _speed(rates: Mapping[str, Mapping[str, float]], machine: str) -> str:
    lines = [
        f"Clips a second on one core (of {machine}), one clip at a time. A headset asks for 2 a second of each, 0.4 of",
        "the IMU.\n",
        "| modality | embedding alone | with making the clip |",
        "|---|---|---|",
    ]
    lines += [f"| {m} | {rate['embed']:,.0f} | {rate['whole']:,.0f} |" for m, rate in rates.items()]
    return "\n".join(lines) + "\n"


def _training(report: Mapping[str, Any]) -> str:
    lines = ["| stage | steps | seconds | last loss | held-out recall@1 of 256 |", "|---|---|---|---|---|"]
    for name, stage in report["stages"].items():
        lines.append(
            f"| {name} | {stage['steps']} | {stage['seconds']} | {stage['loss']} | {stage['recall_at_1_of_256']:.1%} |"
        )
    lines.append(f"\nMaking the corpus took {report['corpus_s']} s, everything {report['seconds']} s.")
    return "\n".join(lines) + "\n"


def _groups() -> str:
    lines = [f"- **{group}**: " + "; ".join(s.label for s in SCENARIOS if s.group == group) for group in GROUPS]
    return "\n".join(lines) + "\n"
