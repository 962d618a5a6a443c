"""What a node returns to ComfyUI: its outputs, its lines and its previews."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import DISK_ADVICE, disk_errors
from .cloud_files import CLOUD_FILES, CloudFile, for_programs
from .folders import PREVIEW_FOLDER, TEMP, temp_folder
from .node_lines import Line, file_name, for_page

LINES = "cloud_storage"  # the key in a node's ``ui`` that web/node_runs.js reads


def new_preview(extension: str) -> Path:
    """The path of a new file that the browser will be able to fetch; pass it to ``preview``."""
    return temp_folder() / f"{uuid.uuid4().hex}.{extension}"


def preview(source: bytes | Path, extension: str, key: str = "") -> dict[str, str]:
    """Make a preview of bytes, or of a file in ``temp_folder``, which is moved; returns its item for ``ui``.

    It has the file name of the object ``key``, under which the browser saves it. Raises StorageError for the
    disk, and then leaves no file.
    """
    folder = temp_folder() / uuid.uuid4().hex[:16]
    path = folder / file_name(key, extension.removeprefix("."))
    with disk_errors("write a preview", TEMP, DISK_ADVICE):
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
    """The ``ui`` for videos made by ``preview``: shown in a player, a GIF as an image."""
    animated = not any(film["filename"].endswith(".gif") for film in shown)
    return {"images": shown, "animated": (True,)} if animated else {"images": shown}


def shown(
    result: tuple[Any, ...],
    lines: Sequence[Line | str],
    files: Sequence[CloudFile] | None = None,
    **previews: Sequence[Any],
) -> dict[str, Any]:
    """The value that a node returns: its outputs, the lines that ``web/`` shows on it, and the files that it
    stored or fetched, for programs; None for a node that does neither.

    A line that is an address becomes a link. ComfyUI keeps all of it in its history, in memory, so a signed
    address is in it only if the user asked for one. All results of a node must have ``files`` or none, and
    the same ``previews`` keywords, or ComfyUI cannot merge the results of a list.
    """
    programs = {} if files is None else {CLOUD_FILES: for_programs(files)}
    return {"ui": {LINES: for_page(lines), **previews, **programs}, "result": result}


def blocked(reason: str) -> Any:  # noqa: ANN401
    """A missing output: nodes that are wired to it do not run and show ``reason``."""
    from comfy_execution.graph import ExecutionBlocker

    return ExecutionBlocker(reason)
