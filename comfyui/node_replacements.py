"""Nodes of other packages that open as ours where their package is missing (core 0.33 and later).

Of the other nodes only their ids and the names of their inputs are used, as prompts that people publish have
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from . import node_classes, prompt_queue, server


@dataclass(frozen=True)
class Replacement:
    """A node of another package, as core's ``node_replace_manager`` takes it.

    ``old_widget_ids`` are the names of its widgets in their order. Each entry of ``input_mapping`` gives an
    input of ours, ``new_id``, the value of an input of theirs, ``old_id``, or ``set_value``.
    """

    old_node_id: str
    new_node_id: str
    old_widget_ids: tuple[str, ...]
    input_mapping: tuple[Mapping[str, Any], ...]
    output_mapping: None = None  # wires of their outputs stay at the same places

    def as_dict(self) -> dict[str, Any]:
        """Return it as the page reads it."""
        return asdict(self)


def _same(new_id: str, old_id: str) -> Mapping[str, Any]:
    return {"new_id": new_id, "old_id": old_id}


def _set(new_id: str, value: object) -> Mapping[str, Any]:
    return {"new_id": new_id, "set_value": value}


# What our nodes require and theirs do not have is set to our defaults.
REPLACEMENTS = (
    Replacement(
        "SaveImageS3",
        "SaveImageToCloud",
        ("filename_prefix",),
        (
            _same("images", "images"),
            _same("filename", "filename_prefix"),
            _set("key_prefix", "comfyui/images/"),
            _set("format", "png"),
            _set("quality", 95),
        ),
    ),
    Replacement(
        "SaveVideoFilesS3",
        "UploadFileToCloud",
        ("filename_prefix",),
        (
            _same("file", "filenames"),
            _same("filename", "filename_prefix"),
            _set("key_prefix", "comfyui/files/"),
        ),
    ),
)

_OF_ID = {one.old_node_id: one for one in REPLACEMENTS}


def register() -> None:
    """Tell the page of the replacements, where the core can do that, and replace nodes of queued prompts."""
    manager = getattr(server.instance(), "node_replace_manager", None)
    if manager is not None:
        for one in REPLACEMENTS:
            manager.register(one)
        prompt_queue.on_prompt(replaced)


def replaced(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a request with our nodes in place of those that are missing.

    Core does the same after this, but not for a node that lacks an input or was written by hand: it fails.
    """
    prompt = body.get("prompt")
    there = node_classes.registered()
    for node in prompt.values() if isinstance(prompt, dict) else ():
        one = _OF_ID.get(str(node.get("class_type"))) if isinstance(node, dict) else None
        if one is None or one.old_node_id in there or not isinstance(node.get("inputs"), dict):
            continue
        given = node["inputs"]
        node["class_type"] = one.new_node_id
        node["inputs"] = {
            row["new_id"]: row["set_value"] if "set_value" in row else given[row["old_id"]]
            for row in one.input_mapping
            if "set_value" in row or row["old_id"] in given
        }
    return body
