"""Serialises the prompt and the workflow, which ComfyUI embeds in the files that a run saves.

A value that cannot be written is left out, and a note names it; the file is saved without it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metadata:
    """The hidden inputs PROMPT and EXTRA_PNGINFO of a node; None if missing, as through the API.

    Serialised once for all files. Threads may share it.
    """

    prompt: Mapping[str, Any] | None = None
    extra_pnginfo: Mapping[str, Any] | None = None

    @property
    def texts(self) -> Mapping[str, str]:
        """``prompt`` and the keys of extra_pnginfo and their JSON, in ComfyUI's order."""
        return self._serialised[0]

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each value that is left out of ``texts`` because it is not JSON."""
        return self._serialised[1]

    @functools.cached_property
    def _serialised(self) -> tuple[dict[str, str], tuple[str, ...]]:
        values = {} if self.prompt is None else {"prompt": self.prompt}
        texts: dict[str, str] = {}
        notes: list[str] = []
        for key, value in {**values, **(self.extra_pnginfo or {})}.items():
            if not isinstance(key, str):  # impossible in JSON
                notes.append(f"A value was left out of the file, its name is not text: {type(key).__name__}.")
                continue
            try:
                texts[key] = json.dumps(value)  # NaN stays NaN, as in ComfyUI's own files
            except (TypeError, ValueError, RecursionError) as error:
                notes.append(f"{key!r} was left out of the file, it cannot be written as JSON: {error}.")
        return texts, tuple(notes)
