"""ComfyUI's Cancel button."""

from __future__ import annotations


def raise_if_interrupted() -> None:
    """Raise ComfyUI's own exception if the user has cancelled; in core 0.33 it is a BaseException."""
    from comfy.model_management import throw_exception_if_processing_interrupted

    throw_exception_if_processing_interrupted()


def is_interrupted() -> bool:
    """Whether the user has cancelled and no node has raised the exception yet; from any thread."""
    from comfy.model_management import processing_interrupted

    return bool(processing_interrupted())
