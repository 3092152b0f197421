"""Modules without values, for loading: the shapes of a model at no cost in memory. Imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["on_meta"]

_IN_PLACE = (nn.init.normal_, Tensor.normal_, Tensor.triu_)


class _NoValues(TorchFunctionMode):
    """Leaves out what would only change values, which tensors on the meta device have none of.

    Only those that torch 2.13 runs in Python there, for which it imports its compiler: 0.9 s of one core and 73 MB in
    every process that loads a model, and the sensors of that process wait for the interpreter meanwhile.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if func in _IN_PLACE:
            tensor: Tensor = args[0] if args else given["tensor"]
            if tensor.is_meta:
                return tensor
        return func(*args, **given)


@contextmanager
def on_meta() -> Iterator[None]:
    """Modules made inside have names, shapes and dtypes, no values: `load_state_dict(..., assign=True)` gives them."""
    with _NoValues(), torch.device("meta"):
        yield
