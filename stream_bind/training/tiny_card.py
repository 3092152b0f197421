"""The model card of imagebind-tiny, written from what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devices.simulated.scenarios import GROUPS, LABELS, SCENARIOS
from stream_bind.training.scorecard import FELT, Measured

__all__ = ["card"]

_HEAD = """# imagebind-tiny

A small ImageBind: the same class, the same code path, the same training method, {millions:.1f} million parameters. It was
trained by this project on its simulated world, so that a first run means something before the published weights are
fetched. **It is a demonstration for that world and no perception model:** it has never seen a real picture, heard a real
sound or felt a real step, and what it says about real sensors means nothing. For those, use `encoder: {{model: imagebind}}`.

- **Licence:** Apache-2.0, as the project. No published weights, pictures or sounds were used.
- **Reproduce:** `make imagebind-tiny` ({minutes:.0f} minutes on {machine}; seed 0).
- **Data:** {moments:,} moments of {n_worlds} simulated worlds (seeds {first_seed} to {last_seed}), each with two camera
  frames and 2 s of sound, a depth and a thermal picture, and 5 s of a 200 Hz IMU; captions from the world's grammar.
  `devices/simulated/scenarios.py` lists the {n_scenarios} scenarios and {n_groups} motion groups; they were fixed before
  training.
- **Method:** vision and text first, on (picture, caption) pairs; then audio, depth, thermal and IMU, each paired with the
  frozen vision branch alone (symmetric InfoNCE, learned temperature). No sensor but vision ever met a word, and no two
  of the others ever met.
- **Evaluation:** worlds {first_test} to {last_test}, which were never trained on nor looked at before the final figures.
  Intervals are 95 %, by bootstrap over worlds.
"""


def card(report: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    """Markdown. report: what training took (tiny.train); scores: what the scorecard measured."""
    parts = [_HEAD.format(n_scenarios=len(LABELS), n_groups=len(GROUPS), **report["facts"])]
    parts.append("\n## Zero-shot labels\n\n" + _zero_shot(scores["zero_shot"]))
    parts.append("\n![Which scenario was told as which](confusion.png)\n")
    parts.append("\n## Every modality against every other\n\n" + _table(scores["table"]))
    parts.append("\n## Arithmetic\n\n" + _arithmetic(scores["arithmetic"]))
    parts.append("\n![Queries and the pictures nearest to them](retrieval.png)\n")
    parts.append("\n## Speed\n\n" + _speed(scores["speed"], report["facts"]["machine"]))
    parts.append("\n## Training\n\n" + _training(report))
    parts.append("\n## Motion groups\n\n" + _groups())
    return "".join(parts)


def _zero_shot(report: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [
        f"The nearest of {len(LABELS)} captions, one a scenario, to every window. An IMU on the head cannot tell sitting by",
        "a fire from typing, so its own measure is the motion group; chance is in brackets.\n",
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
        "Recall@1: of what a query (row) finds first among all windows (column) of all *other* worlds, the share that shows",
        "the query's scenario; its motion group where one side is the IMU (*). Pairs in **bold** were never trained together.",
        "Chance in brackets.\n",
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
        "Half the vector of a picture of scenario A plus half that of a sound of scenario B, for all ordered pairs of\n"
        "scenarios; the gallery holds pictures in which both happen side by side, and pictures of one. Pictures with both\n"
        f"win {found['above']} of the comparisons with pictures of A or B alone (chance {found['above'].chance:.0%}); the\n"
        f"first of all pictures shows both in {found['first']} of the queries (chance {found['first'].chance:.1%}).\n"
    )


def _speed(rates: Mapping[str, Mapping[str, float]], machine: str) -> str:
    lines = [
        f"Clips a second on one core ({machine}), one clip at a time; a headset asks for 2 a second of each (0.4 of the IMU).\n",
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
    lines = []
    for group in GROUPS:
        lines.append(f"- **{group}**: " + "; ".join(s.label for s in SCENARIOS if s.group == group))
    return "\n".join(lines) + "\n"
