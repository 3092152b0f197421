"""Sentences about the scenes of the simulated world: what a person happening to look would say."""

from __future__ import annotations

import zlib

import numpy as np

from devices.simulated.world import Scene

__all__ = ["N_VARIANTS", "caption"]

N_VARIANTS = 24
"""Sentences that `caption` tells apart for one scene; some of them may be equal."""

_FORMS = (
    "{who} {what}",
    "{who} {what} {where}",
    "{who} {what} {when}",
    "{who} {what} {where} {when}",
    "{what} {where}",
    "{what} {where} {when}",
    "{when}, {who_is} {what}",
    "{who} {what} with {thing}",
    "{who} {what} {where}, with {thing}",
    "{view} of {who} {what}",
    "{view} of {who} {what} {where} {when}",
    "{view}: {what}, {thing}",
)
_WHO = ("a person", "someone", "a woman", "a man")
_VIEW = ("a picture", "a first-person view", "a recording", "a short film")


def caption(scene: Scene, variant: int) -> str:
    """A sentence in lower case about `scene`, always the same for one `variant`; variant 0 is the scenario's label."""
    if variant == 0:
        return scene.scenario.label
    rng = np.random.default_rng([scene.seed, scene.index & 0xFFFFFFFF, variant, zlib.crc32(b"caption")])

    def one(choices: tuple[str, ...]) -> str:
        return choices[int(rng.integers(len(choices)))]

    who = one(_WHO)
    plural = scene.scenario.things.endswith("s")
    return one(_FORMS).format(
        who=who,
        who_is=f"{who} is",
        what=one(scene.scenario.phrases),
        where=scene.place,
        when=scene.light_name,
        thing=f"{'' if plural else 'a '}{scene.colour_name} {scene.scenario.things}",
        view=one(_VIEW),
    )
