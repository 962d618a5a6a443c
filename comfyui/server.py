"""ComfyUI's server: its routes, its start, its options, its free memory."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable
from typing import Any


def free_memory() -> int:
    """The number of free bytes of main memory."""
    import torch
    from comfy.model_management import get_free_memory

    return int(get_free_memory(torch.device("cpu")))


def metadata_disabled() -> bool:
    """Whether ComfyUI was started with ``--disable-metadata``."""
    from comfy.cli_args import args

    return bool(args.disable_metadata)


def listens_on() -> list[str]:
    """The addresses and host names of ``--listen``; [""], which is every address, if they are not known."""
    try:
        from comfy.cli_args import args

        return str(args.listen).split(",")
    except (ImportError, AttributeError):
        return [""]


def answer(method: str, path: str, handler: Callable[[Any], Awaitable[Any]]) -> bool:
    """Have ComfyUI's server answer GET or POST requests to ``path`` with an aiohttp handler, in its event
    loop.

    False if there is no server: ComfyUI makes it before it loads packages, but other programs may import this
    one too.
    """
    server = instance()
    if server is None:
        return False
    server.routes.route(method, path)(handler)
    return True


def when_started(call: Callable[[], object]) -> None:
    """Call a function once when the server starts, after all packages are loaded; never without a server."""

    async def started(_app: object) -> None:
        call()

    with contextlib.suppress(AttributeError, RuntimeError):  # no server, or it has started already
        instance().app.on_startup.append(started)


def instance() -> Any:  # noqa: ANN401
    """Return ComfyUI's PromptServer; None if this process has none."""
    return getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
