"""Translates the values that a workflow of another package brings to our save nodes.

A package whose node ids are the same has, where ours have ``if_exists`` and ``link``, the widgets
``presign``, a boolean, and ``expires_hours``, a number. A workflow brings them by place, the API by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..comfyui.input_values import shown
from .choices import IF_EXISTS, LINKS, NEW_NAME, OBJECT_URL, PRESIGNED

MIN_HOURS, MAX_HOURS = 1, 168


@dataclass(frozen=True)
class Translated:
    """The values of our widgets, and ``remarks``: a line for the node if they were written as others."""

    if_exists: str
    link: str
    expires_hours: int
    remarks: tuple[str, ...] = ()


def translated(
    if_exists: object,
    link: object,
    expires_hours: int,
    prompt: Mapping[str, Any] | None,
    node_id: str | None,
) -> Translated:
    """Our values for those of a save node; ``prompt`` may have some that it has no input for."""
    inputs = _inputs(prompt, node_id)
    presign, hours = inputs.get("presign"), expires_hours
    if isinstance(if_exists, bool):
        presign = if_exists
        hours = int(link) if _is_number(link) else expires_hours  # type: ignore[call-overload]
    elif not isinstance(presign, bool) or "link" in inputs:
        return Translated(str(if_exists), str(link), expires_hours)
    hours = min(max(hours, MIN_HOURS), MAX_HOURS)
    chosen = PRESIGNED if presign else OBJECT_URL
    remark = f"presign of another package's workflow is taken as link: {chosen}, expires_hours: {hours}."
    return Translated(if_exists if if_exists in IF_EXISTS else NEW_NAME, chosen, hours, (remark,))


def _inputs(prompt: Mapping[str, Any] | None, node_id: str | None) -> Mapping[str, Any]:
    node = (prompt or {}).get(node_id or "")
    inputs = node.get("inputs") if isinstance(node, Mapping) else None
    return inputs if isinstance(inputs, Mapping) else {}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Tolerant:
    """A node that ComfyUI lets run with such values, which are in no list of its drop-downs."""

    @classmethod
    def VALIDATE_INPUTS(cls, if_exists: object = None, link: object = None) -> bool | str:
        """Check what ComfyUI leaves to a node that names these inputs; None is a wire."""
        for name, value, choices, is_foreign in (
            ("if_exists", if_exists, IF_EXISTS, isinstance(if_exists, bool)),
            ("link", link, LINKS, isinstance(if_exists, bool) and _is_number(link)),
        ):
            if value is not None and not is_foreign and not (isinstance(value, str) and value in choices):
                return f"{name} cannot be {shown(value)}. Choose one of: {', '.join(choices)}."
        return True
