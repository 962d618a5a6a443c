"""Which inputs of which nodes name models, of which folder types: by a table, and beyond it by a rule.

The rule: an input whose list is ComfyUI's own list of a folder type (``comfyui/node_classes.py``). The table
has what the rule cannot see: lists that are made of several types, names in texts and in structured values,
and files that a name stands for; and core's loaders, so that a workflow can be read where no ComfyUI runs.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from ..comfyui import node_classes
from .core_loaders import CORE
from .loader_row import NAME, Loader
from .pack_loaders import PACKS

TABLE: Mapping[str, tuple[Loader, ...]] = {
    node: tuple(row for row in (*CORE, *PACKS) if row.node == node)
    for node in dict.fromkeys(row.node for row in (*CORE, *PACKS))
}


@functools.lru_cache(maxsize=4096)
def rows_of(node_class: str, name: str) -> tuple[Loader, ...]:
    """Return the rows of the table about one input of a node class."""
    return tuple(row for row in TABLE.get(node_class, ()) if row.fits(name))


def inputs_of(node_class: str) -> Mapping[str, tuple[str, ...]]:
    """Return the inputs that list models, each with its folder types: by the table, else by the rule.

    A row whose input is a pattern is completed by the rule, where the class is registered.
    """
    found: dict[str, tuple[str, ...]] = {}
    rows = [row for row in TABLE.get(node_class, ()) if row.kind == NAME]
    for row in rows:
        if "*" not in row.input:
            found[row.input] = tuple(dict.fromkeys((*found.get(row.input, ()), *row.types)))
    for name, types in node_classes.model_lists(node_class).items():
        if name not in found:
            found[name] = next((row.types for row in rows if row.fits(name)), types)
    return found
