"""ComfyUI's latents of several parts, such as video with audio: core 0.33 has them, 0.3.64 has not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def nest() -> Callable[[Sequence[torch.Tensor]], Any] | None:
    """What makes one value of several tensors; None if this core has no such values."""
    try:
        from comfy.nested_tensor import NestedTensor
    except ImportError:
        return None
    make: Callable[[Sequence[torch.Tensor]], Any] = NestedTensor
    return make
