"""What ComfyUI knows of a run and writes into the files that come of it: the prompt and the workflow.

The rule: a value that cannot be written is left out and named; it never costs the file.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metadata:
    """The hidden inputs PROMPT and EXTRA_PNGINFO of a node; None where there is none, as through the API.

    Serialised once, however many files carry it. May be shared between threads.
    """

    prompt: Mapping[str, Any] | None = None
    extra_pnginfo: Mapping[str, Any] | None = None

    @property
    def texts(self) -> Mapping[str, str]:
        """``prompt`` and every key of extra_pnginfo with its JSON, in the order ComfyUI writes them in."""
        return self._serialised[0]

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each value that is no JSON and that ``texts`` therefore lacks."""
        return self._serialised[1]

    @functools.cached_property
    def _serialised(self) -> tuple[dict[str, str], tuple[str, ...]]:
        values = {} if self.prompt is None else {"prompt": self.prompt}
        texts: dict[str, str] = {}
        notes: list[str] = []
        for key, value in {**values, **(self.extra_pnginfo or {})}.items():
            if not isinstance(key, str):  # as no JSON has it
                notes.append(f"A value was left out of the file, its name is no text: {type(key).__name__}.")
                continue
            try:
                texts[key] = json.dumps(value)  # NaN stays NaN, as in ComfyUI's own files
            except (TypeError, ValueError, RecursionError) as error:
                notes.append(f"{key!r} was left out of the file, it cannot be written as JSON: {error}.")
        return texts, tuple(notes)
