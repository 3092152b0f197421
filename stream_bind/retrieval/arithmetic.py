"""Adding and subtracting meanings: a picture of a beach plus the sound of rain."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["combine"]


def combine(parts: Iterable[tuple[NDArray[np.float32], float]]) -> NDArray[np.float32]:
    """The unit vector (d,) of a weighted sum of vectors (d,), each brought to unit length first.

    A negative weight takes a meaning away. The ImageBind paper adds two with a half each. ValueError without parts,
    for vectors of different lengths, of length zero or not finite, and where the parts cancel out.
    """
    total: NDArray[np.float64] | None = None
    for vector, weight in parts:
        value = np.asarray(vector, np.float64)
        length = float(np.linalg.norm(value))
        if value.ndim != 1 or not np.isfinite(length) or length == 0.0 or not np.isfinite(weight):
            raise ValueError(f"a part must be one finite vector that is not zero, found shape {value.shape}")
        if total is None:
            total = np.zeros(len(value))
        if len(value) != len(total):
            raise ValueError(f"parts of {len(total)} and {len(value)} numbers are not of one space")
        total += weight * value / length
    if total is None:
        raise ValueError("nothing to combine; give at least one part")
    length = float(np.linalg.norm(total))
    if length < 1e-6:
        raise ValueError("the parts cancel out: their sum is zero and points nowhere")
    return (total / length).astype(np.float32)
