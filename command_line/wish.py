"""A model that somebody wants on this machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wish:
    """``name`` is the file as loaders list it, with "/". ``sha256`` is "" if any content will do."""

    type: str
    name: str
    key: str
    sha256: str = ""

    @property
    def shown(self) -> str:
        return f"{self.type}/{self.name}"
