"""One row of the table of loaders: how an input of a node names models."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

# How an input names models
NAME = "name"  # its value is the name; it becomes a wire from the added node
ENTRIES = "entries"  # a dict, or a list of dicts, each with a name and a switch
LORAS_IN_TEXT = "loras in text"  # <lora:name:1>
EMBEDDINGS_IN_TEXT = "embeddings in text"  # embedding:name
STANDS_FOR = "stands for"  # its value is a word for several files
WITHIN = "within"  # its value has the name within it: the group of ``names``


@dataclass(frozen=True)
class Loader:
    """One row: an input of a node class that names models of these folder ``types``, the first one first.

    ``input`` is a name, or a pattern where there are many ("lora_*"). ``kind`` is one of the above.
    ``names``: only values that this pattern matches. ``front``: the wired inputs in front of which files are
    fetched, where the value itself does not become a wire; if none of them has a wire, or none is given, the
    value is passed through the added node. ``source`` says where this is written.
    """

    node: str
    input: str
    types: tuple[str, ...]
    kind: str = NAME
    names: str = ""
    front: tuple[str, ...] = ()
    source: str = ""

    def fits(self, name: str) -> bool:
        """Return whether this row is about an input of this name."""
        return self.input == name or ("*" in self.input and _pattern(self.input).fullmatch(name) is not None)


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(r"\*", ".*"))


def rows(
    source: str, *given: tuple[str, str, str | tuple[str, ...]], kind: str = NAME, front: tuple[str, ...] = ()
) -> tuple[Loader, ...]:
    """Return rows of one source: node class, input, and one folder type or several."""
    return tuple(
        Loader(node, name, (types,) if isinstance(types, str) else types, kind, "", front, source)
        for node, name, types in given
    )
