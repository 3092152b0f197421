"""The model card of a bound model, written from what was measured."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from stream_bind import __version__

if TYPE_CHECKING:
    from stream_bind.training.binder import Binder, Bound

__all__ = ["card_text"]


def card_text(binder: Binder, bound: Bound) -> str:
    """README.md of the model directory: what it is, from what, by which command, how good, and where it ends."""
    config, result = binder.config, bound.result
    settings = config.settings()
    sensor, anchor = binder.modality, config.anchor
    lines = [
        f"# {bound.directory.name}",
        "",
        f"{config.base_name} with its `{sensor}` branch "
        + ("added" if config.signal is not None else f"trained further ({settings.method})")
        + f", bound to the joint space through its frozen `{anchor}` branch. All other branches are the base's, byte "
        "for byte.",
        "",
        "Run it by naming the directory in a rig's YAML:",
        "",
        "```yaml",
        f"encoder: {{model: imagebind, weights: {bound.directory}}}",
        "```",
        "",
        "## How it was made",
        "",
        f"    {binder.command}",
        "",
        *_table(
            ("", ""),
            [
                ("trained on", f"{bound.n_train} moments of {_some(bound.sources[0])}"),
                ("held out", f"{bound.n_held_out} moments of {_some(bound.sources[1])}"),
                ("steps", f"{result.steps} of {settings.batch} pairs at most, seed {settings.seed}"),
                ("weights kept", f"step {result.kept_step} ({settings.keep})"),
                ("time", f"{result.seconds:.0f} s, {binder.threads} threads ({platform.machine()}), data not counted"),
                ("loss", f"{_mean(result.losses[:10]):.3f} at first, {_mean(result.losses[-50:]):.3f} at last"),
                ("software", f"stream-bind {__version__}"),
            ],
        ),
        "",
    ]
    if config.signal is not None:
        signal = next(s for s in binder.final.signals if s.name == sensor)
        lines += [
            f"## The `{sensor}` modality",
            "",
            *_table(
                ("", ""),
                [
                    ("channels", f"{signal.channels}{' (' + ', '.join(signal.axes) + ')' if signal.axes else ''}"),
                    ("unit", signal.unit or "any"),
                    ("window", f"{signal.length_s:g} s at {signal.rate_hz:g} Hz, {signal.n_samples} samples"),
                    ("detrend", signal.detrend),
                    ("mean, std", f"{_numbers(signal.mean)}; {_numbers(signal.std)}"),
                ],
            ),
            "",
        ]
    lines += [
        "## Results on the held-out moments",
        "",
        f"recall@1, with 95 % intervals by bootstrap over {bound.clusters}. By moment: the partner of the same moment "
        "is found among others that lie ten seconds or more apart. By label: any moment of the same label is right; "
        "moments within ten seconds of the query are left out.",
        "",
        *_table(
            ("which", "recall@1", "95 % interval", "chance", "times chance", "queries"),
            [
                (
                    f.name,
                    f"{f.value:.1%}",
                    f"{f.low:.1%} to {f.high:.1%}",
                    f"{f.chance:.1%}",
                    f"{f.times_chance:.1f}",
                    str(f.n),
                )
                for f in bound.figures
            ],
        ),
        "",
        "![loss and held-out recall](curves.png)",
        "",
        "## Limits",
        "",
        f"The `{sensor}` branch knows what the {bound.n_train} moments above showed and nothing else; another place, "
        "wearer or mounting is another distribution, and the figures do not speak of it. It is as good as the "
        f"`{anchor}` branch at most, whose mistakes it learned. Its licence is the base's.",
    ]
    if any(s.startswith("world:") for s in bound.sources[0]):
        lines.append("The data are simulated: the model shows that binding works and perceives nothing real.")
    if settings.keep == "best":
        lines.append("The kept weights were chosen on the held-out moments, so these figures flatter them.")
    return "\n".join(lines) + "\n"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *[f"| {' | '.join(row)} |" for row in rows]]


def _some(names: tuple[str, ...], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more sources" if len(names) > most else "")


def _mean(values: Any) -> float:
    return sum(values) / len(values) if len(values) else float("nan")


def _numbers(values: Any) -> str:
    return ", ".join(f"{v:g}" for v in values) or "none"
