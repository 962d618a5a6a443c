"""Cancel, as ComfyUI tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def raise_if_interrupted() -> None:
    """Raise ComfyUI's own exception if Cancel was pressed: on 0.33 it is a BaseException."""
    from comfy.model_management import throw_exception_if_processing_interrupted

    throw_exception_if_processing_interrupted()


def is_interrupted() -> bool:
    """Whether Cancel was pressed and nobody has met it yet; any thread may ask."""
    from comfy.model_management import processing_interrupted

    return bool(processing_interrupted())
