"""The lines that a node shows in the page after a run, and the file names of its previews.

A line is a text, or a ``Line`` for a warning, an error, or an object to open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

WARNING, ERROR = "warning", "error"  # the levels for which web/result_lines.js has a colour


@dataclass(frozen=True)
class Line:
    """One line, with a ``level`` or none.

    If it is the address of an object, ``opens`` is the query for the route ``open``, which returns a signed
    URL that also works in a private bucket.
    """

    text: str
    level: str = ""
    opens: Mapping[str, str] | None = None

    def __str__(self) -> str:
        return self.text


def for_page(lines: Sequence[Line | str]) -> list[str | list[object]]:
    """Convert lines for JSON: a text stays a text, a Line with more becomes a list of its text and the rest.

    Not an object: ComfyUI's Assets panel counts every object in a node's ``ui`` as a file. A text that ends
    in the extension of a 3D model becomes a list too, or it would be counted as well
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
    """A valid file name on this machine, from the last part of ``key``; ``extension`` is without its dot."""
    last = PurePosixPath(key).name
    known = f".{extension}".lower()
    stem = last[: -len(known)] if last.lower().endswith(known) else PurePosixPath(last).stem
    stem = _NOT_IN_FILE_NAMES.sub("_", stem)[-_FILE_STEM_CHARACTERS:].strip(". ") or "preview"
    return f"{'_' if _DEVICES.match(stem) else ''}{stem}.{extension}"
