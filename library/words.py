"""Which model a word in a text or an entry means: with or without its folder and extension."""

from __future__ import annotations

from collections.abc import Sequence

from .catalogue import Catalogue, Model
from .named_models import slashed, stem


def candidates(catalogue: Catalogue, folder_type: str, word: str) -> Sequence[Model]:
    """Return the models of a type whose file name without extension is that of the word."""
    return catalogue.stems(folder_type).get(stem(word), ())


def meant(found: Sequence[Model], word: str, *, exactly: bool = False) -> Model | None:
    """Return the one of some candidates that a word means: that of its folder, or else the only one.

    ``exactly``: only that of its folder; a word without a folder means the type's own.
    """
    path = slashed(word)
    exact = [one for one in found if slashed(one.name) == path or without_end(one.name) == path]
    if exact:
        return exact[0]
    return found[0] if len(found) == 1 and not exactly else None


def without_end(name: str) -> str:
    """Return a name with its folders, without the extension of a model file."""
    folder, slash, _ = slashed(name).rpartition("/")
    return f"{folder}{slash}{stem(name)}"
