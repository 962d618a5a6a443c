"""What a node shows in the page when it has run: its lines, and what its pictures are called.

A line is a text, or a ``Line`` where there is more to it: a warning, an error, or an address to open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

WARNING, ERROR = "warning", "error"  # levels: what web/result_lines.js has a colour for


@dataclass(frozen=True)
class Line:
    """One line of a ``level``, or the address of an object.

    ``opens`` names that object for the route ``open``, which signs an address that works in a private bucket.
    """

    text: str
    level: str = ""
    opens: Mapping[str, str] | None = None

    def __str__(self) -> str:
        return self.text


def for_page(lines: Sequence[Line | str]) -> list[str | list[object]]:
    """``lines`` for JSON: a text as it is, else a list of the text and what else there is.

    Neither is ever an object: ComfyUI's Assets panel counts the objects in a node's ``ui`` as files. A text
    that ends like a 3D model becomes a list too: alone it would be taken for a file
    (comfy_execution/jobs.py, normalize_output_item).
    """
    return [_for_page(line) if isinstance(line, Line) else _for_page(Line(line)) for line in lines]


def _for_page(line: Line) -> str | list[object]:
    more = {"level": line.level, "opens": dict(line.opens) if line.opens else None}
    more = {name: value for name, value in more.items() if value}
    return [line.text, more] if more or line.text.lower().endswith(_MODELS) else line.text


_MODELS = (".obj", ".fbx", ".gltf", ".glb", ".usdz")

_FILE_STEM_CHARACTERS = 60  # of up to four bytes each: a name in a folder has 255 bytes
_NOT_IN_FILE_NAMES = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\ud800-\udfff]')  # on Windows, and half characters
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")  # there too


def file_name(key: str, extension: str) -> str:
    """The name that a file of ``extension``, without its dot, has on this machine's disk like ``key``."""
    last = PurePosixPath(key).name
    known = f".{extension}".lower()
    stem = last[: -len(known)] if last.lower().endswith(known) else PurePosixPath(last).stem
    stem = _NOT_IN_FILE_NAMES.sub("_", stem)[-_FILE_STEM_CHARACTERS:].strip(". ") or "preview"
    return f"{'_' if _DEVICES.match(stem) else ''}{stem}.{extension}"
