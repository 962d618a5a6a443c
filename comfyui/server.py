"""The server that ComfyUI runs as: its routes, its options, its free memory."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


def free_memory() -> int:
    """How many bytes of main memory are free."""
    import torch
    from comfy.model_management import get_free_memory

    return int(get_free_memory(torch.device("cpu")))


def metadata_disabled() -> bool:
    """Whether ComfyUI was started with ``--disable-metadata``."""
    from comfy.cli_args import args

    return bool(args.disable_metadata)


def answer_get(path: str, handler: Callable[[Any], Awaitable[Any]]) -> bool:
    """Let ComfyUI's server answer GET requests to a path with an aiohttp handler, which its loop runs.

    False where there is no server: ComfyUI has one before it loads packages, others that import this one
    have none.
    """
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if server is None:
        return False
    server.routes.get(path)(handler)
    return True
