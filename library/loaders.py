"""The table of loaders: which inputs of which nodes name models, and of which folder types."""

from __future__ import annotations

from collections.abc import Mapping


def inputs_of(node_class: str) -> Mapping[str, tuple[str, ...]]:
    """Return the inputs that list models, each with its folder types; empty for other nodes."""
    return {}
