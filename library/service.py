"""The one library of this process: its catalogue, its fetches, and what begins with ComfyUI's server."""

from __future__ import annotations

import functools

from .catalogue import Catalogue
from .fetches import Fetches


@functools.cache
def catalogue() -> Catalogue:
    """Return the catalogue; the first call reads the one on disk, and sends nothing."""
    return Catalogue()


@functools.cache
def fetches() -> Fetches:
    """Return the fetches of this process."""
    return Fetches()


def start() -> None:
    """Begin with ComfyUI's server, if there is one."""


def asked() -> None:
    """List the buckets in a thread if the latest listing is old, or there is none."""
