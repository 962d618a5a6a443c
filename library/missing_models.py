"""Which models a workflow names, and which of them are here, in the bucket, or missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .catalogue import Catalogue, Model

HERE, IN_BUCKET, MISSING = "here", "in the bucket", "missing"


@dataclass(frozen=True)
class NamedModel:
    """A model that a workflow names: where it is, and the bucket's model, if it has one.

    ``matched_by`` is "name", "base name", "hash", or "" without a model. ``nodes`` are the ids of the nodes
    that name it, "12:5" in a subgraph.
    """

    folder_type: str
    name: str
    state: str
    model: Model | None
    matched_by: str
    nodes: tuple[str, ...]


def of_workflow(workflow: Mapping[str, Any], catalogue: Catalogue) -> list[NamedModel]:
    """Return the models that a workflow of the page, or a prompt of the API, names."""
    return []
