"""What a node returns to ComfyUI: its outputs, and what the page shows of them."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DISK_ADVICE, disk_told
from .folders import PREVIEW_FOLDER, TEMP, temp_folder
from .node_lines import Line, file_name, for_page

if TYPE_CHECKING:
    pass

LINES = "cloud_storage"  # what web/cloud_storage.js looks for in a node's ``ui``


def new_preview(extension: str) -> Path:
    """A path where the browser can fetch a file from; there is none yet. ``preview`` describes it."""
    return temp_folder() / f"{uuid.uuid4().hex}.{extension}"


def preview(source: bytes | Path, extension: str, key: str = "") -> dict[str, str]:
    """A file as a node's ``ui`` describes it to the browser: bytes, or a file in ``temp_folder``, which is
    moved. It is called as the object ``key`` is: that is what the browser saves it as.

    Raises StorageError where the disk does not take it, and leaves none.
    """
    folder = temp_folder() / uuid.uuid4().hex[:16]
    path = folder / file_name(key, extension.removeprefix("."))
    with disk_told("write a preview", TEMP, DISK_ADVICE):
        folder.mkdir()
        try:
            if isinstance(source, bytes):
                path.write_bytes(source)
            else:
                source.rename(path)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return {"filename": path.name, "subfolder": f"{PREVIEW_FOLDER}/{folder.name}", "type": "temp"}


def player(shown: list[dict[str, str]]) -> dict[str, Any]:
    """``ui`` for films of ``preview``: drawn as a player, a GIF as the picture that it is."""
    animated = not any(film["filename"].endswith(".gif") for film in shown)
    return {"images": shown, "animated": (True,)} if animated else {"images": shown}


def shown(result: tuple[Any, ...], lines: Sequence[Line | str], **previews: Sequence[Any]) -> dict[str, Any]:
    """What a node returns: its outputs, and the lines that our part of the browser shows on it (``web/``).

    A line that is an address becomes a link. ComfyUI keeps what is shown in its history, in memory until it
    ends: so an address that is signed is among the lines only where the user asked for one. Every result of
    a node has to name the same ``previews``, or ComfyUI cannot merge those of several runs.
    """
    return {"ui": {LINES: for_page(lines), **previews}, "result": result}


def blocked(reason: str) -> Any:  # noqa: ANN401
    """An output that there is none of: nodes that use it do not run, and ``reason`` is shown on them."""
    from comfy_execution.graph import ExecutionBlocker

    return ExecutionBlocker(reason)
